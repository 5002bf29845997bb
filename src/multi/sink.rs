//! Where bodies go: the interface between the engine, which knows no files, and the application.

use std::io;
use std::os::fd::BorrowedFd;

use url::Url;

use crate::error::Fault;
use crate::http::Response;

/// Takes the response of one transfer: the head once, then the body in order.
///
/// It receives only the final response: no interim responses, no redirects that are followed, no error statuses. The
/// calls are made from inside [`Multi::socket_action`](super::Multi::socket_action) and must not wait. An error ends
/// the transfer with that fault.
pub trait Sink {
    /// The URL that redirects led to, if there were any, before the head of its response.
    fn redirected(&mut self, url: &Url) {
        let _ = url;
    }

    /// The head of the response, before any byte of its body.
    ///
    /// # Errors
    /// Any [`Fault`]: the response is not acceptable, or its body cannot be stored.
    fn head(&mut self, response: &Response) -> Result<(), Fault>;

    /// How many more bytes it takes; `None` for all. It receives no more than that. At 0 the transfer ends as a
    /// success, even if the body continues.
    fn wanted(&self) -> Option<u64> {
        None
    }

    /// The next bytes of the body, at least one.
    ///
    /// # Errors
    /// Any [`Fault`]: they could not be written.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault>;

    /// A file that the next bytes may be spliced to, and their offset in it. Called only if many bytes follow,
    /// unencrypted and of a known number.
    ///
    /// # Errors
    /// Any [`Fault`]: the file cannot be created.
    fn target(&mut self) -> Result<Option<(BorrowedFd<'_>, u64)>, Fault> {
        Ok(None)
    }

    /// The result of splicing to the [`target`](Self::target): the number of bytes, or an error of the file.
    ///
    /// # Errors
    /// The fault that ends the transfer.
    fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        let _ = result;
        Ok(())
    }
}

/// Keeps the body in memory, for small responses, examples and tests.
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

/// Counts the bytes of the body, and discards them.
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
