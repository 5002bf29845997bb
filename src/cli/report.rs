//! [`Console`]: prints completion lines on standard output; errors, warnings and the summary on standard error.
//!
//! Lines are buffered. They are written before the run waits, or with the next redraw if progress bars are shown.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use gannet::error::{Doing, Error};
use gannet::http::masked;
use gannet::internals::error::Class;
use gannet::internals::sys::{self, Stop};
use gannet::multi::Trace;
use gannet::session::{
    BadRow, Completion, Durability, Report, Retrying, Snapshot, Starting, Totals, Verdict,
};
use url::Url;

use super::advice::of_bad_row;
use super::document::ReportFile;
use super::events::{Events, Redirect};
use super::exit::Exit;
use super::flags::{ColorChoice, Flags};
use super::format::{Safe, Size, Span, Speed};
use super::line::{StatusColumn, done_line, fail_line, kept_line};
use super::progress::{Mode, ProgressView, Screen};
use super::record::Record;
use super::stream::OutputStream;
use super::values::is_stdout;

/// The most bytes that are buffered while progress bars are shown.
const BUFFERED: usize = 64 * 1024;

/// Prints the events of a run.
pub(crate) struct Console {
    progress: ProgressView,
    out: OutputStream,
    err: OutputStream,
    quiet: u8,
    verbose: u8,
    /// Standard output is used by a file or a report, so completion lines go to standard error.
    is_stdout_taken: bool,
    has_summary: bool,
    /// Completion lines are JSON objects.
    is_json: bool,
    report_file: Option<ReportFile>,
    events: Option<Events>,
    /// The file of `--events`; `None` if events go to standard output.
    event_file: Option<OutputStream>,
    exit: Exit,
}

impl Console {
    /// Creates the outputs that the flags name.
    ///
    /// # Errors
    /// The file of `--report` or `--events` cannot be created.
    pub(crate) fn new(flags: &Flags, stop: &Stop) -> Result<Self> {
        let reporting = &flags.reporting;
        let mode = if reporting.quiet > 0 {
            Mode::None
        } else {
            Mode::for_stderr(reporting.progress)
        };
        let is_many = flags.input.urls.len() > 1 || !flags.input.input_file.is_empty();
        let by_default = !reporting.no_summary
            && reporting.quiet == 0
            && (is_many || io::stderr().is_terminal());
        let syncs = flags.output.fsync != Durability::System;
        let report_file = reporting
            .report
            .as_deref()
            .map(|path| ReportFile::create(path, syncs, stop).with_context(|| cannot_write(path)));
        let event_file = reporting.events.as_deref().filter(|path| !is_stdout(path));
        let event_file = event_file
            .map(|path| OutputStream::create(path, stop).with_context(|| cannot_write(path)));
        let mut outputs = vec![&reporting.report, &reporting.events, &reporting.failed];
        // A dry run writes no body to standard output.
        if !reporting.dry_run {
            outputs.push(&flags.output.output);
        }
        let is_stdout_taken = outputs.into_iter().flatten().any(|path| is_stdout(path));
        let colour = reporting.color;
        Ok(Self {
            progress: ProgressView::new(mode, Screen::stderr()),
            out: OutputStream::new(
                sys::stdout,
                has_colour(colour, io::stdout().is_terminal()),
                stop,
            ),
            err: OutputStream::new(
                sys::stderr,
                has_colour(colour, io::stderr().is_terminal()),
                stop,
            ),
            quiet: reporting.quiet,
            verbose: reporting.verbose,
            is_stdout_taken,
            has_summary: (reporting.summary || by_default) && !reporting.dry_run,
            is_json: reporting.json,
            report_file: report_file.transpose()?,
            events: reporting.events.as_ref().map(|_| Events::new()),
            event_file: event_file.transpose()?,
            exit: Exit::Success,
        })
    }

    /// Prints warnings.
    pub(crate) fn warn(&mut self, warnings: &[String]) {
        if self.quiet > 1 {
            return;
        }
        for why in warnings {
            let text = self.err.word("warn", "33");
            let _ = writeln!(text, "  -  {}", Safe(why));
        }
    }

    /// Writes the summary and the report, and returns the exit code. `broken` is the exit code of a run that broke off.
    pub(crate) fn finish(mut self, totals: &Totals, broken: Option<Exit>) -> Exit {
        self.progress.finish();
        if self.has_summary && self.quiet < 2 {
            self.summarise(totals);
        }
        self.write();
        self.exit = self.exit.worst(self.lost_lines()).worst(self.lost_events());
        if totals.is_broken_off {
            self.exit = Exit::Usage;
        }
        self.exit = broken.unwrap_or(self.exit);
        let exit = match totals.signal {
            Some(signal) => Exit::of_signal(signal),
            None => self.exit,
        };
        let report_file = self.report_file.take();
        match report_file.map(|file| file.finish(totals, exit)) {
            Some(Err(error)) => {
                let _ = writeln!(self.err.pending, "gannet: cannot write the report: {error}");
                self.write();
                exit.worst(disk_exit(error.kind()))
            }
            Some(Ok(())) | None => exit,
        }
    }

    /// The exit code of a write error of standard output. A closed pipe is not a failure.
    fn lost_lines(&mut self) -> Exit {
        let failed = self.out.failed.take();
        self.lost(failed, "to standard output")
    }

    /// The exit code of a write error of the events.
    fn lost_events(&mut self) -> Exit {
        let failed = self.event_file.as_mut();
        let failed = failed.and_then(|file| file.failed.take());
        self.lost(failed, "the events")
    }

    fn lost(&mut self, failed: Option<io::Error>, what: &str) -> Exit {
        let Some(error) = failed else {
            return Exit::Success;
        };
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted => return Exit::Success,
            _ if self.quiet < 2 => {
                let _ = writeln!(self.err.pending, "gannet: cannot write {what}: {error}");
                self.write();
            }
            _ => {}
        }
        disk_exit(error.kind())
    }

    /// `12 files, 1 kept, 2 failed, 3 unfinished, 34.5 MiB in 1.2 s, 28.1 MiB/s`, and the lists that were not read to
    /// their end.
    fn summarise(&mut self, totals: &Totals) {
        let elapsed = totals.elapsed;
        let files = totals.done + totals.kept;
        let text = &mut self.err.pending;
        let plural = if files == 1 { "" } else { "s" };
        let mut line = format!("{files} file{plural}");
        for (count, what) in [
            (totals.kept, "kept"),
            (totals.failed, "failed"),
            (totals.unfinished, "unfinished"),
        ] {
            if count > 0 {
                let _ = write!(line, ", {count} {what}");
            }
        }
        let _ = writeln!(
            text,
            "{line}, {} in {}, {}",
            Size(totals.bytes),
            Span(elapsed),
            Speed(totals.bytes, elapsed)
        );
        for name in &totals.unread {
            let _ = writeln!(text, "{} was not read to its end", Safe(name));
        }
    }

    /// Writes the pending text of all outputs, above the progress view.
    fn write(&mut self) {
        let Self {
            out, err, progress, ..
        } = self;
        if let Some(file) = &mut self.event_file {
            file.write();
        }
        if out.pending.is_empty() && err.pending.is_empty() {
            return;
        }
        progress.suspend(|| {
            out.write();
            err.write();
        });
    }

    /// Writes a record to `--json`, `--report` and `--events`. Does nothing if none of them is used.
    fn record<'a>(&mut self, record: impl FnOnce() -> Record<'a>) {
        let is_line = self.is_json && self.quiet == 0;
        if !is_line && self.report_file.is_none() && self.events.is_none() {
            return;
        }
        let record = record();
        self.emit(|events, text| events.completed(&record, text));
        if !is_line && self.report_file.is_none() {
            return;
        }
        let line = record.line();
        if let Some(file) = &mut self.report_file {
            file.add(&line);
        }
        if is_line {
            let text = &mut self.lines().pending;
            text.push_str(&line);
            text.push('\n');
        }
    }

    /// Writes an event, if `--events` is used.
    fn emit(&mut self, event: impl FnOnce(&mut Events, &mut String)) {
        let Some(events) = &mut self.events else {
            return;
        };
        let stream = self.event_file.as_mut().unwrap_or(&mut self.out);
        event(events, &mut stream.pending);
    }

    /// The stream of completion lines.
    fn lines(&mut self) -> &mut OutputStream {
        if self.is_stdout_taken {
            &mut self.err
        } else {
            &mut self.out
        }
    }
}

impl Report for Console {
    fn completed(&mut self, completion: &Completion<'_>) {
        let exit = match completion.verdict {
            Verdict::Failed(error) => exit_for(error),
            Verdict::Done(_) | Verdict::Kept => Exit::Success,
        };
        self.exit = self.exit.worst(exit);
        self.record(|| Record::of(completion, exit));
        match completion.verdict {
            Verdict::Failed(error) => {
                if self.quiet < 2 {
                    fail_line(self.err.word("fail", "31"), completion, error);
                }
            }
            _ if self.quiet > 0 || self.is_json => {}
            Verdict::Kept => kept_line(self.lines().word("kept", "36"), completion),
            Verdict::Done(outcome) => {
                done_line(self.lines().word("done", "32"), completion, outcome);
            }
        }
    }

    fn bad_row(&mut self, bad: &BadRow) {
        let exit = match bad {
            BadRow::Output(_, error) | BadRow::Unsynced(_, error) => disk_exit(error.kind()),
            BadRow::List(..) => Exit::LocalFile,
            BadRow::Line(_) | BadRow::Typed(_) => Exit::Usage,
        };
        self.exit = self.exit.worst(exit);
        self.record(|| Record::of_bad_row(bad, exit));
        if self.quiet > 1 {
            return;
        }
        let text = self.err.word("fail", "31");
        let _ = match of_bad_row(bad) {
            Some(advice) => writeln!(text, "  -  {}: {advice}", Safe(bad)),
            None => writeln!(text, "  -  {}", Safe(bad)),
        };
    }

    fn set_time(&mut self, elapsed: Duration) {
        if let Some(events) = &mut self.events {
            events.set_time(elapsed);
        }
    }

    fn started(&mut self, start: &Starting<'_>) {
        self.emit(|events, text| events.started(start, text));
    }

    fn retrying(&mut self, retry: &Retrying<'_>) {
        // A list of digests that the run fetches for itself has the number 0 and no events.
        if retry.number > 0 {
            self.emit(|events, text| events.retrying(retry, exit_for(retry.error), text));
        }
        if self.quiet > 0 {
            return;
        }
        let text = self.err.word("retry", "33");
        let status = StatusColumn(retry.error.status());
        let (url, error, delay) = (
            Safe(masked(retry.url)),
            Safe(retry.error),
            Span(retry.delay),
        );
        let _ = writeln!(
            text,
            " {status}  {url}: {error} (try {}), again in {delay}",
            retry.tries
        );
    }

    fn warned(&mut self, url: &Url, why: &str) {
        if self.quiet < 2 {
            let text = self.err.word("again", "33");
            let url = Safe(masked(url));
            let _ = writeln!(text, " -  {url}: starting over: {}", Safe(why));
        }
    }

    fn cautioned(&mut self, url: &Url, what: &str) {
        if self.quiet < 2 {
            let text = self.err.word("warn", "33");
            let _ = writeln!(text, "  -  {}: {}", Safe(masked(url)), Safe(what));
        }
    }

    fn dropped(&mut self, url: &Url, why: &Error) {
        if self.quiet < 2 {
            let text = self.err.word("drop", "33");
            let status = StatusColumn(why.status());
            let (url, why) = (Safe(masked(url)), Safe(why));
            let _ = writeln!(
                text,
                "  {status}  {url}: {why}; continuing with its mirrors"
            );
        }
    }

    fn planned(&mut self, url: &str, path: Option<&Path>) {
        let text = &mut self.lines().pending;
        let _ = match path {
            Some(path) => writeln!(text, "{} -> {}", Safe(url), Safe(path.display())),
            None => writeln!(text, "{} -> standard output", Safe(url)),
        };
    }

    fn traced(&mut self, number: u64, trace: &Trace) {
        if let Trace::Redirected { status, from, to } = trace
            && number > 0
        {
            let redirect = Redirect { from, to };
            self.emit(|events, text| events.redirected(number, *status, redirect, text));
        }
        if self.verbose == 0 {
            return;
        }
        let text = &mut self.err.pending;
        let _ = match trace {
            Trace::Info(step) => writeln!(text, "* [{number}] {}", Safe(step)),
            Trace::Redirected { to, .. } => {
                writeln!(text, "* [{number}] redirected to {}", Safe(to))
            }
            Trace::Sent(line) if self.verbose > 1 => writeln!(text, "> [{number}] {}", Safe(line)),
            Trace::Received(line) if self.verbose > 1 => {
                writeln!(text, "< [{number}] {}", Safe(line))
            }
            _ => Ok(()),
        };
    }

    fn due(&self) -> Option<Duration> {
        let events = self.events.as_ref().map(Events::next);
        [self.progress.next(), events].into_iter().flatten().min()
    }

    fn progress(&mut self, snapshot: Snapshot<'_, '_>) {
        let next = self.events.as_ref().map(Events::next);
        if next.is_none_or(|next| snapshot.elapsed < next) {
            self.write();
            return self.progress.update(snapshot);
        }
        let files: Vec<_> = snapshot.active.collect();
        self.emit(|events, text| events.progress(&files, text));
        self.write();
        self.progress.update(Snapshot {
            active: &mut files.into_iter(),
            ..snapshot
        });
    }

    fn flush(&mut self) {
        if let Some(file) = &mut self.event_file {
            file.write();
        }
        if !self.progress.is_drawn() || self.out.pending.len() + self.err.pending.len() > BUFFERED {
            self.write();
        }
    }
}

/// Whether output is coloured.
fn has_colour(choice: ColorChoice, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            is_terminal
                && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// The exit code of a failed file.
fn exit_for(error: &Error) -> Exit {
    match Class::of(error) {
        Class::Request => Exit::Usage,
        Class::Trust => Exit::Tls,
        Class::Tls if error.doing() == Doing::Handshaking => Exit::Tls,
        Class::Tls | Class::Network => Exit::Network,
        Class::Login => Exit::Authentication,
        Class::Status => Exit::Status,
        Class::Timeout => Exit::TimedOut,
        Class::Range => Exit::Changed,
        Class::Exists => Exit::Exists,
        Class::Integrity => Exit::Integrity,
        Class::Disk(kind) => disk_exit(kind),
        Class::Protocol => Exit::Protocol,
        Class::TooLarge | Class::Aborted => Exit::Other,
    }
}

/// The exit code of an output that cannot be written.
pub(super) fn disk_exit(kind: io::ErrorKind) -> Exit {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Exit::NoSpace,
        _ => Exit::LocalFile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_quota_that_is_used_up_is_a_lack_of_space() {
        for (errno, exit) in [
            (Errno::NOSPC, Exit::NoSpace),
            (Errno::DQUOT, Exit::NoSpace),
            (Errno::FBIG, Exit::LocalFile),
            (Errno::IO, Exit::LocalFile),
        ] {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(disk_exit(error.kind()), exit, "{errno}");
        }
    }
}
