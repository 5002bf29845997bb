//! Validators distinguish the versions of a file: ETag and Last-Modified (RFC 9110 §8.8), and their strength.

use std::str;
use std::time::{Duration, SystemTime};

use crate::http::encoding::is_identity;
use crate::http::{Response, date};

/// The validators of one version of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// ETag, with its quotes and its `W/`.
    pub etag: Option<String>,
    /// Last-Modified, as received.
    pub last_modified: Option<String>,
    /// Last-Modified is a strong validator: Date is at least one second later, so the file cannot have changed again
    /// within that second (§8.8.2.2).
    pub is_date_strong: bool,
    /// Content-Encoding, unless it is identity: the bytes are those of the coded form.
    pub encoding: Option<String>,
}

impl Validators {
    /// The validators of a response.
    pub fn of(response: &Response) -> Self {
        let modified = response.headers.get("last-modified");
        let modified = modified.and_then(|value| str::from_utf8(value).ok());
        let etag = response.etag().map(str::to_owned);
        Self {
            // With an entity tag the date does not matter (§13.1.5).
            is_date_strong: etag.is_none() && is_date_strong(response),
            etag,
            last_modified: modified.map(str::to_owned),
            encoding: Self::coding_of(response).map(str::to_owned),
        }
    }

    /// Content-Encoding of a response, unless it is identity.
    pub(super) fn coding_of(response: &Response) -> Option<&str> {
        let coding = response.headers.get("content-encoding")?;
        let coding = str::from_utf8(coding).ok()?;
        (!is_identity(coding)).then_some(coding)
    }

    /// Last-Modified as a time, if it can be parsed.
    pub fn modified(&self) -> Option<SystemTime> {
        date::parse(self.last_modified.as_deref()?)
    }

    /// The validator that proves two versions equal byte for byte, as If-Range requires: a strong ETag or, if there is
    /// no ETag at all, a strong date (§13.1.5).
    pub fn strong(&self) -> Option<&str> {
        match &self.etag {
            Some(etag) => is_strong_etag(etag).then_some(etag),
            None if self.is_date_strong => self.last_modified.as_deref(),
            None => None,
        }
    }

    /// Whether the other validators certainly belong to the same version.
    pub fn prove(&self, other: &Self) -> bool {
        let is_same = match (&self.etag, &other.etag) {
            (Some(own), Some(theirs)) => own == theirs,
            (None, None) => self.last_modified == other.last_modified,
            _ => false,
        };
        is_same && self.strong().is_some() && self.encoding == other.encoding
    }

    /// Whether the other validators certainly belong to another version.
    pub fn contradict(&self, other: &Self) -> bool {
        differ(self.etag.as_ref(), other.etag.as_ref())
            .or_else(|| differ(self.last_modified.as_ref(), other.last_modified.as_ref()))
            .unwrap_or(false)
            || self.encoding != other.encoding
    }

    /// Whether a conditional request is possible.
    pub fn is_useful(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}

/// Whether two values differ; `None` if one of them is missing.
fn differ(own: Option<&String>, theirs: Option<&String>) -> Option<bool> {
    own.zip(theirs).map(|(own, theirs)| own != theirs)
}

/// An entity tag in quotes and without `W/` (§8.8.3).
fn is_strong_etag(etag: &str) -> bool {
    etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')
}

fn is_date_strong(response: &Response) -> bool {
    let dates = response.last_modified().zip(response.sent_at());
    dates.is_some_and(|(modified, sent)| {
        sent.duration_since(modified)
            .is_ok_and(|age| age >= Duration::from_secs(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: &str = "Mon, 10 Sep 2001 01:46:40 GMT";
    const MONDAY_LATER: &str = "Mon, 10 Sep 2001 01:46:41 GMT";

    fn of(fields: &[(&str, &str)]) -> Validators {
        let mut response = Response::default();
        for (name, value) in fields {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        Validators::of(&response)
    }

    #[test]
    fn a_strong_tag_is_a_strong_validator_and_a_weak_one_is_none() {
        assert_eq!(of(&[("ETag", "\"v1\"")]).strong(), Some("\"v1\""));
        for weak in ["W/\"v1\"", "v1", "\"", "", "\"v1"] {
            assert_eq!(of(&[("ETag", weak)]).strong(), None, "{weak}");
        }
    }

    #[test]
    fn a_date_is_strong_when_a_second_has_passed_since() {
        let dates = |modified, sent| of(&[("Last-Modified", modified), ("Date", sent)]);
        assert_eq!(dates(MONDAY, MONDAY_LATER).strong(), Some(MONDAY));
        for (modified, sent) in [
            (MONDAY, MONDAY),
            (MONDAY_LATER, MONDAY),
            (MONDAY, "soon"),
            ("x", MONDAY),
        ] {
            assert_eq!(dates(modified, sent).strong(), None);
        }
        assert_eq!(of(&[("Last-Modified", MONDAY)]).strong(), None);
    }

    #[test]
    fn a_date_beside_a_weak_tag_is_not_used() {
        let weak = of(&[
            ("ETag", "W/\"v1\""),
            ("Last-Modified", MONDAY),
            ("Date", MONDAY_LATER),
        ]);
        assert_eq!(weak.strong(), None);
    }

    #[test]
    fn only_the_same_strong_validator_proves_a_version() {
        let tag = of(&[("ETag", "\"v1\"")]);
        assert!(tag.prove(&tag));
        assert!(!tag.prove(&of(&[("ETag", "\"v2\"")])));
        assert!(!tag.prove(&of(&[("Last-Modified", MONDAY)])));
        assert!(!tag.prove(&Validators::default()));
        let weak = of(&[("ETag", "W/\"v1\"")]);
        assert!(!weak.prove(&weak) && !weak.contradict(&weak));
        let coded = of(&[("ETag", "\"v1\""), ("Content-Encoding", "gzip")]);
        assert!(!tag.prove(&coded) && tag.contradict(&coded));
    }

    #[test]
    fn versions_contradict_each_other_when_a_validator_differs() {
        let (tag, none) = (of(&[("ETag", "\"v1\"")]), Validators::default());
        assert!(tag.contradict(&of(&[("ETag", "\"v2\"")])));
        assert!(!tag.contradict(&none) && !none.contradict(&tag));
        assert!(
            of(&[("Last-Modified", MONDAY)]).contradict(&of(&[("Last-Modified", MONDAY_LATER)]))
        );
    }
}
