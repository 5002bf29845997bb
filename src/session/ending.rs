//! The end of a transfer: the file is complete, is tried again, started over, or given up.

use std::time::{Duration, Instant, SystemTime};

use super::Session;
use super::job::Job;
use super::ledger::Ended;
use super::report::Retrying;
use crate::download::{Body, Decision, Jitter, Placed, Retry, Tries};
use crate::error::{Doing, Error, Fault, MultiError};
use crate::multi::{Easy, Multi, Outcome};

impl Session<'_> {
    /// A transfer has brought the right body.
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

    /// Puts a complete body where it belongs.
    fn finish(&mut self, easy: &mut Easy<Job>) -> Result<Placed, Fault> {
        let job = &mut easy.sink;
        match &mut job.download.body {
            Body::Stream(_) | Body::Segment(_) | Body::Memory(_) => Ok(Placed::There),
            Body::File(part) => {
                if job.download.takes_name {
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

    /// A try has failed: there may be another, or another mirror.
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

    /// Nothing more is to be had from the present URL: the next mirror is asked, if there is one.
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

    /// An answer does not continue what is there: that is all of the file, or it is started over, or given up.
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

/// Whether a status may be about the request for a part, and the whole may be had all the same:
/// servers and walls that know neither Range nor If-Range, take that for a condition like others, or
/// want no entity tag as long as the one that they gave.
fn refuses_parts(status: u16) -> bool {
    matches!(status, 400 | 412 | 431 | 501)
}

/// Whether a file is tried again after a failure, and when.
pub(super) fn decide(retry: &Retry, jitter: &mut Jitter, error: &Error, tries: Tries) -> Decision {
    retry.decide(error, tries, jitter.draw(), SystemTime::now())
}
