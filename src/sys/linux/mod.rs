//! What Linux alone has: splice, files without a name, exclusive renames, paths that stay beneath a folder, extended
//! attributes, and `/proc`.

mod pipe;

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FallocateFlags, MemfdFlags, Mode, OFlags, RenameFlags, ResolveFlags, XattrFlags,
};
use rustix::io::{Errno, Result};

pub use pipe::Pipe;

/// The folder of the descriptors of this process.
pub(super) const DESCRIPTORS: &str = "/proc/self/fd";

/// How a path below a folder is resolved in one call (openat2(2), Linux 5.6): it must not leave the folder or pass a
/// link.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// The extended attribute of gannet.
const ATTRIBUTE: &CStr = c"user.gannet";

/// Whether a path without links is the folder of the descriptors of any process.
pub(super) fn is_of_descriptors(real: &Path) -> bool {
    real.starts_with("/proc") && real.ends_with("fd")
}

/// Opens a folder beneath another, by a path without links.
pub(super) fn open_beneath(folder: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd> {
    rustix::fs::openat2(folder, path, flags, Mode::empty(), BENEATH)
}

/// Creates a file without a name.
pub(super) fn create_unnamed(folder: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::openat(folder, c".", flags, Mode::from_raw_mode(0o666))
}

/// Links a file without a name to a free name.
pub(super) fn link_unnamed(file: &File, folder: &OwnedFd, name: &OsStr) -> Result<()> {
    rustix::fs::linkat(file, c"", folder, name, AtFlags::EMPTY_PATH)
}

/// Links a file without a name by its entry in `/proc`: older kernels require a privilege for [`link_unnamed`], but not
/// for this call.
pub(super) fn link_descriptor(file: &File, folder: &OwnedFd, name: &OsStr) -> Result<()> {
    let path = format!("{DESCRIPTORS}/{}", file.as_raw_fd());
    let follow = AtFlags::SYMLINK_FOLLOW;
    rustix::fs::linkat(rustix::fs::CWD, &path, folder, name, follow)
}

/// Renames a file to a free name.
pub(super) fn rename_exclusively(folder: &OwnedFd, from: &OsStr, to: &OsStr) -> Result<()> {
    rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE)
}

/// Sets the attribute of an open file.
pub(super) fn set_attribute(file: &File, value: &[u8]) -> Result<()> {
    rustix::fs::fsetxattr(file, ATTRIBUTE, value, XattrFlags::empty())
}

/// Removes the attribute of an open file.
pub(super) fn remove_attribute(file: &File) -> Result<()> {
    rustix::fs::fremovexattr(file, ATTRIBUTE)
}

/// Reads the attribute of an open file, and returns its length.
pub(super) fn attribute(file: impl AsFd, value: &mut [u8]) -> Result<usize> {
    rustix::fs::fgetxattr(file, ATTRIBUTE, value)
}

/// Whether an error of [`attribute`] says that the file has none, or none of this program.
pub(super) fn lacks_attribute(error: Errno) -> bool {
    matches!(
        error,
        Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS | Errno::RANGE
    )
}

/// Syncs the bytes of a file, and the metadata needed to read them.
pub(super) fn sync_data(file: &File) -> Result<()> {
    rustix::fs::fdatasync(file)
}

/// Syncs the file system of an open file.
pub(super) fn sync_file_system(file: impl AsFd) -> Result<()> {
    rustix::fs::syncfs(file)
}

/// Allocates the space for a file of this length.
pub(super) fn allocate(file: &File, length: u64) -> Result<()> {
    rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, length)
}

/// A file in memory, without a name.
pub(super) fn temporary_file() -> io::Result<File> {
    let file = rustix::fs::memfd_create("output", MemfdFlags::CLOEXEC)?;
    Ok(file.into())
}

/// The types of file systems (statfs(2)) on which close(2) reports no error that write(2) has not reported: the bytes
/// are in the memory of this machine, and their space on the disk and in the quota is reserved.
const CLOSES_EARLY: [u32; 20] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0xF2F5_2010, // F2FS
    0x2FC1_2FC1, // ZFS
    0xCA45_1A4E, // bcachefs
    0x794c_7630, // overlayfs
    0x2011_BAB0, // exFAT
    0x4d44,      // FAT
    0x7366_746e, // NTFS
    0x4244,      // HFS
    0x482b,      // HFS+
    0x3153_464a, // JFS
    0x5265_4973, // ReiserFS
    0x3434,      // NILFS2
    0x2405_1905, // UBIFS
    0xE0F5_E1E2, // EROFS
    0x7371_7368, // squashfs
];

/// Whether close(2) can be the first to report that bytes of a file were lost: on network and FUSE file systems, and
/// on any unknown one.
pub(super) fn closes_late(folder: impl AsFd) -> bool {
    rustix::fs::fstatfs(folder).map_or(true, |found| {
        // The field's width and sign differ by machine; the types have 32 bits.
        !CLOSES_EARLY.contains(&(found.f_type as u32))
    })
}

/// The id of this boot of the system.
pub(super) fn boot_id() -> io::Result<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
}

/// The signals that are ignored and those that have a handler, signal 1 in the lowest bit.
pub(super) fn signal_masks() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ["SigIgn:", "SigCgt:"].map(|name| mask(&status, name))
}

/// A mask of signals, signal 1 in the lowest bit.
fn mask(status: &str, name: &str) -> u64 {
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix(name));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_of_signals_is_found_by_its_name() {
        let status = "Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t2\n";
        assert_eq!(mask(status, "SigIgn:"), 0x1001);
        assert_eq!(mask(status, "SigCgt:"), 2);
        assert_eq!(mask("SigIgn:\tmany\n", "SigIgn:"), 0);
        assert_eq!(mask("", "SigIgn:"), 0);
    }
}
