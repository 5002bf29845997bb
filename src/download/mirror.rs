//! One URL of a file while another one is requested, and what is known of it.

use std::time::{Duration, Instant};

use url::Url;

use super::{Patience, Reliability, Tries};

/// A URL of a file that is not requested now.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// The URL.
    pub url: Url,
    /// What is known of it.
    pub record: Record,
}

/// The tries at one URL of a file, and what they have shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record {
    /// The number of tries that have begun.
    pub tries: u32,
    /// When the first one began.
    pub began: Option<Instant>,
    /// The first failure after which the file has made no progress.
    pub failing: Option<Instant>,
    /// The end of the backoff after the last failure.
    pub rests_until: Option<Instant>,
    /// Its bytes were wrong, or it refused a range before it had sent any: every other server is asked before it, even
    /// if that has to be waited for.
    pub is_last_resort: bool,
    /// What was learnt of the server, while another one is requested.
    pub reliability: Reliability,
}

impl From<Url> for Mirror {
    fn from(url: Url) -> Self {
        let record = Record::default();
        Self { url, record }
    }
}

impl Mirror {
    /// The mirror with the lowest rank is requested first: whether it is a last resort, and when its backoff and the
    /// pause that its server asked for are over, which may be `now`.
    pub fn rank(&self, patience: &Patience, now: Instant) -> (bool, Instant) {
        let held = patience.held_until(&self.url, now);
        let until = self
            .record
            .rests_until
            .map_or(held, |until| until.max(held));
        (self.record.is_last_resort, until)
    }
}

impl Record {
    /// The tries as of now. `is_begun` says that some of the file is written.
    pub fn tried(&self, now: Instant, is_begun: bool) -> Tries {
        let [elapsed, failing] = [self.began, self.failing].map(|start| {
            start.map_or(Duration::ZERO, |start| now.saturating_duration_since(start))
        });
        Tries {
            count: self.tries,
            elapsed,
            failing,
            is_begun,
        }
    }

    /// Starts the count of tries again, because the file has made enough progress.
    pub fn reset_tries(&mut self) {
        self.tries = 1;
        self.failing = None;
    }
}
