//! What of a body outlives a try or a run: which part is asked for next, which answer continues
//! what is there, and the state beside it on the disk.

use std::io::{self, ErrorKind};

use url::Url;

use super::disk::FOREIGN;
use super::synced::Synced;
use super::{Notice, Part};
use crate::download::message::Message;
use crate::download::{Asked, Ranges, Source, State, Validators, WORTH_A_TRY};
use crate::error::Fault;
use crate::http::{Field, Response};
use crate::sys;

/// How often a file may be another than before in one run; then it is given up.
pub(super) const MOST_CHANGES: u32 = 2;

/// From so many bytes on a body is worth a state before the others get theirs.
const MUCH: u64 = 1 << 20;

/// What is cut off a body, in bytes, so that its state has room on a full disk.
const CUT: u64 = 256 * 1024;

impl Part {
    /// Continues a file of `size` bytes that another tool has left at the final name, and that is to come from `url`.
    pub fn continuing(mut self, size: u64, url: &Url) -> Self {
        self.foreign = Some(size).filter(|size| *size > 0);
        self.state.source = Source::of(url);
        self
    }

    /// Looks for what an earlier run has left, and gives which of `urls` it came from.
    /// `has_digest`: a digest of the whole is asked for.
    pub fn recall<'u>(
        &mut self,
        urls: impl IntoIterator<Item = &'u Url>,
        has_digest: bool,
    ) -> Option<usize> {
        let fitting = self.look()?.and_then(|state| {
            let mut urls = urls.into_iter().map(Source::of);
            let place = urls.position(|source| source == state.source);
            match place {
                None => Err("its state is of another URL"),
                Some(_) if state.is_mixed && !has_digest => {
                    Err("several mirrors have brought it, and no digest is asked for now")
                }
                Some(_) if self.options.decodes && state.validators.encoding.is_some() => {
                    Err("it is coded, and is to be decoded now")
                }
                Some(place) => Ok((place, state)),
            }
        });
        match fitting {
            Ok((place, state)) => {
                self.foreign = None;
                self.state = state;
                Some(place)
            }
            Err(why) => {
                self.notice = Some(Notice::StartedOver(why));
                None
            }
        }
    }

    /// Looks whether an earlier run has left anything, none of which is to be gone on with: a body
    /// that comes at once is not to leave it lying beside its file. Gives the place of no URL.
    pub fn look_for_leftovers(&mut self) -> Option<usize> {
        drop(self.look());
        None
    }

    fn look(&mut self) -> Option<super::disk::Earlier> {
        let (earlier, is_aside) = self.disk.look();
        if is_aside {
            self.notice = Some(Notice::Warning(FOREIGN.into()));
        }
        earlier
    }

    /// Decides what to ask for next, after whatever has come so far. Gives the request fields for a
    /// part, none for the whole.
    pub fn ask(&mut self) -> Vec<Field> {
        self.settle();
        self.message = None;
        // That is for the next answer to say.
        self.is_divisible = false;
        self.asked = if self.is_unreliable {
            None
        } else if let Some(start) = self.foreign {
            Some(Asked { start, end: None })
        } else if self.is_proven || self.can_resume() {
            // With all bytes there, the last one is asked for again: the answer says whether they are still right.
            let most = self.state.size.unwrap_or(u64::MAX).saturating_sub(1);
            let start = self.state.ranges.frontier().min(most);
            let end = self.first_gap_end();
            Some(Asked { start, end }).filter(|_| !self.state.ranges.is_empty())
        } else {
            None
        };
        let validators = &self.state.validators;
        self.asked
            .map_or_else(Vec::new, |asked| asked.fields(validators))
    }

    /// Where the first gap ends, if there is anything behind it.
    fn first_gap_end(&self) -> Option<u64> {
        let size = self.state.size?;
        let gap = self.state.ranges.gaps(size).next()?;
        Some(gap.end).filter(|end| *end < size)
    }

    /// Whether a part was asked for.
    pub(in crate::download) fn has_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// The offset of the first byte that was asked for.
    pub fn start(&self) -> u64 {
        self.asked.map_or(0, |asked| asked.start)
    }

    /// Takes note of the head of a part that continues what is there.
    pub(in crate::download) fn append(&mut self, response: &Response) -> Result<(), Fault> {
        let Some(asked) = self.asked else {
            return Err(crate::error::Malformed::Unasked(response.status).into());
        };
        let range = asked.check(
            &self.state,
            response,
            self.options.is_vouched || self.is_proven,
        )?;
        if self.foreign.is_none() {
            self.open()?;
        }
        self.state.size = range.total;
        if self.state.validators == Validators::default() {
            self.state.validators = Validators::of(response);
        }
        if let Some(size) = self.foreign {
            let name = self.name().to_owned();
            let adopted = self.disk.adopt(&name, size, &mut self.state);
            // Where that fails, it stands there still, for the next try.
            adopted.map_err(|source| self.fault("continue", source))?;
            self.foreign = None;
            self.nothing_stands();
            self.is_inherited = true;
        }
        self.run = asked.start..asked.start;
        self.limit = Some(range.last + 1);
        self.message = Message::of(response, asked.start);
        Ok(())
    }

    /// Whether every byte of the present answer has to be seen.
    pub(in crate::download) fn has_message(&self) -> bool {
        self.message.is_some()
    }

    /// Whether the present answer is what it said it is, once it is whole; else what it brought counts as missing.
    pub(super) fn judge_message(&mut self) -> Result<(), Fault> {
        if self.limit != Some(self.run.end) {
            return Ok(());
        }
        let Some(message) = self.message.take() else {
            return Ok(());
        };
        let (start, end) = (message.start(), self.run.end);
        message.finish().inspect_err(|_| {
            self.settle();
            self.state.ranges.remove(start..end);
            self.run = start..start;
            self.unclaim();
        })
    }

    /// Something that a state on the disk may claim will be written again: the state is replaced or removed before.
    pub(in crate::download) fn unclaim(&mut self) {
        self.reset_synced();
        let is_claimed = self.disk.saved > 0;
        self.disk.saved = u64::MAX;
        let may_claim = is_claimed && self.can_resume() && !self.state.ranges.is_empty();
        if !may_claim || self.write_state().is_err() || self.disk.saved == u64::MAX {
            // Without a state the part has to come again: that is a loss, but no wrong file.
            let _ = self.disk.remove_state();
        }
    }

    /// Bytes of the whole, where the server said.
    pub(in crate::download) fn size(&self) -> Option<u64> {
        self.state.size
    }

    /// How long a whole body has to be that ends with its connection, where an earlier answer has
    /// said so of the same version: nothing else tells it from one that was cut.
    pub(super) fn size_known_of(&self, response: &Response, theirs: &Validators) -> Option<u64> {
        let is_known = self.asked.is_some()
            && response.ends_with_connection()
            && self.state.validators.prove(theirs);
        self.state.size.filter(|_| is_known)
    }

    /// Has what was written forgotten, if it was: the answer that follows is a whole body.
    pub(super) fn start_over(&mut self, theirs: &Validators) -> Result<(), Fault> {
        self.settle();
        if self.asked.take().is_some() {
            let has_changed = self.state.validators.contradict(theirs);
            self.notice = Some(Notice::StartedOver(if has_changed {
                "the file changed on the server"
            } else {
                "the server sends no parts"
            }));
            self.count_change(has_changed)?;
        }
        self.foreign = None;
        self.forget()
    }

    /// Checks that an answer to a request for a part, which does not call itself one, is the whole.
    ///
    /// # Errors
    /// [`Fault::BadRange`]: it may be a part all the same, or is neither.
    pub(in crate::download) fn is_whole(&self, response: &Response) -> Result<(), Fault> {
        let Some(asked) = self.asked else {
            return Ok(());
        };
        let length = response.content_length();
        let size = self.state.size;
        let rest = asked
            .end
            .or(size)
            .map(|end| end.saturating_sub(asked.start));
        let is_other_size = length.is_some_and(|length| Some(length) != size);
        let is_as_long_as_asked = asked.start > 0 && length.is_some() && length == rest;
        let is_same_version = self.state.validators.prove(&Validators::of(response));
        if response.status != 200 || response.headers.get("content-range").is_some() {
            Err(Fault::BadRange("it is neither a part nor the whole"))
        } else if is_other_size && (is_same_version || is_as_long_as_asked) {
            Err(Fault::BadRange("it is not as long as the whole"))
        } else {
            Ok(())
        }
    }

    /// After an answer that does not continue what is there: whether the whole may be asked for.
    /// What was written is forgotten.
    pub fn may_start_over(&mut self, fault: &Fault) -> bool {
        let why = match fault {
            Fault::BadRange(why) => {
                self.is_unreliable = true;
                why
            }
            // A 416 is a change where the file ends before what was asked for; else it says that
            // parts are not to be had.
            Fault::Status { status, size, .. }
                if *status != 416 || size.is_none_or(|size| self.reaches_into(size)) =>
            {
                self.is_unreliable = true;
                "the server sends no parts"
            }
            _ => {
                if self.count_change(true).is_err() {
                    return false;
                }
                "the file changed on the server"
            }
        };
        let had_asked = self.asked.take().is_some() || std::mem::take(&mut self.is_divided);
        if !had_asked {
            return false;
        }
        self.notice = Some(Notice::StartedOver(why));
        self.foreign = None;
        self.run = 0..0;
        self.state.clear();
        true
    }

    /// Whether what was asked for begins before the end of a file of `size` bytes.
    fn reaches_into(&self, size: u64) -> bool {
        let is_before = |asked: &Asked| asked.start < size;
        self.asked.as_ref().is_some_and(is_before) || self.state.size == Some(size)
    }

    /// Counts a change.
    ///
    /// # Errors
    /// [`Fault::Changed`]: there have been too many.
    fn count_change(&mut self, has_changed: bool) -> Result<(), Fault> {
        self.changes += u32::from(has_changed);
        if self.changes > MOST_CHANGES {
            return Err(Fault::Changed);
        }
        Ok(())
    }

    /// Whether the present try, which has failed, went on with what was there, and came a MiB further
    /// than those of which this was said before: no server can have that said more often than the file
    /// is long. To be asked once a try.
    pub fn has_come_further(&mut self) -> bool {
        let has_gone_on = self.start() > 0 && self.run.end >= self.start() + WORTH_A_TRY;
        let is_further = has_gone_on && self.run.end >= self.furthest + WORTH_A_TRY;
        if is_further {
            self.furthest = self.run.end;
        }
        is_further
    }

    /// Whether what is there is all of a file of `size` bytes.
    pub(in crate::download) fn is_all(&mut self, size: Option<u64>) -> bool {
        self.settle();
        let there = self.foreign.unwrap_or(self.state.ranges.frontier());
        // What an earlier answer said of the size is not to be what this one denies.
        let is_agreed = self.state.size.is_none_or(|size| size == there);
        self.asked.is_some() && there > 0 && size == Some(there) && is_agreed
    }

    /// Whether what is there is another tool's, at the final name.
    pub(in crate::download) fn is_foreign(&self) -> bool {
        self.foreign.is_some()
    }

    /// Opens what is there: whoever goes on with it, or hashes it, needs a file that has a name.
    pub(in crate::download) fn open(&mut self) -> Result<(), Fault> {
        match self.disk.file() {
            Some(_) => self.create().map(drop),
            None => self.open_earlier(),
        }
    }

    /// Forgets what was written: it is wrong. Whether some of it was there before this run, so that
    /// the server may be right.
    pub(in crate::download) fn discard(&mut self) -> bool {
        self.run = 0..0;
        self.limit = None;
        self.state.clear();
        self.reset_synced();
        let _ = self.disk.remove_state();
        let is_inherited = std::mem::take(&mut self.is_inherited);
        if is_inherited {
            let why = "what an earlier run has left does not fit its digest";
            self.notice = Some(Notice::StartedOver(why));
        }
        is_inherited
    }

    /// Forgets what was learnt of a server.
    pub(in crate::download) fn turn_to_another(&mut self) {
        self.changes = 0;
        self.is_unreliable = false;
    }

    /// Whether bytes are missing of a body whose last answer was whole: it was a shorter part than was asked for.
    pub fn missing(&mut self) -> Option<Fault> {
        let size = self.state.size.filter(|_| self.limit.is_some())?;
        self.settle();
        let received = self.state.ranges.frontier();
        (received < size).then_some(Fault::Truncated {
            received,
            expected: Some(size),
        })
    }

    /// Whether all that was asked for has come, and more is missing behind what was there before.
    pub(in crate::download) fn has_more(&mut self) -> bool {
        let end = self.asked.and_then(|asked| asked.end);
        let end = end.filter(|_| self.limit.is_some());
        self.settle();
        let frontier = self.state.ranges.frontier();
        end.is_some_and(|end| frontier >= end)
            && self.state.size.is_some_and(|size| frontier < size)
    }

    /// Has pieces count as missing: they are wrong. What comes in their place is proved by their
    /// digests, so its version need not be; another server has validators of its own, where the
    /// next try goes `elsewhere`. False where nothing can be put beside what is there.
    pub(in crate::download) fn lose(&mut self, wrong: &Ranges, elsewhere: bool) -> bool {
        self.settle();
        if self.is_same || self.is_decoded || self.create().is_err() {
            return false;
        }
        for range in wrong.iter() {
            self.state.ranges.remove(range);
        }
        self.run = 0..0;
        self.limit = None;
        self.is_proven = true;
        if elsewhere {
            self.state.validators = Validators::default();
            // What is left stays under the name of the server that brings these, which says nothing of it.
            self.set_mixed();
        }
        self.unclaim();
        true
    }

    /// What the user has to know of it, once.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// Writes the state, if there is anything new that another run could go on with. `url` is where
    /// the body comes from. Neither the bytes of the try under way nor its place change, whatever comes of it.
    pub fn save(&mut self, url: &Url) {
        self.settle();
        let Some(file) = self.disk.named().cloned() else {
            return;
        };
        if !self.can_resume() || self.options.is_fragment {
            return;
        }
        self.state.source = Source::of(url);
        let is_strict = self.options.is_synced || self.folder().closes_late();
        let new = || Box::new(Synced::new(self.options.syncing.clone(), is_strict));
        let synced = self.synced.get_or_insert_with(new);
        synced.advance(&file, &mut self.state);
        // Without it a kill costs more; the state of a moment ago stands and is true.
        let _ = self.write_state();
    }

    /// Writes the state of a body that no try brings any more. On a full disk the last bytes make room for it. What is
    /// written is synced to the disk behind the loop's back, and then the state says so.
    pub fn leave(&mut self, url: &Url) {
        self.save(url);
        let Some(file) = self.disk.named().cloned() else {
            return;
        };
        if !self.can_resume() || self.options.is_fragment {
            return;
        }
        let is_full = |error: &io::Error| {
            matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            )
        };
        if self.write_state().as_ref().is_err_and(is_full) && self.cut_off().is_ok() {
            let _ = self.write_state();
        }
        let synced = self.synced.as_ref();
        let Some(syncing) = synced.and_then(|synced| synced.last(&self.state)) else {
            return;
        };
        let mut claim = self.state.clone();
        claim.synced = claim.ranges.clone();
        if let Ok(task) = self.disk.state_writer(&mut claim) {
            // The part stays, and is locked until its state is written.
            self.disk.saved = self.disk.saved.max(1);
            syncing.run(Box::new(move || task(&file)));
        }
    }

    /// Whether much is there, and no state claims any of it.
    pub(in crate::download) fn lacks_state(&self) -> bool {
        let held = self.state.ranges.count() + (self.run.end - self.run.start);
        self.disk.saved == 0 && (held >= MUCH || self.is_divided)
    }

    /// Writes the state, if it claims anything that the one on the disk does not.
    fn write_state(&mut self) -> io::Result<()> {
        let Some(synced) = &mut self.synced else {
            return Ok(());
        };
        let Some(mut claim) = synced.claim(&self.state, self.disk.saved) else {
            return Ok(());
        };
        self.disk.write_state(&mut claim)?;
        self.disk.saved = claim.ranges.count();
        synced.stated(&claim);
        Ok(())
    }

    /// Some of what was written will be written again.
    fn reset_synced(&mut self) {
        if let Some(synced) = &mut self.synced {
            synced.reset();
        }
        let State { ranges, synced, .. } = &mut self.state;
        synced.intersect(ranges);
    }

    /// Makes room on a full disk by giving up the last bytes.
    fn cut_off(&mut self) -> io::Result<()> {
        let end = self.state.ranges.end().saturating_sub(CUT);
        self.state.ranges.truncate(end);
        self.run = 0..0;
        if self.state.ranges.is_empty() {
            return Err(ErrorKind::StorageFull.into());
        }
        self.reset_synced();
        self.disk
            .named()
            .map_or(Ok(()), |file| sys::set_len(file, end))
    }

    /// The file that stands at the final name is kept: what is there of another, of this run or an
    /// earlier one, goes when this is dropped.
    pub(in crate::download) fn put_away(&mut self) {
        self.disk.put_away();
    }

    /// Opens what an earlier run has left. It is looked at again now that it is locked.
    fn open_earlier(&mut self) -> Result<(), Fault> {
        let opened = self.disk.open_earlier(&self.state);
        let opened = opened.map_err(|source| self.part_fault("open", source))?;
        if opened.is_none() {
            return Err(Fault::BadRange("another run has changed it meanwhile"));
        }
        self.is_inherited = true;
        Ok(())
    }

    fn can_resume(&self) -> bool {
        // A part has other bytes than those that a coded form was decoded to; and a whole that was
        // taken for a part comes from a server that sends none.
        let is_whole = self.options.is_fragment && self.limit.is_none();
        !self.is_decoded
            && !is_whole
            && (self.options.is_vouched || self.state.validators.strong().is_some())
    }

    /// Counts what the present try has written among what is there.
    pub(super) fn settle(&mut self) {
        self.state.ranges.insert(self.run.clone());
        self.run.start = self.run.end;
    }

    /// Forgets what was written, on the disk too, the state first: no kill can leave it beside other bytes.
    fn forget(&mut self) -> Result<(), Fault> {
        self.run = 0..0;
        self.limit = None;
        self.state.clear();
        self.reset_synced();
        if self.disk.named().is_some() {
            self.is_inherited = false;
        }
        let emptied = self.disk.empty();
        emptied.map_err(|error| self.fault("empty", error))
    }
}
