//! Where bodies land: the face between the engine, which knows no files, and whoever does.

use std::io;
use std::os::fd::BorrowedFd;

use crate::error::Fault;
use crate::http::Response;

/// Takes one transfer's answer: the head once, then the body in order.
///
/// Only the final answer is shown to it: no interim ones, no redirects that are followed, no error statuses.
/// Calls come from inside [`Multi::socket_action`](super::Multi::socket_action) and must not wait.
/// An error ends the transfer with that fault.
pub trait Sink {
    /// The head of the answer, before any byte of its body.
    ///
    /// # Errors
    /// Any [`Fault`]: the answer is not wanted, or there is no place for its body.
    fn head(&mut self, response: &Response) -> Result<(), Fault>;

    /// How many more bytes it takes; `None` is all that come. It is shown no more than that, and at
    /// 0 the transfer ends as a success, whatever is still to come.
    fn wanted(&self) -> Option<u64> {
        None
    }

    /// The next bytes of the body, at least one.
    ///
    /// # Errors
    /// Any [`Fault`]: they could not be written.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault>;

    /// A file that the next bytes may be moved to without being seen, and the offset in it at which
    /// they belong. Asked for only when many are still to come, unencrypted and of a known number.
    ///
    /// # Errors
    /// Any [`Fault`]: the file cannot be made.
    fn target(&mut self) -> Result<Option<(BorrowedFd<'_>, u64)>, Fault> {
        Ok(None)
    }

    /// So many bytes were moved to the [`target`](Self::target); or it failed, and the fault is wanted.
    ///
    /// # Errors
    /// The fault to end the transfer with.
    fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        let _ = result;
        Ok(())
    }
}

/// Keeps the body in memory, for small answers, examples and tests.
impl Sink for Vec<u8> {
    fn head(&mut self, _: &Response) -> Result<(), Fault> {
        self.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Counts the body and throws it away.
impl Sink for u64 {
    fn head(&mut self, _: &Response) -> Result<(), Fault> {
        *self = 0;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        *self += bytes.len() as Self;
        Ok(())
    }
}
