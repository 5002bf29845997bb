//! Standard output, and other streams whose readers may be slow: written without getting stuck, so that a signal still
//! stops the run.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// How often a writer that waits looks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(100);

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Set when the process was asked to stop, by the handlers of signals.
pub fn stop_flag() -> Arc<AtomicBool> {
    Arc::clone(&STOP)
}

/// Whether the process was asked to stop, though the run may not have been told yet.
pub fn is_stopping() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Standard output as a file of our own. A pipe is opened anew, non-blocking, which other processes do not see.
///
/// # Errors
/// What the system says.
pub fn stdout() -> io::Result<File> {
    own(io::stdout().as_fd(), "/proc/self/fd/1")
}

/// Standard error in the same way.
///
/// # Errors
/// What the system says.
pub fn stderr() -> io::Result<File> {
    own(io::stderr().as_fd(), "/proc/self/fd/2")
}

fn own(stream: BorrowedFd<'_>, name: &str) -> io::Result<File> {
    let is_fifo = |found: Stat| FileType::from_raw_mode(found.st_mode) == FileType::Fifo;
    if rustix::fs::fstat(stream).is_ok_and(is_fifo) {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if let Ok(pipe) = rustix::fs::open(name, flags, Mode::empty()) {
            return Ok(pipe.into());
        }
    }
    Ok(stream.try_clone_to_owned()?.into())
}

/// Opens a device or a pipe for writing. A named pipe that has no reader yet is waited for, until the run is to stop.
///
/// # Errors
/// `Interrupted` when it was stopped, or what the system says.
pub(super) fn open_output(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut flags = OFlags::APPEND | OFlags::NOCTTY;
    let is_fifo = |path: &Path| path.metadata().is_ok_and(|it| it.file_type().is_fifo());
    if is_fifo(path) {
        flags |= OFlags::NONBLOCK;
    }
    options.write(true).custom_flags(flags.bits().cast_signed());
    loop {
        let opened = options.open(path);
        match &opened {
            Err(error) if Errno::from_io_error(error) == Some(Errno::NXIO) && is_fifo(path) => {
                pause()?;
            }
            _ => return opened,
        }
    }
}

/// Writes all of `bytes`, without a buffer of its own. What cannot be written now is waited for,
/// until the run is to stop.
///
/// # Errors
/// `Interrupted` when it was stopped, or what the system says.
pub fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = &bytes[taken..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(to, PollFlags::OUT)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until a descriptor is ready, or the run is to stop.
pub(super) fn wait(on: impl AsFd, readiness: PollFlags) -> io::Result<()> {
    while look(&mut [PollFd::new(&on, readiness)])? == 0 {}
    Ok(())
}

/// Lets a moment pass, unless the run is to stop.
fn pause() -> io::Result<()> {
    look(&mut []).map(drop)
}

/// Polls until the next look at whether the run is to stop, and says how many descriptors are ready.
fn look(descriptors: &mut [PollFd<'_>]) -> io::Result<usize> {
    let until = Timespec::try_from(LOOK).map_err(io::Error::other)?;
    match rustix::event::poll(descriptors, Some(&until)) {
        Ok(0) | Err(Errno::INTR) if is_stopping() => Err(ErrorKind::Interrupted.into()),
        Ok(ready) => Ok(ready),
        Err(Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
