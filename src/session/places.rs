//! Which file each row becomes: its folder, its name, and what to do about a file that is there already.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::plan::{Durability, Output, Plan, Resume};
use crate::download::name::{self, Names};
use crate::download::{
    Body, Care, Download, Exists, Hashing, Part, Stored, Stream, Syncing, Template,
};
use crate::error::Fault;
use crate::list::Row;
use crate::sys::{self, Entry, Folder};

/// Names of finished files that are remembered. Beyond that the disk remembers: a file that changed
/// after this many were known was made by this run. So the longest list takes no more memory than
/// one of this length.
const REMEMBERED: usize = 100_000;

/// Files of a run whose validators are noted however small they are. In a longer run a small body
/// goes without: noting it costs a fifth of fetching it, and fetching it again tells as well
/// whether it is the same.
const NOTED: usize = 1000;

/// Where a row goes.
pub(super) enum Placement {
    /// It is to be fetched; another row may have had its name.
    Begin {
        download: Box<Download>,
        is_renamed: bool,
        /// A file that stands there already: it is kept if its digests are right.
        standing: Option<File>,
    },
    /// A file is there and is kept without asking.
    Kept(PathBuf),
}

/// Why a row has no place.
pub(super) enum Misplaced {
    /// The row asks for what it may not have.
    Row(String),
    /// The disk, or what stands on it, is against it.
    Fault(Fault),
}

/// The places of a run.
#[derive(Debug)]
pub(super) struct Places {
    root: PathBuf,
    output: Output,
    exists: Exists,
    takes_names: bool,
    is_newer_only: bool,
    /// What is kept is to be known as well as what is fetched.
    has_lock: bool,
    care: Care,
    template: Option<Template>,
    /// Rows so far.
    rows: u64,
    /// Who computes the digests of downloads.
    hashing: Hashing,
    resume: Resume,
    /// Codings are undone.
    decodes: bool,
    /// Parts alone are wanted, as files of their own.
    is_of_parts: bool,
    names: Names,
    /// When more names were known than are remembered, by the clock that stamps files.
    forgets_since: Option<i128>,
    base: Option<Rc<Folder>>,
    folders: HashMap<PathBuf, Rc<Folder>>,
    /// How many of them are kept open at most, beside the run's own.
    kept_folders: usize,
}

/// A folder relative to the root, and a name in it.
type Wanted = (PathBuf, OsString);

impl Places {
    pub(super) fn new(plan: &Plan, hashing: Hashing) -> Self {
        Self {
            hashing,
            root: plan.dir.clone(),
            output: plan.output.clone(),
            exists: plan.exists,
            // A lock file has the names.
            takes_names: plan.takes_names && !plan.is_locked,
            is_newer_only: plan.is_newer_only,
            has_lock: plan.lock.is_some(),
            care: Care {
                syncing: Some(match plan.hashing_threads {
                    Some(0) => Syncing::inline(),
                    _ => Syncing::default(),
                }),
                has_remote_time: plan.has_remote_time,
                is_synced: plan.durability == Durability::File,
            },
            resume: plan.resume,
            decodes: plan.request.decoding.is_some(),
            is_of_parts: plan.range.is_some(),
            template: plan.template.clone(),
            rows: 0,
            names: Names::default(),
            forgets_since: None,
            base: None,
            folders: HashMap::new(),
            kept_folders: 0,
        }
    }

    /// Keeps so many folders open for rows to come.
    pub(super) fn keep_folders(&mut self, most: usize) {
        self.kept_folders = most;
    }

    /// Has a row know the name that was typed for its file, as far as a list could have it.
    pub(super) fn tell_typed(&self, row: &mut Row) {
        let Output::File(path) = &self.output else {
            return;
        };
        let names = [path.to_str(), path.file_name().and_then(OsStr::to_str)];
        let mut names = names.into_iter().flatten();
        row.out = names
            .find(|name| name::beneath(name).is_ok())
            .map(str::to_owned);
    }

    /// Where a row would go, without a look at the disk; `None` is standard output.
    pub(super) fn foresee(&mut self, row: &Row) -> Result<Option<PathBuf>, Misplaced> {
        match &self.output {
            Output::Stdout => return Ok(None),
            Output::Stream(path) => return Ok(Some(path.clone())),
            Output::File(_) | Output::ByName => {}
        }
        let (folder, wanted) = self.wanted(row)?;
        let (name, _) = self.claim(row, &folder, wanted)?;
        let path = folder.join(name);
        if self.forgets_since.is_some() {
            // No file will remember it: rows that are so far apart are not told apart.
            self.names.release(&path);
        }
        Ok(Some(self.root.join(path)))
    }

    /// Finds a row's place, and looks for what an earlier run has left of its body.
    pub(super) fn place(&mut self, row: &mut Row) -> Result<Placement, Misplaced> {
        let mut placement = self.find(row)?;
        if let Placement::Begin { download, .. } = &mut placement
            && let Body::File(part) = &mut download.body
            && !part.folder().was_empty()
        {
            let place = match self.resume {
                _ if self.is_of_parts => part.look_for_leftovers(),
                Resume::Never => part.look_for_leftovers(),
                _ => part.recall(row.urls(), row.has_digests()),
            };
            // What is there came from one of the mirrors: it goes on with that one, or that one is asked whether the
            // file is still the same.
            let known = download.known.as_ref().map(Stored::place);
            let place = place.or(known);
            if let Some(mirror) = place.and_then(|place| row.mirrors.get_mut(place.wrapping_sub(1)))
            {
                std::mem::swap(mirror, &mut row.url);
            }
        }
        Ok(placement)
    }

    /// Finds a row's name, and decides what to do about a file that stands there.
    fn find(&mut self, row: &Row) -> Result<Placement, Misplaced> {
        if self.output == Output::Stdout {
            let stream = Stream::stdout();
            return Ok(self.begin_stream(stream));
        }
        if let Output::Stream(path) = &self.output {
            let stream = Stream::open(path).map_err(Misplaced::Fault)?;
            return Ok(self.begin_stream(stream));
        }
        let (relative, wanted) = self.wanted(row)?;
        let (name, is_renamed) = self.claim(row, &relative, wanted)?;
        let folder = self.folder(&relative);
        let folder = folder.map_err(|(path, source)| disk("open folder", path, source))?;
        // A name that was typed, or that a list gives, goes before one that a server gives.
        if self.takes_names && row.out.is_none() && self.output == Output::ByName {
            // What stands at the name that the server will give is seen to when that is known.
            let mut placement = self.begin(folder, name, is_renamed);
            if let Placement::Begin { download, .. } = &mut placement {
                download.takes_name = true;
            }
            return Ok(placement);
        }
        if folder.was_empty() && self.forgets_since.is_none() {
            return Ok(self.begin(folder, name, is_renamed));
        }
        let path = || folder.path().join(&name);
        let look = folder.entry(&name);
        let entry = look.map_err(|source| disk("look at", path(), source))?;
        let Some(entry) = entry else {
            return Ok(self.begin(folder, name, is_renamed));
        };
        if self
            .forgets_since
            .is_some_and(|since| entry.changed() >= since)
        {
            // Another row of this run made it.
            return Ok(self.begin_beside(folder, &relative.join(name)));
        }
        if entry.is_folder() && !matches!(self.exists, Exists::Rename | Exists::Error) {
            return Err(disk("replace", path(), io::ErrorKind::IsADirectory.into()));
        }
        if self.resume == Resume::Vouched && entry.is_file() && !self.is_of_parts {
            return Ok(self.continue_standing(row, folder, name, is_renamed, &entry));
        }
        match self.exists {
            Exists::Skip => Ok(Placement::Kept(path())),
            Exists::Error => Err(Misplaced::Fault(Fault::Exists(path()))),
            Exists::Overwrite | Exists::Verify => {
                Ok(self.replace_standing(row, folder, name, is_renamed, &entry))
            }
            Exists::Rename => Ok(self.begin_beside(folder, &relative.join(name))),
        }
    }

    /// Begins a download that continues the file at its final name, for which the user vouches. One
    /// that is known or has a digest is complete if it is right.
    fn continue_standing(
        &self,
        row: &Row,
        folder: Rc<Folder>,
        name: OsString,
        is_renamed: bool,
        entry: &Entry,
    ) -> Placement {
        let has_digests = row.has_digests();
        let known = Stored::read(&folder, &name, entry, row.urls()).filter(|_| !has_digests);
        let file = folder.open(&name).ok().filter(|_| has_digests);
        let part = Part::new(folder, name, self.exists).standing();
        let part = match known {
            // What is known is whole, in whatever form.
            Some(_) => part,
            None => part.continuing(entry.size(), &row.url),
        };
        let known = known.filter(|known| known.is_for(self.decodes));
        self.begin_with(part, is_renamed, known, file)
    }

    /// Begins a download that replaces the file at its final name, unless that may be kept and turns
    /// out to be the same.
    fn replace_standing(
        &self,
        row: &Row,
        folder: Rc<Folder>,
        name: OsString,
        is_renamed: bool,
        entry: &Entry,
    ) -> Placement {
        let is_verified = self.exists == Exists::Verify;
        let has_digests = row.has_digests();
        let size = row.options.as_ref().and_then(|options| options.size);
        let has_size = size.is_none_or(|size| size == entry.size());
        let may_be_it = has_size && (has_digests || self.has_lock);
        let may_be_known = is_verified && !self.is_of_parts;
        let known = (may_be_known && has_size && !has_digests)
            .then(|| self.known(&folder, &name, entry, row))
            .flatten();
        // What cannot be read is fetched anew.
        let file = (is_verified && may_be_it)
            .then(|| folder.open(&name).ok())
            .flatten();
        let part = Part::new(folder, name, self.exists).standing();
        self.begin_with(part, is_renamed, known, file)
    }

    /// What is known of a file that stands there.
    fn known(&self, folder: &Folder, name: &OsStr, entry: &Entry, row: &Row) -> Option<Stored> {
        let by_time = || self.is_newer_only.then(|| Stored::by_time(entry)).flatten();
        let stored = Stored::read(folder, name, entry, row.urls());
        if stored
            .as_ref()
            .is_some_and(|stored| !stored.is_for(self.decodes))
        {
            return None;
        }
        let stored = stored.map(|stored| {
            if self.is_newer_only {
                stored.unless_newer()
            } else {
                stored
            }
        });
        stored.or_else(by_time)
    }

    /// Waits until what was written of incomplete files is synced to the disk.
    pub(super) fn finish_syncing(&self) {
        if let Some(syncing) = &self.care.syncing {
            syncing.finish();
        }
    }

    /// Has everything that stands in the target folder, and the rest of its file system, reach the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.base.as_ref().map_or(Ok(()), |base| base.sync_all())
    }

    /// Begins a download under the first free name like that of `path`, which is relative to the root.
    fn begin_beside(&mut self, folder: Rc<Folder>, path: &Path) -> Placement {
        let free = self
            .names
            .next_free(path, |candidate| is_taken(&folder, candidate));
        let name = free.file_name().unwrap_or_default().to_owned();
        self.begin(folder, name, true)
    }

    /// Takes note that a file stands at its final name, or never will.
    pub(super) fn done_with(&mut self, part: &Part) {
        if self.forgets_since.is_some() {
            let path = part.path();
            self.names
                .release(path.strip_prefix(&self.root).unwrap_or(&path));
        }
    }

    /// Has a complete body take the name that the server gave, or the first free one like it.
    pub(super) fn take_given_name(&mut self, part: &mut Part, given: &str) -> bool {
        if part.name() == given {
            return false;
        }
        let relative = part
            .folder()
            .path()
            .strip_prefix(&self.root)
            .unwrap_or(Path::new(""))
            .to_owned();
        let path = relative.join(given);
        let is_free = self.names.claim(&path);
        let path = if is_free {
            path
        } else {
            self.names.next_free(&path, |_| false)
        };
        part.take_name(path.file_name().unwrap_or_default().to_owned());
        !is_free
    }

    /// Begins a download whose final name is free.
    fn begin(&self, folder: Rc<Folder>, name: OsString, is_renamed: bool) -> Placement {
        self.begin_with(Part::new(folder, name, self.exists), is_renamed, None, None)
    }

    fn begin_stream(&self, stream: Stream) -> Placement {
        Placement::Begin {
            download: Box::new(Download::new(Body::Stream(stream), &self.hashing)),
            is_renamed: false,
            standing: None,
        }
    }

    fn begin_with(
        &self,
        part: Part,
        is_renamed: bool,
        known: Option<Stored>,
        standing: Option<File>,
    ) -> Placement {
        let is_many = self.names.len() > NOTED;
        let part = if is_many {
            part.without_small_notes()
        } else {
            part
        };
        let part = if self.resume == Resume::Vouched {
            part.vouched()
        } else {
            part
        };
        let part = if self.decodes { part.decoding() } else { part };
        let part = if self.is_of_parts {
            part.fragment()
        } else {
            part
        };
        let part = part.with_care(self.care.clone());
        let mut download = Box::new(Download::new(Body::File(Box::new(part)), &self.hashing));
        download.known = known;
        Placement::Begin {
            download,
            is_renamed,
            standing,
        }
    }

    /// The folder and name that a row asks for.
    fn wanted(&mut self, row: &Row) -> Result<Wanted, Misplaced> {
        self.rows += 1;
        if let Output::File(path) = &self.output {
            let Some(name) = path.file_name() else {
                return Err(Misplaced::Row(format!(
                    "'{}' does not name a file",
                    path.display()
                )));
            };
            return Ok((
                path.parent().map(Path::to_owned).unwrap_or_default(),
                name.to_owned(),
            ));
        }
        let beneath = |key: &str, path: &str| {
            name::beneath(path).map_err(|why| Misplaced::Row(format!("{key}: {why}")))
        };
        let mut folder = match row
            .options
            .as_ref()
            .and_then(|options| options.dir.as_deref())
        {
            Some(dir) => beneath("dir", dir)?,
            None => PathBuf::new(),
        };
        let out = match (&row.out, &self.template) {
            (Some(out), _) => beneath("out", out)?,
            (None, None) => return Ok((folder, name::from_url(&row.url).into())),
            (None, Some(template)) => template
                .expand(&row.url, self.rows)
                .map_err(|why| Misplaced::Row(format!("--name: {why}")))?,
        };
        folder.extend(out.parent());
        Ok((folder, out.file_name().unwrap_or_default().to_owned()))
    }

    /// Takes a name for a row; where another row of the batch has it, the first free one like it.
    fn claim(
        &mut self,
        row: &Row,
        folder: &Path,
        name: OsString,
    ) -> Result<(OsString, bool), Misplaced> {
        if self.names.len() >= REMEMBERED {
            self.forgets_since.get_or_insert_with(sys::earliest_stamp);
        }
        let path = folder.join(&name);
        if self.names.claim(&path) {
            return Ok((name, false));
        }
        if row.out.is_some() {
            return Err(Misplaced::Row(format!(
                "an earlier row has the name '{}'",
                path.display()
            )));
        }
        let free = self.names.next_free(&path, |_| false);
        Ok((free.file_name().unwrap_or_default().to_owned(), true))
    }

    /// Opens a folder relative to the root, or finds it open.
    fn folder(&mut self, relative: &Path) -> Result<Rc<Folder>, (PathBuf, io::Error)> {
        let typed = matches!(self.output, Output::File(_));
        let base = match &self.base {
            Some(base) => Rc::clone(base),
            None => {
                // What was typed may lead anywhere; what a list says stays beneath the root.
                let path = if typed {
                    self.root.join(relative)
                } else {
                    self.root.clone()
                };
                let base = Rc::new(
                    Folder::make(&path, self.care.is_synced).map_err(|error| (path, error))?,
                );
                Rc::clone(self.base.insert(base))
            }
        };
        if typed || relative.as_os_str().is_empty() {
            return Ok(base);
        }
        if let Some(folder) = self.folders.get(relative) {
            return Ok(Rc::clone(folder));
        }
        let folder = base
            .make_beneath(relative)
            .map_err(|error| (self.root.join(relative), error))?;
        let folder = Rc::new(folder);
        if self.folders.len() >= self.kept_folders {
            self.folders.clear();
        }
        if self.kept_folders > 0 {
            self.folders.insert(relative.to_owned(), Rc::clone(&folder));
        }
        Ok(folder)
    }
}

fn disk(verb: &'static str, path: PathBuf, source: io::Error) -> Misplaced {
    Misplaced::Fault(Fault::Disk { verb, path, source })
}

/// Whether something has a name on the disk; where that cannot be told, it is taken for free and the rename will tell.
fn is_taken(folder: &Folder, candidate: &Path) -> bool {
    candidate
        .file_name()
        .is_some_and(|name| matches!(folder.entry(name), Ok(Some(_))))
}
