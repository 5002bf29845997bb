//! The rows that failed or were not finished, written as a list that can be read again.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Session;
use super::job::Job;
use super::report::BadRow;
use crate::list::Row;
use crate::multi::Multi;

/// Such a list, on its way to its name.
#[derive(Debug)]
pub(super) struct Failures {
    path: PathBuf,
    /// Where it is written until it is whole; nothing for what is no plain file.
    part: Option<PathBuf>,
    file: BufWriter<File>,
}

impl Failures {
    /// Begins a list that is to stand at `path`. One that stands there stays until this one is
    /// whole: it may be the one that is read.
    fn create(path: &Path) -> io::Result<Self> {
        let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let part = (!is_special).then(|| {
            let mut part = path.as_os_str().to_owned();
            part.push(".part");
            PathBuf::from(part)
        });
        let file = match &part {
            Some(part) => owned(part)?,
            None => File::options().write(true).open(path)?,
        };
        Ok(Self {
            path: path.to_owned(),
            part,
            file: BufWriter::new(file),
        })
    }

    fn add(&mut self, row: &Row) -> io::Result<()> {
        write!(self.file, "{row}")
    }

    fn finish(&mut self) -> io::Result<()> {
        self.file.flush()?;
        match &self.part {
            Some(part) => fs::rename(part, &self.path),
            None => Ok(()),
        }
    }
}

/// Makes or empties a file that nobody else may read: rows have their credentials with them, else
/// they could not be fetched again.
fn owned(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
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

    /// A copy of a row, to be written should it fail.
    pub(super) fn kept(&self, row: &Row) -> Option<Box<Row>> {
        self.failures.as_ref().map(|_| Box::new(row.clone()))
    }

    /// A row has failed, or will not be finished.
    pub(super) fn note_failure(&mut self, row: Option<&Row>) {
        if let (Some(failures), Some(row)) = (&mut self.failures, row)
            && let Err(error) = failures.add(row)
        {
            self.lose_failures(error);
        }
    }

    /// The run stops: whatever is under way will not be finished.
    pub(super) fn note_unfinished(&mut self, multi: &Multi<Job>) {
        if self.failures.is_none() {
            return;
        }
        let under_way = multi.transfers().map(|(_, easy, _)| &easy.sink);
        let waiting = self.waiting.values().map(super::verify::Waiting::job);
        let split = self.splits.values().map(|split| &split.easy.sink);
        let mut rows: Vec<_> = under_way
            .chain(waiting)
            .chain(split)
            .filter_map(|job| Some((job.number, job.row.clone()?)))
            .collect();
        rows.sort_by_key(|(number, _)| *number);
        for (_, row) in rows {
            self.note_failure(Some(&row));
        }
    }

    /// The list of failures is whole.
    pub(super) fn finish_failures(&mut self) {
        if let Some(Err(error)) = self.failures.as_mut().map(Failures::finish) {
            self.lose_failures(error);
        }
    }

    fn lose_failures(&mut self, error: io::Error) {
        if let Some(failures) = self.failures.take() {
            if let Some(part) = &failures.part {
                let _ = fs::remove_file(part);
            }
            let name = failures.path.display().to_string();
            self.report.bad_row(&BadRow::Output(name, error));
        }
    }
}
