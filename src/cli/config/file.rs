//! Finds and parses `gannet.toml`.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Command;
use clap::error::{ContextKind, ContextValue};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::setting::{Setting, Value, flag, is_preference, words};
use crate::cli::credentials::is_reachable;
use crate::cli::format::Safe;

/// The largest file, in bytes. All flags together need far less.
const LARGEST: u64 = 1 << 20;

/// The most characters of an unknown key that an error shows.
const SHOWN: usize = 40;

/// An existing file, not read yet.
pub(super) struct OpenedFile {
    path: PathBuf,
    file: io::Result<File>,
}

/// Opens the user's file; `None` if there is none, or if its folder may not be entered, as after `sudo -u`.
pub(super) fn open() -> Option<OpenedFile> {
    let path = default_path()?;
    if !is_reachable(&path) {
        return None;
    }
    let file = File::open(&path);
    Some(OpenedFile { path, file })
}

/// The path of the file, whether it exists or not.
fn default_path() -> Option<PathBuf> {
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    config.map(|config| config.join("gannet").join("gannet.toml"))
}

/// The folder in a variable. A relative path is ignored (XDG Base Directory Specification, "Environment variables").
fn folder(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    path.filter(|path| path.is_absolute())
}

/// The settings of the file.
///
/// # Errors
/// The file cannot be read, or has an invalid setting; the message names the line and column.
pub(super) fn settings(command: &Command, opened: OpenedFile) -> Result<Vec<Setting>> {
    let path = Safe(opened.path.display()).to_string();
    let mut bytes = Vec::new();
    let read = opened
        .file
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {path}"))?;
    ensure!(bytes.len() as u64 <= LARGEST, "{path}: larger than 1 MiB");
    parse(command, &path, &bytes)
}

fn parse(command: &Command, path: &str, bytes: &[u8]) -> Result<Vec<Setting>> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let position = position(&bytes[..error.valid_up_to()]);
        anyhow!("{path}:{position}: not UTF-8")
    })?;
    let file = ConfigFile {
        command,
        path,
        text,
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        anyhow!("{}: {}", file.location(at), Safe(error.message()))
    })?;
    let mut settings = Vec::new();
    file.collect("", table.get_ref(), &mut settings)?;
    Ok(settings)
}

/// The text of a file, for the conversion of its keys into settings.
struct ConfigFile<'a> {
    command: &'a Command,
    path: &'a str,
    text: &'a str,
}

impl ConfigFile<'_> {
    /// Converts a table. A flag with a dot in its name needs no quotes, although TOML reads it as nested tables:
    /// `http1.1 = true`.
    fn collect(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        settings: &mut Vec<Setting>,
    ) -> Result<()> {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner)
                    if !inner.is_empty() && flag(self.command, &name).is_none() =>
                {
                    self.collect(&format!("{name}."), inner, settings)?;
                }
                _ => settings.push(self.setting(name, key.span().start, value)?),
            }
        }
        Ok(())
    }

    fn setting(&self, key: String, at: usize, value: &Spanned<DeValue<'_>>) -> Result<Setting> {
        let Some(arg) = flag(self.command, &key) else {
            let shown: String = key.chars().take(SHOWN).collect();
            let hint = self
                .alike(&key)
                .map(|name| format!("; did you mean '{name}'?"));
            bail!(
                "{}: unknown key '{}'{}",
                self.location(at),
                Safe(shown),
                hint.unwrap_or_default()
            );
        };
        if !is_preference(arg) {
            bail!(
                "{}: {key} is for a single run: give it on the command line",
                self.location(at)
            );
        }
        let origin = format!("{}: {key}", self.location(value.span().start));
        let words = match read(value.get_ref()) {
            Some(value) => words(arg, &key, value),
            None => Err("cannot have a value of this kind"),
        };
        Ok(Setting {
            id: arg.get_id().to_string(),
            words: words.map_err(|why| anyhow!("{origin}: {why}"))?,
            key,
            origin,
        })
    }

    /// The setting with the most similar name, as found by clap.
    fn alike(&self, key: &str) -> Option<String> {
        // Such a long key is similar to no flag.
        if key.chars().nth(SHOWN).is_some() {
            return None;
        }
        let typed = ["gannet".to_owned(), format!("--{key}"), "url".to_owned()];
        let error = self.command.clone().try_get_matches_from(typed).err()?;
        let Some(ContextValue::String(name)) = error.get(ContextKind::SuggestedArg) else {
            return None;
        };
        let name = name.trim_start_matches('-');
        flag(self.command, name).filter(|arg| is_preference(arg))?;
        Some(name.to_owned())
    }

    /// `PATH:LINE:COLUMN` of a byte.
    fn location(&self, at: usize) -> String {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        format!("{}:{}", self.path, position(before))
    }
}

/// `LINE:COLUMN` of the end of some bytes, both from 1. Columns are characters.
fn position(before: &[u8]) -> String {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    // In UTF-8 all bytes of a character but the first begin with the bits 10.
    let column = before[start..]
        .iter()
        .filter(|byte| **byte & 0xc0 != 0x80)
        .count()
        + 1;
    format!("{line}:{column}")
}

/// Converts a value; `None` if no flag has values of its type.
fn read(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::Boolean(is_on) => Some(Value::Switch(*is_on)),
        DeValue::Array(all) => {
            let all = all.iter().map(|value| text(value.get_ref()));
            all.collect::<Option<_>>().map(Value::List)
        }
        _ => text(value).map(Value::Text),
    }
}

/// A string, or a number in its notation on the command line.
fn text(value: &DeValue<'_>) -> Option<OsString> {
    match value {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Integer(number) => decimal(number).map(|number| number.to_string().into()),
        DeValue::Float(number) => Some(number.as_str().into()),
        _ => None,
    }
}

fn decimal(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::Flags;
    use clap::CommandFactory;
    use proptest::prelude::*;

    const SECRET: &str = "hunter2";

    /// What may stand in a file, right or wrong, more often than chance would have it.
    const PIECES: [&str; 24] = [
        "jobs",
        "header",
        "user",
        "http1.1",
        "quiet",
        "limit-rate",
        " = ",
        "=",
        "\n",
        "\"",
        "\"me:hunter2\"",
        "\"X: hunter2\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        ".",
        "true",
        "0x1f",
        "1e9",
        "# x\n",
        "[[a]]\n",
        "\\u0000",
    ];

    proptest! {
        #[test]
        fn no_file_is_too_strange_and_no_error_repeats_a_value(
            pieces in prop::collection::vec((0..PIECES.len(), any::<char>()), 0..24),
        ) {
            let mut text = String::from("jobs = 3\nuser = \"me:hunter2\"\n");
            for (at, other) in pieces {
                text.push_str(PIECES[at]);
                if at == 0 {
                    text.push(other);
                }
            }
            let command = Flags::command();
            if let Err(error) = parse(&command, "file", text.as_bytes()) {
                let told = error.to_string();
                prop_assert!(told.starts_with("file:"), "{told}");
                prop_assert!(!told.contains(char::is_control), "{told}");
                // An unknown key is not a value.
                prop_assert!(told.contains("unknown key") || !told.contains(SECRET), "{told}");
            }
        }
    }

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        assert_eq!(position(b""), "1:1");
        assert_eq!(position("a = \"\u{e9}".as_bytes()), "1:7");
        assert_eq!(position(b"a = 1\r\nb"), "2:2");
    }
}
