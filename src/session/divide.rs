//! Divided files: when a file is divided, what its `Division` is told, and what its actions lead to.
//!
//! ```text
//! a head that allows it ─► divide ─► proceed ◄── tend: a beat
//!                                     │  ▲
//!              actions: Multi::add …  ▼  │ a segment ended or failed
//!                                  the engine ── Done, Fail ─► the end of the try (ending.rs)
//! ```

use std::time::{Duration, Instant, SystemTime};

use super::Session;
use super::file::Event;
use super::job::Job;
use super::report::Retrying;
use super::split::{Split, like};
use crate::download::division::Action;
use crate::download::{Body, Retries};
use crate::error::{Error, MultiError};
use crate::list::Split as Wanted;
use crate::multi::{Done, Easy, Multi, TransferId};

/// The most connections of one file if their number is found by trying. Several such files divide it among them.
const MOST: usize = 16;

/// The interval at which speeds are measured.
const BEAT: Duration = Duration::from_millis(200);

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
        let is_limited = self.is_rate_limited(multi);
        let numbers: Vec<_> = self.splits.keys().copied().collect();
        for number in numbers {
            if let Some(split) = self.splits.get_mut(&number) {
                split.advance(multi);
                split.division.set_limited(is_limited);
                split.division.measure(most, now);
                split.update_download();
                split.division.proceed(now);
                self.carry_out(multi, number, now)?;
            }
        }
        Ok(())
    }

    /// Whether the rate limit of the run decides how fast its transfers are. It is assumed to do so while other files
    /// are fetched, since their speeds are unknown.
    fn is_rate_limited(&self, multi: &Multi<Job>) -> bool {
        let Some(limit) = self.plan.options.max_recv_speed else {
            return false;
        };
        let speeds = self.splits.values().map(|split| split.division.speed());
        self.files(multi) > self.splits.len() || speeds.sum::<f64>() * 2.0 >= limit as f64
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
        let wanted = job.split;
        let is_shared =
            matches!(&job.file.download.body, Body::File(part) if part.is_multiplexed());
        if wanted == Wanted::Auto && is_shared {
            return Ok(());
        }
        // `None` may be an error of the disk: the transfer under way will report it.
        let Some((segment, done)) = job.file.download.divide() else {
            return Ok(());
        };
        let stand_in = job.segment(segment);
        let job = std::mem::replace(job, stand_in);
        let number = job.number;
        multi.set_extra(id)?;
        let Some(easy) = multi.easy(id) else {
            return Ok(());
        };
        let Body::Segment(segment) = &easy.sink.file.download.body else {
            return Ok(());
        };
        let per_origin = self.plan.options.limits.per_origin;
        let whole = like(easy, job);
        let mut split = Split::new(whole, id, segment, done, per_origin, now);
        match wanted {
            Wanted::Auto => split.division.ramp_up(MOST, now),
            Wanted::Most(most) => split.division.allow(most.get() as usize),
        }
        self.ledger.warn(&split.easy.url, &mut split.easy.sink);
        split.use_preconnects(self.preconnects.take());
        split.advance(multi);
        split.division.proceed(now);
        self.splits.insert(number, split);
        multi.reserve(self.splits.len(), now)?;
        self.tends_at = self.tends_at.or(now.checked_add(BEAT));
        self.carry_out(multi, number, now)?;
        match self.splits.get_mut(&number) {
            Some(split) => split.drop_preconnects(multi, now),
            None => Ok(()),
        }
    }

    /// Reports the end of a segment's transfer to the division of its file. While the run stops, a failure is ignored.
    pub(super) fn segment_ended(
        &mut self,
        multi: &mut Multi<Job>,
        easy: &Easy<Job>,
        done: Done,
        now: Instant,
    ) -> Result<(), MultiError> {
        let number = easy.sink.number;
        let (Body::Segment(segment), Some(split)) =
            (&easy.sink.file.download.body, self.splits.get_mut(&number))
        else {
            return Ok(());
        };
        // What the other transfers have written into a damaged range is part of it.
        split.advance(multi);
        let failure = split.ended(segment, done, now);
        match failure {
            None => split.division.proceed(now),
            Some(_) if self.ledger.is_stopped => {}
            Some(failure) => {
                let mut retries = Retries {
                    retry: &self.plan.retry,
                    jitter: &mut self.jitter,
                    wall: SystemTime::now,
                    patience: &mut self.patience,
                };
                split.division.failed(failure, &mut retries, now);
            }
        }
        self.carry_out(multi, number, now)
    }

    /// Carries out the actions of a file's division.
    fn carry_out(
        &mut self,
        multi: &mut Multi<Job>,
        number: u64,
        now: Instant,
    ) -> Result<(), MultiError> {
        while let Some(split) = self.splits.get_mut(&number)
            && let Some(action) = split.division.poll_action()
        {
            match action {
                Action::Open(opening) => split.open(multi, opening, now)?,
                Action::Trim { lane, end } => split.set_end(multi, lane, end),
                Action::Cancel(lane) => split.cancel(multi, lane, now)?,
                Action::Hold { url, until } => self.hold(multi, &url, until, now)?,
                Action::Retrying {
                    url,
                    error,
                    delay,
                    tries,
                } => {
                    split.easy.sink.file.tries_in_all += 1;
                    self.ledger.report.retrying(&Retrying {
                        number,
                        url: &url,
                        error: &error,
                        delay,
                        tries,
                    });
                }
                Action::Dropped { url, error } => self.ledger.report.dropped(&url, &error),
                Action::Done => self.end_division(multi, number, Ok(()), now)?,
                Action::Fail(error) => self.end_division(multi, number, Err(error), now)?,
            }
        }
        Ok(())
    }

    /// Ends the division of a file: the file is verified, or its present try has failed.
    fn end_division(
        &mut self,
        multi: &mut Multi<Job>,
        number: u64,
        result: Result<(), Error>,
        now: Instant,
    ) -> Result<(), MultiError> {
        let Some(mut split) = self.splits.remove(&number) else {
            return Ok(());
        };
        split.drop_preconnects(multi, now)?;
        multi.reserve(self.splits.len(), now)?;
        let (easy, outcome) = split.into_file(now);
        let result = result.map(|()| outcome.unwrap_or_default());
        self.advance(multi, easy, Event::Ended(result), now)
    }
}
