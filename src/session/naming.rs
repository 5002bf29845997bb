//! Gives each row a unique name: from the command line, its list, the template or its URL, changed to fit the file
//! system. Rows of other shards are named too, in list order, so that every shard assigns the same names.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};

use super::folders::Folders;
use super::plan::{Output, Plan};
use super::targets::Misplaced;
use crate::download::name::{self, Limits};
use crate::download::{Names, Template};
use crate::list::Row;
use crate::sys::Folder;

/// The number of names held in memory. Beyond it, names go to an unnamed file, which bounds the memory for a list of
/// any length.
const REMEMBERED: u64 = 100_000;

/// The name of a row's file.
pub(super) struct Named {
    /// Relative to the root.
    pub(super) folder: PathBuf,
    pub(super) name: OsString,
    /// The name comes from the command line or the list: the row gets no variant of it.
    pub(super) is_fixed: bool,
    /// The name is a variant, because another row has the one that this row asked for.
    pub(super) is_renamed: bool,
}

impl Named {
    /// The path of the file in its open folder.
    pub(super) fn path_in(&self, folder: &Folder) -> PathBuf {
        folder.path().join(&self.name)
    }

    /// Splits a path into folder and name.
    fn at(path: &Path, is_fixed: bool) -> Self {
        Self {
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            name: path.file_name().unwrap_or_default().to_owned(),
            is_fixed,
            is_renamed: false,
        }
    }
}

/// The names of a run.
#[derive(Debug)]
pub(super) struct Naming {
    output: Output,
    template: Option<Template>,
    names: Names,
    /// Rows counted so far.
    rows: u64,
    /// The limits of names in the target folder, once they have been determined.
    limits: Option<Limits>,
}

impl Naming {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            output: plan.output.clone(),
            template: plan.template.clone(),
            names: Names::default(),
            rows: 0,
            limits: None,
        }
    }

    /// Counts a row of any shard, valid or not: the template's counter depends on it.
    pub(super) fn count_row(&mut self) {
        self.rows += 1;
    }

    /// The number of names taken.
    pub(super) fn len(&self) -> u64 {
        self.names.len()
    }

    /// Reserves a name for a row, or its first free variant if another row has it. Without `folders`, the disk is
    /// not read.
    pub(super) fn name(
        &mut self,
        row: &Row,
        mut folders: Option<&mut Folders>,
    ) -> Result<Named, Misplaced> {
        let mut wanted = self.wanted(row, folders.as_deref_mut())?;
        if self.names.len() == REMEMBERED {
            self.spill(folders.as_deref());
        }
        let Named { folder, name, .. } = &wanted;
        if let Some(folders) = folders
            && !self.names.folds_case()
            && self.names.differs_in_case(folder, name)
            && folders
                .open_base(folder)
                .is_ok_and(|base| base.folds_case())
        {
            self.names.fold_case();
        }
        if self.names.claim(folder, name) {
            return Ok(wanted);
        }
        if row.out.is_some() {
            return Err(Misplaced::Row(format!(
                "an earlier row has the name '{}'",
                folder.join(name).display()
            )));
        }
        wanted.name = self.names.next_free(folder, name, |_| false);
        wanted.is_renamed = true;
        Ok(wanted)
    }

    /// Reserves the first free variant of `name` in a folder: `folder` is its path relative to the root, `opened` its
    /// handle.
    pub(super) fn next_free(&mut self, folder: &Path, name: &OsStr, opened: &Folder) -> OsString {
        self.names
            .next_free(folder, name, |candidate| is_taken(opened, candidate))
    }

    /// Reserves the name that a server gave, or its first free variant. Returns true if the server's name was free.
    pub(super) fn take_given(
        &mut self,
        folder: &Path,
        given: &str,
        folders: &mut Folders,
    ) -> (OsString, bool) {
        let given = self.fit_name(OsString::from(given), Some(folders));
        if self.names.claim(folder, &given) {
            return (given, true);
        }
        (self.names.next_free(folder, &given, |_| false), false)
    }

    /// The name that a row asks for, which another row may have.
    fn wanted(&mut self, row: &Row, mut folders: Option<&mut Folders>) -> Result<Named, Misplaced> {
        if let Output::File(path) = &self.output {
            let path = path.clone();
            let Some(name) = path.file_name() else {
                let why = format!("'{}' does not name a file", path.display());
                return Err(Misplaced::Row(why));
            };
            // The command line chose the folder, and its file system may have other limits than the root's.
            if Limits::matter_to_name(name)
                && let Some(limits) = self.limits(path.parent(), folders)
                && let Some(why) = limits.refuse(Path::new(name))
            {
                return Err(Misplaced::Row(format!("'{}': {why}", path.display())));
            }
            return Ok(Named::at(&path, true));
        }
        let dir = row.options.as_ref().and_then(|options| options.dir.clone());
        let folder = match dir {
            Some(dir) => self.beneath("dir", &dir, folders.as_deref_mut())?,
            None => PathBuf::new(),
        };
        if let Some(out) = &row.out {
            let out = self.beneath("out", out, folders)?;
            return Ok(Named::at(&folder.join(out), true));
        }
        let Some(template) = &self.template else {
            let name = OsString::from(name::from_url(&row.url));
            return Ok(Named {
                folder,
                name: self.fit_name(name, folders),
                is_fixed: false,
                is_renamed: false,
            });
        };
        let path = template.expand(&row.url, self.rows).map_err(|why| {
            Misplaced::Row(format!("cannot name the file by the template: {why}"))
        })?;
        Ok(Named::at(&folder.join(self.fit(path, folders)), false))
    }

    /// Checks a path of a list, which is used unchanged or refused.
    fn beneath(
        &mut self,
        key: &str,
        path: &str,
        folders: Option<&mut Folders>,
    ) -> Result<PathBuf, Misplaced> {
        let path = name::beneath(path).map_err(|why| invalid(key, &why))?;
        if Limits::matter_to(&path)
            && let Some(limits) = self.limits(None, folders)
            && let Some(why) = limits.refuse(&path)
        {
            return Err(invalid(key, &why));
        }
        Ok(path)
    }

    /// Changes a path made from a URL to fit the limits of the target folder.
    fn fit(&mut self, path: PathBuf, folders: Option<&mut Folders>) -> PathBuf {
        if !Limits::matter_to(&path) {
            return path;
        }
        match self.limits(None, folders) {
            Some(limits) => limits.fit(&path),
            None => path,
        }
    }

    /// Changes a base name from a URL or a server to fit the limits of the target folder.
    fn fit_name(&mut self, name: OsString, folders: Option<&mut Folders>) -> OsString {
        if Limits::matter_to_name(&name) {
            self.fit(name.into(), folders).into()
        } else {
            name
        }
    }

    /// The limits of names in the target folder; `None` if they cannot be determined.
    fn limits(&mut self, typed: Option<&Path>, folders: Option<&mut Folders>) -> Option<Limits> {
        if self.limits.is_none() {
            let base = folders?.open_base(typed.unwrap_or(Path::new(""))).ok()?;
            self.limits = Some(Limits {
                takes_special: base.takes(&Limits::special_probe())?,
                longest: base.longest_name()?,
            });
        }
        self.limits
    }

    /// Stores further names in an unnamed file in the target folder, which has room for the downloads, or in the
    /// folder of temporary files. If neither can be created, the names stay in memory.
    fn spill(&mut self, folders: Option<&Folders>) {
        let base = folders.and_then(Folders::base);
        let unnamed = base.and_then(Folder::create_unnamed);
        if let Some(file) = unnamed.or_else(create_temporary) {
            self.names.spill_into(file);
        }
    }
}

/// The error of a row with an invalid option `key`.
fn invalid(key: &str, why: &str) -> Misplaced {
    Misplaced::Row(format!("{key}: {why}"))
}

/// An unnamed file in the folder of temporary files, if one can be created there.
fn create_temporary() -> Option<File> {
    let folder = Folder::make(&std::env::temp_dir(), false).ok()?;
    folder.create_unnamed()
}

/// Whether a file of this name exists. An error counts as free: publishing the file detects the conflict.
fn is_taken(folder: &Folder, name: &OsStr) -> bool {
    matches!(folder.entry(name), Ok(Some(_)))
}
