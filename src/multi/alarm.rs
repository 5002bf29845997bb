//! The one timeout of the multi, and what the timer function was last told of it.

use std::fmt;
use std::time::{Duration, Instant};

use super::interest::Abort;

pub(super) type TimerFunction = Box<dyn FnMut(Option<Duration>) -> Result<(), Abort>>;

/// When the multi must be called next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// At once: something is runnable.
    Now,
    /// At this time.
    At(Instant),
}

impl Expiry {
    /// The time from `now`.
    pub(super) fn from(self, now: Instant) -> Duration {
        match self {
            Self::Now => Duration::ZERO,
            Self::At(at) => at.saturating_duration_since(now),
        }
    }
}

/// A single-shot timer of the application.
#[derive(Default)]
pub(super) struct Alarm {
    function: Option<TimerFunction>,
    /// What the function was last told, unless the timer may have fired since.
    announced: Option<Expiry>,
    /// The function was told a timeout, and not told since that there is none.
    is_armed: bool,
}

impl Alarm {
    /// Sets the function. The next evaluation tells it the timeout.
    pub(super) fn set_function(&mut self, function: TimerFunction) {
        self.function = Some(function);
        self.announced = None;
        self.is_armed = false;
    }

    /// The timer fired, or may have: a pending timeout must be announced again.
    pub(super) fn forget(&mut self) {
        self.announced = None;
    }

    /// Tells the function that something is runnable, unless it was last told that.
    pub(super) fn announce_now(&mut self) -> Result<(), Abort> {
        self.announce(Some(Expiry::Now), Some(Duration::ZERO))
    }

    /// Tells the function `expiry` if that differs from what it was last told.
    pub(super) fn evaluate(&mut self, expiry: Option<Expiry>, now: Instant) -> Result<(), Abort> {
        // An overdue time means the same as a runnable transfer, so it is announced once.
        let expiry = expiry.map(|expiry| match expiry {
            Expiry::At(at) if at <= now => Expiry::Now,
            expiry => expiry,
        });
        self.announce(expiry, expiry.map(|expiry| expiry.from(now)))
    }

    fn announce(&mut self, expiry: Option<Expiry>, timeout: Option<Duration>) -> Result<(), Abort> {
        let Some(function) = &mut self.function else {
            return Ok(());
        };
        let is_news = if expiry.is_some() {
            self.announced != expiry
        } else {
            self.is_armed
        };
        if !is_news {
            return Ok(());
        }
        let told = function(timeout);
        // A timer that the function could not set is not set.
        self.announced = if told.is_ok() { expiry } else { None };
        self.is_armed = self.announced.is_some();
        told
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm")
            .field("announced", &self.announced)
            .field("is_armed", &self.is_armed)
            .finish_non_exhaustive()
    }
}
