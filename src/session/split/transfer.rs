//! One of the transfers that bring a file: what it brings, from whom, and how fast it is.

use std::time::Instant;

use crate::download::plan::Lane;
use crate::multi::TransferId;

/// How far back a speed looks, in seconds.
const MEMORY: f64 = 2.0;

/// One of the transfers that bring a file.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) id: TransferId,
    pub(super) lane: Lane,
    pub(super) server: usize,
    pub(super) opened: Instant,
    /// How often its server had failed by then.
    pub(super) era: u32,
    /// Where it began, and where it was when its speed was measured last.
    pub(super) from: u64,
    pub(super) seen: (Instant, u64),
    pub(super) speed: Option<f64>,
    /// Its answer has all up to the end of the file.
    pub(super) has_all: bool,
}

impl Transfer {
    /// Takes in that it has come up to `at`.
    pub(super) fn measure(&mut self, at: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.seen.0).as_secs_f64();
        if elapsed > 0.0 {
            let fresh = at.saturating_sub(self.seen.1) as f64 / elapsed;
            // Servers that limit a speed send in bursts: what counts is the last seconds.
            let weight = (elapsed / MEMORY).min(1.0);
            let speed = self
                .speed
                .map_or(fresh, |speed| speed + weight * (fresh - speed));
            self.speed = Some(speed);
        }
    }
}
