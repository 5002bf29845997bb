//! The events of a run: each completion, each bad line, the progress and the totals.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::error::{Error, reason};
use crate::list::{ListError, Location};
use crate::multi::{Outcome, Trace};

/// The receiver of a run's events. No method may block for long: the transfers wait meanwhile. By default, the
/// optional methods do nothing.
pub trait Report {
    /// A file was fetched, was kept or has failed.
    fn completed(&mut self, completion: &Completion<'_>);

    /// A line of a list or a URL of the command line is invalid, or a list or an output file cannot be used.
    fn bad_row(&mut self, error: &BadRow);

    /// The events that follow happened at this time since the start of the run.
    fn set_time(&mut self, elapsed: Duration) {
        let _ = elapsed;
    }

    /// A try of a file has started. Called only if the plan has traces.
    fn started(&mut self, start: &Starting<'_>) {
        let _ = start;
    }

    /// A try failed, and another will follow.
    fn retrying(&mut self, retry: &Retrying<'_>) {
        let _ = retry;
    }

    /// A file is fetched again from its first byte, for the reason `why`.
    fn warned(&mut self, url: &Url, why: &str) {
        let _ = (url, why);
    }

    /// A warning about a file that does not affect its bytes.
    fn cautioned(&mut self, url: &Url, what: &str) {
        let _ = (url, what);
    }

    /// A server was dropped after the error `why`; other servers provide the file.
    fn dropped(&mut self, url: &Url, why: &Error) {
        let _ = (url, why);
    }

    /// In a dry run: a URL that would be fetched, and the path of its file; `None` is standard output.
    fn planned(&mut self, url: &str, path: Option<&Path>) {
        let _ = (url, path);
    }

    /// A trace of a transfer for the file `number`.
    fn traced(&mut self, number: u64, trace: &Trace) {
        let _ = (number, trace);
    }

    /// When [`Report::progress`] is due next, as time since the start of the run; `None` is never.
    fn due(&self) -> Option<Duration> {
        None
    }

    /// The present state of the run. Called when [`Report::due`] asks for it.
    fn progress(&mut self, snapshot: Snapshot<'_, '_>) {
        let _ = snapshot;
    }

    /// Write buffered output now, because the run is about to wait.
    fn flush(&mut self) {}
}

/// How a file ended.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// The file was fetched.
    Done(&'a Outcome),
    /// The existing file was kept.
    Kept,
    /// The file failed.
    Failed(&'a Error),
}

/// The end of a file: fetched, kept or failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completion<'a> {
    /// Its number in the run, from 1.
    pub number: u64,
    /// Its URL, which must be [`masked`](crate::http::auth::masked) before it is shown.
    pub url: &'a Url,
    /// The location of its row.
    pub location: &'a Location,
    /// Its target, whether a file exists there or not.
    pub landing: Landing<'a>,
    /// The file has another name than it asked for, because that one was taken.
    pub is_renamed: bool,
    /// Bytes received.
    pub bytes: u64,
    /// The size of the file in bytes, if its body was decoded.
    pub decoded: Option<u64>,
    /// The time of the last try.
    pub elapsed: Duration,
    /// The number of tries.
    pub tries: u32,
    /// How the file ended.
    pub verdict: Verdict<'a>,
}

/// The target of a file.
#[derive(Debug, Clone, Copy)]
pub enum Landing<'a> {
    /// A folder, and a name in it.
    File(&'a Path, &'a OsStr),
    /// Standard output.
    Stdout,
    /// No target: the row failed before it got one, or the body is no file.
    Nowhere,
}

/// A try of a file that has started.
#[derive(Debug)]
#[non_exhaustive]
pub struct Starting<'a> {
    /// The file's number in the run, from 1.
    pub number: u64,
    /// The URL of the request, which must be [`masked`](crate::http::auth::masked) before it is shown.
    pub url: &'a Url,
    /// The location of the file's row.
    pub location: &'a Location,
    /// The target of the file.
    pub landing: Landing<'a>,
    /// Which try it is, from 1.
    pub tries: u32,
}

/// A try that failed, and the delay before the next one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Retrying<'a> {
    /// The file's number in the run, from 1.
    pub number: u64,
    /// The URL of the failed try, which must be [`masked`](crate::http::auth::masked) before it is shown.
    pub url: &'a Url,
    /// Why the try failed.
    pub error: &'a Error,
    /// The delay before the next try.
    pub delay: Duration,
    /// Which try failed, from 1.
    pub tries: u32,
}

/// An input or an output of the run that cannot be used.
#[derive(Debug)]
pub enum BadRow {
    /// A line of a list.
    Line(ListError),
    /// A URL of the command line: a message with the masked URL and the reason.
    Typed(String),
    /// A list that cannot be read: its name and the error.
    List(String, std::io::Error),
    /// A file or folder that the run cannot write: its name and the error.
    Output(String, std::io::Error),
    /// The folder with the fetched files, which cannot be synced to the disk ([`Durability::Batch`]), and the error.
    ///
    /// [`Durability::Batch`]: super::Durability::Batch
    Unsynced(String, std::io::Error),
}

/// The message for a user. It may contain control characters from a list or a name: escape them for a terminal.
impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => error.fmt(f),
            Self::Typed(message) => f.write_str(message),
            Self::List(name, error) => write!(f, "cannot read {name}: {}", reason(error)),
            Self::Output(name, error) => write!(f, "cannot write {name}: {}", reason(error)),
            Self::Unsynced(name, error) => {
                let why = reason(error);
                write!(f, "cannot sync the files in {name} to the disk: {why}")
            }
        }
    }
}

/// The progress of a run.
pub struct Snapshot<'i, 'n> {
    /// Files fetched or kept.
    pub files_done: u64,
    /// Files failed.
    pub files_failed: u64,
    /// Rows read so far.
    pub files_known: u64,
    /// All rows have been read.
    pub list_ended: bool,
    /// Bytes received, those of files under way included.
    pub bytes: u64,
    /// The expected value of `bytes` at the end, if the sizes of all files are known.
    pub bytes_expected: Option<u64>,
    /// Time since the start of the run.
    pub elapsed: Duration,
    /// The files under way.
    pub active: &'i mut dyn Iterator<Item = ActiveFile<'n>>,
}

/// A file under way.
#[derive(Debug, Clone, Copy)]
pub struct ActiveFile<'a> {
    /// Its number in the run, from 1; 0 is the run's list of digests.
    pub number: u64,
    /// Its name.
    pub name: &'a str,
    /// Bytes received, those of earlier runs included.
    pub received: u64,
    /// The size in bytes, if it is known.
    pub expected: Option<u64>,
}

/// The results of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Files fetched.
    pub done: u64,
    /// Files kept.
    pub kept: u64,
    /// Files and lines failed.
    pub failed: u64,
    /// Files that were known but neither fetched, kept nor failed, because the run was stopped.
    pub unfinished: u64,
    /// The names of lists from pipes that had not ended when the run stopped: their remaining rows are unknown.
    pub unread: Vec<String>,
    /// Bytes received of files that are done.
    pub bytes: u64,
    /// The duration of the run.
    pub elapsed: Duration,
    /// The number of the signal that stopped the run.
    pub signal: Option<i32>,
    /// A bad line ended the run, because [`Plan::is_strict`](super::Plan::is_strict) was set.
    pub is_broken_off: bool,
}

/// A run that could not start or continue.
#[derive(Debug, thiserror::Error)]
#[error("the run cannot go on")]
#[non_exhaustive]
pub struct BrokenOff {
    /// The results up to the error.
    pub totals: Totals,
    /// The error of the engine or the event loop.
    pub source: std::io::Error,
}

/// Drops the totals.
impl From<BrokenOff> for std::io::Error {
    fn from(broken: BrokenOff) -> Self {
        broken.source
    }
}
