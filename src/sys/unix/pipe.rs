//! The pipe of systems without splice(2): bodies are read and written instead.

use std::io;
use std::os::fd::AsFd;

use crate::sys::Moved;

/// A pipe that carries nothing.
#[derive(Debug)]
pub struct Pipe(());

impl Pipe {
    /// A pipe.
    ///
    /// # Errors
    /// None on these systems.
    pub fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Refuses, and receives nothing.
    pub fn carry(&self, _: impl AsFd, _: impl AsFd, _: u64, _: usize) -> Moved {
        Moved::Unsupported
    }
}
