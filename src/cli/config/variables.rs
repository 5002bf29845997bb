//! Variables of the environment: `GANNET_JOBS=32` is `--jobs 32`.
//!
//! One that is empty says nothing, and one that no preference has the name of is another's.

use std::env;
use std::ffi::OsString;

use anyhow::{Result, anyhow};
use clap::{Arg, ArgAction, Command};

use super::setting::{Setting, Value, is_preference, is_switch, names, words};

const PREFIX: &str = "GANNET_";

/// The variables that may speak of flags, and what they hold.
pub(super) fn given() -> Vec<(String, OsString)> {
    let variables = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        (name.starts_with(PREFIX) && !value.is_empty()).then_some((name, value))
    });
    variables.collect()
}

/// What they say.
///
/// # Errors
/// One cannot be meant.
pub(super) fn settings(command: &Command, given: Vec<(String, OsString)>) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for (origin, value) in given {
        let mut all = command.get_arguments().filter(|arg| is_preference(arg));
        let named = all.find_map(|arg| Some((arg, name_of(arg, &origin)?)));
        let Some((arg, key)) = named else { continue };
        let words = words(arg, key, read(arg, value));
        settings.push(Setting {
            id: arg.get_id().to_string(),
            key: origin.clone(),
            words: words.map_err(|why| anyhow!("{origin}: {why}"))?,
            origin,
        });
    }
    Ok(settings)
}

/// The flag's name, if the variable has it: in capitals, with underscores for dashes and dots.
fn name_of<'a>(arg: &'a Arg, variable: &str) -> Option<&'a str> {
    let spelled = variable.strip_prefix(PREFIX)?;
    let same = |(a, b): (u8, u8)| match a {
        b'-' | b'.' => b == b'_',
        _ => a.to_ascii_uppercase() == b,
    };
    let name = names(arg).next()?;
    (name.len() == spelled.len() && name.bytes().zip(spelled.bytes()).all(same)).then_some(name)
}

/// What a variable holds of a flag: several values stand on lines of their own.
fn read(arg: &Arg, value: OsString) -> Value {
    let text = value.to_str().unwrap_or_default();
    match (arg.get_action(), text) {
        (_, "1" | "true") if is_switch(arg) => Value::Switch(true),
        (_, "0" | "false") if is_switch(arg) => Value::Switch(false),
        (ArgAction::Append, text) if text.contains('\n') => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            Value::List(lines.map(OsString::from).collect())
        }
        _ => Value::Text(value),
    }
}
