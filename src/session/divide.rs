//! Files that several transfers bring: when one is divided, and what becomes of a transfer that
//! ends; of one that failed, `setback` says.
//!
//! ```text
//! a head that allows it ─► divide ─► fill ◄── tend: how fast each is, how many are wanted
//!                                     │ ▲
//!                         Multi::add  ▼ │ a share is over, or failed
//!                                  the engine ── the last byte ─► the end of the file (ending.rs)
//! ```

use std::time::{Duration, Instant};

use super::Session;
use super::job::Job;
use super::split::{Split, like};
use super::supply::Supply;
use crate::download::Body;
use crate::error::{Error, Fault, MultiError};
use crate::list::Split as Wanted;
use crate::multi::{Easy, Multi, Outcome, TransferId};

/// Connections to one file at most, where their number is found by trying. Several files share it.
const MOST: usize = 16;

/// How often speeds are looked at.
const BEAT: Duration = Duration::from_millis(200);

/// A part of at least so many bytes is a good one though it is shorter than what was asked for.
pub(super) const PIECE: u64 = 64 * 1024;

/// A file that was divided, and what came of its transfers in all, if one of them ended well.
type Whole = (Easy<Job>, Option<Outcome>);

impl Session<'_> {
    /// Divides the files whose heads have come since the last time, and looks after those that are divided.
    pub(super) fn tend(&mut self, multi: &mut Multi<Job>, now: Instant) -> Result<(), MultiError> {
        if self.has_divisible.take() {
            let transfers = multi.transfers();
            let divisible = transfers.filter(|(_, easy, _)| easy.sink.is_divisible());
            let ids: Vec<_> = divisible.map(|(id, ..)| id).collect();
            for id in ids {
                self.divide(multi, id, now)?;
            }
        }
        if self.splits.is_empty() {
            self.tends_at = None;
            return Ok(());
        }
        if self.tends_at.is_some_and(|at| now < at) {
            return Ok(());
        }
        self.tends_at = now.checked_add(BEAT);
        let most = (MOST / self.files(multi).max(1)).max(1);
        let numbers: Vec<_> = self.splits.keys().copied().collect();
        for number in numbers {
            if let Some(split) = self.splits.get_mut(&number) {
                split.measure(multi, most, now)?;
                self.go_on(multi, number, None, now)?;
            }
        }
        Ok(())
    }

    /// Files that are in the engine, however many transfers each has there.
    pub(super) fn files(&self, multi: &Multi<Job>) -> usize {
        let segments: usize = self.splits.values().map(Split::transfers).sum();
        (multi.running() + self.splits.len()).saturating_sub(segments + self.early.count())
    }

    /// Has several transfers bring what is missing of a file that one has begun.
    fn divide(
        &mut self,
        multi: &mut Multi<Job>,
        id: TransferId,
        now: Instant,
    ) -> Result<(), MultiError> {
        let Some((_, job)) = multi.sink_mut(id) else {
            return Ok(());
        };
        let (wanted, least) = (job.split, job.download.least.unwrap_or(u64::MAX));
        let is_shared = matches!(&job.download.body, Body::File(part) if part.is_multiplexed());
        if wanted == Wanted::Auto && is_shared {
            return Ok(());
        }
        // What is wrong with the disk, its own transfer will meet too.
        let Some((segment, done)) = job.download.divide() else {
            return Ok(());
        };
        let stand_in = job.segment(segment);
        let job = std::mem::replace(job, stand_in);
        let number = job.number;
        multi.set_extra(id)?;
        let Some(easy) = multi.easy(id) else {
            return Ok(());
        };
        let Body::Segment(segment) = &easy.sink.download.body else {
            return Ok(());
        };
        let per_origin = self.plan.options.limits.per_origin;
        let whole = like(easy, job);
        let supply = Supply::new(&whole, segment.validators(), per_origin, now);
        let mut split = Split::new(whole, (id, segment), supply, done, least, now);
        match wanted {
            Wanted::Auto => split.allow(MOST, true, now),
            Wanted::Most(most) => split.allow(most.get() as usize, false, now),
        }
        split.begin_with(self.early.take());
        self.splits.insert(number, split);
        multi.reserve(self.splits.len(), now)?;
        self.tends_at = self.tends_at.or(now.checked_add(BEAT));
        self.go_on(multi, number, None, now)?;
        match self.splits.get_mut(&number) {
            Some(split) => split.drop_early(multi, now),
            None => Ok(()),
        }
    }

    /// A transfer of a share is over.
    pub(super) fn segment_ended(
        &mut self,
        multi: &mut Multi<Job>,
        easy: &Easy<Job>,
        (id, result): (TransferId, Result<Outcome, Error>),
        now: Instant,
    ) -> Result<(), MultiError> {
        let number = easy.sink.number;
        let Body::Segment(segment) = &easy.sink.download.body else {
            return Ok(());
        };
        let Some(split) = self.splits.get_mut(&number) else {
            return Ok(());
        };
        let Some(ended) = split.ended(id, segment, now) else {
            return Ok(());
        };
        let error = match result {
            // A server may give less than it was asked for (RFC 9110 §15.3.7): the rest is asked for next.
            Ok(outcome) if ended.missing == 0 || ended.brought >= PIECE => {
                split.note(outcome, now);
                split.count_anew(ended);
                return self.go_on(multi, number, None, now);
            }
            Ok(outcome) => {
                let received = outcome.received;
                let fault = Fault::Truncated {
                    received,
                    expected: Some(received + ended.missing),
                };
                Error::new(fault, crate::error::Doing::Receiving, outcome.address)
            }
            Err(error) => error,
        };
        if self.ledger.is_stopped {
            return Ok(());
        }
        self.segment_failed(multi, number, (ended, &error), now)
    }

    /// Opens what transfers are wanted, or ends the file when every byte is there.
    pub(super) fn go_on(
        &mut self,
        multi: &mut Multi<Job>,
        number: u64,
        delay: Option<Duration>,
        now: Instant,
    ) -> Result<(), MultiError> {
        let Some(split) = self.splits.get_mut(&number) else {
            return Ok(());
        };
        split.drop_superfluous(multi, now)?;
        if !split.is_done() {
            return split.fill(multi, delay, now);
        }
        let Some((easy, outcome)) = self.reunite(multi, number, now)? else {
            return Ok(());
        };
        self.verify(multi, easy, outcome.unwrap_or_default(), now)
    }

    /// Ends the division of a file: its transfers go, and it is one again.
    pub(super) fn reunite(
        &mut self,
        multi: &mut Multi<Job>,
        number: u64,
        now: Instant,
    ) -> Result<Option<Whole>, MultiError> {
        let Some(mut split) = self.splits.remove(&number) else {
            return Ok(None);
        };
        split.drop_all(multi, now)?;
        multi.reserve(self.splits.len(), now)?;
        Ok(Some(split.into_file(now)))
    }
}
