//! What is known of a file that was fetched before: enough to ask the server whether it is still the same.
//!
//! It stands with the file, as an extended attribute, and holds no URL. Where a file system has no
//! such attributes nothing is known, and the file is fetched anew.

use std::str;
use std::time::{Duration, UNIX_EPOCH};

use super::Validators;
use crate::http::{Field, Response};
use crate::sys::{Entry, Folder};

/// The validators of a fetched file (RFC 9110 §8.8), and how to tell that it is still as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    size: u64,
    /// When it was complete, in nanoseconds since 1970, by the clock that stamps files: whoever
    /// wrote to it since did so later.
    completed: i128,
    validators: Validators,
    /// Only what is newer is wanted.
    is_newer_only: bool,
    /// What the file is of the body that came.
    form: Form,
}

/// What a file is of the body that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    /// The same; no coding was in it.
    #[default]
    Plain,
    /// The same, in a coding.
    Coded,
    /// What it decodes to.
    Decoded,
}

impl Form {
    const ALL: [Self; 3] = [Self::Plain, Self::Coded, Self::Decoded];

    /// As it is written.
    fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Coded => "coded",
            Self::Decoded => "decoded",
        }
    }
}

impl Stored {
    /// The note for a body of `size` bytes that is complete since a time, in nanoseconds since 1970
    /// by the clock that stamps files, if it is worth one.
    pub(super) fn note(
        validators: &Validators,
        is_decoded: bool,
        size: u64,
        completed: i128,
    ) -> Option<Vec<u8>> {
        let form = match (is_decoded, &validators.encoding) {
            (true, _) => Form::Decoded,
            (false, Some(_)) => Form::Coded,
            (false, None) => Form::Plain,
        };
        let form = form.as_str();
        let (etag, last_modified) = (
            validators.etag.as_deref().unwrap_or(""),
            validators.last_modified.as_deref().unwrap_or(""),
        );
        let note =
            || format!("1\n{size}\n{completed}\n{etag}\n{last_modified}\n{form}\n").into_bytes();
        validators.is_useful().then(note)
    }

    /// What stands with a file, if that is as it was when it was complete.
    pub fn read(folder: &Folder, name: &std::ffi::OsStr, entry: &Entry) -> Option<Self> {
        let stored = Self::parse(str::from_utf8(&folder.attribute(name).ok()??).ok()?)?;
        (stored.size == entry.size() && entry.modified() <= stored.completed).then_some(stored)
    }

    /// Nothing but the time of a file, whoever made it: the server is asked for what is newer.
    pub fn by_time(entry: &Entry) -> Option<Self> {
        let seconds = u64::try_from(entry.modified() / 1_000_000_000).ok()?;
        let modified = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
        Some(Self {
            size: entry.size(),
            completed: entry.modified(),
            validators: Validators {
                last_modified: Some(httpdate::fmt_http_date(modified)),
                ..Validators::default()
            },
            is_newer_only: true,
            form: Form::default(),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix("1\n")?.split('\n');
        let size = lines.next()?.parse().ok()?;
        let completed = lines.next()?.parse().ok()?;
        let mut text = || {
            lines
                .next()
                .map(|line| (!line.is_empty()).then(|| line.to_owned()))
        };
        let validators = Validators {
            etag: text()?,
            last_modified: text()?,
            ..Validators::default()
        };
        let form = lines.next().unwrap_or_default();
        Some(Self {
            size,
            completed,
            validators,
            is_newer_only: false,
            form: Form::ALL.into_iter().find(|known| known.as_str() == form)?,
        })
    }

    /// Whether the file is what a run would fetch that undoes codings, or one that does not.
    pub fn is_for(&self, decodes: bool) -> bool {
        match self.form {
            Form::Plain => true,
            Form::Coded => !decodes,
            Form::Decoded => decodes,
        }
    }

    /// The same, where only what is newer is wanted.
    pub fn unless_newer(mut self) -> Self {
        self.is_newer_only = true;
        self
    }

    /// Whether a whole answer, from a server that knows no conditions, is the file that stands
    /// there: one of the same strong entity tag, or one that is not newer where that is all that
    /// counts. A body that is `small` comes as fast as it is told from another.
    pub(super) fn is_still(&self, response: &Response, small: u64) -> bool {
        let theirs = Validators::of(response);
        let etag = &self.validators.etag;
        let is_older = || {
            let times = theirs.modified().zip(self.validators.modified());
            let has_tag = etag.is_none() || *etag == theirs.etag;
            times.is_some_and(|(theirs, own)| theirs <= own) && has_tag
        };
        let is_proven = self.size > small && self.validators.prove(&theirs);
        response.content_length() == Some(self.size)
            && (is_proven || self.is_newer_only && is_older())
    }

    /// Its entity tag.
    pub(super) fn etag(&self) -> Option<&str> {
        self.validators.etag.as_deref()
    }

    /// The request fields that ask for the body only if it is another (RFC 9110 §13.1.2 and §13.1.3).
    pub fn condition(&self) -> Vec<Field> {
        let fields = [
            ("If-None-Match", &self.validators.etag),
            ("If-Modified-Since", &self.validators.last_modified),
        ];
        let lines = fields
            .into_iter()
            .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}: {value}")));
        lines.filter_map(|line| Field::parse(&line).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_come_back_as_they_were_stored() {
        let validators = Validators {
            etag: Some("\"a b\"".to_owned()),
            last_modified: Some("Sun, 09 Sep 2001 01:46:40 GMT".to_owned()),
            ..Validators::default()
        };
        let note = Stored::note(&validators, false, 7, 1).unwrap();
        let read = Stored::parse(str::from_utf8(&note).unwrap()).unwrap();
        assert_eq!((read.size, &read.validators), (7, &validators));
        let condition: Vec<_> = read.condition().iter().map(ToString::to_string).collect();
        assert_eq!(
            condition,
            [
                "If-None-Match: \"a b\"",
                "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT"
            ]
        );
    }

    #[test]
    fn an_answer_without_validators_is_not_worth_storing() {
        assert_eq!(Stored::note(&Validators::default(), false, 7, 1), None);
    }

    #[test]
    fn what_something_else_wrote_is_not_believed() {
        for text in [
            "",
            "1\n",
            "2\n7\n1\ne\nl\n",
            "1\nx\n1\ne\nl\n",
            "1\n7\n\ne\nl\n",
            "1\n7\n1\ne",
        ] {
            assert_eq!(Stored::parse(text), None, "{text:?}");
        }
    }
}
