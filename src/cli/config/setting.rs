//! [`Setting`]: a configured flag, as arguments of a command line.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command};

/// The ids of flags that are for a single run and cannot be configured: its input, its reports, and flags such as help
/// that replace the run.
const OF_ONE_RUN: [&str; 18] = [
    "urls",
    "input_file",
    "input_format",
    "base",
    "shard",
    "output",
    "checksum",
    "checksums",
    "range",
    "lock",
    "locked",
    "report",
    "events",
    "failed",
    "dry_run",
    "no_config",
    "help",
    "version",
];

/// The error of a flag such as `verbose`, which can be given several times.
const NO_COUNT: &str = "is true, false or a small number";

/// A flag in the file or in a variable.
pub(super) struct Setting {
    /// The flag's id.
    pub(super) id: String,
    /// Its name as written.
    pub(super) key: String,
    /// Its arguments for a command line; empty if the flag is turned off.
    pub(super) words: Vec<OsString>,
    /// The file, line and column, or the variable, for errors.
    pub(super) origin: String,
}

/// The value of a setting.
pub(super) enum Value {
    /// On or off.
    Switch(bool),
    /// One value.
    Text(OsString),
    /// Several values.
    List(Vec<OsString>),
}

/// The flag with a long name or an alias.
pub(super) fn flag<'c>(command: &'c Command, key: &str) -> Option<&'c Arg> {
    command
        .get_arguments()
        .find(|arg| names(arg).any(|name| name == key))
}

/// The long name and the aliases of a flag.
pub(super) fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    let others = arg.get_all_aliases().unwrap_or_default();
    arg.get_long().into_iter().chain(others)
}

/// Whether a flag can be configured.
pub(super) fn is_preference(arg: &Arg) -> bool {
    !OF_ONE_RUN.contains(&arg.get_id().as_str())
}

/// Whether a flag can be given without a value.
pub(super) fn is_switch(arg: &Arg) -> bool {
    match arg.get_action() {
        ArgAction::Set | ArgAction::Append => arg
            .get_num_args()
            .is_some_and(|range| range.min_values() == 0),
        _ => true,
    }
}

/// The arguments that give a flag this value.
///
/// # Errors
/// The flag takes values of another type; the message says which.
pub(super) fn words(arg: &Arg, key: &str, value: Value) -> Result<Vec<OsString>, &'static str> {
    let name = OsString::from(format!("--{key}"));
    match (arg.get_action(), value) {
        (_, Value::Switch(is_on)) if is_switch(arg) => Ok(vec![name; usize::from(is_on)]),
        (ArgAction::Count, Value::Text(text)) => {
            let count = text.to_str().and_then(|text| text.parse::<u8>().ok());
            count
                .map(|count| vec![name; usize::from(count)])
                .ok_or(NO_COUNT)
        }
        (ArgAction::Count, _) => Err(NO_COUNT),
        (ArgAction::SetTrue, _) => Err("is true or false"),
        (_, Value::Text(text)) => Ok(vec![with_value(&name, &text)]),
        (ArgAction::Append, Value::List(all)) => {
            Ok(all.iter().map(|text| with_value(&name, text)).collect())
        }
        (ArgAction::Append, _) => Err("is a string, or an array of strings"),
        _ => Err("is a string or a number"),
    }
}

/// `--NAME=VALUE`.
fn with_value(name: &OsStr, value: &OsStr) -> OsString {
    let mut word = name.to_owned();
    word.push("=");
    word.push(value);
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::Flags;
    use clap::CommandFactory;

    #[test]
    fn what_belongs_to_one_run_are_flags() {
        let command = Flags::command();
        for id in OF_ONE_RUN {
            assert!(
                command.get_arguments().any(|arg| arg.get_id() == id),
                "{id}"
            );
        }
    }

    #[test]
    fn every_preference_has_a_name() {
        let command = Flags::command();
        for arg in command.get_arguments().filter(|arg| is_preference(arg)) {
            let name = names(arg).next().expect("a name");
            assert_eq!(flag(&command, name).map(Arg::get_id), Some(arg.get_id()));
        }
    }
}
