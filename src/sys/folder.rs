//! An open folder, and files by their name in it: the path is walked once, not once a file.

use std::cell::Cell;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, Stat, XattrFlags,
};
use rustix::io::Errno;

/// The extended attribute that holds a note.
const ATTRIBUTE: &CStr = c"user.gannet";

/// The longest note, in bytes: file systems take few more.
const LONGEST_NOTE: usize = 2048;

/// Notes something with an open file. It stays with the file under whatever name; nothing is noted where
/// the file system cannot, or where it would be too long.
pub fn note(file: &File, value: &[u8]) {
    if value.len() <= LONGEST_NOTE {
        let _ = rustix::fs::fsetxattr(file, ATTRIBUTE, value, XattrFlags::empty());
    }
}

/// A time in nanoseconds since 1970 that no file written from now on is stamped before.
pub fn earliest_stamp() -> i128 {
    time_by(rustix::time::ClockId::RealtimeCoarse)
}

/// A time in nanoseconds since 1970 that no file written so far is stamped after: most are stamped by the coarse
/// clock, but where any file was looked at and written again by the finer one (Linux 6.13), it and all
/// after it are.
pub fn latest_stamp() -> i128 {
    time_by(rustix::time::ClockId::Realtime)
}

fn time_by(clock: rustix::time::ClockId) -> i128 {
    let now = rustix::time::clock_gettime(clock);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

/// When an open file was written last, by that clock.
pub fn stamp(file: &File) -> Option<i128> {
    rustix::fs::fstat(file)
        .ok()
        .map(|found| Entry(found).modified())
}

/// Locks an open file against other processes; a file system without locks has none to offer.
fn lock(file: &OwnedFd) -> io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another process is writing it",
        )),
        _ => Ok(()),
    }
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    descriptor: OwnedFd,
    was_empty: bool,
    /// The file system was found to have no files without a name.
    lacks_unnamed: Cell<bool>,
}

const OPEN: OFlags = OFlags::DIRECTORY
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

/// How a path beneath a folder is walked in one call (openat2(2), Linux 5.6): never out of it, and over no link.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// How files for writing are opened; they are read too, where a digest is wanted of them.
const OPEN_FILE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens `path`, and makes it first, with all above it, where it is missing.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(path: &Path) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let open = || rustix::fs::open(path, OPEN, Mode::empty());
        let (descriptor, is_new) = match open() {
            Err(Errno::NOENT) => {
                std::fs::create_dir_all(path)?;
                (open()?, true)
            }
            result => (result?, false),
        };
        let was_empty = is_new || is_empty(&descriptor);
        Ok(Self {
            path: path.to_owned(),
            descriptor,
            was_empty,
            lacks_unnamed: Cell::default(),
        })
    }

    /// Opens a folder beneath this one by a relative path of plain names, and makes what is missing of it.
    /// A symbolic link on the way is an error: it could lead out.
    ///
    /// # Errors
    /// What the system says, or `InvalidInput` for a path that is more than names.
    pub fn make_beneath(&self, relative: &Path) -> io::Result<Self> {
        let is_name = |part| matches!(part, Component::Normal(_));
        if !relative.components().all(is_name) {
            return Err(ErrorKind::InvalidInput.into());
        }
        match rustix::fs::openat2(&self.descriptor, relative, OPEN, Mode::empty(), BENEATH) {
            Ok(descriptor) => Ok(Self {
                path: self.path.join(relative),
                was_empty: is_empty(&descriptor),
                descriptor,
                lacks_unnamed: Cell::default(),
            }),
            // Missing in part, or the kernel or a sandbox has no such call.
            Err(Errno::NOENT | Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {
                self.make_name_by_name(relative)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The same one name at a time, without following any.
    fn make_name_by_name(&self, relative: &Path) -> io::Result<Self> {
        let mut at = Self {
            path: self.path.clone(),
            descriptor: self.descriptor.try_clone()?,
            was_empty: false,
            lacks_unnamed: Cell::default(),
        };
        for name in relative {
            let open =
                || rustix::fs::openat(&at.descriptor, name, OPEN | OFlags::NOFOLLOW, Mode::empty());
            let descriptor = match open() {
                Err(Errno::NOENT) => {
                    match rustix::fs::mkdirat(&at.descriptor, name, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    open()?
                }
                result => result?,
            };
            at = Self {
                path: at.path.join(name),
                was_empty: is_empty(&descriptor),
                descriptor,
                lacks_unnamed: Cell::default(),
            };
        }
        Ok(at)
    }

    /// The folder's path, as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing stood in it when it was opened: what stands there since is our own, or came at the same time.
    pub fn was_empty(&self) -> bool {
        self.was_empty
    }

    /// Creates a file that is not there, and locks it until it is closed.
    ///
    /// # Errors
    /// `AlreadyExists`, `ResourceBusy` where another process was quicker, or what else the system says.
    pub fn create_new(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OPEN_FILE;
        let new = rustix::fs::openat(&self.descriptor, name, flags, Mode::from_raw_mode(0o666))?;
        lock(&new)?;
        Ok(new.into())
    }

    /// Opens a file that is there for writing, and locks it until it is closed; `None` where none
    /// is. A symbolic link in its place is not followed, and nothing but a plain file is taken.
    ///
    /// # Errors
    /// `ResourceBusy` where another process writes it, `InvalidInput` for what is no file, or what the system says.
    pub fn open_locked(&self, name: &OsStr) -> io::Result<Option<File>> {
        // Without NONBLOCK a pipe in its place would be waited for.
        let flags = OFlags::NONBLOCK | OPEN_FILE;
        let old = match rustix::fs::openat(&self.descriptor, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            result => result?,
        };
        let stat = rustix::fs::fstat(&old)?;
        if !Entry(stat).is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"));
        }
        lock(&old)?;
        // Whoever had the lock may have given the file its final name since it was opened.
        let is_still =
            |entry: Entry| (entry.0.st_dev, entry.0.st_ino) == (stat.st_dev, stat.st_ino);
        Ok(self.entry(name)?.is_some_and(is_still).then(|| old.into()))
    }

    /// All of a plain file of at most `most` bytes; `None` where there is none.
    ///
    /// # Errors
    /// `InvalidData` for anything else, or what the system says.
    pub fn read(&self, name: &OsStr, most: usize) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.descriptor, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            result => result?,
        };
        let is_file = Entry(rustix::fs::fstat(&file)?).is_file();
        let mut bytes = Vec::new();
        if is_file {
            File::from(file)
                .take(most as u64 + 1)
                .read_to_end(&mut bytes)?;
        }
        if !is_file || bytes.len() > most {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(Some(bytes))
    }

    /// Has a file hold these bytes, by one atomic step: they are written to `next` first. Only its owner may read it.
    ///
    /// # Errors
    /// What the system says; the file is as it was then.
    pub fn write_whole(&self, name: &OsStr, next: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK | OPEN_FILE;
        let file = rustix::fs::openat(&self.descriptor, next, flags, Mode::from_raw_mode(0o600))?;
        let written = File::from(file).write_all(bytes);
        let renamed = written.and_then(|()| self.replace(next, name));
        if renamed.is_err() {
            // An empty file may be what is left of a full disk.
            let _ = self.remove(next);
        }
        renamed
    }

    /// A new file without a name, for [`Folder::link`]: nobody sees it before it has one, and it is
    /// gone if it never gets one. `None` where the file system has no such files.
    pub fn create_unnamed(&self) -> Option<File> {
        if self.lacks_unnamed.get() {
            return None;
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.descriptor, c".", flags, Mode::from_raw_mode(0o666));
        // A full disk or a lack of descriptors says nothing of the file system; the next way will meet it again.
        self.lacks_unnamed.set(matches!(
            file,
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT)
        ));
        file.ok().map(File::from)
    }

    /// Gives a file without a name one, if nothing has that.
    ///
    /// # Errors
    /// `AlreadyExists`, or what else the system says.
    pub fn link(&self, file: &File, name: &OsStr) -> io::Result<()> {
        match rustix::fs::linkat(file, c"", &self.descriptor, name, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT | Errno::PERM) => {}
            result => return Ok(result?),
        }
        // Older kernels ask for a privilege on that way, but not on this one.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let follow = AtFlags::SYMLINK_FOLLOW;
        Ok(rustix::fs::linkat(
            rustix::fs::CWD,
            path,
            &self.descriptor,
            name,
            follow,
        )?)
    }

    /// Whether a plain file holds exactly these bytes.
    pub fn holds(&self, name: &OsStr, bytes: &[u8]) -> bool {
        let Ok(file) = self.open(name) else {
            return false;
        };
        let mut held = Vec::with_capacity(bytes.len() + 1);
        let read = file.take(bytes.len() as u64 + 1).read_to_end(&mut held);
        read.is_ok() && held == bytes
    }

    /// Opens a plain file to be read.
    ///
    /// # Errors
    /// `InvalidInput` for what is no plain file, or what the system says.
    pub fn open(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())?;
        if !Entry(rustix::fs::fstat(&file)?).is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"));
        }
        Ok(file.into())
    }

    /// What stands at a name, itself and not what it may link to; `None` where nothing does.
    ///
    /// # Errors
    /// What the system says.
    pub fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        match rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Entry(stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What was noted with a file by [`note`]; `None` where nothing was, or the file system cannot.
    ///
    /// # Errors
    /// What the system says.
    pub fn attribute(&self, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())?;
        let mut value = vec![0; LONGEST_NOTE];
        match rustix::fs::fgetxattr(&file, ATTRIBUTE, &mut value) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file another name, in place of whatever file has that.
    ///
    /// # Errors
    /// What the system says.
    pub fn replace(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(
            &self.descriptor,
            from,
            &self.descriptor,
            to,
        )?)
    }

    /// Gives a file another name, if nothing has that.
    ///
    /// # Errors
    /// `AlreadyExists`, or what else the system says.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match rustix::fs::renameat_with(
            &self.descriptor,
            from,
            &self.descriptor,
            to,
            RenameFlags::NOREPLACE,
        ) {
            Err(Errno::INVAL | Errno::NOSYS) => {}
            result => return Ok(result?),
        }
        // A file system without it: a hard link is as exclusive.
        match rustix::fs::linkat(
            &self.descriptor,
            from,
            &self.descriptor,
            to,
            AtFlags::empty(),
        ) {
            Ok(()) => self.remove(from),
            Err(Errno::PERM | Errno::OPNOTSUPP) => match self.entry(to)? {
                Some(_) => Err(ErrorKind::AlreadyExists.into()),
                None => self.replace(from, to),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Has the names in it reach the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.descriptor)?)
    }

    /// Has all of its file system reach the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.descriptor)?)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            &self.descriptor,
            name,
            AtFlags::empty(),
        )?)
    }
}

/// Whether a folder holds nothing; one that cannot be read is taken to hold something.
fn is_empty(descriptor: &OwnedFd) -> bool {
    let Ok(mut entries) = rustix::fs::Dir::read_from(descriptor) else {
        return false;
    };
    entries
        .all(|entry| entry.is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")))
}

/// What stands at a name in a folder.
pub struct Entry(Stat);

impl Entry {
    /// Whether it is a plain file.
    pub fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.0.st_mode) == FileType::RegularFile
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        FileType::from_raw_mode(self.0.st_mode) == FileType::Directory
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        u64::try_from(self.0.st_size).unwrap_or(0)
    }

    /// When it was last modified, in nanoseconds since 1970.
    pub fn modified(&self) -> i128 {
        i128::from(self.0.st_mtime) * 1_000_000_000 + i128::from(self.0.st_mtime_nsec)
    }

    /// When it last changed in any way, its name included, in nanoseconds since 1970: nobody can set this back.
    pub fn changed(&self) -> i128 {
        i128::from(self.0.st_ctime) * 1_000_000_000 + i128::from(self.0.st_ctime_nsec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_beneath_is_the_same_in_one_call_and_name_by_name() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path();
        let folder = Folder::make(top).unwrap();
        let made = folder.make_beneath("a/b".as_ref()).unwrap();
        assert_eq!(made.path(), top.join("a/b"));
        assert!(made.was_empty());
        std::os::unix::fs::symlink("a", top.join("inside")).unwrap();
        std::os::unix::fs::symlink("/", top.join("outside")).unwrap();
        for way in [
            "a",
            "a/b",
            "a/b/c",
            "inside/b",
            "outside/tmp",
            "inside",
            "outside",
        ] {
            let at_once = folder.make_beneath(way.as_ref()).map(|made| made.path);
            let by_name = folder.make_name_by_name(way.as_ref()).map(|made| made.path);
            assert_eq!(at_once.ok(), by_name.ok(), "{way}");
            assert_eq!(
                folder.make_beneath(way.as_ref()).is_ok(),
                way.starts_with('a'),
                "{way}"
            );
        }
        for way in ["..", "a/../..", "/tmp", "./a"] {
            let error = folder.make_beneath(way.as_ref()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{way}");
        }
    }
}
