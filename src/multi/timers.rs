//! When each transfer next has something to do: one time for each, the earliest of its clocks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The delay that replaces one which the clock cannot hold.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The time after a delay. An endless delay ends far in the future, which differs from no delay.
pub(super) fn later(from: Instant, delay: Duration) -> Instant {
    from.checked_add(delay).unwrap_or_else(|| from + FAR)
}

/// Times by key. Every operation is O(log n), or faster.
#[derive(Debug, Default)]
pub struct Timers {
    by_time: BTreeSet<(Instant, u32)>,
    by_key: Vec<Option<Instant>>,
}

impl Timers {
    /// No timers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time of `key`, or clears it. Keys are small numbers: memory use grows with the largest.
    pub fn set(&mut self, key: u32, at: Option<Instant>) {
        let index = key as usize;
        if index >= self.by_key.len() {
            if at.is_none() {
                return;
            }
            self.by_key.resize(index + 1, None);
        }
        let before = std::mem::replace(&mut self.by_key[index], at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key));
        }
    }

    /// Whether `key` has a time.
    pub fn is_set(&self, key: u32) -> bool {
        self.by_key.get(key as usize).is_some_and(Option::is_some)
    }

    /// The earliest time.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Clears every time.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Removes a key with a time not after `now`.
    pub fn pop_expired(&mut self, now: Instant) -> Option<u32> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key[key as usize] = None;
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_each_once() {
        let now = Instant::now();
        let at = |ms| Some(now + Duration::from_millis(ms));
        let mut timers = Timers::new();
        timers.set(3, at(30));
        timers.set(1, at(10));
        timers.set(2, at(10));
        timers.set(3, at(5));
        assert_eq!(timers.next(), at(5));
        assert_eq!(timers.pop_expired(now), None);
        let later = now + Duration::from_millis(10);
        let taken: Vec<_> = std::iter::from_fn(|| timers.pop_expired(later)).collect();
        assert_eq!(taken, [3, 1, 2]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_delay_without_end_is_far_away() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(later(now, second), now + second);
        assert!(later(now, Duration::MAX) > now + 1_000_000 * second);
    }

    #[test]
    fn a_cleared_timer_does_not_expire() {
        let now = Instant::now();
        let mut timers = Timers::new();
        timers.set(7, None);
        timers.set(7, Some(now));
        assert!(timers.is_set(7));
        timers.set(7, None);
        assert!(!timers.is_set(7));
        assert_eq!(timers.pop_expired(now), None);
    }
}
