//! Whether an origin can be reached, and who finds out for all: pure.
//!
//! After some failures in a row, while no connection to it stands, an origin is in doubt. One
//! transfer at a time tries then, for all that wait when it begins: if no connection comes about,
//! the try was theirs too; if one does, all go on.

use super::info::TransferId;

/// Connections in a row that did not come about, after which an origin is in doubt.
const DOUBT: u32 = 3;

/// What is known of the way to an origin.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Connections that stand.
    standing: usize,
    /// Attempts that have failed since one last stood.
    failures: u32,
    attempt: Option<Attempt>,
}

/// A try for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    by: TransferId,
    /// Who came later takes no part in it.
    last_ticket: u64,
}

impl Reach {
    /// Whether nobody else may try to connect just now.
    pub(super) fn is_barred(&self) -> bool {
        self.attempt.is_some()
    }

    /// A transfer begins to connect; tickets up to this one have been drawn.
    pub(super) fn try_it(&mut self, by: TransferId, last_ticket: u64) {
        if self.failures >= DOUBT && self.standing == 0 {
            self.attempt = Some(Attempt { by, last_ticket });
        }
    }

    /// A connection stands.
    pub(super) fn connected(&mut self) {
        self.standing += 1;
        self.failures = 0;
        self.attempt = None;
    }

    /// A connection that stood has closed.
    pub(super) fn disconnected(&mut self) {
        self.standing = self.standing.saturating_sub(1);
    }

    /// A transfer's connection did not come about. If it tried for others, gives the last ticket of those.
    pub(super) fn failed(&mut self, by: TransferId) -> Option<u64> {
        if self.standing == 0 {
            self.failures = self.failures.saturating_add(1);
        }
        self.give_up(by)
    }

    /// A transfer no longer tries, for whatever reason.
    pub(super) fn give_up(&mut self, by: TransferId) -> Option<u64> {
        let attempt = self.attempt.take_if(|attempt| attempt.by == by);
        attempt.map(|attempt| attempt.last_ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> TransferId {
        TransferId::of(index)
    }

    /// An origin at which so many attempts have failed.
    fn after(failures: u32) -> Reach {
        let mut reach = Reach::default();
        for index in 0..failures {
            reach.try_it(id(index), 99);
            reach.failed(id(index));
        }
        reach
    }

    #[test]
    fn in_doubt_one_tries_for_those_that_are_there() {
        let mut reach = after(DOUBT - 1);
        reach.try_it(id(7), 20);
        assert!(!reach.is_barred());
        assert_eq!(reach.failed(id(7)), None);
        reach.try_it(id(8), 20);
        assert!(reach.is_barred());
        // One that was on its way before fails for itself alone.
        assert_eq!(reach.failed(id(6)), None);
        assert_eq!(reach.failed(id(8)), Some(20));
        assert!(!reach.is_barred());
    }

    #[test]
    fn a_connection_that_stands_ends_all_doubt() {
        let mut reach = after(DOUBT);
        reach.try_it(id(8), 20);
        reach.connected();
        assert!(!reach.is_barred());
        // Who is refused beside it may be one too many, and no sign of a dead host.
        for index in 0..9 {
            reach.try_it(id(index), 30);
            assert_eq!(reach.failed(id(index)), None);
        }
        reach.disconnected();
        reach.try_it(id(9), 40);
        assert!(!reach.is_barred());
    }

    #[test]
    fn who_leaves_without_a_result_lets_the_next_one_try() {
        let mut reach = after(DOUBT);
        reach.try_it(id(8), 20);
        reach.give_up(id(7));
        assert!(reach.is_barred());
        reach.give_up(id(8));
        assert!(!reach.is_barred());
        reach.try_it(id(9), 30);
        assert_eq!(reach.failed(id(9)), Some(30));
    }
}
