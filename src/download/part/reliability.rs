//! What was learnt of a server during a run: whether it honours range requests, and how often its file has changed.

/// How often a file may change on the server in one run before no further range of it is requested. Servers behind one
/// load balancer may hold different versions, or have entity tags of their own for the same bytes, but a full response
/// always has one version.
const MOST_CHANGES: u32 = 2;

/// What was learnt of the server. The next server starts with a new one.
#[derive(Debug, Default)]
pub(super) struct Reliability {
    /// How often the file has changed on the server during this run.
    changes: u32,
    /// The server does not honour range requests.
    ignores_ranges: bool,
    /// It has sent bytes of the file, in this run or an earlier one.
    pub(super) has_sent: bool,
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

    /// Counts a change of the file.
    pub(super) fn count_change(&mut self) {
        self.changes += 1;
        self.ignores_ranges |= self.changes >= MOST_CHANGES;
    }
}
