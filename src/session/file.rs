//! One file from its first try to its end, as a state machine: each event gives one action, which the session carries
//! out. It knows neither the engine nor a clock, and reports nothing itself.
//!
//! ```text
//!              ┌──────────── Start: a retry, a mirror, the rest, wrong pieces, a restart ◄──────────┐
//!              ▼                                                                                    │
//! Begun ─► Fetching ── Ended ─► the body is checked ── Publish ─► Published ── End ─► the row ends  │
//!   │          ▲                        │  ▲     │                                                  │
//!   ▼          │ other digests     Wait ▼  │ Hashed                                                 │
//! Standing ────┘                    Verifying    └── it failed, is wrong or incomplete ─────────────┘
//! ```
//!
//! `download::division` has the transfers of a divided file; here a divided file is one that is being fetched.

#![warn(clippy::wildcard_enum_match_arm)]

use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

use url::Url;

use crate::download::division::PIECE;
use crate::download::{
    Body, Checked, Decision, Download, Hashed, Mirror, Patience, Placed, Record, Refusal, Repair,
    Retries, TaskId, Tries, WORTH_A_TRY,
};
use crate::error::{Doing, Error, Fault};
use crate::multi::Outcome;

/// How many tries a server gets before a mirror, if a good part of the file came from it.
const LOYAL_TRIES: u32 = 5;

/// After this number of failed tries, and each multiple, a request for the full file shows whether only ranges fail.
const TRIES_OF_RANGE: u32 = 3;

/// A file under way: its bytes, and the policy of its tries.
#[derive(Debug)]
pub(super) struct File {
    /// Boxed, because a file is moved several times and this is its largest field.
    pub(super) download: Box<Download>,
    /// The other URLs of the file, in the order in which they replace a failed URL.
    pub(super) mirrors: VecDeque<Mirror>,
    /// The written bytes came from several servers.
    pub(super) is_shared: bool,
    /// A digest did not match: each server is asked without the others.
    pub(super) is_alone: bool,
    /// The tries at the present URL.
    pub(super) record: Record,
    /// The tries at all URLs.
    pub(super) tries_in_all: u32,
    state: State,
}

/// What a file waits for.
#[derive(Debug)]
enum State {
    /// The end of its transfers.
    Fetching,
    /// The digests of the file of this size, in bytes, at its final name: it is fetched only if they differ.
    Standing(u64),
    /// The digests of its complete body.
    Verifying(Box<Outcome>),
}

/// What happens to a file.
#[derive(Debug)]
pub(super) enum Event {
    /// Its row begins. A file at its final name is kept if it has the expected digests.
    Begun(Option<fs::File>),
    /// Its transfer has ended, or all of its transfers have.
    Ended(Result<Outcome, Error>),
    /// The digests that it waited for are known, or could not be computed.
    Hashed(Hashed),
    /// Its complete body, which a transfer with this outcome brought, was published or could not be.
    Published(Outcome, Result<Placed, Fault>),
}

/// What follows an event.
#[derive(Debug)]
pub(super) enum Action {
    /// Add a transfer: the next try.
    Start(Start),
    /// Wait for the digests of this task: [`Event::Hashed`] follows.
    Wait(TaskId),
    /// Give the complete body, which this transfer brought, its final name: [`Event::Published`] follows.
    Publish(Outcome),
    /// End the row.
    End(End),
}

/// The next try of a file.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) why: Why,
    pub(super) delay: Option<Duration>,
    /// The URL that is requested from now on, if it changes.
    pub(super) url: Option<Url>,
}

/// Why a try starts.
#[derive(Debug)]
pub(super) enum Why {
    /// Nothing failed, or the download itself has a notice about it.
    Next,
    /// The last try, which was this one of its URL, failed or brought wrong pieces. Its URL is requested again after
    /// this backoff, if the file needs it then.
    Retry {
        error: Error,
        tries: u32,
        backoff: Duration,
    },
    /// The last URL failed and is dropped.
    Mirror(Error),
    /// The bytes of several servers are wrong together.
    Mixed,
}

/// How a file ends.
#[derive(Debug)]
pub(super) enum End {
    /// It was fetched.
    Done(Outcome),
    /// The file at its final name is the right one. The time is that of the transfer, if there was one.
    Unchanged { elapsed: Duration },
    /// Another file at its final name was kept, as the plan says.
    Kept { received: u64, elapsed: Duration },
    /// It failed.
    Failed(Error),
}

/// What a decision depends on besides the file.
pub(super) struct Context<'a> {
    /// The URL of the last try.
    pub(super) url: &'a Url,
    pub(super) now: Instant,
    pub(super) retries: Retries<'a>,
}

/// How a try is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// As a further try of its URL.
    Further,
    /// As the try that it repeats: that one was no failure of the server.
    Repeated,
    /// Not at all: it fetches what the last one left.
    Continued,
}

/// A step on the way from an event to its action.
enum Step {
    /// A body is complete, as far as its transfers know.
    Complete(Outcome),
    /// A complete body is not the expected one.
    Wrong(Error),
    /// A try failed.
    Failed(Error),
    /// A response does not continue the written bytes.
    Misfit(Error),
    /// The present URL is not tried again.
    Exhausted(Error),
    Act(Action),
}

impl File {
    /// A file before its first try.
    pub(super) fn new(download: Box<Download>, mirrors: impl IntoIterator<Item = Url>) -> Self {
        Self {
            download,
            mirrors: mirrors.into_iter().map(Mirror::from).collect(),
            is_shared: false,
            is_alone: false,
            record: Record::default(),
            tries_in_all: 0,
            state: State::Fetching,
        }
    }

    /// The URLs of the mirrors.
    pub(super) fn mirror_urls(&self) -> VecDeque<Url> {
        self.mirrors
            .iter()
            .map(|mirror| mirror.url.clone())
            .collect()
    }

    /// The tries at the present URL so far.
    fn tried(&self, now: Instant) -> Tries {
        self.record.tried(now, self.download.start() > 0)
    }

    /// What follows an event.
    pub(super) fn on(&mut self, event: Event, context: &mut Context<'_>) -> Action {
        let mut step = self.step(event);
        loop {
            step = match step {
                Step::Complete(outcome) => self.complete(outcome),
                Step::Wrong(error) => self.repair(error, context),
                Step::Failed(error) => self.failed(error, context),
                Step::Misfit(error) => self.misfit(error),
                Step::Exhausted(error) => self.next_mirror(error, context),
                Step::Act(action) => return action,
            }
        }
    }

    /// The first step of an event.
    fn step(&mut self, event: Event) -> Step {
        match (std::mem::replace(&mut self.state, State::Fetching), event) {
            (_, Event::Begun(standing)) => self.begin(standing),
            (_, Event::Ended(Ok(outcome))) => Step::Complete(outcome),
            (_, Event::Ended(Err(error))) => Step::Failed(error),
            (State::Standing(size), Event::Hashed(hashed)) => self.stood(size, hashed),
            (State::Verifying(outcome), Event::Hashed(hashed)) => {
                self.download.hashed(hashed);
                Step::Complete(*outcome)
            }
            (State::Fetching, Event::Hashed(_)) => {
                debug_assert!(false, "a digest comes that no body waits for");
                self.start(Why::Next, Counted::Repeated)
            }
            (_, Event::Published(outcome, placed)) => {
                let (received, elapsed) = (outcome.received, outcome.elapsed);
                Step::Act(Action::End(match placed {
                    Ok(Placed::There) => End::Done(outcome),
                    Ok(Placed::Kept) => End::Kept { received, elapsed },
                    Err(fault) => End::Failed(Error::new(fault, Doing::Writing, outcome.address)),
                }))
            }
        }
    }

    /// The step that starts a try at once.
    fn start(&mut self, why: Why, counted: Counted) -> Step {
        self.start_at(why, counted, None, None)
    }

    fn start_at(
        &mut self,
        why: Why,
        counted: Counted,
        delay: Option<Duration>,
        url: Option<Url>,
    ) -> Step {
        self.record.tries += u32::from(counted == Counted::Further);
        self.tries_in_all += u32::from(counted != Counted::Continued);
        Step::Act(Action::Start(Start { why, delay, url }))
    }

    /// Starts the first try, or first hashes the file at the final name.
    fn begin(&mut self, standing: Option<fs::File>) -> Step {
        if let Some(file) = standing {
            let size = file.metadata().map_or(0, |metadata| metadata.len());
            if let Some(task) = self.download.hash(file) {
                self.state = State::Standing(size);
                return Step::Act(Action::Wait(task));
            }
        }
        self.start(Why::Next, Counted::Further)
    }

    /// Keeps the file at the final name if its digests are right; otherwise, or if it cannot be read, starts the first
    /// try.
    fn stood(&mut self, size: u64, hashed: Hashed) -> Step {
        let found = hashed.unwrap_or_default();
        let is_right = self.download.is_met_by(&found);
        self.download.stands(size, found.digests);
        if !is_right {
            return self.start(Why::Next, Counted::Further);
        }
        self.download.put_away();
        let elapsed = Duration::ZERO;
        Step::Act(Action::End(End::Unchanged { elapsed }))
    }

    /// Checks a body that is complete, and fetches what is missing of it.
    fn complete(&mut self, outcome: Outcome) -> Step {
        if let Some(fault) = self.download.missing() {
            let is_much = outcome.received >= PIECE && self.download.asks_part();
            if is_much || self.download.has_more() {
                // A server may send less than the requested range (RFC 9110 §15.3.7), and there may be gaps behind it.
                // Neither is a failed try.
                return self.start(Why::Next, Counted::Continued);
            }
            return Step::Failed(Error::new(fault, Doing::Receiving, outcome.address));
        }
        match self.download.verify() {
            Ok(Checked::Right) => Step::Act(self.right(outcome)),
            Ok(Checked::Waits(task)) => {
                self.state = State::Verifying(Box::new(outcome));
                Step::Act(Action::Wait(task))
            }
            Err(fault) => Step::Wrong(Error::new(fault, Doing::Verifying, outcome.address)),
        }
    }

    /// The action for a body that is complete and right.
    fn right(&mut self, outcome: Outcome) -> Action {
        if matches!(self.download.body, Body::Memory(_)) {
            return Action::End(End::Done(outcome));
        }
        if self.download.is_unchanged {
            self.download.put_away();
            let elapsed = outcome.elapsed;
            return Action::End(End::Unchanged { elapsed });
        }
        Action::Publish(outcome)
    }

    /// Handles a complete body with a wrong digest: its wrong pieces or all of it are fetched again, or it fails.
    fn repair(&mut self, error: Error, context: &Context<'_>) -> Step {
        let is_readable = !matches!(error.fault(), Fault::Disk { .. });
        let is_shared = is_readable && std::mem::take(&mut self.is_shared);
        match self.download.repair(self.mirrors.len()) {
            Repair::Again => {
                let why = Why::Retry {
                    error,
                    tries: self.record.tries,
                    backoff: Duration::ZERO,
                };
                // The other pieces may be right, and the next mirror may have the right bytes. It is asked alone, so
                // that its pieces can be judged.
                self.is_alone = true;
                self.record.is_last_resort |= !is_shared;
                let Some(mirror) = self.next(context) else {
                    return self.start(why, Counted::Repeated);
                };
                let record = Record {
                    is_last_resort: self.record.is_last_resort,
                    ..Record::default()
                };
                let present = (context.url, record);
                let step = self.turn_to(why, mirror, context.now, Some(present));
                self.is_shared = false;
                step
            }
            Repair::Enough => Step::Act(Action::End(End::Failed(error))),
            Repair::Impossible if self.download.discard() => {
                self.start(Why::Next, Counted::Repeated)
            }
            Repair::Impossible if is_shared => {
                self.is_alone = true;
                self.start(Why::Mixed, Counted::Repeated)
            }
            Repair::Impossible => Step::Failed(error),
        }
    }

    /// Handles a failed try: it is retried, or its URL is exhausted.
    fn failed(&mut self, error: Error, context: &mut Context<'_>) -> Step {
        if error.fault().is_misfit() || error.status() == Some(416) {
            return Step::Misfit(error);
        }
        if let Body::File(part) = &mut self.download.body
            && part.has_come_further()
        {
            self.record.reset_tries();
        }
        if !self.download.can_start_over() {
            return Step::Exhausted(error);
        }
        let (now, tries) = (context.now, self.tried(context.now));
        let decision = context.retries.decide(context.url, &error, tries, now);
        self.record.failing.get_or_insert(now);
        match decision {
            Decision::Again(backoff) => {
                if self.may_concern_range(&error) {
                    let may_probe = tries.count % TRIES_OF_RANGE == 0;
                    self.download.suspect_ranges(may_probe);
                }
                let tries = tries.count;
                let why = Why::Retry {
                    error,
                    tries,
                    backoff,
                };
                self.record.rests_until = now.checked_add(backoff);
                let (until, patience) = (self.record.rests_until, &*context.retries.patience);
                let Some(mirror) = self.mirror_before(until, patience, now) else {
                    return self.start_at(why, Counted::Further, Some(backoff), None);
                };
                let present = (context.url, self.record);
                self.turn_to(why, mirror, now, Some(present))
            }
            Decision::GiveUp
                if context.retries.has_time(tries)
                    && self.may_concern_range(&error)
                    && self.download.refuse_ranges() =>
            {
                self.range_refused(error, context)
            }
            Decision::GiveUp => Step::Exhausted(error),
        }
    }

    /// Requests the full file from a server that has refused a range: at once if it has sent bytes of the file or no
    /// other server is left, and else if the others do not have the rest.
    fn range_refused(&mut self, error: Error, context: &Context<'_>) -> Step {
        if self.download.server_has_sent() {
            return self.start(Why::Next, Counted::Repeated);
        }
        let Some(mirror) = self.next(context) else {
            return self.start(Why::Next, Counted::Repeated);
        };
        let record = Record {
            is_last_resort: true,
            ..self.record
        };
        let why = Why::Retry {
            error,
            tries: self.record.tries,
            backoff: Duration::ZERO,
        };
        self.turn_to(why, mirror, context.now, Some((context.url, record)))
    }

    /// Removes the mirror that is requested instead of waiting for the present URL until a time: one that can be
    /// requested now, or before that.
    fn mirror_before(
        &mut self,
        until: Option<Instant>,
        patience: &Patience,
        now: Instant,
    ) -> Option<Mirror> {
        if self.keeps_to_its_server() {
            return None;
        }
        let index = self.next_index(patience, now)?;
        let (is_last_resort, at) = self.mirrors.get(index)?.rank(patience, now);
        let is_sooner = at <= now || until.is_none_or(|until| at < until);
        let is_before = match (is_last_resort, self.record.is_last_resort) {
            (false, true) => true,
            (true, false) => false,
            (true, true) | (false, false) => is_sooner,
        };
        is_before.then(|| self.mirrors.remove(index)).flatten()
    }

    /// Removes the mirror that is requested next.
    fn next(&mut self, context: &Context<'_>) -> Option<Mirror> {
        let index = self.next_index(context.retries.patience, context.now)?;
        self.mirrors.remove(index)
    }

    fn next_index(&self, patience: &Patience, now: Instant) -> Option<usize> {
        let ranks = self.mirrors.iter().map(|mirror| mirror.rank(patience, now));
        let first = ranks.enumerate().min_by_key(|(_, rank)| *rank);
        first.map(|(index, _)| index)
    }

    /// Turns to a mirror that may be requested before `url`, because the server of that asked other files for a pause.
    /// Returns the URL of the mirror and the delay before its request. The pause is no failed try.
    pub(super) fn turn_from_held(
        &mut self,
        url: &Url,
        delay: Option<Duration>,
        patience: &Patience,
        now: Instant,
    ) -> Option<(Url, Option<Duration>)> {
        let held = patience.held_until(url, now);
        if held <= now {
            return None;
        }
        let until = delay.map_or(held, |delay| held.max(now + delay));
        let mirror = self.mirror_before(Some(until), patience, now)?;
        let (_, at) = mirror.rank(patience, now);
        let record = Record {
            tries: self.record.tries.saturating_sub(1),
            rests_until: Some(until),
            ..self.record
        };
        let next = self.exchange(mirror, Some((url, record)));
        self.record.tries += 1;
        let delay = at.saturating_duration_since(now);
        Some((next, (!delay.is_zero()).then_some(delay)))
    }

    /// Whether the bytes on the disk are worth some retries at their server: another server may have another version,
    /// which would replace them. After a wrong digest each server is asked alone, so that its bytes can be judged.
    fn keeps_to_its_server(&self) -> bool {
        let has_begun = self.download.written() >= WORTH_A_TRY && self.record.tries <= LOYAL_TRIES;
        has_begun || self.is_alone && !self.record.is_last_resort
    }

    /// Starts a try of a mirror, after its backoff. The present URL may become a mirror.
    fn turn_to(
        &mut self,
        why: Why,
        mirror: Mirror,
        now: Instant,
        present: Option<(&Url, Record)>,
    ) -> Step {
        let until = mirror.record.rests_until.filter(|until| *until > now);
        let delay = until.map(|until| until.saturating_duration_since(now));
        let url = self.exchange(mirror, present);
        self.start_at(why, Counted::Further, delay, Some(url))
    }

    /// Makes a mirror the present URL, which it returns. The one before may become a mirror.
    fn exchange(&mut self, mirror: Mirror, before: Option<(&Url, Record)>) -> Url {
        let Mirror { url, record } = mirror;
        self.is_shared |= self.download.has_bytes();
        let reliability = self.download.turn_to_another(record.reliability);
        self.mirrors.extend(before.map(|(url, record)| Mirror {
            url: url.clone(),
            record: Record {
                reliability,
                ..record
            },
        }));
        self.record = record;
        url
    }

    /// Whether a status may concern the range alone. A server in trouble is asked for the full file only if no other
    /// one may have the rest.
    fn may_concern_range(&self, error: &Error) -> bool {
        match error.status().and_then(Refusal::of) {
            Some(Refusal::Range) => true,
            Some(Refusal::Trouble) => error.retry_after().is_none() && self.mirrors.is_empty(),
            None => false,
        }
    }

    /// Handles a response that does not continue the bytes on the disk: they may be the complete file already;
    /// otherwise the file is started over, or its URL is exhausted.
    fn misfit(&mut self, error: Error) -> Step {
        if let Fault::Status { size, .. } = error.fault() {
            match self.download.is_all(*size) {
                Ok(false) => {}
                Ok(true) => {
                    return Step::Complete(Outcome {
                        status: 416,
                        address: error.address(),
                        ..Outcome::default()
                    });
                }
                Err(fault) => {
                    let error = Error::new(fault, Doing::Writing, error.address());
                    return Step::Act(Action::End(End::Failed(error)));
                }
            }
        }
        if self.download.was_probed() {
            self.start(Why::Next, Counted::Continued)
        } else if self.download.may_start_over(error.fault()) {
            self.start(Why::Next, Counted::Repeated)
        } else {
            Step::Exhausted(error)
        }
    }

    /// Turns to the next mirror after the last failure of a URL, or fails the file.
    fn next_mirror(&mut self, error: Error, context: &Context<'_>) -> Step {
        if self.download.can_start_over()
            && let Some(mirror) = self.next(context)
        {
            return self.turn_to(Why::Mirror(error), mirror, context.now, None);
        }
        Step::Act(Action::End(End::Failed(error)))
    }
}

#[cfg(test)]
mod tests;
