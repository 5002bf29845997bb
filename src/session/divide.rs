//! Divided files: when a file is divided into segments, and what follows the end of a segment's transfer.
//! `segment_failure` handles the transfers that fail.
//!
//! ```text
//! a head that allows it ─► divide ─► fill ◄── tend: measures speeds, adjusts the number of transfers
//!                                     │ ▲
//!                         Multi::add  ▼ │ a segment ended or failed
//!                                  the engine ── the last byte ─► the end of the file (ending.rs)
//! ```

use std::time::{Duration, Instant};

use super::Session;
use super::job::Job;
use super::segment_failure::SegmentFailure;
use super::servers::Servers;
use super::split::{Split, like};
use crate::download::{Body, Plan};
use crate::error::{Doing, Error, Fault, MultiError};
use crate::list::Split as Wanted;
use crate::multi::{Done, Easy, Multi, Outcome, TransferId};

/// The most connections of one file if their number is found by trying. Several such files divide it among them.
const MOST: usize = 16;

/// The interval at which speeds are measured.
const BEAT: Duration = Duration::from_millis(200);

/// A response that is shorter than the requested range counts as a success if it has at least this many bytes.
pub(super) const PIECE: u64 = 64 * 1024;

/// A file after its division, and the combined outcome of its transfers if at least one succeeded.
type Whole = (Easy<Job>, Option<Outcome>);

impl Session<'_> {
    /// Divides the files that have received a head since the last call. At each beat, it also measures the divided
    /// files and opens the transfers that they need.
    pub(super) fn tend(&mut self, multi: &mut Multi<Job>, now: Instant) -> Result<(), MultiError> {
        for id in std::mem::take(&mut self.heads) {
            if multi.easy(id).is_some_and(|easy| easy.sink.is_divisible()) {
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
                self.fill_or_verify(multi, number, None, now)?;
            }
        }
        Ok(())
    }

    /// The number of files in the engine, where a divided file counts once.
    pub(super) fn files(&self, multi: &Multi<Job>) -> usize {
        let segments: usize = self.splits.values().map(Split::transfers).sum();
        (multi.running() + self.splits.len()).saturating_sub(segments + self.preconnects.count())
    }

    /// Divides the missing bytes of a file that one transfer has begun among several transfers.
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
        // `None` may be an error of the disk: the transfer under way will report it.
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
        let servers = Servers::new(&whole, segment.validators(), per_origin, now);
        let plan = Plan::new(segment.whole().size, least, done);
        let mut split = Split::new(whole, id, segment, servers, plan, now);
        match wanted {
            Wanted::Auto => split.ramp_up(MOST, now),
            Wanted::Most(most) => split.allow(most.get() as usize),
        }
        split.use_preconnects(self.preconnects.take());
        self.splits.insert(number, split);
        multi.reserve(self.splits.len(), now)?;
        self.tends_at = self.tends_at.or(now.checked_add(BEAT));
        self.fill_or_verify(multi, number, None, now)?;
        match self.splits.get_mut(&number) {
            Some(split) => split.drop_preconnects(multi, now),
            None => Ok(()),
        }
    }

    /// Handles the end of a segment's transfer. Returns a failure, unless the run is stopping.
    pub(super) fn segment_ended(
        &mut self,
        multi: &mut Multi<Job>,
        easy: &Easy<Job>,
        done: Done,
        now: Instant,
    ) -> Result<Option<SegmentFailure>, MultiError> {
        let number = easy.sink.number;
        let Body::Segment(segment) = &easy.sink.download.body else {
            return Ok(None);
        };
        let Some(split) = self.splits.get_mut(&number) else {
            return Ok(None);
        };
        let Some(ended) = split.ended(done.id, segment, now) else {
            return Ok(None);
        };
        let error = match done.result {
            // A server may send less than the requested range (RFC 9110 §15.3.7): the rest is requested next.
            Ok(outcome) if ended.missing == 0 || ended.brought >= PIECE => {
                split.record_outcome(outcome, now);
                split.reset_tries(ended);
                self.fill_or_verify(multi, number, None, now)?;
                return Ok(None);
            }
            Ok(outcome) => {
                let received = outcome.received;
                let fault = Fault::Truncated {
                    received,
                    expected: Some(received + ended.missing),
                };
                Error::new(fault, Doing::Receiving, outcome.address)
            }
            Err(error) => error,
        };
        if self.ledger.is_stopped {
            return Ok(None);
        }
        Ok(Some(SegmentFailure {
            number,
            ended,
            error,
        }))
    }

    /// Opens the transfers that the file needs, or verifies it once every byte has arrived.
    pub(super) fn fill_or_verify(
        &mut self,
        multi: &mut Multi<Job>,
        number: u64,
        delay: Option<Duration>,
        now: Instant,
    ) -> Result<(), MultiError> {
        let Some(split) = self.splits.get_mut(&number) else {
            return Ok(());
        };
        split.drop_finished(multi, now)?;
        if !split.is_done() {
            return split.fill(multi, delay, now);
        }
        let Some((easy, outcome)) = self.end_division(multi, number, now)? else {
            return Ok(());
        };
        self.verify(multi, easy, outcome.unwrap_or_default(), now)
    }

    /// Ends the division of a file: cancels its transfers, and returns it as one download.
    pub(super) fn end_division(
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
