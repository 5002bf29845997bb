//! Files that may be empty pipes: reads that wait can still be stopped by a signal.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::event::PollFlags;
use rustix::fs::OFlags;

use super::Stop;
use super::output::wait;

/// Opens a file for reading. A named pipe opens without a writer, and its reads do not block.
///
/// # Errors
/// An error of the system.
pub fn open_input(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Reads all of a file. Waits for the writer of a pipe until the run is stopped.
///
/// # Errors
/// `Interrupted` if the run was stopped, or another error of the system.
pub fn read_all(path: &Path, stop: &Stop) -> io::Result<Vec<u8>> {
    let mut file = open_input(path)?;
    let kind = file.metadata()?.file_type();
    let mut bytes = Vec::new();
    if !kind.is_file() && !kind.is_dir() {
        // Before its first writer, a pipe reads as ended.
        wait(&file, PollFlags::IN, stop)?;
    }
    loop {
        match file.read_to_end(&mut bytes) {
            Ok(_) => return Ok(bytes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(&file, PollFlags::IN, stop)?
            }
            Err(error) => return Err(error),
        }
    }
}
