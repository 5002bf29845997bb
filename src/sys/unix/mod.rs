//! The portable way for what `linux` does: a call that a system may lack is refused, and the caller falls back as it
//! does on an old kernel. The cfg `gannet_portable` chooses this module on Linux too, for tests.

mod pipe;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

pub use pipe::Pipe;

/// The folder of the descriptors of this process.
pub(super) const DESCRIPTORS: &str = "/dev/fd";

/// Whether a path without links is the folder of the descriptors of this process.
pub(super) fn is_of_descriptors(real: &Path) -> bool {
    fs::canonicalize(DESCRIPTORS).is_ok_and(|own| own == real)
}

/// Refuses to open a folder beneath another in one call.
pub(super) fn open_beneath(_: &OwnedFd, _: &Path, _: OFlags) -> Result<OwnedFd> {
    Err(Errno::NOSYS)
}

/// Refuses to create a file without a name.
pub(super) fn create_unnamed(_: &OwnedFd) -> Result<OwnedFd> {
    Err(Errno::OPNOTSUPP)
}

/// Refuses to link a file without a name.
pub(super) fn link_unnamed(_: &File, _: &OwnedFd, _: &OsStr) -> Result<()> {
    Err(Errno::NOSYS)
}

/// Refuses to link a file without a name.
pub(super) fn link_descriptor(_: &File, _: &OwnedFd, _: &OsStr) -> Result<()> {
    Err(Errno::NOSYS)
}

/// Refuses to rename a file exclusively.
pub(super) fn rename_exclusively(_: &OwnedFd, _: &OsStr, _: &OsStr) -> Result<()> {
    Err(Errno::NOSYS)
}

/// Refuses to set the attribute of a file.
pub(super) fn set_attribute(_: &File, _: &[u8]) -> Result<()> {
    Err(Errno::OPNOTSUPP)
}

/// Refuses to remove the attribute of a file.
pub(super) fn remove_attribute(_: &File) -> Result<()> {
    Err(Errno::OPNOTSUPP)
}

/// Refuses to read the attribute of a file.
pub(super) fn attribute(_: impl AsFd, _: &mut [u8]) -> Result<usize> {
    Err(Errno::OPNOTSUPP)
}

/// Whether an error of [`attribute`] says that the file has none.
pub(super) fn lacks_attribute(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::NOSYS | Errno::RANGE)
}

/// Syncs the bytes of a file, with all its metadata.
pub(super) fn sync_data(file: &File) -> Result<()> {
    rustix::fs::fsync(file)
}

/// Syncs all file systems.
pub(super) fn sync_file_system(_: impl AsFd) -> Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// Allocates nothing: a full disk is found when the bytes are written.
pub(super) fn allocate(_: &File, _: u64) -> Result<()> {
    Ok(())
}

/// A temporary file, which is unlinked at once.
pub(super) fn temporary_file() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!(".gannet-output-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// Whether close(2) can be the first to report that bytes of a file were lost. No system says it in a portable way.
pub(super) fn closes_late(_: impl AsFd) -> bool {
    true
}

/// The id of this boot of the system, which is not known.
pub(super) fn boot_id() -> io::Result<String> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The signals that are ignored and those that have a handler, which are not known.
pub(super) fn signal_masks() -> [u64; 2] {
    [0, 0]
}
