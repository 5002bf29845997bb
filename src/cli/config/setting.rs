//! One flag that is configured: which one it is, and the words that say so.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command};

/// What belongs to one run, by the ids of flags: its input, what it writes beside its files, and what
/// it does instead. That is typed, and nothing else.
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

/// What is wrong with what is no number of times.
const NO_COUNT: &str = "is true, false or a small number";

/// A flag as a file or a variable gives it.
pub(super) struct Setting {
    /// The flag's id.
    pub(super) id: String,
    /// Its name, as it was written.
    pub(super) key: String,
    /// As it would be typed; nothing where the flag is turned off.
    pub(super) words: Vec<OsString>,
    /// Where it stands, for errors.
    pub(super) origin: String,
}

/// What is written of a flag.
pub(super) enum Value {
    /// On or off.
    Switch(bool),
    /// One value.
    Text(OsString),
    /// Several.
    List(Vec<OsString>),
}

/// The flag of a long name, or of another spelling of it.
pub(super) fn flag<'c>(command: &'c Command, key: &str) -> Option<&'c Arg> {
    command
        .get_arguments()
        .find(|arg| names(arg).any(|name| name == key))
}

/// Its long name first, if it has one.
pub(super) fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    let others = arg.get_all_aliases().unwrap_or_default();
    arg.get_long().into_iter().chain(others)
}

/// Whether it is a preference, and no part of what one run is.
pub(super) fn is_preference(arg: &Arg) -> bool {
    !OF_ONE_RUN.contains(&arg.get_id().as_str())
}

/// Whether it can stand without a value.
pub(super) fn is_switch(arg: &Arg) -> bool {
    match arg.get_action() {
        ArgAction::Set | ArgAction::Append => arg
            .get_num_args()
            .is_some_and(|range| range.min_values() == 0),
        _ => true,
    }
}

/// The words that give a flag this value.
///
/// # Errors
/// It takes values of another kind: which.
pub(super) fn words(arg: &Arg, key: &str, value: Value) -> Result<Vec<OsString>, &'static str> {
    let name = OsString::from(format!("--{key}"));
    let with = |text: &OsStr| {
        let mut word = name.clone();
        word.push("=");
        word.push(text);
        word
    };
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
        (_, Value::Text(text)) => Ok(vec![with(&text)]),
        (ArgAction::Append, Value::List(all)) => Ok(all.iter().map(|text| with(text)).collect()),
        (ArgAction::Append, _) => Err("is a string, or an array of strings"),
        _ => Err("is a string or a number"),
    }
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
