//! What a run tells as it goes: each completion, each bad line, progress, and the totals.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::error::Error;
use crate::list::{ListError, Location};
use crate::multi::{Outcome, Trace};

/// Whom a run reports to. None of its methods may wait long. What a report has no use for it need not
/// define: the default is to do nothing.
pub trait Report {
    /// A file is done with.
    fn completed(&mut self, completion: &Completion<'_>);

    /// A line of a list, or a URL that was typed, cannot be used.
    fn bad_row(&mut self, error: &BadRow);

    /// What is told next happened so long after the run began.
    fn set_time(&mut self, elapsed: Duration) {
        let _ = elapsed;
    }

    /// A try of a file has started. Told only where the plan has traces.
    fn started(&mut self, start: &Starting<'_>) {
        let _ = start;
    }

    /// A try failed and there will be another.
    fn retrying(&mut self, retry: &Retrying<'_>) {
        let _ = retry;
    }

    /// A file is started over, for this reason.
    fn warned(&mut self, url: &Url, why: &str) {
        let _ = (url, why);
    }

    /// Something beside the bytes of a file is not as it was asked for, or was found in its way.
    fn cautioned(&mut self, url: &Url, what: &str) {
        let _ = (url, what);
    }

    /// A mirror is not asked any more for its file, which others have: this is what is wrong with it.
    fn dropped(&mut self, url: &Url, why: &Error) {
        let _ = (url, why);
    }

    /// In a dry run: what would be fetched, and where to.
    fn planned(&mut self, url: &str, path: Option<&Path>) {
        let _ = (url, path);
    }

    /// What transfer `number` does.
    fn traced(&mut self, number: u64, trace: &Trace) {
        let _ = (number, trace);
    }

    /// When [`Report::progress`] is due next, as time since the run began; `None` is never.
    fn due(&self) -> Option<Duration> {
        None
    }

    /// How the run stands, asked for when it is due.
    fn progress(&mut self, snapshot: Snapshot<'_, '_>) {
        let _ = snapshot;
    }

    /// What was said so far is to reach whoever reads it: the run is about to wait.
    fn flush(&mut self) {}
}

/// How a file was done with.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// It was fetched.
    Done(&'a Outcome),
    /// It was there and was kept.
    Kept,
    /// It failed.
    Failed(&'a Error),
}

/// A file that is done with.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completion<'a> {
    /// Its number in the batch, from 1.
    pub number: u64,
    /// Its URL; [`masked`](crate::http::auth::masked) where it is shown.
    pub url: &'a Url,
    /// The row that it came from.
    pub place: &'a Location,
    /// Where it stands, or would.
    pub landing: Landing<'a>,
    /// Another row had its name.
    pub is_renamed: bool,
    /// Bytes received.
    pub bytes: u64,
    /// Bytes of the file, where it was decoded from those.
    pub decoded: Option<u64>,
    /// Time that the last try took.
    pub elapsed: Duration,
    /// How often it was tried.
    pub tries: u32,
    /// How it was done with.
    pub verdict: Verdict<'a>,
}

/// Where a file stands, or would.
#[derive(Debug, Clone, Copy)]
pub enum Landing<'a> {
    /// In a folder, under a name.
    File(&'a Path, &'a OsStr),
    /// On standard output.
    Stdout,
    /// Nowhere: it has no name yet.
    Nowhere,
}

/// A try of a file that has started.
#[derive(Debug)]
#[non_exhaustive]
pub struct Starting<'a> {
    /// The file's number in the batch, from 1.
    pub number: u64,
    /// What is asked for; [`masked`](crate::http::auth::masked) where it is shown.
    pub url: &'a Url,
    /// The row that it came from.
    pub place: &'a Location,
    /// Where it is to stand.
    pub landing: Landing<'a>,
    /// Which try it is, from 1.
    pub tries: u32,
}

/// A try that failed, and when the next one comes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Retrying<'a> {
    /// The file's number in the batch.
    pub number: u64,
    /// Its URL; [`masked`](crate::http::auth::masked) where it is shown.
    pub url: &'a Url,
    /// Why the try failed.
    pub error: &'a Error,
    /// Time until the next.
    pub delay: Duration,
    /// Which try failed, from 1.
    pub tries: u32,
}

/// Something to fetch that cannot even be tried.
#[derive(Debug)]
pub enum BadRow {
    /// A line of a list.
    Line(ListError),
    /// A URL that was typed, as it may be shown, and what is wrong with it.
    Typed(String),
    /// A list that cannot be read: its name, and why.
    List(String, std::io::Error),
    /// A file that the run was to write beside what it fetches: its name, and why it cannot.
    Output(String, std::io::Error),
}

/// What is wrong, in words. It may have characters of a list or a name that drive a terminal.
impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => error.fmt(f),
            Self::Typed(message) => f.write_str(message),
            Self::List(name, error) => write!(f, "cannot read {name}: {error}"),
            Self::Output(name, error) => write!(f, "cannot write {name}: {error}"),
        }
    }
}

/// How a run stands.
pub struct Snapshot<'i, 'n> {
    /// Files fetched or kept.
    pub files_done: u64,
    /// Files failed.
    pub files_failed: u64,
    /// Files known so far.
    pub files_known: u64,
    /// No more will become known.
    pub list_ended: bool,
    /// Bytes received, those of files under way included.
    pub bytes: u64,
    /// Bytes of all files, where each is known.
    pub bytes_expected: Option<u64>,
    /// Time since the run began.
    pub elapsed: Duration,
    /// The files under way.
    pub active: &'i mut dyn Iterator<Item = ActiveFile<'n>>,
}

/// A file under way.
#[derive(Debug, Clone, Copy)]
pub struct ActiveFile<'a> {
    /// Its number in the batch.
    pub number: u64,
    /// Its name.
    pub name: &'a str,
    /// Bytes received.
    pub received: u64,
    /// Bytes in all, where known.
    pub expected: Option<u64>,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Files fetched.
    pub done: u64,
    /// Files kept.
    pub kept: u64,
    /// Files and lines failed.
    pub failed: u64,
    /// Files begun or known and not ended, because the run was stopped.
    pub unfinished: u64,
    /// Lists that come through a pipe and had not ended by then, by name: their other rows are not known.
    pub unread: Vec<String>,
    /// Bytes received into files that are done.
    pub bytes: u64,
    /// Time that the run took.
    pub elapsed: Duration,
    /// The signal that stopped the run, by number.
    pub signal: Option<i32>,
    /// A bad line ended the run, as asked for.
    pub is_broken_off: bool,
}

/// A run that could not begin, or not go on.
#[derive(Debug, thiserror::Error)]
#[error("the run cannot go on")]
#[non_exhaustive]
pub struct BrokenOff {
    /// What came of it until then.
    pub totals: Totals,
    /// What went wrong.
    pub source: std::io::Error,
}

/// For a caller that has no use for the totals.
impl From<BrokenOff> for std::io::Error {
    fn from(broken: BrokenOff) -> Self {
        broken.source
    }
}
