//! The one timeout that the application is told of, and what it was told last.

use std::fmt;
use std::time::{Duration, Instant};

use super::interest::Abort;

pub(super) type TimerFunction = Box<dyn FnMut(Option<Duration>) -> Result<(), Abort>>;

/// When the multi wants to be called next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// At once: a transfer is runnable.
    Now,
    /// At this time.
    At(Instant),
}

impl Expiry {
    /// The time from `now` on.
    pub(super) fn from(self, now: Instant) -> Duration {
        match self {
            Self::Now => Duration::ZERO,
            Self::At(at) => at.saturating_duration_since(now),
        }
    }
}

/// A single-shot timer in the application's hands.
#[derive(Default)]
pub(super) struct Alarm {
    function: Option<TimerFunction>,
    /// What the function was last told, unless that has been forgotten since.
    announced: Option<Expiry>,
    /// The function was told of a timeout since it was last told of none.
    is_armed: bool,
}

impl Alarm {
    /// Sets the function; it is told of a pending timeout at the next evaluation.
    pub(super) fn set_function(&mut self, function: TimerFunction) {
        self.function = Some(function);
        self.announced = None;
        self.is_armed = false;
    }

    /// The timer went off, or may have: what is pending must be announced anew.
    pub(super) fn forget(&mut self) {
        self.announced = None;
    }

    /// Tells the function that a transfer is runnable, unless it was told that last.
    pub(super) fn announce_now(&mut self) -> Result<(), Abort> {
        self.announce(Some(Expiry::Now), Some(Duration::ZERO))
    }

    /// Tells the function of `expiry` if that differs from what it was told last.
    pub(super) fn evaluate(&mut self, expiry: Option<Expiry>, now: Instant) -> Result<(), Abort> {
        // What is overdue is due at once, like what is runnable: told once, whichever it was.
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
        // What could not be set is not set.
        self.announced = expiry.filter(|_| told.is_ok());
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
