//! The target folders of rows: created if missing, opened once, and kept open for later rows.

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
    /// The command line gave the path of the file, which may lead outside the root. The paths of a list stay beneath
    /// the root.
    is_typed: bool,
    /// The names of new folders are synced to the disk.
    syncs: bool,
    /// The root, or the folder of the file on the command line.
    base: Option<Rc<Folder>>,
    /// Other open folders, by their paths relative to the root.
    open: HashMap<PathBuf, Rc<Folder>>,
    /// The most entries of `open`.
    most: usize,
}

/// The path of a folder that cannot be opened, and the reason.
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

    /// Sets how many folders stay open for later rows, beside the base.
    pub(super) fn keep(&mut self, most: usize) {
        self.most = most;
    }

    /// The path of the target folder: every row's folder is this one or beneath it.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The base folder, if it is open.
    pub(super) fn base(&self) -> Option<&Folder> {
        self.base.as_deref()
    }

    /// Opens the base folder: the root or, if the command line named the file, its folder, `relative` to the root.
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

    /// Opens a folder relative to the root, unless it is open already.
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
