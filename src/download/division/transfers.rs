//! The open transfers of a divided file: how far each has come, and how fast it is.

use std::slice;
use std::time::{Duration, Instant};

use super::event::Frontier;
use super::plan::Lane;

/// The time over which a speed is averaged, in seconds.
const MEMORY: f64 = 2.0;

/// A dispatched transfer without a byte is mute from this time after it was opened on: its speed is 0. Before, it has
/// no speed.
const MUTE: Duration = Duration::from_secs(2);

/// A speed after the last `elapsed` seconds. Servers that limit the speed send in bursts: the average of the last
/// seconds counts.
fn average(before: Option<f64>, fresh: f64, elapsed: f64) -> f64 {
    let weight = (elapsed / MEMORY).min(1.0);
    before.map_or(fresh, |before| before + weight * (fresh - before))
}

/// The transfer of one segment.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) lane: Lane,
    /// The index of its server.
    pub(super) server: usize,
    pub(super) opened: Instant,
    /// The era of its server when it was opened.
    pub(super) era: u32,
    /// The offset of its first byte.
    pub(super) from: u64,
    /// The offset of its next byte.
    pub(super) at: u64,
    /// The bytes of its body so far.
    pub(super) received: u64,
    pub(super) is_dispatched: bool,
    /// The time of the last measurement, and the offset then.
    pub(super) seen: (Instant, u64),
    /// In bytes a second.
    pub(super) speed: Option<f64>,
    /// Its response is open-ended: it reaches the end of the file.
    pub(super) has_all: bool,
}

impl Transfer {
    /// A transfer of a lane. Its next byte is at `from`.
    pub(super) fn new(lane: Lane, server: usize, from: u64, now: Instant) -> Self {
        Self {
            lane,
            server,
            opened: now,
            era: 0,
            from,
            at: from,
            received: 0,
            is_dispatched: false,
            seen: (now, from),
            speed: None,
            has_all: false,
        }
    }

    /// Whether it waits too long for its first byte. Only a measurement tells that: it gives a speed without a byte.
    fn is_mute(&self) -> bool {
        !self.has_all && self.speed.is_some() && self.seen.1 == self.from
    }

    /// Updates the speed.
    fn measure(&mut self, now: Instant) {
        let is_mute = now.saturating_duration_since(self.opened) > MUTE && self.is_dispatched;
        let elapsed = now.saturating_duration_since(self.seen.0).as_secs_f64();
        if (self.at > self.from || is_mute) && elapsed > 0.0 {
            let fresh = self.at.saturating_sub(self.seen.1) as f64 / elapsed;
            self.speed = Some(average(self.speed, fresh, elapsed));
        }
        self.seen = (now, self.at);
    }
}

/// The open transfers of a file, and what ended ones have left.
#[derive(Debug)]
pub(super) struct Transfers {
    open: Vec<Transfer>,
    /// The highest speed of a single transfer so far, in bytes a second.
    best: f64,
    /// Bytes received by transfers that have ended.
    received: u64,
    /// The speed of all transfers together, in bytes a second.
    speed: Option<f64>,
    /// The time of the last measurement, and the bytes written then.
    seen: (Instant, u64),
}

impl Transfers {
    /// The first transfer, after `received` bytes of its body. `written` bytes of the file are on the disk.
    pub(super) fn new(first: Transfer, received: u64, written: u64) -> Self {
        let seen = (first.seen.0, written);
        Self {
            open: vec![first],
            best: 0.0,
            received,
            speed: None,
            seen,
        }
    }

    /// The number of open transfers.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// The highest speed of a single transfer so far, in bytes a second.
    pub(super) fn best(&self) -> f64 {
        self.best
    }

    /// The average speed of all transfers together, in bytes a second.
    pub(super) fn speed(&self) -> f64 {
        self.speed.unwrap_or(0.0)
    }

    /// Bytes received by transfers that have ended.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// The open transfers.
    pub(super) fn iter(&self) -> slice::Iter<'_, Transfer> {
        self.open.iter()
    }

    /// The transfer of a lane.
    pub(super) fn get(&self, lane: Lane) -> Option<&Transfer> {
        self.open.iter().find(|transfer| transfer.lane == lane)
    }

    /// The first transfer with an open-ended response.
    pub(super) fn open_ended(&self) -> Option<&Transfer> {
        self.open.iter().find(|transfer| transfer.has_all)
    }

    /// The number of mute transfers, which wait too long for their first byte.
    pub(super) fn mute(&self) -> usize {
        self.open.iter().filter(|one| one.is_mute()).count()
    }

    /// The speeds of the servers: a further connection to one is expected to be as fast as its fastest one. A server
    /// appears once for each of its transfers with a speed.
    pub(super) fn server_speeds(&self) -> impl Iterator<Item = (usize, f64)> {
        let known = self.open.iter().filter(|one| one.speed.is_some());
        known.map(|transfer| {
            let server = transfer.server;
            let others = self.open.iter().filter(|one| one.server == server);
            let speeds = others.filter_map(|one| one.speed);
            (server, speeds.fold(0.0, f64::max))
        })
    }

    /// Puts transfers that were taken out back.
    pub(super) fn extend(&mut self, transfers: impl IntoIterator<Item = Transfer>) {
        self.open.extend(transfers);
    }

    /// Adds a transfer.
    pub(super) fn push(&mut self, transfer: Transfer) {
        self.open.push(transfer);
    }

    /// Takes the transfer of a lane out; it is not counted as ended.
    pub(super) fn take(&mut self, lane: Lane) -> Option<Transfer> {
        let index = self
            .open
            .iter()
            .position(|transfer| transfer.lane == lane)?;
        Some(self.open.swap_remove(index))
    }

    /// Removes a transfer that is cancelled.
    pub(super) fn cancel(&mut self, lane: Lane) -> Option<Transfer> {
        let transfer = self.take(lane)?;
        self.received += transfer.received;
        Some(transfer)
    }

    /// Removes a transfer that has ended at the offset `at`.
    pub(super) fn end(&mut self, lane: Lane, at: u64) -> Option<Transfer> {
        let transfer = self.take(lane)?;
        self.received += at.saturating_sub(transfer.from);
        Some(transfer)
    }

    /// Records how far a transfer has come. Returns its server if it has received a byte.
    pub(super) fn advance(&mut self, lane: Lane, frontier: &Frontier<'_>) -> Option<usize> {
        let transfer = self.open.iter_mut().find(|one| one.lane == lane)?;
        transfer.at = frontier.at;
        transfer.received = frontier.received;
        transfer.is_dispatched = frontier.is_dispatched;
        (transfer.at > transfer.from).then_some(transfer.server)
    }

    /// Updates the speed of each transfer, and that of all together, which have written this many bytes.
    pub(super) fn measure(&mut self, written: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.seen.0).as_secs_f64();
        if elapsed > 0.0 {
            let fresh = written.saturating_sub(self.seen.1) as f64 / elapsed;
            self.speed = Some(average(self.speed, fresh, elapsed));
            self.seen = (now, written);
        }
        for transfer in &mut self.open {
            transfer.measure(now);
            self.best = self.best.max(transfer.speed.unwrap_or(0.0));
        }
    }

    /// Counts the average speed of a transfer that ended before its first measurement.
    pub(super) fn measured(&mut self, speed: f64) {
        self.best = self.best.max(speed);
    }
}
