//! Standard output and other streams with possibly slow readers: writes that wait can still be stopped by a signal.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Stop, platform};

/// How often a waiting writer checks whether the run was stopped.
const LOOK: Duration = Duration::from_millis(100);

/// Standard output as a separate file. A pipe is opened anew as non-blocking, which does not affect other processes.
///
/// # Errors
/// An error of the system.
pub fn stdout() -> io::Result<File> {
    own(io::stdout().as_fd(), 1)
}

/// Standard error as a separate file. A pipe is opened anew as non-blocking, which does not affect other processes.
///
/// # Errors
/// An error of the system.
pub fn stderr() -> io::Result<File> {
    own(io::stderr().as_fd(), 2)
}

fn own(stream: BorrowedFd<'_>, number: u32) -> io::Result<File> {
    let found = rustix::fs::fstat(stream);
    if found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo) {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let name = format!("{}/{number}", platform::DESCRIPTORS);
        if let Ok(pipe) = rustix::fs::open(name, flags, Mode::empty()) {
            return Ok(pipe.into());
        }
    }
    Ok(stream.try_clone_to_owned()?.into())
}

/// Opens a device or a pipe for writing. If a named pipe has no reader yet, this waits for one until the run is
/// stopped.
///
/// # Errors
/// `Interrupted` if the run was stopped, or another error of the system.
pub(super) fn open_output(path: &Path, stop: &Stop) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut flags = OFlags::APPEND | OFlags::NOCTTY;
    if is_fifo(path) {
        flags |= OFlags::NONBLOCK;
    }
    options.write(true).custom_flags(flags.bits().cast_signed());
    loop {
        let opened = options.open(path);
        match &opened {
            Err(error) if Errno::from_io_error(error) == Some(Errno::NXIO) && is_fifo(path) => {
                pause(stop)?;
            }
            _ => return opened,
        }
    }
}

fn is_fifo(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.file_type().is_fifo())
}

/// Writes all of `bytes`, unbuffered. Waits while the stream is full, until the run is stopped.
///
/// # Errors
/// `Interrupted` if the run was stopped, or another error of the system.
pub fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8], stop: &Stop) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = &bytes[taken..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(to, PollFlags::OUT, stop)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until a descriptor is ready, or the run is stopped.
pub(super) fn wait(on: impl AsFd, readiness: PollFlags, stop: &Stop) -> io::Result<()> {
    while look(&mut [PollFd::new(&on, readiness)], stop)? == 0 {}
    Ok(())
}

/// Waits a moment, unless the run is stopped.
fn pause(stop: &Stop) -> io::Result<()> {
    look(&mut [], stop).map(drop)
}

/// Polls until the next check of the stop request, and returns how many descriptors are ready.
fn look(descriptors: &mut [PollFd<'_>], stop: &Stop) -> io::Result<usize> {
    let until = Timespec::try_from(LOOK).map_err(io::Error::other)?;
    match rustix::event::poll(descriptors, Some(&until)) {
        Ok(0) | Err(Errno::INTR) if stop.is_requested() => Err(ErrorKind::Interrupted.into()),
        Ok(ready) => Ok(ready),
        Err(Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
