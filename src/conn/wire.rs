//! A replacement for a TCP connection: any stream of bytes that does not block.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// A non-blocking stream to a peer that is not the kernel's TCP: a tunnel, another kind of socket, a simulation.
/// [`Multi::set_dial_function`](crate::multi::Multi::set_dial_function) makes the engine use it.
///
/// The application reports activity on it by its [`number`](Self::number).
pub trait Wire: AsFd + fmt::Debug {
    /// Its number for the socket function: small, not negative, and different from that of any other open stream.
    fn number(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }

    /// Whether it is connected.
    ///
    /// # Errors
    /// The attempt failed.
    fn is_connected(&self) -> io::Result<bool>;

    /// Receives bytes; 0 means the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` if there are none now; any other error ends the connection.
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Sends bytes. Returns how many were taken.
    ///
    /// # Errors
    /// `WouldBlock` if it takes none now; any other error ends the connection.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether it is open and has received nothing.
    fn is_silent(&self) -> bool;
}
