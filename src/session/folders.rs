//! The folders that rows go to: opened once, made where they are missing, and kept open for rows to come.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::plan::{Durability, Output, Plan};
use crate::sys::Folder;

/// The folders of a run.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    /// The path of the file was typed: it may lead anywhere. What a list says stays beneath the root.
    is_typed: bool,
    /// The names of those that are made are synced to the disk.
    syncs: bool,
    base: Option<Rc<Folder>>,
    open: HashMap<PathBuf, Rc<Folder>>,
    /// How many are kept open at most, beside the run's own.
    most: usize,
}

/// Why a folder cannot be opened, and which.
pub(super) type NoFolder = (PathBuf, io::Error);

impl Folders {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            root: plan.dir.clone(),
            is_typed: matches!(plan.output, Output::File(_)),
            syncs: plan.durability == Durability::File,
            base: None,
            open: HashMap::new(),
            most: 0,
        }
    }

    /// Keeps so many folders open for rows to come.
    pub(super) fn keep(&mut self, most: usize) {
        self.most = most;
    }

    /// The folder that all rows go to, or beneath it.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The run's own folder, if it is open.
    pub(super) fn base(&self) -> Option<&Folder> {
        self.base.as_deref()
    }

    /// Opens the run's own folder: the root, or that of a file that was typed, which is `relative` to it.
    pub(super) fn open_base(&mut self, relative: &Path) -> Result<Rc<Folder>, NoFolder> {
        if let Some(base) = &self.base {
            return Ok(Rc::clone(base));
        }
        let path = if self.is_typed {
            self.root.join(relative)
        } else {
            self.root.clone()
        };
        let base = Rc::new(Folder::make(&path, self.syncs).map_err(|error| (path, error))?);
        Ok(Rc::clone(self.base.insert(base)))
    }

    /// Opens a folder relative to the root, or finds it open.
    pub(super) fn open(&mut self, relative: &Path) -> Result<Rc<Folder>, NoFolder> {
        let base = self.open_base(relative)?;
        if self.is_typed || relative.as_os_str().is_empty() {
            return Ok(base);
        }
        if let Some(folder) = self.open.get(relative) {
            return Ok(Rc::clone(folder));
        }
        let folder = base
            .make_beneath(relative)
            .map_err(|error| (self.root.join(relative), error))?;
        let folder = Rc::new(folder);
        if self.open.len() >= self.most {
            self.open.clear();
        }
        if self.most > 0 {
            self.open.insert(relative.to_owned(), Rc::clone(&folder));
        }
        Ok(folder)
    }
}
