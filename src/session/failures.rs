//! The list of `--failed`: every row that is neither done nor kept when the run ends, to be read again.
//!
//! A row is in the list unless something shows that its file stands: rows under way are held here until
//! their end is known, and those that the run never came to are read when it is over.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Session;
use super::plan::Durability;
use super::report::BadRow;
use super::source::{Item, Unusable};
use crate::download::name;
use crate::list::{self, Row};
use crate::sys::{Access, OutputFile, Patience};

/// How long a pipe may say nothing before its other rows are left unread, when a run ends early.
const PIPE_PATIENCE: Duration = Duration::from_secs(1);

/// Such a list, on its way to its name.
#[derive(Debug)]
pub(super) struct Failures {
    path: PathBuf,
    file: BufWriter<OutputFile>,
    /// Rows that have begun and not ended, by number.
    under_way: BTreeMap<u64, Box<Row>>,
    /// It would replace a list whose other rows are not known.
    is_barred: bool,
}

impl Failures {
    /// Begins a list that will stand at `path`. One that stands there stays until this one is
    /// whole: it may be the one that is read. Rows have their credentials with them, else they could not
    /// be fetched again.
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(OutputFile::create(path, Access::Owner, Patience::None)?),
            under_way: BTreeMap::new(),
            is_barred: false,
        })
    }

    /// Takes in something that is no row.
    fn add_unusable(&mut self, unusable: &Unusable) -> io::Result<()> {
        self.is_barred |= unusable
            .list
            .as_deref()
            .is_some_and(|list| self.replaces(list));
        writeln!(self.file, "{}", unusable.lines)
    }

    /// Whether this list is to stand in the place of that one.
    fn replaces(&self, list: &Path) -> bool {
        let same = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let list = match list.to_str() {
            Some("-") => Path::new("/dev/stdin"),
            _ => list,
        };
        match (self.file.get_ref().replaced(), fs::metadata(list)) {
            (Some(own), Ok(read)) => same(own) == same(read),
            _ => self.path == list,
        }
    }

    fn finish(self, syncs: bool) -> io::Result<()> {
        if self.is_barred {
            let why = "it could not be read to its end, and stays as it was";
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.commit(syncs)
    }
}

impl Session<'_> {
    /// Begins the list of failures, where one is wanted; the run ends if that cannot be.
    pub(super) fn begin_failures(&mut self) {
        let Some(path) = &self.plan.failed else {
            return;
        };
        match Failures::create(path) {
            Ok(failures) => self.failures = Some(failures),
            Err(error) => {
                let name = path.display().to_string();
                self.bad_row(BadRow::Output(name, error));
                self.has_ended = true;
            }
        }
    }

    /// A copy of a row, to be written unless it is done.
    pub(super) fn kept(&self, row: &Row) -> Option<Box<Row>> {
        self.failures.as_ref().map(|_| Box::new(row.clone()))
    }

    /// A row has begun: it is written unless [`Session::note_end`] says otherwise.
    pub(super) fn note_begin(&mut self, number: u64, row: Option<Box<Row>>) {
        if let (Some(failures), Some(row)) = (&mut self.failures, row) {
            failures.under_way.insert(number, row);
        }
    }

    /// A row that has begun is done or kept, or it has failed.
    pub(super) fn note_end(&mut self, number: u64, has_failed: bool) {
        let failures = self.failures.as_mut();
        let row = failures.and_then(|failures| failures.under_way.remove(&number));
        if let Some(row) = row.filter(|_| has_failed) {
            self.note_failure(&row);
        }
    }

    /// A row has failed.
    pub(super) fn note_failure(&mut self, row: &Row) {
        self.write_failure(|failures| write!(failures.file, "{row}"));
    }

    /// What stands in place of a row is told, and written so that it fails again.
    pub(super) fn unusable(&mut self, unusable: Unusable) {
        self.write_failure(|failures| failures.add_unusable(&unusable));
        self.bad_row(unusable.why);
    }

    /// The run has ended: what is not done by now is written too, and the list takes its name.
    pub(super) fn finish_failures(&mut self) {
        let failures = self.failures.as_mut();
        let under_way = failures.map(|failures| std::mem::take(&mut failures.under_way));
        for row in under_way.unwrap_or_default().into_values() {
            self.note_failure(&row);
        }
        self.note_rest();
        if let Some(failures) = self.failures.take() {
            let name = failures.path.display().to_string();
            if let Err(error) = failures.finish(self.plan.durability != Durability::System) {
                self.report.bad_row(&BadRow::Output(name, error));
            }
        }
    }

    /// Writes the rows that the run did not come to.
    fn note_rest(&mut self) {
        let patience = match self.totals.signal {
            Some(_) => Duration::ZERO,
            None => PIPE_PATIENCE,
        };
        while self.failures.is_some() {
            match self.next_item(Instant::now()) {
                Item::Row(Ok(row)) => self.note_unbegun(row),
                Item::Passed(_) if self.plan.is_locked => {}
                Item::Passed(row) => self.places.pass_over(&row, true),
                Item::Row(Err(unusable)) => {
                    self.write_failure(|failures| failures.add_unusable(&unusable));
                }
                Item::Wait => {
                    if let Some(name) = self.source.read_late(patience) {
                        let lines = list::bad_row(&format!("{name} was not read to its end"));
                        self.write_failure(|failures| writeln!(failures.file, "{lines}"));
                        self.totals.unread.push(name);
                    }
                }
                Item::End => break,
            }
        }
    }

    fn note_unbegun(&mut self, mut row: Row) {
        self.totals.unfinished += 1;
        self.places.tell_typed(&mut row);
        // What keeps it from being checked or placed, the next run will meet again.
        let _ = self.expected_digests.add_to(&mut row);
        if let Ok(Some(path)) = self.places.foresee(&row)
            && (!self.plan.takes_names || self.plan.is_locked)
        {
            keep_name(&mut row, &path, &self.plan.dir);
        }
        self.note_failure(&row);
    }

    /// Writes to the list, where there is one; if that fails, it is given up, and the one that it would replace stays.
    fn write_failure(&mut self, write: impl FnOnce(&mut Failures) -> io::Result<()>) {
        if let Some(failures) = &mut self.failures
            && let Err(error) = write(failures)
            && let Some(failures) = self.failures.take()
        {
            let name = failures.path.display().to_string();
            // Its buffer must not be written now: a stream would get it after a gap.
            let _ = failures.file.into_parts();
            self.report.bad_row(&BadRow::Output(name, error));
        }
    }
}

/// Has a row that names no file name the one it has in this run, unless its URL does: in another run the rows
/// that gave it another name are not beside it, and their files would be taken for its own.
pub(super) fn keep_name(row: &mut Row, path: &Path, root: &Path) {
    let options = row.options.as_ref();
    let dir = options.and_then(|options| options.dir.as_deref());
    let dir = dir.map_or(Ok(PathBuf::new()), name::beneath);
    let (None, Ok(dir), Ok(path)) = (&row.out, dir, path.strip_prefix(root)) else {
        return;
    };
    if path != dir.join(name::from_url(&row.url)) {
        let out = path.strip_prefix(&dir).ok().and_then(Path::to_str);
        row.out = out.map(str::to_owned);
    }
}
