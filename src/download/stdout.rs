//! A body that goes to standard output.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::error::Fault;

/// Standard output as the place of one body.
#[derive(Debug, Default)]
pub struct Stdout {
    written: u64,
}

impl Stdout {
    /// Whether a byte has left already: it cannot be called back for another try.
    pub fn has_written(&self) -> bool {
        self.written > 0
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.written += bytes.len() as u64;
        io::stdout().lock().write_all(bytes).map_err(fault)
    }

    /// The body is whole: nothing of it may stay behind in a buffer.
    ///
    /// # Errors
    /// [`Fault::Disk`]: standard output is closed or full.
    pub fn finish(&mut self) -> Result<(), Fault> {
        io::stdout().lock().flush().map_err(fault)
    }
}

fn fault(source: io::Error) -> Fault {
    Fault::Disk {
        verb: "write",
        path: PathBuf::from("standard output"),
        source,
    }
}
