//! A file while it is incomplete, `NAME.part`, and the rename that completes it. `resume` has what
//! outlives a try or a run.
//!
//! A small body that comes at once never is incomplete: it is written to a file without a name,
//! which then gets the final one.

mod disk;
mod divide;
mod resume;
mod synced;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use url::Url;

use super::message::Message;
use super::{Asked, Exists, SMALL, State, Stored, Syncing, Validators, name};
use crate::error::Fault;
use crate::http::Response;
use crate::sys::{self, Entry, Folder, Identity};
use disk::Disk;
use synced::Synced;

/// A body on its way to a final name. Nothing is created before there is a byte to write, or a
/// whole body without any. What is there when this is dropped without [`Part::finish`] stays if its
/// state was [saved](Part::save), and else is removed.
#[derive(Debug)]
pub struct Part {
    /// The bytes that have come, and their state.
    disk: Disk,
    /// Its syncs, from the first state on.
    synced: Option<Box<Synced>>,
    /// The final name, where that is not the one that the files of the incomplete body are called after.
    given: Option<Box<OsStr>>,
    /// The file that stands at the final name holds the same.
    is_same: bool,
    claim: Rc<Claim>,
    options: Rc<PartOptions>,
    /// Which version of the body it is, and what earlier tries and runs have written.
    state: State,
    /// What the present try has written.
    run: Range<u64>,
    /// The offset behind the last byte that the present answer may have.
    limit: Option<u64>,
    /// The digest of what the present answer has, where that is a part and the answer says what it is.
    message: Option<Box<Message>>,
    /// The part that was asked for, unless the whole was.
    asked: Option<Asked>,
    /// The digests of its pieces prove whatever is put beside what is there.
    is_proven: bool,
    /// Another tool left so many bytes at the final name, and they are to be continued.
    foreign: Option<u64>,
    /// Some of what is there was written before this run.
    is_inherited: bool,
    /// How often the file was another than before, in this run.
    changes: u32,
    /// How far tries that went on with what was there have come when they were counted anew.
    furthest: u64,
    /// The server was found not to send what is asked of it.
    is_unreliable: bool,
    /// Several transfers may bring what is missing; several do.
    is_divisible: bool,
    is_divided: bool,
    is_multiplexed: bool,
    /// The present answer is decoded, so that nothing can be put beside what it brings.
    is_decoded: bool,
    /// What the user has to know of it, until that is reported.
    notice: Option<Notice>,
}

/// What a user has to know of a file that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It was started over, for this reason.
    StartedOver(&'static str),
    /// Something beside its bytes is not as it was asked for.
    Warning(Box<str>),
}

/// What was decided once for all bodies of a run.
#[derive(Debug, Clone, Default)]
pub struct PartOptions {
    /// The thread that syncs what is written of an incomplete body.
    pub syncing: Option<Syncing>,
    /// A complete body gets the server's Last-Modified as its own time.
    pub has_remote_time: bool,
    /// A body is complete only when it and its name are synced to the disk.
    pub is_synced: bool,
    /// Small bodies get no note of their validators: fetching them again costs less than noting very many.
    pub is_unnoted: bool,
    /// Content codings are decoded.
    pub decodes: bool,
    /// The bodies are byte ranges, stored as files: nothing that is known of the whole file holds for them, and no
    /// other run resumes them.
    pub is_fragment: bool,
    /// The user vouches that the bytes on the disk are of the present version: they are continued without proof.
    pub is_vouched: bool,
}

/// What a row may do at its final name: a body never replaces what came there since the run began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What to do about a file that stands there.
    pub exists: Exists,
    /// The file that stood there when the row began: no other is replaced.
    pub standing: Option<Identity>,
    /// When the run began, in nanoseconds since 1970, by [`latest_stamp`](crate::sys::latest_stamp): what was put
    /// there later stays, even if it stood there when the row began. Another row may have put it there under another
    /// spelling, or another process.
    pub since: i128,
    /// The name was typed, or a list gives it: where it is taken, the body fails instead of taking another.
    pub is_fixed: bool,
    /// The body took another name than it was to have, which was taken.
    pub is_renamed: bool,
}

/// The largest file, in bytes, that is compared with one that came to stand at its name: other transfers wait
/// meanwhile.
const COMPARED: u64 = 8 << 20;

/// What became of a complete body.
#[derive(Debug, PartialEq, Eq)]
pub enum Placed {
    /// It stands at its final name.
    There,
    /// A file that stood there was kept, as asked for.
    Kept,
}

impl Part {
    /// A body for `name` in `folder`. `claim` says what to do should that name be taken when the body is complete.
    pub fn new(
        folder: Rc<Folder>,
        name: OsString,
        claim: Rc<Claim>,
        options: Rc<PartOptions>,
    ) -> Self {
        Self {
            disk: Disk::new(folder, name),
            synced: None,
            given: None,
            is_same: false,
            claim,
            options,
            state: State::default(),
            run: 0..0,
            limit: None,
            message: None,
            asked: None,
            is_proven: false,
            foreign: None,
            is_inherited: false,
            changes: 0,
            furthest: 0,
            is_unreliable: false,
            is_divisible: false,
            is_divided: false,
            is_multiplexed: false,
            is_decoded: false,
            notice: None,
        }
    }

    /// The final name.
    pub fn name(&self) -> &OsStr {
        self.given.as_deref().unwrap_or(self.disk.stem())
    }

    /// The final path.
    pub fn path(&self) -> PathBuf {
        self.folder().path().join(self.name())
    }

    /// The entity tag of the body, as far as it is known.
    pub(super) fn etag(&self) -> Option<&str> {
        self.state.validators.etag.as_deref()
    }

    /// The folder that it goes to.
    pub fn folder(&self) -> &Rc<Folder> {
        &self.disk.folder
    }

    /// How many bytes of it are there, from the first on without a gap.
    pub(in crate::download) fn written(&self) -> u64 {
        let frontier = self.state.ranges.frontier();
        if self.run.start <= frontier {
            frontier.max(self.run.end)
        } else {
            frontier
        }
    }

    /// The file that has the bytes which have come, for a thread that reads them; `None` where they stand in no file
    /// with a name. It is the same descriptor: a second one would take errors of close(2) with it.
    pub(in crate::download) fn reader(&self) -> Option<Arc<File>> {
        self.disk.named().cloned()
    }

    fn fault(&self, verb: &'static str, source: io::Error) -> Fault {
        Fault::Disk {
            verb,
            path: self.path(),
            source,
        }
    }

    /// Takes note of the head of a whole body, and forgets what was written before. One that
    /// `is_coded` will be decoded: nothing says how long it will be.
    pub(super) fn begin(&mut self, response: &Response, is_coded: bool) -> Result<(), Fault> {
        let validators = Validators::of(response);
        let known = self.size_known_of(response, &validators);
        self.start_over(&validators)?;
        self.state.validators = validators;
        self.is_decoded = is_coded;
        self.limit = known.filter(|_| !is_coded);
        let size = response.content_length().or(known);
        self.state.size = size.filter(|_| !is_coded);
        self.is_same = false;
        Ok(())
    }

    /// The same for an answer that has the part alone that is wanted.
    pub(super) fn begin_fragment(&mut self, response: &Response) -> Result<(), Fault> {
        self.begin(response, false)?;
        self.message = Message::of(response, 0);
        let range = response.content_range();
        self.limit = range.map(|range| range.last - range.first + 1);
        self.state.size = self.limit.or(self.state.size);
        Ok(())
    }

    /// Takes note of the name that its server gives it.
    pub(super) fn note_given_name(&mut self, given: Option<String>) {
        self.state.given_name = given;
    }

    /// The name that its server gave it, in this run or an earlier one, made safe.
    pub fn given_name(&self) -> Option<String> {
        self.state.given_name.as_deref().map(name::safe)
    }

    /// Appends to the body.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let length = bytes.len() as u64;
        let is_short = self.disk.file().is_none() && !self.disk.has_leftover() && length <= SMALL;
        if is_short
            && self.message.is_none()
            && self.state.size == Some(length)
            && self.write_whole(bytes)?
        {
            return Ok(());
        }
        let at = self.run.end;
        if self.limit.is_some_and(|limit| length > limit - at) {
            return Err(Fault::BadRange("it is longer than it says"));
        }
        let file = self.create_uncut(at)?;
        let mut written = 0;
        let result = loop {
            match sys::write_at(file, &bytes[written..], at + written as u64) {
                Ok(0) if written < bytes.len() => break Err(ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if written == bytes.len() {
                break Ok(());
            }
        };
        // Of a write that failed, what came before is on the disk: another run need not fetch it again.
        self.run.end += written as u64;
        result.map_err(|error| self.fault("write", error))?;
        if self.state.size != Some(self.run.end) {
            self.disk.claim();
        }
        if let Some(message) = &mut self.message {
            message.update(bytes);
            self.judge_message()?;
        }
        Ok(())
    }

    /// Writes a small body that came at once; false where that has to go the long way.
    fn write_whole(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        if self.claim.standing.is_some() {
            self.is_same =
                self.claim.exists == Exists::Verify && self.folder().holds(self.name(), bytes);
            if self.is_same {
                self.run.end = bytes.len() as u64;
            }
            return Ok(self.is_same);
        }
        let is_written = self.disk.write_unnamed(bytes);
        let is_written = is_written.map_err(|error| self.fault("write", error))?;
        if is_written {
            self.run.end = bytes.len() as u64;
        }
        Ok(is_written)
    }

    /// The file and the offset in it, for bytes that are moved there from outside.
    pub(super) fn target(&mut self) -> Result<(BorrowedFd<'_>, u64), Fault> {
        let at = self.run.end;
        self.create_uncut(at)?;
        self.disk.claim();
        Ok((self.create()?.as_fd(), at))
    }

    /// Creates the partial file for several transfers while a try writes it.
    ///
    /// # Errors
    /// It cannot be created, or another program has cut it. Nothing is discarded: the try under way would write its
    /// next bytes at a wrong offset. Its own next write fails, and discards.
    pub(super) fn create_shared(&mut self) -> Result<(), Fault> {
        let at = self.run.end;
        if is_cut(self.create()?, at) {
            return Err(self.changed("write"));
        }
        self.disk.claim();
        Ok(())
    }

    /// So many bytes were moved, or could not be.
    pub(super) fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        self.run.end += result.map_err(|error| self.fault("write", error))? as u64;
        Ok(())
    }

    /// The partial file, created if there is none.
    fn create(&mut self) -> Result<&Arc<File>, Fault> {
        if self.disk.named().is_none() {
            let created = self.create_part();
            created.map_err(|source| self.part_fault("create", source))?;
        }
        match self.disk.named() {
            Some(file) => Ok(file),
            None => Err(self.part_fault("create", ErrorKind::NotFound.into())),
        }
    }

    /// The partial file, for what belongs at `at`: all before is still there.
    fn create_uncut(&mut self, at: u64) -> Result<&File, Fault> {
        if is_cut(self.create()?, at) {
            self.discard();
            return Err(self.changed("write"));
        }
        self.create().map(|file| &**file)
    }

    fn part_fault(&self, verb: &'static str, source: io::Error) -> Fault {
        Fault::Disk {
            verb,
            path: self.folder().path().join(self.disk.part_name()),
            source,
        }
    }

    /// Puts the complete body, which came from `url`, at its final name, by one atomic step.
    ///
    /// # Errors
    /// [`Fault::Disk`], [`Fault::Exists`] where something stands there and that was to be an error, or [`Fault::Taken`]
    /// where it came there since the run began, and the body may have no other name.
    pub fn finish(&mut self, url: &Url) -> Result<Placed, Fault> {
        if self.is_same {
            return Ok(Placed::Kept);
        }
        if let Some(file) = self.disk.unnamed().cloned() {
            if !self.options.is_unnoted {
                self.note(&file, sys::latest_stamp(), url);
            }
            self.seal(&file)?;
            match self.folder().link(&file, self.name()) {
                Ok(()) => {
                    self.disk.release();
                    self.sync_name()?;
                    return Ok(Placed::There);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                // A sandbox or an old kernel: it gets its name by a rename.
                Err(_) => self.folder().do_without_unnamed(),
            }
        }
        self.finish_named(url)
    }

    /// Notes the validators with a file that is complete since a time; false if there is nothing to note.
    fn note(&self, file: &File, completed: i128, url: &Url) -> bool {
        let size = self.state.ranges.end().max(self.run.end);
        let validators = &self.state.validators;
        match Stored::note(url, validators, self.is_decoded, size, completed) {
            Some(note) if !self.options.is_fragment => sys::note(file, &note),
            _ => false,
        }
    }

    /// Gives a whole file its time, and makes sure that its bytes have arrived, on the disk too as far as that was
    /// asked for: before it has its name.
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
        let arrived = synced.and_then(|()| self.folder().flush(file));
        arrived.map_err(|error| {
            // Which of the bytes are lost is not known.
            self.discard();
            self.fault("write", error)
        })
    }

    /// Has the name that the file was given reach the disk, as far as that was asked for.
    fn sync_name(&self) -> Result<(), Fault> {
        if !self.options.is_synced {
            return Ok(());
        }
        self.folder()
            .sync()
            .map_err(|error| self.fault("sync the folder of", error))
    }

    fn finish_named(&mut self, url: &Url) -> Result<Placed, Fault> {
        self.create()?;
        let stamp = self.look_whether_ours()?;
        let file = Arc::clone(self.create()?);
        // A file that was looked at is stamped by a finer clock than others (Linux 6.13), and
        // this one may have been.
        let is_noted = self.note(&file, stamp, url);
        self.seal(&file)?;
        if self.options.is_synced || self.folder().closes_late() {
            // That may have taken long.
            self.look_whether_ours()?;
        }
        let part = self.disk.part_name();
        let placed = match self.folder().rename(&part, self.name()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.finish_over(&part)?,
            Err(error) => return Err(self.fault("rename to", error)),
            Ok(()) => Placed::There,
        };
        // One that stays is found to have no part.
        let _ = self.disk.remove_state();
        if placed == Placed::There {
            if !is_noted {
                // Until now a run that was killed had to find it to be gannet's.
                self.disk.unmark(&file);
            }
            self.disk.release();
            self.sync_name()?;
        }
        Ok(placed)
    }

    /// Checks that `NAME.part` is still the file that was written, and as long: what another program
    /// has put in its place, or has cut, is not what is renamed. Gives when it was written last.
    fn look_whether_ours(&mut self) -> Result<i128, Fault> {
        let size = self.state.ranges.end().max(self.run.end);
        let intact = self.disk.intact(size);
        match intact.map_err(|source| self.part_fault("look at", source))? {
            Some(entry) => Ok(entry.modified()),
            None => {
                self.discard();
                Err(self.changed("complete"))
            }
        }
    }

    fn changed(&self, verb: &'static str) -> Fault {
        self.part_fault(verb, foreign_change())
    }

    /// Something stands at the final name of a complete body: replaces it, keeps it, or takes another name.
    fn finish_over(&mut self, part: &OsStr) -> Result<Placed, Fault> {
        let entry = self.folder().entry(self.name());
        let Some(entry) = entry.map_err(|error| self.fault("look at", error))? else {
            // It has gone meanwhile.
            self.look_whether_ours()?;
            let moved = self.folder().rename(part, self.name());
            moved.map_err(|error| self.fault("rename to", error))?;
            return Ok(Placed::There);
        };
        // It may be the file of another row, whose name differs in case.
        let is_own = || !self.folder().is_spelt_otherwise(self.name());
        match self.claim.exists {
            Exists::Verify | Exists::Overwrite if self.may_replace(&entry) => {
                self.look_whether_ours()?;
                let replaced = self.folder().replace(part, self.name());
                replaced.map_err(|error| self.fault("rename to", error))?;
                return Ok(Placed::There);
            }
            Exists::Verify if self.is_equal(entry.size()) => return Ok(Placed::Kept),
            Exists::Skip if is_own() => return Ok(Placed::Kept),
            Exists::Error if is_own() => return Err(Fault::Exists(self.path())),
            Exists::Rename => {}
            _ if self.claim.is_fixed => return Err(Fault::Taken(self.path())),
            _ => {}
        }
        self.finish_beside(part)?;
        Ok(Placed::There)
    }

    /// Whether what stands at the final name stood there when the row began, and since before the run.
    fn may_replace(&self, entry: &Entry) -> bool {
        self.claim.standing == Some(entry.identity())
            && !self.folder().has_changed_since(entry, self.claim.since)
    }

    /// Whether a file of `size` bytes at the final name holds what the body does. Only small ones are compared.
    fn is_equal(&self, size: u64) -> bool {
        let Some(file) = self.disk.named() else {
            return false;
        };
        let is_as_large = file.metadata().is_ok_and(|found| found.len() == size);
        if size > COMPARED || !is_as_large {
            return false;
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0).is_ok() && self.folder().holds(self.name(), &bytes)
    }

    /// Takes the first of `name.1`, `name.2`… that nothing has.
    fn finish_beside(&mut self, part: &OsStr) -> Result<(), Fault> {
        for number in 1_u64.. {
            let mut candidate = self.name().to_owned();
            candidate.push(name::numbered("", number));
            self.look_whether_ours()?;
            match self.folder().rename(part, &candidate) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.fault("rename to", error)),
                Ok(()) => {
                    self.given = Some(candidate.into());
                    Rc::make_mut(&mut self.claim).is_renamed = true;
                    return Ok(());
                }
            }
        }
        Err(self.fault("rename to", ErrorKind::AlreadyExists.into()))
    }

    /// Whether it took another name than it was to have, which was taken.
    pub fn is_renamed(&self) -> bool {
        self.claim.is_renamed
    }

    /// What may be done at the final name is known now: the server gave it, or might have given another.
    pub fn claim(&mut self, claim: Rc<Claim>) {
        self.claim = claim;
    }

    /// No file stands at the final name any more that may be replaced.
    fn nothing_stands(&mut self) {
        Rc::make_mut(&mut self.claim).standing = None;
    }

    /// Gives the body another final name. Until it is complete its files stay where they are: what stands under the
    /// other name with `.part` belongs to another row or run.
    pub fn take_name(&mut self, name: OsString) {
        self.given = Some(name.into());
    }

    /// Creates the partial file. Where another one is being written at its name, that is another row's, whose name the
    /// file system takes for this one, or every number is as good: this one is called after the next number.
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
}

/// Whether bytes before `at` are missing that were written: to write on would leave a hole, and
/// nobody could tell.
pub(super) fn is_cut(file: &File, at: u64) -> bool {
    at > 0 && file.metadata().is_ok_and(|found| found.len() < at)
}

/// Why a file that another program has changed is not written, or not completed.
pub(super) fn foreign_change() -> io::Error {
    io::Error::other("another program has changed it")
}
