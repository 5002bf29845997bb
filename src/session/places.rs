//! Which file each row becomes, and what to do about one that stands at its name already. `naming` has the names.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use url::Url;

use super::folders::Folders;
use super::naming::{Named, Naming};
use super::plan::{Durability, Output, Plan, Resume};
use crate::download::name;
use crate::download::{
    Body, Claim, Download, Exists, Hashing, Part, PartOptions, Stored, Stream, Syncing,
};
use crate::error::Fault;
use crate::list::Row;
use crate::sys::{self, Entry, Folder};

/// Files of a run whose validators are noted however small they are. In a longer run a small body
/// goes without: noting it costs a fifth of fetching it, and fetching it again tells as well
/// whether it is the same.
const NOTED: u64 = 1000;

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
    output: Output,
    exists: Exists,
    takes_names: bool,
    is_newer_only: bool,
    /// What is kept is to be known as well as what is fetched.
    has_lock: bool,
    options: Rc<PartOptions>,
    /// Who computes the digests of downloads.
    hashing: Hashing,
    resume: Resume,
    /// The list is shared: the names of other workers' rows are not known where servers give them.
    is_shared: bool,
    naming: Naming,
    folders: Folders,
    /// What most rows may do: nothing stands at their names.
    fresh: Rc<Claim>,
}

impl Places {
    pub(super) fn new(plan: &Plan, hashing: Hashing) -> Self {
        Self {
            hashing,
            output: plan.output.clone(),
            exists: plan.exists,
            // A lock file has the names.
            takes_names: plan.takes_names && !plan.is_locked,
            is_newer_only: plan.is_newer_only,
            has_lock: plan.lock.is_some(),
            options: Rc::new(PartOptions {
                syncing: Some(match plan.hashing_threads {
                    Some(0) => Syncing::inline(),
                    _ => Syncing::default(),
                }),
                has_remote_time: plan.has_remote_time,
                is_synced: plan.durability == Durability::File,
                is_unnoted: false,
                decodes: plan.request.decoding.is_some(),
                is_fragment: plan.range.is_some(),
                is_vouched: plan.resume == Resume::Vouched,
            }),
            resume: plan.resume,
            is_shared: plan.shard.is_some(),
            naming: Naming::new(plan),
            folders: Folders::new(plan),
            fresh: Rc::new(Claim {
                exists: plan.exists,
                standing: None,
                since: sys::latest_stamp(),
                is_fixed: false,
                is_renamed: false,
            }),
        }
    }

    /// Keeps so many folders open for rows to come.
    pub(super) fn keep_folders(&mut self, most: usize) {
        self.folders.keep(most);
    }

    /// Counts a row that was read, of whatever share, and whether it can be read or not.
    pub(super) fn count_row(&mut self) {
        self.naming.count_row();
    }

    /// Takes the name of a row that gets no file here: another worker gives the row that name, or it would have had it.
    /// `is_dry`: the disk is not looked at.
    pub(super) fn pass_over(&mut self, row: &Row, is_dry: bool) {
        if matches!(self.output, Output::File(_) | Output::ByName) {
            let folders = Some(&mut self.folders).filter(|_| !is_dry);
            // What is wrong with it is told where it is fetched.
            let _ = self.naming.name(row, folders);
        }
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
        let named = self.naming.name(row, None)?;
        let path = named.folder.join(named.name);
        Ok(Some(self.folders.root().join(path)))
    }

    /// Finds a row's place, and looks for what an earlier run has left of its body.
    pub(super) fn place(&mut self, row: &mut Row) -> Result<Placement, Misplaced> {
        let mut placement = self.find(row)?;
        if let Placement::Begin { download, .. } = &mut placement
            && let Body::File(part) = &mut download.body
            && !part.folder().was_empty()
        {
            let place = match self.resume {
                _ if self.options.is_fragment => part.look_for_leftovers(),
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
        let named = self.naming.name(row, Some(&mut self.folders))?;
        if self.naming.len() > NOTED && !self.options.is_unnoted {
            Rc::make_mut(&mut self.options).is_unnoted = true;
        }
        let folder = self.folders.open(&named.folder);
        let folder = folder.map_err(|(path, source)| disk("open folder", path, source))?;
        // A name that was typed, or that a list gives, goes before one that a server gives.
        if self.takes_names && !named.is_fixed {
            // What stands at the name that the server will give is seen to when that is known.
            let mut placement = self.begin(folder, named);
            if let Placement::Begin { download, .. } = &mut placement {
                download.takes_name = true;
            }
            return Ok(placement);
        }
        if folder.was_empty() {
            return Ok(self.begin(folder, named));
        }
        let path = || folder.path().join(&named.name);
        let look = folder.entry(&named.name);
        let entry = look.map_err(|source| disk("look at", path(), source))?;
        let Some(entry) = entry else {
            return Ok(self.begin(folder, named));
        };
        if !named.name.is_ascii()
            && folder.has_changed_since(&entry, self.fresh.since)
            && folder.is_spelt_otherwise(&named.name)
        {
            // Another row of this run made it, whose name the file system takes for this one.
            return if named.is_fixed {
                Err(Misplaced::Fault(Fault::Taken(path())))
            } else {
                Ok(self.begin_beside(folder, named))
            };
        }
        if entry.is_folder() && !matches!(self.exists, Exists::Rename | Exists::Error) {
            return Err(disk("replace", path(), io::ErrorKind::IsADirectory.into()));
        }
        if self.resume == Resume::Vouched && entry.is_file() && !self.options.is_fragment {
            return Ok(self.continue_standing(row, folder, named, &entry));
        }
        match self.exists {
            Exists::Skip if !self.may_be_anothers(row.urls(), &folder, &named.name, &entry) => {
                Ok(Placement::Kept(path()))
            }
            Exists::Skip => Ok(self.begin(folder, named)),
            Exists::Error => Err(Misplaced::Fault(Fault::Exists(path()))),
            Exists::Overwrite | Exists::Verify => {
                Ok(self.replace_standing(row, folder, named, &entry))
            }
            Exists::Rename => Ok(self.begin_beside(folder, named)),
        }
    }

    /// Begins a download that continues the file at its final name, for which the user vouches. One
    /// that is known or has a digest is complete if it is right.
    fn continue_standing(
        &self,
        row: &Row,
        folder: Rc<Folder>,
        named: Named,
        entry: &Entry,
    ) -> Placement {
        let has_digests = row.has_digests();
        let known = Stored::read(&folder, &named.name, entry, row.urls()).filter(|_| !has_digests);
        let file = folder.open(&named.name).ok().filter(|_| has_digests);
        let is_renamed = named.is_renamed;
        let part = self.part(folder, named, Some(entry));
        let part = match known {
            // What is known is whole, in whatever form.
            Some(_) => part,
            None => part.continuing(entry.size(), &row.url),
        };
        let known = known.filter(|known| known.is_for(self.options.decodes));
        self.begin_with(part, is_renamed, known, file)
    }

    /// Begins a download that replaces the file at its final name, unless that may be kept and turns
    /// out to be the same.
    fn replace_standing(
        &self,
        row: &Row,
        folder: Rc<Folder>,
        named: Named,
        entry: &Entry,
    ) -> Placement {
        let is_verified = self.exists == Exists::Verify;
        let has_digests = row.has_digests();
        let size = row.options.as_ref().and_then(|options| options.size);
        let has_size = size.is_none_or(|size| size == entry.size());
        let may_be_it = has_size && (has_digests || self.has_lock);
        let may_be_known = is_verified && !self.options.is_fragment;
        let known = (may_be_known && has_size && !has_digests)
            .then(|| self.known(&folder, &named.name, entry, row))
            .flatten();
        // What cannot be read is fetched anew.
        let file = (is_verified && may_be_it)
            .then(|| folder.open(&named.name).ok())
            .flatten();
        let is_renamed = named.is_renamed;
        let is_anothers = self.may_be_anothers(row.urls(), &folder, &named.name, entry);
        let part = self.part(folder, named, Some(entry).filter(|_| !is_anothers));
        self.begin_with(part, is_renamed, known, file)
    }

    /// Whether servers give names that other workers' rows take, unforeseen.
    fn has_unforeseen_names(&self) -> bool {
        self.is_shared && self.takes_names
    }

    /// Whether what stands at a name may be the file of another worker's row: it is not known to be of these URLs.
    fn may_be_anothers<'a>(
        &self,
        urls: impl IntoIterator<Item = &'a Url>,
        folder: &Folder,
        name: &OsStr,
        entry: &Entry,
    ) -> bool {
        self.has_unforeseen_names() && Stored::read(folder, name, entry, urls).is_none()
    }

    /// What is known of a file that stands there.
    fn known(&self, folder: &Folder, name: &OsStr, entry: &Entry, row: &Row) -> Option<Stored> {
        let by_time = || self.is_newer_only.then(|| Stored::by_time(entry)).flatten();
        let stored = Stored::read(folder, name, entry, row.urls());
        if stored
            .as_ref()
            .is_some_and(|stored| !stored.is_for(self.options.decodes))
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
        if let Some(syncing) = &self.options.syncing {
            syncing.finish();
        }
    }

    /// Has everything that stands in the target folder, and the rest of its file system, reach the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.folders.base().map_or(Ok(()), Folder::sync_all)
    }

    /// Begins a download under the first free name like the one that the row asked for.
    fn begin_beside(&mut self, folder: Rc<Folder>, mut named: Named) -> Placement {
        named.name = self.naming.next_free(&named.folder, &named.name, &folder);
        named.is_renamed = true;
        self.begin(folder, named)
    }

    /// Decides where a complete body goes whose server may name it: has it take the name that the server gave, or the
    /// first free one like it, and looks at what stands there. Says whether it got another name than it was given.
    pub(super) fn take_given_name(
        &mut self,
        part: &mut Part,
        given: Option<&str>,
        url: &Url,
    ) -> Result<bool, Fault> {
        let mut is_renamed = false;
        if let Some(given) = given.filter(|given| part.name() != *given) {
            let root = self.folders.root();
            let folder = part.folder().path().strip_prefix(root);
            let folder = folder.unwrap_or(Path::new("")).to_owned();
            let (name, is_free) = self.naming.take_given(&folder, given, &mut self.folders);
            part.take_name(name);
            is_renamed = !is_free;
        }
        let folder = Rc::clone(part.folder());
        let entry = if folder.was_empty() {
            None
        } else {
            folder.entry(part.name()).map_err(|source| Fault::Disk {
                verb: "look at",
                path: part.path(),
                source,
            })?
        };
        let standing =
            entry.filter(|entry| !self.may_be_anothers([url], &folder, part.name(), entry));
        part.claim(self.claim(standing.as_ref(), self.is_shared));
        Ok(is_renamed)
    }

    /// Begins a download whose final name is free.
    fn begin(&self, folder: Rc<Folder>, named: Named) -> Placement {
        let is_renamed = named.is_renamed;
        let part = self.part(folder, named, None);
        self.begin_with(part, is_renamed, None, None)
    }

    /// What may be done at a name at which a file stands or none.
    fn claim(&self, standing: Option<&Entry>, is_fixed: bool) -> Rc<Claim> {
        if standing.is_none() && !is_fixed {
            return Rc::clone(&self.fresh);
        }
        let exists = match self.exists {
            // What comes to stand there may be of another URL: neither kept for this one's nor replaced, unless it
            // holds the same.
            Exists::Skip | Exists::Overwrite
                if standing.is_none() && self.has_unforeseen_names() =>
            {
                Exists::Verify
            }
            exists => exists,
        };
        Rc::new(Claim {
            exists,
            standing: standing.map(Entry::identity),
            is_fixed,
            ..*self.fresh
        })
    }

    /// The body of a row, at whose name a file stands or none.
    fn part(&self, folder: Rc<Folder>, named: Named, standing: Option<&Entry>) -> Part {
        let claim = self.claim(standing, named.is_fixed);
        Part::new(folder, named.name, claim, Rc::clone(&self.options))
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
        let mut download = Box::new(Download::new(Body::File(Box::new(part)), &self.hashing));
        download.known = known;
        Placement::Begin {
            download,
            is_renamed,
            standing,
        }
    }
}

fn disk(verb: &'static str, path: PathBuf, source: io::Error) -> Misplaced {
    Misplaced::Fault(Fault::Disk { verb, path, source })
}
