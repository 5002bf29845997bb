//! Where a list is read from: a file, or a pipe that may be held open. Reads no more than is asked for.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use url::Url;

use super::{Format, ListError, Row, Rows};
use crate::sys;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// How long a row from a pipe is held back for option lines that may follow it.
const GRACE: Duration = Duration::from_millis(50);

/// What an input has next.
#[derive(Debug)]
pub enum Next {
    /// A row, or a line that is none.
    Row(Result<Row, ListError>),
    /// Nothing yet: the pipe is open and empty, or the run is to stop.
    Wait,
    /// Nothing any more.
    End,
}

/// A list being read.
#[derive(Debug)]
pub struct Input {
    file: File,
    /// A read may wait: it is done only when a poll says that it will not.
    is_pipe: bool,
    rows: Rows,
    /// When a row that is held back is given out without further options.
    settles: Option<Instant>,
    name: String,
}

impl Input {
    /// Opens a list in a format; `-` is standard input.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, format: Format, base: Option<Url>) -> io::Result<Self> {
        let is_stdin = path == Path::new("-");
        let file = if is_stdin {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            sys::open_input(path)?
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let kind = metadata.file_type();
        let is_pipe =
            kind.is_fifo() || kind.is_socket() || (kind.is_char_device() && file.is_terminal());
        let source = path.to_string_lossy();
        let name = if is_stdin {
            "standard input".to_owned()
        } else {
            source.clone().into_owned()
        };
        Ok(Self {
            file,
            is_pipe,
            rows: Rows::in_format(format, &source, base),
            settles: None,
            name,
        })
    }

    /// The next row, read from a file at once, or from a pipe as far as [`Input::read`] has come.
    ///
    /// # Errors
    /// The list cannot be read any further.
    pub fn next(&mut self, now: Instant) -> io::Result<Next> {
        loop {
            if let Some(row) = self.rows.next_row() {
                return Ok(Next::Row(row));
            }
            if self.rows.is_finished() {
                return Ok(Next::End);
            }
            if self.is_pipe {
                self.settles = if self.rows.is_holding() {
                    self.settles.or(Some(now + GRACE))
                } else {
                    None
                };
                return Ok(Next::Wait);
            }
            if sys::is_stopping() {
                return Ok(Next::Wait);
            }
            self.read_chunk()?;
        }
    }

    /// Reads the beginning, where that needs no poll: the file system may take its time.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn begin(&mut self) -> io::Result<()> {
        if self.is_pipe {
            return Ok(());
        }
        self.read_chunk()
    }

    /// What a poll should watch while [`Input::next`] has to wait.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Reads once, after a poll said that this will not wait.
    ///
    /// # Errors
    /// The list cannot be read any further.
    pub fn read(&mut self) -> io::Result<()> {
        self.settles = None;
        self.read_chunk()
    }

    /// Waits for more, and reads it: for a caller that has nothing else to do. A row that is held back is given out
    /// when nothing comes for a while.
    ///
    /// # Errors
    /// The list cannot be read any further.
    pub fn wait(&mut self) -> io::Result<()> {
        let grace = Timespec::try_from(GRACE).map_err(io::Error::other)?;
        let timeout = self.rows.is_holding().then_some(&grace);
        match rustix::event::poll(&mut [PollFd::new(&self.file, PollFlags::IN)], timeout) {
            Ok(0) => self.rows.settle(),
            Ok(_) => self.read()?,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether it has an end that reading comes to: it is a plain file.
    pub fn is_file(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.is_file())
    }

    /// Reads once: from a pipe if something comes within `patience`; false if nothing does.
    ///
    /// # Errors
    /// The list cannot be read any further.
    pub fn read_within(&mut self, patience: Duration) -> io::Result<bool> {
        if !self.is_pipe {
            self.read()?;
            return Ok(true);
        }
        let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
        match rustix::event::poll(
            &mut [PollFd::new(&self.file, PollFlags::IN)],
            Some(&timeout),
        ) {
            Ok(0) => return Ok(false),
            // A signal says nothing of the pipe: the caller looks again.
            Err(Errno::INTR) => {}
            Ok(_) => self.read()?,
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Whether a row is held back that could be given out.
    pub fn is_holding(&self) -> bool {
        self.rows.is_holding()
    }

    /// Gives out a row that is held back: no option of it is waited for any more.
    pub fn settle_now(&mut self) {
        self.settles = None;
        self.rows.settle();
    }

    /// When [`Input::settle`] is due, if a row is held back.
    pub fn settles(&self) -> Option<Instant> {
        self.settles
    }

    /// Gives out a row that is held back, once its time has come.
    pub fn settle(&mut self, now: Instant) {
        if self.settles.is_some_and(|at| at <= now) {
            self.settles = None;
            self.rows.settle();
        }
    }

    /// The list's name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn read_chunk(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        match self.file.read(&mut chunk) {
            Ok(0) => self.rows.finish(),
            Ok(n) => self.rows.feed(&chunk[..n]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
