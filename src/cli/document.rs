//! [`ReportFile`]: the file of `--report`, one JSON object with all files and the totals. It is renamed to its name at
//! the end of the run.
//!
//! Records are written as files complete, so memory does not grow with the length of the run.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use gannet::internals::sys::{Access, OutputFile, Patience, Stop};
use gannet::session::Totals;
use serde::Serialize;

use super::exit::Exit;
use super::record::VERSION;

/// A report that is being written.
pub(super) struct ReportFile {
    out: BufWriter<OutputFile>,
    /// Whether it is synced to the disk before the rename.
    syncs: bool,
    has_files: bool,
    /// The first error. After it nothing is written.
    failed: Option<io::Error>,
}

/// The totals of the run.
#[derive(Serialize)]
struct TotalsRecord {
    done: u64,
    kept: u64,
    failed: u64,
    unfinished: u64,
    bytes: u64,
    seconds: f64,
    /// The exit code of the process.
    exit: u8,
}

impl ReportFile {
    /// Begins a report that will be renamed to `path`, after a sync to the disk if `syncs`.
    pub(super) fn create(path: &Path, syncs: bool, stop: &Stop) -> io::Result<Self> {
        let output = OutputFile::create(path, Access::Usual, Patience::None, stop)?;
        let mut out = BufWriter::new(output);
        write!(out, "{{\"version\":{VERSION},\"files\":[")?;
        Ok(Self {
            out,
            syncs,
            has_files: false,
            failed: None,
        })
    }

    /// Adds the record of a file.
    pub(super) fn add(&mut self, record: &str) {
        let comma = if self.has_files { "," } else { "" };
        self.has_files = true;
        if self.failed.is_none() {
            self.failed = write!(self.out, "{comma}\n{record}").err();
        }
    }

    /// Writes the totals and renames the report to its name.
    pub(super) fn finish(mut self, totals: &Totals, exit: Exit) -> io::Result<()> {
        let totals = TotalsRecord {
            done: totals.done,
            kept: totals.kept,
            failed: totals.failed,
            unfinished: totals.unfinished,
            bytes: totals.bytes,
            seconds: totals.elapsed.as_secs_f64(),
            exit: exit.code(),
        };
        let failed = self.failed.take();
        let has_reader = self.out.get_ref().is_stream();
        match failed.map_or_else(|| self.complete(&totals), Err) {
            // The reader of a pipe has closed it.
            Err(error) if has_reader && error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    fn complete(mut self, totals: &TotalsRecord) -> io::Result<()> {
        let totals = serde_json::to_string(totals)?;
        writeln!(self.out, "\n],\"totals\":{totals}}}")?;
        let output = self.out.into_inner();
        let output = output.map_err(io::IntoInnerError::into_error)?;
        output.commit(self.syncs)
    }
}
