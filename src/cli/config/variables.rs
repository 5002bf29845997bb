//! Settings in environment variables: `GANNET_JOBS=32` is `--jobs 32`.
//!
//! Empty variables, and variables with names of no setting, are ignored.

use std::env;
use std::ffi::OsString;

use anyhow::{Result, anyhow};
use clap::{Arg, ArgAction, Command};

use super::setting::{Setting, Value, is_preference, is_switch, names, words};

const PREFIX: &str = "GANNET_";

/// The variables with the prefix, and their values.
pub(super) fn given() -> Vec<(String, OsString)> {
    let variables = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        (name.starts_with(PREFIX) && !value.is_empty()).then_some((name, value))
    });
    variables.collect()
}

/// The settings of the variables.
///
/// # Errors
/// A variable has an invalid value.
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

/// The long name of a flag, if the variable is its name in capitals, with underscores for dashes and dots.
fn name_of<'a>(arg: &'a Arg, variable: &str) -> Option<&'a str> {
    let name = names(arg).next()?;
    let spelled = name.to_ascii_uppercase().replace(['-', '.'], "_");
    (variable.strip_prefix(PREFIX)? == spelled).then_some(name)
}

/// The value of a variable. Several values are on one line each.
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
