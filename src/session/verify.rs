//! Between the end of a body and its final name: is it what was promised? Digests that are not known yet are waited for here, while
//! other transfers go on.

use std::fs::File;
use std::time::{Duration, Instant};

use super::Session;
use super::divide::PIECE;
use super::job::Job;
use super::report::Verdict;
use crate::download::{Checked, Hashed};
use crate::error::{Doing, Error, MultiError};
use crate::multi::{Easy, Multi, Outcome};

/// What waits for digests.
pub(super) enum Waiting {
    /// A body that is whole.
    Body(Easy<Job>, Outcome),
    /// A download that is needed only if the file that stands there is another; and the size of that.
    Standing(Easy<Job>, u64),
}

impl Waiting {
    /// The row that waits.
    pub(super) fn job(&self) -> &Job {
        match self {
            Self::Body(easy, _) | Self::Standing(easy, _) => &easy.sink,
        }
    }
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
            if outcome.received >= PIECE {
                // A server may give less than it was asked for (RFC 9110 §15.3.7): that is no failed try.
                easy.sink.tries -= 1;
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
                if easy.sink.download.discard() {
                    Self::warn_of(self.report, &easy.url, &mut easy.sink);
                    easy.sink.tries -= 1;
                    return Self::add(multi, easy, None);
                }
                let error = Error::new(fault, Doing::Verifying, outcome.address);
                self.failed(multi, easy, &error, now)?;
            }
        }
        Ok(())
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
        easy.sink.download.stands(size, found);
        if !is_right {
            return Self::add(multi, easy, None);
        }
        self.lock_in(&easy.sink);
        self.totals.kept += 1;
        self.tell(&easy, Duration::ZERO, 0, Verdict::Kept);
        Ok(())
    }
}
