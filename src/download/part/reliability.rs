//! What was learnt of a server during a run: whether it honours range requests, and how often its file has changed.

use crate::error::Fault;

/// How often a file may change on the server in one run before it fails.
const MOST_CHANGES: u32 = 2;

/// What was learnt of the server. The next server starts with a new one.
#[derive(Debug, Default)]
pub(super) struct Reliability {
    /// How often the file has changed on the server during this run.
    changes: u32,
    /// The server does not honour range requests.
    ignores_ranges: bool,
    /// Why its next full response starts the file over, if that is not reported yet.
    pub(super) reason: Option<&'static str>,
}

impl Reliability {
    /// Whether the server is asked for ranges.
    pub(super) fn allows_ranges(&self) -> bool {
        !self.ignores_ranges
    }

    /// Requests the full file from now on.
    pub(super) fn give_up_ranges(&mut self) {
        self.ignores_ranges = true;
    }

    /// Whether several transfers may fetch the file. After repeated changes only one does: servers behind one load
    /// balancer may hold different versions, but a single response always has one version.
    pub(super) fn allows_division(&self) -> bool {
        self.changes < MOST_CHANGES && self.allows_ranges()
    }

    /// Counts a change of the file, if it `has_changed`.
    ///
    /// # Errors
    /// [`Fault::Changed`]: the file has changed too often.
    pub(super) fn count_change(&mut self, has_changed: bool) -> Result<(), Fault> {
        self.changes += u32::from(has_changed);
        if self.changes > MOST_CHANGES {
            return Err(Fault::Changed);
        }
        Ok(())
    }
}
