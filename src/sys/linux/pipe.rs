//! A pipe through which bytes are spliced from a socket to a file, without a copy in user space (splice(2)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::sys::{Moved, write_all_at};

/// The requested capacity of the pipe: the most that an unprivileged process gets by default.
const CAPACITY: usize = 1 << 20;

/// How many bytes are copied at once if the file refuses splice.
const COPY: usize = 64 * 1024;

/// A pipe, empty between two calls.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// A new pipe of the largest permitted capacity.
    ///
    /// # Errors
    /// An error of the system.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        // A smaller pipe is slower, but correct.
        let _ = fcntl_setpipe_size(&write, CAPACITY);
        Ok(Self { read, write })
    }

    /// Splices at most `limit` bytes from a non-blocking socket to offset `at` of a file.
    pub fn carry(&self, socket: impl AsFd, file: impl AsFd, mut at: u64, limit: usize) -> Moved {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let room = limit.min(CAPACITY);
        let received = retry_on_intr(|| splice(&socket, None, &self.write, None, room, flags));
        let taken = match received {
            Ok(taken) => taken,
            Err(Errno::AGAIN) => return Moved::WouldBlock,
            Err(error) if is_refusal(error) => return Moved::Unsupported,
            Err(error) => return Moved::Source(error.into()),
        };
        let mut left = taken;
        while left > 0 {
            let flags = SpliceFlags::MOVE;
            let give = || splice(&self.read, None, &file, Some(&mut at), left, flags);
            match retry_on_intr(give) {
                Ok(0) => return Moved::Target(taken - left, io::ErrorKind::WriteZero.into()),
                Ok(given) => left -= given,
                Err(error) if is_refusal(error) => return self.copy(&file, at, taken, left),
                Err(error) => return Moved::Target(taken - left, error.into()),
            }
        }
        Moved::Bytes(taken)
    }

    /// Copies the `left` bytes in the pipe to a file that refuses splice. On success the result counts all `taken`
    /// bytes.
    fn copy(&self, file: impl AsFd, mut at: u64, taken: usize, mut left: usize) -> Moved {
        let mut buffer = vec![0; COPY.min(left)];
        while left > 0 {
            let room = buffer.len().min(left);
            let copied = retry_on_intr(|| rustix::io::read(&self.read, &mut buffer[..room]))
                .map_err(io::Error::from)
                .and_then(|read| write_all_at(&file, &buffer[..read], at).map(|()| read));
            match copied {
                Ok(0) => return Moved::Target(taken - left, io::ErrorKind::UnexpectedEof.into()),
                Ok(copied) => {
                    left -= copied;
                    at += copied as u64;
                }
                Err(error) => return Moved::Target(taken - left, error),
            }
        }
        Moved::Copied(taken)
    }
}

/// Whether an error says that the call itself is refused (by the kernel, a sandbox or a file system), and not that the
/// transfer or the disk has failed.
fn is_refusal(error: Errno) -> bool {
    let refusals = [
        Errno::INVAL,
        Errno::NOSYS,
        Errno::PERM,
        Errno::ACCESS,
        Errno::OPNOTSUPP,
        Errno::BADF,
    ];
    refusals.contains(&error)
}
