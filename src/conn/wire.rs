//! What can stand in for a TCP connection: any stream of bytes that does not block.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// A non-blocking stream to a peer that is not the kernel's TCP: a tunnel, another kind of socket, a simulation.
/// [`Multi::set_dial_function`](crate::multi::Multi::set_dial_function) has the engine use them.
///
/// Whoever watches it tells the engine of activity under its [`number`](Self::number).
pub trait Wire: AsFd + fmt::Debug {
    /// What the socket function calls it: a small number, not negative, that no other stream has which is open.
    fn number(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }

    /// Whether it is connected by now.
    ///
    /// # Errors
    /// It never will be.
    fn is_connected(&self) -> io::Result<bool>;

    /// Receives bytes; 0 is their end.
    ///
    /// # Errors
    /// `WouldBlock` when there are none now; any other ends the connection.
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Takes bytes to send, and gives how many.
    ///
    /// # Errors
    /// `WouldBlock` when it takes none now; any other ends the connection.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether it is open and has nothing to receive.
    fn is_silent(&self) -> bool;
}
