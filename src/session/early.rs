//! Connections that are opened before it is known whether a file will be divided: while its first answer is on the way.
//!
//! Only for a run of one file, and where the user has said how many are to bring it: else most would be opened in vain.

use std::time::Instant;

use super::Session;
use super::job::Job;
use crate::download::{Body, Download};
use crate::error::MultiError;
use crate::list::Split as Wanted;
use crate::multi::{Multi, TransferId};

/// Connections that are opened early at most.
const MOST: usize = 15;

/// What was opened, and not used yet.
#[derive(Debug, Default)]
pub(super) struct Early {
    ids: Vec<TransferId>,
    is_decided: bool,
}

impl Early {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.ids.len()
    }

    /// One of them has failed.
    pub(super) fn lose(&mut self, id: TransferId) {
        self.ids.retain(|early| *early != id);
    }

    /// Hands them over to whoever uses them.
    pub(super) fn take(&mut self) -> Vec<TransferId> {
        std::mem::take(&mut self.ids)
    }
}

impl Session<'_> {
    /// Opens connections for the only file of the run, if so many of them were asked for.
    pub(super) fn connect_early(&mut self, multi: &mut Multi<Job>) -> Result<(), MultiError> {
        if self.early.is_decided || !self.ledger.has_ended {
            return Ok(());
        }
        self.early.is_decided = true;
        let only = multi.transfers().next().filter(|_| self.ledger.rows() == 1);
        let Some((_, easy, _)) = only.filter(|(_, easy, _)| easy.sink.download.least.is_some())
        else {
            return Ok(());
        };
        // What goes over them would start at once.
        if self.plan.options.start_interval.is_some() {
            return Ok(());
        }
        let Wanted::Most(wanted) = easy.sink.split else {
            return Ok(());
        };
        // They are spread as the shares will be, where it is known already that mirrors may be asked too.
        let has_bond = easy.sink.download.bond().is_some();
        let mirrors = easy.sink.mirrors.iter().filter(|_| has_bond);
        let urls: Vec<_> = std::iter::once(&easy.url).chain(mirrors).cloned().collect();
        let number = easy.sink.number;
        // Redirects may bring the file back to an origin where it has left its place: there must be another.
        let limits = &self.plan.options.limits;
        let caps = [limits.per_origin, limits.connections, 1 + MOST];
        let most = caps.into_iter().filter(|cap| *cap > 0).min();
        let wanted = (wanted.get() as usize).min(most.unwrap_or(1));
        for url in urls.iter().cycle().take(wanted).skip(1) {
            let download = Download::new(Body::Memory(Vec::new()), &self.hashing);
            let job = Job::aside(number, download, &self.has_divisible);
            let mut easy = self.easy(url.clone(), job);
            (easy.is_extra, easy.is_connect_only) = (true, true);
            easy.timeout = None;
            self.early.ids.push(multi.add(easy)?);
        }
        Ok(())
    }

    /// Closes what was opened in vain.
    pub(super) fn drop_early(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        for id in self.early.take() {
            multi.remove(id, now)?;
        }
        Ok(())
    }
}
