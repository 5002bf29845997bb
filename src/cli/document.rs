//! The document of --report: every file and the totals, as one JSON object that appears by a rename
//! when the run has ended.
//!
//! Entries are written as files complete, so a long run costs no memory.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use gannet::internals::sys::{Access, OutputFile, Patience};
use gannet::session::Totals;
use serde::Serialize;

use super::exit::Exit;
use super::record::VERSION;

/// A report on its way to its file.
pub(super) struct Document {
    out: BufWriter<OutputFile>,
    /// It reaches the disk before it takes its name.
    syncs: bool,
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
    /// Begins a document that will be named `path`, and synced to the disk where `syncs`.
    pub(super) fn create(path: &Path, syncs: bool) -> io::Result<Self> {
        let output = OutputFile::create(path, Access::Usual, Patience::None)?;
        let mut out = BufWriter::new(output);
        write!(out, "{{\"version\":{VERSION},\"files\":[")?;
        Ok(Self {
            out,
            syncs,
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
        let failed = self.failed.take();
        let has_reader = self.out.get_ref().is_stream();
        match failed.map_or_else(|| self.complete(&sums), Err) {
            // What reads a stream has had enough.
            Err(error) if has_reader && error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    fn complete(mut self, sums: &Sums) -> io::Result<()> {
        let sums = serde_json::to_string(sums)?;
        writeln!(self.out, "\n],\"totals\":{sums}}}")?;
        let output = self.out.into_inner();
        let output = output.map_err(io::IntoInnerError::into_error)?;
        output.commit(self.syncs)
    }
}
