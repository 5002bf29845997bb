//! A seam for tests: a script runs before each call to the file system. It may refuse the call, limit a write, or
//! change the folder as another program would. Builds without debug assertions skip it.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fmt;
use std::io;

use rustix::io::Errno;

/// A call to the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Call {
    /// Opens or creates a folder.
    OpenFolder,
    /// Reads the entry at a name.
    Look,
    /// Creates a file that must not exist yet.
    Create,
    /// Creates a file without a name.
    CreateUnnamed,
    /// Opens a file that exists.
    Open,
    /// Creates or empties the file that a state is written to.
    CreateState,
    /// Gives a file a name that must be free.
    Link,
    /// Renames a file to a name that must be free.
    Rename,
    /// Renames a file, over another if there is one.
    Replace,
    /// Removes a name.
    Remove,
    /// Writes bytes.
    Write,
    /// Changes the length of a file.
    Resize,
    /// Writes an extended attribute.
    Note,
    /// Locks a file.
    Lock,
    /// Reads an extended attribute.
    ReadNote,
    /// Syncs a file or a folder to the disk.
    Sync,
    /// Closes a file to learn whether its bytes have arrived.
    Close,
}

/// Decides how the calls of a test's thread end.
pub trait Script {
    /// Runs before a call for a file of this name, which is empty if the call has none.
    ///
    /// # Errors
    /// The call is not made, and fails with this error.
    fn before(&mut self, call: Call, name: &OsStr) -> io::Result<()>;

    /// How many of `length` bytes a write takes.
    ///
    /// # Errors
    /// The write fails with this error.
    fn room(&mut self, length: usize) -> io::Result<usize> {
        Ok(length)
    }
}

thread_local! {
    static SCRIPT: RefCell<Option<Box<dyn Script>>> = const { RefCell::new(None) };
}

/// The calls of this thread follow a script until this is dropped.
#[must_use]
pub struct Scripted(());

impl Scripted {
    /// Applies a script to all calls of this thread, in a build with debug assertions.
    pub fn new(script: impl Script + 'static) -> Self {
        SCRIPT.set(Some(Box::new(script)));
        Self(())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        SCRIPT.set(None);
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

/// Makes a call for a file of this name, and repeats it if a signal interrupts it. The script runs first.
pub(super) fn call<T>(
    what: Call,
    name: impl AsRef<OsStr>,
    mut make: impl FnMut() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    loop {
        match check(what, name.as_ref()).and_then(|()| make()) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

fn check(what: Call, name: &OsStr) -> rustix::io::Result<()> {
    if cfg!(debug_assertions) {
        return ask(|script| script.before(what, name)).unwrap_or(Ok(()));
    }
    Ok(())
}

/// How many of `length` bytes a write may take.
pub(super) fn room(length: usize) -> rustix::io::Result<usize> {
    if cfg!(debug_assertions) {
        return ask(|script| script.room(length)).unwrap_or(Ok(length));
    }
    Ok(length)
}

fn ask<T>(
    question: impl FnOnce(&mut dyn Script) -> io::Result<T>,
) -> Option<rustix::io::Result<T>> {
    SCRIPT.with_borrow_mut(|script| {
        let answer = question(script.as_mut()?.as_mut());
        Some(answer.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    })
}
