//! A run: rows become downloads, downloads become transfers, transfers complete. Read this first.
//!
//! ```text
//!  Source ── row ──► Targets ── download ──► Multi::add ──► the reactor waits ──► info queue ──┐
//!                      │                         ▲                                             │
//!                      │ kept, or no target      └──── again: a retry, or a mirror ◄───────────┤
//!                      ▼                                                                       ▼
//!                   Report ◄────────────────────────────────────────── verify ◄────────── the end of a body
//! ```
//!
//! The session is the only module that knows both files and transfers. It holds no list: rows are
//! read as there is room for them.

mod descriptors;
mod divide;
mod ending;
mod expected_digests;
mod failures;
mod file;
mod folders;
mod job;
mod ledger;
mod lock;
mod naming;
mod plan;
mod preconnect;
mod report;
mod reporting;
mod saves;
mod source;
mod split;
mod targets;
mod waiting;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use std::{fs, io};

use url::Url;

use descriptors::Descriptors;
use expected_digests::ExpectedDigests;
use file::{Event, File};
use job::Job;
use ledger::Ledger;
use preconnect::Preconnects;
use saves::Saves;
use source::{Item, Source};
use split::Split;
use targets::{Misplaced, Placement, Targets};

use crate::download::{Body, Download, Hashing, Jitter, Patience, TaskId};
use crate::error::{Fault, MultiError};
use crate::http::cookie::Jar;
use crate::http::{Field, auth, encoding};
use crate::list::{Row, RowOptions, Split as Wanted};
use crate::multi::{Done, Easy, Multi, TransferId};
use crate::reactor::{Application, Drive, Reactor, Wake};
use crate::sys::{self, Stop};

pub use crate::download::{Exists, Retry, Template};
pub use plan::{Durability, ListSource, Output, Plan, Request, Resume};
pub use report::{
    ActiveFile, BadRow, BrokenOff, Completion, Landing, Report, Retrying, Snapshot, Starting,
    Totals, Verdict,
};

/// The smallest segment of a file, in bytes, if the number of segments is found by trying.
const LEAST: u64 = 8 << 20;

/// The smallest segment of a file, in bytes, if the number of segments was given.
const LEAST_TYPED: u64 = 1 << 20;

/// Carries out the run that `plan` describes, and reports it to `report`.
///
/// The run opens no more files and sockets than the process's soft limit allows. For many jobs the application raises
/// that limit before. It leaves the signals of the process alone; to stop it on a signal, call [`run_on`] with
/// [`Reactor::catching_signals`].
///
/// # Errors
/// The run cannot continue. The failure of a single file is no error: it goes to the report.
pub fn run(plan: Plan, report: &mut dyn Report) -> Result<Totals, BrokenOff> {
    run_on(&mut Reactor::default(), plan, report)
}

/// Carries out the run that `plan` describes with `driver` as its event loop.
///
/// # Errors
/// As [`run`].
pub fn run_on(
    driver: &mut impl Drive,
    mut plan: Plan,
    report: &mut dyn Report,
) -> Result<Totals, BrokenOff> {
    let followed = plan.follow_output();
    let stop = Stop::by(driver.stop_flag());
    if plan.is_dry_run {
        let mut session = Session::new(plan, report, stop);
        session.begin_output(followed);
        return Ok(session.foresee());
    }
    let limit = sys::open_files();
    let room = Descriptors::divide(limit, sys::foreign_files(limit), plan.jobs);
    let mut options = plan.options.clone();
    options.limits.transfers = room.jobs;
    options.limits.connections = room.connections;
    options.limits.idle = room.jobs;
    if let Some(cookies) = plan.cookies.clone() {
        options.cookies = Some(Jar::new(cookies, Instant::now(), SystemTime::now()));
    } else if !plan.has_no_cookies {
        let jar = Jar::new(Vec::new(), Instant::now(), SystemTime::now());
        options.redirect_cookies = Some(jar);
    }
    let mut session = Session::new(plan, report, stop);
    session.sleepers = room.sleepers;
    session.plan.jobs = room.jobs;
    session.plan.options.limits.connections = room.connections;
    session.targets.keep_folders(room.folders);
    session.ledger.open(&session.plan, &session.source.stop);
    session.begin_output(followed);
    let result = driver.drive(&mut session, options);
    // A signal may have arrived after the last wait.
    let signal = &mut session.ledger.totals.signal;
    *signal = signal.or(driver.signal());
    if result.is_err() {
        session.ledger.totals.unfinished = session.ledger.unended();
    }
    session.targets.finish_syncing();
    session.sync();
    session.list_rest();
    session.ledger.close(session.plan.durability);
    session.ledger.report.flush();
    let elapsed = session.ledger.elapsed(Instant::now());
    let totals = Totals {
        elapsed,
        ..session.ledger.totals
    };
    match result {
        Ok(()) => Ok(totals),
        Err(source) => Err(BrokenOff { totals, source }),
    }
}

/// A run.
struct Session<'r> {
    plan: Plan,
    source: Source,
    targets: Targets,
    ledger: Ledger<'r>,
    /// A signal has interrupted a write. The driver reports it next.
    awaits_signal: bool,
    /// The most rows that may sleep until a retry, besides those that wait for a slot.
    sleepers: usize,
    /// The expected digests of files, besides those of their rows.
    expected_digests: ExpectedDigests,
    /// Computes digests.
    hashing: Hashing,
    /// The files that wait for their digests.
    waiting: HashMap<TaskId, Easy<Job>>,
    saves: Saves,
    /// The divided files, by the numbers of their rows.
    splits: BTreeMap<u64, Split>,
    /// Connections that were opened for a file that may be divided.
    preconnects: Preconnects,
    /// The next time at which divided files are checked.
    tends_at: Option<Instant>,
    /// The transfers that have received a head since divided files were last checked.
    heads: Vec<TransferId>,
    jitter: Jitter,
    /// What is known of the origins that fail.
    patience: Patience,
}

/// A row whose target is known, before its first transfer is added.
struct Admitted {
    /// Its first URL, if there is a lock file.
    url: Option<Box<Url>>,
    /// A copy of the row for the list of failed rows, if there is one.
    kept: Option<Box<Row>>,
    own_headers: Vec<Field>,
    download: Box<Download>,
    /// Another row has the name that it asked for.
    is_renamed: bool,
    /// The file at its name, if it is kept when its digests are right.
    standing: Option<fs::File>,
}

impl<'r> Session<'r> {
    fn new(mut plan: Plan, report: &'r mut dyn Report, stop: Stop) -> Self {
        let expected_digests = ExpectedDigests::new(&mut plan);
        let source = Source::new(&mut plan, stop.clone());
        // The waker is set when the run starts. No file waits for a digest before.
        let hashing = plan
            .hashing_threads
            .map_or_else(Hashing::default, Hashing::on);
        let seed = plan.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Self {
            targets: Targets::new(&plan, hashing.clone(), stop),
            expected_digests,
            source,
            plan,
            ledger: Ledger::new(report),
            awaits_signal: false,
            sleepers: 0,
            hashing,
            waiting: HashMap::new(),
            saves: Saves::default(),
            splits: BTreeMap::new(),
            preconnects: Preconnects::default(),
            tends_at: None,
            heads: Vec::new(),
            jitter: Jitter::new(seed),
            patience: Patience::default(),
        }
    }

    /// Reports the target of each row, and fetches nothing.
    fn foresee(mut self) -> Totals {
        while !self.ledger.has_ended && !self.ledger.is_stopped {
            match self.next_item(Instant::now()) {
                Item::Row(Ok(row)) => match self.targets.foresee(&row) {
                    Ok(path) => self
                        .ledger
                        .report
                        .planned(&auth::masked(&row.url), path.as_deref()),
                    Err(why) => self.ledger.misplaced(&self.plan, row, why),
                },
                Item::Row(Err(unusable)) => self.ledger.bad_row(&self.plan, &unusable.why),
                Item::Passed(row) => self.targets.pass_over(&row, true),
                Item::Wait => self.source.wait(),
                Item::End => break,
            }
        }
        self.ledger.report.flush();
        self.ledger.totals
    }

    /// Ends the run if the links of the output file that was typed could not be followed.
    fn begin_output(&mut self, followed: io::Result<()>) {
        if let (Err(error), Output::File(path)) = (followed, &self.plan.output) {
            let name = self.plan.dir.join(path).display().to_string();
            self.ledger.refuse(&self.plan, BadRow::Output(name, error));
        }
    }

    /// Syncs the fetched files to the disk, if that is done once at the end.
    fn sync(&mut self) {
        if self.plan.durability == Durability::Batch
            && let Err(error) = self.targets.sync()
        {
            let name = self.plan.dir.display().to_string();
            self.ledger.report.bad_row(&BadRow::Unsynced(name, error));
        }
    }

    /// Whether a signal interrupted a write that waited for its reader. The driver reports the signal next.
    fn was_interrupted(&self, fault: &Fault) -> bool {
        matches!(fault, Fault::Disk { source, .. } if source.kind() == io::ErrorKind::Interrupted)
            && self.source.stop.is_requested()
    }

    /// Begins a row: finds its target, and adds its first transfer.
    fn begin(
        &mut self,
        multi: &mut Multi<Job>,
        mut row: Row,
        now: Instant,
    ) -> Result<(), MultiError> {
        match self.admit(&mut row) {
            Ok(Some(admitted)) => self.add_first(multi, row, admitted, now),
            Ok(None) => Ok(()),
            Err(Misplaced::Fault(fault)) if self.was_interrupted(&fault) => {
                self.awaits_signal = true;
                self.ledger.interrupted(&row);
                Ok(())
            }
            Err(why) => {
                self.ledger.misplaced(&self.plan, row, why);
                Ok(())
            }
        }
    }

    /// Returns the next item of the source. Rows of all shards are counted.
    fn next_item(&mut self, now: Instant) -> Item {
        let item = self.source.next(now);
        if matches!(item, Item::Row(_) | Item::Passed(_)) {
            self.targets.count_row();
        }
        item
    }

    /// Finds the target of a row. `None` if its file is kept, which ends the row.
    fn admit(&mut self, row: &mut Row) -> Result<Option<Admitted>, Misplaced> {
        self.targets.tell_typed(row);
        let bound = self.ledger.bind(&self.plan, row);
        let bound = bound.and_then(|()| self.expected_digests.add_to(row));
        if bound.is_err() && !self.plan.is_locked {
            // Workers of other shards give the row its name, because they do not check its digests.
            self.targets.pass_over(row, false);
        }
        bound?;
        // The next call may move one of its mirrors to the front.
        let url = self.ledger.has_lock().then(|| Box::new(row.url.clone()));
        let lists_failures = self.ledger.lists_failures();
        let mut kept = lists_failures.then(|| Box::new(row.clone()));
        match self.targets.assign(row)? {
            Placement::Begin {
                download,
                is_renamed,
                standing,
            } => {
                if let (Some(kept), Body::File(part)) = (&mut kept, &download.body)
                    && !download.is_named_by_server()
                {
                    failures::keep_name(kept, &part.path(), &self.plan.dir);
                }
                Ok(Some(Admitted {
                    own_headers: own_headers(row).map_err(Misplaced::Row)?,
                    url,
                    kept,
                    download,
                    is_renamed,
                    standing,
                }))
            }
            Placement::Kept(path) => {
                let name = path.file_name().unwrap_or_default();
                let landing = Landing::File(path.parent().unwrap_or(Path::new("")), name);
                self.ledger
                    .end_untried(&self.plan, row, landing, Verdict::Kept);
                Ok(None)
            }
        }
    }

    /// Adds the first transfer of a row, or first hashes the file that exists at its name.
    fn add_first(
        &mut self,
        multi: &mut Multi<Job>,
        row: Row,
        admitted: Admitted,
        now: Instant,
    ) -> Result<(), MultiError> {
        let number = self.ledger.count();
        let options = row.options.map_or_else(RowOptions::default, |all| *all);
        let split = options.split.unwrap_or(self.plan.split);
        let mut download = admitted.download;
        download.least = self.least_share(split);
        if let Some(range) = self.plan.range {
            download.take_part(range);
        }
        download.expect(options.digests, options.size, options.pieces);
        if self.ledger.has_lock() {
            download.record();
        }
        let mut own_headers = admitted.own_headers;
        let max_size = options.max_size.or(self.plan.request.max_size);
        if let Some(offer) = &self.plan.request.decoding {
            let own = encoding::take_offer(&mut own_headers);
            download.decode(own.unwrap_or_else(|| Arc::clone(offer)), max_size);
        }
        self.ledger.begin(number, admitted.kept);
        let job = Job {
            number,
            location: row.location,
            file: File::new(download, row.mirrors),
            url: admitted.url,
            is_renamed: admitted.is_renamed,
            max_size,
            conditions: 0,
            split,
        };
        let mut easy = self.easy(row.url, job);
        easy.own_headers = own_headers;
        self.ledger.warn(&easy.url, &mut easy.sink);
        self.advance(multi, easy, Event::Begun(admitted.standing), now)
    }

    /// Creates a transfer with the settings of the run.
    fn easy(&self, url: Url, job: Job) -> Easy<Job> {
        let request = &self.plan.request;
        let mut easy = Easy::new(url, job);
        easy.headers = request.headers.clone();
        easy.credentials = request.credentials.clone();
        easy.max_redirects = request.max_redirects;
        easy.connect_timeout = request.connect_timeout;
        easy.stall_timeout = request.stall_timeout;
        easy.timeout = request.timeout;
        easy.min_speed = request.min_speed;
        easy.max_recv_speed = request.max_recv_speed;
        easy.events.traces = self.plan.traces;
        easy.events.head = easy.sink.file.download.least.is_some();
        easy
    }

    /// The smallest segment of a file, in bytes; `None` if the file is not divided.
    fn least_share(&self, wanted: Wanted) -> Option<u64> {
        let is_limited = self.plan.request.max_recv_speed.is_some();
        let least = match wanted {
            _ if is_limited || self.plan.range.is_some() => return None,
            Wanted::Most(NonZeroU32::MIN) => return None,
            // Each segment would use up one request of `--rate`.
            Wanted::Auto if self.plan.options.start_interval.is_some() => return None,
            Wanted::Most(_) => LEAST_TYPED,
            Wanted::Auto => LEAST,
        };
        Some(self.plan.min_split.unwrap_or(least))
    }

    /// Saves the states of incomplete files, so that another run can resume them.
    fn save_states(&mut self, multi: &mut Multi<Job>, now: Instant) {
        let is_idle = multi.running() == multi.sleeping();
        let Some(save) = self.saves.check(now, is_idle, self.ledger.is_stopped) else {
            return;
        };
        for easy in self.waiting.values_mut() {
            save.apply(&mut easy.sink.file.download, &easy.url);
        }
        for split in self.splits.values_mut() {
            split.update_download_now(multi);
            save.apply(&mut split.easy.sink.file.download, &split.easy.url);
        }
        let ids: Vec<_> = multi.transfers().map(|(id, ..)| id).collect();
        for id in ids {
            if let Some((url, job)) = multi.sink_mut(id) {
                save.apply(&mut job.file.download, url);
                self.ledger.warn(url, job);
            }
        }
    }
}

impl Application<Job> for Session<'_> {
    fn set_wake(&mut self, wake: Wake) {
        self.hashing.set_wake(wake);
    }

    fn has_threads(&self) -> bool {
        self.hashing.has_threads()
    }

    fn prepare(&mut self) {
        self.source.begin();
    }

    fn start(&mut self, _: &mut Multi<Job>) {}

    fn refill(&mut self, multi: &mut Multi<Job>, now: Instant) -> Result<(), MultiError> {
        self.ledger.set_time(now);
        self.read_events(multi);
        if self.ledger.progress_due().is_some_and(|due| due <= now) {
            self.show_progress(multi, now);
        }
        self.source.is_awaited = false;
        // Twice as many rows as run at once are admitted, so that the next one is ready when a slot is free. With
        // `--fail-fast`, a row that is admitted early might be fetched after the failure that ends the run.
        let room = if self.plan.is_fail_fast {
            self.plan.jobs
        } else {
            2 * self.plan.jobs
        };
        self.ask_for_checksums(multi, now)?;
        while !self.ledger.has_ended
            && !self.ledger.is_stopped
            && !self.source.stop.is_requested()
            && !self.expected_digests.is_awaited()
            && self.files(multi).saturating_sub(multi.sleeping()) + self.waiting.len() < room
            && multi.sleeping() < self.sleepers
        {
            match self.next_item(now) {
                Item::Row(Ok(row)) => self.begin(multi, row, now)?,
                Item::Row(Err(unusable)) => self.ledger.unusable(&self.plan, &unusable),
                // A lock file gives the names, so those of other shards do not matter.
                Item::Passed(_) if self.plan.is_locked => {}
                Item::Passed(row) => self.targets.pass_over(&row, false),
                Item::Wait => {
                    self.source.is_awaited = !self.source.stop.is_requested();
                    break;
                }
                Item::End => self.ledger.has_ended = true,
            }
        }
        self.preconnect(multi)?;
        if self.ledger.is_stopped {
            self.ledger.totals.unfinished += (self.files(multi) + self.waiting.len()) as u64;
        }
        self.tend(multi, now)?;
        self.save_states(multi, now);
        self.ledger.report.flush();
        self.assert_waits_end();
        Ok(())
    }

    fn is_over(&self, multi: &Multi<Job>) -> bool {
        let is_idle = multi.running() == 0 && self.waiting.is_empty() && self.splits.is_empty();
        self.ledger.is_stopped || self.ledger.has_ended && is_idle && !self.awaits_signal
    }

    fn completed(
        &mut self,
        multi: &mut Multi<Job>,
        done: Done,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.ledger.set_time(now);
        self.read_events(multi);
        let mut easy = multi.remove(done.id, now)?;
        if easy.is_connect_only {
            self.preconnects.lose(done.id);
            return Ok(());
        }
        if let Ok(outcome) = &done.result {
            self.patience.succeeded(&easy.url);
            if let Some(url) = &outcome.final_url {
                self.patience.succeeded(url);
            }
        }
        self.drop_preconnects(multi, now)?;
        if easy.sink.at().is_some() {
            return self.segment_ended(multi, &easy, done, now);
        }
        let began = &mut easy.sink.file.record.began;
        *began = began.or(done.dispatched);
        self.ledger.warn(&easy.url, &mut easy.sink);
        let is_stream = matches!(easy.sink.file.download.body, Body::Stream(_));
        self.awaits_signal |=
            is_stream && matches!(&done.result, Err(error) if self.was_interrupted(error.fault()));
        if done.result.is_err() && (self.ledger.is_stopped || self.awaits_signal) {
            easy.sink.file.download.leave(&easy.url);
            self.ledger.totals.unfinished += 1;
            return Ok(());
        }
        self.advance(multi, easy, Event::Ended(done.result), now)
    }

    fn woken(&mut self, multi: &mut Multi<Job>, now: Instant) -> Result<(), MultiError> {
        self.ledger.set_time(now);
        self.hashed(multi, now)
    }

    fn input(&self) -> Option<RawFd> {
        if self.source.is_awaited {
            self.source.descriptor()
        } else {
            None
        }
    }

    fn read_input(&mut self) {
        self.source.read();
    }

    fn due(&self) -> Option<Instant> {
        if self.hashing.is_behind() {
            // At once: without threads, the loop hashes what was written.
            return Some(self.ledger.started());
        }
        let settles = if self.source.is_awaited {
            self.source.due()
        } else {
            None
        };
        let times = [
            settles,
            self.ledger.progress_due(),
            self.saves.due(),
            self.tends_at,
        ];
        times.into_iter().flatten().min()
    }

    fn tick(&mut self, _: &Multi<Job>, now: Instant) {
        self.ledger.set_time(now);
        self.source.settle(now);
        self.hashing.work();
    }

    fn signalled(&mut self, signal: i32) {
        self.ledger.totals.signal = Some(signal);
        self.ledger.is_stopped = true;
    }
}

/// The header fields that a row sets.
fn own_headers(row: &Row) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
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
