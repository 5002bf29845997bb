//! What every layer of a connection can do, and the buffers that layers share.

use std::fmt;

use super::proxy::Refusal;
use super::socket::Socket;
use crate::error::Fault;

/// The size of one shared buffer, in bytes. A larger one would save hardly any system calls.
pub(crate) const BUFFER: usize = 256 * 1024;

/// Which events of a socket the engine waits for: the actions of the socket function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interest {
    /// None now; the socket stays known (CURL_POLL_NONE).
    None,
    /// Readable (CURL_POLL_IN).
    In,
    /// Writable (CURL_POLL_OUT).
    Out,
    /// Readable or writable (CURL_POLL_INOUT).
    InOut,
    /// None any more; the socket need not be closed (CURL_POLL_REMOVE).
    Remove,
}

/// How far a stack has opened.
#[derive(Debug)]
pub(crate) enum Opened {
    /// The stack is open: bytes may be sent and received.
    Ready,
    /// It waits for the socket.
    Wait,
}

/// What a call of [`Filter::recv`] received.
#[derive(Debug)]
pub(crate) enum Received {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing now; the kernel said WouldBlock.
    WouldBlock,
    /// The peer ended its sending. If the end is not `trusted`, an attacker may have caused it: TLS without
    /// close_notify (RFC 8446 §6.1).
    End {
        /// Whether the end is known to be the peer's own.
        trusted: bool,
    },
}

/// One layer of a connection, over the layers below it. A default passes a call on to the layer below.
pub(crate) trait Filter: fmt::Debug {
    /// The layer below. The socket is the lowest layer: it returns itself, and uses no default that passes on.
    fn below(&self) -> &dyn Filter;

    /// The layer below, to be changed.
    fn below_mut(&mut self) -> &mut dyn Filter;

    /// Continues to open this layer and those below it.
    fn open(&mut self, scratch: &mut Scratch) -> Result<Opened, Fault>;

    /// Receives into `out`, which is [`BUFFER`] bytes long, from at most `limit` bytes of the wire.
    fn recv(
        &mut self,
        out: &mut [u8],
        limit: usize,
        scratch: &mut Scratch,
    ) -> Result<Received, Fault> {
        self.below_mut().recv(out, limit, scratch)
    }

    /// Sends bytes. Returns how many were taken, 0 if the socket takes none now.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.below_mut().send(bytes)
    }

    /// Sends what the layers produced themselves: handshake records, key updates. Returns true when nothing is left.
    fn flush(&mut self) -> Result<bool, Fault> {
        self.below_mut().flush()
    }

    /// What the stack waits for while it opens, and what else it waits for while it receives.
    fn wants(&self) -> Interest {
        self.below().wants()
    }

    /// Sends the layer's closing message, if it has one. Never waits, never fails.
    fn close(&mut self) {
        self.below_mut().close();
    }

    /// The socket at the bottom.
    fn socket(&self) -> &Socket {
        self.below().socket()
    }

    /// The socket, if its bytes are those of the stream: no layer changes them.
    fn plain(&self) -> Option<&Socket> {
        None
    }

    /// The protocol that this layer negotiated (RFC 7301), if it did.
    fn protocol(&self) -> Option<&[u8]> {
        None
    }

    /// Why a proxy refused a tunnel, if it asks for another login.
    fn refusal(&self) -> Option<&Refusal> {
        self.below().refusal()
    }

    /// What was negotiated, for logs: "TLSv1.3, TLS13_AES_256_GCM_SHA384".
    fn describe(&self) -> String;
}

/// Buffers of [`BUFFER`] bytes. An engine needs one for each layer of a stack that changes bytes, not one for each
/// connection.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Vec<Box<[u8]>>);

impl Scratch {
    /// Takes a buffer, which holds bytes of its last use.
    pub(crate) fn take(&mut self) -> Box<[u8]> {
        self.0
            .pop()
            .unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice())
    }

    /// Returns a buffer.
    pub(crate) fn give(&mut self, buffer: Box<[u8]>) {
        self.0.push(buffer);
    }
}
