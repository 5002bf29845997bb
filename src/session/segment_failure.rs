//! The failure of one of a divided file's transfers: other transfers take its segment, its server backs off or is
//! dropped, or the file fails.

#![warn(clippy::wildcard_enum_match_arm)]

use std::time::{Duration, Instant};

use super::Session;
use super::ending::decide;
use super::job::Job;
use super::report::Retrying;
use super::split::Ended;
use crate::download::Decision;
use crate::error::{Error, Fault, MultiError};
use crate::multi::Multi;

/// A segment's transfer that has failed.
#[derive(Debug)]
pub(super) struct SegmentFailure {
    /// The number of its file.
    pub(super) number: u64,
    pub(super) ended: Ended,
    pub(super) error: Error,
}

impl Session<'_> {
    /// Handles the failure of a segment's transfer.
    pub(super) fn segment_failed(
        &mut self,
        multi: &mut Multi<Job>,
        failure: &SegmentFailure,
        now: Instant,
    ) -> Result<(), MultiError> {
        let (number, ended, error) = (failure.number, failure.ended, &failure.error);
        let Some(split) = self.splits.get_mut(&number) else {
            return Ok(());
        };
        let is_disk = matches!(error.fault(), Fault::Disk { .. });
        // The first server's version is the one that the file began with: it has changed since.
        let has_changed = matches!(error.fault(), Fault::Changed) && ended.server == 0;
        if is_disk || has_changed {
            return self.split_failed(multi, number, error, now);
        }
        split.reset_tries(ended);
        let tries = split.tried(ended, now);
        let delay = match decide(&self.plan.retry, &mut self.jitter, error, tries) {
            Decision::Again(delay) => Some(delay),
            Decision::GiveUp => None,
        };
        if error.asks_for_calm()
            && let (Some(url), Some(delay)) = (split.servers.url(ended.server), delay)
        {
            multi.hold(url, now + delay, now)?;
        }
        if split.servers.mirrors().has_another(ended.server) {
            self.mirror_failed(multi, failure, delay, now)
        } else {
            self.only_one_failed(multi, failure, delay, now)
        }
    }

    /// Handles the failure of one of several servers: the others take its segment, during its backoff or for good.
    fn mirror_failed(
        &mut self,
        multi: &mut Multi<Job>,
        failure: &SegmentFailure,
        delay: Option<Duration>,
        now: Instant,
    ) -> Result<(), MultiError> {
        let (number, ended, error) = (failure.number, failure.ended, &failure.error);
        let Some(split) = self.splits.get_mut(&number) else {
            return Ok(());
        };
        if split.servers.mirrors().is_dropped(ended.server) {
            return self.fill_or_verify(multi, number, None, now);
        }
        let is_last = delay.is_none();
        let may_help = error.is_retryable() && !is_damage(error);
        if may_help && split.lower_if_served(multi, ended, is_last, now)? {
            return self.fill_or_verify(multi, number, None, now);
        }
        let url = split.servers.url(ended.server).cloned();
        let url = url.unwrap_or_else(|| split.easy.url.clone());
        if let Some(delay) = delay {
            let tries = split.tried(ended, now).count;
            split.servers.mirrors().rest(ended.server, now + delay);
            split.count_failure(ended);
            self.ledger.report.retrying(&Retrying {
                number,
                url: &url,
                error,
                delay,
                tries,
            });
        } else {
            // A server that has another version or ignores ranges may still have the right full file.
            let is_misfit = error.fault().is_misfit();
            split.drop_server(ended.server, !is_misfit && error.status() != Some(416));
            // Entity tags often differ between servers: such a mirror is dropped without a message.
            if !(matches!(error.fault(), Fault::Changed) && ended.brought == 0) {
                self.ledger.report.dropped(&url, error);
            }
        }
        self.fill_or_verify(multi, number, None, now)
    }

    /// Handles the failure of the last server: its other transfers take the segment, a retry fetches it later, or the
    /// file fails.
    fn only_one_failed(
        &mut self,
        multi: &mut Multi<Job>,
        failure: &SegmentFailure,
        delay: Option<Duration>,
        now: Instant,
    ) -> Result<(), MultiError> {
        let (number, ended, error) = (failure.number, failure.ended, &failure.error);
        let Some(split) = self.splits.get_mut(&number) else {
            return Ok(());
        };
        let is_retryable = error.is_retryable();
        if !is_retryable && split.leave_to_open_ended(multi, now)? {
            split.open_no_more();
            return Ok(());
        }
        if error.asks_for_calm() || matches!(error.fault(), Fault::ConnectionLost(_)) {
            split.fall_back(ended, now);
        }
        let may_help = !is_damage(error) && (is_retryable || error.status().is_some());
        if may_help && split.lower_if_served(multi, ended, delay.is_none(), now)? {
            return Ok(());
        }
        let Some(delay) = delay else {
            return self.split_failed(multi, number, error, now);
        };
        let tries = split.tried(ended, now).count;
        self.ledger.report.retrying(&Retrying {
            number,
            url: &split.easy.url,
            error,
            delay,
            tries,
        });
        split.count_failure(ended);
        self.fill_or_verify(multi, number, Some(delay), now)
    }

    /// Ends the division of a file and fails its present try, after which a retry may follow.
    fn split_failed(
        &mut self,
        multi: &mut Multi<Job>,
        number: u64,
        error: &Error,
        now: Instant,
    ) -> Result<(), MultiError> {
        match self.end_division(multi, number, now)? {
            Some((easy, _)) => self.failed(multi, easy, error, now),
            None => Ok(()),
        }
    }
}

/// Whether the response did not match the digest that its server gave: fewer connections would not help.
fn is_damage(error: &Error) -> bool {
    matches!(error.fault(), Fault::Digest { .. })
}
