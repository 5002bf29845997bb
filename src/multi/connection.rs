//! One connection: sockets that race until one is connected, then a stack of filters that carries exchanges.

use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::time::Instant;

use super::exchanges::{Advance, Exchanges};
use super::info::TransferId;
use super::multiplexed::Multiplexed;
use super::origins::OriginKey;
use super::serial::{Receiving, Serial};
use super::sink::Sink;
use super::transfer::{Reader, Splicer};
use crate::conn::{Endpoint, Filter, Interest, Race, Scratch, Socket};
use crate::error::Fault;

/// A connection, and the transfers that use it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) origin: OriginKey,
    /// The address of the origin that a proxy connects to, if the proxy must be told one.
    pub(super) target: Option<TargetAddress>,
    pub(super) stage: Stage,
    pub(super) exchanges: Exchanges,
    /// Requests that were sent over it.
    pub(super) requests: u32,
    /// It was established once.
    pub(super) is_established: bool,
    /// A transfer that only connects stood by with it.
    has_stood_by: bool,
    /// When, and in which call, it became idle.
    pub(super) idle_since: Option<(Instant, u64)>,
}

/// One of an origin's addresses, and how many come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TargetAddress {
    pub(super) address: IpAddr,
    pub(super) left: usize,
}

/// How far the connection has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Attempts to several addresses run, each with its own socket.
    Racing {
        /// Which address is next.
        race: Race,
        /// The attempts under way.
        attempts: Vec<(Endpoint, Socket)>,
        /// Why the last one to fail did.
        last: Option<io::Error>,
    },
    /// One socket is connected; the filters above it open, or are open.
    Connected {
        /// The number of the socket.
        socket: RawFd,
        /// Its peer.
        endpoint: Endpoint,
        /// The stack.
        filter: Box<dyn Filter>,
    },
}

/// Why a multiplexed connection ended, as each of its streams reports it.
#[derive(Debug, Clone)]
pub(super) enum Lost {
    /// The peer closed it.
    Ended,
    /// A network error.
    Broken(io::ErrorKind, Option<i32>),
    /// An error of a layer above.
    Tls(String),
    /// The peer asks for another client certificate.
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

    /// The fault of one stream. `body` is what was received of its body and what was expected, if its head has come.
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

/// How far sending a request came.
#[derive(Debug)]
pub(super) enum Sent {
    /// All of it was sent.
    All,
    /// The socket takes no more now.
    Blocked,
    /// It leaves at the end of the call, with what other streams send.
    AtEndOfCall,
    /// The connection takes no more, but what the server sent before may still be read.
    Closed,
}

impl Connection {
    pub(super) fn new(
        origin: OriginKey,
        user: TransferId,
        race: Race,
        target: Option<TargetAddress>,
    ) -> Self {
        Self {
            origin,
            target,
            stage: Stage::Racing {
                race,
                attempts: Vec::new(),
                last: None,
            },
            exchanges: Exchanges::Serial(Serial::new(user)),
            requests: 0,
            is_established: false,
            has_stood_by: false,
            idle_since: None,
        }
    }

    /// The stack, once a socket is connected.
    pub(super) fn filter(&mut self) -> Option<&mut dyn Filter> {
        match &mut self.stage {
            Stage::Connected { filter, .. } => Some(filter.as_mut()),
            Stage::Racing { .. } => None,
        }
    }

    /// The socket, the stack and the exchanges of a connection that several transfers may use.
    pub(super) fn shared_io(&mut self) -> Option<(RawFd, &mut dyn Filter, &mut Multiplexed)> {
        match (&mut self.stage, &mut self.exchanges) {
            (Stage::Connected { socket, filter, .. }, Exchanges::Multiplexed(multiplexed)) => {
                Some((*socket, filter.as_mut(), multiplexed))
            }
            _ => None,
        }
    }

    /// Sends the rest of a request that was begun.
    pub(super) fn transmit(&mut self) -> Result<Sent, Fault> {
        let Stage::Connected { filter, .. } = &mut self.stage else {
            return Ok(Sent::Blocked);
        };
        match &mut self.exchanges {
            Exchanges::Multiplexed(_) => Ok(Sent::AtEndOfCall),
            Exchanges::Serial(serial) => match serial.transmit(filter.as_mut()) {
                Err(Fault::ConnectionLost(_)) => Ok(Sent::Closed),
                Err(fault) => Err(fault),
                Ok(true) => Ok(Sent::All),
                Ok(false) => Ok(Sent::Blocked),
            },
        }
    }

    /// Receives the next part of the response on a stream, and hands it to its transfer.
    pub(super) fn advance<S: Sink>(
        &mut self,
        stream: usize,
        limit: usize,
        scratch: &mut Scratch,
        splicer: &mut Splicer,
        reader: &mut Reader<'_, S>,
    ) -> Result<Advance, Fault> {
        let Stage::Connected { filter, .. } = &mut self.stage else {
            return Ok(Advance::Wait(None));
        };
        match &mut self.exchanges {
            Exchanges::Multiplexed(multiplexed) => multiplexed.advance(stream, reader),
            Exchanges::Serial(serial) => {
                let input = Receiving {
                    filter: filter.as_mut(),
                    scratch,
                    splicer,
                    limit,
                };
                serial.advance(input, reader)
            }
        }
    }

    /// What the open stack wants of the socket while it receives.
    pub(super) fn standing_interest(&self) -> Interest {
        match &self.stage {
            Stage::Connected { filter, .. } => filter.wants(),
            Stage::Racing { .. } => Interest::Out,
        }
    }

    /// Whether bytes on the socket are bytes of the exchanges: no layer changes them.
    pub(super) fn is_plain(&self) -> bool {
        match &self.stage {
            Stage::Connected { filter, .. } => filter.plain().is_some(),
            Stage::Racing { .. } => false,
        }
    }

    /// A transfer stands by with the connection. Returns true if the sockets need not be watched meanwhile.
    pub(super) fn stand_by(&mut self) -> bool {
        self.has_stood_by = !self.exchanges.is_multiplexed();
        self.has_stood_by
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

    /// What it is connected to, or tries to connect to.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        match &self.stage {
            Stage::Racing { attempts, .. } => attempts.last().map(|(endpoint, _)| endpoint),
            Stage::Connected { endpoint, .. } => Some(endpoint),
        }
    }

    /// Whether nothing has come over an idle connection: no byte, no end, no error.
    pub(super) fn is_silent(&self) -> bool {
        match &self.stage {
            Stage::Connected { filter, .. } => filter.socket().is_silent(),
            Stage::Racing { .. } => false,
        }
    }

    /// Whether earlier requests on the connection, one after the other, may explain a failure of this one.
    pub(super) fn is_reused_serially(&self) -> bool {
        self.requests > 1 && !self.exchanges.is_multiplexed()
    }

    /// Whether the transfer may be repeated on another connection without notice: this one had served or waited
    /// before, and not one byte of this response has come (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
    pub(super) fn may_be_stale(&self) -> bool {
        let is_old = self.requests > 1 || self.has_stood_by;
        is_old && !self.exchanges.is_multiplexed() && !self.exchanges.has_begun(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_reports_once_why_the_connection_ended() {
        let refused = Fault::Tls("the server wants a certificate".into());
        for reported in [
            refused,
            Fault::IdentityRefused("the server wants another".to_owned()),
            Fault::ConnectionLost(io::Error::from_raw_os_error(104)),
        ] {
            let lost = Lost::new(&reported);
            assert_eq!(lost.fault(None).to_string(), reported.to_string());
        }
    }
}
