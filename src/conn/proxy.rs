//! The filter of a tunnel through an HTTP proxy: CONNECT (RFC 9110 §9.3.6).

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::filter::{Filter, Interest, Opened, Received, Scratch};
use super::socket::Socket;
use crate::error::{Fault, ProxyFault};
use crate::http::challenge::{Challenges, DigestLogin};
use crate::http::{Credentials, Proxy};
use crate::http1::{CONNECT, ConnectAnswer, connect};

/// Bytes of the wire that are received at once until the proxy has responded. Bytes behind its response are kept.
const AT_ONCE: usize = 16 * 1024;

/// A tunnel, or a request for one.
pub(crate) struct Tunnel {
    below: Box<dyn Filter>,
    proxy: Arc<Proxy>,
    /// The unsent rest of the request.
    request: Vec<u8>,
    /// Reads the response; none once the tunnel is open.
    answer: Option<Box<ConnectAnswer>>,
    /// Bytes of the destination that came with the response.
    early: Vec<u8>,
    /// The Digest login that the request has.
    login: Option<Rc<DigestLogin>>,
    refusal: Option<Box<Refusal>>,
}

/// A 407 in place of a tunnel.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What the proxy asks for.
    pub(crate) challenges: Challenges,
    /// The Digest login that it refused.
    pub(crate) login: Option<Rc<DigestLogin>>,
}

impl Tunnel {
    /// Asks `proxy`, over `below`, for a tunnel to `authority`, a host and a port. With a login, it answers an earlier
    /// challenge of the proxy; otherwise the proxy receives its Basic login, if it has one.
    pub(crate) fn new(
        proxy: Arc<Proxy>,
        authority: &str,
        login: Option<Rc<DigestLogin>>,
        below: Box<dyn Filter>,
    ) -> Result<Self, Fault> {
        let value = match &login {
            Some(digest) => Some(digest.authorization(CONNECT, authority)),
            None => proxy.credentials.as_ref().map(Credentials::basic),
        };
        let request = connect(authority, value.as_deref())
            .map_err(|error| Fault::BadUrl(error.to_string()))?;
        Ok(Self {
            below,
            proxy,
            request,
            answer: Some(Box::default()),
            early: Vec::new(),
            login,
            refusal: None,
        })
    }

    /// Sends the rest of the request. Returns true when nothing is left.
    fn send_request(&mut self) -> Result<bool, Fault> {
        while !self.request.is_empty() {
            match self.below.send(&self.request)? {
                0 => return Ok(false),
                sent => drop(self.request.drain(..sent)),
            }
        }
        self.below.flush()
    }

    /// Takes bytes of the response, and keeps those behind it.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(answer) = &mut self.answer else {
            return Ok(());
        };
        let (consumed, status) = answer
            .receive(bytes)
            .map_err(|malformed| refused(&self.proxy, ProxyFault::Malformed(malformed)))?;
        match status {
            None => {}
            Some(200..300) => {
                self.answer = None;
                self.early = bytes[consumed..].to_vec();
            }
            Some(status) => {
                let challenges = Challenges::of(status, &answer.response().headers);
                let login = self.login.take();
                self.refusal = (status == 407).then(|| Box::new(Refusal { challenges, login }));
                return Err(refused(&self.proxy, ProxyFault::Status(status)));
            }
        }
        Ok(())
    }
}

/// The fault of a proxy, which it names.
pub(super) fn refused(proxy: &Proxy, fault: ProxyFault) -> Fault {
    Fault::Proxy {
        proxy: proxy.to_string(),
        fault,
    }
}

impl Filter for Tunnel {
    fn below(&self) -> &dyn Filter {
        self.below.as_ref()
    }

    fn below_mut(&mut self) -> &mut dyn Filter {
        self.below.as_mut()
    }

    fn open(&mut self, scratch: &mut Scratch) -> Result<Opened, Fault> {
        if matches!(self.below.open(scratch)?, Opened::Wait) {
            return Ok(Opened::Wait);
        }
        while self.answer.is_some() {
            // What the proxy sent before it closed may still be readable.
            let is_sent = match self.send_request() {
                Err(Fault::ConnectionLost(_)) => true,
                sent => sent?,
            };
            if !is_sent {
                return Ok(Opened::Wait);
            }
            let mut buffer = scratch.take();
            let received = self.below.recv(&mut buffer, AT_ONCE, scratch);
            let taken = match &received {
                Ok(Received::Bytes(count)) => self.take(&buffer[..*count]),
                _ => Ok(()),
            };
            scratch.give(buffer);
            taken?;
            match received? {
                Received::Bytes(_) => {}
                Received::WouldBlock => return Ok(Opened::Wait),
                Received::End { .. } => return Err(refused(&self.proxy, ProxyFault::Closed)),
            }
        }
        Ok(Opened::Ready)
    }

    fn recv(
        &mut self,
        out: &mut [u8],
        limit: usize,
        scratch: &mut Scratch,
    ) -> Result<Received, Fault> {
        if self.early.is_empty() {
            return self.below.recv(out, limit, scratch);
        }
        let count = self.early.len().min(out.len()).min(limit);
        out[..count].copy_from_slice(&self.early[..count]);
        self.early.drain(..count);
        Ok(Received::Bytes(count))
    }

    fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }

    fn wants(&self) -> Interest {
        if self.request.is_empty() {
            self.below.wants()
        } else {
            Interest::InOut
        }
    }

    fn plain(&self) -> Option<&Socket> {
        if self.answer.is_none() && self.early.is_empty() {
            self.below.plain()
        } else {
            None
        }
    }

    fn describe(&self) -> String {
        format!("a tunnel over {}", self.below.describe())
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("below", &self.below)
            .field("is_open", &self.answer.is_none())
            .finish_non_exhaustive()
    }
}
