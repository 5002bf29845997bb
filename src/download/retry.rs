//! Whether a failed file is retried, and after what delay: a pure policy.

#![warn(clippy::wildcard_enum_match_arm)]

use std::time::{Duration, Instant, SystemTime};

use url::Url;

use super::patience::{Failing, Patience};
use crate::error::{Error, Fault, RetryAfter};

/// The largest delay that doubling leads to.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// How long an origin may fail before its files do, if no number of tries is given: most outages of servers and
/// networks are over within minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long an origin that never answered may refuse connections, or have no address: it is most likely a typo.
const PATIENCE_UNREACHED: Duration = Duration::from_secs(3);

/// How many tries a file has at least at a server that works for others.
const TRIES_OF_FILE: u32 = 5;

/// A failed try made progress if it added at least this many bytes.
pub const WORTH_A_TRY: u64 = 1 << 20;

/// How often and how soon a file is retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first. Without it, time decides: a file fails once its origin, or after five tries the file
    /// itself, has failed for five minutes, or four times the first delay if that is longer. If the origin cannot be
    /// reached and has not answered in this run, that takes three seconds.
    pub retries: Option<u32>,
    /// The upper bound of the first delay; it doubles with each retry.
    pub first_delay: Duration,
    /// The longest Retry-After that is obeyed. A longer one fails the file.
    pub longest_retry_after: Duration,
    /// No try begins later than this after the first one.
    pub longest: Option<Duration>,
    /// An origin that cannot be reached is retried as any other: its service may be starting.
    pub awaits_unreached: bool,
    /// The statuses that are retried, instead of the default ones.
    pub statuses: Option<Vec<u16>>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            retries: None,
            first_delay: Duration::from_secs(1),
            longest_retry_after: Duration::from_secs(300),
            longest: None,
            awaits_unreached: false,
            statuses: None,
        }
    }
}

/// Pseudorandom numbers from 0 to 1: one seed always gives the same delays.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next of them: a step of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
    /// number generators").
    pub fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }
}

/// What to do after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Retry after this delay.
    Again(Duration),
    /// Fail the file: a retry would not help, or the limit is reached.
    GiveUp,
}

/// The retry policy of a run, with its jitter and the time of day.
#[derive(Debug)]
pub struct Retries<'a> {
    /// The policy.
    pub retry: &'a Retry,
    /// The source of its random numbers.
    pub jitter: &'a mut Jitter,
    /// The time of day, for a Retry-After that is a date.
    pub wall: fn() -> SystemTime,
    /// What is known of the origins.
    pub patience: &'a mut Patience,
}

impl Retries<'_> {
    /// Decides after the last of `tries`, which requested `url`, has failed with `error`.
    pub fn decide(&mut self, url: &Url, error: &Error, tries: Tries, now: Instant) -> Decision {
        let random = self.jitter.draw();
        let mut failing = self.patience.failed(url, error, now);
        // The time of the file counts after some tries: until then it may have waited for a slot, and its server works.
        if tries.count >= TRIES_OF_FILE {
            failing.elapsed = failing.elapsed.max(tries.failing);
        }
        self.retry
            .decide(error, tries, failing, random, (self.wall)())
    }

    /// Whether a request may still begin after these tries.
    pub(crate) fn has_time(&self, tries: Tries) -> bool {
        let longest = self.retry.longest;
        longest.is_none_or(|longest| tries.elapsed <= longest)
    }
}

/// The tries so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// The number of failed tries.
    pub count: u32,
    /// Time since the first began.
    pub elapsed: Duration,
    /// Time since the first failure after which the file has made no progress.
    pub failing: Duration,
    /// Some of the file is written, so the server has allowed it before.
    pub is_begun: bool,
}

impl Retry {
    /// Decides after the last of `tries` has failed with `error`. `random` is a number from 0 to 1, for full jitter:
    /// it spreads the retries of transfers that failed together. `wall` is the time of day, for a Retry-After that is
    /// a date.
    pub(crate) fn decide(
        &self,
        error: &Error,
        tries: Tries,
        failing: Failing,
        random: f64,
        wall: SystemTime,
    ) -> Decision {
        let is_last = self.retries.is_some_and(|retries| tries.count > retries);
        if is_last || !self.may_help(error, tries) {
            return Decision::GiveUp;
        }
        let Some(delay) = self.delay(error, tries.count, random, wall) else {
            return Decision::GiveUp;
        };
        let tried = tries.elapsed.saturating_add(delay);
        let failed = failing.elapsed.saturating_add(delay);
        if self.longest.is_some_and(|longest| tried > longest)
            || self.patience(failing).is_some_and(|most| failed > most)
        {
            return Decision::GiveUp;
        }
        Decision::Again(delay)
    }

    /// How long a failing origin is borne with; `None` if the tries or their time are limited instead.
    fn patience(&self, failing: Failing) -> Option<Duration> {
        if self.retries.is_some() {
            None
        } else if failing.is_unreached && !self.awaits_unreached {
            Some(PATIENCE_UNREACHED)
        } else if self.longest.is_some() {
            None
        } else {
            // Long delays that were typed leave room for some retries.
            Some(PATIENCE.max(self.first_delay.saturating_mul(4)))
        }
    }

    /// Whether another try can succeed.
    fn may_help(&self, error: &Error, tries: Tries) -> bool {
        match (error.status(), &self.statuses) {
            (Some(status), Some(statuses)) => statuses.contains(&status),
            // The target of a redirect may be a signed URL that has expired. The next try begins at the first URL, and
            // gets a new one.
            (Some(403), None) if tries.is_begun && error.redirected().is_some() => true,
            _ => error.is_retryable(),
        }
    }

    /// The delay before the retry; `None` if the server asks for more than the limit.
    fn delay(&self, error: &Error, tries: u32, random: f64, wall: SystemTime) -> Option<Duration> {
        if let Fault::Status {
            retry_after: Some(asked),
            ..
        } = error.fault()
        {
            let asked = match asked {
                RetryAfter::Delay(delay) => *delay,
                RetryAfter::Date(date) => date.duration_since(wall).unwrap_or_default(),
            };
            // "At once", or a date that is past, names no time. Without a number of tries, a server that repeats it
            // would be asked for minutes without a pause.
            if !asked.is_zero() {
                return (asked <= self.longest_retry_after).then_some(asked);
            }
        }
        let doubled = self
            .first_delay
            .saturating_mul(2_u32.saturating_pow(tries - 1));
        let most = doubled.min(LONGEST_DELAY.max(self.first_delay));
        Some(most.mul_f64(random.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Doing;

    const WALL: SystemTime = SystemTime::UNIX_EPOCH;

    fn after(count: u32) -> Tries {
        Tries {
            count,
            elapsed: Duration::ZERO,
            failing: Duration::ZERO,
            is_begun: false,
        }
    }

    fn failing(seconds: u64, is_unreached: bool) -> Failing {
        Failing {
            elapsed: Duration::from_secs(seconds),
            is_unreached,
        }
    }

    /// The decision about an origin that has not failed before.
    fn decide(retry: &Retry, error: &Error, tries: Tries, random: f64) -> Decision {
        retry.decide(error, tries, failing(0, false), random, WALL)
    }

    fn status(status: u16, retry_after: Option<RetryAfter>) -> Error {
        Error::new(
            Fault::Status {
                status,
                retry_after,
                size: None,
            },
            Doing::Receiving,
            None,
        )
    }

    fn delays(random: f64) -> Vec<Decision> {
        let retry = Retry {
            retries: Some(8),
            ..Retry::default()
        };
        (1..=9)
            .map(|tries| decide(&retry, &status(500, None), after(tries), random))
            .collect()
    }

    #[test]
    fn delays_double_up_to_a_minute_and_end_with_the_tries() {
        let seconds = [1, 2, 4, 8, 16, 32, 60, 60].map(|s| Decision::Again(Duration::from_secs(s)));
        assert_eq!(delays(1.0)[..8], seconds);
        assert_eq!(delays(1.0)[8], Decision::GiveUp);
        assert!(
            delays(0.0)[..8]
                .iter()
                .all(|decision| *decision == Decision::Again(Duration::ZERO))
        );
    }

    #[test]
    fn a_seed_decides_every_delay_and_two_seeds_differ() {
        let draws = |seed| -> Vec<f64> {
            let mut jitter = Jitter::new(seed);
            (0..100).map(|_| jitter.draw()).collect()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        assert!(draws(7).iter().all(|draw| (0.0..=1.0).contains(draw)));
        let mean = draws(7).iter().sum::<f64>() / 100.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }

    #[test]
    fn what_cannot_get_better_is_not_tried_again() {
        let retry = Retry::default();
        assert_eq!(
            decide(&retry, &status(404, None), after(1), 0.5),
            Decision::GiveUp
        );
        let refused = Error::new(
            Fault::Certificate("expired".into()),
            Doing::Handshaking,
            None,
        );
        assert_eq!(decide(&retry, &refused, after(1), 0.5), Decision::GiveUp);
    }

    #[test]
    fn a_redirect_whose_target_is_forbidden_in_mid_file_is_asked_for_anew() {
        let forbidden = |to: Option<&str>| {
            let to = to.map(|to| to.parse().unwrap());
            status(403, None).redirected_to(to)
        };
        let decide = |error: &Error, is_begun| {
            let tries = Tries {
                is_begun,
                ..after(1)
            };
            decide(&Retry::default(), error, tries, 1.0)
        };
        let again = Decision::Again(Duration::from_secs(1));
        let signed = forbidden(Some("http://a/?signature"));
        assert_eq!(decide(&signed, true), again);
        assert_eq!(decide(&signed, false), Decision::GiveUp);
        assert_eq!(decide(&forbidden(None), true), Decision::GiveUp);
    }

    #[test]
    fn a_server_s_own_delay_is_obeyed_up_to_a_limit() {
        let retry = Retry::default();
        let asked = |seconds| status(503, Some(RetryAfter::Delay(Duration::from_secs(seconds))));
        assert_eq!(
            decide(&retry, &asked(7), after(1), 0.1),
            Decision::Again(Duration::from_secs(7))
        );
        assert_eq!(decide(&retry, &asked(301), after(1), 0.1), Decision::GiveUp);
        let date = status(503, Some(RetryAfter::Date(WALL + Duration::from_secs(20))));
        assert_eq!(
            decide(&retry, &date, after(1), 0.1),
            Decision::Again(Duration::from_secs(20))
        );
        assert_eq!(
            retry.decide(
                &date,
                after(1),
                failing(0, false),
                0.1,
                WALL + Duration::from_secs(30)
            ),
            Decision::Again(Duration::from_millis(100)),
            "a date that is past"
        );
    }

    #[test]
    fn a_file_that_waited_long_for_a_slot_is_retried_if_its_server_works() {
        let (mut jitter, mut patience) = (Jitter::new(1), Patience::default());
        let retry = Retry::default();
        let url = Url::parse("http://h/a").unwrap();
        let decisions = [1, 4, 5].map(|count| {
            patience.succeeded(&url);
            let mut retries = Retries {
                retry: &retry,
                jitter: &mut jitter,
                wall: || WALL,
                patience: &mut patience,
            };
            let tries = Tries {
                count,
                failing: Duration::from_secs(600),
                ..after(count)
            };
            let overloaded = status(503, None);
            let decision = retries.decide(&url, &overloaded, tries, Instant::now());
            decision != Decision::GiveUp
        });
        assert_eq!(decisions, [true, true, false]);
    }

    #[test]
    fn a_server_that_may_be_asked_at_once_is_not_asked_without_a_pause() {
        let at_once = status(503, Some(RetryAfter::Delay(Duration::ZERO)));
        for (tries, seconds) in [(1, 1), (3, 4), (9, 60)] {
            let decision = decide(&Retry::default(), &at_once, after(tries), 1.0);
            assert_eq!(decision, Decision::Again(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn no_try_begins_after_the_time_is_up() {
        let retry = Retry {
            longest: Some(Duration::from_secs(10)),
            ..Retry::default()
        };
        let decide = |seconds, asked| {
            let tries = Tries {
                count: 1,
                elapsed: Duration::from_secs(seconds),
                failing: Duration::ZERO,
                is_begun: false,
            };
            let asked = RetryAfter::Delay(Duration::from_secs(asked));
            decide(&retry, &status(503, Some(asked)), tries, 1.0)
        };
        assert_eq!(decide(3, 7), Decision::Again(Duration::from_secs(7)));
        assert_eq!(decide(4, 7), Decision::GiveUp);
        assert_eq!(decide(11, 0), Decision::GiveUp);
    }

    /// The decision about an overloaded server.
    fn overloaded(retry: &Retry, tries: u32, failing: Failing) -> Decision {
        retry.decide(&status(503, None), after(tries), failing, 1.0, WALL)
    }

    fn again(seconds: u64) -> Decision {
        Decision::Again(Duration::from_secs(seconds))
    }

    #[test]
    fn without_a_number_of_tries_time_decides() {
        let by_time = Retry::default();
        assert_eq!(overloaded(&by_time, 90, failing(240, false)), again(60));
        assert_eq!(
            overloaded(&by_time, 90, failing(241, false)),
            Decision::GiveUp
        );
        assert_eq!(
            overloaded(&by_time, 1, failing(300, false)),
            Decision::GiveUp
        );
        assert_eq!(overloaded(&by_time, 2, failing(1, true)), again(2));
        assert_eq!(overloaded(&by_time, 2, failing(2, true)), Decision::GiveUp);
        let slow = Retry {
            first_delay: Duration::from_secs(600),
            ..Retry::default()
        };
        assert_eq!(overloaded(&slow, 1, failing(1800, false)), again(600));
        assert_eq!(overloaded(&slow, 1, failing(1801, false)), Decision::GiveUp);
        let starting = Retry {
            awaits_unreached: true,
            ..Retry::default()
        };
        assert_eq!(overloaded(&starting, 2, failing(200, true)), again(2));
        let counted = Retry {
            retries: Some(2),
            ..Retry::default()
        };
        assert_eq!(overloaded(&counted, 2, failing(9000, true)), again(2));
        assert_eq!(overloaded(&counted, 3, failing(0, false)), Decision::GiveUp);
        let timed = Retry {
            longest: Some(Duration::from_secs(3600)),
            ..Retry::default()
        };
        assert_eq!(overloaded(&timed, 1, failing(3000, false)), again(1));
        assert_eq!(overloaded(&timed, 2, failing(2, true)), Decision::GiveUp);
    }

    #[test]
    fn statuses_that_are_named_replace_the_usual_ones_and_no_other_fault() {
        let retry = Retry {
            statuses: Some(vec![404, 599]),
            ..Retry::default()
        };
        let is_again = |error: &Error| decide(&retry, error, after(1), 0.0) != Decision::GiveUp;
        assert!(is_again(&status(404, None)) && is_again(&status(599, None)));
        assert!(!is_again(&status(503, None)));
        assert!(is_again(&Error::new(
            Fault::NoAnswer,
            Doing::Receiving,
            None
        )));
    }
}
