//! Standard output, and other streams that somebody else may read slowly: written without being stuck in it, so that a
//! signal still stops the run.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// How often a writer that waits looks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(100);

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Set when the process was asked to stop, by whoever handles signals.
pub fn stop_flag() -> Arc<AtomicBool> {
    Arc::clone(&STOP)
}

/// Standard output as a file of our own. A pipe is opened anew, non-blocking: nobody else sees that.
///
/// # Errors
/// What the system says.
pub fn stdout() -> io::Result<File> {
    let stdout = io::stdout();
    let kind = FileType::from_raw_mode(rustix::fs::fstat(stdout.as_fd())?.st_mode);
    if kind == FileType::Fifo {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if let Ok(pipe) = rustix::fs::open("/proc/self/fd/1", flags, Mode::empty()) {
            return Ok(pipe.into());
        }
    }
    Ok(stdout.as_fd().try_clone_to_owned()?.into())
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
            Err(Errno::AGAIN) => wait(to)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn wait(to: BorrowedFd<'_>) -> io::Result<()> {
    let look = Timespec::try_from(LOOK).map_err(io::Error::other)?;
    let ready = &mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
    match rustix::event::poll(ready, Some(&look)) {
        Ok(0) | Err(Errno::INTR) if STOP.load(Ordering::Relaxed) => {
            Err(ErrorKind::Interrupted.into())
        }
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
