//! What became of the bytes that a pipe was asked to splice.

use std::io;

/// The result of one splice.
#[derive(Debug)]
pub enum Moved {
    /// This many bytes were spliced from the socket to the file; 0 is the end of the stream.
    Bytes(usize),
    /// This many bytes were copied to the file, because the file or the system refuses splice.
    Copied(usize),
    /// The system refuses splice for this socket; nothing was received.
    Unsupported,
    /// The socket has no bytes now.
    WouldBlock,
    /// The socket failed.
    Source(io::Error),
    /// The file failed after this many bytes. The rest of the pipe's content is lost, and the pipe is unusable.
    Target(usize, io::Error),
}
