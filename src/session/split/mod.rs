//! One file that several transfers bring: who brings which share, how fast, and how many are wanted.
//!
//! `download::Plan` divides, `download::Ramp` counts and `download::Mirrors` chooses; here they meet the transfers.

mod fill;
mod transfer;

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::job::Job;
use super::report::ActiveFile;
use super::supply::Supply;
use crate::download::plan::Lane;
use crate::download::{Body, Plan, Ramp, Ranges, Segment, Tries, WORTH_A_TRY, Whole};
use crate::error::MultiError;
use crate::multi::{Easy, Multi, Outcome, TransferId};
use transfer::Transfer;

pub(super) use fill::like;

/// A transfer that has not brought a byte for so long after it was opened has no speed.
const MUTE: Duration = Duration::from_secs(2);

/// How long the speed of a part is watched before what it was to bring is taken back, how many
/// times sooner it must be there then…
const PATIENCE: Duration = Duration::from_millis(600);
const SOONER: f64 = 2.0;

/// …and by how many seconds.
const WORTHWHILE: f64 = 1.0;

/// A file that several transfers bring.
#[derive(Debug)]
pub(super) struct Split {
    /// The file itself, and how it is asked for. It takes part in no transfer until all bytes are there.
    pub(super) easy: Easy<Job>,
    whole: Rc<Whole>,
    plan: Plan,
    /// Whom it comes from.
    pub(super) supply: Supply,
    /// How many transfers are wanted, where that is found by trying.
    ramp: Option<Ramp>,
    /// How many there may be, and how many are left of that after refusals.
    allowed: usize,
    most: usize,
    transfers: Vec<Transfer>,
    /// Transfers that have connected in good time, and are given shares first.
    early: Vec<TransferId>,
    /// The fastest that one of them was, in bytes a second.
    best: f64,
    began: Instant,
    /// Bytes that ended transfers have received.
    received: u64,
    /// What came of the first that ended.
    outcome: Option<Outcome>,
    /// Bytes that were there when tries were last counted anew.
    furthest: u64,
}

/// What is known of a transfer that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// Bytes of its share that it has not brought.
    pub(super) missing: u64,
    /// Bytes that it has.
    pub(super) brought: u64,
    /// Who was asked, and after how many failures.
    pub(super) server: usize,
    pub(super) era: u32,
}

impl Split {
    /// The file of a transfer that is under way with `segment`, of which `done` is there; `least` bytes make a share.
    pub(super) fn new(
        easy: Easy<Job>,
        (id, segment): (TransferId, &Segment),
        supply: Supply,
        done: Ranges,
        least: u64,
        now: Instant,
    ) -> Self {
        let start = easy.sink.download.start();
        let whole = Rc::clone(segment.whole());
        let mut plan = Plan::new(whole.size, least, done);
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
            supply,
            ramp: None,
            allowed: 1,
            most: 1,
            transfers: vec![transfer],
            early: Vec::new(),
            best: 0.0,
            began: now,
            received: at - start.min(at),
            outcome: None,
            furthest: 0,
        }
    }

    /// Allows so many transfers: at once, or as many of them as are found to add speed.
    pub(super) fn allow(&mut self, most: usize, is_tried: bool, now: Instant) {
        (self.allowed, self.most) = (most, most);
        let bytes = self.plan.done().count();
        self.ramp = is_tried.then(|| Ramp::new(most, now, bytes));
    }

    /// How many transfers there are.
    pub(super) fn transfers(&self) -> usize {
        self.transfers.len()
    }

    /// Whether every byte is there.
    pub(super) fn is_done(&self) -> bool {
        self.plan.is_done()
    }

    /// Looks how fast each transfer is, and how many are worth having; `most` is what other files leave.
    pub(super) fn measure(
        &mut self,
        multi: &mut Multi<Job>,
        most: usize,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.look(multi, Some(now));
        self.take_back(multi, now)?;
        self.supply.mirrors().raise(now);
        if let Some(ramp) = &mut self.ramp {
            ramp.set_most(most.min(self.most));
            ramp.observe(now, self.plan.done().count());
        }
        self.settle();
        Ok(())
    }

    /// The origin has had enough of it.
    pub(super) fn fall_back(&mut self, ended: Ended, now: Instant) {
        if self.supply.is_counted(ended.server, ended.era) {
            return;
        }
        let bytes = self.plan.done().count();
        if let Some(ramp) = &mut self.ramp {
            ramp.fall_back(now, bytes);
            self.most = ramp.wanted();
        }
    }

    /// Resets the tries of a server after a transfer is over that brought its whole share, or a MiB of it,
    /// if the file has grown by [`WORTH_A_TRY`] since the last reset. Less progress resets nothing: a
    /// server that stalls again and again would keep the file busy for hours, a few bytes at a time.
    pub(super) fn count_anew(&mut self, ended: Ended) {
        let done = self.plan.done().count();
        let is_worth_it = ended.missing == 0 || ended.brought >= WORTH_A_TRY;
        if is_worth_it && done >= self.furthest + WORTH_A_TRY {
            self.furthest = done;
            self.supply.reset_tries(ended.server);
        }
    }

    /// The tries so far of what has failed.
    pub(super) fn tried(&self, ended: Ended, now: Instant) -> Tries {
        self.supply.tried(ended.server, ended.era, now)
    }

    /// Counts a failed try.
    pub(super) fn count_failure(&mut self, ended: Ended) {
        self.supply.count_failure(ended.server, ended.era);
        self.easy.sink.tries_in_all += 1;
    }

    /// Makes do with fewer transfers from a server after one has failed, where others bring bytes
    /// from there: it may serve only so many, and what is left of its share can be had later. One
    /// that had brought bytes is worth another try, unless it `was_last`.
    pub(super) fn does_without(
        &mut self,
        multi: &mut Multi<Job>,
        (ended, was_last): (Ended, bool),
        now: Instant,
    ) -> Result<bool, MultiError> {
        self.look(multi, None);
        let brings = |transfer: &Transfer| {
            let has_begun = transfer.has_all || self.plan.rest(transfer.lane).start > transfer.from;
            transfer.server == ended.server && has_begun
        };
        if ended.brought > 0 && !was_last || !self.transfers.iter().any(brings) {
            return Ok(false);
        }
        self.supply.lower(ended.server, now);
        if self.transfers.len() == 1 && !self.supply.mirrors().has_another(ended.server) {
            // It need not be asked again where its answer has all the rest.
            self.leave_to_one(multi, now)?;
        } else {
            self.reach(multi);
        }
        Ok(true)
    }

    /// Has an answer that has all up to the end of the file go on where nobody else brings anything:
    /// it may be long before the server serves another.
    fn reach(&mut self, multi: &mut Multi<Job>) {
        let whole = self.transfers.iter().find(|transfer| transfer.has_all);
        if let Some(lane) = whole.map(|transfer| transfer.lane) {
            self.plan.reach(lane);
            self.set_end(multi, lane);
        }
    }

    /// Does without a server, where there is another: `is_lost` if it is not worth asking for the whole either.
    pub(super) fn drop_server(&mut self, server: usize, is_lost: bool) {
        self.settle();
        if let Some(leader) = self.supply.drop(server, is_lost) {
            self.easy.url = leader;
        }
        self.settle();
    }

    /// Takes in what a transfer has brought that is over; `None` if it was none of these.
    pub(super) fn ended(
        &mut self,
        id: TransferId,
        segment: &Segment,
        now: Instant,
    ) -> Option<Ended> {
        let place = self
            .transfers
            .iter()
            .position(|transfer| transfer.id == id)?;
        let transfer = self.transfers.swap_remove(place);
        self.plan.advance(transfer.lane, segment.at());
        if let Some(spoilt) = segment.spoilt() {
            let start = spoilt.start;
            self.whole.reach.set(0);
            self.plan.spoil(spoilt);
            let done = self.plan.done();
            self.easy.sink.download.spoil(done, start);
        }
        self.plan.close(transfer.lane);
        self.supply.mirrors().closed(transfer.server);
        self.received += segment.at().saturating_sub(transfer.from);
        let brought = segment.at().saturating_sub(transfer.from);
        if brought > 0 {
            self.supply.brought(transfer.server, segment.validators());
        }
        let elapsed = now.saturating_duration_since(transfer.opened).as_secs_f64();
        if elapsed > 0.0 && brought > 0 && transfer.speed.is_none() {
            // It was too quick to be measured on the way.
            let speed = brought as f64 / elapsed;
            self.best = self.best.max(speed);
            self.supply.mirrors().measured(transfer.server, speed);
        }
        Some(Ended {
            missing: segment.end().saturating_sub(segment.at()),
            brought,
            server: transfer.server,
            era: transfer.era,
        })
    }

    /// Takes note of what came of a transfer that ended well.
    pub(super) fn note(&mut self, outcome: Outcome, now: Instant) {
        if self.outcome.is_none() {
            let since = now.checked_sub(outcome.elapsed);
            self.began = self.began.min(since.unwrap_or(now));
            self.outcome = Some(outcome);
        }
    }

    /// Takes the transfers out whose bytes are all there.
    pub(super) fn drop_superfluous(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.look(multi, None);
        let mut first = self.transfers.iter().filter(|one| one.has_all);
        let is_alone = !self.whole.has_begun.get();
        let spared = first.next().filter(|_| is_alone).map(|one| one.lane);
        while let Some(lane) = self.plan.superfluous(spared) {
            self.plan.close(lane);
            if let Some(place) = self
                .transfers
                .iter()
                .position(|transfer| transfer.lane == lane)
            {
                self.drop_transfer(multi, place, now)?;
            }
        }
        Ok(())
    }

    /// Takes all transfers out.
    pub(super) fn drop_all(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.drop_early(multi, now)?;
        self.look(multi, None);
        while !self.transfers.is_empty() {
            self.drop_transfer(multi, 0, now)?;
        }
        Ok(())
    }

    fn drop_transfer(
        &mut self,
        multi: &mut Multi<Job>,
        place: usize,
        now: Instant,
    ) -> Result<(), MultiError> {
        let transfer = self.transfers.swap_remove(place);
        let progress = multi.progress(transfer.id).unwrap_or_default();
        self.received += progress.received;
        self.plan.close(transfer.lane);
        self.supply.mirrors().closed(transfer.server);
        multi.remove(transfer.id, now).map(drop)
    }

    /// Leaves all that is missing to the one transfer that can bring it by itself, if there is one:
    /// the server sends the others nothing.
    pub(super) fn leave_to_one(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<bool, MultiError> {
        self.look(multi, None);
        let frontier = self.plan.done().frontier();
        let is_enough = |transfer: &Transfer| {
            transfer.has_all && frontier >= self.plan.rest(transfer.lane).start
        };
        let Some(place) = self.transfers.iter().position(is_enough) else {
            return Ok(false);
        };
        let survivor = self.transfers.swap_remove(place);
        self.drop_all(multi, now)?;
        self.plan.extend(survivor.lane);
        let lane = survivor.lane;
        self.transfers.push(survivor);
        self.set_end(multi, lane);
        Ok(true)
    }

    /// Opens no further transfers.
    pub(super) fn stay_with_one(&mut self) {
        (self.allowed, self.most, self.ramp) = (1, 1, None);
    }

    /// Has an answer that has all up to the end of the file, and is much faster than who brings
    /// what comes next, bring that itself: there are servers that send parts slowly.
    fn take_back(&mut self, multi: &mut Multi<Job>, now: Instant) -> Result<(), MultiError> {
        let mut whole = self.transfers.iter().filter(|transfer| transfer.has_all);
        let Some((lane, Some(fast))) = whole.next().map(|transfer| (transfer.lane, transfer.speed))
        else {
            return Ok(());
        };
        let Some(other) = self.plan.behind(lane) else {
            return Ok(());
        };
        let is_slow = |transfer: &Transfer| {
            let rest = self.plan.rest(other);
            let alone = (rest.end - rest.start) as f64 / transfer.speed.unwrap_or(fast).max(1.0);
            let back = rest.end.saturating_sub(self.plan.rest(lane).start) as f64 / fast.max(1.0);
            transfer.lane == other
                && now.saturating_duration_since(transfer.opened) >= PATIENCE
                && alone > SOONER * back
                && alone > WORTHWHILE + back
        };
        if let Some(place) = self.transfers.iter().position(is_slow) {
            let server = self.transfers[place].server;
            self.plan.take_back(lane, other);
            self.drop_transfer(multi, place, now)?;
            self.supply.lower(server, now);
            self.set_end(multi, lane);
        }
        Ok(())
    }

    /// Tells the file what its transfers have written.
    pub(super) fn settle_all(&mut self, multi: &Multi<Job>) {
        self.look(multi, None);
        self.settle();
    }

    /// Tells the file what is written of it.
    fn settle(&mut self) {
        if self.supply.is_mixed() {
            self.easy.sink.download.set_mixed();
        }
        if let Some(validators) = self.supply.relied_on() {
            self.easy.sink.download.rely_on(validators);
        }
        let download = &mut self.easy.sink.download;
        download.set_written(self.plan.done(), self.plan.settled());
    }

    /// The file, for its end, and what came of its transfers in all.
    pub(super) fn into_file(mut self, now: Instant) -> (Easy<Job>, Option<Outcome>) {
        self.settle();
        let mut outcome = self.outcome.take();
        if let Some(outcome) = &mut outcome {
            outcome.received = self.received;
            outcome.elapsed = now.saturating_duration_since(self.began);
        }
        self.supply.give_back(&mut self.easy);
        (self.easy, outcome)
    }

    /// Bytes received so far, those fetched twice too, and how many are still missing.
    pub(super) fn progress(&self, multi: &Multi<Job>) -> (u64, u64) {
        let progress = self
            .transfers
            .iter()
            .filter_map(|transfer| multi.progress(transfer.id));
        let received = progress.map(|progress| progress.received).sum::<u64>();
        let missing = self.plan.size() - self.plan.done().count();
        (self.received + received, missing)
    }

    /// How it is shown.
    pub(super) fn active(&self) -> ActiveFile<'_> {
        ActiveFile {
            number: self.easy.sink.number,
            name: self.easy.sink.name(),
            received: self.plan.done().count(),
            expected: Some(self.plan.size()),
        }
    }

    /// Takes in how far each transfer has come; with `now`, also how fast it is.
    fn look(&mut self, multi: &Multi<Job>, now: Option<Instant>) {
        for transfer in &mut self.transfers {
            let Some(easy) = multi.easy(transfer.id) else {
                continue;
            };
            let Body::Segment(segment) = &easy.sink.download.body else {
                continue;
            };
            let at = segment.at();
            self.plan.advance(transfer.lane, at);
            if at > transfer.from {
                self.supply.brought(transfer.server, segment.validators());
            }
            let Some(now) = now else { continue };
            let is_dispatched = || multi.progress(transfer.id).is_some_and(|p| p.is_dispatched);
            let is_mute = now.saturating_duration_since(transfer.opened) > MUTE && is_dispatched();
            if at > transfer.from || is_mute {
                transfer.measure(at, now);
            }
            transfer.seen = (now, at);
            self.best = self.best.max(transfer.speed.unwrap_or(0.0));
        }
        if now.is_none() {
            return;
        }
        // A further connection to a server is expected to do as well as the best one there.
        let speeds = || {
            self.transfers
                .iter()
                .filter_map(|transfer| Some((transfer.server, transfer.speed?)))
        };
        for (server, _) in speeds() {
            let same = speeds().filter(|(other, _)| *other == server);
            let speed = same.map(|(_, speed)| speed).fold(0.0, f64::max);
            self.supply.mirrors().measured(server, speed);
        }
    }

    /// Has a transfer end where its share does.
    fn set_end(&self, multi: &mut Multi<Job>, lane: Lane) {
        let end = self.plan.rest(lane).end;
        let transfer = self.transfers.iter().find(|transfer| transfer.lane == lane);
        if let Some((_, job)) = transfer.and_then(|transfer| multi.sink_mut(transfer.id))
            && let Body::Segment(segment) = &mut job.download.body
        {
            segment.set_end(end);
        }
    }
}
