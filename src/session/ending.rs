//! The end of a transfer: its body is verified and takes its name, or the file is retried, started over, fetched from a
//! mirror, or fails.

use std::time::{Duration, Instant, SystemTime};

use super::Session;
use super::divide::PIECE;
use super::job::Job;
use super::ledger::Ended;
use super::report::Retrying;
use super::waiting::Waiting;
use crate::download::{Body, Checked, Decision, Jitter, Placed, Repair, Retry, Tries};
use crate::error::{Doing, Error, Fault, MultiError};
use crate::multi::{Easy, Multi, Outcome};

/// Why a file that came from several servers is started over.
const SHARED: &str =
    "the bytes of several mirrors do not match the digest; each mirror is now asked alone";

impl Session<'_> {
    /// Verifies the file of a transfer that succeeded, and ends its row if the file is right.
    pub(super) fn verify(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        outcome: Outcome,
        now: Instant,
    ) -> Result<(), MultiError> {
        if let Some(fault) = easy.sink.download.missing() {
            let is_much = outcome.received >= PIECE && easy.sink.download.asks_part();
            if is_much || easy.sink.download.has_more() {
                // A server may send less than the requested range (RFC 9110 §15.3.7), and there may be gaps behind it.
                // Neither is a failed try.
                easy.sink.tries -= 1;
                easy.sink.tries_in_all -= 1;
                return Self::add(multi, easy, None);
            }
            let error = Error::new(fault, Doing::Receiving, outcome.address);
            return self.failed(multi, easy, &error, now);
        }
        match easy.sink.download.verify() {
            Ok(Checked::Right) => self.arrived(easy, &outcome),
            Ok(Checked::Waits(task)) => {
                self.waiting.insert(task, Waiting::Body(easy, outcome));
            }
            Err(fault) => {
                let error = Error::new(fault, Doing::Verifying, outcome.address);
                return self.is_wrong(multi, easy, &error, now);
            }
        }
        Ok(())
    }

    /// Handles a complete body with a wrong digest: fetches its wrong pieces or all of it again, or fails.
    fn is_wrong(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        error: &Error,
        now: Instant,
    ) -> Result<(), MultiError> {
        let job = &mut easy.sink;
        let is_readable = !matches!(error.fault(), Fault::Disk { .. });
        let is_shared = is_readable && std::mem::take(&mut job.is_shared);
        match job.download.repair(job.mirrors.len()) {
            Repair::Again => {
                self.ledger.report.retrying(&Retrying {
                    number: job.number,
                    url: &easy.url,
                    error,
                    delay: Duration::ZERO,
                    tries: job.tries,
                });
                // The other pieces may be right, and the next mirror may have the right bytes. It is asked alone, so
                // that its pieces can be judged.
                job.is_alone = true;
                if let Some(mirror) = job.mirrors.pop_front() {
                    let other = std::mem::replace(&mut easy.url, mirror);
                    job.mirrors.push_back(other);
                    job.tries = 1;
                    job.began = None;
                    job.download.turn_to_another();
                }
                job.tries -= 1;
                Self::add(multi, easy, None)
            }
            Repair::Enough => {
                self.give_up(easy, error);
                Ok(())
            }
            Repair::Impossible if job.download.discard() => {
                self.ledger.warn(&easy.url, &mut easy.sink);
                easy.sink.tries -= 1;
                Self::add(multi, easy, None)
            }
            Repair::Impossible if is_shared => {
                self.ledger.report.warned(&easy.url, SHARED);
                easy.sink.is_alone = true;
                easy.sink.tries -= 1;
                Self::add(multi, easy, None)
            }
            Repair::Impossible => self.failed(multi, easy, error, now),
        }
    }

    /// Ends the row of a file that is complete and right.
    pub(super) fn arrived(&mut self, mut easy: Easy<Job>, outcome: &Outcome) {
        let (received, elapsed) = (outcome.received, outcome.elapsed);
        if matches!(easy.sink.download.body, Body::Memory(_)) {
            return self.checksums_arrived(&mut easy);
        }
        if easy.sink.download.is_unchanged {
            easy.sink.download.put_away();
            return self.end(&easy, elapsed, Ended::Unchanged);
        }
        let placed = self.finish(&mut easy);
        self.ledger.warn(&easy.url, &mut easy.sink);
        match placed {
            Ok(Placed::There) => self.end(&easy, elapsed, Ended::Done(outcome)),
            Ok(Placed::Kept) => self.end(&easy, elapsed, Ended::Kept { received }),
            Err(fault) => {
                let error = Error::new(fault, Doing::Writing, outcome.address);
                self.give_up(easy, &error);
            }
        }
    }

    /// Ends a row that has begun.
    pub(super) fn end(&mut self, easy: &Easy<Job>, elapsed: Duration, ended: Ended<'_>) {
        self.ledger.end_transfer(&self.plan, easy, elapsed, ended);
    }

    /// Gives a complete body its final name.
    fn finish(&mut self, easy: &mut Easy<Job>) -> Result<Placed, Fault> {
        let job = &mut easy.sink;
        match &mut job.download.body {
            Body::Stream(_) | Body::Segment(_) | Body::Memory(_) => Ok(Placed::There),
            Body::File(part) => {
                if job.download.takes_name || job.download.takes_final_name {
                    let given = part.given_name();
                    job.is_renamed |=
                        self.places
                            .take_given_name(part, given.as_deref(), &easy.url)?;
                }
                let placed = part.finish(&easy.url)?;
                job.is_renamed |= part.is_renamed();
                Ok(placed)
            }
        }
    }

    /// Handles a failed try: retries it, turns to the next mirror, or fails the file.
    pub(super) fn failed(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        error: &Error,
        now: Instant,
    ) -> Result<(), MultiError> {
        let is_misfit = match error.fault() {
            Fault::BadRange(_) | Fault::Changed => true,
            Fault::Status { status, .. } => {
                *status == 416 || easy.sink.download.asks_part() && refuses_parts(*status)
            }
            _ => false,
        };
        if is_misfit {
            return self.misfit(multi, easy, error, now);
        }
        if let Body::File(part) = &mut easy.sink.download.body
            && part.has_come_further()
        {
            easy.sink.tries = 1;
        }
        let job = &easy.sink;
        let decision = if job.download.can_start_over() {
            decide(&self.plan.retry, &mut self.jitter, error, job.tried(now))
        } else {
            Decision::GiveUp
        };
        if let Decision::Again(delay) = decision {
            if error.asks_for_calm() {
                multi.hold(&easy.url, now + delay, now)?;
            }
            self.ledger.report.retrying(&Retrying {
                number: job.number,
                url: &easy.url,
                error,
                delay,
                tries: job.tries,
            });
            return Self::add(multi, easy, Some(delay));
        }
        self.turn_to_mirror(multi, easy, error)
    }

    /// Turns to the next mirror after the last failure of a URL, or fails the file.
    fn turn_to_mirror(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        error: &Error,
    ) -> Result<(), MultiError> {
        if easy.sink.download.can_start_over()
            && let Some(mirror) = easy.sink.mirrors.pop_front()
        {
            self.ledger.report.dropped(&easy.url, error);
            easy.sink.is_shared |= easy.sink.download.has_bytes();
            easy.sink.tries = 0;
            easy.sink.began = None;
            easy.sink.download.turn_to_another();
            easy.url = mirror;
            return Self::add(multi, easy, None);
        }
        self.give_up(easy, error);
        Ok(())
    }

    /// Handles a response that does not continue the bytes on the disk: they may be the complete file already;
    /// otherwise the file is started over or fails.
    fn misfit(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        error: &Error,
        now: Instant,
    ) -> Result<(), MultiError> {
        if let Fault::Status { size, .. } = error.fault() {
            match easy.sink.download.is_all(*size) {
                Ok(false) => {}
                Ok(true) => {
                    let outcome = Outcome {
                        status: 416,
                        address: error.address(),
                        ..Outcome::default()
                    };
                    return self.verify(multi, easy, outcome, now);
                }
                Err(fault) => {
                    let error = Error::new(fault, Doing::Writing, error.address());
                    self.give_up(easy, &error);
                    return Ok(());
                }
            }
        }
        if !easy.sink.download.may_start_over(error.fault()) {
            return self.turn_to_mirror(multi, easy, error);
        }
        self.ledger.warn(&easy.url, &mut easy.sink);
        easy.sink.tries -= 1;
        Self::add(multi, easy, None)
    }

    pub(super) fn give_up(&mut self, mut easy: Easy<Job>, error: &Error) {
        easy.sink.download.leave(&easy.url);
        if matches!(easy.sink.download.body, Body::Memory(_)) {
            self.checksums_failed();
        }
        self.end(&easy, Duration::ZERO, Ended::Failed(error));
    }
}

/// Whether a status may concern the range request alone, so that the full file may still be available. Some servers
/// and firewalls know neither Range nor If-Range, treat If-Range as a precondition, or refuse the length of their own
/// entity tag.
fn refuses_parts(status: u16) -> bool {
    matches!(status, 400 | 412 | 431 | 501)
}

/// Decides whether a file is retried after a failure, and when.
pub(super) fn decide(retry: &Retry, jitter: &mut Jitter, error: &Error, tries: Tries) -> Decision {
    retry.decide(error, tries, jitter.draw(), SystemTime::now())
}
