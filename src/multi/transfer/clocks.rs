//! The clocks of a transfer: when each runs out, and which did.

use std::time::{Duration, Instant};

use crate::error::Timeout;
use crate::multi::Easy;

/// When things began. All of them start at dispatch, not while the transfer waits for a place.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::multi) struct Clocks {
    /// When the transfer was dispatched.
    pub(in crate::multi) dispatched: Option<Instant>,
    /// When the present connection was begun; none when it stands.
    pub(in crate::multi) connecting: Option<Instant>,
    /// When the last byte came, or the request began; none while no byte can come.
    pub(in crate::multi) last_byte: Option<Instant>,
    /// When to look again, for a reason that the state knows.
    pub(in crate::multi) wake: Option<Instant>,
}

/// A clock's beginning, its limit, and which one it is.
type Running = (Option<Instant>, Option<Duration>, Timeout);

impl Clocks {
    fn running<S>(&self, easy: &Easy<S>) -> [Running; 3] {
        [
            (self.dispatched, easy.timeout, Timeout::Total),
            (self.connecting, easy.connect_timeout, Timeout::Connect),
            (self.last_byte, easy.stall_timeout, Timeout::Stall),
        ]
    }

    /// The earliest time at which there is something to do.
    pub(in crate::multi) fn next<S>(&self, easy: &Easy<S>) -> Option<Instant> {
        let deadlines = self
            .running(easy)
            .into_iter()
            .filter_map(|(since, limit, _)| since?.checked_add(limit?));
        deadlines.chain(self.wake).min()
    }

    /// The clock that has run out by `now`, if one has, and its limit.
    pub(in crate::multi) fn expired<S>(
        &self,
        easy: &Easy<S>,
        now: Instant,
    ) -> Option<(Timeout, Duration)> {
        self.running(easy)
            .into_iter()
            .find_map(|(since, limit, kind)| {
                let limit = limit?;
                (since?.checked_add(limit)? <= now).then_some((kind, limit))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_is_next_and_the_one_that_expires() {
        let now = Instant::now();
        let mut easy = Easy::new("http://a/".parse().unwrap(), ());
        easy.timeout = Some(Duration::from_secs(60));
        let clocks = Clocks {
            dispatched: Some(now),
            connecting: None,
            last_byte: Some(now),
            wake: None,
        };
        let stall = now + Duration::from_secs(30);
        assert_eq!(clocks.next(&easy), Some(stall));
        assert_eq!(clocks.expired(&easy, now), None);
        assert_eq!(
            clocks.expired(&easy, stall),
            Some((Timeout::Stall, Duration::from_secs(30)))
        );
    }

    #[test]
    fn a_limit_too_large_for_the_clock_never_expires() {
        let now = Instant::now();
        let mut easy = Easy::new("http://a/".parse().unwrap(), ());
        easy.stall_timeout = Some(Duration::MAX);
        let clocks = Clocks {
            last_byte: Some(now),
            ..Clocks::default()
        };
        assert_eq!(clocks.next(&easy), None);
        assert_eq!(clocks.expired(&easy, now), None);
    }
}
