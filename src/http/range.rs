//! Content-Range: which bytes of the whole a part is (RFC 9110 §14.4).

use super::grammar::decimal;

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
