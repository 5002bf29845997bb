//! The filter of a connection through a SOCKS5 proxy. What is said stands in [`crate::socks`].

use std::sync::Arc;

use super::filter::{Filter, Interest, Opened, Received, Scratch};
use super::proxy::refused;
use super::socket::Socket;
use crate::error::{Fault, ProxyFault};
use crate::http::Proxy;
use crate::socks::{Handshake, Target};

/// A connection by way of a SOCKS5 proxy, or one that is asked for.
#[derive(Debug)]
pub(crate) struct Socks {
    below: Box<dyn Filter>,
    proxy: Arc<Proxy>,
    /// None once the connection stands.
    handshake: Option<Box<Handshake>>,
}

impl Socks {
    /// A connection to `target` through `proxy`, which is spoken to over `below`.
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

    /// Receives once, and no more than belongs to the handshake.
    fn listen(&mut self, scratch: &mut Scratch) -> Result<Received, Fault> {
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
            match self.listen(scratch)? {
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
        self.below.recv(out, limit, scratch)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.below.send(bytes)
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        self.below.flush()
    }

    fn wants(&self) -> Interest {
        match &self.handshake {
            Some(handshake) if !handshake.unsent().is_empty() => Interest::InOut,
            _ => self.below.wants(),
        }
    }

    fn close(&mut self) {
        self.below.close();
    }

    fn socket(&self) -> &Socket {
        self.below.socket()
    }

    fn plain(&self) -> Option<&Socket> {
        self.below.plain().filter(|_| self.handshake.is_none())
    }

    fn protocol(&self) -> Option<&[u8]> {
        None
    }

    fn describe(&self) -> String {
        format!("a tunnel over {}", self.below.describe())
    }
}
