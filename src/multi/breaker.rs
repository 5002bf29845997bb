//! A circuit breaker for an origin that cannot be reached. Pure.
//!
//! After several consecutive failures to connect, while no connection to it is open, an origin is in doubt. Then one
//! transfer at a time tries to connect, for all that wait when it begins: if it fails, they fail with it; if it
//! connects, all go on.

use super::info::TransferId;

/// After this many consecutive failures to connect, an origin is in doubt.
const THRESHOLD: u32 = 3;

/// Whether connections to an origin succeed.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    /// Connections that are established.
    established: usize,
    /// Attempts that failed since a connection was last established.
    failures: u32,
    probe: Option<Probe>,
}

/// An attempt for all waiting transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Probe {
    by: TransferId,
    /// Transfers with a later ticket do not share in it.
    last_ticket: u64,
}

impl CircuitBreaker {
    /// Whether other transfers may not try to connect now.
    pub(super) fn is_probed(&self) -> bool {
        self.probe.is_some()
    }

    /// A transfer begins to connect. `last_ticket` was the last to be issued.
    pub(super) fn begin_attempt(&mut self, by: TransferId, last_ticket: u64) {
        if self.failures >= THRESHOLD && self.established == 0 {
            self.probe = Some(Probe { by, last_ticket });
        }
    }

    /// A connection was established.
    pub(super) fn connected(&mut self) {
        self.established += 1;
        self.failures = 0;
        self.probe = None;
    }

    /// An established connection closed.
    pub(super) fn disconnected(&mut self) {
        self.established = self.established.saturating_sub(1);
    }

    /// A transfer failed to connect. If it tried for others, returns the last ticket of those.
    pub(super) fn failed(&mut self, by: TransferId) -> Option<u64> {
        if self.established == 0 {
            self.failures = self.failures.saturating_add(1);
        }
        self.give_up(by)
    }

    /// A transfer no longer tries to connect. Returns what [`failed`](Self::failed) does.
    pub(super) fn give_up(&mut self, by: TransferId) -> Option<u64> {
        let probe = self.probe.take_if(|probe| probe.by == by);
        probe.map(|probe| probe.last_ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> TransferId {
        TransferId::of(index)
    }

    /// An origin after this many failures.
    fn after(failures: u32) -> CircuitBreaker {
        let mut breaker = CircuitBreaker::default();
        for index in 0..failures {
            breaker.begin_attempt(id(index), 99);
            breaker.failed(id(index));
        }
        breaker
    }

    #[test]
    fn in_doubt_one_tries_for_those_that_are_there() {
        let mut breaker = after(THRESHOLD - 1);
        breaker.begin_attempt(id(7), 20);
        assert!(!breaker.is_probed());
        assert_eq!(breaker.failed(id(7)), None);
        breaker.begin_attempt(id(8), 20);
        assert!(breaker.is_probed());
        // An attempt from before fails only for its transfer.
        assert_eq!(breaker.failed(id(6)), None);
        assert_eq!(breaker.failed(id(8)), Some(20));
        assert!(!breaker.is_probed());
    }

    #[test]
    fn a_connection_that_stands_ends_all_doubt() {
        let mut breaker = after(THRESHOLD);
        breaker.begin_attempt(id(8), 20);
        breaker.connected();
        assert!(!breaker.is_probed());
        // A refusal while a connection is open may mean too many connections, not a dead host.
        for index in 0..9 {
            breaker.begin_attempt(id(index), 30);
            assert_eq!(breaker.failed(id(index)), None);
        }
        breaker.disconnected();
        breaker.begin_attempt(id(9), 40);
        assert!(!breaker.is_probed());
    }

    #[test]
    fn a_transfer_that_gives_up_lets_the_next_one_try() {
        let mut breaker = after(THRESHOLD);
        breaker.begin_attempt(id(8), 20);
        breaker.give_up(id(7));
        assert!(breaker.is_probed());
        breaker.give_up(id(8));
        assert!(!breaker.is_probed());
        breaker.begin_attempt(id(9), 30);
        assert_eq!(breaker.failed(id(9)), Some(30));
    }
}
