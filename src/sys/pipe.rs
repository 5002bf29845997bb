//! A pipe that bytes are moved through from a socket to a file, without a copy in user space (splice, Linux).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// What the pipe is asked to hold: the most that an unprivileged process may ask for by default.
const CAPACITY: usize = 1 << 20;

/// A pipe, empty between two calls.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// What one move came to.
#[derive(Debug)]
pub enum Moved {
    /// So many bytes went from the socket to the file; 0 is the end of the stream.
    Bytes(usize),
    /// The file cannot be written to in this way; so many bytes wait in the pipe, for [`Pipe::read`].
    Unsupported(usize),
    /// The socket has nothing now.
    WouldBlock,
    /// The socket failed.
    Source(io::Error),
    /// The file failed, after so many bytes. What was in the pipe is lost, and so is the pipe.
    Target(usize, io::Error),
}

impl Pipe {
    /// A new pipe, as large as it may be.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        // Smaller than asked for is slower, not wrong.
        let _ = fcntl_setpipe_size(&write, CAPACITY);
        Ok(Self { read, write })
    }

    /// Moves at most `limit` bytes from a non-blocking socket to a file, to the offset `at` and behind it.
    pub fn carry(&self, socket: impl AsFd, file: impl AsFd, mut at: u64, limit: usize) -> Moved {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let room = limit.min(CAPACITY);
        let taken = match retry(|| splice(&socket, None, &self.write, None, room, flags)) {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Moved::WouldBlock,
            Err(error) => return Moved::Source(error),
        };
        let mut left = taken;
        while left > 0 {
            let give = || {
                splice(
                    &self.read,
                    None,
                    &file,
                    Some(&mut at),
                    left,
                    SpliceFlags::MOVE,
                )
            };
            match retry(give) {
                Ok(0) => return Moved::Target(taken - left, io::ErrorKind::WriteZero.into()),
                Ok(given) => left -= given,
                Err(error) if left == taken && error.kind() == io::ErrorKind::InvalidInput => {
                    return Moved::Unsupported(taken);
                }
                Err(error) => return Moved::Target(taken - left, error),
            }
        }
        Moved::Bytes(taken)
    }

    /// Takes out what waits in the pipe.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        retry(|| rustix::io::read(&self.read, &mut *buffer))
    }
}

/// Makes a call again for as long as a signal interrupts it.
fn retry(call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(call)?)
}
