//! What was learnt of a server during a run: whether it honours range requests, and how often its file has changed.

/// How often a file may change on the server in one run before no further range of it is requested. Servers behind one
/// load balancer may hold different versions, or have entity tags of their own for the same bytes, but a full response
/// always has one version.
const MOST_CHANGES: u32 = 2;

/// What was learnt of one server of a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reliability {
    /// How often the file has changed on the server during this run.
    changes: u32,
    /// What is requested of the server.
    requests: Requests,
    /// It has sent bytes of the file, in this run or an earlier one.
    pub(super) has_sent: bool,
    /// Why its next full response starts the file over, if that is not reported yet.
    pub(super) reason: Option<&'static str>,
}

/// What is requested of a server if some of the file is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Requests {
    /// The missing ranges.
    #[default]
    Ranges,
    /// Once the full file, because the server failed on ranges again and again. A full response ends at its head.
    Probe,
    /// A range once more, because a probe has shown that the full file is available: the server may have recovered.
    LastRange,
    /// The full file: the server does not honour ranges.
    Full,
}

impl Reliability {
    /// Whether the server is asked for ranges.
    pub(super) fn allows_ranges(&self) -> bool {
        matches!(self.requests, Requests::Ranges | Requests::LastRange)
    }

    /// Requests the full file from now on.
    pub(super) fn give_up_ranges(&mut self) {
        self.requests = Requests::Full;
    }

    /// Requests the full file once.
    pub(super) fn probe(&mut self) {
        if self.requests == Requests::Ranges {
            self.requests = Requests::Probe;
        }
    }

    /// Whether a full response answers a probe, so that the range is requested once more.
    pub(super) fn ends_probe(&mut self) -> bool {
        let is_probe = self.requests == Requests::Probe;
        if is_probe {
            self.requests = Requests::LastRange;
        }
        is_probe
    }

    /// Whether the last range was requested.
    pub(super) fn was_last_range(&self) -> bool {
        self.requests == Requests::LastRange
    }

    /// Ends the doubts about ranges: one was honoured, a probe failed, or the full file begins anew.
    pub(super) fn request_ranges(&mut self) {
        if self.requests != Requests::Full {
            self.requests = Requests::Ranges;
        }
    }

    /// Counts a change of the file.
    pub(super) fn count_change(&mut self) {
        self.changes += 1;
        if self.changes >= MOST_CHANGES {
            self.give_up_ranges();
        }
    }
}
