//! A completion as JSON: a line of --json, an entry of --report. Names and meanings here are a contract with scripts.

use std::borrow::Cow;
use std::net::SocketAddr;

use gannet::error::Error;
use gannet::http::auth::masked;
use gannet::session::{BadRow, Completion, Landing, Verdict};
use serde::Serialize;

use super::exit::Exit;

/// Counts up when a field goes, or changes what it means. New fields may come at any time.
pub(super) const VERSION: u32 = 1;

/// How one file was done with. What does not apply is left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Record<'a> {
    version: u32,
    /// `done`, `kept` or `failed`.
    result: &'static str,
    /// The file's number in the batch, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Where redirects led.
    #[serde(skip_serializing_if = "Option::is_none")]
    final_url: Option<String>,
    /// Where the file stands, or would; `-` is standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    /// It took another name than its own, which another row had.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    renamed: bool,
    /// The row of the list that it came from, `FILE:LINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    /// Bytes received, and the time that the last try took.
    bytes: u64,
    /// Bytes of the file, where it was decoded from those.
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded: Option<u64>,
    seconds: f64,
    tries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Trouble>,
}

/// What went wrong.
#[derive(Debug, Serialize)]
pub(super) struct Trouble {
    message: String,
    /// The exit code that a run ends with which fails of this alone.
    exit: u8,
}

impl Trouble {
    pub(super) fn of(error: &Error, exit: Exit) -> Self {
        Self {
            message: error.to_string(),
            exit: exit.code(),
        }
    }
}

/// A path as it is written; `-` is standard output.
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
    /// Of a file; `exit` is what the shell would be told of it.
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
                .place
                .is_listed()
                .then(|| completion.place.to_string()),
            status: outcome
                .map(|outcome| outcome.status)
                .or_else(|| error.and_then(Error::status)),
            protocol: outcome.map(|outcome| outcome.version.to_string()),
            address: outcome
                .and_then(|outcome| outcome.address)
                .or_else(|| error.and_then(Error::address)),
            bytes: completion.bytes,
            decoded: completion
                .decoded
                .filter(|_| matches!(completion.verdict, Verdict::Done(_))),
            seconds: completion.elapsed.as_secs_f64(),
            tries: completion.tries,
            error: error.map(|error| Trouble::of(error, exit)),
        }
    }

    /// Of something that could not even be tried.
    pub(super) fn of_bad_row(bad: &BadRow, exit: Exit) -> Self {
        Self {
            version: VERSION,
            result: "failed",
            row: match bad {
                BadRow::Line(error) => Some(error.location.to_string()),
                BadRow::Typed(_) | BadRow::List(..) | BadRow::Output(..) => None,
            },
            error: Some(Trouble {
                message: match bad {
                    BadRow::Line(error) => error.message.clone(),
                    BadRow::Typed(_) | BadRow::List(..) | BadRow::Output(..) => bad.to_string(),
                },
                exit: exit.code(),
            }),
            ..Self::default()
        }
    }

    /// The event that it is: the first word of a completion line.
    pub(super) fn event(&self) -> &'static str {
        match self.result {
            "failed" => "fail",
            result => result,
        }
    }

    /// Its line, without an end.
    pub(super) fn line(&self) -> String {
        // Nothing in a record can fail to be written: its keys are names, its figures finite.
        serde_json::to_string(self).unwrap_or_default()
    }
}
