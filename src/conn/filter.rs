//! The face that every layer of a connection has, and the buffers they share.

use std::fmt;

use super::socket::Socket;
use crate::error::Fault;

/// The size of one shared buffer: 256 KiB, where a larger one no longer saves system calls worth having.
pub(crate) const BUFFER: usize = 256 * 1024;

/// What is wanted of a socket: the actions of the socket function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Known, but not to be watched now (CURL_POLL_NONE).
    None,
    /// Readable (CURL_POLL_IN).
    In,
    /// Writable (CURL_POLL_OUT).
    Out,
    /// Readable or writable (CURL_POLL_INOUT).
    InOut,
    /// No longer of interest; not necessarily closed (CURL_POLL_REMOVE).
    Remove,
}

/// How far the opening of a stack has come.
#[derive(Debug)]
pub(crate) enum Opened {
    /// The stack stands: bytes may be sent and received.
    Ready,
    /// It waits for the socket.
    Wait,
}

/// What a call of [`Filter::recv`] brought.
#[derive(Debug)]
pub(crate) enum Received {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing now; the kernel said WouldBlock.
    WouldBlock,
    /// The peer ended its sending. Where it is not `trusted`, somebody else may have ended it:
    /// TLS without close_notify (RFC 8446 §6.1).
    End {
        /// Whether the end is known to be the peer's own.
        trusted: bool,
    },
}

/// One layer of a connection, over the layers below it.
pub(crate) trait Filter: fmt::Debug {
    /// Goes on with opening this layer and those below it.
    fn open(&mut self, scratch: &mut Scratch) -> Result<Opened, Fault>;

    /// Receives into `out`, which is [`BUFFER`] bytes long, from at most `limit` bytes of the wire.
    fn recv(
        &mut self,
        out: &mut [u8],
        limit: usize,
        scratch: &mut Scratch,
    ) -> Result<Received, Fault>;

    /// Takes bytes to send; gives how many it took, 0 when the socket takes none now.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Fault>;

    /// Sends what the layers hold back themselves: handshake records, key updates. True when nothing is left.
    fn flush(&mut self) -> Result<bool, Fault>;

    /// What the stack waits for while it opens, and beside receiving once it stands.
    fn wants(&self) -> Interest;

    /// Says goodbye to the peer, where the layer has a word for it; never waits, never fails.
    fn close(&mut self);

    /// The socket at the bottom.
    fn socket(&self) -> &Socket;

    /// The socket, where bytes on it are bytes of the stream: no layer between changes them.
    fn plain(&self) -> Option<&Socket>;

    /// What was agreed on to be spoken over the stack (RFC 7301), where that was asked.
    fn protocol(&self) -> Option<&[u8]>;

    /// A sentence on what was agreed, for whoever watches: "TLSv1.3, TLS13_AES_256_GCM_SHA384".
    fn describe(&self) -> String;
}

/// Buffers of [`BUFFER`] bytes, lent to whoever receives and taken back: one engine needs as many as
/// a stack has layers that change bytes, not one a connection.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Vec<Box<[u8]>>);

impl Scratch {
    /// A buffer; what it holds is left over from its last use.
    pub(crate) fn take(&mut self) -> Box<[u8]> {
        self.0
            .pop()
            .unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice())
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, buffer: Box<[u8]>) {
        self.0.push(buffer);
    }
}
