//! Moves bodies from socket to file through a pipe, without a copy to user space (splice(2)).

use super::{Delivery, Transfer};
use crate::conn::{Received, Socket};
use crate::error::Fault;
use crate::http1::Exchange;
use crate::multi::Sink;
use crate::sys::{Moved, Pipe};

/// If fewer bytes than this follow, a copy is cheaper than a second system call.
const WORTHWHILE: u64 = 128 * 1024;

/// How many bytes the first read takes, if a long response is expected.
pub(in crate::multi) const FIRST_LOOK: usize = 16 * 1024;

/// Whether a body of this length is worth a second system call, after a first read that took little of it.
pub(in crate::multi) fn is_worthwhile(length: Option<u64>) -> bool {
    length >= Some(WORTHWHILE + FIRST_LOOK as u64)
}

/// What one attempt to receive brought.
pub(in crate::multi) enum Arrived {
    /// This many bytes, in the buffer.
    Bytes(usize),
    /// This many bytes of the body, which are already in the file.
    Moved(usize),
    /// Nothing now.
    WouldBlock,
    /// The end of the stream, and whether the peer is known to have ended it.
    End { trusted: bool },
}

impl From<Received> for Arrived {
    fn from(received: Received) -> Self {
        match received {
            Received::Bytes(n) => Self::Bytes(n),
            Received::WouldBlock => Self::WouldBlock,
            Received::End { trusted } => Self::End { trusted },
        }
    }
}

/// The pipe of an engine, created when it is first needed.
#[derive(Debug, Default)]
pub(in crate::multi) struct Splicer {
    pipe: Option<Pipe>,
    /// Splicing does not work here.
    is_off: bool,
}

impl Splicer {
    /// Splices what has come of a body to its file, if that is possible and worth it; else returns `None`.
    pub(in crate::multi) fn carry<S: Sink>(
        &mut self,
        transfer: &mut Transfer<S>,
        exchange: &Exchange,
        socket: Option<&Socket>,
        limit: usize,
    ) -> Result<Option<Arrived>, Fault> {
        let remaining = exchange.raw_remaining().unwrap_or(0);
        let remaining = remaining.min(transfer.easy.sink.wanted().unwrap_or(u64::MAX));
        let is_wanted = matches!(transfer.delivery, Delivery::Sink);
        let (Some(socket), true) = (
            socket.and_then(Socket::tcp),
            is_wanted && !self.is_off && remaining >= WORTHWHILE,
        ) else {
            return Ok(None);
        };
        let Some((file, at)) = transfer.easy.sink.target()? else {
            return Ok(None);
        };
        let Ok(pipe) = self.pipe.take().map_or_else(Pipe::new, Ok) else {
            self.is_off = true;
            return Ok(None);
        };
        let limit = limit.min(usize::try_from(remaining).unwrap_or(usize::MAX));
        let arrived = match pipe.carry(socket, file, at, limit) {
            Moved::Bytes(0) => Arrived::End { trusted: true },
            Moved::Bytes(n) => {
                transfer.easy.sink.moved(Ok(n))?;
                Arrived::Moved(n)
            }
            Moved::Copied(n) => {
                self.is_off = true;
                transfer.easy.sink.moved(Ok(n))?;
                Arrived::Moved(n)
            }
            Moved::Unsupported => {
                self.is_off = true;
                return Ok(None);
            }
            Moved::WouldBlock => Arrived::WouldBlock,
            Moved::Source(error) => return Err(Fault::ConnectionLost(error)),
            // The pipe holds the bytes that are lost, so it is dropped too.
            Moved::Target(n, error) => {
                transfer.easy.sink.moved(Ok(n))?;
                return transfer.easy.sink.moved(Err(error)).map(|()| None);
            }
        };
        self.pipe = Some(pipe);
        Ok(Some(arrived))
    }
}
