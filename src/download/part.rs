//! A file while it is incomplete, `NAME.part`, and the rename that completes it.
//!
//! A small body that comes at once never is incomplete: it is written to a file without a name, which then gets the final one.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::rc::Rc;

use super::{Exists, Stored, name};
use crate::error::Fault;
use crate::http::Response;
use crate::sys::{self, Folder};

/// A body of at most this many bytes that comes in one piece goes the short way.
const SMALL: usize = 64 * 1024;

/// A body on its way to a final name. Nothing is created before there is a byte to write, or a whole body without any;
/// what is there when this is dropped without [`Part::finish`] is removed.
#[derive(Debug)]
pub struct Part {
    folder: Rc<Folder>,
    name: OsString,
    /// The bytes that have come: in `NAME.part`, or in a file without a name, which has all of them.
    file: Option<File>,
    is_unnamed: bool,
    /// The file that stands at the final name holds the same.
    is_same: bool,
    exists: Exists,
    /// A file stands at the final name, as far as is known.
    is_standing: bool,
    /// Small bodies too get a note of their validators.
    notes_all: bool,
    /// What the answer says of the body, and how much of it has come.
    stored: Option<Stored>,
    expected: Option<u64>,
    written: u64,
}

/// What became of a complete body.
#[derive(Debug, PartialEq, Eq)]
pub enum Placed {
    /// It stands at its final name.
    There,
    /// A file that stood there was kept, as asked for.
    Kept,
}

impl Part {
    /// A body for `name` in `folder`. `exists` says what to do should that name be taken when the body is complete.
    pub fn new(folder: Rc<Folder>, name: OsString, exists: Exists) -> Self {
        Self {
            folder,
            name,
            file: None,
            is_unnamed: false,
            is_same: false,
            exists,
            is_standing: false,
            notes_all: true,
            stored: None,
            expected: None,
            written: 0,
        }
    }

    /// The same for a name at which a file stands, that is to be replaced unless it holds the same.
    pub fn standing(mut self) -> Self {
        self.is_standing = true;
        self
    }

    /// The same without a note for small bodies: to fetch them again costs less than to note so many.
    pub fn without_small_notes(mut self) -> Self {
        self.notes_all = false;
        self
    }

    /// The final name.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The final path.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// The folder that it goes to.
    pub fn folder(&self) -> &Rc<Folder> {
        &self.folder
    }

    /// How many bytes of it have come.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The bytes that have come, to be read by somebody else; `None` where they stand in no file that can be read.
    pub(super) fn reader(&self) -> Option<io::Result<File>> {
        let file = self.file.as_ref().filter(|_| !self.is_unnamed)?;
        Some(file.try_clone())
    }

    fn part_name(&self) -> OsString {
        let mut part = OsString::with_capacity(self.name.len() + name::PART.len());
        part.push(&self.name);
        part.push(name::PART);
        part
    }

    fn fault(&self, verb: &'static str, source: io::Error) -> Fault {
        Fault::Disk {
            verb,
            path: self.path(),
            source,
        }
    }

    /// Takes note of an answer's head, and forgets what an earlier try has written.
    pub(super) fn begin(&mut self, response: &Response) -> Result<(), Fault> {
        self.stored = Stored::of(response);
        self.expected = response.content_length();
        self.written = 0;
        self.is_same = false;
        if std::mem::take(&mut self.is_unnamed) {
            self.file = None;
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.set_len(0)
            .and_then(|()| file.rewind())
            .map_err(|error| self.fault("empty", error))
    }

    /// Appends to the body.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let is_whole = self.expected == Some(bytes.len() as u64);
        if self.file.is_none() && is_whole && bytes.len() <= SMALL && self.write_whole(bytes)? {
            return Ok(());
        }
        self.create()?
            .write_all(bytes)
            .map_err(|error| self.fault("write", error))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes a small body that came at once; false where that has to go the long way.
    fn write_whole(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        if self.is_standing {
            self.is_same = self.exists == Exists::Verify && self.folder.holds(&self.name, bytes);
            return Ok(self.is_same);
        }
        let Some(mut file) = self.folder.create_unnamed() else {
            return Ok(false);
        };
        file.write_all(bytes)
            .map_err(|error| self.fault("write", error))?;
        self.written = bytes.len() as u64;
        self.file = Some(file);
        self.is_unnamed = true;
        Ok(true)
    }

    /// The file, for bytes that are moved to it from outside.
    pub(super) fn target(&mut self) -> Result<BorrowedFd<'_>, Fault> {
        let file: &File = self.create()?;
        Ok(file.as_fd())
    }

    /// So many bytes were moved, or could not be.
    pub(super) fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        self.written += result.map_err(|error| self.fault("write", error))? as u64;
        Ok(())
    }

    /// The partial file, made if there is none.
    fn create(&mut self) -> Result<&mut File, Fault> {
        let file = match self.file.take() {
            Some(file) if !self.is_unnamed => Ok(file),
            Some(file) => self.folder.link(&file, &self.part_name()).map(|()| file),
            None => self.folder.create(&self.part_name()),
        };
        let file = file.map_err(|source| Fault::Disk {
            verb: "create",
            path: self.folder.path().join(self.part_name()),
            source,
        })?;
        self.is_unnamed = false;
        Ok(self.file.insert(file))
    }

    /// Puts the complete body at its final name, by one atomic step.
    ///
    /// # Errors
    /// [`Fault::Disk`], or [`Fault::Exists`] where something stands there and that was to be an error.
    pub fn finish(&mut self) -> Result<Placed, Fault> {
        if self.is_same {
            return Ok(Placed::Kept);
        }
        if let Some(file) = self.file.as_ref().filter(|_| self.is_unnamed) {
            if self.notes_all {
                self.note(file);
            }
            match self.folder.link(file, &self.name) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                result => {
                    result.map_err(|error| self.fault("create", error))?;
                    self.file = None;
                    return Ok(Placed::There);
                }
            }
        }
        self.finish_named()
    }

    /// Notes the validators with a complete file.
    fn note(&self, file: &File) {
        if let Some(stored) = &self.stored {
            sys::note(file, &stored.completed(self.written));
        }
    }

    fn finish_named(&mut self) -> Result<Placed, Fault> {
        self.create()?;
        if let Some(file) = &self.file {
            self.note(file);
        }
        let part = self.part_name();
        let placed = match self.folder.rename(&part, &self.name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match self.exists {
                Exists::Verify | Exists::Overwrite => self
                    .folder
                    .replace(&part, &self.name)
                    .map(|()| Placed::There),
                Exists::Skip => Ok(Placed::Kept),
                Exists::Error => return Err(Fault::Exists(self.path())),
                Exists::Rename => self.finish_beside(&part).map(|()| Placed::There),
            },
            result => result.map(|()| Placed::There),
        };
        let placed = placed.map_err(|error| self.fault("rename to", error))?;
        if placed == Placed::There {
            self.file = None;
        }
        Ok(placed)
    }

    /// Takes the first of `name.1`, `name.2`… that nothing has.
    fn finish_beside(&mut self, part: &OsStr) -> io::Result<()> {
        for number in 1_u64.. {
            let mut candidate = self.name.clone();
            candidate.push(name::numbered("", number));
            match self.folder.rename(part, &candidate) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                result => {
                    self.name = candidate;
                    return result;
                }
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Has the body stand at another name when it is complete; it is on its way under the first one.
    ///
    /// # Errors
    /// [`Fault::Disk`]: the partial file cannot take the other name.
    pub fn take_name(&mut self, name: OsString) -> Result<(), Fault> {
        let old = self.part_name();
        self.name = name;
        if self.file.is_none() || self.is_unnamed {
            return Ok(());
        }
        let new = self.part_name();
        self.folder
            .replace(&old, &new)
            .map_err(|error| self.fault("rename to", error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Its lock is held until it is gone: another process may wait to write one of its own there.
        if let Some(_locked) = self.file.take().filter(|_| !self.is_unnamed) {
            // It is ours and incomplete; where it cannot be removed, its name says what it is.
            let _ = self.folder.remove(&self.part_name());
        }
    }
}
