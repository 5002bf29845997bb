//! A body that is not kept as a file: it goes straight to standard output, or to a device or pipe that was named.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::error::Fault;
use crate::sys;

/// What standard output is called.
const STDOUT: &str = "standard output";

/// Where such a body goes.
#[derive(Debug)]
pub struct Stream {
    /// What was named; without it, standard output.
    named: Option<(File, PathBuf)>,
    /// Standard output, once it has been written to.
    stdout: Option<File>,
    written: u64,
}

impl Stream {
    /// Standard output. One that was closed is the null device by now: the standard library sees to
    /// that before `main`, and what is thrown away on purpose looks the same.
    pub fn stdout() -> Self {
        Self {
            named: None,
            stdout: None,
            written: 0,
        }
    }

    /// Opens a device, or a pipe, once that has a reader.
    ///
    /// # Errors
    /// [`Fault::Disk`]: it cannot be written, or the run is to stop.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let file = sys::open_stream(path).map_err(|source| Fault::Disk {
            verb: "open",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            named: Some((file, path.to_owned())),
            stdout: None,
            written: 0,
        })
    }

    /// The path that was named; none is standard output.
    pub fn path(&self) -> Option<&Path> {
        self.named.as_ref().map(|(_, path)| path.as_path())
    }

    /// Whether a byte has left already: it cannot be called back for another try.
    pub fn has_written(&self) -> bool {
        self.written > 0
    }

    /// How many bytes have left.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.written += bytes.len() as u64;
        self.write_out(bytes).map_err(|source| Fault::Disk {
            verb: "write",
            path: self.path().unwrap_or(Path::new(STDOUT)).to_owned(),
            source,
        })
    }

    fn write_out(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some((file, _)) = &self.named {
            return sys::write_all(file.as_fd(), bytes);
        }
        let stdout = match self.stdout.take() {
            Some(stdout) => stdout,
            None => sys::stdout()?,
        };
        sys::write_all(self.stdout.insert(stdout).as_fd(), bytes)
    }
}
