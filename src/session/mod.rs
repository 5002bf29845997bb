//! A run: rows become downloads, downloads become transfers, transfers complete. Read this first.
//!
//! ```text
//!  Source ── row ──► Places ── download ──► Multi::add ──► the reactor waits ──► info queue ──┐
//!                      │                        ▲                                             │
//!                      │ kept, or no place      └──── again: a retry, or a mirror ◄───────────┤
//!                      ▼                                                                      ▼
//!                   Report ◄────────────────────────────────────────── verify ◄───────── the end of a body
//! ```
//!
//! The session is the one place that knows both files and transfers. It holds no list: rows are read as there is room for them.

mod descriptors;
mod job;
mod places;
mod plan;
mod report;
mod source;
mod verify;

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use descriptors::Descriptors;
use job::Job;
use places::{Misplaced, Placement, Places};
use source::{Item, Source};
use verify::Waiting;

use crate::download::{Body, Decision, Hashing, Placed, Stored, TaskId, Tries};
use crate::error::{Doing, Error, Fault, MultiError};
use crate::http::{Field, auth};
use crate::list::{ListError, Row};
use crate::multi::{Done, Easy, Multi, Outcome, Trace, TransferId};
use crate::reactor::{self, Application, Wake};
use crate::sys;

pub use plan::{Output, Plan, Request};
pub use report::{
    ActiveFile, BadRow, Completion, Landing, Report, Retrying, Snapshot, Totals, Verdict,
};

/// Makes the run that `plan` describes, and tells `report` how it goes.
///
/// # Errors
/// The run itself cannot go on. What goes wrong with a single file is told to the report.
pub fn run(plan: Plan, report: &mut dyn Report) -> io::Result<Totals> {
    if plan.is_dry_run {
        return Ok(Session::new(plan, report).foresee());
    }
    let limit = sys::raise_open_files();
    let room = Descriptors::divide(limit, sys::foreign_files(limit), plan.jobs);
    let mut options = plan.options.clone();
    options.limits.transfers = room.jobs;
    options.limits.connections = room.connections;
    options.limits.idle = room.jobs;
    let mut session = Session::new(plan, report);
    session.sleepers = room.sleepers;
    session.plan.jobs = room.jobs;
    session.places.keep_folders(room.folders);
    reactor::run(&mut session, options)?;
    session.report.flush();
    session.totals.elapsed = session.started.elapsed();
    Ok(session.totals)
}

/// A run under way.
struct Session<'r> {
    plan: Plan,
    source: Source,
    places: Places,
    report: &'r mut dyn Report,
    totals: Totals,
    /// Rows so far, bad ones too.
    rows: u64,
    /// No more rows come.
    has_ended: bool,
    /// The source has nothing now, and is watched.
    is_waiting: bool,
    /// Transfers are to stop where they are.
    is_stopped: bool,
    /// A signal has ended a write, and is about to be reported.
    awaits_signal: bool,
    /// Rows that may sleep until a retry, beside those that wait for a place.
    sleepers: usize,
    /// Who computes digests, and what waits for some.
    hashing: Hashing,
    waiting: HashMap<TaskId, Waiting>,
    /// What transfers did since the report was last told.
    traces: Rc<RefCell<Vec<(TransferId, Trace)>>>,
    random: RandomState,
    started: Instant,
}

impl<'r> Session<'r> {
    fn new(mut plan: Plan, report: &'r mut dyn Report) -> Self {
        let source = Source::new(
            std::mem::take(&mut plan.urls),
            std::mem::take(&mut plan.lists),
            plan.base.clone(),
        );
        // Nobody waits for a digest before the run starts, and is told then how to be woken.
        let hashing = Hashing::default();
        Self {
            places: Places::new(&plan, hashing.clone()),
            source,
            plan,
            report,
            totals: Totals::default(),
            rows: 0,
            has_ended: false,
            is_waiting: false,
            is_stopped: false,
            awaits_signal: false,
            sleepers: 0,
            hashing,
            waiting: HashMap::new(),
            traces: Rc::default(),
            random: RandomState::new(),
            started: Instant::now(),
        }
    }

    /// Says what would be done, and does nothing.
    fn foresee(mut self) -> Totals {
        while !self.has_ended && !self.is_stopped {
            match self.source.next(Instant::now()) {
                Item::Row(Ok(row)) => match self.places.foresee(&row) {
                    Ok(path) => self
                        .report
                        .planned(&auth::masked(&row.url), path.as_deref()),
                    Err(why) => self.misplaced(row, why),
                },
                Item::Row(Err(bad)) => self.bad_row(bad),
                Item::Wait => self.source.wait(),
                Item::End => break,
            }
        }
        self.report.flush();
        self.totals
    }

    /// Starts on a row: finds its place, and adds its first transfer.
    fn begin(&mut self, multi: &mut Multi<Job>, mut row: Row) -> Result<(), MultiError> {
        if let Err(why) = row.expect_all(&self.plan.digests) {
            self.misplaced(row, Misplaced::Row(why));
            return Ok(());
        }
        self.rows += 1;
        let (download, is_renamed, standing) = match self.places.place(&row) {
            Ok(Placement::Begin {
                download,
                is_renamed,
                standing,
            }) => (download, is_renamed, standing),
            Ok(Placement::Kept(path)) => {
                self.totals.kept += 1;
                let name = path.file_name().unwrap_or_default();
                let landing = Landing::File(path.parent().unwrap_or(Path::new("")), name);
                self.tell_untried(&row, landing, Verdict::Kept);
                return Ok(());
            }
            Err(why) => {
                self.rows -= 1;
                self.misplaced(row, why);
                return Ok(());
            }
        };
        let condition = download
            .known
            .as_ref()
            .map(Stored::condition)
            .unwrap_or_default();
        let own_headers = match own_headers(&row, condition) {
            Ok(headers) => headers,
            Err(why) => {
                self.rows -= 1;
                self.misplaced(row, Misplaced::Row(why));
                return Ok(());
            }
        };
        let (max_size, digests) = match row.options {
            Some(options) => (options.max_size, options.digests),
            None => (None, Vec::new()),
        };
        let job = Job {
            number: self.rows,
            place: row.place,
            mirrors: row.mirrors.into(),
            tries: 0,
            tries_in_all: 0,
            began: None,
            is_renamed,
            download: download.checked(digests),
        };
        let request = &self.plan.request;
        let mut easy = Easy::new(row.url, job);
        easy.headers = request.headers.clone();
        easy.own_headers = own_headers;
        easy.credentials = request.credentials.clone();
        easy.max_redirects = request.max_redirects;
        easy.max_size = max_size.or(request.max_size);
        easy.connect_timeout = request.connect_timeout;
        easy.stall_timeout = request.stall_timeout;
        easy.timeout = request.timeout;
        easy.min_speed = request.min_speed;
        easy.max_recv_speed = request.max_recv_speed;
        match standing {
            Some(file) => self.look_at_standing(multi, file, easy),
            None => Self::add(multi, easy, None),
        }
    }

    /// Adds a transfer, to start after a delay where it is a retry.
    fn add(
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        delay: Option<Duration>,
    ) -> Result<(), MultiError> {
        easy.delay = delay;
        easy.sink.tries += 1;
        easy.sink.tries_in_all += 1;
        multi.add(easy).map(drop)
    }

    /// A transfer has brought the right body.
    fn arrived(&mut self, mut easy: Easy<Job>, outcome: &Outcome) {
        let (received, elapsed) = (outcome.received, outcome.elapsed);
        if easy.sink.download.is_unchanged {
            self.totals.kept += 1;
            return self.tell(&easy, elapsed, 0, Verdict::Kept);
        }
        match self.finish(&mut easy.sink) {
            Ok(Placed::There) => {
                self.totals.done += 1;
                self.totals.bytes += received;
                let status = outcome.status;
                self.tell(&easy, elapsed, received, Verdict::Done { status });
            }
            Ok(Placed::Kept) => {
                self.totals.kept += 1;
                self.tell(&easy, elapsed, received, Verdict::Kept);
            }
            Err(fault) => {
                let error = Error::new(fault, Doing::Writing, outcome.address);
                self.give_up(&easy, &error);
            }
        }
    }

    /// Puts a complete body where it belongs.
    fn finish(&mut self, job: &mut Job) -> Result<Placed, Fault> {
        match &mut job.download.body {
            Body::Stream(_) => Ok(Placed::There),
            Body::File(part) => {
                if let Some(given) = job.download.given_name.take() {
                    job.is_renamed |= self.places.take_given_name(part, &given)?;
                }
                let placed = part.finish()?;
                self.places.done_with(part);
                Ok(placed)
            }
        }
    }

    /// A try has failed: there may be another, or another mirror.
    fn failed(
        &mut self,
        multi: &mut Multi<Job>,
        mut easy: Easy<Job>,
        error: &Error,
        now: Instant,
    ) -> Result<(), MultiError> {
        let random = self.random.hash_one(now) as f64 / u64::MAX as f64;
        let job = &easy.sink;
        let tries = Tries {
            count: job.tries,
            elapsed: job.began.map_or(Duration::ZERO, |at| now - at),
        };
        let decision = if job.download.can_start_over() {
            self.plan
                .retry
                .decide(error, tries, random, SystemTime::now())
        } else {
            Decision::GiveUp
        };
        if let Decision::Again(delay) = decision {
            if matches!(error.status(), Some(429 | 503)) {
                multi.hold(&easy.url, now + delay, now)?;
            }
            self.report.retrying(&Retrying {
                number: job.number,
                url: &easy.url,
                error,
                delay,
                tries: job.tries,
            });
            return Self::add(multi, easy, Some(delay));
        }
        if job.download.can_start_over()
            && let Some(mirror) = easy.sink.mirrors.pop_front()
        {
            easy.sink.tries = 0;
            easy.sink.began = None;
            easy.url = mirror;
            return Self::add(multi, easy, None);
        }
        self.give_up(&easy, error);
        Ok(())
    }

    fn give_up(&mut self, easy: &Easy<Job>, error: &Error) {
        self.totals.failed += 1;
        self.is_stopped |= self.plan.is_fail_fast;
        if let Body::File(part) = &easy.sink.download.body {
            self.places.done_with(part);
        }
        self.tell(easy, Duration::ZERO, 0, Verdict::Failed(error));
    }

    fn tell(&mut self, easy: &Easy<Job>, elapsed: Duration, bytes: u64, verdict: Verdict<'_>) {
        let job = &easy.sink;
        self.report.completed(&Completion {
            number: job.number,
            url: &easy.url,
            place: &job.place,
            landing: job.landing(),
            is_renamed: job.is_renamed,
            bytes,
            elapsed,
            tries: job.tries_in_all,
            verdict,
        });
    }

    /// Tells of a row that needed no transfer, or got none.
    fn tell_untried(&mut self, row: &Row, landing: Landing<'_>, verdict: Verdict<'_>) {
        self.report.completed(&Completion {
            number: self.rows,
            url: &row.url,
            place: &row.place,
            landing,
            is_renamed: false,
            bytes: 0,
            elapsed: Duration::ZERO,
            tries: 0,
            verdict,
        });
    }

    fn bad_row(&mut self, bad: BadRow) {
        self.rows += 1;
        self.totals.failed += 1;
        self.report.bad_row(&bad);
        let is_list = !matches!(bad, BadRow::Typed(_));
        if self.plan.is_strict && is_list {
            self.has_ended = true;
            self.totals.is_broken_off = true;
        }
        self.is_stopped |= self.plan.is_fail_fast;
    }

    /// A row that has no place is a bad row, or a file that failed before its first try.
    fn misplaced(&mut self, row: Row, why: Misplaced) {
        match why {
            Misplaced::Row(why) => {
                let message = format!("{}: {why}", auth::masked(&row.url));
                self.bad_row(BadRow::Line(ListError {
                    place: row.place,
                    message,
                }));
            }
            Misplaced::Fault(fault) => {
                self.rows += 1;
                self.totals.failed += 1;
                self.is_stopped |= self.plan.is_fail_fast;
                let error = Error::new(fault, Doing::Starting, None);
                self.tell_untried(&row, Landing::Nowhere, Verdict::Failed(&error));
            }
        }
    }

    /// Tells the report what transfers did since it was last told.
    fn show_traces(&mut self, multi: &Multi<Job>) {
        for (id, trace) in self.traces.take() {
            if let Some(easy) = multi.easy(id) {
                self.report.traced(easy.sink.number, &trace);
            }
        }
    }

    /// When the report wants to be told how the run stands.
    fn progress_due(&self) -> Option<Instant> {
        self.report
            .due()
            .and_then(|elapsed| self.started.checked_add(elapsed))
    }

    /// Tells the report how the run stands.
    fn show_progress(&mut self, multi: &Multi<Job>, now: Instant) {
        let (mut received, mut expected) = (
            self.totals.bytes,
            self.has_ended.then_some(self.totals.bytes),
        );
        for (_, _, progress) in multi.transfers() {
            received += progress.received;
            expected = expected
                .zip(progress.expected)
                .map(|(sum, size)| sum + size);
        }
        let under_way = multi
            .transfers()
            .filter(|(_, _, progress)| progress.is_dispatched);
        let mut active = under_way.map(|(_, easy, progress)| ActiveFile {
            number: easy.sink.number,
            name: easy.sink.name(),
            received: progress.received,
            expected: progress.expected,
        });
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

impl Application<Job> for Session<'_> {
    fn set_wake(&mut self, wake: Wake) {
        self.hashing.set_wake(wake);
    }

    fn start(&mut self, multi: &mut Multi<Job>) {
        if self.plan.is_traced {
            let traces = Rc::clone(&self.traces);
            multi.set_trace_function(move |id, trace| traces.borrow_mut().push((id, trace)));
        }
    }

    fn refill(&mut self, multi: &mut Multi<Job>, now: Instant) -> Result<(), MultiError> {
        self.is_waiting = false;
        // Twice as many as run at once: whoever comes next has been thought about before its place is free,
        // unless a failure is to keep it from being fetched.
        let room = if self.plan.is_fail_fast {
            self.plan.jobs
        } else {
            2 * self.plan.jobs
        };
        while !self.has_ended
            && !self.is_stopped
            && multi.running() - multi.sleeping() + self.waiting.len() < room
            && multi.sleeping() < self.sleepers
        {
            match self.source.next(now) {
                Item::Row(Ok(row)) => self.begin(multi, row)?,
                Item::Row(Err(bad)) => self.bad_row(bad),
                Item::Wait => {
                    self.is_waiting = true;
                    break;
                }
                Item::End => self.has_ended = true,
            }
        }
        if self.is_stopped {
            self.totals.unfinished += (multi.running() + self.waiting.len()) as u64;
        }
        self.report.flush();
        Ok(())
    }

    fn is_over(&self, multi: &Multi<Job>) -> bool {
        let is_idle = multi.running() == 0 && self.waiting.is_empty();
        self.is_stopped || self.has_ended && is_idle && !self.awaits_signal
    }

    fn completed(
        &mut self,
        multi: &mut Multi<Job>,
        done: Done,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.show_traces(multi);
        let mut easy = multi.remove(done.id, now)?;
        easy.sink.began = easy.sink.began.or(done.dispatched);
        self.awaits_signal |= matches!(&done.result, Err(error) if was_interrupted(error));
        match done.result {
            Ok(outcome) => self.verify(multi, easy, outcome, now)?,
            Err(_) if self.is_stopped || self.awaits_signal => self.totals.unfinished += 1,
            Err(error) => self.failed(multi, easy, &error, now)?,
        }
        Ok(())
    }

    fn woken(&mut self, multi: &mut Multi<Job>, now: Instant) -> Result<(), MultiError> {
        self.hashed(multi, now)
    }

    fn input(&self) -> Option<RawFd> {
        if self.is_waiting {
            self.source.descriptor()
        } else {
            None
        }
    }

    fn read_input(&mut self) {
        self.source.read();
    }

    fn due(&self) -> Option<Instant> {
        let settles = if self.is_waiting {
            self.source.due()
        } else {
            None
        };
        [settles, self.progress_due()].into_iter().flatten().min()
    }

    fn tick(&mut self, multi: &Multi<Job>, now: Instant) {
        self.show_traces(multi);
        self.source.settle(now);
        if self.progress_due().is_some_and(|due| due <= now) {
            self.show_progress(multi, now);
        }
    }

    fn signalled(&mut self, signal: i32) {
        self.totals.signal = Some(signal);
        self.is_stopped = true;
    }
}

/// Whether a signal ended a write that waited for its reader.
fn was_interrupted(error: &Error) -> bool {
    matches!(error.fault(), Fault::Disk { source, .. } if source.kind() == io::ErrorKind::Interrupted)
}

/// The header fields of a row's own, after those that the download needs.
fn own_headers(row: &Row, mut fields: Vec<Field>) -> Result<Vec<Field>, String> {
    let Some(options) = &row.options else {
        return Ok(fields);
    };
    let named = [
        ("User-Agent", &options.user_agent),
        ("Referer", &options.referer),
    ];
    let named = named
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}: {value}")));
    for line in options.headers.iter().cloned().chain(named) {
        fields.push(Field::parse(&line)?);
    }
    Ok(fields)
}
