//! Carries out what follows an event of a file: the next try, the wait for its digests, its final name, or the end of
//! its row. The file itself decides: see `file`.

#![warn(clippy::wildcard_enum_match_arm)]

use std::time::{Instant, SystemTime};

use super::Session;
use super::file::{Action, Context, End, Event, Start, Why};
use super::job::Job;
use super::report::Retrying;
use crate::download::{Body, Placed, Retries};
use crate::error::{Fault, MultiError};
use crate::multi::{Easy, Multi};

/// Why a file that came from several servers is started over.
const SHARED: &str =
    "the bytes of several mirrors do not match the digest; each mirror is now asked alone";

impl Session<'_> {
    /// Handles an event of a file that no transfer fetches now.
    pub(super) fn advance(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        mut event: Event,
        now: Instant,
    ) -> Result<(), MultiError> {
        loop {
            let mut context = Context {
                url: &easy.url,
                now,
                retries: Retries {
                    retry: &self.plan.retry,
                    jitter: &mut self.jitter,
                    wall: SystemTime::now,
                    patience: &mut self.patience,
                },
            };
            match easy.sink.file.on(event, &mut context) {
                Action::Start(start) => return self.start_try(multi, easy, start, now),
                Action::Wait(task) => {
                    self.waiting.insert(task, easy);
                    return Ok(());
                }
                Action::Publish(outcome) => {
                    let placed = self.publish(&mut easy);
                    self.ledger.warn(&easy.url, &mut easy.sink);
                    event = Event::Published(outcome, placed);
                }
                Action::End(end) => {
                    self.end(easy, &end);
                    return Ok(());
                }
            }
        }
    }

    /// Reports why a try of a file starts, and adds its transfer.
    fn start_try(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        start: Start,
        now: Instant,
    ) -> Result<(), MultiError> {
        match &start.why {
            Why::Next => {}
            Why::Retry {
                error,
                tries,
                backoff,
            } => {
                if error.asks_for_calm() {
                    multi.hold(&easy.url, now + *backoff, now)?;
                }
                self.ledger.report.retrying(&Retrying {
                    number: easy.sink.number,
                    url: &easy.url,
                    error,
                    delay: start.delay.unwrap_or_default(),
                    tries: *tries,
                });
            }
            Why::Mirror(error) => self.ledger.report.dropped(&easy.url, error),
            Why::Mixed => self.ledger.report.warned(&easy.url, SHARED),
        }
        self.ledger.warn(&easy.url, &mut easy.sink);
        if let Some(url) = start.url {
            easy.url = url;
        }
        easy.delay = start.delay;
        easy.sink.aim(&mut easy.own_headers, &mut easy.max_size);
        multi.add(easy).map(drop)
    }

    /// Gives a complete body its final name.
    fn publish(&mut self, easy: &mut Easy<Job>) -> Result<Placed, Fault> {
        let job = &mut easy.sink;
        match &mut job.file.download.body {
            Body::Stream(_) | Body::Segment(_) | Body::Memory(_) => Ok(Placed::There),
            Body::File(part) => {
                if job.file.download.takes_name || job.file.download.takes_final_name {
                    let given = part.given_name();
                    job.is_renamed |=
                        self.targets
                            .take_given_name(part, given.as_deref(), &easy.url)?;
                }
                let placed = part.finish(&easy.url)?;
                job.is_renamed |= part.is_renamed();
                Ok(placed)
            }
        }
    }

    /// Ends the row of a file, or takes over the body that the run reads itself.
    fn end(&mut self, mut easy: Easy<Job>, end: &End) {
        let is_list = matches!(easy.sink.file.download.body, Body::Memory(_));
        if let End::Failed(_) = end {
            easy.sink.file.download.leave(&easy.url);
            if is_list {
                self.checksums_failed();
            }
        } else if is_list {
            return self.checksums_arrived(&mut easy);
        }
        self.ledger.end_transfer(&self.plan, &easy, end);
    }
}
