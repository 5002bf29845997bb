//! The command-line program. The library does not use this module.
//!
//! Input: `flags` defines the flags, `values` and `outputs` parse their values, `config` reads defaults, `credentials`
//! reads files with credentials, and `options` turns all of them into the plan of a run.
//!
//! Output: `report` prints the run to each `stream`: `line` for people, with the `advice` about an error; `record`,
//! `document` and `events` for programs. `progress` draws the progress view, `format` formats figures and escapes text,
//! `exit` defines the exit codes.

mod advice;
mod config;
mod credentials;
mod document;
mod events;
mod exit;
mod flags;
mod format;
mod line;
mod options;
mod outputs;
mod progress;
mod record;
mod report;
mod stream;
mod values;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue};
use gannet::internals::sys::{self, Stop};
use gannet::reactor::{Drive, Reactor};
use gannet::session;

use exit::Exit;
use flags::Flags;
use report::Console;

/// Runs a command line, program name first, and returns the exit code. Does not return if a signal stopped the run.
pub(crate) fn main(command_line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match config::complete(command_line.into_iter().collect()) {
        Ok(line) => line,
        Err(error) => return complain(&error, Exit::Usage).into(),
    };
    let flags = match Flags::read(line) {
        Ok(flags) => flags,
        Err(error) => return print_usage(&without_secret(error)).into(),
    };
    match run(flags) {
        Ok(exit) => match exit.signal() {
            // All output is written. A shell loop stops only if the process dies by the signal.
            Some(signal) => sys::end_by(signal),
            None => exit.into(),
        },
        Err((error, exit)) => complain(&error, exit).into(),
    }
}

fn complain(error: &anyhow::Error, exit: Exit) -> Exit {
    // If standard error cannot be written, the exit code still reports the error.
    let text = without_code(format!("{error:#}"));
    let _ = writeln!(std::io::stderr(), "gannet: {text}");
    exit
}

/// A message without the number of the system's error at its end.
fn without_code(text: String) -> String {
    match text.rsplit_once(" (os error ") {
        Some((before, code)) if code.ends_with(')') => before.to_owned(),
        _ => text,
    }
}

/// Masks the value in an error about a header or a URL with userinfo, because it may be a secret.
fn without_secret(mut error: clap::Error) -> clap::Error {
    let is_header = context(&error, ContextKind::InvalidArg).starts_with("--header");
    if is_header || context(&error, ContextKind::InvalidValue).contains('@') {
        let mask = ContextValue::String("***".to_owned());
        error.insert(ContextKind::InvalidValue, mask);
    }
    error
}

/// The text of one kind of context; empty if the error has none.
fn context(error: &clap::Error, kind: ContextKind) -> &str {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text,
        _ => "",
    }
}

/// Prints a usage error, or the requested help. A write error of the help is a failure, except a closed pipe.
fn print_usage(message: &clap::Error) -> Exit {
    match message.print() {
        _ if message.use_stderr() => Exit::Usage,
        Err(error) if error.kind() != ErrorKind::BrokenPipe => report::disk_exit(error.kind()),
        _ => Exit::Success,
    }
}

fn run(flags: Flags) -> Result<Exit, (anyhow::Error, Exit)> {
    // Its signal handlers stay installed until all output is written.
    let mut reactor = Reactor::catching_signals();
    let stop = Stop::by(reactor.stop_flag());
    let mut console = Console::new(&flags, &stop).map_err(|error| (error, Exit::LocalFile))?;
    let cookies = flags.http.jar.cookies.as_deref().map(credentials::cookies);
    let cookies = cookies.transpose().map_err(|error| (error, Exit::Usage))?;
    let netrc = flags.http.netrc.clone().map(credentials::netrc);
    let netrc = netrc.transpose().map_err(|error| (error, Exit::Usage))?;
    let mut plan = options::plan(flags).map_err(|error| (error, Exit::Usage))?;
    if let Some((netrc, warnings)) = netrc {
        console.warn(&warnings);
        plan.options.netrc = netrc.map(Arc::new);
    }
    if let Some((cookies, warnings)) = cookies {
        console.warn(&warnings);
        plan.cookies = Some(cookies);
    }
    if !plan.is_dry_run {
        let certificates = credentials::certificates(&plan.options.tls);
        plan.options.tls.certificates = certificates.map_err(|error| (error, Exit::Usage))?;
        sys::raise_open_files();
    }
    match session::run_on(&mut reactor, plan, &mut console) {
        Ok(totals) => {
            let exit = console.finish(&totals, None);
            Ok(reactor.signal().map_or(exit, Exit::of_signal))
        }
        Err(broken) => {
            let exit = console.finish(&broken.totals, Some(Exit::Other));
            Err((broken.into(), exit))
        }
    }
}
