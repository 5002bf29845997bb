//! Where a body goes: its final name, what may be done to a file of that name, and its files until it is published.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::disk::Disk;
use super::{Claim, foreign_change};
use crate::download::Exists;
use crate::error::Fault;
use crate::sys::{self, Entry, Folder};

/// The final name of a body, and its files.
#[derive(Debug)]
pub(super) struct PartTarget {
    /// The part file and its state file.
    pub(super) disk: Disk,
    /// The final name, if it differs from the name that the part file is named after.
    given: Option<Box<OsStr>>,
    /// What may be done at the final name.
    pub(super) claim: Rc<Claim>,
}

impl PartTarget {
    pub(super) fn new(folder: Rc<Folder>, name: OsString, claim: Rc<Claim>) -> Self {
        Self {
            disk: Disk::new(folder, name),
            given: None,
            claim,
        }
    }

    /// The final name.
    pub(super) fn name(&self) -> &OsStr {
        self.given.as_deref().unwrap_or(self.disk.stem())
    }

    /// The folder of the final name.
    pub(super) fn folder(&self) -> &Rc<Folder> {
        &self.disk.folder
    }

    /// The final path.
    pub(super) fn path(&self) -> PathBuf {
        self.folder().path().join(self.name())
    }

    /// Sets the final name.
    pub(super) fn take_name(&mut self, name: OsString) {
        self.given = Some(name.into());
    }

    /// Sets the final name to another one than the intended one, which was taken.
    pub(super) fn take_other_name(&mut self, name: OsString) {
        self.take_name(name);
        Rc::make_mut(&mut self.claim).is_renamed = true;
    }

    /// Records that the final name no longer has a file that may be replaced.
    pub(super) fn forget_standing(&mut self) {
        Rc::make_mut(&mut self.claim).standing = None;
    }

    /// Whether the file at the final name existed when the row began, and has not changed since the run began.
    pub(super) fn may_replace(&self, entry: &Entry) -> bool {
        self.claim.standing == Some(entry.identity())
            && !self.folder().has_changed_since(entry, self.claim.since)
    }

    /// Whether the file at the final name has exactly this spelling. If not, it may be the file of another row, on a
    /// file system that folds case.
    pub(super) fn is_spelt_alike(&self) -> bool {
        !self.folder().is_spelt_otherwise(self.name())
    }

    /// Whether the file at the final name, of `size` bytes, equals the body. Files of more than `most` bytes are not
    /// compared.
    pub(super) fn is_equal(&self, size: u64, most: u64) -> bool {
        let Some(file) = self.disk.named() else {
            return false;
        };
        let is_as_large = file.metadata().is_ok_and(|found| found.len() == size);
        if size > most || !is_as_large {
            return false;
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0).is_ok() && self.folder().holds(self.name(), &bytes)
    }

    /// The part file, created if it does not exist.
    pub(super) fn create(&mut self) -> Result<&Arc<File>, Fault> {
        if self.disk.named().is_none() {
            let created = self.create_part();
            created.map_err(|source| self.part_fault("create", source))?;
        }
        match self.disk.named() {
            Some(file) => Ok(file),
            None => Err(self.part_fault("create", ErrorKind::NotFound.into())),
        }
    }

    /// Creates the part file. If another process or row is writing a file of that name, and the row's name may be
    /// numbered, the part file is named after the next free number.
    fn create_part(&mut self) -> io::Result<()> {
        let since = self.claim.since;
        match self.disk.create(since).map(drop) {
            Err(error) if sys::is_being_written(&error) && self.may_be_numbered() => {
                let name = self.name().to_owned();
                self.disk.create_beside(since)?;
                self.given = Some(name.into());
                Ok(())
            }
            result => result,
        }
    }

    fn may_be_numbered(&self) -> bool {
        let part = self.disk.part_name();
        let is_free_to = self.claim.exists == Exists::Rename
            || !self.claim.is_fixed && self.folder().is_spelt_otherwise(&part);
        is_free_to && self.disk.saved == 0
    }

    /// A fault of the file at the final path.
    pub(super) fn fault(&self, verb: &'static str, source: io::Error) -> Fault {
        Fault::Disk {
            verb,
            path: self.path(),
            source,
        }
    }

    /// A fault of the part file.
    pub(super) fn part_fault(&self, verb: &'static str, source: io::Error) -> Fault {
        Fault::Disk {
            verb,
            path: self.folder().path().join(self.disk.part_name()),
            source,
        }
    }

    /// The fault of a part file that another program has changed.
    pub(super) fn changed(&self, verb: &'static str) -> Fault {
        self.part_fault(verb, foreign_change())
    }
}
