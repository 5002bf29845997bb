//! Configuration: what `gannet.toml` and `GANNET_…` variables say, put in front of what was typed.
//!
//! Both speak of flags by their long names, so what they say becomes words of a command line, and the
//! parser of `flags` judges it like any other. What was typed wins over a variable, and a variable
//! over the file: whatever they have been given of a flag, or of its opposite, replaces all of what
//! stands below.

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

/// Flags that the parser takes together, and that say no to one another all the same.
const OPPOSITES: [(&str, &str); 5] = [
    ("summary", "no_summary"),
    ("quiet", "verbose"),
    ("quiet", "json"),
    ("quiet", "progress"),
    ("quiet", "summary"),
];

/// What a flag has been given above a layer: its id, and whether it was turned off there.
struct Given {
    id: String,
    is_off: bool,
}

/// A command line, program name first, with what is configured in front of what was typed.
///
/// # Errors
/// The file cannot be read, or what it or a variable says cannot be meant. What may
/// be a secret is not repeated.
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
        // Help is to be had whatever is configured.
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
        // Two kinds of lines would go there.
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

/// Puts layers of settings, the upper one first, in front of what was typed.
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
    lacks_nothing(command, &kept, (&typed, &line))?;
    Ok(line)
}

/// Holds the settings of one layer to what their flags take, and to one another.
fn check(command: &mut Command, layer: &[Setting]) -> Result<()> {
    for (at, setting) in layer.iter().enumerate() {
        let on = |setting: &Setting| !setting.words.is_empty();
        let before = layer[..at].iter().find(|before| {
            let is_same = before.id == setting.id;
            is_same || on(before) && on(setting) && excludes(command, &before.id, &setting.id)
        });
        if let Some(before) = before {
            bail!("{}: cannot stand beside {}", setting.origin, before.key);
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

/// What the parser has against settings. That one needs another may still be put right by what is typed.
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

/// Complains of a setting that needs what nothing gives.
fn lacks_nothing(
    command: &mut Command,
    kept: &[Setting],
    (typed, line): (&[OsString], &[OsString]),
) -> Result<()> {
    let mut lacking = |line: Vec<OsString>| {
        let error = command.try_get_matches_from_mut(line).err()?;
        (error.kind() == ErrorKind::MissingRequiredArgument).then_some(error)
    };
    if kept.is_empty() || lacking(line.to_vec()).is_none() || lacking(typed.to_vec()).is_some() {
        return Ok(());
    }
    for setting in kept {
        let words = setting.words.iter().cloned();
        let alone = ["gannet".into()]
            .into_iter()
            .chain(words)
            .chain(["url".into()]);
        if let Some(error) = lacking(alone.collect())
            && let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg)
        {
            bail!("{}: needs {}", setting.origin, missing.join(", "));
        }
    }
    Ok(())
}

/// Why a value is refused, without the value where that may be a secret.
fn reason(error: &clap::Error) -> String {
    match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(values))) => format!("is one of {}", values.join(", ")),
        _ => "is not a value that it can have".to_owned(),
    }
}

/// Whether flags cannot stand in one place together.
fn excludes(command: &Command, one: &str, other: &str) -> bool {
    let conflict = |one: &str, other: &str| {
        let arg = command.get_arguments().find(|arg| arg.get_id() == one);
        let all = arg.map(|arg| command.get_arg_conflicts_with(arg));
        all.is_some_and(|all| all.iter().any(|arg| arg.get_id() == other))
    };
    let is_summary = [one, other]
        .iter()
        .all(|id| ["summary", "no_summary"].contains(id))
        && one != other;
    is_summary || conflict(one, other) || conflict(other, one)
}

/// Whether one flag, given above, takes the place of another.
fn is_opposite(command: &Command, one: &str, other: &str) -> bool {
    let is_pair = |pair: &(&str, &str)| *pair == (one, other) || *pair == (other, one);
    OPPOSITES.iter().any(is_pair) || excludes(command, one, other)
}
