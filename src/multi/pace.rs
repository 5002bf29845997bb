//! How often transfers start. Pure arithmetic; the time is an argument.

use std::time::{Duration, Instant};

use super::timers::later;

/// A start that was due for at most this time is made up for, since the application may call a little late.
const LATE: Duration = Duration::from_millis(20);

/// A minimum time between two starts, on average. A time without starts gives no credit.
#[derive(Debug, Default)]
pub(super) struct Pace {
    interval: Duration,
    /// When the last start was due.
    last: Option<Instant>,
    /// A transfer waits for the next start.
    is_awaited: bool,
}

impl Pace {
    /// Sets the interval, which counts from the last start; with zero, transfers start at once.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// When the next start is due; `None` before the first one. An interval that the clock cannot hold ends far in the
    /// future, not now.
    fn due(&self) -> Option<Instant> {
        self.last.map(|last| later(last, self.interval))
    }

    /// Whether a transfer may start now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.interval.is_zero() || self.due().is_none_or(|due| due <= now)
    }

    /// A transfer starts.
    pub(super) fn start(&mut self, now: Instant) {
        let earliest = now.checked_sub(LATE).unwrap_or(now);
        self.last = Some(self.due().map_or(now, |due| due.max(earliest)));
    }

    /// Sets whether a transfer waits for the next start.
    pub(super) fn set_awaited(&mut self, is_awaited: bool) {
        self.is_awaited = is_awaited;
    }

    /// When the waiting transfer may start, if there is one.
    pub(super) fn next(&self) -> Option<Instant> {
        if self.is_awaited { self.due() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(millis: u64) -> Pace {
        let mut pace = Pace::default();
        pace.set_interval(Duration::from_millis(millis));
        pace
    }

    /// The number of starts within `span`, if the application calls every `step`.
    fn starts(pace: &mut Pace, start: Instant, span: Duration, step: Duration) -> u32 {
        let (mut now, mut count) = (start, 0);
        while now < start + span {
            while pace.is_due(now) {
                pace.start(now);
                count += 1;
            }
            now += step;
        }
        count
    }

    #[test]
    fn starts_in_a_span_follow_the_interval() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let millisecond = Duration::from_millis(1);
        assert_eq!(starts(&mut pace(20), now, second, millisecond), 50);
        assert_eq!(starts(&mut pace(60_000), now, 60 * second, second), 1);
        assert_eq!(starts(&mut pace(60_000), now, 61 * second, second), 2);
    }

    #[test]
    fn a_call_that_is_a_little_late_loses_no_start() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut fast = Pace::default();
        fast.set_interval(Duration::from_micros(200));
        let count = starts(&mut fast, now, second, Duration::from_millis(3));
        assert!((4980..=5000).contains(&count), "{count}");
    }

    #[test]
    fn a_time_of_rest_is_no_credit() {
        let mut pace = pace(100);
        let now = Instant::now();
        pace.start(now);
        let later = now + Duration::from_secs(3600);
        assert!(pace.is_due(later));
        pace.start(later);
        assert!(!pace.is_due(later + Duration::from_millis(79)));
        assert!(pace.is_due(later + Duration::from_millis(80)));
    }

    #[test]
    fn without_an_interval_all_transfers_start() {
        let mut pace = Pace::default();
        let now = Instant::now();
        pace.start(now);
        assert!(pace.is_due(now));
        assert_eq!(pace.next(), None);
    }

    #[test]
    fn another_interval_counts_from_the_last_start_on() {
        let mut pace = pace(3_600_000);
        let now = Instant::now();
        pace.start(now);
        let soon = now + Duration::from_secs(1);
        assert!(!pace.is_due(soon));
        pace.set_interval(Duration::from_secs(1));
        assert!(pace.is_due(soon));
        pace.set_interval(Duration::from_secs(2));
        assert!(!pace.is_due(soon));
    }

    #[test]
    fn an_interval_without_end_lets_one_start_and_no_other() {
        let mut pace = Pace::default();
        pace.set_interval(Duration::MAX);
        let now = Instant::now();
        assert!(pace.is_due(now));
        pace.start(now);
        assert!(!pace.is_due(now + Duration::from_secs(1 << 24)));
    }

    #[test]
    fn a_timer_is_set_only_for_a_waiting_transfer() {
        let mut pace = pace(100);
        let now = Instant::now();
        pace.start(now);
        assert_eq!(pace.next(), None);
        pace.set_awaited(true);
        assert_eq!(pace.next(), Some(now + Duration::from_millis(100)));
    }
}
