//! What is known of a file that was fetched before: enough to ask the server whether it is still the same.
//!
//! It stands with the file, as an extended attribute, and holds no URL. Where a file system has no such attributes nothing is known, and the file
//! is fetched anew.

use std::str;

use crate::http::{Field, Response};
use crate::sys::{self, Entry, Folder};

/// The validators of a fetched file (RFC 9110 §8.8), and how to tell that it is still as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    size: u64,
    /// When it was complete, in nanoseconds since 1970, by the clock that stamps files: whoever wrote to it since did so later.
    completed: i128,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Stored {
    /// What an answer says of its body, if that is worth keeping.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let text = |name| {
            response
                .headers
                .get(name)
                .and_then(|value| str::from_utf8(value).ok())
                .map(str::to_owned)
        };
        let (etag, last_modified) = (text("etag"), text("last-modified"));
        let is_useful = etag.is_some() || last_modified.is_some();
        is_useful.then_some(Self {
            size: 0,
            completed: 0,
            etag,
            last_modified,
        })
    }

    /// The same for a body of `size` bytes that is complete now.
    pub(super) fn completed(&self, size: u64) -> Vec<u8> {
        let (etag, last_modified) = (
            self.etag.as_deref().unwrap_or(""),
            self.last_modified.as_deref().unwrap_or(""),
        );
        format!(
            "1\n{size}\n{}\n{etag}\n{last_modified}\n",
            sys::file_clock()
        )
        .into_bytes()
    }

    /// What stands with a file, if that is as it was when it was complete.
    pub fn read(folder: &Folder, name: &std::ffi::OsStr, entry: &Entry) -> Option<Self> {
        let stored = Self::parse(str::from_utf8(&folder.attribute(name).ok()??).ok()?)?;
        (stored.size == entry.size() && entry.modified() <= stored.completed).then_some(stored)
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
        Some(Self {
            size,
            completed,
            etag: text()?,
            last_modified: text()?,
        })
    }

    /// The request fields that ask for the body only if it is another (RFC 9110 §13.1.2 and §13.1.3).
    pub fn condition(&self) -> Vec<Field> {
        let fields = [
            ("If-None-Match", &self.etag),
            ("If-Modified-Since", &self.last_modified),
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

    fn answer(fields: &[(&str, &str)]) -> Response {
        let mut response = Response::default();
        for (name, value) in fields {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        response
    }

    #[test]
    fn validators_come_back_as_they_were_stored() {
        let stored = Stored::of(&answer(&[
            ("ETag", "\"a b\""),
            ("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ]))
        .unwrap();
        let read = Stored::parse(str::from_utf8(&stored.completed(7)).unwrap()).unwrap();
        assert_eq!(
            (read.size, &read.etag, &read.last_modified),
            (7, &stored.etag, &stored.last_modified)
        );
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
        assert_eq!(Stored::of(&answer(&[("Content-Length", "7")])), None);
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
