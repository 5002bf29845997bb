//! The grammar that fields share (RFC 9110 §5.6): tokens, whitespace, lists, numbers.

/// Whether the bytes are a token: a field name, a method, a coding (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether a token may contain the byte.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a field's value may contain the byte: visible ASCII, space, tab, or above 127 (RFC 9110 §5.5).
pub(crate) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// The bytes without leading and trailing spaces and tabs (RFC 9110 §5.6.3).
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a list on one or more field lines, trimmed, without empty ones (RFC 9110 §5.6.1.2).
pub(crate) fn elements<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = &'a [u8]> {
    lines
        .flat_map(|line| line.split(|&byte| byte == b','))
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Parses one or more digits and nothing else; `None` also if the number does not fit.
pub(crate) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then_some(u64::from(byte & 0x0f))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_no_separators_and_is_not_empty() {
        assert!(is_token(b"x-Api_Key.1~"));
        for bad in [&b""[..], b"a b", b"a:", b"(x)", b"\xe9", b"a\0"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn whitespace_is_trimmed_on_both_sides_only() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t"), b"");
    }

    #[test]
    fn a_list_spans_lines_and_skips_empty_elements() {
        let lines = [&b"a, ,b"[..], b"", b" c ,"];
        let got: Vec<_> = elements(lines.into_iter()).collect();
        assert_eq!(got, [b"a", b"b", b"c"]);
    }

    #[test]
    fn a_decimal_is_digits_that_fit() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"000018446744073709551615"), Some(u64::MAX));
        for bad in [
            &b""[..],
            b"18446744073709551616",
            b"+1",
            b"-1",
            b"1 ",
            b"0x1",
        ] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }
}
