//! Policy for one file: its name, its tries, where its bytes land. Knows nothing of sockets.
//!
//! A [`Download`] is the sink of its own transfers: of each try, until the body is whole, or the server says that the file
//! which stands at the final name is still the same.

pub mod name;
mod part;
mod retry;
mod stored;
mod stream;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::error::{Fault, Malformed};
use crate::http::{Response, disposition};
use crate::multi::Sink;

pub use part::{Part, Placed};
pub use retry::{Decision, Retry, Tries};
pub use stored::Stored;
pub use stream::Stream;

/// What to do when the final name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exists {
    /// Keep it when it is known to be the same; else fetch it anew and replace it.
    #[default]
    Verify,
    /// Keep it, whatever it holds.
    Skip,
    /// Fetch it anew and replace it.
    Overwrite,
    /// Keep it, and give the new file another name.
    Rename,
    /// Count it as a failure.
    Error,
}

/// Where the bytes of a download land.
#[derive(Debug)]
pub enum Body {
    /// In a file.
    File(Part),
    /// On standard output, or a device.
    Stream(Stream),
}

/// One file on its way to its final name.
#[derive(Debug)]
pub struct Download {
    /// What is known of the file that stands at the final name: the server is asked for another only.
    pub known: Option<Stored>,
    /// The server said that there is no other.
    pub is_unchanged: bool,
    /// Where it lands.
    pub body: Body,
    /// Whether the server may name the file.
    pub takes_name: bool,
    /// The name that the server gave, made safe.
    pub given_name: Option<String>,
}

impl Download {
    /// A download to `body`, to be fetched without asking first.
    pub fn new(body: Body) -> Self {
        Self {
            known: None,
            is_unchanged: false,
            body,
            takes_name: false,
            given_name: None,
        }
    }

    /// Whether another try can still lead to a right file.
    pub fn can_start_over(&self) -> bool {
        match &self.body {
            Body::File(_) => true,
            Body::Stream(out) => !out.has_written(),
        }
    }
}

impl Sink for Download {
    fn head(&mut self, response: &Response) -> Result<(), Fault> {
        if response.status == 304 && self.known.is_some() {
            self.is_unchanged = true;
            return Ok(());
        }
        if matches!(response.status, 206 | 300..) {
            return Err(Malformed::Unasked(response.status).into());
        }
        if self.takes_name {
            let given = response
                .headers
                .get("content-disposition")
                .and_then(disposition::file_name);
            self.given_name = given.map(|name| {
                name::safe(
                    Path::new(&name)
                        .file_name()
                        .and_then(|n| n.to_str())
                        .unwrap_or(&name),
                )
            });
        }
        match &mut self.body {
            Body::File(part) => part.begin(response),
            Body::Stream(_) => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.body {
            Body::File(part) => part.write(bytes),
            Body::Stream(out) => out.write(bytes),
        }
    }

    fn target(&mut self) -> Result<Option<BorrowedFd<'_>>, Fault> {
        match &mut self.body {
            Body::File(part) => part.target().map(Some),
            Body::Stream(_) => Ok(None),
        }
    }

    fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        match &mut self.body {
            Body::File(part) => part.moved(result),
            Body::Stream(_) => Ok(()),
        }
    }
}
