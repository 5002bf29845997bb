//! [`ListReader`]: reads a list from a file, or from a pipe without blocking. It reads only when rows are requested.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::{Format, ListError, References, Row, Rows};
use crate::sys::{self, Stop};

/// The most bytes in one read.
const CHUNK: usize = 64 * 1024;

/// How long a row from a pipe is held for option lines that may follow.
const GRACE: Duration = Duration::from_millis(50);

/// The result of [`ListReader::next`].
#[derive(Debug)]
pub enum Next {
    /// A row, or the error of an invalid one.
    Row(Result<Row, ListError>),
    /// No row yet: the pipe is open and empty, or the run is stopping.
    Wait,
    /// The list has ended.
    End,
}

/// A list and its parser.
#[derive(Debug)]
pub struct ListReader {
    file: File,
    /// A read may block, so it happens only after a poll.
    is_pipe: bool,
    rows: Rows,
    /// When the held row is returned without waiting for options.
    settles: Option<Instant>,
    name: String,
    stop: Stop,
}

impl ListReader {
    /// Opens a list; `-` is standard input. Once `stop` is requested, no more of a file is read.
    ///
    /// # Errors
    /// The file cannot be opened, or is a folder.
    pub fn open(
        path: &Path,
        format: Format,
        references: References,
        stop: &Stop,
    ) -> io::Result<Self> {
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
            rows: Rows::in_format(format, &source, references),
            settles: None,
            name,
            stop: stop.clone(),
        })
    }

    /// The next row. A file is read directly; of a pipe only what [`ListReader::read`] has read is used.
    ///
    /// # Errors
    /// The list cannot be read further.
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
            if self.stop.is_requested() {
                return Ok(Next::Wait);
            }
            self.read_chunk()?;
        }
    }

    /// Reads the first chunk of a file, which may block on a slow file system. Does nothing for a pipe.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn begin(&mut self) -> io::Result<()> {
        if self.is_pipe {
            return Ok(());
        }
        self.read_chunk()
    }

    /// The descriptor to poll for reading while [`ListReader::next`] returns [`Next::Wait`].
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Reads once. Call it after a poll has reported the descriptor as readable.
    ///
    /// # Errors
    /// The list cannot be read further.
    pub fn read(&mut self) -> io::Result<()> {
        self.settles = None;
        self.read_chunk()
    }

    /// Blocks until bytes arrive and reads them. If nothing arrives for a while, a held row is released. For a caller
    /// without an event loop.
    ///
    /// # Errors
    /// The list cannot be read further.
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

    /// Whether the list is a regular file, so that reading reaches its end without waiting.
    pub fn is_file(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.is_file())
    }

    /// Reads once. On a pipe it waits at most `timeout`, and returns false if no bytes arrived.
    ///
    /// # Errors
    /// The list cannot be read further.
    pub fn read_within(&mut self, timeout: Duration) -> io::Result<bool> {
        if !self.is_pipe {
            self.read()?;
            return Ok(true);
        }
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match rustix::event::poll(
            &mut [PollFd::new(&self.file, PollFlags::IN)],
            Some(&timeout),
        ) {
            Ok(0) => return Ok(false),
            // A signal interrupted the poll. The caller checks for it and calls again.
            Err(Errno::INTR) => {}
            Ok(_) => self.read()?,
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Whether a row is held that could be released.
    pub fn is_holding(&self) -> bool {
        self.rows.is_holding()
    }

    /// Releases the held row without waiting for options.
    pub fn settle_now(&mut self) {
        self.settles = None;
        self.rows.settle();
    }

    /// When [`ListReader::settle`] is due; `None` if no row is held.
    pub fn settles(&self) -> Option<Instant> {
        self.settles
    }

    /// Releases the held row if its time has come.
    pub fn settle(&mut self, now: Instant) {
        if self.settles.is_some_and(|at| at <= now) {
            self.settles = None;
            self.rows.settle();
        }
    }

    /// The name of the list for messages.
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
