//! Between the end of a body and its final name: is it what was promised? Digests that are not
//! known yet are waited for here, while other transfers go on.

use std::fs::File;
use std::time::{Duration, Instant};

use super::Session;
use super::divide::PIECE;
use super::job::Job;
use super::ledger::Ended;
use super::report::Retrying;
use crate::download::{Checked, Hashed, Repair};
use crate::error::{Doing, Error, Fault, MultiError};
use crate::multi::{Easy, Multi, Outcome};

/// Why a file is started over that several servers have brought.
const SHARED: &str =
    "what several mirrors have brought does not fit the digest; each is asked alone";

/// What waits for digests.
pub(super) enum Waiting {
    /// A body that is whole.
    Body(Easy<Job>, Outcome),
    /// A download that is needed only if the file that stands there is another; and the size of that.
    Standing(Easy<Job>, u64),
}

impl Session<'_> {
    /// A transfer has brought all that it was to bring.
    pub(super) fn verify(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        outcome: Outcome,
        now: Instant,
    ) -> Result<(), MultiError> {
        if let Some(fault) = easy.sink.download.missing() {
            let is_much = outcome.received >= PIECE && easy.sink.download.asks_part();
            if is_much || easy.sink.download.has_more() {
                // A server may give less than it was asked for (RFC 9110 §15.3.7), and there may be
                // holes: that is no failed try.
                easy.sink.tries -= 1;
                easy.sink.tries_in_all -= 1;
                return Self::add(multi, easy, None);
            }
            let error = Error::new(fault, Doing::Receiving, outcome.address);
            return self.failed(multi, easy, &error, now);
        }
        match easy.sink.download.verify() {
            Ok(Checked::Right) => self.arrived(easy, &outcome),
            Ok(Checked::Waits(task)) => {
                self.waiting.insert(task, Waiting::Body(easy, outcome));
            }
            Err(fault) => {
                let error = Error::new(fault, Doing::Verifying, outcome.address);
                return self.is_wrong(multi, easy, &error, now);
            }
        }
        Ok(())
    }

    /// A whole body is not what was promised: its wrong pieces are fetched again, or all of it is, or it has failed.
    fn is_wrong(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        error: &Error,
        now: Instant,
    ) -> Result<(), MultiError> {
        let job = &mut easy.sink;
        let is_readable = !matches!(error.fault(), Fault::Disk { .. });
        let is_shared = is_readable && std::mem::take(&mut job.is_shared);
        match job.download.repair(job.mirrors.len()) {
            Repair::Again => {
                self.ledger.report.retrying(&Retrying {
                    number: job.number,
                    url: &easy.url,
                    error,
                    delay: Duration::ZERO,
                    tries: job.tries,
                });
                // That a piece is wrong says nothing of the others, and the next mirror may have it
                // right: it is asked alone.
                job.is_alone = true;
                if let Some(mirror) = job.mirrors.pop_front() {
                    let other = std::mem::replace(&mut easy.url, mirror);
                    job.mirrors.push_back(other);
                    job.tries = 1;
                    job.began = None;
                    job.download.turn_to_another();
                }
                job.tries -= 1;
                Self::add(multi, easy, None)
            }
            Repair::Enough => {
                self.give_up(easy, error);
                Ok(())
            }
            Repair::Impossible if job.download.discard() => {
                self.ledger.warn(&easy.url, &mut easy.sink);
                easy.sink.tries -= 1;
                Self::add(multi, easy, None)
            }
            Repair::Impossible if is_shared => {
                self.ledger.report.warned(&easy.url, SHARED);
                easy.sink.is_alone = true;
                easy.sink.tries -= 1;
                Self::add(multi, easy, None)
            }
            Repair::Impossible => self.failed(multi, easy, error, now),
        }
    }

    /// Has a file that stands at the final name hashed: only if it is another, the download begins.
    pub(super) fn look_at_standing(
        &mut self,
        multi: &mut Multi<Job>,
        file: File,
        easy: Easy<Job>,
    ) -> Result<(), MultiError> {
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let Some(task) = easy.sink.download.hash(file) else {
            return Self::add(multi, easy, None);
        };
        self.waiting.insert(task, Waiting::Standing(easy, size));
        Ok(())
    }

    /// Each wait has an end: what waits for a digest waits for a task that will be answered, and each task that is
    /// finished is waited for.
    pub(super) fn assert_waits_end(&self) {
        debug_assert!(
            self.waiting
                .keys()
                .all(|task| self.hashing.will_answer(*task)),
            "a body waits for a digest that will not come"
        );
        debug_assert!(
            self.hashing
                .finished()
                .iter()
                .all(|task| self.waiting.contains_key(task)),
            "a digest comes that no body waits for"
        );
    }

    /// Goes on with what has waited for digests that are known now.
    pub(super) fn hashed(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        for (task, hashed) in self.hashing.answers() {
            match self.waiting.remove(&task) {
                Some(Waiting::Body(mut easy, outcome)) => {
                    easy.sink.download.hashed(hashed);
                    self.verify(multi, easy, outcome, now)?;
                }
                Some(Waiting::Standing(easy, size)) => self.stood(multi, easy, size, hashed)?,
                // The try that it belonged to has failed.
                None => {}
            }
        }
        Ok(())
    }

    /// The digests of a file that stands at the final name are known, or it cannot be read.
    fn stood(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        size: u64,
        hashed: Hashed,
    ) -> Result<(), MultiError> {
        let found = hashed.unwrap_or_default();
        let is_right = easy.sink.download.is_met_by(&found);
        easy.sink.download.stands(size, found.digests);
        if !is_right {
            return Self::add(multi, easy, None);
        }
        easy.sink.download.put_away();
        self.end(&easy, Duration::ZERO, Ended::Unchanged);
        Ok(())
    }
}
