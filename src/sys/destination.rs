//! Named outputs: what a name refers to, and files that are replaced in one step once they are complete.
//!
//! ```text
//!  "-", /dev/stdout ─────────────► Stdout   written as it arrives
//!  a pipe, a device, /dev/fd/N ──► Stream   written as it arrives
//!  anything else ────────────────► File     TARGET.part, locked, then renamed to TARGET
//! ```
//!
//! Symbolic links are resolved once, so a link stays and its target is replaced. A file that cannot be replaced is
//! overwritten in place once the new content is complete: a file that is itself a mount point, as in containers, or a
//! file in a folder that is not writable.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use super::file::{flush, note, noted, sync_data};
use super::{Folder, Stop, output, platform};

/// The largest number of symbolic links that are followed, as in the kernel.
const MOST_LINKS: usize = 40;

/// How often the creation of a temporary file is repeated while other processes create or remove it.
const MOST_CLAIMS: usize = 1000;

/// What the name of an output refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output, under any name.
    Stdout,
    /// A device, a pipe or an open descriptor: it is written to, and never replaced.
    Stream(PathBuf),
    /// A plain file, or a free name.
    File(PathBuf),
}

impl Destination {
    /// Follows the symbolic links at the end of `path`. A free name costs one system call.
    ///
    /// # Errors
    /// The links form a loop, the name is that of a folder, or another error of the system.
    pub fn of(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(ErrorKind::IsADirectory.into());
        }
        let mut at = path.to_owned();
        for _ in 0..=MOST_LINKS {
            let found = match fs::symlink_metadata(&at) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::File(at)),
                result => result?.file_type(),
            };
            if found.is_dir() {
                return Err(ErrorKind::IsADirectory.into());
            }
            if !found.is_symlink() {
                return Ok(match found.is_file() {
                    true => Self::File(at),
                    false => Self::Stream(at),
                });
            }
            let folder = folder_of(&at);
            match is_of_descriptors(folder) {
                Some(true) if at.file_name().is_some_and(|name| name == "1") => {
                    return Ok(Self::Stdout);
                }
                Some(_) => return Ok(Self::Stream(at)),
                None => at = folder.join(fs::read_link(&at)?),
            }
        }
        Err(Errno::LOOP.into())
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether a folder holds the descriptors of this process; `None` if it is no folder of descriptors.
fn is_of_descriptors(folder: &Path) -> Option<bool> {
    let real = fs::canonicalize(folder).ok()?;
    let is_descriptors = platform::is_of_descriptors(&real);
    is_descriptors.then(|| fs::canonicalize(platform::DESCRIPTORS).is_ok_and(|own| own == real))
}

/// Opens a device, a pipe or a descriptor for writes that do not block. If a named pipe has no reader yet, this waits
/// for one until the run is stopped.
///
/// # Errors
/// `Interrupted` if the run was stopped, or another error of the system.
pub fn open_stream(path: &Path, stop: &Stop) -> io::Result<File> {
    let is_own = is_of_descriptors(folder_of(path)) == Some(true);
    // If it were opened anew, a file that the shell redirects to would be written from its start.
    if is_own && path.file_name().is_some_and(|name| name == "2") {
        return output::stderr();
    }
    let file = output::open_output(path, stop)?;
    if !file.metadata()?.is_file() {
        let flags = rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::fcntl_setfl(&file, flags | OFlags::NONBLOCK)?;
    }
    Ok(file)
}

/// Opens an output that is read while it grows: a file is truncated and written in place.
///
/// # Errors
/// `ResourceBusy` if another process writes that file, or another error of the system.
pub fn open_growing(path: &Path, stop: &Stop) -> io::Result<File> {
    let path = match Destination::of(path)? {
        Destination::Stdout => return output::stdout(),
        Destination::Stream(path) => return open_stream(&path, stop),
        Destination::File(path) => path,
    };
    let mut options = OpenOptions::new();
    // It is truncated once the lock shows that no other process writes it.
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    lock(&file, Patience::None)?;
    file.set_len(0)?;
    Ok(file)
}

/// Which users may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only the owner.
    Owner,
    /// The users that may read the replaced file or, for a new file, those of the umask.
    Usual,
}

/// What to do if another process writes the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Fail.
    None,
    /// Wait, because it takes only a moment.
    Wait,
}

/// The name of a file until it is complete.
pub fn part_of(path: &Path) -> PathBuf {
    let mut part = path.to_owned().into_os_string();
    part.push(".part");
    part.into()
}

/// The attribute of a temporary file. A file with bytes and without this attribute is not gannet's to remove.
const MARK: &[u8] = b"output\n";

/// An output that is being written. [`OutputFile::commit`] gives a file its name; without that, the existing file
/// stays.
#[derive(Debug)]
pub struct OutputFile {
    file: File,
    way: Way,
    access: Access,
    /// Ends a write that waits for a reader.
    stop: Stop,
}

/// How an output gets its name.
#[derive(Debug)]
enum Way {
    /// It is written directly.
    Stream,
    /// `part` is renamed to `target`.
    Rename { part: PathBuf, target: PathBuf },
    /// No temporary file can be created beside it, so its bytes are copied into the existing file.
    Copy { target: PathBuf, into: File },
}

impl OutputFile {
    /// Begins an output of this name; `-` is standard output.
    ///
    /// # Errors
    /// `ResourceBusy` if another process writes the same file, or another error of the system.
    pub fn create(
        path: &Path,
        access: Access,
        patience: Patience,
        stop: &Stop,
    ) -> io::Result<Self> {
        let target = match Destination::of(path)? {
            Destination::File(target) => target,
            Destination::Stdout => return Ok(Self::stream(output::stdout()?, stop)),
            Destination::Stream(path) => return Ok(Self::stream(open_stream(&path, stop)?, stop)),
        };
        let part = part_of(&target);
        let mode = match access {
            Access::Owner => 0o600,
            Access::Usual => 0o666,
        };
        let (file, way) = match claim(&part, mode, patience) {
            Ok(file) => (file, Way::Rename { part, target }),
            Err(error) => Self::apart(&target, patience, error)?,
        };
        let output = Self {
            file,
            way,
            access,
            stop: stop.clone(),
        };
        if access == Access::Usual
            && let Some(old) = output.replaced()
        {
            let mode = Permissions::from_mode(old.mode() & 0o777);
            // Some file systems have no permissions.
            let _ = output.file.set_permissions(mode);
        }
        Ok(output)
    }

    /// A temporary file without a name, if none can be created beside a writable target.
    fn apart(target: &Path, patience: Patience, error: io::Error) -> io::Result<(File, Way)> {
        let is_refused = matches!(
            Errno::from_io_error(&error),
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS)
        );
        if !is_refused {
            return Err(error);
        }
        let Ok(into) = open_standing(target) else {
            return Err(error);
        };
        lock(&into, patience)?;
        let file = platform::temporary_file()?;
        let target = target.to_owned();
        Ok((file, Way::Copy { target, into }))
    }

    fn stream(file: File, stop: &Stop) -> Self {
        Self {
            file,
            way: Way::Stream,
            access: Access::Usual,
            stop: stop.clone(),
        }
    }

    /// Whether it is written directly, so that another program can read it meanwhile.
    pub fn is_stream(&self) -> bool {
        matches!(self.way, Way::Stream)
    }

    /// The metadata of the file that it will replace.
    pub fn replaced(&self) -> Option<Metadata> {
        let (Way::Rename { target, .. } | Way::Copy { target, .. }) = &self.way else {
            return None;
        };
        let metadata = fs::metadata(target).ok()?;
        metadata.is_file().then_some(metadata)
    }

    /// Completes the output: a file gets its name. If the output `syncs`, the file and its name are synced to the
    /// disk.
    ///
    /// # Errors
    /// An error of the system; the existing file then stays, unless it is overwritten in place.
    pub fn commit(mut self, syncs: bool) -> io::Result<()> {
        // A power loss before the new bytes are on the disk must not lose the replaced file.
        if syncs && !self.is_stream() || self.replaced().is_some() {
            sync_data(&self.file)?;
        }
        match std::mem::replace(&mut self.way, Way::Stream) {
            Way::Stream => Ok(()),
            Way::Copy { into, .. } => copy(&self.file, &into, self.access),
            Way::Rename { part, target } => {
                if platform::closes_late(&self.file) {
                    flush(&self.file)?;
                }
                self.take_name(&part, &target)?;
                if syncs {
                    Folder::make(folder_of(&target), false)?.sync()?;
                }
                Ok(())
            }
        }
    }

    fn take_name(&self, part: &Path, target: &Path) -> io::Result<()> {
        // Another program may have created a file at this name: that file is left alone.
        let stands = stands_at(&self.file, part)?;
        let renamed = match stands {
            true => fs::rename(part, target),
            false => Err(busy()),
        };
        let Err(error) = renamed else { return Ok(()) };
        let into = match (open_standing(target), stands) {
            (Err(_), false) => self.create_beside(target),
            (opened, _) => opened,
        };
        let written = match into {
            Ok(into) => copy(&self.file, &into, self.access),
            Err(_) => Err(error),
        };
        if stands {
            let _ = fs::remove_file(part);
        }
        written
    }

    /// Creates a file at a free name, with the permissions of this one.
    fn create_beside(&self, target: &Path) -> io::Result<File> {
        let mode = self.file.metadata()?.mode() & 0o777;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode).open(target)
    }
}

/// Opens a file for writing in place, without truncation.
fn open_standing(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}

/// Copies all of a file into another. The space is allocated first, so that a full disk does not damage the existing
/// file.
fn copy(mut from: &File, mut into: &File, access: Access) -> io::Result<()> {
    let length = from.metadata()?.len();
    if access == Access::Owner {
        into.set_permissions(Permissions::from_mode(0o600))?;
    }
    let old = into.metadata()?.len();
    if length > 0 {
        match platform::allocate(into, length) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    from.rewind()?;
    io::copy(&mut from, &mut into)?;
    if old > length {
        into.set_len(length)?;
    }
    sync_data(into)
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        output::write_all(self.file.as_fd(), bytes, &self.stop)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Way::Rename { part, .. } = &self.way
            && stands_at(&self.file, part).unwrap_or(false)
        {
            // It is incomplete; a failed removal is not reported.
            let _ = fs::remove_file(part);
        }
    }
}

/// Creates a temporary file, and locks it until it is closed. One that a killed process left is removed; the lock
/// distinguishes it from one that is being written.
fn claim(part: &Path, mode: u32, patience: Patience) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .mode(mode)
        .custom_flags(flags);
    for _ in 0..MOST_CLAIMS {
        match options.create_new(true).open(part) {
            Ok(file) => {
                lock(&file, patience)?;
                // Before the lock, another process may have removed it as a leftover.
                if stands_at(&file, part)? {
                    note(&file, MARK);
                    return Ok(file);
                }
                continue;
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let old = match options.create_new(false).open(part) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            result => result?,
        };
        if !old.metadata()?.is_file() {
            let why = format!("{} is no plain file", part.display());
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        lock(&old, patience)?;
        if fs::symlink_metadata(state_of(part)).is_ok() {
            let why = format!("{} is an incomplete download", part.display());
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        if old.metadata()?.len() > 0 && !matches!(noted(&old), Ok(Some(_))) {
            let why = format!("{} is another program's: move it away", part.display());
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        if stands_at(&old, part)? {
            match fs::remove_file(part) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Err(busy())
}

/// The state file that belongs to a part file of this name.
fn state_of(part: &Path) -> PathBuf {
    let mut state = part.to_owned().into_os_string();
    state.push(".gannet");
    state.into()
}

/// Whether an open file still has this name.
fn stands_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Locks an open file against other processes. On a file system without locks it does nothing.
fn lock(file: &File, patience: Patience) -> io::Result<()> {
    let operation = match patience {
        Patience::None => FlockOperation::NonBlockingLockExclusive,
        Patience::Wait => FlockOperation::LockExclusive,
    };
    loop {
        match rustix::fs::flock(file, operation) {
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Err(busy()),
            _ => return Ok(()),
        }
    }
}

fn busy() -> io::Error {
    io::Error::new(
        ErrorKind::ResourceBusy,
        "another process is writing it; give each process a file of its own",
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn create(path: &Path) -> io::Result<OutputFile> {
        OutputFile::create(path, Access::Usual, Patience::None, &Stop::default())
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn links_lead_to_their_target_and_a_circle_of_them_is_an_error() {
        let top = folder();
        let at = |name: &str| top.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("file"), "").unwrap();
        symlink("../file", at("sub/one")).unwrap();
        symlink("sub/one", at("two")).unwrap();
        symlink("missing", at("dangling")).unwrap();
        symlink("circle", at("circle")).unwrap();
        symlink("/dev/null", at("null")).unwrap();
        symlink("/dev/stdout", at("out")).unwrap();
        symlink("sub", at("folder")).unwrap();
        let of = |name: &str| Destination::of(&at(name));
        let file = of("two").unwrap();
        assert_eq!(file, Destination::File(at("sub/../file")));
        assert_eq!(of("dangling").unwrap(), Destination::File(at("missing")));
        assert_eq!(of("new").unwrap(), Destination::File(at("new")));
        assert_eq!(of("null").unwrap(), Destination::Stream("/dev/null".into()));
        assert_eq!(of("out").unwrap(), Destination::Stdout);
        let raw = of("circle").unwrap_err().raw_os_error();
        assert_eq!(raw, Some(Errno::LOOP.raw_os_error()));
        for name in ["folder", "sub", "new/"] {
            assert_eq!(of(name).unwrap_err().kind(), ErrorKind::IsADirectory);
        }
    }

    #[test]
    fn a_file_is_replaced_when_it_is_whole_and_not_before() {
        let top = folder();
        let path = top.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        // A leftover of a killed process is replaced, if it is marked.
        fs::write(top.path().join("file.part"), "left").unwrap();
        let theirs = create(&path).unwrap_err();
        assert_eq!(theirs.kind(), ErrorKind::InvalidInput);
        note(&File::open(top.path().join("file.part")).unwrap(), MARK);
        drop(create(&path).unwrap());
        assert_eq!(names(top.path()), ["file"]);
        let mut output = create(&path).unwrap();
        output.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        output.commit(false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        let own =
            OutputFile::create(&path, Access::Owner, Patience::None, &Stop::default()).unwrap();
        own.commit(false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(top.path()), ["file"]);
    }

    #[test]
    fn a_file_that_is_being_written_is_an_error_or_is_waited_for() {
        let top = folder();
        let path = top.path().join("file");
        let first = create(&path).unwrap();
        let error = create(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        std::thread::scope(|scope| {
            let next =
                || OutputFile::create(&path, Access::Usual, Patience::Wait, &Stop::default());
            let waiting: Vec<_> = (0..8)
                .map(|_| scope.spawn(move || next()?.commit(false)))
                .collect();
            first.commit(false).unwrap();
            for one in waiting {
                one.join().unwrap().unwrap();
            }
        });
        assert_eq!(names(top.path()), ["file"]);
    }

    #[test]
    fn a_temporary_name_that_another_file_took_costs_neither() {
        let top = folder();
        let (path, part) = (top.path().join("file"), top.path().join("file.part"));
        for old in [None, Some("the old one, which is longer")] {
            if let Some(old) = old {
                fs::write(&path, old).unwrap();
            }
            let mut output = create(&path).unwrap();
            output.write_all(b"new").unwrap();
            fs::write(top.path().join("other"), "other").unwrap();
            fs::rename(top.path().join("other"), &part).unwrap();
            output.commit(false).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::read(&part).unwrap(), b"other");
            // The next output does not remove it either.
            assert!(create(&path).is_err());
            fs::remove_file(&part).unwrap();
            let output = create(&path).unwrap();
            fs::write(top.path().join("other"), "other").unwrap();
            fs::rename(top.path().join("other"), &part).unwrap();
            drop(output);
            assert_eq!(fs::read(&part).unwrap(), b"other");
            fs::remove_file(&part).unwrap();
        }
    }

    #[test]
    fn an_incomplete_download_is_not_taken_for_a_leftover() {
        let top = folder();
        fs::write(top.path().join("file.part"), "begun").unwrap();
        fs::write(top.path().join("file.part.gannet"), "state").unwrap();
        assert!(create(&top.path().join("file")).is_err());
        assert_eq!(names(top.path()), ["file.part", "file.part.gannet"]);
        assert_eq!(fs::read(top.path().join("file.part")).unwrap(), b"begun");
    }

    #[test]
    fn nothing_but_a_plain_file_is_taken_for_a_leftover() {
        let top = folder();
        let (path, part) = (top.path().join("file"), top.path().join("file.part"));
        fs::write(top.path().join("other"), "kept").unwrap();
        symlink("other", &part).unwrap();
        assert!(create(&path).is_err());
        assert_eq!(fs::read(top.path().join("other")).unwrap(), b"kept");
        fs::remove_file(&part).unwrap();
        fs::create_dir(&part).unwrap();
        assert!(create(&path).is_err());
        assert!(part.is_dir());
    }
}
