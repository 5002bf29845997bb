//! `NAME.part.gannet`: what is known of the incomplete body beside it, so that another run can go
//! on with it. Pure: bytes in, bytes out; `part` reads and writes the file.
//!
//! It holds no secret: of the URL, neither user information nor query, but a hash of the query.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Ranges, Validators};

/// The version of the format. A state of any other is not read.
const VERSION: u32 = 1;

/// The longest state that is read, in bytes.
pub const LONGEST: usize = 1 << 20;

/// What is written of a body, and of which version of which file it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Where it comes from.
    pub source: Source,
    /// Bytes of the whole, where the server said.
    pub size: Option<u64>,
    /// Of which version it is.
    pub validators: Validators,
    /// What is written.
    pub ranges: Ranges,
    /// What of it was synced to the disk.
    pub synced: Ranges,
    /// The boot of the system that it was written under, empty where that is not known. None in states of earlier
    /// versions, which are believed.
    pub boot: Option<Box<str>>,
    /// The part carries gannet's attribute: one without it is another program's.
    pub is_marked: bool,
    /// Some of it came from servers that the validators say nothing of: it is good only where a digest is asked for.
    pub is_mixed: bool,
    /// The name that its server gave it, where that was asked for.
    pub given_name: Option<String>,
}

/// A URL as a state names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// Without user information, query and fragment.
    url: String,
    /// A hash of the query.
    query: Option<String>,
}

impl Source {
    /// The source that a URL is.
    pub fn of(url: &Url) -> Self {
        let mut bare = url.clone();
        // Neither fails on a URL that has a host; on others there is nothing to take away.
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

/// Why a state is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It cannot be read, or contradicts itself.
    Damaged,
    /// It is of a format that this version of gannet does not know.
    Foreign,
}

impl Unusable {
    /// The same in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "its state is damaged",
            Self::Foreign => "its state is of another version of gannet",
        }
    }
}

/// The file as it is written. Keys that are not known are passed over.
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
    /// First offset, and the offset behind the last.
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
}

/// The version alone: the rest of another format may look like anything.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl State {
    /// Reads a state.
    ///
    /// # Errors
    /// [`Unusable`]: it is damaged, or of another format. Ranges that overlap, are out of order or
    /// lie beyond the size are damage.
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
        })
    }

    /// Leaves only what is surely on the disk, under a `boot` of the system: a loss of power may have taken what was
    /// written under another and not synced.
    #[must_use]
    pub fn believed(mut self, boot: &str) -> Self {
        let is_same_boot = |own: &str| !own.is_empty() && own == boot;
        if !self.boot.as_deref().is_none_or(is_same_boot) {
            self.ranges.intersect(&self.synced);
        }
        self
    }

    /// Forgets what was written.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.synced.clear();
        self.is_mixed = false;
    }

    /// The state as it is written.
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

/// FNV-1a in 64 bits: the same in every build, which the standard library's hash does not promise.
/// It tells URLs apart; it keeps nothing safe.
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
        // Where the system does not tell one boot from another, each may be another.
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
            // The last byte is the line's end, which nothing needs.
            let cut = &bytes[..length.min(bytes.len() - 2)];
            prop_assert!(State::parse(cut).is_err());
        }
    }
}
