//! Range and Content-Range: which bytes of the whole are asked for, and which a part is (RFC 9110 §14.2 and §14.4).

use std::fmt;
use std::str::FromStr;

use super::grammar::decimal;

/// Bytes that are asked for, as Range has them (RFC 9110 §14.1.2): `0-99`, `100-` or `-100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From an offset on.
    From {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, not below `first`; `None` asks for all the rest.
        last: Option<u64>,
    },
    /// So many at the end, and at least one.
    Last(u64),
}

impl ByteRange {
    /// Whether a part is the one that this asks for: all of it, or as much of it as the file has.
    pub(crate) fn is_answered_by(self, part: ContentRange) -> bool {
        let is_at_end = part.total == Some(part.last + 1);
        match self {
            Self::From { first, last } => {
                let is_short = last.is_none_or(|last| part.last < last);
                part.first == first && (last == Some(part.last) || is_short && is_at_end)
            }
            Self::Last(count) => {
                let first = part.total.map(|total| total.saturating_sub(count));
                is_at_end && first == Some(part.first)
            }
        }
    }

    /// Whether it asks for all of a file of `size` bytes; `None` is any size.
    pub(crate) fn has_all_of(self, size: Option<u64>) -> bool {
        match self {
            Self::From { first: 0, last } => {
                last.is_none_or(|last| size.is_some_and(|size| size <= last.saturating_add(1)))
            }
            Self::From { .. } => false,
            Self::Last(count) => size.is_some_and(|size| size <= count),
        }
    }
}

/// Reads `A-B`, `A-` or `-N`.
impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(',') {
            return Err("only one range can be asked for".to_owned());
        }
        let wrong = || format!("'{text}' is no range of bytes: A-B, A- or -N");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let number = |digits: &str| decimal(digits.as_bytes()).ok_or_else(wrong);
        let range = match (first, last) {
            ("", count) => Self::Last(number(count)?),
            (first, "") => Self::From {
                first: number(first)?,
                last: None,
            },
            (first, last) => Self::From {
                first: number(first)?,
                last: Some(number(last)?),
            },
        };
        match range {
            Self::Last(0) => Err("a range has one byte at least".to_owned()),
            Self::From { first, last } if last.is_some_and(|last| last < first) => {
                Err(format!("the range {text} ends before it begins"))
            }
            range => Ok(range),
        }
    }
}

/// As Range has it, behind the unit.
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

/// The bytes that a 206 carries, by a strict reading: `bytes 0-99/1000` or `bytes 0-99/*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte: not below `first`, and below `u64::MAX`, so that `last - first + 1` is the length.
    pub last: u64,
    /// Bytes of the whole, where the server knows; always above `last`.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads a field's value. `None` for anything that the RFC calls invalid, and for units other than bytes.
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

    /// Reads the form that a 416 carries, `bytes */1000`: the bytes of the whole.
    pub fn parse_unsatisfied(value: &[u8]) -> Option<u64> {
        match parts(value)? {
            (b"*", total) => decimal(total),
            _ => None,
        }
    }
}

/// What stands before and after the slash, behind the unit. Units are case-insensitive (RFC 9110 §14.1).
fn parts(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (unit, rest) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes ") {
        return None;
    }
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

    #[test]
    fn a_part_says_where_it_lies() {
        let part = |first, last, total| Some(ContentRange { first, last, total });
        assert_eq!(ContentRange::parse(b"bytes 0-0/1"), part(0, 0, Some(1)));
        assert_eq!(ContentRange::parse(b"Bytes 5-9/*"), part(5, 9, None));
        assert_eq!(
            ContentRange::parse(b"bytes 05-9/0010"),
            part(5, 9, Some(10))
        );
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
            "bytes=0-1/5",
            "bytes  0-1/5",
            "bytes 0-1/5 ",
            "bytes 0 - 1/5",
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
        assert_eq!(ContentRange::parse_unsatisfied(b"bytes */1000"), Some(1000));
        for bad in ["bytes */*", "bytes 0-1/5", "bytes */", "bytes */x", "*/5"] {
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
