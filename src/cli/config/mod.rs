//! Configuration: inserts the settings of `gannet.toml` and of `GANNET_…` variables into the command line.
//!
//! Settings have the long names of flags, so they become arguments in front of the typed ones, and the parser of
//! `flags` checks them. Typed flags override variables, and variables override the file: a flag that is given in a
//! higher layer, or its opposite, replaces all its values in lower layers.

mod file;
mod setting;
mod variables;

use std::error::Error as _;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Command, CommandFactory};

use super::flags::Flags;
use super::values::leads_to_stdout;
use setting::Setting;

/// Pairs of flags that clap accepts together, although one turns the other off. A flag in a higher layer removes its
/// opposite from lower layers.
const OPPOSITES: [(&str, &str); 5] = [
    ("summary", "no_summary"),
    ("quiet", "verbose"),
    ("quiet", "json"),
    ("quiet", "progress"),
    ("quiet", "summary"),
];

/// A flag that a higher layer has set.
struct Given {
    id: String,
    /// It was turned off.
    is_off: bool,
}

/// Inserts the configuration into a command line, program name first.
///
/// # Errors
/// The file cannot be read, or a setting is invalid. The message quotes no value that may be a secret.
pub(super) fn complete(typed: Vec<OsString>) -> Result<Vec<OsString>> {
    let words = typed.iter().take_while(|word| *word != "--");
    if words.clone().any(|word| word == "--no-config") {
        return Ok(typed);
    }
    let variables = variables::given();
    let file = file::open();
    if variables.is_empty() && file.is_none() {
        return Ok(typed);
    }
    let mut command = Flags::command().ignore_errors(true);
    let Ok(matches) = command.try_get_matches_from_mut(&typed) else {
        // Help works whatever the configuration is.
        return Ok(typed);
    };
    let typed_ids = matches
        .ids()
        .map(|id| id.as_str())
        .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
    let given = typed_ids.map(|id| Given {
        id: id.to_owned(),
        is_off: false,
    });
    let mut given: Vec<Given> = given.collect();
    let mut outputs = ["events", "report", "failed"]
        .into_iter()
        .filter_map(|id| matches.get_one::<PathBuf>(id));
    if outputs.any(|path| leads_to_stdout(path)) {
        // Standard output is used already, so a configured `json` is turned off.
        given.push(Given {
            id: "json".to_owned(),
            is_off: true,
        });
    }
    let mut command = command.ignore_errors(false);
    let variables = variables::settings(&command, variables)?;
    let file = match file {
        Some(file) => file::settings(&command, file)?,
        None => Vec::new(),
    };
    combine(&mut command, typed, given, [variables, file])
}

/// Inserts layers of settings, highest first, in front of the typed arguments.
fn combine(
    command: &mut Command,
    typed: Vec<OsString>,
    mut given: Vec<Given>,
    layers: [Vec<Setting>; 2],
) -> Result<Vec<OsString>> {
    let mut kept = Vec::new();
    for layer in layers {
        check(command, &layer)?;
        let said = layer.iter().map(|setting| Given {
            id: setting.id.clone(),
            is_off: setting.words.is_empty(),
        });
        let said: Vec<Given> = said.collect();
        kept.extend(layer.into_iter().filter(|setting| {
            let mut above = given.iter();
            !above.any(|above| {
                above.id == setting.id
                    || !above.is_off && is_opposite(command, &above.id, &setting.id)
            })
        }));
        given.extend(said);
    }
    let words = kept
        .iter()
        .flat_map(|setting| setting.words.iter().cloned());
    let mut line = typed.clone();
    let at = line.len().min(1);
    line.splice(at..at, words);
    check_requirements(command, &kept, &typed, &line)?;
    Ok(line)
}

/// Checks the values of the settings of one layer, and that they do not contradict each other.
fn check(command: &mut Command, layer: &[Setting]) -> Result<()> {
    for (at, setting) in layer.iter().enumerate() {
        let before = layer[..at].iter().find(|before| {
            let are_on = !before.words.is_empty() && !setting.words.is_empty();
            before.id == setting.id || are_on && excludes(command, &before.id, &setting.id)
        });
        if let Some(before) = before {
            bail!("{}: cannot be used with {}", setting.origin, before.key);
        }
    }
    if refusal(command, layer).is_none() {
        return Ok(());
    }
    for setting in layer {
        if let Some(error) = refusal(command, std::slice::from_ref(setting)) {
            bail!("{}: {}", setting.origin, reason(&error));
        }
    }
    Ok(())
}

/// The parser's error about settings. A missing flag that a setting requires is no error yet, because it may be typed.
fn refusal(command: &mut Command, settings: &[Setting]) -> Option<clap::Error> {
    let words = settings
        .iter()
        .flat_map(|setting| setting.words.iter().cloned());
    let line = ["gannet".into()]
        .into_iter()
        .chain(words)
        .chain(["url".into()]);
    let error = command.try_get_matches_from_mut(line).err()?;
    (error.kind() != ErrorKind::MissingRequiredArgument).then_some(error)
}

/// Checks that each setting has the flags that it requires, if the typed arguments alone have what they require.
fn check_requirements(
    command: &mut Command,
    kept: &[Setting],
    typed: &[OsString],
    line: &[OsString],
) -> Result<()> {
    if kept.is_empty()
        || missing_argument(command, line.to_vec()).is_none()
        || missing_argument(command, typed.to_vec()).is_some()
    {
        return Ok(());
    }
    for setting in kept {
        let words = setting.words.iter().cloned();
        let alone = ["gannet".into()]
            .into_iter()
            .chain(words)
            .chain(["url".into()]);
        if let Some(error) = missing_argument(command, alone.collect())
            && let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg)
        {
            bail!("{}: needs {}", setting.origin, missing.join(", "));
        }
    }
    Ok(())
}

/// The parser's error if a command line lacks a required argument.
fn missing_argument(command: &mut Command, line: Vec<OsString>) -> Option<clap::Error> {
    let error = command.try_get_matches_from_mut(line).err()?;
    (error.kind() == ErrorKind::MissingRequiredArgument).then_some(error)
}

/// Why a value is refused. The value is not quoted, because it may be a secret.
fn reason(error: &clap::Error) -> String {
    match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(values))) => format!("is one of {}", values.join(", ")),
        _ => "is not a valid value".to_owned(),
    }
}

/// Whether two flags contradict each other within one layer.
fn excludes(command: &Command, one: &str, other: &str) -> bool {
    let is_summary = [one, other]
        .iter()
        .all(|id| ["summary", "no_summary"].contains(id))
        && one != other;
    is_summary || conflicts(command, one, other) || conflicts(command, other, one)
}

/// Whether clap lists `other` among the conflicts of `one`.
fn conflicts(command: &Command, one: &str, other: &str) -> bool {
    let arg = command.get_arguments().find(|arg| arg.get_id() == one);
    let all = arg.map(|arg| command.get_arg_conflicts_with(arg));
    all.is_some_and(|all| all.iter().any(|arg| arg.get_id() == other))
}

/// Whether a flag in a higher layer removes another one from lower layers.
fn is_opposite(command: &Command, one: &str, other: &str) -> bool {
    OPPOSITES.contains(&(one, other))
        || OPPOSITES.contains(&(other, one))
        || excludes(command, one, other)
}
