//! Policy for one file: its name, its tries, where its bytes land. Knows nothing of sockets.
//!
//! A [`Download`] is the sink of its own transfers: of the HEAD that asks whether a file is the same, where one stands at the
//! final name already, then of each GET, until the body is whole.

pub mod name;
mod part;
mod retry;
mod stdout;

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::error::{Fault, Malformed};
use crate::http::{Response, disposition};
use crate::multi::Sink;
use crate::sys::Entry;

pub use part::{Part, Placed};
pub use retry::{Decision, Retry};
pub use stdout::Stdout;

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

/// Which question the transfer under way asks.
#[derive(Debug, Default)]
pub enum Phase {
    /// GET: the file itself.
    #[default]
    Fetch,
    /// HEAD: whether the server's file is the one that stands at the final name.
    Probe {
        /// The file that stands there.
        local: Local,
        /// Whether the answer says that it is the same.
        is_same: bool,
    },
}

/// What is known of a file that stands at the final name.
#[derive(Debug, Clone, Copy)]
pub struct Local {
    size: u64,
    modified: i64,
}

impl From<&Entry> for Local {
    fn from(entry: &Entry) -> Self {
        Self { size: entry.size(), modified: entry.modified() }
    }
}

impl Local {
    /// Whether an answer to HEAD describes this file: the same size, and not modified since the file was written.
    fn is_described_by(&self, response: &Response) -> bool {
        let modified = response.last_modified().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        response.status == 200
            && response.content_length() == Some(self.size)
            && modified.and_then(|at| i64::try_from(at.as_secs()).ok()).is_some_and(|at| at <= self.modified)
    }
}

/// Where the bytes of a download land.
#[derive(Debug)]
pub enum Body {
    /// In a file.
    File(Part),
    /// On standard output.
    Stdout(Stdout),
}

/// One file on its way to its final name.
#[derive(Debug)]
pub struct Download {
    /// The question under way.
    pub phase: Phase,
    /// Where it lands.
    pub body: Body,
    /// Whether the server may name the file.
    pub takes_name: bool,
    /// The name that the server gave, made safe.
    pub given_name: Option<String>,
}

impl Download {
    /// The file that it becomes, as far as that is known.
    pub fn path(&self) -> Option<PathBuf> {
        match &self.body {
            Body::File(part) => Some(part.path()),
            Body::Stdout(_) => None,
        }
    }

    /// A download to `body`, to be fetched without asking first.
    pub fn new(body: Body) -> Self {
        Self { phase: Phase::Fetch, body, takes_name: false, given_name: None }
    }

    /// Whether another try can still lead to a right file.
    pub fn can_start_over(&self) -> bool {
        match &self.body {
            Body::File(_) => true,
            Body::Stdout(out) => !out.has_written(),
        }
    }
}

impl Sink for Download {
    fn head(&mut self, response: &Response) -> Result<(), Fault> {
        if let Phase::Probe { local, is_same } = &mut self.phase {
            *is_same = local.is_described_by(response);
            return Ok(());
        }
        if matches!(response.status, 206 | 300..) {
            return Err(Malformed::Unasked(response.status).into());
        }
        if self.takes_name {
            let given = response.headers.get("content-disposition").and_then(disposition::file_name);
            self.given_name = given.map(|name| name::safe(Path::new(&name).file_name().and_then(|n| n.to_str()).unwrap_or(&name)));
        }
        match &mut self.body {
            Body::File(part) => part.start_over(),
            Body::Stdout(_) => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.body {
            Body::File(part) => part.write(bytes),
            Body::Stdout(out) => out.write(bytes),
        }
    }
}
