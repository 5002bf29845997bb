//! One stream that lines go to: they are gathered, and written in one go.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use gannet::internals::sys;

/// A stream, what is to be written to it, and whether with colour.
pub(super) struct Stream {
    /// Where it goes, opened when there is something to write.
    open: fn() -> io::Result<File>,
    to: Option<File>,
    pub(super) pending: String,
    has_colour: bool,
    pub(super) failed: Option<io::Error>,
}

impl Stream {
    pub(super) fn new(open: fn() -> io::Result<File>, has_colour: bool) -> Self {
        Self {
            open,
            to: None,
            pending: String::new(),
            has_colour,
            failed: None,
        }
    }

    /// Makes the file of that name. What somebody reads at the other end is written to without being stuck in it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut stream = Self::new(sys::stdout, false);
        stream.to = Some(sys::open_growing(path)?);
        Ok(stream)
    }

    /// Starts a line with its first word, in colour.
    pub(super) fn word(&mut self, word: &str, colour: &str) -> &mut String {
        let text = &mut self.pending;
        if self.has_colour {
            let _ = write!(text, "\x1b[{colour}m{word}\x1b[0m");
        } else {
            text.push_str(word);
        }
        text
    }

    /// Writes what is pending. Whoever stopped reading, or cannot take it, is not written to again; the run goes on.
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
        sys::write_all(self.to.insert(to).as_fd(), self.pending.as_bytes())
    }
}
