//! One divided file: its transfers, their segments and their speeds.
//!
//! `download::Plan` assigns the segments, `download::Ramp` finds the number of transfers and `download::Mirrors`
//! chooses the servers. This module applies their decisions to the transfers in the engine.

mod fill;
mod transfer;

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::job::Job;
use super::report::ActiveFile;
use super::servers::Servers;
use crate::download::plan::Lane;
use crate::download::{Body, Plan, Ramp, Segment, Tries, WORTH_A_TRY, Whole};
use crate::error::MultiError;
use crate::multi::{Easy, Multi, Outcome, TransferId};
use transfer::Transfer;

pub(super) use fill::like;

/// A dispatched transfer without a byte is mute from this time after it was opened on: its speed is 0. Before, it has
/// no speed.
const MUTE: Duration = Duration::from_secs(2);

/// The time for which a segment's transfer runs before the open-ended response in front of it may take its range.
const PATIENCE: Duration = Duration::from_millis(600);

/// The open-ended response takes the range if it needs less than the slow transfer's time divided by this…
const SOONER: f64 = 2.0;

/// …and at least this many seconds less.
const WORTHWHILE: f64 = 1.0;

/// A file that several transfers fetch.
#[derive(Debug)]
pub(super) struct Split {
    /// The download of the file and the template of its requests. It is not in the engine while the file is divided.
    pub(super) easy: Easy<Job>,
    /// What all segments share.
    whole: Rc<Whole>,
    plan: Plan,
    /// The servers of the file.
    pub(super) servers: Servers,
    /// Finds the number of transfers, if it is not fixed.
    ramp: Option<Ramp>,
    /// The most transfers that may be open at once, those without a first byte included.
    allowed: usize,
    /// The most transfers to aim for: `allowed`, or less after a server refused connections.
    most: usize,
    transfers: Vec<Transfer>,
    /// Preconnects, which become the transfers of segments first.
    preconnects: Vec<TransferId>,
    /// The highest speed of a single transfer so far, in bytes a second.
    best: f64,
    began: Instant,
    /// Bytes received by transfers that have ended.
    received: u64,
    /// The outcome of the first transfer that succeeded.
    outcome: Option<Outcome>,
    /// Bytes written when a server's tries were last reset.
    furthest: u64,
}

/// The result of a transfer that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// The bytes of its segment that it has not fetched.
    pub(super) missing: u64,
    /// The bytes that it has fetched.
    pub(super) brought: u64,
    /// The index of its server.
    pub(super) server: usize,
    /// The era of the server when the transfer was opened.
    pub(super) era: u32,
}

impl Split {
    /// Divides the file of the transfer `id`, which fetches `segment`. `plan` has the ranges that are written already,
    /// and no segments yet.
    pub(super) fn new(
        easy: Easy<Job>,
        id: TransferId,
        segment: &Segment,
        servers: Servers,
        mut plan: Plan,
        now: Instant,
    ) -> Self {
        let start = easy.sink.file.download.start();
        let whole = Rc::clone(segment.whole());
        let at = segment.at();
        let transfer = Transfer {
            id,
            lane: plan.adopt(start, at),
            server: 0,
            opened: now,
            era: 0,
            from: at,
            seen: (now, at),
            speed: None,
            has_all: segment.has_all_behind(),
        };
        Self {
            easy,
            whole,
            plan,
            servers,
            ramp: None,
            allowed: 1,
            most: 1,
            transfers: vec![transfer],
            preconnects: Vec::new(),
            best: 0.0,
            began: now,
            received: at - start.min(at),
            outcome: None,
            furthest: 0,
        }
    }

    /// Allows `most` transfers at once.
    pub(super) fn allow(&mut self, most: usize) {
        (self.allowed, self.most) = (most, most);
    }

    /// Allows up to `most` transfers: as many as increase the speed.
    pub(super) fn ramp_up(&mut self, most: usize, now: Instant) {
        self.allow(most);
        self.ramp = Some(Ramp::new(most, now, self.plan.done().count()));
    }

    /// The number of open transfers.
    pub(super) fn transfers(&self) -> usize {
        self.transfers.len()
    }

    /// Whether every byte is written.
    pub(super) fn is_done(&self) -> bool {
        self.plan.is_done()
    }

    /// Measures the speed of each transfer and adjusts their number. `most` bounds the number that is found by trying:
    /// it falls as more files run at once.
    pub(super) fn measure(
        &mut self,
        multi: &mut Multi<Job>,
        most: usize,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.update_progress(multi, Some(now));
        self.take_back(multi, now)?;
        self.servers.mirrors().raise(now);
        if let Some(ramp) = &mut self.ramp {
            ramp.set_most(most.min(self.most));
            ramp.observe(now, self.plan.done().count());
        }
        self.update_download();
        Ok(())
    }

    /// Reduces the number of transfers after the server of a failed transfer refused it or closed the connection.
    pub(super) fn fall_back(&mut self, ended: Ended, now: Instant) {
        if self.servers.is_counted(ended.server, ended.era) {
            return;
        }
        let bytes = self.plan.done().count();
        if let Some(ramp) = &mut self.ramp {
            ramp.fall_back(now, bytes);
            self.most = ramp.wanted();
        }
    }

    /// Resets the tries of a server after a transfer that fetched its full segment or [`WORTH_A_TRY`] bytes, if the
    /// file has grown by [`WORTH_A_TRY`] since the last reset. Less progress resets nothing: otherwise a server that
    /// stalls repeatedly could delay the file for hours, a few bytes at a time.
    pub(super) fn reset_tries(&mut self, ended: Ended) {
        let done = self.plan.done().count();
        let is_worth_it = ended.missing == 0 || ended.brought >= WORTH_A_TRY;
        if is_worth_it && done >= self.furthest + WORTH_A_TRY {
            self.furthest = done;
            self.servers.reset_tries(ended.server);
        }
    }

    /// The tries so far at the server of a failed transfer.
    pub(super) fn tried(&self, ended: Ended, now: Instant) -> Tries {
        self.servers.tried(ended.server, ended.era, now)
    }

    /// Counts the failed try of a transfer.
    pub(super) fn count_failure(&mut self, ended: Ended) {
        self.servers.count_failure(ended.server, ended.era);
        self.easy.sink.file.tries_in_all += 1;
    }

    /// Lowers the number of transfers from a server after one has failed, if others receive bytes from it: the server
    /// may limit its connections, and the segment can be fetched later. Returns false, and changes nothing, if no
    /// other does or if the failed transfer received bytes and has tries left (`was_last` is false).
    pub(super) fn lower_if_served(
        &mut self,
        multi: &mut Multi<Job>,
        ended: Ended,
        was_last: bool,
        now: Instant,
    ) -> Result<bool, MultiError> {
        self.update_progress(multi, None);
        if ended.brought > 0 && !was_last || !self.receives_from(ended.server) {
            return Ok(false);
        }
        self.servers.lower(ended.server, now);
        if self.transfers.len() == 1 && !self.servers.mirrors().has_another(ended.server) {
            // If the open response reaches the end of the file, no further request is needed.
            self.leave_to_open_ended(multi, now)?;
        } else {
            self.reach(multi);
        }
        Ok(true)
    }

    /// Whether a transfer has received bytes from a server, or has an open-ended response of it.
    fn receives_from(&self, server: usize) -> bool {
        self.transfers.iter().any(|transfer| {
            let has_begun = transfer.has_all || self.plan.rest(transfer.lane).start > transfer.from;
            transfer.server == server && has_begun
        })
    }

    /// Extends the first open-ended response over the unassigned gap behind its segment: the server may not accept
    /// another request soon.
    fn reach(&mut self, multi: &mut Multi<Job>) {
        if let Some(lane) = self.open_ended().map(|transfer| transfer.lane) {
            self.plan.reach(lane);
            self.set_end(multi, lane);
        }
    }

    /// The first transfer with an open-ended response.
    fn open_ended(&self) -> Option<&Transfer> {
        self.transfers.iter().find(|transfer| transfer.has_all)
    }

    /// Drops a server of several. `is_lost` says that it cannot send the full file either.
    pub(super) fn drop_server(&mut self, server: usize, is_lost: bool) {
        self.update_download();
        if let Some(leader) = self.servers.drop(server, is_lost) {
            self.easy.url = leader;
        }
        self.update_download();
    }

    /// Removes a transfer that has ended and frees the rest of its segment. `None` if the transfer is not one of this
    /// file's.
    pub(super) fn ended(
        &mut self,
        id: TransferId,
        segment: &Segment,
        now: Instant,
    ) -> Option<Ended> {
        let index = self
            .transfers
            .iter()
            .position(|transfer| transfer.id == id)?;
        let transfer = self.transfers.swap_remove(index);
        self.plan.advance(transfer.lane, segment.at());
        if let Some(spoilt) = segment.spoilt() {
            let start = spoilt.start;
            self.whole.reach.set(0);
            self.plan.spoil(spoilt);
            let done = self.plan.done();
            self.easy.sink.file.download.spoil(done, start);
        }
        self.plan.close(transfer.lane);
        self.servers.mirrors().closed(transfer.server);
        self.received += segment.at().saturating_sub(transfer.from);
        let brought = segment.at().saturating_sub(transfer.from);
        if brought > 0 {
            self.servers.brought(transfer.server, segment.validators());
        }
        let elapsed = now.saturating_duration_since(transfer.opened).as_secs_f64();
        if elapsed > 0.0 && brought > 0 && transfer.speed.is_none() {
            // The transfer ended before its first measurement.
            let speed = brought as f64 / elapsed;
            self.best = self.best.max(speed);
            self.servers.mirrors().measured(transfer.server, speed);
        }
        Some(Ended {
            missing: segment.end().saturating_sub(segment.at()),
            brought,
            server: transfer.server,
            era: transfer.era,
        })
    }

    /// Stores the outcome of the first transfer that succeeds.
    pub(super) fn record_outcome(&mut self, outcome: Outcome, now: Instant) {
        if self.outcome.is_none() {
            let since = now.checked_sub(outcome.elapsed);
            self.began = self.began.min(since.unwrap_or(now));
            self.outcome = Some(outcome);
        }
    }

    /// Cancels each transfer if all bytes of its segment are written. The open-ended response is spared until a second
    /// transfer has received a byte: the server may refuse every other request.
    pub(super) fn drop_finished(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.update_progress(multi, None);
        let spared = if self.whole.has_begun.get() {
            None
        } else {
            self.open_ended().map(|transfer| transfer.lane)
        };
        while let Some(lane) = self.plan.superfluous(spared) {
            self.plan.close(lane);
            if let Some(index) = self
                .transfers
                .iter()
                .position(|transfer| transfer.lane == lane)
            {
                self.drop_transfer(multi, index, now)?;
            }
        }
        Ok(())
    }

    /// Cancels all transfers, unused preconnects included.
    pub(super) fn drop_all(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.drop_preconnects(multi, now)?;
        self.update_progress(multi, None);
        while !self.transfers.is_empty() {
            self.drop_transfer(multi, 0, now)?;
        }
        Ok(())
    }

    fn drop_transfer(
        &mut self,
        multi: &mut Multi<Job>,
        index: usize,
        now: Instant,
    ) -> Result<(), MultiError> {
        let transfer = self.transfers.swap_remove(index);
        let progress = multi.progress(transfer.id).unwrap_or_default();
        self.received += progress.received;
        self.plan.close(transfer.lane);
        self.servers.mirrors().closed(transfer.server);
        multi.remove(transfer.id, now).map(drop)
    }

    /// Leaves the rest of the file to the open-ended response if it covers all of that, and cancels the other
    /// transfers: the server sends them nothing. Returns false if no response covers the rest.
    pub(super) fn leave_to_open_ended(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<bool, MultiError> {
        self.update_progress(multi, None);
        let frontier = self.plan.done().frontier();
        let Some(index) = self.transfers.iter().position(|transfer| {
            transfer.has_all && frontier >= self.plan.rest(transfer.lane).start
        }) else {
            return Ok(false);
        };
        let survivor = self.transfers.swap_remove(index);
        self.drop_all(multi, now)?;
        self.plan.extend(survivor.lane);
        let lane = survivor.lane;
        self.transfers.push(survivor);
        self.set_end(multi, lane);
        Ok(true)
    }

    /// Opens no further transfers.
    pub(super) fn open_no_more(&mut self) {
        (self.allowed, self.most, self.ramp) = (1, 1, None);
    }

    /// Reassigns the segment behind the open-ended response to it, if the transfer of that segment is much slower:
    /// some servers send range responses slowly.
    fn take_back(&mut self, multi: &mut Multi<Job>, now: Instant) -> Result<(), MultiError> {
        let Some(first) = self.open_ended() else {
            return Ok(());
        };
        let (lane, Some(fast)) = (first.lane, first.speed) else {
            return Ok(());
        };
        let Some(other) = self.plan.behind(lane) else {
            return Ok(());
        };
        let start = self.plan.rest(lane).start;
        if let Some(index) = self.transfers.iter().position(|transfer| {
            transfer.lane == other && self.is_too_slow(transfer, start, fast, now)
        }) {
            let server = self.transfers[index].server;
            self.plan.take_back(lane, other);
            self.drop_transfer(multi, index, now)?;
            self.servers.lower(server, now);
            self.set_end(multi, lane);
        }
        Ok(())
    }

    /// Whether another transfer, now at the offset `start` and with the speed `fast`, would reach the end of this
    /// transfer's segment much sooner.
    fn is_too_slow(&self, transfer: &Transfer, start: u64, fast: f64, now: Instant) -> bool {
        let rest = self.plan.rest(transfer.lane);
        let alone = (rest.end - rest.start) as f64 / transfer.speed.unwrap_or(fast).max(1.0);
        let back = rest.end.saturating_sub(start) as f64 / fast.max(1.0);
        now.saturating_duration_since(transfer.opened) >= PATIENCE
            && alone > SOONER * back
            && alone > WORTHWHILE + back
    }

    /// Copies the written ranges of all transfers, as of now, to the file's download.
    pub(super) fn update_download_now(&mut self, multi: &Multi<Job>) {
        self.update_progress(multi, None);
        self.update_download();
    }

    /// Copies the written ranges to the file's download, and the validators that they rely on.
    fn update_download(&mut self) {
        if self.servers.is_mixed() {
            self.easy.sink.file.download.set_mixed();
        }
        if let Some(validators) = self.servers.relied_on() {
            self.easy.sink.file.download.rely_on(validators);
        }
        let download = &mut self.easy.sink.file.download;
        download.set_written(self.plan.done(), self.plan.settled());
    }

    /// Returns the file as one download, and the combined outcome of its transfers.
    pub(super) fn into_file(mut self, now: Instant) -> (Easy<Job>, Option<Outcome>) {
        self.update_download();
        let mut outcome = self.outcome.take();
        if let Some(outcome) = &mut outcome {
            outcome.received = self.received;
            outcome.elapsed = now.saturating_duration_since(self.began);
        }
        self.servers.give_back(&mut self.easy);
        (self.easy, outcome)
    }

    /// The bytes received so far, duplicates included, and the bytes still missing.
    pub(super) fn progress(&self, multi: &Multi<Job>) -> (u64, u64) {
        let progress = self
            .transfers
            .iter()
            .filter_map(|transfer| multi.progress(transfer.id));
        let received = progress.map(|progress| progress.received).sum::<u64>();
        let missing = self.plan.size() - self.plan.done().count();
        (self.received + received, missing)
    }

    /// The file as the report shows it.
    pub(super) fn active(&self) -> ActiveFile<'_> {
        ActiveFile {
            number: self.easy.sink.number,
            name: self.easy.sink.name(),
            received: self.plan.done().count(),
            expected: Some(self.plan.size()),
        }
    }

    /// Updates the offset of each transfer; with `now`, also its speed.
    fn update_progress(&mut self, multi: &Multi<Job>, now: Option<Instant>) {
        for transfer in &mut self.transfers {
            let Some(easy) = multi.easy(transfer.id) else {
                continue;
            };
            let Body::Segment(segment) = &easy.sink.file.download.body else {
                continue;
            };
            let at = segment.at();
            self.plan.advance(transfer.lane, at);
            if at > transfer.from {
                self.servers.brought(transfer.server, segment.validators());
            }
            let Some(now) = now else { continue };
            let is_mute = now.saturating_duration_since(transfer.opened) > MUTE
                && multi
                    .progress(transfer.id)
                    .is_some_and(|progress| progress.is_dispatched);
            if at > transfer.from || is_mute {
                transfer.measure(at, now);
            }
            transfer.seen = (now, at);
            self.best = self.best.max(transfer.speed.unwrap_or(0.0));
        }
        if now.is_some() {
            self.measure_servers();
        }
    }

    /// Updates the speed of each server: a further connection to it is expected to be as fast as its fastest one.
    fn measure_servers(&mut self) {
        for transfer in self.transfers.iter().filter(|one| one.speed.is_some()) {
            let server = transfer.server;
            let transfers = self.transfers.iter().filter(|one| one.server == server);
            let speeds = transfers.filter_map(|one| one.speed);
            self.servers
                .mirrors()
                .measured(server, speeds.fold(0.0, f64::max));
        }
    }

    /// Moves the end of a transfer to the end of its segment in the plan.
    fn set_end(&self, multi: &mut Multi<Job>, lane: Lane) {
        let end = self.plan.rest(lane).end;
        let transfer = self.transfers.iter().find(|transfer| transfer.lane == lane);
        if let Some((_, job)) = transfer.and_then(|transfer| multi.sink_mut(transfer.id))
            && let Body::Segment(segment) = &mut job.file.download.body
        {
            segment.set_end(end);
        }
    }
}
