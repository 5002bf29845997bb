//! How many connections one file gets: their number doubles while that adds speed. Pure; the clock is an argument.

use std::time::{Duration, Instant};

/// How long a number of connections is measured before more are tried…
const WINDOW: Duration = Duration::from_millis(200);

/// …and how many such periods pass before they are judged useless: they may still be opening.
const PATIENCE: u32 = 6;

/// The factor of speed that doubled connections must reach to be kept.
const GAIN: f64 = 1.25;

/// The first pause before more connections are tried again; it doubles.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A speed, in bytes a second, above which more connections only cost work.
const FAST: f64 = 512.0 * 1024.0 * 1024.0;

/// Searches for the fastest number of connections.
#[derive(Debug, Clone)]
pub(super) struct Ramp {
    most: usize,
    wanted: usize,
    /// The previous number and its speed; `None` if the current number is not being tried.
    before: Option<(usize, f64)>,
    /// When the current number was set, and the bytes received until then.
    since: Instant,
    bytes: u64,
    /// No more connections are tried before this.
    rests_until: Instant,
    pause: Duration,
}

impl Ramp {
    /// Begins with one connection at `now`, when `bytes` are received.
    pub(super) fn new(most: usize, now: Instant, bytes: u64) -> Self {
        Self {
            most: most.max(1),
            wanted: 1,
            before: None,
            since: now,
            bytes,
            rests_until: now,
            pause: PAUSE,
        }
    }

    /// The number of connections to use.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.min(self.most)
    }

    /// Sets the largest number of connections.
    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most.max(1);
    }

    /// Measures the speed from the received bytes, and decides on the number of connections.
    pub(super) fn observe(&mut self, now: Instant, bytes: u64) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < WINDOW {
            return;
        }
        let speed = bytes.saturating_sub(self.bytes) as f64 / elapsed.as_secs_f64();
        match self.before {
            None if now < self.rests_until || self.wanted() >= self.most || speed >= FAST => {
                // The measurement restarts now and then, so that it reflects the current speed.
                if elapsed >= WINDOW * PATIENCE {
                    self.mark(now, bytes);
                }
            }
            None => self.climb(speed, now, bytes),
            Some((_, slower)) if speed >= slower * GAIN => {
                self.before = None;
                self.pause = PAUSE;
                if self.wanted() < self.most && speed < FAST {
                    self.climb(speed, now, bytes);
                } else {
                    self.mark(now, bytes);
                }
            }
            Some((fewer, _)) if elapsed >= WINDOW * PATIENCE => {
                self.wanted = fewer;
                self.before = None;
                self.rest(now, bytes);
            }
            Some(_) => {}
        }
    }

    /// Halves the number of connections for the rest of the file, because the origin refuses more.
    pub(super) fn fall_back(&mut self, now: Instant, bytes: u64) {
        self.most = (self.wanted() / 2).max(1);
        self.wanted = self.most;
        self.before = None;
        self.rest(now, bytes);
    }

    fn climb(&mut self, speed: f64, now: Instant, bytes: u64) {
        self.before = Some((self.wanted, speed));
        self.wanted = (self.wanted * 2).min(self.most);
        self.mark(now, bytes);
    }

    fn rest(&mut self, now: Instant, bytes: u64) {
        self.rests_until = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.mark(now, bytes);
    }

    fn mark(&mut self, now: Instant, bytes: u64) {
        (self.since, self.bytes) = (now, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a ramp for some seconds on a link with a speed that depends on the number of connections. Returns the
    /// final and the largest number.
    fn run(most: usize, seconds: u32, link: impl Fn(usize) -> f64) -> (usize, usize) {
        let mut now = Instant::now();
        let mut ramp = Ramp::new(most, now, 0);
        let (mut bytes, mut highest) = (0.0, 0);
        for _ in 0..seconds * 20 {
            bytes += link(ramp.wanted()) / 20.0;
            now += Duration::from_millis(50);
            ramp.observe(now, bytes as u64);
            highest = highest.max(ramp.wanted());
        }
        (ramp.wanted(), highest)
    }

    #[test]
    fn a_cap_on_each_connection_is_met_with_more_of_them() {
        assert_eq!(run(16, 2, |n| n as f64 * 4e6), (16, 16));
    }

    #[test]
    fn a_link_that_is_full_is_left_with_one() {
        let (end, highest) = run(16, 4, |_| 10e6);
        assert_eq!((end, highest), (1, 2));
    }

    #[test]
    fn the_climb_ends_where_the_speed_does() {
        let (end, highest) = run(16, 5, |n| (n as f64 * 4e6).min(16e6));
        assert_eq!((end, highest), (4, 8));
    }

    #[test]
    fn more_are_tried_again_after_a_pause_that_grows() {
        let tries = |seconds| {
            let count = std::cell::Cell::new((0, 1));
            run(2, seconds, |n| {
                let (tries, before) = count.get();
                count.set((tries + u32::from(n > before), n));
                10e6
            });
            count.get().0
        };
        assert_eq!(tries(5), 1);
        assert_eq!(tries(9), 2);
        assert_eq!(tries(60), 4);
    }

    #[test]
    fn a_link_that_one_connection_fills_fast_is_not_bothered() {
        assert_eq!(run(16, 5, |_| 1e9), (1, 1));
    }

    #[test]
    fn an_origin_that_has_had_enough_gets_fewer_for_good() {
        let mut now = Instant::now();
        let mut ramp = Ramp::new(16, now, 0);
        let mut bytes = 0.0;
        for step in 0..2000 {
            bytes += ramp.wanted() as f64 * 4e6 / 20.0;
            now += Duration::from_millis(50);
            if step == 100 {
                assert_eq!(ramp.wanted(), 16);
                ramp.fall_back(now, bytes as u64);
            }
            ramp.observe(now, bytes as u64);
        }
        assert_eq!(ramp.wanted(), 8);
    }
}
