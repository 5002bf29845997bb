//! One of the transfers of a divided file: its segment, its server and its speed.

use std::time::Instant;

use crate::download::plan::Lane;
use crate::multi::TransferId;

/// The time over which a speed is averaged, in seconds.
const MEMORY: f64 = 2.0;

/// The transfer of one segment.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) id: TransferId,
    pub(super) lane: Lane,
    /// The index of its server.
    pub(super) server: usize,
    pub(super) opened: Instant,
    /// The era of its server when it was opened.
    pub(super) era: u32,
    /// The offset of its first byte.
    pub(super) from: u64,
    /// The time of the last measurement, and the offset then.
    pub(super) seen: (Instant, u64),
    /// In bytes a second.
    pub(super) speed: Option<f64>,
    /// Its response is open-ended: it reaches the end of the file.
    pub(super) has_all: bool,
}

impl Transfer {
    /// Whether it waits too long for its first byte. Only a measurement tells that: it gives a speed without a byte.
    pub(super) fn is_mute(&self) -> bool {
        !self.has_all && self.speed.is_some() && self.seen.1 == self.from
    }

    /// Updates the speed of a transfer that has written everything before the offset `at`.
    pub(super) fn measure(&mut self, at: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.seen.0).as_secs_f64();
        if elapsed > 0.0 {
            let fresh = at.saturating_sub(self.seen.1) as f64 / elapsed;
            // Servers that limit the speed send in bursts: the average of the last seconds counts.
            let weight = (elapsed / MEMORY).min(1.0);
            let speed = self
                .speed
                .map_or(fresh, |speed| speed + weight * (fresh - speed));
            self.speed = Some(speed);
        }
    }
}
