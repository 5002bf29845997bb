//! One connection: sockets that race until one has won, then a stack of filters with HTTP/1.1 or HTTP/2 on it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Instant;

use slab::Slab;

use super::info::TransferId;
use super::origins::OriginKey;
use crate::conn::{Filter, Interest, Race, Socket, Wire};
use crate::error::Fault;
use crate::http::Response;
use crate::http1::Exchange;
use crate::http2::{Session, Windows};

/// A connection and whom it serves.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) origin: OriginKey,
    /// The origin's address that a proxy is told, where it has to be.
    pub(super) target: Option<Target>,
    pub(super) stage: Stage,
    pub(super) talk: Talk,
    /// Requests that were sent over it.
    pub(super) requests: u32,
    /// It stood once.
    pub(super) is_established: bool,
    /// A transfer that only connects has stood by with it.
    pub(super) has_stood_by: bool,
    /// When, and in which call, it became idle.
    pub(super) idle_since: Option<(Instant, u64)>,
}

/// One of an origin's addresses, and how many come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: IpAddr,
    pub(super) left: usize,
}

/// How far the connection has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Attempts to several addresses run, each with its own socket.
    Racing {
        /// Who is next.
        race: Race,
        /// The attempts under way.
        attempts: Vec<(SocketAddr, Socket)>,
        /// Why the last one to fail did.
        last: Option<io::Error>,
    },
    /// One socket is connected; the stack over it opens, or stands.
    Connected {
        /// The winner.
        socket: RawFd,
        /// Its peer.
        address: SocketAddr,
        /// The stack.
        filter: Box<dyn Filter>,
    },
}

/// What is spoken, and by whom.
#[derive(Debug)]
pub(super) enum Talk {
    /// One exchange after the other; also before it is known what will be spoken.
    Http1(Http1),
    /// Many at once.
    Http2(Box<Http2>),
}

/// HTTP/1.1 on a connection.
#[derive(Debug)]
pub(super) struct Http1 {
    /// The transfer it serves; none while it is idle.
    pub(super) user: Option<TransferId>,
    pub(super) exchange: Exchange,
    /// The request, and how much of it the filters have taken.
    pub(super) request: Vec<u8>,
    pub(super) taken: usize,
    /// The answer before this one was long, and so will most likely be this one.
    pub(super) expects_much: bool,
}

/// HTTP/2 on a connection.
#[derive(Debug)]
pub(super) struct Http2 {
    pub(super) session: Session,
    /// Whom it serves; a place here is the number of a slot of the session.
    pub(super) users: Slab<TransferId>,
    /// How many of them take nothing just now.
    pub(super) resting: usize,
    /// Answers that were whole.
    pub(super) answers: u32,
    /// It has something to send, or to be told, at the end of this call.
    pub(super) is_unsent: bool,
    /// Nothing more comes over it, and why.
    pub(super) lost: Option<Lost>,
    /// It cannot be written to any more; what has come may still be read.
    pub(super) unwritable: Option<Lost>,
    /// The socket was given up while all streams rest: what comes meanwhile is not seen.
    pub(super) is_out_of_sight: bool,
    /// It is to carry no further streams.
    pub(super) is_retired: bool,
    /// When a byte last came.
    pub(super) last_byte: Instant,
}

/// How a connection ended under its streams: what is said of each of them.
#[derive(Debug, Clone)]
pub(super) enum Lost {
    /// The peer closed it.
    Ended,
    /// The network did.
    Broken(io::ErrorKind, Option<i32>),
    /// A layer above did.
    Tls(String),
    /// The peer wants another certificate.
    Identity(String),
}

impl Lost {
    pub(super) fn new(fault: &Fault) -> Self {
        match fault {
            Fault::ConnectionLost(error) => Self::Broken(error.kind(), error.raw_os_error()),
            Fault::Tls(reason) => Self::Tls(reason.to_string()),
            Fault::IdentityRefused(reason) => Self::Identity(reason.clone()),
            other => Self::Tls(other.to_string()),
        }
    }

    /// The fault of one stream, whose answer had come so far: bytes received, and those expected.
    pub(super) fn fault(&self, body: Option<(u64, Option<u64>)>) -> Fault {
        match (self, body) {
            (Self::Ended, Some((received, expected))) => Fault::Truncated { received, expected },
            (Self::Ended, None) => Fault::NoAnswer,
            (Self::Broken(_, Some(code)), _) => {
                Fault::ConnectionLost(io::Error::from_raw_os_error(*code))
            }
            (Self::Broken(kind, None), _) => Fault::ConnectionLost((*kind).into()),
            (Self::Tls(reason), _) => Fault::Tls(reason.clone().into()),
            (Self::Identity(reason), _) => Fault::IdentityRefused(reason.clone()),
        }
    }
}

impl Http1 {
    /// Sends what is left of the request; true when nothing is.
    ///
    /// # Errors
    /// What `filter` failed with.
    pub(super) fn transmit(&mut self, filter: &mut dyn Filter) -> Result<bool, Fault> {
        while self.taken < self.request.len() {
            match filter.send(&self.request[self.taken..])? {
                0 => return Ok(false),
                taken => self.taken += taken,
            }
        }
        filter.flush()
    }
}

impl Http2 {
    /// A session just begun, for whoever opened the connection; gives its slot too.
    pub(super) fn new(user: TransferId, windows: Windows, now: Instant) -> (Self, usize) {
        let mut users = Slab::new();
        let slot = users.insert(user);
        let http2 = Self {
            session: Session::new(windows),
            users,
            resting: 0,
            answers: 0,
            is_unsent: false,
            lost: None,
            unwritable: None,
            is_out_of_sight: false,
            is_retired: false,
            last_byte: now,
        };
        (http2, slot)
    }

    /// Whether there is a point in receiving: not behind an end, and not while output has to go first.
    pub(super) fn may_receive(&self) -> bool {
        self.lost.is_none() && !self.session.is_over() && !self.session.is_clogged()
    }

    /// Sends the pending bytes; true when none are left. After a failure nothing is
    /// sent any more, and what had come before is still read.
    pub(super) fn transmit(&mut self, filter: &mut dyn Filter) -> bool {
        if self.lost.is_some() || self.unwritable.is_some() {
            return true;
        }
        let sent = self.session.transmit(|bytes| filter.send(bytes));
        let sent = sent.and_then(|all: bool| Ok::<_, Fault>(filter.flush()? && all));
        sent.unwrap_or_else(|fault| {
            self.unwritable = Some(Lost::new(&fault));
            self.session.mute();
            true
        })
    }

    /// What is wanted of the socket until the next call: `standing` is what the layers above it
    /// want while bytes are received. A connection that nothing is received from is not watched,
    /// except for room for its output.
    pub(super) fn interest(&self, is_all_sent: bool, standing: Interest) -> Interest {
        let hears = self.may_receive() && !self.is_at_rest();
        match (hears, is_all_sent) {
            _ if self.lost.is_some() => Interest::Remove,
            (true, true) => standing,
            (true, false) => Interest::InOut,
            (false, false) => Interest::Out,
            (false, true) if self.session.is_clogged() => Interest::Out,
            (false, true) => Interest::Remove,
        }
    }

    /// Whether it has streams and all of them rest.
    pub(super) fn is_at_rest(&self) -> bool {
        self.resting > 0 && self.resting == self.users.len()
    }

    /// Whether further streams may be begun.
    pub(super) fn is_open(&mut self) -> bool {
        !self.is_retired && self.lost.is_none() && self.session.is_open()
    }

    /// How many streams there may be at once.
    pub(super) fn capacity(&mut self) -> usize {
        if self.is_open() {
            self.session.capacity()
        } else {
            0
        }
    }
}

/// The function that makes connections, where the application has set one.
pub(super) struct Dial(pub(super) Box<dyn FnMut(SocketAddr) -> io::Result<Rc<dyn Wire>>>);

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(
        origin: OriginKey,
        user: TransferId,
        race: Race,
        target: Option<Target>,
    ) -> Self {
        Self {
            origin,
            target,
            stage: Stage::Racing {
                race,
                attempts: Vec::new(),
                last: None,
            },
            talk: Talk::Http1(Http1 {
                user: Some(user),
                exchange: Exchange::new(),
                request: Vec::new(),
                taken: 0,
                expects_much: false,
            }),
            requests: 0,
            is_established: false,
            has_stood_by: false,
            idle_since: None,
        }
    }

    /// The stack, once there is one.
    pub(super) fn filter(&mut self) -> Option<&mut dyn Filter> {
        match &mut self.stage {
            Stage::Connected { filter, .. } => Some(filter.as_mut()),
            Stage::Racing { .. } => None,
        }
    }

    /// HTTP/1.1, where that is spoken.
    pub(super) fn http1(&mut self) -> Option<&mut Http1> {
        match &mut self.talk {
            Talk::Http1(http1) => Some(http1),
            Talk::Http2(_) => None,
        }
    }

    /// HTTP/2, where that is spoken.
    pub(super) fn http2(&mut self) -> Option<&mut Http2> {
        match &mut self.talk {
            Talk::Http1(_) => None,
            Talk::Http2(http2) => Some(http2),
        }
    }

    /// The head that came last to whoever has this slot.
    pub(super) fn response(&self, slot: usize) -> Option<&Response> {
        match &self.talk {
            Talk::Http1(http1) => Some(http1.exchange.response()),
            Talk::Http2(http2) => http2.session.response(slot),
        }
    }

    /// Bytes of the body that whoever has this slot will receive, where that is known.
    pub(super) fn expected(&self, slot: usize) -> Option<u64> {
        match &self.talk {
            Talk::Http1(http1) => http1.exchange.expected(),
            Talk::Http2(http2) => http2.session.expected(slot),
        }
    }

    /// Whether any of the answer has come to whoever has this slot.
    pub(super) fn has_begun(&self, slot: usize) -> bool {
        match &self.talk {
            Talk::Http1(http1) => http1.exchange.has_begun(),
            Talk::Http2(http2) => http2.session.has_head(slot),
        }
    }

    /// Every socket of the connection.
    pub(super) fn sockets(&self) -> impl Iterator<Item = RawFd> {
        let (attempts, connected) = match &self.stage {
            Stage::Racing { attempts, .. } => (&attempts[..], None),
            Stage::Connected { socket, .. } => (&[][..], Some(*socket)),
        };
        let racing = attempts.iter().map(|(_, socket)| socket.number());
        racing.chain(connected)
    }

    /// The address it is connected to, or tries.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.stage {
            Stage::Racing { attempts, .. } => attempts.last().map(|(address, _)| *address),
            Stage::Connected { address, .. } => Some(*address),
        }
    }

    /// Whether nothing has come over an idle connection: no byte, no end, no error.
    pub(super) fn is_silent(&self) -> bool {
        match &self.stage {
            Stage::Connected { filter, .. } => filter.socket().is_silent(),
            Stage::Racing { .. } => false,
        }
    }

    /// Whether the transfer may be tried again elsewhere without anyone noticing: the connection had served
    /// or waited before, and not one byte of this answer has come (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
    pub(super) fn may_be_stale(&self) -> bool {
        match &self.talk {
            Talk::Http1(http1) => {
                (self.requests > 1 || self.has_stood_by) && !http1.exchange.has_begun()
            }
            Talk::Http2(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_is_told_once_why_the_connection_ended() {
        let refused = Fault::Tls("the server wants a certificate".into());
        for told in [
            refused,
            Fault::IdentityRefused("the server wants another".to_owned()),
            Fault::ConnectionLost(io::Error::from_raw_os_error(104)),
        ] {
            let lost = Lost::new(&told);
            assert_eq!(lost.fault(None).to_string(), told.to_string());
        }
    }
}
