//! The source of rows: the URLs of the command line, then the lists in order. A list is read only as far as needed.

use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use url::Url;

use super::plan::Plan;
use super::report::BadRow;
use crate::http::auth;
use crate::list::{self, Format, ListError, ListReader, Location, Next, References, Row, Shard};
use crate::sys::Stop;

/// The most reads from pipes after a run has stopped, because a writer may never end.
const MOST_LATE_READS: usize = 256;

/// The next item of a source.
pub(super) enum Item {
    /// A row of this run, or an input that gives none.
    Row(Result<Row, Unusable>),
    /// A row of another shard.
    Passed(Row),
    /// The list has no complete row yet.
    Wait,
    /// All lists have ended.
    End,
}

/// An input that gives no row: a bad line, a bad URL, or a list that cannot be read.
pub(super) struct Unusable {
    pub(super) why: BadRow,
    /// Lines in the `urls` format that reproduce the error when the list of failures is fetched.
    pub(super) lines: Box<str>,
    /// The list that cannot be read further, so that its remaining rows are unknown.
    pub(super) list: Option<PathBuf>,
}

impl Unusable {
    fn line(mut error: ListError) -> Self {
        let text = error.text.take();
        let lines = text.unwrap_or_else(|| list::bad_row(&error.to_string()));
        Self {
            why: BadRow::Line(error),
            lines,
            list: None,
        }
    }

    fn typed(text: &str, why: String) -> Self {
        Self {
            lines: list::as_written(text.as_bytes()).unwrap_or_else(|| list::bad_row(&why)),
            why: BadRow::Typed(why),
            list: None,
        }
    }

    fn list(path: PathBuf, error: io::Error) -> Self {
        let why = BadRow::List(shown(&path), error);
        Self {
            lines: list::bad_row(&why.to_string()),
            why,
            list: Some(path),
        }
    }
}

/// The source of all rows of a run.
pub(super) struct Source {
    urls: std::iter::Enumerate<std::vec::IntoIter<String>>,
    lists: std::vec::IntoIter<PathBuf>,
    format: Format,
    references: References,
    shard: Option<Shard>,
    /// The list under way, and its path.
    input: Option<(ListReader, PathBuf)>,
    /// The error of a list that could not be opened or read to its end; it becomes the next item.
    broken: Option<Unusable>,
    /// The reads from pipes since the run stopped.
    late_reads: usize,
    /// The request to stop the run.
    pub(super) stop: Stop,
    /// The run waits for the next row of a pipe.
    pub(super) is_awaited: bool,
}

impl Source {
    /// Takes the URLs and lists out of a plan.
    pub(super) fn new(plan: &mut Plan, stop: Stop) -> Self {
        Self {
            urls: std::mem::take(&mut plan.urls).into_iter().enumerate(),
            lists: std::mem::take(&mut plan.lists).into_iter(),
            format: plan.format,
            references: References {
                base: plan.base.clone(),
                are_paths_typed: plan.options.are_paths_typed,
            },
            shard: plan.shard,
            input: None,
            broken: None,
            late_reads: 0,
            stop,
            is_awaited: false,
        }
    }

    /// Opens the first list and reads its beginning. This runs before signals are caught, so that a signal can end a
    /// process that is blocked by a file system that does not respond.
    pub(super) fn begin(&mut self) {
        self.open_next();
        if let Some(Err(error)) = self.input.as_mut().map(|(input, _)| input.begin()) {
            self.break_off(error);
        }
    }

    /// The next row, of this shard or another.
    pub(super) fn next(&mut self, now: Instant) -> Item {
        match (self.next_of_all(now), self.shard) {
            (Item::Row(Ok(row)), Some(shard)) if !shard.has(&row.url) => Item::Passed(row),
            (item, _) => item,
        }
    }

    fn next_of_all(&mut self, now: Instant) -> Item {
        if let Some((index, text)) = self.urls.next() {
            let location = Location::typed(index as u64 + 1);
            let typed = self.references.without_base();
            let row = typed.parse(&text).and_then(|url| {
                let shown = auth::masked(&url);
                Row::new(url, location).map_err(|fault| format!("{fault}: {shown}"))
            });
            return Item::Row(row.map_err(|why| Unusable::typed(&text, why)));
        }
        loop {
            if let Some(broken) = self.broken.take() {
                return Item::Row(Err(broken));
            }
            let Some((input, _)) = &mut self.input else {
                if !self.open_next() {
                    return Item::End;
                }
                continue;
            };
            match input.next(now) {
                Ok(Next::Row(row)) => return Item::Row(row.map_err(Unusable::line)),
                Ok(Next::Wait) => return Item::Wait,
                Ok(Next::End) => self.input = None,
                Err(error) => self.break_off(error),
            }
        }
    }

    /// Opens the next list; false if there is none. An error becomes the next item.
    fn open_next(&mut self) -> bool {
        let Some(path) = self.lists.next() else {
            return false;
        };
        match ListReader::open(&path, self.format, self.references.clone(), &self.stop) {
            Ok(input) => self.input = Some((input, path)),
            Err(error) => self.broken = Some(Unusable::list(path, error)),
        }
        true
    }

    /// Reads once when the run is over and [`Source::next`] has to wait; a read from a pipe waits up to `patience`.
    /// Returns the name of the list if it is abandoned before its end, so that its remaining rows are unknown.
    pub(super) fn read_late(&mut self, patience: Duration) -> Option<String> {
        let (input, _) = self.input.as_mut()?;
        let may_read = self.late_reads < MOST_LATE_READS || input.is_file();
        match may_read.then(|| input.read_within(patience)) {
            Some(Ok(true)) => self.late_reads += 1,
            Some(Err(error)) => self.break_off(error),
            Some(Ok(false)) | None if input.is_holding() => input.settle_now(),
            Some(Ok(false)) | None => {
                let name = input.name().to_owned();
                self.input = None;
                return Some(name);
            }
        }
        None
    }

    /// The pipe to watch while [`Source::next`] has to wait.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.input.as_ref().map(|(input, _)| input.descriptor())
    }

    /// Reads once from the pipe of [`Source::descriptor`].
    pub(super) fn read(&mut self) {
        if let Some(Err(error)) = self.input.as_mut().map(|(input, _)| input.read()) {
            self.break_off(error);
        }
    }

    /// Waits for more of that pipe without the reactor.
    pub(super) fn wait(&mut self) {
        if let Some(Err(error)) = self.input.as_mut().map(|(input, _)| input.wait()) {
            self.break_off(error);
        }
    }

    /// When a row that is held back becomes complete without further input.
    pub(super) fn due(&self) -> Option<Instant> {
        self.input.as_ref().and_then(|(input, _)| input.settles())
    }

    /// Completes the row that is held back, if its time has come.
    pub(super) fn settle(&mut self, now: Instant) {
        if let Some((input, _)) = &mut self.input {
            input.settle(now);
        }
    }

    fn break_off(&mut self, error: io::Error) {
        let list = self.input.take();
        self.broken = list.map(|(_, path)| Unusable::list(path, error));
    }
}

/// The name of a list in a message. A URL in its place, typed by mistake, is masked.
fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    let name = path.display().to_string();
    match Url::parse(&name) {
        Ok(url) if url.has_host() => auth::masked(&url),
        _ => name,
    }
}
