//! The ledger of a run: what became of each row. It owns the totals, the lock file, the list of failed rows and the
//! report. Every row ends in [`Ledger::end`].

#![warn(clippy::wildcard_enum_match_arm)]

use std::io;
use std::time::{Duration, Instant};

use url::Url;

use super::failures::Failures;
use super::file::End;
use super::job::Job;
use super::lock::Lock;
use super::plan::{Durability, Plan};
use super::report::{BadRow, Completion, Landing, Report, Starting, Totals, Verdict};
use super::source::Unusable;
use super::targets::Misplaced;
use crate::download::Notice;
use crate::error::{Doing, Error};
use crate::http::auth;
use crate::list::{ListError, Row};
use crate::multi::Easy;
use crate::sys::Stop;

/// The ledger of a run.
pub(super) struct Ledger<'r> {
    pub(super) report: &'r mut dyn Report,
    pub(super) totals: Totals,
    /// Rows so far, invalid ones included. The number of a row is its count.
    rows: u64,
    /// The list of failed rows, if one is written.
    failures: Option<Failures>,
    lock: Option<Lock>,
    /// When the run started: the report's times count from here.
    started: Instant,
    /// No more rows are read.
    pub(super) has_ended: bool,
    /// Transfers stop where they are.
    pub(super) is_stopped: bool,
}

impl<'r> Ledger<'r> {
    pub(super) fn new(report: &'r mut dyn Report) -> Self {
        Self {
            report,
            totals: Totals::default(),
            rows: 0,
            failures: None,
            lock: None,
            started: Instant::now(),
            has_ended: false,
            is_stopped: false,
        }
    }

    /// Opens the files that the run writes beside what it fetches. If one cannot be opened, no row is read.
    pub(super) fn open(&mut self, plan: &Plan, stop: &Stop) {
        if let Some(path) = &plan.failed {
            match Failures::create(path, stop) {
                Ok(failures) => self.failures = Some(failures),
                Err(error) => {
                    let name = path.display().to_string();
                    self.refuse(plan, BadRow::Output(name, error));
                }
            }
        }
        if let Some(path) = &plan.lock {
            match Lock::open(path, plan.is_locked, stop) {
                Ok(lock) => self.lock = Some(lock),
                Err(error) => {
                    let name = path.display().to_string();
                    self.refuse(plan, BadRow::List(name, error));
                }
            }
        }
    }

    /// Reports what keeps the run from starting.
    pub(super) fn refuse(&mut self, plan: &Plan, bad: BadRow) {
        self.bad_row(plan, &bad);
        self.has_ended = true;
    }

    /// The number of rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Counts a row, and returns its number.
    pub(super) fn count(&mut self) -> u64 {
        self.rows += 1;
        self.rows
    }

    /// Rows that have begun and not ended.
    pub(super) fn unended(&self) -> u64 {
        let ended = self.totals.done + self.totals.kept + self.totals.failed;
        self.rows.saturating_sub(ended)
    }

    /// Ends a row: counts it, writes it to the list of failed rows if it failed, and reports it. A `certified` file is
    /// complete and has a known digest: it enters the lock file.
    pub(super) fn end(&mut self, plan: &Plan, certified: Option<&Job>, row: &Completion<'_>) {
        if let (Some(job), Some(lock)) = (certified, &mut self.lock) {
            lock.add(job, &plan.dir);
        }
        let begun = self
            .failures
            .as_mut()
            .and_then(|failures| failures.end(row.number));
        match row.verdict {
            Verdict::Done(_) => {
                self.totals.done += 1;
                self.totals.bytes += row.bytes;
            }
            Verdict::Kept => self.totals.kept += 1,
            Verdict::Failed(_) => {
                self.totals.failed += 1;
                self.is_stopped |= plan.is_fail_fast;
                if let Some(begun) = begun {
                    self.list_failure(&begun);
                }
            }
        }
        self.report.completed(row);
    }

    /// Ends the row of a transfer.
    pub(super) fn end_transfer(&mut self, plan: &Plan, easy: &Easy<Job>, end: &End) {
        let job = &easy.sink;
        let (verdict, bytes, elapsed) = match end {
            End::Done(outcome) => (Verdict::Done(outcome), outcome.received, outcome.elapsed),
            End::Unchanged { elapsed } => (Verdict::Kept, 0, *elapsed),
            End::Kept { received, elapsed } => (Verdict::Kept, *received, *elapsed),
            End::Failed(error) => (Verdict::Failed(error), 0, Duration::ZERO),
        };
        let is_certified = match end {
            End::Done(_) | End::Unchanged { .. } => true,
            End::Kept { .. } | End::Failed(_) => false,
        };
        let row = Completion {
            number: job.number,
            url: &easy.url,
            location: &job.location,
            landing: job.landing(),
            is_renamed: job.is_renamed,
            bytes,
            decoded: job.file.download.decoded(),
            elapsed,
            tries: job.file.tries_in_all,
            verdict,
        };
        self.end(plan, is_certified.then_some(job), &row);
    }

    /// Counts and ends a row that got no transfer.
    pub(super) fn end_untried(
        &mut self,
        plan: &Plan,
        row: &Row,
        landing: Landing<'_>,
        verdict: Verdict<'_>,
    ) {
        let row = Completion {
            number: self.count(),
            url: &row.url,
            location: &row.location,
            landing,
            is_renamed: false,
            bytes: 0,
            decoded: None,
            elapsed: Duration::ZERO,
            tries: 0,
            verdict,
        };
        self.end(plan, None, &row);
    }

    /// Ends a row that has no target: it is invalid, or its file failed before the first try.
    pub(super) fn misplaced(&mut self, plan: &Plan, row: Row, why: Misplaced) {
        self.list_failure(&row);
        match why {
            Misplaced::Row(why) => {
                let message = format!("{}: {why}", auth::masked(&row.url));
                let error = ListError::new(row.location, message);
                self.bad_row(plan, &BadRow::Line(error));
            }
            Misplaced::Fault(fault) => {
                let error = Error::new(fault, Doing::Starting, None);
                let verdict = Verdict::Failed(&error);
                self.end_untried(plan, &row, Landing::Nowhere, verdict);
            }
        }
    }

    /// Ends a row that a signal interrupted before its first try.
    pub(super) fn interrupted(&mut self, row: &Row) {
        self.count();
        self.totals.unfinished += 1;
        self.list_failure(row);
    }

    /// Ends an entry of a list that is no row. It is written to the list of failed rows so that it fails again.
    pub(super) fn unusable(&mut self, plan: &Plan, unusable: &Unusable) {
        self.write_failure(|failures| failures.add_unusable(unusable));
        self.bad_row(plan, &unusable.why);
    }

    /// Counts and reports an invalid row, or a file of the run that cannot be read or written.
    pub(super) fn bad_row(&mut self, plan: &Plan, bad: &BadRow) {
        self.count();
        self.totals.failed += 1;
        self.report.bad_row(bad);
        if plan.is_strict && matches!(bad, BadRow::Line(_) | BadRow::List(..)) {
            self.has_ended = true;
            self.totals.is_broken_off = true;
        }
        self.is_stopped |= plan.is_fail_fast;
    }

    /// Whether the list of failed rows is written.
    pub(super) fn lists_failures(&self) -> bool {
        self.failures.is_some()
    }

    /// Whether a lock file is read or written.
    pub(super) fn has_lock(&self) -> bool {
        self.lock.is_some()
    }

    /// Checks a row against the lock file.
    pub(super) fn bind(&mut self, plan: &Plan, row: &mut Row) -> Result<(), Misplaced> {
        match &mut self.lock {
            Some(lock) => lock.bind(row, plan),
            None => Ok(()),
        }
    }

    /// Remembers a row that has begun: it is a failed one unless [`end`](Self::end) says otherwise.
    pub(super) fn begin(&mut self, number: u64, row: Option<Box<Row>>) {
        if let (Some(failures), Some(row)) = (&mut self.failures, row) {
            failures.begin(number, row);
        }
    }

    /// Writes a row to the list of failed rows.
    pub(super) fn list_failure(&mut self, row: &Row) {
        self.write_failure(|failures| failures.add(row));
    }

    /// Writes the rows that have begun and not ended to the list of failed rows.
    pub(super) fn list_unended(&mut self) {
        let rows = self.failures.as_mut().map(Failures::take_begun);
        for row in rows.into_iter().flatten() {
            self.list_failure(&row);
        }
    }

    /// Writes to the list of failed rows. If that fails, the list is abandoned, and the file that it would replace
    /// stays.
    pub(super) fn write_failure(&mut self, write: impl FnOnce(&mut Failures) -> io::Result<()>) {
        if let Some(failures) = &mut self.failures
            && let Err(error) = write(failures)
            && let Some(failures) = self.failures.take()
        {
            let name = failures.abandon().display().to_string();
            self.report.bad_row(&BadRow::Output(name, error));
        }
    }

    /// Completes the list of failed rows and the lock file.
    pub(super) fn close(&mut self, durability: Durability) {
        let syncs = durability != Durability::System;
        let failed = self.failures.take().map(|failures| failures.finish(syncs));
        let locked = self.lock.as_ref().map(|lock| lock.finish(syncs));
        for result in [failed, locked].into_iter().flatten() {
            if let Err((path, error)) = result {
                let name = path.display().to_string();
                self.report.bad_row(&BadRow::Output(name, error));
            }
        }
    }

    /// Reports what the user must know of a file that is continued.
    pub(super) fn warn(&mut self, url: &Url, job: &mut Job) {
        match job.file.download.take_notice() {
            Some(Notice::StartedOver(why)) => self.report.warned(url, why),
            Some(Notice::Warning(what)) => self.report.cautioned(url, &what),
            None => {}
        }
    }

    /// Reports that a try of a file has started. Transfers of segments and preconnects are no tries, and files that
    /// the run fetches for itself are no rows.
    pub(super) fn start(&mut self, easy: &Easy<Job>) {
        let job = &easy.sink;
        if easy.is_connect_only || job.at().is_some() || job.number == 0 {
            return;
        }
        self.report.started(&Starting {
            number: job.number,
            url: &easy.url,
            location: &job.location,
            landing: job.landing(),
            tries: job.file.tries_in_all,
        });
    }

    /// Tells the report the time at which its next events happen.
    pub(super) fn set_time(&mut self, now: Instant) {
        self.report
            .set_time(now.saturating_duration_since(self.started));
    }

    /// When the run started.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The time since the run started.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// When the report wants the progress of the run.
    pub(super) fn progress_due(&self) -> Option<Instant> {
        self.report
            .due()
            .and_then(|elapsed| self.started.checked_add(elapsed))
    }
}
