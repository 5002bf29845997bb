//! The filter of a connection through a SOCKS5 proxy. [`crate::socks`] has the messages.

use std::sync::Arc;

use super::filter::{Filter, Interest, Opened, Received, Scratch};
use super::proxy::refused;
use super::socket::Socket;
use crate::error::{Fault, ProxyFault};
use crate::http::Proxy;
use crate::socks::{Handshake, Target};

/// A connection through a SOCKS5 proxy, or a handshake for one.
#[derive(Debug)]
pub(crate) struct Socks {
    below: Box<dyn Filter>,
    proxy: Arc<Proxy>,
    /// None once the connection is established.
    handshake: Option<Box<Handshake>>,
}

impl Socks {
    /// Asks `proxy`, over `below`, for a connection to `target`.
    pub(crate) fn new(
        proxy: Arc<Proxy>,
        target: Target<'_>,
        port: u16,
        below: Box<dyn Filter>,
    ) -> Result<Self, Fault> {
        let handshake = Handshake::new(target, port, proxy.credentials.as_ref())
            .map_err(|fault| refused(&proxy, fault))?;
        Ok(Self {
            below,
            proxy,
            handshake: Some(Box::new(handshake)),
        })
    }

    /// Receives once, at most the bytes of the handshake.
    fn receive_answer(&mut self, scratch: &mut Scratch) -> Result<Received, Fault> {
        let Some(handshake) = &mut self.handshake else {
            return Ok(Received::WouldBlock);
        };
        let mut buffer = scratch.take();
        let received = self.below.recv(&mut buffer, handshake.missing(), scratch);
        let taken = match &received {
            Ok(Received::Bytes(count)) => handshake.receive(&buffer[..*count]),
            _ => Ok(0),
        };
        scratch.give(buffer);
        taken.map_err(|fault| refused(&self.proxy, fault))?;
        received
    }
}

impl Filter for Socks {
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
        while let Some(handshake) = &mut self.handshake {
            while !handshake.unsent().is_empty() {
                match self.below.send(handshake.unsent())? {
                    0 => return Ok(Opened::Wait),
                    sent => handshake.sent(sent),
                }
            }
            if handshake.missing() == 0 {
                self.handshake = None;
                break;
            }
            match self.receive_answer(scratch)? {
                Received::Bytes(_) => {}
                Received::WouldBlock => return Ok(Opened::Wait),
                Received::End { .. } => return Err(refused(&self.proxy, ProxyFault::Closed)),
            }
        }
        Ok(Opened::Ready)
    }

    fn wants(&self) -> Interest {
        match &self.handshake {
            Some(handshake) if !handshake.unsent().is_empty() => Interest::InOut,
            _ => self.below.wants(),
        }
    }

    fn plain(&self) -> Option<&Socket> {
        match self.handshake {
            None => self.below.plain(),
            Some(_) => None,
        }
    }

    fn describe(&self) -> String {
        format!("a tunnel over {}", self.below.describe())
    }
}
