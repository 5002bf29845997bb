//! The command line: the binary's own, which the library cannot see.
//!
//! `flags` is what can be typed (`values` reads its words), `config` what can be said of them
//! beforehand, `options` turns that into what is wanted (`credentials` reads files for it), `report`
//! prints how it goes on each `stream` (`line` for people, `record`, `document` and `events` for
//! programs), `progress` draws how it stands, `format` writes figures, `exit` is what the shell is
//! told.

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

use clap::error::{ContextKind, ContextValue};
use gannet::internals::sys;
use gannet::reactor::{Drive, Reactor};
use gannet::session;

use exit::Exit;
use flags::Flags;
use report::Console;

/// Runs a command line, program name first, and says what the shell is to be told.
pub(crate) fn main(command_line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match config::complete(command_line.into_iter().collect()) {
        Ok(line) => line,
        Err(error) => return complain(&error, Exit::Usage).into(),
    };
    let flags = match Flags::read(line) {
        Ok(flags) => flags,
        Err(error) => return tell(&without_secret(error)).into(),
    };
    match run(flags) {
        Ok(exit) => match exit.signal() {
            // All is written. A shell that runs a loop stops it only if the program died by the signal.
            Some(signal) => sys::end_by(signal),
            None => exit.into(),
        },
        Err((error, exit)) => complain(&error, exit).into(),
    }
}

fn complain(error: &anyhow::Error, exit: Exit) -> Exit {
    // Without anybody to tell there is still the exit code.
    let _ = writeln!(std::io::stderr(), "gannet: {error:#}");
    exit
}

/// What is wrong with a header field or a URL is told without what may be a secret of it.
fn without_secret(mut error: clap::Error) -> clap::Error {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let is_header = named(ContextKind::InvalidArg).starts_with("--header");
    if is_header || named(ContextKind::InvalidValue).contains('@') {
        let mask = ContextValue::String("***".to_owned());
        error.insert(ContextKind::InvalidValue, mask);
    }
    error
}

/// Prints what the parser has to say: a usage error, or the help that was asked for. Help that
/// cannot be written is an error, unless its reader has had enough.
fn tell(said: &clap::Error) -> Exit {
    match said.print() {
        _ if said.use_stderr() => Exit::Usage,
        Err(error) if error.kind() != ErrorKind::BrokenPipe => report::disk_exit(error.kind()),
        _ => Exit::Success,
    }
}

fn run(flags: Flags) -> Result<Exit, (anyhow::Error, Exit)> {
    let mut console = Console::new(&flags).map_err(|error| (error, Exit::LocalFile))?;
    let cookies = flags.http.cookies.as_deref().map(credentials::cookies);
    let cookies = cookies.transpose().map_err(|error| (error, Exit::Usage))?;
    let mut plan = options::plan(flags).map_err(|error| (error, Exit::Usage))?;
    if let Some((cookies, warnings)) = cookies {
        console.warn(&warnings);
        plan.cookies = Some(cookies);
    }
    // Catches signals until all is told.
    let mut reactor = Reactor::default();
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
