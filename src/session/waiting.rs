//! Files that wait for their digests: complete bodies, and files that exist at the name of a row. Other transfers
//! continue meanwhile.

use std::time::Instant;

use super::Session;
use super::file::Event;
use super::job::Job;
use crate::error::MultiError;
use crate::multi::Multi;

impl Session<'_> {
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
            // A task without a file belonged to a try that has failed.
            if let Some(easy) = self.waiting.remove(&task) {
                self.advance(multi, easy, Event::Hashed(hashed), now)?;
            }
        }
        Ok(())
    }
}
