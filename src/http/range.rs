//! [`ByteRange`], the value of Range, and [`ContentRange`], that of Content-Range (RFC 9110 §14.2 and §14.4).

use std::fmt;
use std::str::FromStr;

use super::grammar::{decimal, trim};

/// The only range unit that is used (RFC 9110 §14.1.2).
const UNIT: &[u8] = b"bytes";

/// A requested range of bytes (RFC 9110 §14.1.2): `0-99`, `100-` or `-100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// A range that begins at an offset.
    From {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, at least `first`; `None` means up to the end of the file.
        last: Option<u64>,
    },
    /// A suffix range: the last N bytes, at least one.
    Last(u64),
}

impl ByteRange {
    /// Whether a 206 with this Content-Range satisfies the request: it has exactly the requested bytes, or fewer
    /// because the file ends first.
    pub(crate) fn is_satisfied_by(self, sent: ContentRange) -> bool {
        let is_at_end = sent.total == Some(sent.last + 1);
        match self {
            Self::From { first, last } => {
                let is_short = last.is_none_or(|last| sent.last < last);
                sent.first == first && (last == Some(sent.last) || is_short && is_at_end)
            }
            Self::Last(count) => {
                let first = sent.total.map(|total| total.saturating_sub(count));
                is_at_end && first == Some(sent.first)
            }
        }
    }

    /// Whether the range covers a whole file of `size` bytes. Without a size: whether it covers a file of any size.
    pub(crate) fn covers(self, size: Option<u64>) -> bool {
        match self {
            Self::From { first: 0, last } => {
                last.is_none_or(|last| size.is_some_and(|size| size <= last.saturating_add(1)))
            }
            Self::From { .. } => false,
            Self::Last(count) => size.is_some_and(|size| size <= count),
        }
    }
}

/// Parses `A-B`, `A-` or `-N`.
impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(',') {
            return Err("only one range can be requested".to_owned());
        }
        match byte_range(text)
            .ok_or_else(|| format!("'{text}' is not a byte range: use A-B, A- or -N"))?
        {
            Self::Last(0) => Err("a range has at least one byte".to_owned()),
            Self::From { first, last } if last.is_some_and(|last| last < first) => {
                Err(format!("the range {text} ends before it begins"))
            }
            range => Ok(range),
        }
    }
}

/// Parses one of the three forms, without comparing the bounds.
fn byte_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.split_once('-')?;
    let last = match last {
        "" => None,
        digits => Some(decimal(digits.as_bytes())?),
    };
    if first.is_empty() {
        return Some(ByteRange::Last(last?));
    }
    let first = decimal(first.as_bytes())?;
    Some(ByteRange::From { first, last })
}

/// As in a Range field, without the unit.
impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From {
                first,
                last: Some(last),
            } => write!(f, "{first}-{last}"),
            Self::From { first, last: None } => write!(f, "{first}-"),
            Self::Last(count) => write!(f, "-{count}"),
        }
    }
}

/// The range of bytes in a 206: `bytes 0-99/1000` or `bytes 0-99/*`. The numbers are parsed strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte: at least `first` and below `u64::MAX`, so `last - first + 1` does not overflow.
    pub last: u64,
    /// The size of the file in bytes, if the server knows it; greater than `last`.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Parses a field's value. `None` if the RFC calls it invalid, or if the unit is not bytes.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (range, total) = parts(value)?;
        let dash = range.iter().position(|&byte| byte == b'-')?;
        let first = decimal(&range[..dash])?;
        let last = decimal(&range[dash + 1..])?;
        let total = match total {
            b"*" => None,
            digits => Some(decimal(digits)?),
        };
        let is_valid = first <= last && last < total.unwrap_or(u64::MAX);
        is_valid.then_some(Self { first, last, total })
    }

    /// Parses the form in a 416, `bytes */1000`, and returns the size of the file.
    pub fn parse_unsatisfied(value: &[u8]) -> Option<u64> {
        match parts(value)? {
            (b"*", total) => decimal(total),
            _ => None,
        }
    }
}

/// The texts before and after the slash, without the unit. Units are case-insensitive (RFC 9110 §14.1). Some servers
/// write `bytes:` or `bytes=`, and some leave the unit out; other clients accept that.
fn parts(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = trim(value);
    let rest = match value.split_at_checked(UNIT.len()) {
        Some((unit, rest)) if unit.eq_ignore_ascii_case(UNIT) => match rest {
            [b' ' | b'\t' | b':' | b'=', rest @ ..] => trim(rest),
            _ => return None,
        },
        _ => value,
    };
    let slash = rest.iter().position(|&byte| byte == b'/')?;
    Some((&rest[..slash], &rest[slash + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_they_are_written() {
        for text in ["0-0", "5-9", "7-", "0-", "-1", "0-18446744073709551615"] {
            let range: ByteRange = text.parse().unwrap();
            assert_eq!(range.to_string(), text);
        }
        for text in [
            "",
            "-",
            "5",
            "-0",
            "9-5",
            "a-b",
            "+1-2",
            "1 - 2",
            "0-1,5-6",
            "bytes=0-1",
            "--5",
            "0--1",
            "18446744073709551616-",
            "-18446744073709551616",
        ] {
            assert!(text.parse::<ByteRange>().is_err(), "{text}");
        }
    }

    fn part(first: u64, last: u64, total: Option<u64>) -> Option<ContentRange> {
        Some(ContentRange { first, last, total })
    }

    #[test]
    fn a_part_says_where_it_lies() {
        assert_eq!(ContentRange::parse(b"bytes 0-0/1"), part(0, 0, Some(1)));
        assert_eq!(ContentRange::parse(b"Bytes 5-9/*"), part(5, 9, None));
        assert_eq!(
            ContentRange::parse(b"bytes 05-9/0010"),
            part(5, 9, Some(10))
        );
    }

    #[test]
    fn the_unit_may_be_misspelled_or_missing() {
        for value in [
            "bytes=0-1/5",
            "bytes: 0-1/5",
            "BYTES:0-1/5",
            "bytes  0-1/5",
            " bytes\t0-1/5 ",
            "0-1/5",
        ] {
            let range = ContentRange::parse(value.as_bytes());
            assert_eq!(range, part(0, 1, Some(5)), "{value}");
        }
    }

    #[test]
    fn what_the_rfc_calls_invalid_is_not_read() {
        for bad in [
            "",
            "bytes",
            "bytes ",
            "bytes 0-1",
            "bytes 2-1/5",
            "bytes 0-5/5",
            "bytes 0-/5",
            "bytes -1/5",
            "bytes */5",
            "bytes 0 - 1/5",
            "bytes0-1/5",
            "bytes:=0-1/5",
            "=0-1/5",
            "bytes +0-1/5",
            "items 0-1/5",
            "bytes 0-1/",
            "bytes 0-18446744073709551615/*",
            "bytes 0-1/18446744073709551616",
            "bytes 0-1/5/6",
        ] {
            assert_eq!(ContentRange::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn an_unsatisfied_range_says_the_total_only() {
        for value in ["bytes */1000", "bytes=*/1000", "*/1000"] {
            let total = ContentRange::parse_unsatisfied(value.as_bytes());
            assert_eq!(total, Some(1000), "{value}");
        }
        for bad in ["bytes */*", "bytes 0-1/5", "bytes */", "bytes */x", "*"] {
            assert_eq!(
                ContentRange::parse_unsatisfied(bad.as_bytes()),
                None,
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_consistent(value in "bytes [0-9]{0,20}-[0-9]{0,20}/([0-9]{1,20}|\\*)") {
            if let Some(range) = ContentRange::parse(value.as_bytes()) {
                prop_assert!(range.first <= range.last);
                prop_assert!((range.last - range.first).checked_add(1).is_some());
                prop_assert!(range.total.is_none_or(|total| range.last < total));
            }
        }
    }
}
