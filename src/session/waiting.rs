//! Files that wait for their digests: complete bodies, and files that exist at the name of a row. Other transfers
//! continue meanwhile.

use std::fs::File;
use std::time::{Duration, Instant};

use super::Session;
use super::job::Job;
use super::ledger::Ended;
use crate::download::Hashed;
use crate::error::MultiError;
use crate::multi::{Easy, Multi, Outcome};

/// A file that waits for its digests.
pub(super) enum Waiting {
    /// A complete body.
    Body(Easy<Job>, Outcome),
    /// A download that starts only if the existing file, of this size in bytes, has other digests.
    Standing(Easy<Job>, u64),
}

impl Session<'_> {
    /// Hashes a file that exists at the final name. The download starts only if its digests differ.
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

    /// Asserts that every wait ends: each waiting file has a task that will be answered, and each finished task has a
    /// waiting file.
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

    /// Continues the files whose digests are known now.
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
                // Its try has failed.
                None => {}
            }
        }
        Ok(())
    }

    /// Keeps an existing file if its digests are right; otherwise, or if it cannot be read, starts the download.
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
