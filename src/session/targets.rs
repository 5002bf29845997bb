//! Decides the target of each row, and what happens if a file exists there. `naming` decides the name itself.

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
use crate::sys::{self, Entry, Folder, Stop};

/// The number of names up to which a run records the validators of small files too. In a longer run, small files
/// get no record: writing one takes a fifth of the time of a fetch, and a later run can fetch the file again to
/// compare it.
const NOTED: u64 = 1000;

/// The decision about a row that has a target.
pub(super) enum Placement {
    /// The row starts a download.
    Begin {
        download: Box<Download>,
        /// The file gets another name than the row asked for, because that one is taken.
        is_renamed: bool,
        /// The existing file at the target. It is kept without a transfer if its digests match.
        standing: Option<File>,
    },
    /// The existing file at this path is kept without a request.
    Kept(PathBuf),
}

/// Why a row gets no target.
pub(super) enum Misplaced {
    /// The row itself is invalid, for this reason.
    Row(String),
    /// The disk reports an error, or a file blocks the target.
    Fault(Fault),
}

/// Whether servers may name the files of rows that have no fixed name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerNames {
    Ignored,
    Accepted,
    /// They may, and the run fetches one shard: the names of the rows of other shards are unknown here.
    AcceptedInShard,
}

impl ServerNames {
    fn of(plan: &Plan) -> Self {
        if !plan.is_named_by_server() {
            Self::Ignored
        } else if plan.shard.is_some() {
            Self::AcceptedInShard
        } else {
            Self::Accepted
        }
    }
}

/// Finds the targets of a run's rows.
#[derive(Debug)]
pub(super) struct Targets {
    output: Output,
    exists: Exists,
    server_names: ServerNames,
    /// Whether a header and the URL of the last redirect may name files.
    name_sources: (bool, bool),
    is_newer_only: bool,
    /// A lock file is written: it needs the digests of kept files too.
    has_lock: bool,
    options: Rc<PartOptions>,
    /// Computes the digests of downloads.
    hashing: Hashing,
    /// Ends a wait for the reader of a pipe.
    stop: Stop,
    resume: Resume,
    naming: Naming,
    folders: Folders,
    /// The claim of a row with a free target and a name that may change; most rows share it.
    fresh: Rc<Claim>,
}

impl Targets {
    pub(super) fn new(plan: &Plan, hashing: Hashing, stop: Stop) -> Self {
        Self {
            hashing,
            stop,
            output: plan.output.clone(),
            exists: plan.exists,
            server_names: ServerNames::of(plan),
            name_sources: (plan.takes_names, plan.takes_final_names),
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

    /// Sets how many folders stay open for later rows.
    pub(super) fn keep_folders(&mut self, most: usize) {
        self.folders.keep(most);
    }

    /// Counts a row of any shard, valid or not.
    pub(super) fn count_row(&mut self) {
        self.naming.count_row();
    }

    /// Reserves the name of a row that is not fetched here, because it belongs to another shard or has failed. All
    /// shards must assign the same names. `is_dry` leaves the disk alone.
    pub(super) fn pass_over(&mut self, row: &Row, is_dry: bool) {
        if matches!(self.output, Output::File(_) | Output::ByName) {
            let folders = if is_dry {
                None
            } else {
                Some(&mut self.folders)
            };
            // The shard that fetches the row reports its error.
            let _ = self.naming.name(row, folders);
        }
    }

    /// Copies the file name of the command line into the row, if a list may contain such a name.
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

    /// Predicts the path of a row's file without access to the disk; `None` is standard output.
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

    /// Finds a row's target, and looks for the part file and the state file of an earlier run.
    pub(super) fn assign(&mut self, row: &mut Row) -> Result<Placement, Misplaced> {
        let mut placement = self.find(row)?;
        if let Placement::Begin { download, .. } = &mut placement
            && let Body::File(part) = &mut download.body
            && !part.folder().was_empty()
        {
            let index = match self.resume {
                _ if self.options.is_fragment => part.look_for_leftovers(),
                Resume::Never => part.look_for_leftovers(),
                _ => part.recall(row.urls(), row.has_digests()),
            };
            // An earlier run fetched the bytes from one of the mirrors. That mirror becomes the row's URL: it resumes
            // the download, or says whether the file has changed.
            let known = download.known.as_ref().map(Stored::url_index);
            let index = index.or(known);
            if let Some(mirror) = index.and_then(|index| row.mirrors.get_mut(index.wrapping_sub(1)))
            {
                std::mem::swap(mirror, &mut row.url);
            }
        }
        Ok(placement)
    }

    /// Finds a row's name, and decides what happens to an existing file of that name.
    fn find(&mut self, row: &Row) -> Result<Placement, Misplaced> {
        if self.output == Output::Stdout {
            let stream = Stream::stdout(&self.stop);
            return Ok(self.begin_stream(stream));
        }
        if let Output::Stream(path) = &self.output {
            let stream = Stream::open(path, &self.stop).map_err(Misplaced::Fault)?;
            return Ok(self.begin_stream(stream));
        }
        let named = self.naming.name(row, Some(&mut self.folders))?;
        if self.naming.len() > NOTED && !self.options.is_unnoted {
            Rc::make_mut(&mut self.options).is_unnoted = true;
        }
        let folder = self.folders.open(&named.folder);
        let folder = folder.map_err(|(path, source)| disk("open folder", path, source))?;
        // A name from the command line or a list takes precedence over the server's.
        if self.server_names != ServerNames::Ignored && !named.is_fixed {
            // `take_given_name` checks for an existing file, once the server's name is known.
            let mut placement = self.begin(folder, named);
            if let Placement::Begin { download, .. } = &mut placement {
                (download.takes_name, download.takes_final_name) = self.name_sources;
            }
            return Ok(placement);
        }
        if folder.was_empty() {
            return Ok(self.begin(folder, named));
        }
        let look = folder.entry(&named.name);
        let entry = look.map_err(|source| disk("look at", named.path_in(&folder), source))?;
        let Some(entry) = entry else {
            return Ok(self.begin(folder, named));
        };
        if !named.name.is_ascii()
            && folder.has_changed_since(&entry, self.fresh.since)
            && folder.is_spelt_otherwise(&named.name)
        {
            // Another row of this run made the file, under a spelling that the file system considers equal.
            return if named.is_fixed {
                Err(Misplaced::Fault(Fault::Taken(named.path_in(&folder))))
            } else {
                Ok(self.begin_beside(folder, named))
            };
        }
        if entry.is_folder() && !matches!(self.exists, Exists::Rename | Exists::Error) {
            let source = io::ErrorKind::IsADirectory.into();
            return Err(disk("replace", named.path_in(&folder), source));
        }
        if self.resume == Resume::Vouched && entry.is_file() && !self.options.is_fragment {
            return Ok(self.continue_standing(row, folder, named, &entry));
        }
        match self.exists {
            Exists::Skip if !self.may_be_anothers(row.urls(), &folder, &named.name, &entry) => {
                Ok(Placement::Kept(named.path_in(&folder)))
            }
            Exists::Skip => Ok(self.begin(folder, named)),
            Exists::Error => Err(Misplaced::Fault(Fault::Exists(named.path_in(&folder)))),
            Exists::Overwrite | Exists::Verify => {
                Ok(self.replace_standing(row, folder, named, &entry))
            }
            Exists::Rename => Ok(self.begin_beside(folder, named)),
        }
    }

    /// Begins a download that resumes the file at its final name, because the user vouches for it
    /// ([`Resume::Vouched`]). A file that matches its record or digest is complete already.
    fn continue_standing(
        &self,
        row: &Row,
        folder: Rc<Folder>,
        named: Named,
        entry: &Entry,
    ) -> Placement {
        let (known, file) = if row.has_digests() {
            (None, folder.open(&named.name).ok())
        } else {
            let known = Stored::read(&folder, &named.name, entry, row.urls());
            (known, None)
        };
        let is_renamed = named.is_renamed;
        let part = self.part(folder, named, Some(entry));
        let part = match known {
            // A file with a record is complete, decoded or not.
            Some(_) => part,
            None => part.continuing(entry.size(), &row.url),
        };
        let known = known.filter(|known| known.is_for(self.options.decodes));
        self.begin_with(part, is_renamed, known, file)
    }

    /// Begins a download that replaces the file at its final name. With `--exists verify`, the existing file is kept
    /// if its digests match or the server says that it has not changed.
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
        // An unreadable file is fetched again.
        let file = (is_verified && may_be_it)
            .then(|| folder.open(&named.name).ok())
            .flatten();
        let is_renamed = named.is_renamed;
        let is_anothers = self.may_be_anothers(row.urls(), &folder, &named.name, entry);
        let standing = if is_anothers { None } else { Some(entry) };
        let part = self.part(folder, named, standing);
        self.begin_with(part, is_renamed, known, file)
    }

    /// Whether the existing file may belong to a row of another shard: no record says that it came from one of `urls`.
    fn may_be_anothers<'a>(
        &self,
        urls: impl IntoIterator<Item = &'a Url>,
        folder: &Folder,
        name: &OsStr,
        entry: &Entry,
    ) -> bool {
        self.server_names == ServerNames::AcceptedInShard
            && Stored::read(folder, name, entry, urls).is_none()
    }

    /// The record of an existing file, or one made of its modification time where only newer files are fetched.
    fn known(&self, folder: &Folder, name: &OsStr, entry: &Entry, row: &Row) -> Option<Stored> {
        match Stored::read(folder, name, entry, row.urls()) {
            Some(stored) if !stored.is_for(self.options.decodes) && !stored.is_archive(name) => {
                None
            }
            Some(stored) if self.is_newer_only => Some(stored.unless_newer()),
            Some(stored) => Some(stored),
            None if self.is_newer_only => Stored::by_time(entry),
            None => None,
        }
    }

    /// Waits until the written bytes of incomplete files are synced to the disk.
    pub(super) fn finish_syncing(&self) {
        if let Some(syncing) = &self.options.syncing {
            syncing.finish();
        }
    }

    /// Syncs the file system of the target folder to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.folders.base().map_or(Ok(()), Folder::sync_all)
    }

    /// Begins a download under the first free variant of the row's name.
    fn begin_beside(&mut self, folder: Rc<Folder>, mut named: Named) -> Placement {
        named.name = self.naming.next_free(&named.folder, &named.name, &folder);
        named.is_renamed = true;
        self.begin(folder, named)
    }

    /// Gives a complete body the name that the server chose, or the first free variant of it, and checks for an
    /// existing file there. Returns whether the name differs from the server's.
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
        let is_fixed = self.server_names == ServerNames::AcceptedInShard;
        part.claim(self.claim(standing.as_ref(), is_fixed));
        Ok(is_renamed)
    }

    /// Begins a download to a free name.
    fn begin(&self, folder: Rc<Folder>, named: Named) -> Placement {
        let is_renamed = named.is_renamed;
        let part = self.part(folder, named, None);
        self.begin_with(part, is_renamed, None, None)
    }

    /// The rules for a target, where `standing` is the existing file.
    fn claim(&self, standing: Option<&Entry>, is_fixed: bool) -> Rc<Claim> {
        if standing.is_none() && !is_fixed {
            return Rc::clone(&self.fresh);
        }
        let exists = match self.exists {
            // A file that appears at the target later may belong to another URL. It is kept only if its content is
            // equal, and never replaced.
            Exists::Skip | Exists::Overwrite
                if standing.is_none() && self.server_names == ServerNames::AcceptedInShard =>
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

    /// The part file of a row, where `standing` is the existing file at its final name.
    fn part(&self, folder: Rc<Folder>, named: Named, standing: Option<&Entry>) -> Part {
        let claim = self.claim(standing, named.is_fixed);
        Part::new(folder, named.name, claim, Rc::clone(&self.options))
    }

    /// Begins a download to standard output, a device or a pipe.
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
