//! Open files: their attribute, writes, syncs and time stamps, and errors that only close(2) reports.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use nix::time::ClockId;
use rustix::io::Errno;

use super::fault::{self, Call};
use super::platform;

/// The longest value, in bytes: file systems accept few more.
const LONGEST_NOTE: usize = 2048;

/// Sets the extended attribute of an open file. It stays with the file when that is renamed. Returns whether it was
/// stored: some file systems have no attributes, and a value may have at most 2,048 bytes.
pub fn note(file: &File, value: &[u8]) -> bool {
    value.len() <= LONGEST_NOTE
        && fault::call(Call::Note, "", || platform::set_attribute(file, value)).is_ok()
}

/// Removes the extended attribute of an open file, if it has one.
pub fn remove_note(file: &File) {
    let _ = platform::remove_attribute(file);
}

/// The extended attribute of an open file; `None` if it has none, or the file system has no attributes.
///
/// # Errors
/// An error of the system.
pub fn noted(file: impl AsFd) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; LONGEST_NOTE];
    match fault::call(Call::ReadNote, "", || {
        platform::attribute(&file, &mut value)
    }) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(error) if platform::lacks_attribute(error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A time in nanoseconds since 1970 that is not before the stamp of any file written so far. Most files are stamped by
/// the coarse clock; after a stat, the next write is stamped by the finer one (Linux 6.13), and so are all files after
/// it.
pub fn latest_stamp() -> i128 {
    // Every kernel has this clock.
    nix::time::clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |now| {
        i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec())
    })
}

/// Writes bytes at an offset of a file; returns how many were written.
///
/// # Errors
/// An error of the system.
pub fn write_at(file: impl AsFd, bytes: &[u8], at: u64) -> io::Result<usize> {
    let written = fault::call(Call::Write, "", || {
        let room = fault::room(bytes.len())?;
        rustix::io::pwrite(&file, &bytes[..room], at)
    });
    Ok(written?)
}

/// Writes all bytes at an offset of a file.
///
/// # Errors
/// An error of the system; some of the bytes may be written.
pub fn write_all_at(file: impl AsFd, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = write_at(&file, bytes, at)?;
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        at += written as u64;
    }
    Ok(())
}

/// Truncates a file, or extends it with zeros.
///
/// # Errors
/// An error of the system.
pub fn set_len(file: &File, length: u64) -> io::Result<()> {
    Ok(fault::call(Call::Resize, "", || {
        rustix::fs::ftruncate(file, length)
    })?)
}

/// Syncs a file with its times and attributes to the disk.
///
/// # Errors
/// An error of the system. If the file system cannot sync a single file, the whole file system is synced.
pub fn sync(file: &File) -> io::Result<()> {
    sync_by(file, |file| rustix::fs::fsync(file))
}

/// Syncs the bytes of a file, and the metadata needed to read them, to the disk.
///
/// # Errors
/// Those of [`sync`].
pub fn sync_data(file: &File) -> io::Result<()> {
    sync_by(file, platform::sync_data)
}

fn sync_by(file: &File, call: fn(&File) -> rustix::io::Result<()>) -> io::Result<()> {
    match fault::call(Call::Sync, "", || call(file)) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            Ok(fault::call(Call::Sync, "", || {
                platform::sync_file_system(file)
            })?)
        }
        result => Ok(result?),
    }
}

/// Closes a duplicate of a file's descriptor: each close(2) flushes the file and reports errors.
pub(super) fn flush(file: &File) -> io::Result<()> {
    fault::call(Call::Close, "", || Ok(()))?;
    match nix::unistd::close(file.try_clone()?) {
        Ok(()) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(io::Error::from(error)),
    }
}

/// The id of this boot of the system; empty if the system does not say.
pub fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = platform::boot_id();
        id.unwrap_or_default().trim().to_owned()
    })
}
