//! Writing to a descriptor that may be somebody else's too: a pipe that another process made non-blocking is waited for.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

/// Writes all of `bytes`, without a buffer of its own.
///
/// # Errors
/// What the system says.
pub fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = &bytes[taken..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let ready = &mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                match rustix::event::poll(ready, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
