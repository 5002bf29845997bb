//! An open folder, and its files by name: the path is resolved once, not for each file.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::fault::{self, Call};
use super::file::{self, latest_stamp};
use super::file_system::{self, FileSystem};
use super::platform;

/// Locks an open file against other processes. On a file system without locks it does nothing.
fn lock(file: &OwnedFd) -> io::Result<()> {
    match fault::call(Call::Lock, "", || {
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
    }) {
        Err(Errno::WOULDBLOCK) => Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another process is writing it",
        )),
        _ => Ok(()),
    }
}

/// Whether an error says that another process or row writes a file. The system's own "busy" has other causes.
pub fn is_being_written(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ResourceBusy && error.raw_os_error().is_none()
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    descriptor: OwnedFd,
    was_empty: bool,
    /// The names of created folders are synced to the disk.
    syncs: bool,
    /// The file system does not support files without a name.
    lacks_unnamed: Cell<bool>,
    /// Whether close(2) can be the first to report that bytes were lost; `None` before it is known.
    closes_late: Cell<Option<bool>>,
    file_system: FileSystem,
}

const OPEN: OFlags = OFlags::DIRECTORY
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

/// The flags for files that are written; they are also read for digests.
const OPEN_FILE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens `path`, and creates it and its parents first if it is missing. If the folder `syncs`, the name of each
    /// folder created here or by [`Folder::make_beneath`] is synced to the disk.
    ///
    /// # Errors
    /// An error of the system.
    pub fn make(path: &Path, syncs: bool) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let found = match fault::call(Call::OpenFolder, path, || {
            rustix::fs::open(path, OPEN, Mode::empty())
        }) {
            Err(Errno::NOENT) => None,
            result => Some(result?),
        };
        if let Some(descriptor) = found {
            let was_empty = is_empty(&descriptor);
            return Ok(Self::of(path.to_owned(), descriptor, was_empty, syncs));
        }
        let first_missing = path.ancestors().take_while(|path| !path.exists()).last();
        std::fs::create_dir_all(path)?;
        let descriptor = fault::call(Call::OpenFolder, path, || {
            rustix::fs::open(path, OPEN, Mode::empty())
        })?;
        if syncs && let Some(first) = first_missing {
            for made in path.ancestors().take_while(|path| path.starts_with(first)) {
                sync_parent(made)?;
            }
        }
        Ok(Self::of(path.to_owned(), descriptor, true, syncs))
    }

    fn of(path: PathBuf, descriptor: OwnedFd, was_empty: bool, syncs: bool) -> Self {
        Self {
            path,
            descriptor,
            was_empty,
            syncs,
            lacks_unnamed: Cell::default(),
            closes_late: Cell::default(),
            file_system: FileSystem::default(),
        }
    }

    /// Opens a folder below this one by a relative path of plain names, and creates missing folders. A symbolic link
    /// in the path is an error: it could lead out of the folder.
    ///
    /// # Errors
    /// An error of the system, or `InvalidInput` for a path with `..` or a root.
    pub fn make_beneath(&self, relative: &Path) -> io::Result<Self> {
        let mut components = relative.components();
        if !components.all(|component| matches!(component, Component::Normal(_))) {
            return Err(ErrorKind::InvalidInput.into());
        }
        match fault::call(Call::OpenFolder, relative, || {
            platform::open_beneath(&self.descriptor, relative, OPEN)
        }) {
            Ok(descriptor) => {
                let was_empty = is_empty(&descriptor);
                let path = self.path.join(relative);
                Ok(Self::of(path, descriptor, was_empty, self.syncs))
            }
            // The path leads through a link or a file.
            Err(error @ (Errno::LOOP | Errno::XDEV | Errno::NOTDIR)) => Err(error.into()),
            // Part of it is missing, or the kernel or a sandbox refuses the call.
            Err(_) => self.make_name_by_name(relative),
        }
    }

    /// Does what [`Folder::make_beneath`] does, one name at a time.
    fn make_name_by_name(&self, relative: &Path) -> io::Result<Self> {
        let descriptor = self.descriptor.try_clone()?;
        let mut at = Self::of(self.path.clone(), descriptor, false, self.syncs);
        for name in relative {
            let open = || {
                fault::call(Call::OpenFolder, name, || {
                    rustix::fs::openat(&at.descriptor, name, OPEN | OFlags::NOFOLLOW, Mode::empty())
                })
            };
            let descriptor = match open() {
                Err(Errno::NOENT) => {
                    match fault::call(Call::OpenFolder, name, || {
                        rustix::fs::mkdirat(&at.descriptor, name, Mode::from_raw_mode(0o777))
                    }) {
                        Ok(()) if at.syncs => at.sync()?,
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    open()?
                }
                result => result?,
            };
            let was_empty = is_empty(&descriptor);
            at = Self::of(at.path.join(name), descriptor, was_empty, self.syncs);
        }
        Ok(at)
    }

    /// Another handle on the same folder, for another thread.
    ///
    /// # Errors
    /// An error of the system.
    pub fn try_clone(&self) -> io::Result<Self> {
        let descriptor = self.descriptor.try_clone()?;
        Ok(Self::of(
            self.path.clone(),
            descriptor,
            self.was_empty,
            self.syncs,
        ))
    }

    /// The folder's path, as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder was empty when it was opened: its present files are then of this run, or of a concurrent
    /// process.
    pub fn was_empty(&self) -> bool {
        self.was_empty
    }

    /// Creates a file at a free name, and locks it until it is closed.
    ///
    /// # Errors
    /// `AlreadyExists`, `ResourceBusy` if another process has locked it first, or another error of the system.
    pub fn create_new(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OPEN_FILE;
        let new = fault::call(Call::Create, name, || {
            rustix::fs::openat(&self.descriptor, name, flags, Mode::from_raw_mode(0o666))
        })?;
        lock(&new)?;
        Ok(new.into())
    }

    /// Opens an existing file for writing, and locks it until it is closed; `None` if there is none. A symbolic link
    /// is not followed, and only a plain file is opened.
    ///
    /// # Errors
    /// `ResourceBusy` if another process writes it, `InvalidInput` for anything but a plain file, or another error of
    /// the system.
    pub fn open_locked(&self, name: &OsStr) -> io::Result<Option<File>> {
        // Without NONBLOCK, the open of a pipe would block.
        let flags = OFlags::NONBLOCK | OPEN_FILE;
        let old = match fault::call(Call::Open, name, || {
            rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())
        }) {
            Err(Errno::NOENT) => return Ok(None),
            result => result?,
        };
        let stat = rustix::fs::fstat(&old)?;
        if !Entry(stat).is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"));
        }
        lock(&old)?;
        // The previous holder of the lock may have renamed the file after it was opened.
        let entry = self.entry(name)?;
        let is_still = entry.is_some_and(|entry| entry.is_same(&Entry(stat)));
        Ok(is_still.then(|| old.into()))
    }

    /// Reads a plain file of at most `most` bytes; `None` if there is none.
    ///
    /// # Errors
    /// `InvalidData` for anything else, or another error of the system.
    pub fn read(&self, name: &OsStr, most: usize) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fault::call(Call::Open, name, || {
            rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())
        }) {
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

    /// Replaces the contents of a file in one atomic step: the bytes are written to `next`, which is then renamed.
    /// Only its owner may read it.
    ///
    /// # Errors
    /// An error of the system; the file is then unchanged.
    pub fn write_whole(&self, name: &OsStr, next: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK | OPEN_FILE;
        let file = fault::call(Call::CreateState, next, || {
            rustix::fs::openat(&self.descriptor, next, flags, Mode::from_raw_mode(0o600))
        })?;
        let room = fault::call(Call::Write, next, || Ok(())).map_err(io::Error::from);
        let written = room.and_then(|()| File::from(file).write_all(bytes));
        let renamed = written.and_then(|()| self.replace(next, name));
        if renamed.is_err() {
            // On a full disk, `next` may be left empty.
            let _ = self.remove(next);
        }
        renamed
    }

    /// A new file without a name, for [`Folder::link`]: it is invisible before it is linked, and disappears if it
    /// never is. `None` if the file system has no such files.
    pub fn create_unnamed(&self) -> Option<File> {
        if self.lacks_unnamed.get() {
            return None;
        }
        let file = fault::call(Call::CreateUnnamed, "", || {
            platform::create_unnamed(&self.descriptor)
        });
        // A full disk or a lack of descriptors is no property of the file system; the fallback will report it.
        self.lacks_unnamed.set(matches!(
            file,
            Err(Errno::OPNOTSUPP
                | Errno::ISDIR
                | Errno::INVAL
                | Errno::NOENT
                | Errno::NOSYS
                | Errno::PERM
                | Errno::ACCESS)
        ));
        file.ok().map(File::from)
    }

    /// Stops the use of files without a name, because one could not be linked here.
    pub fn do_without_unnamed(&self) {
        self.lacks_unnamed.set(true);
    }

    /// Links a file without a name to a free name.
    ///
    /// # Errors
    /// `AlreadyExists`, or another error of the system.
    pub fn link(&self, file: &File, name: &OsStr) -> io::Result<()> {
        match fault::call(Call::Link, name, || {
            platform::link_unnamed(file, &self.descriptor, name)
        }) {
            Err(Errno::NOENT | Errno::PERM) => {}
            result => return Ok(result?),
        }
        Ok(fault::call(Call::Link, name, || {
            platform::link_descriptor(file, &self.descriptor, name)
        })?)
    }

    /// Whether a name is that of a plain file with exactly these bytes.
    pub fn holds(&self, name: &OsStr, bytes: &[u8]) -> bool {
        let Ok(file) = self.open(name) else {
            return false;
        };
        let mut held = Vec::with_capacity(bytes.len() + 1);
        let read = file.take(bytes.len() as u64 + 1).read_to_end(&mut held);
        read.is_ok() && held == bytes
    }

    /// Opens a plain file for reading.
    ///
    /// # Errors
    /// `InvalidInput` for anything but a plain file, or another error of the system.
    pub fn open(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fault::call(Call::Open, name, || {
            rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())
        })?;
        if !Entry(rustix::fs::fstat(&file)?).is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"));
        }
        Ok(file.into())
    }

    /// The entry at a name, without following a link; `None` if the name is free.
    ///
    /// # Errors
    /// An error of the system.
    pub fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        match fault::call(Call::Look, name, || {
            rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW)
        }) {
            Ok(stat) => Ok(Some(Entry(stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The attribute of a file that [`note`](super::note) has set; `None` if it has none, or the file system has no
    /// attributes.
    ///
    /// # Errors
    /// An error of the system.
    pub fn attribute(&self, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fault::call(Call::Open, name, || {
            rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())
        })?;
        file::noted(&file)
    }

    /// Renames a file, and replaces any file of the new name.
    ///
    /// # Errors
    /// An error of the system.
    pub fn replace(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(fault::call(Call::Replace, from, || {
            rustix::fs::renameat(&self.descriptor, from, &self.descriptor, to)
        })?)
    }

    /// Renames a file to a free name.
    ///
    /// If the system refuses the exclusive rename, a hard link is used. If it refuses that too, the name is checked
    /// and the file renamed: in between, another program can take the name.
    ///
    /// # Errors
    /// `AlreadyExists`, or another error of the system.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let folder = &self.descriptor;
        match fault::call(Call::Rename, from, || {
            platform::rename_exclusively(folder, from, to)
        }) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => return Err(ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        match fault::call(Call::Link, from, || {
            rustix::fs::linkat(folder, from, folder, to, AtFlags::empty())
        }) {
            Ok(()) => {
                // The file has its new name; a remaining second name is no failure.
                let _ = self.remove(from);
                return Ok(());
            }
            Err(Errno::EXIST) => return Err(ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        match self.entry(to)? {
            Some(_) => Err(ErrorKind::AlreadyExists.into()),
            None => self.replace(from, to),
        }
    }

    /// Syncs the names in the folder to the disk. A file system that cannot sync a folder has nothing to sync.
    ///
    /// # Errors
    /// An error of the system.
    pub fn sync(&self) -> io::Result<()> {
        match fault::call(Call::Sync, "", || rustix::fs::fsync(&self.descriptor)) {
            Ok(()) | Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Syncs the whole file system of the folder to the disk.
    ///
    /// # Errors
    /// An error of the system.
    pub fn sync_all(&self) -> io::Result<()> {
        Ok(fault::call(Call::Sync, "", || {
            platform::sync_file_system(&self.descriptor)
        })?)
    }

    /// Removes a file; a missing one is no error.
    ///
    /// # Errors
    /// An error of the system.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        match fault::call(Call::Remove, name, || {
            rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty())
        }) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The entry at a name, if it is this open file; `None` if it is another file, or the name is free.
    ///
    /// # Errors
    /// An error of the system.
    pub fn entry_of(&self, name: &OsStr, file: &File) -> io::Result<Option<Entry>> {
        let own = Entry(rustix::fs::fstat(file)?);
        let entry = self.entry(name)?;
        Ok(entry.filter(|entry| entry.is_same(&own)))
    }

    /// Whether only close(2) may report that written bytes are lost, because a server, a daemon or a quota refused
    /// them. This cannot happen on local file systems.
    pub fn closes_late(&self) -> bool {
        self.closes_late.get().unwrap_or_else(|| {
            let is_late = platform::closes_late(&self.descriptor);
            self.closes_late.set(Some(is_late));
            is_late
        })
    }

    /// Reports the errors of a written file that only close(2) would report.
    ///
    /// # Errors
    /// An error of the system: the file is incomplete.
    pub fn flush(&self, file: &File) -> io::Result<()> {
        if self.closes_late() {
            file::flush(file)
        } else {
            Ok(())
        }
    }

    /// Whether an entry was created or changed after `since`, a time of [`latest_stamp`]. If the file system's clock
    /// is too coarse to tell, the answer is yes.
    pub fn has_changed_since(&self, entry: &Entry, since: i128) -> bool {
        let span = since..=latest_stamp();
        self.file_system
            .is_within(&self.descriptor, entry.changed(), span, || {
                self.create_unnamed().map(OwnedFd::from)
            })
    }

    /// Whether the file system folds case: names that differ only in case are one name.
    pub fn folds_case(&self) -> bool {
        self.file_system.folds_case(&self.descriptor)
    }

    /// Whether an existing name may have another spelling on the disk: another case or another Unicode form.
    pub fn is_spelt_otherwise(&self, name: &OsStr) -> bool {
        self.folds_case() || !name.is_ascii() && !file_system::lists(&self.descriptor, name)
    }

    /// Whether the name of a file may contain the characters of `text`; `None` if another error prevents the test.
    pub fn takes(&self, text: &str) -> Option<bool> {
        file_system::takes(&self.descriptor, text)
    }

    /// The longest file name, in bytes; `None` if another error prevents the test.
    pub fn longest_name(&self) -> Option<usize> {
        file_system::longest_name(&self.descriptor)
    }
}

/// Syncs the name of a folder to the disk.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new(""));
    Folder::make(parent, false)?.sync()
}

/// Whether a folder is empty. A folder that cannot be read counts as not empty.
fn is_empty(descriptor: &OwnedFd) -> bool {
    let Ok(mut entries) = rustix::fs::Dir::read_from(descriptor) else {
        return false;
    };
    entries
        .all(|entry| entry.is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")))
}

/// The identity of a file and its state: another file of the same name, or a changed one, is not equal to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

/// The entry at a name in a folder.
pub struct Entry(pub(super) Stat);

impl Entry {
    /// Whether both are the same file, under any names.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.0.st_dev, self.0.st_ino) == (other.0.st_dev, other.0.st_ino)
    }

    /// Whether it is a plain file.
    pub fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.0.st_mode) == FileType::RegularFile
    }

    /// Whether it belongs to the user of this process, and its mode allows that user to write it.
    pub fn is_own_and_writable(&self) -> bool {
        let is_own = self.0.st_uid == rustix::process::geteuid().as_raw();
        is_own && Mode::from_raw_mode(self.0.st_mode).contains(Mode::WUSR)
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        FileType::from_raw_mode(self.0.st_mode) == FileType::Directory
    }

    /// The identity of the file.
    pub fn identity(&self) -> Identity {
        Identity {
            device: self.0.st_dev,
            inode: self.0.st_ino,
            size: self.size(),
            modified: self.modified(),
            changed: self.changed(),
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        u64::try_from(self.0.st_size).unwrap_or(0)
    }

    /// Whether it has more than one name.
    pub fn has_other_names(&self) -> bool {
        self.0.st_nlink > 1
    }

    /// When it was last modified, in nanoseconds since 1970.
    pub fn modified(&self) -> i128 {
        i128::from(self.0.st_mtime) * 1_000_000_000 + i128::from(self.0.st_mtime_nsec)
    }

    /// When it last changed in any way, its name included, in nanoseconds since 1970: no program can set this back.
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
        let folder = Folder::make(top, false).unwrap();
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
