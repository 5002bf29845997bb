//! What the report is told: each end of a file, each bad row, what transfers do, and how the run stands.

use std::time::{Duration, Instant};

use url::Url;

use super::Session;
use super::job::Job;
use super::places::Misplaced;
use super::report::{ActiveFile, BadRow, Completion, Landing, Report, Snapshot, Starting, Verdict};
use super::split::Split;
use crate::download::Notice;
use crate::error::{Doing, Error};
use crate::http::auth;
use crate::list::{ListError, Row};
use crate::multi::{Easy, Multi, Trace};

impl Session<'_> {
    /// A row that had begun has ended.
    pub(super) fn tell(
        &mut self,
        easy: &Easy<Job>,
        elapsed: Duration,
        bytes: u64,
        verdict: Verdict<'_>,
    ) {
        let job = &easy.sink;
        self.note_end(job.number, matches!(verdict, Verdict::Failed(_)));
        self.report.completed(&Completion {
            number: job.number,
            url: &easy.url,
            place: &job.place,
            landing: job.landing(),
            is_renamed: job.is_renamed,
            bytes,
            decoded: job.download.decoded(),
            elapsed,
            tries: job.tries_in_all,
            verdict,
        });
    }

    /// Tells of a row that needed no transfer, or got none.
    pub(super) fn tell_untried(&mut self, row: &Row, landing: Landing<'_>, verdict: Verdict<'_>) {
        self.report.completed(&Completion {
            number: self.rows,
            url: &row.url,
            place: &row.location,
            landing,
            is_renamed: false,
            bytes: 0,
            decoded: None,
            elapsed: Duration::ZERO,
            tries: 0,
            verdict,
        });
    }

    pub(super) fn bad_row(&mut self, bad: BadRow) {
        self.rows += 1;
        self.totals.failed += 1;
        self.report.bad_row(&bad);
        let is_list = matches!(bad, BadRow::Line(_) | BadRow::List(..));
        if self.plan.is_strict && is_list {
            self.has_ended = true;
            self.totals.is_broken_off = true;
        }
        self.is_stopped |= self.plan.is_fail_fast;
    }

    /// A row that has no place is a bad row, or a file that failed before its first try.
    pub(super) fn misplaced(&mut self, row: Row, why: Misplaced) {
        match why {
            Misplaced::Row(why) => {
                let message = format!("{}: {why}", auth::masked(&row.url));
                self.note_failure(&row);
                self.bad_row(BadRow::Line(ListError::new(row.location, message)));
            }
            Misplaced::Fault(fault) => {
                self.rows += 1;
                self.totals.failed += 1;
                self.is_stopped |= self.plan.is_fail_fast;
                self.note_failure(&row);
                let error = Error::new(fault, Doing::Starting, None);
                self.tell_untried(&row, Landing::Nowhere, Verdict::Failed(&error));
            }
        }
    }

    /// Tells the report what its user has to know of a file that goes on.
    pub(super) fn warn_of(report: &mut dyn Report, url: &Url, job: &mut Job) {
        match job.download.take_notice() {
            Some(Notice::StartedOver(why)) => report.warned(url, why),
            Some(Notice::Warning(what)) => report.cautioned(url, &what),
            None => {}
        }
    }

    /// Tells the report when what it is told next has happened.
    pub(super) fn tell_time(&mut self, now: Instant) {
        self.report
            .set_time(now.saturating_duration_since(self.started));
    }

    /// Tells the report what transfers did since it was last told.
    pub(super) fn show_traces(&mut self, multi: &Multi<Job>) {
        for (id, trace) in self.traces.take() {
            let Some(easy) = multi.easy(id) else { continue };
            if trace == Trace::Started {
                Self::start_of(self.report, easy);
            } else {
                self.report.traced(easy.sink.number, &trace);
            }
        }
    }

    /// Tells the report that a try of a file has started. What brings a part of one, or opens a
    /// connection, is no try, and what the run fetches for itself is no file.
    fn start_of(report: &mut dyn Report, easy: &Easy<Job>) {
        let job = &easy.sink;
        if easy.is_connect_only || job.at().is_some() || job.number == 0 {
            return;
        }
        report.started(&Starting {
            number: job.number,
            url: &easy.url,
            place: &job.place,
            landing: job.landing(),
            tries: job.tries_in_all,
        });
    }

    /// When the report wants to be told how the run stands.
    pub(super) fn progress_due(&self) -> Option<Instant> {
        self.report
            .due()
            .and_then(|elapsed| self.started.checked_add(elapsed))
    }

    /// Tells the report how the run stands.
    pub(super) fn show_progress(&mut self, multi: &Multi<Job>, now: Instant) {
        let (mut received, mut expected) = (
            self.totals.bytes,
            self.has_ended.then_some(self.totals.bytes),
        );
        let files = || {
            let transfers = multi.transfers();
            transfers.filter(|(_, easy, _)| easy.sink.at().is_none() && !easy.is_connect_only)
        };
        for (_, _, progress) in files() {
            received += progress.received;
            let rest = progress.expected;
            expected = expected.zip(rest).map(|(sum, size)| sum + size);
        }
        for split in self.splits.values() {
            let (brought, missing) = split.progress(multi);
            received += brought;
            expected = expected.map(|sum| sum + brought + missing);
        }
        let under_way = files().filter(|(_, _, progress)| progress.is_dispatched);
        let active = under_way.map(|(_, easy, progress)| {
            // What an earlier run has brought is there, though it was not received now.
            let start = easy.sink.download.start();
            ActiveFile {
                number: easy.sink.number,
                name: easy.sink.name(),
                received: start + progress.received,
                expected: progress.expected.map(|rest| start + rest),
            }
        });
        let mut active = active.chain(self.splits.values().map(Split::active));
        self.report.progress(Snapshot {
            files_done: self.totals.done + self.totals.kept,
            files_failed: self.totals.failed,
            files_known: self.rows,
            list_ended: self.has_ended,
            bytes: received,
            bytes_expected: expected,
            elapsed: now.saturating_duration_since(self.started),
            active: &mut active,
        });
    }
}
