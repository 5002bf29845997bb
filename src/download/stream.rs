//! A body that is not stored as a file: it goes to standard output, or to a named device or pipe.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::error::Fault;
use crate::sys::{self, Stop};

/// The name of standard output in errors.
const STDOUT: &str = "standard output";

/// The destination of such a body.
#[derive(Debug)]
pub struct Stream {
    /// The named device or pipe; `None` for standard output.
    named: Option<(File, PathBuf)>,
    /// Standard output, once it has been written to.
    stdout: Option<File>,
    written: u64,
    /// Ends a write that waits for a reader.
    stop: Stop,
}

impl Stream {
    /// Standard output. If it was closed, it is the null device by now, because the standard library opens that before
    /// `main`; it cannot be distinguished from a deliberate redirection.
    pub fn stdout(stop: &Stop) -> Self {
        Self {
            named: None,
            stdout: None,
            written: 0,
            stop: stop.clone(),
        }
    }

    /// Opens a device or a pipe. Waits until a pipe has a reader, or the run is stopped.
    ///
    /// # Errors
    /// [`Fault::Disk`]: it cannot be opened, or the run was stopped.
    pub fn open(path: &Path, stop: &Stop) -> Result<Self, Fault> {
        let file = sys::open_stream(path, stop).map_err(|source| Fault::Disk {
            verb: "open",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            named: Some((file, path.to_owned())),
            stdout: None,
            written: 0,
            stop: stop.clone(),
        })
    }

    /// The named path; `None` for standard output.
    pub fn path(&self) -> Option<&Path> {
        self.named.as_ref().map(|(_, path)| path.as_path())
    }

    /// Whether a byte was written: then another try cannot start over.
    pub fn has_written(&self) -> bool {
        self.written > 0
    }

    /// How many bytes were written.
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
            return sys::write_all(file.as_fd(), bytes, &self.stop);
        }
        let stdout = match self.stdout.take() {
            Some(stdout) => stdout,
            None => sys::stdout()?,
        };
        sys::write_all(self.stdout.insert(stdout).as_fd(), bytes, &self.stop)
    }
}
