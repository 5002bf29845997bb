//! The state file, `NAME.part.gannet`: what another run needs to resume the part file beside it. Pure: bytes in, bytes
//! out; `part` reads and writes the file.
//!
//! It holds no secrets: of the URL it stores neither user information nor query, but a hash of the query.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Ranges, Validators};

/// The media type of a file that is a web page.
const PAGE: &str = "text/html";

/// The version of the format. A state of any other version is not read.
const VERSION: u32 = 1;

/// The longest state that is read, in bytes.
pub const LONGEST: usize = 1 << 20;

/// The written ranges of a body, and the version of the file that they belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The URL that it was fetched from.
    pub source: Source,
    /// The size of the full file in bytes, if the server sent it.
    pub size: Option<u64>,
    /// The validators of its version.
    pub validators: Validators,
    /// The written ranges.
    pub ranges: Ranges,
    /// The ranges that are synced to the disk.
    pub synced: Ranges,
    /// The boot of the system during which it was written; empty if the system does not say. `None` in states of
    /// earlier versions, which are trusted.
    pub boot: Option<Box<str>>,
    /// The part file has gannet's attribute: one without it is another program's.
    pub is_marked: bool,
    /// Some of the bytes came from servers that the validators do not cover: it can be resumed only if a digest is
    /// expected.
    pub is_mixed: bool,
    /// The name that the server gave it, if that was requested.
    pub given_name: Option<String>,
    /// It is a web page, by the Content-Type of its first response.
    pub is_page: bool,
}

/// A URL as it is stored in a state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The URL without user information, query and fragment.
    url: String,
    /// A hash of the query.
    query: Option<String>,
}

impl Source {
    /// The source for a URL.
    pub fn of(url: &Url) -> Self {
        let mut bare = url.clone();
        // These calls cannot fail on a URL with a host; other URLs have nothing to remove.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        bare.set_query(None);
        bare.set_fragment(None);
        Self {
            url: bare.into(),
            query: url.query().map(|query| format!("{:016x}", fnv(query))),
        }
    }
}

/// Why a state is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It cannot be parsed, or contradicts itself.
    Damaged,
    /// It has a format that this version of gannet does not know.
    Foreign,
}

impl Unusable {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "its state is damaged",
            Self::Foreign => "its state is of another version of gannet",
        }
    }
}

/// The JSON object in the file. Unknown keys are ignored.
#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    #[serde(default)]
    is_date_strong: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    /// The start and end of each range.
    ranges: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    synced: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_marked: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_mixed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given_name: Option<String>,
    /// Only that of a web page is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
}

/// Only the version: the rest of another format can have any shape.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl State {
    /// Parses a state.
    ///
    /// # Errors
    /// [`Unusable`]: it is damaged, or of another format. It is damaged if ranges overlap, are out of order or lie
    /// beyond the size.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unusable> {
        let damaged = |_| Unusable::Damaged;
        let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(Unusable::Foreign);
        }
        let written: Written = serde_json::from_slice(bytes).map_err(damaged)?;
        let ranges = read_ranges(written.ranges)?;
        let synced = read_ranges(written.synced)?;
        if written.size.is_some_and(|size| ranges.end() > size) {
            return Err(Unusable::Damaged);
        }
        Ok(Self {
            source: Source {
                url: written.url,
                query: written.query,
            },
            size: written.size,
            validators: Validators {
                etag: written.etag,
                last_modified: written.last_modified,
                is_date_strong: written.is_date_strong,
                encoding: written.encoding,
            },
            ranges,
            synced,
            boot: written.boot,
            is_marked: written.is_marked,
            is_mixed: written.is_mixed,
            given_name: written.given_name,
            is_page: written.media_type.is_some(),
        })
    }

    /// Keeps only the ranges that survive a power loss: if the state was written during another `boot` of the system,
    /// those that were synced.
    #[must_use]
    pub fn believed(mut self, boot: &str) -> Self {
        if let Some(own) = self.boot.as_deref()
            && (own.is_empty() || own != boot)
        {
            self.ranges.intersect(&self.synced);
        }
        self
    }

    /// The index of a source that differs in its query alone, as a signed URL does that was signed again. Its server
    /// can prove the version by the strong entity tag and the size, but only if a byte is missing: a 416 has no entity
    /// tag.
    pub(super) fn index_of_another_query(&self, sources: &[Source]) -> Option<usize> {
        let is_tagged = self.validators.etag.is_some() && self.validators.strong().is_some();
        let is_unfinished = self.size.is_some_and(|size| self.ranges.frontier() < size);
        if !is_tagged || !is_unfinished {
            return None;
        }
        let mut sources = sources.iter();
        sources.position(|source| source.url == self.source.url)
    }

    /// Forgets the written ranges.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.synced.clear();
        self.is_mixed = false;
    }

    /// The state as the bytes of a state file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let validators = self.validators.clone();
        let written = Written {
            version: VERSION,
            url: self.source.url.clone(),
            query: self.source.query.clone(),
            size: self.size,
            etag: validators.etag,
            last_modified: validators.last_modified,
            is_date_strong: validators.is_date_strong,
            encoding: validators.encoding,
            ranges: write_ranges(&self.ranges),
            synced: write_ranges(&self.synced),
            boot: self.boot.clone(),
            is_marked: self.is_marked,
            is_mixed: self.is_mixed,
            given_name: self.given_name.clone(),
            media_type: self.is_page.then(|| PAGE.to_owned()),
        };
        let mut bytes = serde_json::to_vec(&written).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

fn read_ranges(pairs: Vec<(u64, u64)>) -> Result<Ranges, Unusable> {
    let ranges = pairs.into_iter().map(|(start, end)| start..end);
    Ranges::in_order(ranges).ok_or(Unusable::Damaged)
}

fn write_ranges(ranges: &Ranges) -> Vec<(u64, u64)> {
    ranges.iter().map(|held| (held.start, held.end)).collect()
}

/// The FNV-1a hash in 64 bits. It is equal in every build, which the standard library does not promise. It
/// distinguishes URLs, and is no protection.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state() -> State {
        State {
            source: Source::of(&"http://u:secret@h/a?sig=secret#secret".parse().unwrap()),
            size: Some(100),
            validators: Validators {
                etag: Some("\"v\"".to_owned()),
                last_modified: Some("then".to_owned()),
                is_date_strong: true,
                encoding: Some("gzip".to_owned()),
            },
            ranges: Ranges::in_order([0..10, 20..100]).unwrap(),
            synced: Ranges::in_order([0..10, 50..60]).unwrap(),
            boot: Some("this".into()),
            is_marked: true,
            is_mixed: true,
            given_name: Some("given".to_owned()),
            is_page: true,
        }
    }

    #[test]
    fn a_state_comes_back_as_it_was_written() {
        let state = state();
        assert_eq!(State::parse(&state.to_bytes()), Ok(state));
        let bare = State::default();
        assert_eq!(State::parse(&bare.to_bytes()), Ok(bare));
    }

    #[test]
    fn after_another_boot_only_what_was_synced_is_believed() {
        let claimed = |boot: Option<&str>, now: &str| {
            let boot = boot.map(Into::into);
            let state = State { boot, ..state() };
            state.believed(now).ranges
        };
        let (all, synced) = (state().ranges, state().synced);
        assert_eq!(claimed(Some("this"), "this"), all);
        assert_eq!(claimed(Some("this"), "other"), synced);
        // Without a boot id, each run may be in another boot.
        assert_eq!(claimed(Some(""), ""), synced);
        assert_eq!(claimed(Some("this"), ""), synced);
        assert_eq!(claimed(None, "this"), all);
    }

    #[test]
    fn a_state_holds_no_secret() {
        let text = String::from_utf8(state().to_bytes()).unwrap();
        assert!(
            !text.contains("secret") && text.contains("http://h/a"),
            "{text}"
        );
    }

    #[test]
    fn urls_that_differ_in_their_query_are_different_sources() {
        let source = |url: &str| Source::of(&url.parse().unwrap());
        assert_eq!(source("http://u:p@h/a?x#1"), source("http://h/a?x#2"));
        assert_ne!(source("http://h/a?x"), source("http://h/a?y"));
        assert_ne!(source("http://h/a?"), source("http://h/a"));
        assert_ne!(source("http://h/a"), source("http://h/b"));
    }

    #[test]
    fn a_state_that_contradicts_itself_is_damaged() {
        let of = |ranges: &str, size: &str| {
            let text =
                format!(r#"{{"version":1,"url":"http://h/","size":{size},"ranges":{ranges}}}"#);
            State::parse(text.as_bytes())
        };
        assert!(of("[[0,5],[6,10]]", "10").is_ok());
        for (ranges, size) in [
            ("[[0,5],[4,10]]", "10"),
            ("[[0,5],[5,10]]", "10"),
            ("[[6,10],[0,5]]", "10"),
            ("[[0,11]]", "10"),
            ("[[5,0]]", "10"),
            ("[[0,-1]]", "10"),
            ("[[0]]", "10"),
            ("[[0,99999999999999999999]]", "10"),
            ("{}", "10"),
            ("[]", "\"10\""),
        ] {
            assert_eq!(
                of(ranges, size),
                Err(Unusable::Damaged),
                "{ranges} of {size}"
            );
        }
        for text in [
            "",
            "{}",
            "null",
            "[1]",
            "{\"version\":1}",
            "{\"version\":\"1\"}",
            "\0\0",
        ] {
            assert_eq!(
                State::parse(text.as_bytes()),
                Err(Unusable::Damaged),
                "{text}"
            );
        }
    }

    #[test]
    fn a_state_of_another_version_is_not_read() {
        for text in ["{\"version\":2}", "{\"version\":0,\"ranges\":7}"] {
            assert_eq!(
                State::parse(text.as_bytes()),
                Err(Unusable::Foreign),
                "{text}"
            );
        }
    }

    #[test]
    fn what_a_later_gannet_adds_is_passed_over() {
        let text = br#"{"version":1,"url":"http://h/","ranges":[],"digest":{"sha256":"00"}}"#;
        assert!(State::parse(text).is_ok());
    }

    proptest! {
        #[test]
        fn a_state_that_was_cut_is_never_read(length in 0_usize..1000) {
            let bytes = state().to_bytes();
            // The last byte is the line feed, which is optional.
            let cut = &bytes[..length.min(bytes.len() - 2)];
            prop_assert!(State::parse(cut).is_err());
        }
    }
}
