//! An incomplete file, `NAME.part`, and the rename that publishes it. `resume` owns what outlives a try or a run.
//!
//! A small body that arrives in one piece never has a part file: it is written to a file without a name, which is then
//! linked to the final name.

mod attempt;
mod disk;
mod divide;
mod reliability;
mod resume;
mod synced;
mod target;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use url::Url;

use super::answer::is_page;
use super::message::Message;
use super::{Exists, SMALL, State, Stored, Syncing, Validators, full_range, name};
use crate::error::Fault;
use crate::http::Response;
use crate::sys::{self, Folder, Identity};
use attempt::Attempt;
pub use reliability::Reliability;
use synced::Synced;
use target::PartTarget;

/// The largest body, in bytes, that is compared with the file that it would replace, and kept as that file if it is
/// equal: other transfers wait during the comparison.
const KEPT: u64 = 1 << 20;

/// The largest file, in bytes, that is compared with a body because it appeared at its name during the run.
const COMPARED: u64 = 8 << 20;

/// A body that is being fetched to a final name. No file is created before the first byte is written; an empty body
/// creates its file when it is complete. Dropping this without [`Part::finish`] keeps the part file if its state was
/// [saved](Part::save), and removes it otherwise.
#[derive(Debug)]
pub struct Part {
    /// The final name, and the files of the body until it has that name.
    target: PartTarget,
    /// The syncs of the part file; created when the first state is written.
    synced: Option<Box<Synced>>,
    options: Rc<PartOptions>,
    /// The version of the body, and the ranges that earlier tries and runs have written.
    state: State,
    /// The current try and its response.
    attempt: Attempt,
    /// What was learnt of the server.
    reliability: Reliability,
    /// The digests of the pieces verify every byte, so that a range needs no matching validator.
    is_proven: bool,
    /// The size of an incomplete file that another tool left at the final name and that this download continues.
    foreign: Option<u64>,
    /// Some of the bytes were written before this run.
    is_inherited: bool,
    /// The highest offset that a resumed try has reached, when progress was last counted.
    furthest: u64,
    /// The missing ranges were divided among several transfers.
    is_divided: bool,
    /// A message for the user that is not reported yet.
    notice: Option<Notice>,
}

/// A message for the user about a file that is still being fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The file is fetched again from its first byte, for this reason.
    StartedOver(&'static str),
    /// Something other than the bytes is not as requested, for example the modification time.
    Warning(Box<str>),
}

/// The options that all bodies of a run share.
#[derive(Debug, Clone, Default)]
pub struct PartOptions {
    /// The thread that syncs part files.
    pub syncing: Option<Syncing>,
    /// A complete file gets the server's Last-Modified as its modification time.
    pub has_remote_time: bool,
    /// A file is complete only once its bytes and its name are synced to the disk.
    pub is_synced: bool,
    /// Small files get no record of their validators: in a long run, writing many records costs more than fetching the
    /// files again.
    pub is_unnoted: bool,
    /// Content codings are decoded.
    pub decodes: bool,
    /// The bodies are byte ranges, stored as files: what is known of the full file does not apply to them, and no
    /// other run resumes them.
    pub is_fragment: bool,
    /// The user asserts that the bytes on the disk are of the current version: they are resumed without a validator.
    pub is_vouched: bool,
}

/// What a row may do at its final name. A body never replaces a file that appeared there after the run began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What to do about a file that exists at that name.
    pub exists: Exists,
    /// The file that existed there when the row began: no other file is replaced.
    pub standing: Option<Identity>,
    /// When the run began, in nanoseconds since 1970, by [`latest_stamp`](crate::sys::latest_stamp). A file that
    /// appeared later is kept, even if it existed when the row began: another row, under another spelling of the name,
    /// or another process may have created it.
    pub since: i128,
    /// The name was typed or comes from a list: if it is taken, the body fails instead of using another name.
    pub is_fixed: bool,
    /// The intended name was taken, so the body got another one.
    pub is_renamed: bool,
}

/// What became of a complete body.
#[derive(Debug, PartialEq, Eq)]
pub enum Placed {
    /// The body has its final name.
    There,
    /// The existing file was kept, as requested.
    Kept,
}

impl Part {
    /// A body for `name` in `folder`. `claim` says what to do if that name is taken when the body is complete.
    pub fn new(
        folder: Rc<Folder>,
        name: OsString,
        claim: Rc<Claim>,
        options: Rc<PartOptions>,
    ) -> Self {
        Self {
            target: PartTarget::new(folder, name, claim),
            synced: None,
            options,
            state: State::default(),
            attempt: Attempt::default(),
            reliability: Reliability::default(),
            is_proven: false,
            foreign: None,
            is_inherited: false,
            furthest: 0,
            is_divided: false,
            notice: None,
        }
    }

    /// The final name.
    pub fn name(&self) -> &OsStr {
        self.target.name()
    }

    /// The final path.
    pub fn path(&self) -> PathBuf {
        self.target.path()
    }

    /// The entity tag of the body, if it is known.
    pub(super) fn etag(&self) -> Option<&str> {
        self.state.validators.etag.as_deref()
    }

    /// The folder of the final name.
    pub fn folder(&self) -> &Rc<Folder> {
        self.target.folder()
    }

    /// The written frontier: how many bytes are written from the first one on without a gap.
    pub(in crate::download) fn written(&self) -> u64 {
        let frontier = self.state.ranges.frontier();
        let run = self.attempt.landing.run();
        if run.start <= frontier {
            frontier.max(run.end)
        } else {
            frontier
        }
    }

    /// The part file, for a thread that reads it; `None` if the bytes are in no named file. The descriptor is shared:
    /// closing a second one would consume errors that only close(2) reports.
    pub(in crate::download) fn reader(&self) -> Option<Arc<File>> {
        self.target.disk.named().cloned()
    }

    /// Accepts the head of a full response, and discards what was written before. The length of an `is_coded` body is
    /// unknown, because it will be decoded.
    pub(super) fn begin(&mut self, response: &Response, is_coded: bool) -> Result<(), Fault> {
        let validators = Validators::of(response);
        let known = full_range(response).or_else(|| self.size_known_of(response, &validators));
        self.start_over(&validators)?;
        self.reliability.has_sent = true;
        self.reliability.request_ranges();
        self.state.validators = validators;
        self.state.is_page = is_page(response);
        self.attempt.is_decoded = is_coded;
        (self.attempt.landing.limit, self.state.size) = if is_coded {
            (None, None)
        } else {
            (known, response.content_length().or(known))
        };
        self.attempt.is_same = false;
        Ok(())
    }

    /// Accepts the head of a response that holds the requested fragment, which is stored as a file. `size` is that of
    /// the fragment, if it is known.
    pub(super) fn begin_fragment(
        &mut self,
        response: &Response,
        size: Option<u64>,
    ) -> Result<(), Fault> {
        self.begin(response, false)?;
        self.attempt.landing.message = Message::of(response, 0);
        self.attempt.landing.limit = size;
        self.state.size = self.attempt.landing.limit.or(self.state.size);
        Ok(())
    }

    /// Stores the name that the server gives the file.
    pub(super) fn note_given_name(&mut self, given: Option<String>) {
        self.state.given_name = given;
    }

    /// The name that the server gave the file in this run or an earlier one, made safe.
    pub fn given_name(&self) -> Option<String> {
        self.state.given_name.as_deref().map(name::safe)
    }

    /// Appends to the body.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let length = bytes.len() as u64;
        let is_short = self.target.disk.file().is_none()
            && !self.target.disk.has_leftover()
            && length <= SMALL;
        if is_short
            && self.attempt.landing.message.is_none()
            && self.state.size == Some(length)
            && self.write_whole(bytes)?
        {
            return Ok(());
        }
        self.attempt.landing.check_room(length)?;
        self.create_uncut()?;
        self.target.create()?;
        if self.state.size != Some(self.attempt.landing.next() + length) {
            self.target.disk.claim();
        }
        let file = self.target.create()?;
        let written = self.attempt.landing.write(file, bytes);
        written.map_err(|error| self.target.fault("write", error))?;
        let judged = self.attempt.landing.judge(bytes);
        judged.map_err(|spoilt| self.count_spoilt(spoilt))
    }

    /// Writes a small body that arrived in one piece to a file without a name, or compares it with the existing file.
    /// Returns false if it needs a part file instead.
    fn write_whole(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        if self.target.claim.standing.is_some() {
            self.attempt.is_same = self.target.claim.exists == Exists::Verify
                && self.target.folder().holds(self.target.name(), bytes);
            if self.attempt.is_same {
                self.attempt.landing.advance(bytes.len() as u64);
            }
            return Ok(self.attempt.is_same);
        }
        let is_written = self.target.disk.write_unnamed(bytes);
        let is_written = is_written.map_err(|error| self.target.fault("write", error))?;
        if is_written {
            self.attempt.landing.advance(bytes.len() as u64);
        }
        Ok(is_written)
    }

    /// The part file and the write offset, for bytes that are spliced into it.
    pub(super) fn target(&mut self) -> Result<(BorrowedFd<'_>, u64), Fault> {
        self.create_uncut()?;
        self.target.disk.claim();
        Ok((self.target.create()?.as_fd(), self.attempt.landing.next()))
    }

    /// Creates the part file that several transfers will share, while a try still writes it.
    ///
    /// # Errors
    /// It cannot be created, or another program has truncated it. Nothing is discarded, because the current try would
    /// then write its next bytes at a wrong offset. The try's own next write fails and discards the bytes.
    pub(super) fn create_shared(&mut self) -> Result<(), Fault> {
        if is_cut(self.target.create()?, self.attempt.landing.next()) {
            return Err(self.target.changed("write"));
        }
        self.target.disk.claim();
        Ok(())
    }

    /// Counts bytes that were spliced into the part file, or fails.
    pub(super) fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        let moved = result.map_err(|error| self.target.fault("write", error))?;
        self.attempt.landing.advance(moved as u64);
        Ok(())
    }

    /// Creates the part file for the next write. Fails and discards the bytes if another program truncated it.
    fn create_uncut(&mut self) -> Result<(), Fault> {
        if is_cut(self.target.create()?, self.attempt.landing.next()) {
            self.discard();
            return Err(self.target.changed("write"));
        }
        Ok(())
    }

    /// Publishes the complete body, which was fetched from `url`, in one atomic step.
    ///
    /// # Errors
    /// [`Fault::Disk`]; [`Fault::Exists`] if a file exists and that is requested to be an error; [`Fault::Taken`] if a
    /// file appeared during the run and the body may not use another name.
    pub fn finish(&mut self, url: &Url) -> Result<Placed, Fault> {
        if self.attempt.is_same {
            self.note_standing(url);
            return Ok(Placed::Kept);
        }
        if let Some(file) = self.target.disk.unnamed().cloned() {
            if !self.options.is_unnoted {
                self.note(&file, sys::latest_stamp(), url);
            }
            self.seal(&file)?;
            match self.target.folder().link(&file, self.target.name()) {
                Ok(()) => {
                    self.target.disk.release();
                    self.sync_name()?;
                    return Ok(Placed::There);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                // A sandbox or an old kernel refuses the link: the file is published by a rename.
                Err(_) => self.target.folder().do_without_unnamed(),
            }
        }
        self.finish_named(url)
    }

    /// Stores the record of a file that was completed at `completed`; returns false if there is nothing to store.
    fn note(&self, file: &File, completed: i128, url: &Url) -> bool {
        let size = self.state.ranges.end().max(self.attempt.landing.next());
        let validators = &self.state.validators;
        match Stored::note(url, validators, self.attempt.is_decoded, size, completed) {
            Some(note) if !self.options.is_fragment => sys::note(file, &note),
            _ => false,
        }
    }

    /// Stores the record of the file at the final name, which equals the body, if it is this user's to write and has
    /// not changed since the row began.
    fn note_standing(&self, url: &Url) {
        let (folder, name) = (self.target.folder(), self.target.name());
        let Ok(file) = folder.open(name) else { return };
        if let Ok(Some(entry)) = folder.entry_of(name, &file)
            && self.target.may_replace(&entry)
            && entry.is_own_and_writable()
        {
            // A stamp in the future would hide later changes.
            let completed = entry.modified().min(sys::latest_stamp());
            self.note(&file, completed, url);
        }
    }

    /// Sets the modification time of a complete file and flushes its bytes, to the disk if requested, before it gets
    /// its final name.
    fn seal(&mut self, file: &File) -> Result<(), Fault> {
        if self.options.has_remote_time
            && let Some(modified) = self.state.validators.modified()
            && let Err(error) = file.set_modified(modified)
        {
            let warning = format!("it cannot have the server's time: {error}");
            self.notice = Some(Notice::Warning(warning.into()));
        }
        let synced = if self.options.is_synced {
            sys::sync(file)
        } else {
            Ok(())
        };
        let arrived = synced.and_then(|()| self.target.folder().flush(file));
        arrived.map_err(|error| {
            // It is unknown which bytes are lost.
            self.discard();
            self.target.fault("write", error)
        })
    }

    /// Syncs the file's name to the disk, if requested.
    fn sync_name(&self) -> Result<(), Fault> {
        if !self.options.is_synced {
            return Ok(());
        }
        self.target
            .folder()
            .sync()
            .map_err(|error| self.target.fault("sync the folder of", error))
    }

    fn finish_named(&mut self, url: &Url) -> Result<Placed, Fault> {
        self.target.create()?;
        let stamp = self.check_intact()?;
        let file = Arc::clone(self.target.create()?);
        // The stamp comes from the file: after a stat, the kernel stamps it with a finer clock than other files (Linux
        // 6.13).
        let is_noted = self.note(&file, stamp, url);
        self.seal(&file)?;
        if self.options.is_synced || self.target.folder().closes_late() {
            // The flush may have taken long enough for another program to interfere.
            self.check_intact()?;
        }
        let part = self.target.disk.part_name();
        let placed = match self.target.folder().rename(&part, self.target.name()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.finish_over(&part, url)?
            }
            Err(error) => return Err(self.target.fault("rename to", error)),
            Ok(()) => Placed::There,
        };
        // If the removal fails, a later run finds a state without a part file and ignores it.
        let _ = self.target.disk.remove_state();
        if placed == Placed::There {
            if !is_noted {
                // Until now the mark was needed: after a kill, it shows that the part file belongs to gannet.
                self.target.disk.unmark(&file);
            }
            self.target.disk.release();
            self.sync_name()?;
        }
        Ok(placed)
    }

    /// Checks that `NAME.part` is still the written file and has its full length, so that a file that another program
    /// replaced or truncated is not published. Returns its modification time.
    fn check_intact(&mut self) -> Result<i128, Fault> {
        let size = self.state.ranges.end().max(self.attempt.landing.next());
        let intact = self.target.disk.intact(size);
        match intact.map_err(|source| self.target.part_fault("look at", source))? {
            Some(entry) => Ok(entry.modified()),
            None => {
                self.discard();
                Err(self.target.changed("complete"))
            }
        }
    }

    /// The final name of a complete body is taken: replaces the file, keeps it, or uses another name.
    fn finish_over(&mut self, part: &OsStr, url: &Url) -> Result<Placed, Fault> {
        let entry = self.target.folder().entry(self.target.name());
        let Some(entry) = entry.map_err(|error| self.target.fault("look at", error))? else {
            // The file was removed in the meantime.
            self.check_intact()?;
            let moved = self.target.folder().rename(part, self.target.name());
            moved.map_err(|error| self.target.fault("rename to", error))?;
            return Ok(Placed::There);
        };
        let may_replace = self.target.may_replace(&entry);
        match self.target.claim.exists {
            Exists::Verify if may_replace && self.target.is_equal(entry.size(), KEPT) => {
                self.note_standing(url);
                return Ok(Placed::Kept);
            }
            Exists::Verify | Exists::Overwrite if may_replace => {
                self.check_intact()?;
                let replaced = self.target.folder().replace(part, self.target.name());
                replaced.map_err(|error| self.target.fault("rename to", error))?;
                return Ok(Placed::There);
            }
            Exists::Verify if self.target.is_equal(entry.size(), COMPARED) => {
                return Ok(Placed::Kept);
            }
            Exists::Skip if self.target.is_spelt_alike() => return Ok(Placed::Kept),
            Exists::Error if self.target.is_spelt_alike() => {
                return Err(Fault::Exists(self.target.path()));
            }
            Exists::Rename => {}
            _ if self.target.claim.is_fixed => return Err(Fault::Taken(self.target.path())),
            _ => {}
        }
        self.finish_beside(part)?;
        Ok(Placed::There)
    }

    /// Publishes the body under the first free name of `name.1`, `name.2`, …
    fn finish_beside(&mut self, part: &OsStr) -> Result<(), Fault> {
        for number in 1_u64.. {
            let mut candidate = self.target.name().to_owned();
            candidate.push(name::numbered("", number));
            self.check_intact()?;
            match self.target.folder().rename(part, &candidate) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.target.fault("rename to", error)),
                Ok(()) => {
                    self.target.take_other_name(candidate);
                    return Ok(());
                }
            }
        }
        Err(self
            .target
            .fault("rename to", ErrorKind::AlreadyExists.into()))
    }

    /// Whether the body got another name because the intended one was taken.
    pub fn is_renamed(&self) -> bool {
        self.target.claim.is_renamed
    }

    /// Sets what may be done at the final name, once the server's head decides that name.
    pub fn claim(&mut self, claim: Rc<Claim>) {
        self.target.claim = claim;
    }

    /// Gives the body another final name. The part file keeps its name until then: the part file of the new name may
    /// belong to another row or run.
    pub fn take_name(&mut self, name: OsString) {
        self.target.take_name(name);
    }
}

/// Whether another program has truncated a file below `at`. Writing on would leave a hole of zeros that goes
/// unnoticed.
pub(super) fn is_cut(file: &File, at: u64) -> bool {
    at > 0 && file.metadata().is_ok_and(|found| found.len() < at)
}

/// The error for a file that another program has changed.
pub(super) fn foreign_change() -> io::Error {
    io::Error::other("another program has changed it")
}
