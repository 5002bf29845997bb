//! The document of --report: every file and the totals, as one JSON object that appears by a rename
//! when the run has ended.
//!
//! Entries are written as files complete, so a long run costs no memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use gannet::session::Totals;
use serde::Serialize;

use super::exit::Exit;
use super::record::VERSION;

/// A report on its way to its file.
pub(super) struct Document {
    path: PathBuf,
    /// Where it stands until then; a device or a pipe is written to as it is.
    unfinished: Option<PathBuf>,
    out: BufWriter<File>,
    has_files: bool,
    /// The first error: nothing is written after it.
    failed: Option<io::Error>,
}

/// What came of the run.
#[derive(Serialize)]
struct Sums {
    done: u64,
    kept: u64,
    failed: u64,
    unfinished: u64,
    bytes: u64,
    seconds: f64,
    /// What the process ends with.
    exit: u8,
}

impl Document {
    /// Begins a document that will be named `path`.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let is_special = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let unfinished = (!is_special).then(|| {
            let mut name = path.as_os_str().to_owned();
            name.push(".part");
            PathBuf::from(name)
        });
        let file = File::create(unfinished.as_deref().unwrap_or(path))?;
        let mut out = BufWriter::new(file);
        write!(out, "{{\"version\":{VERSION},\"files\":[")?;
        Ok(Self {
            path: path.to_owned(),
            unfinished,
            out,
            has_files: false,
            failed: None,
        })
    }

    /// Adds a file, as its record says.
    pub(super) fn add(&mut self, record: &str) {
        let comma = if self.has_files { "," } else { "" };
        self.has_files = true;
        if self.failed.is_none() {
            self.failed = write!(self.out, "{comma}\n{record}").err();
        }
    }

    /// Adds the totals, and gives the document its name.
    pub(super) fn finish(mut self, totals: &Totals, exit: Exit) -> io::Result<()> {
        let sums = Sums {
            done: totals.done,
            kept: totals.kept,
            failed: totals.failed,
            unfinished: totals.unfinished,
            bytes: totals.bytes,
            seconds: totals.elapsed.as_secs_f64(),
            exit: exit.code(),
        };
        let result = match self.failed.take() {
            Some(error) => Err(error),
            None => self.complete(&sums),
        };
        if let (Err(_), Some(unfinished)) = (&result, &self.unfinished) {
            // It is not whole; there is nothing to be said should it resist.
            let _ = std::fs::remove_file(unfinished);
        }
        result
    }

    fn complete(&mut self, sums: &Sums) -> io::Result<()> {
        let sums = serde_json::to_string(sums)?;
        writeln!(self.out, "\n],\"totals\":{sums}}}")?;
        self.out.flush()?;
        match &self.unfinished {
            Some(unfinished) => std::fs::rename(unfinished, &self.path),
            None => Ok(()),
        }
    }
}
