//! Carries out what follows an event of a file: the next try, the wait for its digests, its final name, or the end of
//! its row. The file itself decides: see `file`.

#![warn(clippy::wildcard_enum_match_arm)]

use std::time::{Instant, SystemTime};

use url::Url;

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
                    self.hold(multi, &easy.url, now + *backoff, now)?;
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
        let file = &mut easy.sink.file;
        if let Some((url, delay)) = file.turn_from_held(&easy.url, easy.delay, &self.patience, now)
        {
            (easy.url, easy.delay) = (url, delay);
        }
        easy.sink.aim(&mut easy.own_headers, &mut easy.max_size);
        multi.add(easy).map(drop)
    }

    /// Starts nothing at the origin of a URL before a time, because its server asked for a pause. The files that wait
    /// for that origin turn to their mirrors.
    pub(super) fn hold(
        &mut self,
        multi: &mut Multi<Job>,
        url: &Url,
        until: Instant,
        now: Instant,
    ) -> Result<(), MultiError> {
        multi.hold(url, until, now)?;
        if !self.patience.hold(url, until, now) {
            return Ok(());
        }
        let mut waiting = Vec::new();
        for (id, easy, progress) in multi.transfers() {
            let is_segment = easy.is_connect_only || easy.sink.at().is_some();
            if !progress.is_dispatched && !is_segment && !easy.sink.file.mirrors.is_empty() {
                waiting.push((id, easy.delay));
            }
        }
        for (id, delay) in waiting {
            let Some((url, job)) = multi.sink_mut(id) else {
                continue;
            };
            let turn = job.file.turn_from_held(url, delay, &self.patience, now);
            if let Some((url, delay)) = turn {
                let mut easy = multi.remove(id, now)?;
                (easy.url, easy.delay) = (url, delay);
                easy.sink.aim(&mut easy.own_headers, &mut easy.max_size);
                multi.add(easy)?;
            }
        }
        Ok(())
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
