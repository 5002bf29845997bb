//! The list of failed rows (`--failed`): every row that is neither done nor kept when the run ends, in a form that
//! another run can read.
//!
//! A row is written unless its file is known to be complete. Rows that have begun are held until they end, and rows
//! that the run never began are read when it is over.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Session;
use super::source::{Item, Unusable};
use crate::download::name;
use crate::list::{self, Row};
use crate::sys::{Access, OutputFile, Patience, Stop};

/// How long a pipe may stay silent at the end of a run before its remaining rows are left unread.
const PIPE_PATIENCE: Duration = Duration::from_secs(1);

/// The list, before it takes its name.
#[derive(Debug)]
pub(super) struct Failures {
    path: PathBuf,
    file: BufWriter<OutputFile>,
    /// Rows that have begun and not ended, by their numbers.
    under_way: BTreeMap<u64, Box<Row>>,
    /// The list would replace a list that was not read to its end.
    is_barred: bool,
}

impl Failures {
    /// Creates the list for `path`. A file at that path stays until the list is complete, because the run may be
    /// reading it. The rows include their credentials, so that they can be fetched again; only the owner may read them.
    pub(super) fn create(path: &Path, stop: &Stop) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(OutputFile::create(
                path,
                Access::Owner,
                Patience::None,
                stop,
            )?),
            under_way: BTreeMap::new(),
            is_barred: false,
        })
    }

    /// Remembers a row that has begun.
    pub(super) fn begin(&mut self, number: u64, row: Box<Row>) {
        self.under_way.insert(number, row);
    }

    /// Forgets a row that has ended, and returns it.
    pub(super) fn end(&mut self, number: u64) -> Option<Box<Row>> {
        self.under_way.remove(&number)
    }

    /// Forgets all rows that have begun, and returns them in their order.
    pub(super) fn take_begun(&mut self) -> impl Iterator<Item = Box<Row>> + use<> {
        std::mem::take(&mut self.under_way).into_values()
    }

    /// Writes a row.
    pub(super) fn add(&mut self, row: &Row) -> io::Result<()> {
        write!(self.file, "{row}")
    }

    /// Writes an invalid line.
    fn add_invalid(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.file, "{line}")
    }

    /// Writes an entry of a list that is no row.
    pub(super) fn add_unusable(&mut self, unusable: &Unusable) -> io::Result<()> {
        self.is_barred |= unusable
            .list
            .as_deref()
            .is_some_and(|list| self.replaces(list));
        writeln!(self.file, "{}", unusable.lines)
    }

    /// Whether this list will replace that one.
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

    /// Completes the list, which takes its name.
    ///
    /// # Errors
    /// The path, and why the list that stands there is not replaced.
    pub(super) fn finish(self, syncs: bool) -> Result<(), (PathBuf, io::Error)> {
        let Self { path, file, .. } = self;
        if self.is_barred {
            let why = "it could not be read to its end, and stays as it was";
            return Err((path, io::Error::new(ErrorKind::InvalidData, why)));
        }
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.commit(syncs))
            .map_err(|error| (path, error))
    }

    /// Gives the list up without writing what is buffered: a stream would get it after a gap. Returns the path.
    pub(super) fn abandon(self) -> PathBuf {
        let _ = self.file.into_parts();
        self.path
    }
}

impl Session<'_> {
    /// Writes the rows that have not ended, or not begun, to the list of failed rows.
    pub(super) fn list_rest(&mut self) {
        self.ledger.list_unended();
        let patience = match self.ledger.totals.signal {
            Some(_) => Duration::ZERO,
            None => PIPE_PATIENCE,
        };
        while self.ledger.lists_failures() {
            match self.next_item(Instant::now()) {
                Item::Row(Ok(row)) => self.list_unbegun(row),
                Item::Passed(_) if self.plan.is_locked => {}
                Item::Passed(row) => self.targets.pass_over(&row, true),
                Item::Row(Err(unusable)) => {
                    self.ledger
                        .write_failure(|failures| failures.add_unusable(&unusable));
                }
                Item::Wait => {
                    if let Some(name) = self.source.read_late(patience) {
                        let line = list::bad_row(&format!("{name} was not read to its end"));
                        self.ledger
                            .write_failure(|failures| failures.add_invalid(&line));
                        self.ledger.totals.unread.push(name);
                    }
                }
                Item::End => break,
            }
        }
    }

    fn list_unbegun(&mut self, mut row: Row) {
        self.ledger.totals.unfinished += 1;
        self.targets.tell_typed(&mut row);
        // Whatever is wrong with its digests or its name, the next run reports.
        let _ = self.expected_digests.add_to(&mut row);
        if let Ok(Some(path)) = self.targets.foresee(&row)
            && !self.plan.is_named_by_server()
        {
            keep_name(&mut row, &path, &self.plan.dir);
        }
        self.ledger.list_failure(&row);
    }
}

/// Gives a row without a name the name that it has in this run, unless that is the name of its URL. In the next run the
/// rows that forced another name on it may be missing, and it would take one of their files for its own.
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
