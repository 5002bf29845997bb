//! What outlives a try or a run: which range is requested next, which response continues the written bytes, and the
//! state file.

use std::io::{self, ErrorKind};
use std::rc::Rc;

use url::Url;

use super::reliability::Reliability;
use super::synced::Synced;
use super::{Notice, Part};
use crate::download::answer::{Promise, is_page};
use crate::download::landing::{Landing, Spoilt};
use crate::download::message::Message;
use crate::download::{Asked, Ranges, Source, State, Validators, WORTH_A_TRY};
use crate::error::Fault;
use crate::http::{Field, Response};
use crate::sys;

/// A body of at least this many bytes gets its first state before the regular time.
const MUCH: u64 = 1 << 20;

/// How many bytes are cut off a part file so that its state fits on a full disk.
const CUT: u64 = 256 * 1024;

impl Part {
    /// Continues a file of `size` bytes that another tool has left at the final name, with bytes from `url`.
    pub fn continuing(mut self, size: u64, url: &Url) -> Self {
        self.foreign = Some(size).filter(|size| *size > 0);
        self.state.source = Source::of(url);
        self
    }

    /// Loads the state of an earlier run, if it fits. Returns the index in `urls` of the URL that it was fetched from.
    /// `has_digest`: the user asked for a digest of the full file.
    pub fn recall<'u>(
        &mut self,
        urls: impl IntoIterator<Item = &'u Url>,
        has_digest: bool,
    ) -> Option<usize> {
        let fitting = self.look()?.and_then(|state| {
            let sources: Vec<_> = urls.into_iter().map(Source::of).collect();
            let same = sources.iter().position(|source| *source == state.source);
            let index = same.or_else(|| state.index_of_another_query(&sources));
            match index {
                None => Err("the partial file is from another URL"),
                Some(_) if state.is_mixed && !has_digest => {
                    Err("the partial file is from several mirrors, and this run has no digest to check it")
                }
                Some(_) if self.options.decodes && state.validators.encoding.is_some() => {
                    Err("the partial file is compressed, and this run decompresses")
                }
                Some(index) => Ok((index, same.is_some(), state)),
            }
        });
        match fitting {
            Ok((index, is_same, state)) => {
                if !is_same {
                    // The user vouches for the bytes of the URL alone.
                    Rc::make_mut(&mut self.options).is_vouched = false;
                }
                self.foreign = None;
                self.reliability.has_sent = true;
                self.state = state;
                Some(index)
            }
            Err(why) => {
                self.notice = Some(Notice::StartedOver(why));
                None
            }
        }
    }

    /// Looks for files of an earlier run that will not be resumed: a body that arrives in one piece must not leave
    /// them beside its file. Always returns `None`, because no URL is resumed.
    pub fn look_for_leftovers(&mut self) -> Option<usize> {
        drop(self.look());
        None
    }

    fn look(&mut self) -> Option<super::disk::Earlier> {
        let (earlier, warning) = self.target.disk.look();
        if let Some(warning) = warning {
            self.notice = Some(Notice::Warning(warning));
        }
        earlier
    }

    /// Chooses the next request from the bytes written so far. Returns the fields of a range request; none for the
    /// full file.
    pub fn ask(&mut self) -> Vec<Field> {
        self.settle();
        self.attempt.landing.message = None;
        // The next response decides this again.
        self.attempt.is_divisible = false;
        self.attempt.asked = if !self.reliability.allows_ranges() {
            None
        } else if let Some(start) = self.foreign {
            Some(Asked { start, end: None })
        } else if self.is_proven || self.can_resume() {
            // With all bytes written, the last one is requested again: the response says whether the version is still
            // current.
            let most = self.state.size.unwrap_or(u64::MAX).saturating_sub(1);
            let start = self.state.ranges.frontier().min(most);
            let end = self.first_gap_end();
            (!self.state.ranges.is_empty()).then_some(Asked { start, end })
        } else {
            None
        };
        let validators = &self.state.validators;
        self.attempt
            .asked
            .map_or_else(Vec::new, |asked| asked.fields(validators))
    }

    /// The end of the first gap, if written bytes follow it.
    fn first_gap_end(&self) -> Option<u64> {
        let size = self.state.size?;
        let gap = self.state.ranges.gaps(size).next()?;
        Some(gap.end).filter(|end| *end < size)
    }

    /// Whether a range was requested.
    pub(in crate::download) fn has_asked(&self) -> bool {
        self.attempt.asked.is_some()
    }

    /// The offset of the first requested byte.
    pub fn start(&self) -> u64 {
        self.attempt.start()
    }

    /// Accepts the head of a partial response that continues the written bytes.
    pub(in crate::download) fn append(&mut self, response: &Response) -> Result<(), Fault> {
        let Some(asked) = self.attempt.asked else {
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
        self.reliability.has_sent = true;
        self.reliability.request_ranges();
        self.state.size = range.total;
        if self.state.validators == Validators::default() {
            self.state.validators = Validators::of(response);
        }
        if self.foreign.is_some() {
            self.state.is_page = is_page(response);
        }
        if let Some(size) = self.foreign {
            let name = self.target.name().to_owned();
            let adopted = self.target.disk.adopt(&name, size, &mut self.state);
            // On failure the file keeps its name, for the next try.
            adopted.map_err(|source| self.target.fault("continue", source))?;
            self.foreign = None;
            self.target.forget_standing();
            self.is_inherited = true;
        }
        let message = Message::of(response, asked.start);
        self.attempt.landing = Landing::new(asked.start, range.last + 1, message);
        Ok(())
    }

    /// Whether every byte of this response must pass through the hash, so that it cannot be spliced.
    pub(in crate::download) fn has_message(&self) -> bool {
        self.attempt.landing.message.is_some()
    }

    /// Counts the bytes of a response without its announced digest as missing. Returns the fault.
    pub(super) fn count_spoilt(&mut self, spoilt: Spoilt) -> Fault {
        self.settle();
        self.attempt.landing.rewind(spoilt.range.start);
        self.state.ranges.remove(spoilt.range);
        self.unclaim();
        spoilt.fault
    }

    /// Bytes that the state file claims will be overwritten: writes a state without them first, or removes the state
    /// file.
    pub(in crate::download) fn unclaim(&mut self) {
        self.reset_synced();
        let is_claimed = self.target.disk.saved > 0;
        self.target.disk.saved = u64::MAX;
        let may_claim = is_claimed && self.can_resume() && !self.state.ranges.is_empty();
        if !may_claim || self.write_state().is_err() || self.target.disk.saved == u64::MAX {
            // Without a state the part file is fetched again: that costs time, but makes no wrong file.
            let _ = self.target.disk.remove_state();
        }
    }

    /// The size of the full file in bytes, if the server sent it.
    pub(in crate::download) fn size(&self) -> Option<u64> {
        self.state.size
    }

    /// The size of a full response that ends with its connection, if an earlier response gave the size of the same
    /// version. Nothing else reveals that such a body was cut off.
    pub(super) fn size_known_of(&self, response: &Response, theirs: &Validators) -> Option<u64> {
        let is_known = response.ends_with_connection() && self.state.validators.prove(theirs);
        if is_known { self.state.size } else { None }
    }

    /// Discards what was written, because a full response follows.
    pub(super) fn start_over(&mut self, theirs: &Validators) -> Result<(), Fault> {
        self.settle();
        if self.attempt.asked.take().is_some() {
            let has_changed = self.state.validators.contradict(theirs);
            self.notice = Some(Notice::StartedOver(if has_changed {
                self.reliability.count_change();
                "the file changed on the server"
            } else {
                "the server ignored the range"
            }));
        } else if let Some(why) = self.reliability.reason.take() {
            self.notice = Some(Notice::StartedOver(why));
        }
        self.foreign = None;
        self.forget()
    }

    /// What earlier responses have said of the file.
    pub(super) fn promise(&self) -> Promise {
        Promise {
            // The received bytes say how large it is at least, and a page may be larger than those.
            size: self.state.size.unwrap_or(u64::MAX),
            is_page: self.state.is_page,
        }
    }

    /// Whether a full response is a small web page in place of the file that an earlier response began.
    pub(in crate::download) fn is_broken_by(&self, response: &Response) -> bool {
        let has_begun = self.state.size.is_some() || !self.state.ranges.is_empty();
        has_begun && self.promise().is_broken_by(response)
    }

    /// Checks that a response to a range request that is not a 206 holds the full file.
    ///
    /// # Errors
    /// [`Fault::BadRange`]: its length is that of a range, or it is neither a range nor the full file.
    pub(in crate::download) fn is_whole(&self, response: &Response) -> Result<(), Fault> {
        let Some(asked) = self.attempt.asked else {
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
            Err(Fault::BadRange(
                "the response is neither the requested range nor the full file",
            ))
        } else if is_other_size && (is_same_version || is_as_long_as_asked) {
            Err(Fault::BadRange(
                "the length of the response is not that of the full file",
            ))
        } else {
            Ok(())
        }
    }

    /// Whether the present server has sent bytes of the file, in this run or an earlier one.
    pub(in crate::download) fn server_has_sent(&self) -> bool {
        self.reliability.has_sent
    }

    /// Requests the full file from now on, because a range of it was refused. The written bytes stay until the full
    /// file arrives. Returns false if that was done before, or no range was requested.
    pub(in crate::download) fn refuse_ranges(&mut self) -> bool {
        let had_asked = self.attempt.asked.take().is_some() || std::mem::take(&mut self.is_divided);
        if !had_asked || !self.reliability.allows_ranges() {
            return false;
        }
        self.reliability.give_up_ranges();
        self.reliability.reason = Some("the server refused the range");
        true
    }

    /// Decides after failures of range requests what is requested next. `may_probe` allows a request for the full
    /// file, which shows whether only ranges fail. If one has shown that, the full file is requested from now on.
    pub(in crate::download) fn suspect_ranges(&mut self, may_probe: bool) {
        if self.reliability.was_last_range() {
            self.refuse_ranges();
            return;
        }
        self.reliability.request_ranges();
        if may_probe && (self.has_asked() || self.is_divided) {
            self.reliability.probe();
        }
    }

    /// Whether the response was to a probe, and the full file is available.
    pub(in crate::download) fn was_probed(&self) -> bool {
        !self.has_asked() && self.reliability.was_last_range()
    }

    /// Whether a full response has answered a probe, so that its body is not needed now.
    pub(in crate::download) fn ends_probe(&mut self) -> bool {
        self.reliability.ends_probe()
    }

    /// Decides after a response that does not continue the written bytes whether the full file may be requested.
    /// Forgets what was written, unless the range was refused.
    pub fn may_start_over(&mut self, fault: &Fault) -> bool {
        let why = match fault {
            Fault::BadRange(why) => {
                self.reliability.give_up_ranges();
                why
            }
            // A 416 means that the file has changed if it ends before the requested range, and otherwise that the
            // server sends no ranges.
            Fault::Status { status, size, .. }
                if *status != 416 || size.is_none_or(|size| self.reaches_into(size)) =>
            {
                return self.refuse_ranges();
            }
            _ => {
                self.reliability.count_change();
                "the file changed on the server"
            }
        };
        let had_asked = self.attempt.asked.take().is_some() || std::mem::take(&mut self.is_divided);
        if !had_asked {
            return false;
        }
        self.notice = Some(Notice::StartedOver(why));
        self.foreign = None;
        self.attempt.landing.rewind(0);
        self.state.clear();
        true
    }

    /// Whether the requested range begins before the end of a file of `size` bytes.
    fn reaches_into(&self, size: u64) -> bool {
        self.attempt.asked.is_some_and(|asked| asked.start < size) || self.state.size == Some(size)
    }

    /// Whether a failed, resumed try came at least a MiB further than the last try that this counted. The number of
    /// such tries is bounded by the length of the file. Call this once a try.
    pub fn has_come_further(&mut self) -> bool {
        let is_resumed =
            self.start() > 0 && self.attempt.landing.next() >= self.start() + WORTH_A_TRY;
        let is_further = is_resumed && self.attempt.landing.next() >= self.furthest + WORTH_A_TRY;
        if is_further {
            self.furthest = self.attempt.landing.next();
        }
        is_further
    }

    /// Whether the written bytes are all of a file of `size` bytes.
    pub(in crate::download) fn is_all(&mut self, size: Option<u64>) -> bool {
        self.settle();
        let there = self.foreign.unwrap_or(self.state.ranges.frontier());
        // The size of an earlier response must agree.
        let is_agreed = self.state.size.is_none_or(|size| size == there);
        self.attempt.asked.is_some() && there > 0 && size == Some(there) && is_agreed
    }

    /// Whether the written bytes are another tool's file at the final name.
    pub(in crate::download) fn is_foreign(&self) -> bool {
        self.foreign.is_some()
    }

    /// Opens the part file: to resume or hash the written bytes, the file needs a name.
    pub(in crate::download) fn open(&mut self) -> Result<(), Fault> {
        match self.target.disk.file() {
            Some(_) => self.target.create().map(drop),
            None => self.open_earlier(),
        }
    }

    /// Discards the written bytes, which are wrong. Returns whether some of them are from an earlier run, so that the
    /// server may be right.
    pub(in crate::download) fn discard(&mut self) -> bool {
        self.attempt.landing = Landing::default();
        self.state.clear();
        self.reset_synced();
        self.target.disk.discard();
        let is_inherited = std::mem::take(&mut self.is_inherited);
        if is_inherited {
            let why = "the bytes of an earlier run do not match the digest";
            self.notice = Some(Notice::StartedOver(why));
        }
        is_inherited
    }

    /// Takes over what is known of the next server. Returns what was learnt of the present one.
    pub(in crate::download) fn turn_to_another(&mut self, next: Reliability) -> Reliability {
        std::mem::replace(&mut self.reliability, next)
    }

    /// The fault if a complete response leaves bytes missing: it had a shorter range than the requested one.
    pub fn missing(&mut self) -> Option<Fault> {
        let (_, size) = self.attempt.landing.limit.zip(self.state.size)?;
        self.settle();
        let received = self.state.ranges.frontier();
        (received < size).then_some(Fault::Truncated {
            received,
            expected: Some(size),
        })
    }

    /// Whether the requested range is written, and more is missing behind the bytes that were written before.
    pub(in crate::download) fn has_more(&mut self) -> bool {
        let end = self
            .attempt
            .landing
            .limit
            .and(self.attempt.asked)
            .and_then(|asked| asked.end);
        self.settle();
        let frontier = self.state.ranges.frontier();
        end.is_some_and(|end| frontier >= end)
            && self.state.size.is_some_and(|size| frontier < size)
    }

    /// Counts wrong pieces as missing. Their digests will verify the new bytes, so these may come from a response
    /// without a matching validator. If the next try goes `elsewhere`, to another server, the validators are reset.
    /// Returns false if the body cannot be patched.
    pub(in crate::download) fn count_as_missing(
        &mut self,
        wrong: &Ranges,
        elsewhere: bool,
    ) -> bool {
        self.settle();
        if self.attempt.is_same || self.attempt.is_decoded || self.target.create().is_err() {
            return false;
        }
        for range in wrong.iter() {
            self.state.ranges.remove(range);
        }
        self.attempt.landing = Landing::default();
        self.is_proven = true;
        if elsewhere {
            self.state.validators = Validators::default();
            // The other pieces stay under the URL of a server that did not send them.
            self.state.is_mixed = true;
        }
        self.unclaim();
        true
    }

    /// The message for the user; it is returned once.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// Writes the state if it has anything new that another run could resume from. `url` is the source of the body.
    /// The try under way is not affected, even if the write fails.
    pub fn save(&mut self, url: &Url) {
        self.settle();
        let Some(file) = self.target.disk.named().cloned() else {
            return;
        };
        if !self.can_resume() || self.options.is_fragment {
            return;
        }
        self.state.source = Source::of(url);
        let is_strict = self.options.is_synced || self.target.folder().closes_late();
        let synced = self
            .synced
            .get_or_insert_with(|| Box::new(Synced::new(self.options.syncing.clone(), is_strict)));
        synced.advance(&file, &mut self.state);
        // If the write fails, the previous state remains valid; a kill then loses more.
        let _ = self.write_state();
    }

    /// Writes the state of a body after its last try. On a full disk, the last bytes of the part file make room for
    /// it. Then a thread syncs the part file and writes a state that says so.
    pub fn leave(&mut self, url: &Url) {
        self.save(url);
        let Some(file) = self.target.disk.named().cloned() else {
            return;
        };
        if !self.can_resume() || self.options.is_fragment {
            return;
        }
        if self.write_state().as_ref().is_err_and(is_full) && self.cut_off().is_ok() {
            let _ = self.write_state();
        }
        if self.state.ranges.is_empty() {
            // A part file without a byte that another run can use is removed.
            return;
        }
        let synced = self.synced.as_ref();
        let Some(syncing) = synced.and_then(|synced| synced.last(&self.state)) else {
            return;
        };
        let mut claim = self.state.clone();
        claim.synced = claim.ranges.clone();
        if let Ok(task) = self.target.disk.state_writer(&mut claim) {
            // The part file is kept and stays locked until its state is written.
            self.target.disk.saved = self.target.disk.saved.max(1);
            syncing.run(Box::new(move || task(&file)));
        }
    }

    /// Whether a large part of the body is written and has no state file.
    pub(in crate::download) fn lacks_state(&self) -> bool {
        let run = self.attempt.landing.run();
        let held = self.state.ranges.count() + (run.end - run.start);
        self.target.disk.saved == 0 && (held >= MUCH || self.is_divided)
    }

    /// Writes the state if it claims anything that the state file does not.
    fn write_state(&mut self) -> io::Result<()> {
        let Some(synced) = &mut self.synced else {
            return Ok(());
        };
        let Some(mut claim) = synced.claim(&self.state, self.target.disk.saved) else {
            return Ok(());
        };
        self.target.disk.write_state(&mut claim)?;
        self.target.disk.saved = claim.ranges.count();
        synced.stated(&claim);
        Ok(())
    }

    /// Some of the written bytes will be overwritten: they no longer count as synced.
    fn reset_synced(&mut self) {
        if let Some(synced) = &mut self.synced {
            synced.reset();
        }
        let State { ranges, synced, .. } = &mut self.state;
        synced.intersect(ranges);
    }

    /// Truncates the part file to make room on a full disk.
    fn cut_off(&mut self) -> io::Result<()> {
        let end = self.state.ranges.end().saturating_sub(CUT);
        self.state.ranges.truncate(end);
        self.attempt.landing.rewind(0);
        if self.state.ranges.is_empty() {
            return Err(ErrorKind::StorageFull.into());
        }
        self.reset_synced();
        self.target
            .disk
            .named()
            .map_or(Ok(()), |file| sys::set_len(file, end))
    }

    /// The file at the final name is kept: the part file and the state file are removed when this is dropped.
    pub(in crate::download) fn put_away(&mut self) {
        self.target.disk.put_away();
    }

    /// Opens the part file of an earlier run, locks it, and checks it again under the lock.
    fn open_earlier(&mut self) -> Result<(), Fault> {
        let opened = self.target.disk.open_earlier(&self.state);
        let opened = opened.map_err(|source| self.target.part_fault("open", source))?;
        if opened.is_none() {
            return Err(Fault::BadRange("another run has changed the part file"));
        }
        self.is_inherited = true;
        Ok(())
    }

    fn can_resume(&self) -> bool {
        // A range of a coded body cannot continue the decoded bytes. A fragment without a limit came in a full
        // response, from a server that ignores ranges.
        let is_whole = self.options.is_fragment && self.attempt.landing.limit.is_none();
        !self.attempt.is_decoded
            && !is_whole
            && (self.options.is_vouched || self.state.validators.strong().is_some())
    }

    /// Adds the range that this try has written to the written ranges.
    pub(super) fn settle(&mut self) {
        self.state.ranges.insert(self.attempt.landing.hand_on());
    }

    /// Discards the written bytes, on the disk too. The state file goes first: after a kill it must not describe other
    /// bytes.
    fn forget(&mut self) -> Result<(), Fault> {
        self.attempt.landing = Landing::default();
        self.state.clear();
        self.reset_synced();
        if self.target.disk.named().is_some() {
            self.is_inherited = false;
        }
        let emptied = self.target.disk.empty();
        emptied.map_err(|error| self.target.fault("empty", error))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}
