//! [`OutputStream`]: buffers the lines of one output and writes them together.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use gannet::internals::sys::{self, Stop};

/// An output with its pending text.
pub(super) struct OutputStream {
    /// Opens the output at the first write.
    open: fn() -> io::Result<File>,
    to: Option<File>,
    pub(super) pending: String,
    has_colour: bool,
    /// Ends a write that waits for a reader.
    stop: Stop,
    /// The first error. After it nothing is written.
    pub(super) failed: Option<io::Error>,
}

impl OutputStream {
    pub(super) fn new(open: fn() -> io::Result<File>, has_colour: bool, stop: &Stop) -> Self {
        Self {
            open,
            to: None,
            pending: String::new(),
            has_colour,
            stop: stop.clone(),
            failed: None,
        }
    }

    /// Creates the file `path`, or opens it if it is a pipe or a device. A pipe without a reader does not block a
    /// signal.
    ///
    /// # Errors
    /// The file cannot be created or opened.
    pub(super) fn create(path: &Path, stop: &Stop) -> io::Result<Self> {
        let mut stream = Self::new(sys::stdout, false, stop);
        stream.to = Some(sys::open_growing(path, stop)?);
        Ok(stream)
    }

    /// Begins a line with its first word in colour.
    pub(super) fn word(&mut self, word: &str, colour: &str) -> &mut String {
        let text = &mut self.pending;
        if self.has_colour {
            let _ = write!(text, "\x1b[{colour}m{word}\x1b[0m");
        } else {
            text.push_str(word);
        }
        text
    }

    /// Writes the pending text. After an error nothing more is written to this output; the run continues.
    pub(super) fn write(&mut self) {
        if self.failed.is_none() && !self.pending.is_empty() {
            self.failed = self.write_out().err();
        }
        self.pending.clear();
    }

    fn write_out(&mut self) -> io::Result<()> {
        let to = match self.to.take() {
            Some(to) => to,
            None => (self.open)()?,
        };
        sys::write_all(
            self.to.insert(to).as_fd(),
            self.pending.as_bytes(),
            &self.stop,
        )
    }
}
