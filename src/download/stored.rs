//! The record of a complete file: enough to ask the server whether it is still current.
//!
//! It is an extended attribute of the file, and has a hash of the URL instead of the URL. On a file system without
//! attributes nothing is recorded, and the file is fetched again.

use std::str;
use std::time::{Duration, UNIX_EPOCH};

use url::{Position, Url};

use super::Validators;
use crate::http::{Field, Response};
use crate::sys::{Entry, Folder};

/// The validators of a complete file (RFC 9110 §8.8), and the size and time that show whether it was changed locally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The index of the row's URL that the file was fetched from.
    url_index: usize,
    size: u64,
    /// When it was completed, in nanoseconds since 1970, by the clock that stamps files: any later write has a later
    /// stamp.
    completed: i128,
    validators: Validators,
    /// The file is replaced only by a newer one.
    is_newer_only: bool,
    /// How the file relates to the body of the response.
    form: Form,
}

/// The first line of a record: its format.
const VERSION: &str = "2\n";

/// How a file relates to the body of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    /// The body had no content coding.
    #[default]
    Plain,
    /// The file holds the coded body.
    Coded,
    /// The file holds the decoded body.
    Decoded,
}

impl Form {
    const ALL: [Self; 3] = [Self::Plain, Self::Coded, Self::Decoded];

    /// The text in the record.
    fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Coded => "coded",
            Self::Decoded => "decoded",
        }
    }
}

impl Stored {
    /// The record of a body of `size` bytes from `url` that was completed at `completed`, in nanoseconds since 1970 by
    /// the clock that stamps files. `None` if it has no validators.
    pub(super) fn note(
        url: &Url,
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
        if !validators.is_useful() {
            return None;
        }
        let (key, size, completed) = (key(url), size.to_string(), completed.to_string());
        let lines: [&[u8]; 6] = [
            &key,
            size.as_bytes(),
            completed.as_bytes(),
            validators.etag.as_deref().unwrap_or("").as_bytes(),
            validators.last_modified.as_deref().unwrap_or("").as_bytes(),
            form.as_str().as_bytes(),
        ];
        let mut note = Vec::with_capacity(192);
        note.extend_from_slice(VERSION.as_bytes());
        for line in lines {
            note.extend_from_slice(line);
            note.push(b'\n');
        }
        Some(note)
    }

    /// Reads the record of a file, if the file is unchanged since and came from one of `urls`: validators of another
    /// URL do not apply.
    pub fn read<'u>(
        folder: &Folder,
        name: &std::ffi::OsStr,
        entry: &Entry,
        urls: impl IntoIterator<Item = &'u Url>,
    ) -> Option<Self> {
        let note = folder.attribute(name).ok()??;
        let stored = Self::parse(str::from_utf8(&note).ok()?, urls)?;
        (stored.size == entry.size() && entry.modified() <= stored.completed).then_some(stored)
    }

    /// The index of the row's URL that the file was fetched from.
    pub fn url_index(&self) -> usize {
        self.url_index
    }

    /// A record of a file that has none, from its modification time alone: the server is asked for a newer version.
    pub fn by_time(entry: &Entry) -> Option<Self> {
        let seconds = u64::try_from(entry.modified() / 1_000_000_000).ok()?;
        let modified = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
        Some(Self {
            url_index: 0,
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

    fn parse<'u>(text: &str, urls: impl IntoIterator<Item = &'u Url>) -> Option<Self> {
        let mut lines = text.strip_prefix(VERSION)?.split('\n');
        let own = lines.next()?;
        let url_index = urls
            .into_iter()
            .position(|url| key(url) == own.as_bytes())?;
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
            url_index,
            size,
            completed,
            validators,
            is_newer_only: false,
            form: Form::ALL.into_iter().find(|known| known.as_str() == form)?,
        })
    }

    /// Whether the file is in the form that this run would fetch, decoded or not.
    pub fn is_for(&self, decodes: bool) -> bool {
        match self.form {
            Form::Plain => true,
            Form::Coded => !decodes,
            Form::Decoded => decodes,
        }
    }

    /// Whether the file is stored as an archive with this name is sent, in every run.
    pub fn is_archive(&self, name: &std::ffi::OsStr) -> bool {
        self.form == Form::Coded && super::coded::has_archive_name(name)
    }

    /// Replaces the file only by a newer one.
    pub fn unless_newer(mut self) -> Self {
        self.is_newer_only = true;
        self
    }

    /// Whether a full response, from a server that ignores conditions, has the existing file: its strong validator
    /// matches or, if only a newer file is of interest, it is not newer. A body of at most `small` bytes is not
    /// compared by its validator: receiving it is as fast as cancelling it.
    pub(super) fn is_still(&self, response: &Response, small: u64) -> bool {
        let theirs = Validators::of(response);
        let is_proven = self.size > small && self.validators.prove(&theirs);
        response.content_length() == Some(self.size)
            && (is_proven || self.is_newer_only && self.is_newer_than(&theirs))
    }

    /// Whether the file is as new as another version, or newer, as far as validators tell.
    fn is_newer_than(&self, theirs: &Validators) -> bool {
        let etag = &self.validators.etag;
        let times = theirs.modified().zip(self.validators.modified());
        let has_tag = etag.is_none() || *etag == theirs.etag;
        times.is_some_and(|(theirs, own)| theirs <= own) && has_tag
    }

    /// The entity tag.
    pub(super) fn etag(&self) -> Option<&str> {
        self.validators.etag.as_deref()
    }

    /// The fields of a conditional request (RFC 9110 §13.1.2 and §13.1.3).
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

/// The key of a URL in a record: 128 bits of the BLAKE3 of the URL without user information and fragment, as hex
/// digits. It must resist collisions, because a server chooses its URLs.
fn key(url: &Url) -> [u8; 32] {
    let has_login = !url[Position::BeforeUsername..Position::BeforeHost].is_empty();
    let hash = if has_login || url.fragment().is_some() {
        let bare = [
            &url[..Position::BeforeUsername],
            &url[Position::BeforeHost..Position::AfterQuery],
        ];
        blake3::hash(bare.concat().as_bytes())
    } else {
        blake3::hash(url.as_str().as_bytes())
    };
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.as_bytes()) {
        let halves = [byte >> 4, byte & 15];
        pair.copy_from_slice(&halves.map(|half| b"0123456789abcdef"[usize::from(half)]));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_note_is_evidence_for_its_own_url_alone() {
        let validators = Validators {
            etag: Some("\"v\"".to_owned()),
            ..Validators::default()
        };
        let own = url("http://h/a?x");
        let note = Stored::note(&own, &validators, false, 7, 1).unwrap();
        let note = str::from_utf8(&note).unwrap();
        let index = |urls: &[&str]| {
            let urls: Vec<_> = urls.iter().map(|text| url(text)).collect();
            Stored::parse(note, &urls).map(|stored| stored.url_index())
        };
        assert_eq!(index(&["http://u:p@h/a?x#f"]), Some(0));
        assert_eq!(index(&["http://other/a?x", "http://h/a?x"]), Some(1));
        for other in [
            "http://h/a?y",
            "http://h/a",
            "http://h/b?x",
            "https://h/a?x",
            "http://h:81/a?x",
        ] {
            assert_eq!(index(&[other]), None, "{other}");
        }
    }

    #[test]
    fn validators_come_back_as_they_were_stored() {
        let validators = Validators {
            etag: Some("\"a b\"".to_owned()),
            last_modified: Some("Sun, 09 Sep 2001 01:46:40 GMT".to_owned()),
            ..Validators::default()
        };
        let note = Stored::note(&url("http://h/"), &validators, false, 7, 1).unwrap();
        let read = Stored::parse(str::from_utf8(&note).unwrap(), [&url("http://h/")]).unwrap();
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
        let note = Stored::note(&url("http://h/"), &Validators::default(), false, 7, 1);
        assert_eq!(note, None);
    }

    #[test]
    fn what_something_else_wrote_is_not_believed() {
        let own = key(&url("http://h/"));
        let own = str::from_utf8(&own).unwrap();
        let parse = |text: &str| Stored::parse(&text.replace("KEY", own), [&url("http://h/")]);
        assert!(parse("2\nKEY\n7\n1\ne\nl\n").is_some());
        for text in [
            "",
            "2\n",
            "part\n",
            // A record of version 1 has no key of its URL.
            "1\n7\n1\ne\nl\n",
            "3\nKEY\n7\n1\ne\nl\n",
            "2\nKEY\nx\n1\ne\nl\n",
            "2\nKEY\n7\n\ne\nl\n",
            "2\nKEY\n7\n1\ne",
            "2\n\n7\n1\ne\nl\n",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
