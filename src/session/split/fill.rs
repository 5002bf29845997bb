//! Opens the missing transfers of a divided file: chooses a segment and a server, and builds the range request.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Split;
use super::transfer::Transfer;
use crate::download::plan::Lane;
use crate::download::{Ramp, Segment};
use crate::error::MultiError;
use crate::multi::{Easy, Multi, TransferId};
use crate::session::job::Job;

impl Split {
    /// Opens transfers up to the present target; `delay` applies to the first of them.
    pub(in crate::session) fn fill(
        &mut self,
        multi: &mut Multi<Job>,
        mut delay: Option<Duration>,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.update_progress(multi, None);
        while self.missing() > 0 {
            let wanted = self.wanted();
            let Some((server, rest)) = self.next_server(wanted, now) else {
                break;
            };
            let Some((lane, range)) = self.open(multi, server) else {
                break;
            };
            let mut easy = self.ask(server, range.clone(), now);
            easy.delay = delay.take().max(rest);
            let id = self.start(multi, easy, now)?;
            self.servers.mirrors().opened(server);
            self.transfers.push(Transfer {
                id,
                lane,
                server,
                opened: now,
                era: self.servers.era(server),
                from: range.start,
                seen: (now, range.start),
                speed: None,
                has_all: false,
            });
        }
        Ok(())
    }

    /// Picks the next server and the delay before its request. If every server is backing off and no transfer is
    /// open, picks the server that is available first.
    fn next_server(&mut self, wanted: usize, now: Instant) -> Option<(usize, Option<Duration>)> {
        let mirrors = self.servers.mirrors();
        if let Some(server) = mirrors.next(wanted, now) {
            return Some((server, None));
        }
        if !self.transfers.is_empty() {
            return None;
        }
        let (server, rest) = mirrors.soonest(now)?;
        Some((server, Some(rest)))
    }

    /// Assigns a segment to a transfer from `server`; `None` if no further segment is worth a request.
    fn open(&mut self, multi: &mut Multi<Job>, server: usize) -> Option<(Lane, Range<u64>)> {
        let missing = self.missing() as u64;
        let mirrors = self.servers.mirrors();
        let pace = mirrors.speed(server).unwrap_or(self.best);
        let transfers = &self.transfers;
        let opened = self.plan.open(missing, pace, |lane| {
            let transfer = transfers.iter().find(|transfer| transfer.lane == lane)?;
            transfer.speed.or(mirrors.speed(transfer.server))
        })?;
        if let Some(lane) = opened.shrunk {
            self.set_end(multi, lane);
        }
        Some((opened.lane, opened.range))
    }

    /// Starts a transfer, which replaces a preconnect to the URL if there is one.
    fn start(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        now: Instant,
    ) -> Result<TransferId, MultiError> {
        let mut preconnects = std::mem::take(&mut self.preconnects).into_iter();
        for id in preconnects.by_ref() {
            if multi.easy(id).is_none_or(|to| to.url != easy.url) {
                self.preconnects.push(id);
                continue;
            }
            match multi.replace(id, &mut easy, now) {
                Ok(()) => {
                    self.preconnects.extend(preconnects);
                    return Ok(id);
                }
                Err(MultiError::AbortedByCallback) => return Err(MultiError::AbortedByCallback),
                // The preconnect has failed.
                Err(_) => drop(multi.remove(id, now)),
            }
        }
        multi.add(easy)
    }

    /// Takes over preconnects for the first transfers.
    pub(in crate::session) fn use_preconnects(&mut self, preconnects: Vec<TransferId>) {
        self.preconnects = preconnects;
    }

    /// Closes the unused preconnects.
    pub(in crate::session) fn drop_preconnects(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        for id in self.preconnects.drain(..) {
            multi.remove(id, now)?;
        }
        Ok(())
    }

    /// The number of transfers to aim for.
    fn wanted(&self) -> usize {
        let ramp = self.ramp.as_ref().map(Ramp::wanted);
        ramp.unwrap_or(self.most).min(self.most)
    }

    /// The number of transfers to open. A mute transfer, which waits too long for its first byte, counts only against
    /// `allowed`.
    fn missing(&self) -> usize {
        let mute = self.transfers.iter().filter(|one| one.is_mute()).count();
        let wanted = self.wanted().saturating_sub(self.transfers.len() - mute);
        wanted.min(self.allowed.saturating_sub(self.transfers.len()))
    }

    /// The transfer that requests a range from a server.
    fn ask(&self, server: usize, range: Range<u64>, now: Instant) -> Easy<Job> {
        let whole = Rc::clone(&self.whole);
        let segment = Segment::new(whole, range, self.servers.proof(server));
        let mut easy = like(&self.easy, self.easy.sink.segment(segment));
        if let Some(url) = self.servers.url(server) {
            easy.url.clone_from(url);
        }
        easy.sink.aim(&mut easy.own_headers, &mut easy.max_size);
        easy.timeout = self.time_left(now);
        easy.is_extra = true;
        easy
    }

    /// The rest of the file's timeout, if it has one.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let spent = now.saturating_duration_since(self.began);
        let timeout = self.easy.timeout?;
        Some(timeout.saturating_sub(spent).max(Duration::from_millis(1)))
    }
}

/// A transfer with the request of `easy` and another sink.
pub(in crate::session) fn like(easy: &Easy<Job>, sink: Job) -> Easy<Job> {
    Easy {
        url: easy.url.clone(),
        method: easy.method,
        sink,
        headers: Arc::clone(&easy.headers),
        own_headers: easy.own_headers.clone(),
        credentials: easy.credentials.clone(),
        max_redirects: easy.max_redirects,
        max_size: easy.max_size,
        delay: None,
        connect_timeout: easy.connect_timeout,
        stall_timeout: easy.stall_timeout,
        timeout: easy.timeout,
        max_recv_speed: easy.max_recv_speed,
        min_speed: easy.min_speed,
        is_extra: false,
        is_connect_only: false,
        events: easy.events,
    }
}
