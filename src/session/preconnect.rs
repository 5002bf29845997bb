//! Preconnects: connections that are opened before the first response says whether the file can be divided.
//!
//! Only a run of one file with a fixed number of transfers preconnects. In other runs, most preconnects would stay
//! unused.

use std::time::Instant;

use super::Session;
use super::job::Job;
use crate::download::{Body, Download};
use crate::error::MultiError;
use crate::list::Split as Wanted;
use crate::multi::{Multi, TransferId};

/// The most preconnects of a run.
const MOST: usize = 15;

/// The preconnects of a run that are not used yet.
#[derive(Debug, Default)]
pub(super) struct Preconnects {
    ids: Vec<TransferId>,
    /// The run has decided whether to preconnect, which happens once.
    is_decided: bool,
}

impl Preconnects {
    /// The number of unused preconnects.
    pub(super) fn count(&self) -> usize {
        self.ids.len()
    }

    /// Forgets a preconnect that has failed.
    pub(super) fn lose(&mut self, id: TransferId) {
        self.ids.retain(|preconnect| *preconnect != id);
    }

    /// Hands all preconnects over to the caller, which must use or remove them.
    pub(super) fn take(&mut self) -> Vec<TransferId> {
        std::mem::take(&mut self.ids)
    }
}

impl Session<'_> {
    /// Preconnects for the only file of the run, if the user gave a fixed number of transfers. Does this at most once.
    pub(super) fn preconnect(&mut self, multi: &mut Multi<Job>) -> Result<(), MultiError> {
        if self.preconnects.is_decided || !self.ledger.has_ended {
            return Ok(());
        }
        self.preconnects.is_decided = true;
        let Some((_, easy, _)) = multi.transfers().next() else {
            return Ok(());
        };
        if self.ledger.rows() != 1 || easy.sink.file.download.least.is_none() {
            return Ok(());
        }
        // Requests on open connections would not keep the interval.
        if self.plan.options.start_interval.is_some() {
            return Ok(());
        }
        let Wanted::Most(wanted) = easy.sink.split else {
            return Ok(());
        };
        // If a digest allows the mirrors already now, preconnects go to all servers in turn, like the segments later.
        let mut urls = vec![easy.url.clone()];
        if easy.sink.file.download.bond().is_some() {
            urls.extend(easy.sink.file.mirror_urls());
        }
        let number = easy.sink.number;
        // One slot is left for the first transfer: redirects may lead it away from an origin and back.
        let limits = &self.plan.options.limits;
        let caps = [limits.per_origin, limits.connections, 1 + MOST];
        let most = caps.into_iter().filter(|cap| *cap > 0).min();
        let wanted = (wanted.get() as usize).min(most.unwrap_or(1));
        for url in urls.iter().cycle().take(wanted).skip(1) {
            let download = Download::new(Body::Memory(Vec::new()), &self.hashing);
            let job = Job::aside(number, download);
            let mut easy = self.easy(url.clone(), job);
            (easy.is_extra, easy.is_connect_only) = (true, true);
            easy.timeout = None;
            self.preconnects.ids.push(multi.add(easy)?);
        }
        Ok(())
    }

    /// Closes the unused preconnects.
    pub(super) fn drop_preconnects(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        for id in self.preconnects.take() {
            multi.remove(id, now)?;
        }
        Ok(())
    }
}
