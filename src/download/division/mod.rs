//! How several transfers fetch one file: their segments and servers, their number, and what follows when one of them
//! ends or fails. A state machine without an engine, a clock and a disk: events go in, actions come out.
//!
//! ```text
//!   advance, confirm   how far the transfers have come, before any other event
//!   proceed ──┐                                  ┌──► Open, Trim, Cancel, Hold   for the engine
//!   measure ──┼──► Division ──► poll_action() ───┼──► Retrying, Dropped          for the report
//!   ended ────┤                                  └──► Done, Fail                 the division is over
//!     └► failed
//! ```
//!
//! `plan` assigns the segments, `ramp` finds the number of transfers, `mirrors` chooses the servers, `servers` counts
//! their tries, and `transfers` measures the speeds. A transfer is named by the lane of its segment. A lane is used
//! again after its transfer was cancelled or has ended, so actions are carried out in order.

#![warn(clippy::wildcard_enum_match_arm)]

mod action;
mod event;
mod mirrors;
pub mod plan;
mod ramp;
mod servers;
#[cfg(test)]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the tests pick out what they look at"
)]
mod tests;
mod transfers;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::{Decision, Ranges, Refusal, Retries, WORTH_A_TRY};
use crate::error::{Doing, Error, Fault};
use crate::multi::Outcome;
use plan::Plan;
use ramp::Ramp;
use transfers::{Transfer, Transfers};

pub use action::{Action, Opening};
pub use event::{Begun, End, Frontier};
pub use plan::Lane;
pub use servers::{Remaining, Servers, Sources};

/// A response that is shorter than the requested range counts as a success if it has at least this many bytes.
pub const PIECE: u64 = 64 * 1024;

/// The time for which a segment's transfer runs before the open-ended response in front of it may take its range.
const PATIENCE: Duration = Duration::from_millis(600);

/// The open-ended response takes the range if it needs less than the slow transfer's time divided by this…
const SOONER: f64 = 2.0;

/// …and at least this many seconds less.
const WORTHWHILE: f64 = 1.0;

/// A transfer that has failed.
#[derive(Debug)]
pub struct Failure {
    ended: Ended,
    error: Error,
}

/// The result of a transfer that has ended.
#[derive(Debug, Clone, Copy)]
struct Ended {
    /// The bytes of its segment that it has not fetched.
    missing: u64,
    /// The bytes that it has fetched.
    brought: u64,
    /// The index of its server.
    server: usize,
    /// The era of the server when the transfer was opened.
    era: u32,
}

/// The division of one file.
#[derive(Debug)]
pub struct Division {
    plan: Plan,
    servers: Servers,
    /// Finds the number of transfers, if it is not fixed.
    ramp: Option<Ramp>,
    /// The most transfers that may be open at once, those without a first byte included.
    allowed: usize,
    /// The most transfers to aim for: `allowed`, or less after a server refused connections.
    most: usize,
    transfers: Transfers,
    /// A transfer other than the first has received a byte.
    is_confirmed: bool,
    /// A rate limit decides how fast the transfers are: their speeds say nothing about the servers.
    is_limited: bool,
    /// Bytes written when a server's tries were last reset.
    furthest: u64,
    actions: VecDeque<Action>,
}

impl Division {
    /// Divides a file. Returns the lane of its first transfer too.
    pub fn new(begun: Begun, servers: Servers, now: Instant) -> (Self, Lane) {
        let (start, at) = (begun.start, begun.at);
        let mut plan = Plan::new(begun.size, begun.least, begun.done);
        let lane = plan.adopt(start, at);
        let first = Transfer {
            has_all: begun.has_all,
            ..Transfer::new(lane, 0, at, now)
        };
        let written = plan.done().count();
        let division = Self {
            plan,
            servers,
            ramp: None,
            allowed: 1,
            most: 1,
            transfers: Transfers::new(first, at - start.min(at), written),
            is_confirmed: false,
            is_limited: false,
            furthest: 0,
            actions: VecDeque::new(),
        };
        (division, lane)
    }

    /// Allows `most` transfers at once.
    pub fn allow(&mut self, most: usize) {
        (self.allowed, self.most) = (most, most);
    }

    /// Allows up to `most` transfers: as many as increase the speed.
    pub fn ramp_up(&mut self, most: usize, now: Instant) {
        self.allow(most);
        self.ramp = Some(Ramp::new(most, now, self.plan.done().count()));
    }

    /// The next action, if there is one.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The written ranges.
    pub fn done(&self) -> &Ranges {
        self.plan.done()
    }

    /// How many bytes from the first on are written and will not be overwritten.
    pub fn settled(&self) -> u64 {
        self.plan.settled()
    }

    /// The size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.plan.size()
    }

    /// Bytes received by transfers that have ended.
    pub fn received(&self) -> u64 {
        self.transfers.received()
    }

    /// The servers of the file.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// What the next try of the file needs, after the division.
    pub fn into_remaining(self) -> Remaining {
        self.servers.into_remaining()
    }

    /// Records how far a transfer has come.
    pub fn advance(&mut self, lane: Lane, frontier: &Frontier<'_>) {
        self.plan.advance(lane, frontier.at);
        if let Some(server) = self.transfers.advance(lane, frontier) {
            self.servers.brought(server, frontier.validators);
        }
    }

    /// Records that a transfer other than the first has received a byte: the server accepts further requests.
    pub fn confirm(&mut self) {
        self.is_confirmed = true;
    }

    /// The average speed of all transfers together, in bytes a second.
    pub fn speed(&self) -> f64 {
        self.transfers.speed()
    }

    /// Says whether a rate limit decides how fast the transfers are. Then no range is fetched twice for their speeds.
    pub fn set_limited(&mut self, is_limited: bool) {
        self.is_limited = is_limited;
    }

    /// Measures the speed of each transfer and adjusts their number; `proceed` follows. `most` bounds the number that
    /// is found by trying: it falls as more files run at once.
    pub fn measure(&mut self, most: usize, now: Instant) {
        self.transfers.measure(self.plan.done().count(), now);
        for (server, speed) in self.transfers.server_speeds() {
            self.servers.mirrors().measured(server, speed);
        }
        if !self.is_limited {
            self.take_back(now);
        }
        self.servers.mirrors().raise(now);
        if let Some(ramp) = &mut self.ramp {
            ramp.set_most(most.min(self.most));
            ramp.observe(now, self.plan.done().count());
        }
    }

    /// Opens the transfers that are missing, or ends the division once every byte is written.
    pub fn proceed(&mut self, now: Instant) {
        self.proceed_after(None, now);
    }

    /// Handles the end of a transfer; `proceed` follows. Returns a failure, which [`failed`](Self::failed) handles.
    pub fn ended(
        &mut self,
        lane: Lane,
        end: End<'_>,
        result: Result<&Outcome, Error>,
        now: Instant,
    ) -> Option<Failure> {
        let ended = self.close(lane, end, now)?;
        let error = match result {
            // A server may send less than the requested range (RFC 9110 §15.3.7): the rest is requested next.
            Ok(_) if ended.missing == 0 || ended.brought >= PIECE => {
                self.reset_tries(ended);
                return None;
            }
            Ok(outcome) => {
                let received = outcome.received;
                let fault = Fault::Truncated {
                    received,
                    expected: Some(received + ended.missing),
                };
                Error::new(fault, Doing::Receiving, outcome.address)
            }
            Err(error) => error,
        };
        Some(Failure { ended, error })
    }

    /// Handles the failure of a transfer: other transfers take its segment, its server backs off or is dropped, or the
    /// division fails.
    pub fn failed(&mut self, failure: Failure, retries: &mut Retries<'_>, now: Instant) {
        let Failure { ended, error } = failure;
        let is_disk = matches!(error.fault(), Fault::Disk { .. });
        // The first server's version is the one that the file began with: it has changed since.
        let has_changed = matches!(error.fault(), Fault::Changed) && ended.server == 0;
        if is_disk {
            return self.fail(error);
        }
        if has_changed {
            // The response that began the file may have all of its version.
            return if !self.servers.mirrors().has_another(0) && self.leave_to_open_ended() {
                self.open_no_more();
            } else {
                self.fail(error);
            };
        }
        self.reset_tries(ended);
        let tries = self.servers.tried(ended.server, ended.era, now);
        let url = self.servers.url(ended.server);
        let delay = match retries.decide(url, &error, tries, now) {
            Decision::Again(delay) => Some(delay),
            Decision::GiveUp => None,
        };
        if error.asks_for_calm()
            && let Some(delay) = delay
        {
            self.actions.push_back(Action::Hold {
                url: self.servers.url(ended.server).clone(),
                until: now + delay,
            });
        }
        if self.servers.mirrors().has_another(ended.server) {
            self.mirror_failed(ended, error, delay, now);
        } else {
            self.only_one_failed(ended, error, delay, now);
        }
    }

    /// Handles the failure of one of several servers: the others take its segment, during its backoff or for good.
    fn mirror_failed(&mut self, ended: Ended, error: Error, delay: Option<Duration>, now: Instant) {
        let server = ended.server;
        let may_help = error.is_retryable() && !is_damage(&error);
        if self.servers.mirrors().is_dropped(server)
            || may_help && self.lower_if_served(ended, delay.is_none(), now)
        {
            return self.proceed(now);
        }
        if let Some(delay) = delay {
            self.servers.mirrors().rest(server, now + delay);
            self.retry(ended, error, delay, now);
        } else {
            // Entity tags often differ between servers: such a mirror is dropped without a message.
            let is_silent = matches!(error.fault(), Fault::Changed) && ended.brought == 0;
            // A server that has another version, or ignores or refuses ranges, may still have the right full file.
            let is_refusal = error.status().and_then(Refusal::of) == Some(Refusal::Range);
            let is_lost = !error.fault().is_misfit()
                && error.status() != Some(416)
                && !(is_refusal && self.servers.has_brought(server));
            self.servers.drop(server, is_lost);
            if !is_silent {
                let url = self.servers.url(server).clone();
                self.actions.push_back(Action::Dropped { url, error });
            }
        }
        self.proceed(now);
    }

    /// Handles the failure of the last server: its other transfers take the segment, a retry fetches it later, or the
    /// file fails.
    fn only_one_failed(
        &mut self,
        ended: Ended,
        error: Error,
        delay: Option<Duration>,
        now: Instant,
    ) {
        let is_retryable = error.is_retryable();
        if !is_retryable && self.leave_to_open_ended() {
            return self.open_no_more();
        }
        if error.asks_for_calm() || matches!(error.fault(), Fault::ConnectionLost(_)) {
            self.fall_back(ended, now);
        }
        let may_help = !is_damage(&error) && (is_retryable || error.status().is_some());
        if may_help && self.lower_if_served(ended, delay.is_none(), now) {
            return;
        }
        match delay {
            Some(delay) => {
                self.retry(ended, error, delay, now);
                self.proceed_after(Some(delay), now);
            }
            None => self.fail(error),
        }
    }

    /// Counts a failed try, and reports the retry.
    fn retry(&mut self, ended: Ended, error: Error, delay: Duration, now: Instant) {
        let tries = self.servers.tried(ended.server, ended.era, now).count;
        self.servers.count_failure(ended.server, ended.era, now);
        self.actions.push_back(Action::Retrying {
            url: self.servers.url(ended.server).clone(),
            error,
            delay,
            tries,
        });
    }

    /// Ends the division: the try of the file has failed.
    fn fail(&mut self, error: Error) {
        self.cancel_all();
        self.actions.push_back(Action::Fail(error));
    }

    /// Opens the transfers that are missing, the first of them after `delay`, or ends the division once every byte is
    /// written.
    fn proceed_after(&mut self, delay: Option<Duration>, now: Instant) {
        self.cancel_finished();
        if self.plan.is_done() {
            self.cancel_all();
            self.actions.push_back(Action::Done);
        } else {
            self.fill(delay, now);
        }
    }

    /// Cancels each transfer if all bytes of its segment are written. The open-ended response is spared until a second
    /// transfer has received a byte: the server may refuse every other request.
    fn cancel_finished(&mut self) {
        let spared = if self.is_confirmed {
            None
        } else {
            self.transfers.open_ended().map(|transfer| transfer.lane)
        };
        while let Some(lane) = self.plan.superfluous(spared) {
            self.plan.close(lane);
            self.cancel(lane);
        }
    }

    /// Opens transfers up to the present target; `delay` applies to the first of them.
    fn fill(&mut self, mut delay: Option<Duration>, now: Instant) {
        while self.missing() > 0 {
            let wanted = self.wanted();
            let Some((server, rest)) = self.next_server(wanted, now) else {
                break;
            };
            let Some((lane, range)) = self.assign(server) else {
                break;
            };
            self.actions.push_back(Action::Open(Opening {
                lane,
                url: self.servers.url(server).clone(),
                range: range.clone(),
                proof: self.servers.proof(server),
                delay: delay.take().max(rest),
            }));
            self.servers.mirrors().opened(server);
            self.transfers.push(Transfer {
                era: self.servers.era(server),
                ..Transfer::new(lane, server, range.start, now)
            });
        }
    }

    /// Picks the next server and the delay before its request. If every server is backing off and no transfer is
    /// open, picks the server that is available first.
    fn next_server(&mut self, wanted: usize, now: Instant) -> Option<(usize, Option<Duration>)> {
        let mirrors = self.servers.mirrors();
        if let Some(server) = mirrors.next(wanted, now) {
            return Some((server, None));
        }
        if self.transfers.count() > 0 {
            return None;
        }
        let (server, rest) = mirrors.soonest(now)?;
        Some((server, Some(rest)))
    }

    /// Assigns a segment to a transfer from `server`; `None` if no further segment is worth a request.
    fn assign(&mut self, server: usize) -> Option<(Lane, Range<u64>)> {
        let missing = self.missing() as u64;
        let mirrors = self.servers.mirrors();
        let pace = mirrors.speed(server).unwrap_or(self.transfers.best());
        let transfers = &self.transfers;
        let is_limited = self.is_limited;
        let opened = self.plan.open(missing, pace, |lane| {
            if is_limited {
                return None;
            }
            let transfer = transfers.get(lane)?;
            transfer.speed.or(mirrors.speed(transfer.server))
        })?;
        if let Some(lane) = opened.shrunk {
            self.trim(lane);
        }
        Some((opened.lane, opened.range))
    }

    /// The number of transfers to aim for.
    fn wanted(&self) -> usize {
        let ramp = self.ramp.as_ref().map(Ramp::wanted);
        ramp.unwrap_or(self.most).min(self.most)
    }

    /// The number of transfers to open. A mute transfer, which waits too long for its first byte, counts only against
    /// `allowed`.
    fn missing(&self) -> usize {
        let open = self.transfers.count();
        let wanted = self.wanted().saturating_sub(open - self.transfers.mute());
        wanted.min(self.allowed.saturating_sub(open))
    }

    /// Opens no further transfers.
    fn open_no_more(&mut self) {
        (self.allowed, self.most, self.ramp) = (1, 1, None);
    }

    /// Reduces the number of transfers after the server of a failed transfer refused it or closed the connection.
    fn fall_back(&mut self, ended: Ended, now: Instant) {
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
    fn reset_tries(&mut self, ended: Ended) {
        let done = self.plan.done().count();
        let is_worth_it = ended.missing == 0 || ended.brought >= WORTH_A_TRY;
        if is_worth_it && done >= self.furthest + WORTH_A_TRY {
            self.furthest = done;
            self.servers.reset_tries(ended.server);
        }
    }

    /// Lowers the number of transfers from a server after one has failed, if others receive bytes from it: the server
    /// may limit its connections, and the segment can be fetched later. Returns false, and changes nothing, if no
    /// other does or if the failed transfer received bytes and has tries left (`was_last` is false).
    fn lower_if_served(&mut self, ended: Ended, was_last: bool, now: Instant) -> bool {
        if ended.brought > 0 && !was_last || !self.receives_from(ended.server) {
            return false;
        }
        self.servers.lower(ended.server, now);
        if self.transfers.count() == 1 && !self.servers.mirrors().has_another(ended.server) {
            // If the open response reaches the end of the file, no further request is needed.
            self.leave_to_open_ended();
        } else if let Some(lane) = self.transfers.open_ended().map(|transfer| transfer.lane) {
            // The server may not accept another request soon.
            self.plan.reach(lane);
            self.trim(lane);
        }
        true
    }

    /// Whether a transfer has received bytes from a server, or has an open-ended response of it.
    fn receives_from(&self, server: usize) -> bool {
        self.transfers.iter().any(|transfer| {
            let has_begun = transfer.has_all || self.plan.rest(transfer.lane).start > transfer.from;
            transfer.server == server && has_begun
        })
    }

    /// Leaves the rest of the file to the open-ended response if it covers all of that, and cancels the other
    /// transfers: the server sends them nothing. Returns false if no response covers the rest.
    fn leave_to_open_ended(&mut self) -> bool {
        let frontier = self.plan.done().frontier();
        let mut transfers = self.transfers.iter();
        let survivor = transfers
            .find(|transfer| transfer.has_all && frontier >= self.plan.rest(transfer.lane).start);
        let Some(lane) = survivor.map(|transfer| transfer.lane) else {
            return false;
        };
        let survivor = self.transfers.take(lane);
        self.cancel_all();
        self.plan.extend(lane);
        self.transfers.extend(survivor);
        self.trim(lane);
        true
    }

    /// Reassigns the segment behind the open-ended response to it, if the transfer of that segment is much slower:
    /// some servers send range responses slowly.
    fn take_back(&mut self, now: Instant) {
        let Some(first) = self.transfers.open_ended() else {
            return;
        };
        let (lane, Some(fast)) = (first.lane, first.speed) else {
            return;
        };
        let Some(other) = self.plan.behind(lane) else {
            return;
        };
        let start = self.plan.rest(lane).start;
        if let Some(slow) = self.transfers.get(other)
            && self.is_too_slow(slow, start, fast, now)
        {
            let server = slow.server;
            self.plan.take_back(lane, other);
            self.cancel(other);
            self.servers.lower(server, now);
            self.trim(lane);
        }
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

    /// Removes a transfer that has ended, and frees the rest of its segment.
    fn close(&mut self, lane: Lane, end: End<'_>, now: Instant) -> Option<Ended> {
        let transfer = self.transfers.end(lane, end.at)?;
        self.plan.advance(lane, end.at);
        if let Some(spoilt) = end.spoilt {
            self.plan.spoil(spoilt);
        }
        self.plan.close(lane);
        self.servers.mirrors().closed(transfer.server);
        let brought = end.at.saturating_sub(transfer.from);
        if brought > 0 {
            self.servers.brought(transfer.server, end.validators);
        }
        let elapsed = now.saturating_duration_since(transfer.opened).as_secs_f64();
        if elapsed > 0.0 && brought > 0 && transfer.speed.is_none() {
            // The transfer ended before its first measurement.
            let speed = brought as f64 / elapsed;
            self.transfers.measured(speed);
            self.servers.mirrors().measured(transfer.server, speed);
        }
        Some(Ended {
            missing: end.end.saturating_sub(end.at),
            brought,
            server: transfer.server,
            era: transfer.era,
        })
    }

    /// Cancels all transfers.
    fn cancel_all(&mut self) {
        while let Some(first) = self.transfers.iter().next() {
            self.cancel(first.lane);
        }
    }

    /// Cancels a transfer, and frees the rest of its segment.
    fn cancel(&mut self, lane: Lane) {
        if let Some(transfer) = self.transfers.cancel(lane) {
            self.plan.close(lane);
            self.servers.mirrors().closed(transfer.server);
            self.actions.push_back(Action::Cancel(lane));
        }
    }

    /// Moves the end of a transfer to the end of its segment in the plan.
    fn trim(&mut self, lane: Lane) {
        let end = self.plan.rest(lane).end;
        self.actions.push_back(Action::Trim { lane, end });
    }
}

/// Whether the response did not match the digest that its server gave: fewer connections would not help.
fn is_damage(error: &Error) -> bool {
    matches!(error.fault(), Fault::Digest { .. })
}
