//! [`Record`]: a completion as JSON, for `--json`, `--report` and `--events`. Field names and meanings are a contract
//! with scripts.

#![warn(clippy::wildcard_enum_match_arm)]

use std::borrow::Cow;
use std::net::SocketAddr;

use gannet::error::Error;
use gannet::http::masked;
use gannet::session::{BadRow, Completion, Landing, Verdict};
use serde::Serialize;

use super::advice::WithAdvice;
use super::exit::Exit;

/// The version of the format. It increases if a field is removed or changes its meaning; new fields may be added at any
/// time.
pub(super) const VERSION: u32 = 1;

/// The end of one file. Fields that do not apply are left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Record<'a> {
    version: u32,
    /// `done`, `kept` or `failed`.
    result: &'static str,
    /// The number of the file in the run, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The URL after redirects.
    #[serde(skip_serializing_if = "Option::is_none")]
    final_url: Option<String>,
    /// The final path of the file, also if it failed; `-` is standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    /// Its name was taken, so it got another one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    renamed: bool,
    /// The list and the line of the row, `FILE:LINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    /// The bytes that the last try received.
    bytes: u64,
    /// The bytes of the file, if `--compressed` decoded it.
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded: Option<u64>,
    /// The time that the last try took.
    seconds: f64,
    /// The number of tries.
    tries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorRecord>,
}

/// The error of a failed file.
#[derive(Debug, Serialize)]
pub(super) struct ErrorRecord {
    message: String,
    /// The exit code of a run in which this is the only failure.
    exit: u8,
}

impl ErrorRecord {
    pub(super) fn of(error: &Error, exit: Exit) -> Self {
        Self {
            message: WithAdvice(error).to_string(),
            exit: exit.code(),
        }
    }
}

/// The path of a landing; `-` is standard output.
pub(super) fn path_of(landing: Landing<'_>) -> Option<Cow<'_, str>> {
    match landing {
        Landing::File(folder, name) => {
            let path = folder.join(name);
            Some(path.to_string_lossy().into_owned().into())
        }
        Landing::Stdout => Some("-".into()),
        Landing::Nowhere => None,
    }
}

impl<'a> Record<'a> {
    /// The record of a file; `exit` is the exit code of its error.
    pub(super) fn of(completion: &Completion<'a>, exit: Exit) -> Self {
        let error = match completion.verdict {
            Verdict::Failed(error) => Some(error),
            Verdict::Done(_) | Verdict::Kept => None,
        };
        let outcome = match completion.verdict {
            Verdict::Done(outcome) => Some(outcome),
            Verdict::Failed(_) | Verdict::Kept => None,
        };
        let redirected = outcome
            .and_then(|outcome| outcome.final_url.as_ref())
            .or_else(|| error.and_then(Error::redirected));
        Self {
            version: VERSION,
            result: match completion.verdict {
                Verdict::Done(_) => "done",
                Verdict::Kept => "kept",
                Verdict::Failed(_) => "failed",
            },
            number: Some(completion.number),
            url: Some(masked(completion.url).to_string()),
            final_url: redirected.map(|url| masked(url).to_string()),
            path: path_of(completion.landing),
            renamed: completion.is_renamed,
            row: completion
                .location
                .is_listed()
                .then(|| completion.location.to_string()),
            status: outcome
                .map(|outcome| outcome.status)
                .or_else(|| error.and_then(Error::status)),
            protocol: outcome.map(|outcome| outcome.version.to_string()),
            address: outcome
                .and_then(|outcome| outcome.address)
                .or_else(|| error.and_then(Error::address)),
            bytes: completion.bytes,
            decoded: match completion.verdict {
                Verdict::Done(_) => completion.decoded,
                Verdict::Kept | Verdict::Failed(_) => None,
            },
            seconds: completion.elapsed.as_secs_f64(),
            tries: completion.tries,
            error: error.map(|error| ErrorRecord::of(error, exit)),
        }
    }

    /// The record of a row or a list that could not be read.
    pub(super) fn of_bad_row(bad: &BadRow, exit: Exit) -> Self {
        Self {
            version: VERSION,
            result: "failed",
            row: match bad {
                BadRow::Line(error) => Some(error.location.to_string()),
                BadRow::Typed(_) | BadRow::List(..) | BadRow::Output(..) | BadRow::Unsynced(..) => {
                    None
                }
            },
            error: Some(ErrorRecord {
                message: match bad {
                    BadRow::Line(error) => error.message.clone(),
                    BadRow::Typed(_)
                    | BadRow::List(..)
                    | BadRow::Output(..)
                    | BadRow::Unsynced(..) => bad.to_string(),
                },
                exit: exit.code(),
            }),
            ..Self::default()
        }
    }

    /// The name of the event: `done`, `kept` or `fail`, the first word of the completion line.
    pub(super) fn event(&self) -> &'static str {
        match self.result {
            "failed" => "fail",
            result => result,
        }
    }

    /// The JSON object, without a line end.
    pub(super) fn line(&self) -> String {
        // Serialisation cannot fail: all keys are names, and all numbers are finite.
        serde_json::to_string(self).unwrap_or_default()
    }
}
