//! One divided file as the session holds it: its download, and the engine's ids of its transfers. Reports to the
//! `Division` how far they have come, and carries its actions out. Decides nothing.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::Job;
use super::report::ActiveFile;
use crate::download::division::{
    Begun, Division, End, Failure, Frontier, Lane, Opening, Servers, Sources,
};
use crate::download::{Body, Ranges, Segment, SharedFile};
use crate::error::MultiError;
use crate::multi::{Done, Easy, Multi, Outcome, TransferId};

/// A file that several transfers fetch.
#[derive(Debug)]
pub(super) struct Split {
    /// The download of the file and the template of its requests. It is not in the engine while the file is divided.
    pub(super) easy: Easy<Job>,
    /// What all segments share.
    shared: Rc<SharedFile>,
    pub(super) division: Division,
    /// The transfers in the engine.
    transfers: Vec<Transfer>,
    /// Preconnects, which become the transfers of segments first.
    preconnects: Vec<TransferId>,
    began: Instant,
    /// The outcome of the first transfer that succeeded.
    outcome: Option<Outcome>,
}

/// The transfer of one segment.
#[derive(Debug, Clone, Copy)]
struct Transfer {
    lane: Lane,
    id: TransferId,
}

impl Split {
    /// Divides the file of the transfer `id`, which fetches `segment`; `done` is written already. No origin gets more
    /// than `per_origin` connections; 0 is no limit.
    pub(super) fn new(
        easy: Easy<Job>,
        id: TransferId,
        segment: &Segment,
        done: Ranges,
        per_origin: usize,
        now: Instant,
    ) -> Self {
        let job = &easy.sink;
        let sources = Sources {
            url: &easy.url,
            record: job.file.record,
            mirrors: &job.file.mirrors,
            bond: if job.file.is_alone {
                None
            } else {
                job.file.download.bond()
            },
            validators: segment.validators(),
            per_origin,
        };
        let begun = Begun {
            size: segment.shared().size,
            least: job.file.download.least.unwrap_or(u64::MAX),
            done,
            start: job.file.download.start(),
            at: segment.at(),
            has_all: segment.has_all_behind(),
        };
        let (division, lane) = Division::new(begun, Servers::new(&sources, now), now);
        Self {
            easy,
            shared: Rc::clone(segment.shared()),
            division,
            transfers: vec![Transfer { lane, id }],
            preconnects: Vec::new(),
            began: now,
            outcome: None,
        }
    }

    /// The number of open transfers.
    pub(super) fn transfers(&self) -> usize {
        self.transfers.len()
    }

    /// Reports to the division how far the transfers have come.
    pub(super) fn advance(&mut self, multi: &Multi<Job>) {
        for transfer in &self.transfers {
            let Some(easy) = multi.easy(transfer.id) else {
                continue;
            };
            let Body::Segment(segment) = &easy.sink.file.download.body else {
                continue;
            };
            let progress = multi.progress(transfer.id).unwrap_or_default();
            let frontier = Frontier {
                at: segment.at(),
                validators: segment.validators(),
                received: progress.received,
                is_dispatched: progress.is_dispatched,
            };
            self.division.advance(transfer.lane, &frontier);
        }
        if self.shared.has_begun.get() {
            self.division.confirm();
        }
    }

    /// Reports the end of a transfer to the division. Returns its failure.
    pub(super) fn ended(&mut self, segment: &Segment, done: Done, now: Instant) -> Option<Failure> {
        let mut transfers = self.transfers.iter();
        let index = transfers.position(|transfer| transfer.id == done.id)?;
        let lane = self.transfers.swap_remove(index).lane;
        let end = End {
            at: segment.at(),
            end: segment.end(),
            spoilt: segment.spoilt(),
            validators: segment.validators(),
        };
        let failure = match done.result {
            Ok(outcome) => {
                let failure = self.division.ended(lane, end, Ok(&outcome), now);
                if failure.is_none() {
                    self.record_outcome(outcome, now);
                }
                failure
            }
            Err(error) => self.division.ended(lane, end, Err(error), now),
        };
        if let Some(spoilt) = segment.spoilt() {
            self.shared.reach.set(0);
            let done = self.division.done();
            self.easy.sink.file.download.spoil(done, spoilt.start);
        }
        failure
    }

    /// Stores the outcome of the first transfer that succeeds.
    fn record_outcome(&mut self, outcome: Outcome, now: Instant) {
        if self.outcome.is_none() {
            let since = now.checked_sub(outcome.elapsed);
            self.began = self.began.min(since.unwrap_or(now));
            self.outcome = Some(outcome);
        }
    }

    /// Opens the transfer of a segment, in place of a preconnect to its URL if there is one.
    pub(super) fn open(
        &mut self,
        multi: &mut Multi<Job>,
        opening: Opening,
        now: Instant,
    ) -> Result<(), MultiError> {
        let lane = opening.lane;
        let segment = Segment::new(Rc::clone(&self.shared), opening.range, opening.proof);
        let mut easy = like(&self.easy, self.easy.sink.segment(segment));
        easy.url = opening.url;
        easy.sink.aim(&mut easy.own_headers, &mut easy.max_size);
        easy.delay = opening.delay;
        easy.timeout = self.time_left(now);
        easy.is_extra = true;
        let id = match self.take_preconnect(multi, &mut easy, now)? {
            Some(id) => id,
            None => multi.add(easy)?,
        };
        self.transfers.push(Transfer { lane, id });
        Ok(())
    }

    /// Replaces a preconnect to the URL of a transfer by the transfer.
    fn take_preconnect(
        &mut self,
        multi: &mut Multi<Job>,
        easy: &mut Easy<Job>,
        now: Instant,
    ) -> Result<Option<TransferId>, MultiError> {
        let mut preconnects = std::mem::take(&mut self.preconnects).into_iter();
        for id in preconnects.by_ref() {
            if multi.easy(id).is_none_or(|to| to.url != easy.url) {
                self.preconnects.push(id);
                continue;
            }
            match multi.replace(id, easy, now) {
                Ok(()) => {
                    self.preconnects.extend(preconnects);
                    return Ok(Some(id));
                }
                Err(MultiError::AbortedByCallback) => return Err(MultiError::AbortedByCallback),
                // The preconnect has failed.
                Err(_) => drop(multi.remove(id, now)),
            }
        }
        Ok(None)
    }

    /// The rest of the file's timeout, if it has one.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let spent = now.saturating_duration_since(self.began);
        let timeout = self.easy.timeout?;
        Some(timeout.saturating_sub(spent).max(Duration::from_millis(1)))
    }

    /// Moves the end of a segment.
    pub(super) fn set_end(&self, multi: &mut Multi<Job>, lane: Lane, end: u64) {
        let transfer = self.transfers.iter().find(|transfer| transfer.lane == lane);
        if let Some((_, job)) = transfer.and_then(|transfer| multi.sink_mut(transfer.id))
            && let Body::Segment(segment) = &mut job.file.download.body
        {
            segment.set_end(end);
        }
    }

    /// Cancels the transfer of a segment.
    pub(super) fn cancel(
        &mut self,
        multi: &mut Multi<Job>,
        lane: Lane,
        now: Instant,
    ) -> Result<(), MultiError> {
        let mut transfers = self.transfers.iter();
        let Some(index) = transfers.position(|transfer| transfer.lane == lane) else {
            return Ok(());
        };
        let id = self.transfers.swap_remove(index).id;
        multi.remove(id, now).map(drop)
    }

    /// Takes over preconnects for the first transfers.
    pub(super) fn use_preconnects(&mut self, preconnects: Vec<TransferId>) {
        self.preconnects = preconnects;
    }

    /// Closes the unused preconnects.
    pub(super) fn drop_preconnects(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        for id in self.preconnects.drain(..) {
            multi.remove(id, now)?;
        }
        Ok(())
    }

    /// Copies the written ranges of all transfers, as of now, to the file's download.
    pub(super) fn update_download_now(&mut self, multi: &Multi<Job>) {
        self.advance(multi);
        self.update_download();
    }

    /// Copies the written ranges to the file's download, and the validators and the URL that they rely on.
    pub(super) fn update_download(&mut self) {
        let servers = self.division.servers();
        let download = &mut self.easy.sink.file.download;
        if servers.is_mixed() {
            download.set_mixed();
        }
        if let Some(validators) = servers.relied_on() {
            download.rely_on(validators);
        }
        download.set_written(self.division.done(), self.division.settled());
        if self.easy.url != *servers.leader() {
            self.easy.url = servers.leader().clone();
        }
    }

    /// Returns the file as one download, and the combined outcome of its transfers.
    pub(super) fn into_file(mut self, now: Instant) -> (Easy<Job>, Option<Outcome>) {
        self.update_download();
        let mut outcome = self.outcome.take();
        if let Some(outcome) = &mut outcome {
            outcome.received = self.division.received();
            outcome.elapsed = now.saturating_duration_since(self.began);
        }
        let remaining = self.division.into_remaining();
        let job = &mut self.easy.sink;
        job.file.record = remaining.record;
        job.file.is_shared |= remaining.is_shared;
        if let Some(mirrors) = remaining.mirrors {
            job.file.mirrors = mirrors;
        }
        (self.easy, outcome)
    }

    /// The bytes received so far, duplicates included, and the bytes still missing.
    pub(super) fn progress(&self, multi: &Multi<Job>) -> (u64, u64) {
        let transfers = self.transfers.iter();
        let progress = transfers.filter_map(|transfer| multi.progress(transfer.id));
        let received = progress.map(|progress| progress.received).sum::<u64>();
        let missing = self.division.size() - self.division.done().count();
        (self.division.received() + received, missing)
    }

    /// The file as the report shows it.
    pub(super) fn active(&self) -> ActiveFile<'_> {
        ActiveFile {
            number: self.easy.sink.number,
            name: self.easy.sink.name(),
            received: self.division.done().count(),
            expected: Some(self.division.size()),
        }
    }
}

/// A transfer with the request of `easy` and another sink.
pub(super) fn like(easy: &Easy<Job>, sink: Job) -> Easy<Job> {
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
