//! Parses sizes such as `512`, `8m` or `1.5GiB`. The syntax is that of the command line, `gannet.toml` and lists.

/// The most digits of a fraction that are used: further ones are less than a byte.
const FRACTION_DIGITS: usize = 18;

/// Why a text is not a size. The message follows the name of the option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It does not have the syntax of a size.
    #[error("not a size such as 300, 64K, 10MB or 1.5GiB")]
    NoSize,
    /// It is more than 2^63-1 bytes.
    #[error("larger than any file can be")]
    TooLarge,
}

/// Parses a size into bytes. `K`, `M`, `G` and `T` are powers of 1024, in either case; `B` or `iB` after them is
/// optional. A fraction (`1.5G`) is rounded down to a whole byte.
///
/// ```
/// use gannet::internals::list::parse_size;
///
/// assert_eq!(parse_size("10M"), Ok(10 << 20));
/// assert_eq!(parse_size("10MB"), Ok(10 << 20));
/// assert_eq!(parse_size("1.5k"), Ok(1536));
/// ```
///
/// # Errors
/// The text is not a size, or the size is too large for a file.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let unit_at = text
        .find(|character: char| character.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(unit_at);
    let shift = shift(suffix).ok_or(SizeError::NoSize)?;
    let bytes = scale(number, shift).ok_or(SizeError::NoSize)?;
    u64::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= i64::MAX.unsigned_abs())
        .ok_or(SizeError::TooLarge)
}

/// The power of two of a suffix.
fn shift(suffix: &str) -> Option<u32> {
    match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        "t" | "tb" | "tib" => Some(40),
        _ => None,
    }
}

/// `number` times two to the power of `shift`, rounded down; `u128::MAX` if the number does not fit.
fn scale(number: &str, shift: u32) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let has_point = number.contains('.');
    if !is_digits(whole) || !is_digits(fraction) || has_point && shift == 0 {
        return None;
    }
    let Ok(whole) = whole.parse::<u64>() else {
        return Some(u128::MAX);
    };
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let parts = fraction.parse::<u128>().ok()?;
    let power = u32::try_from(fraction.len()).ok()?;
    Some((u128::from(whole) << shift) + (parts << shift) / 10_u128.pow(power))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512b", 512),
            ("1K", 1024),
            ("8m", 8 << 20),
            ("10MB", 10 << 20),
            ("10MiB", 10 << 20),
            ("2g", 2 << 30),
            ("1.5G", 3 << 29),
            ("1T", 1 << 40),
            ("1.5TiB", 3 << 39),
            ("2tb", 2 << 40),
            ("0.001K", 1),
            ("0.5K", 512),
            ("1.9999999999999999999K", 2047),
            ("9223372036854775807", i64::MAX.unsigned_abs()),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "", "K", "-1", "+1", "1.5", "1.", ".5G", "1.5.2M", "1X", "1P", "1 K", "10 M", "1e3",
            "é", "1iB", "１", "1K\n", "0x10",
        ] {
            assert_eq!(parse_size(text), Err(SizeError::NoSize), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_too_large() {
        for text in [
            "9223372036854775808",
            "18446744073709551616",
            "8589934592G",
            "99999999T",
            "99999999999999999999999999999999999999999K",
        ] {
            assert_eq!(parse_size(text), Err(SizeError::TooLarge), "{text}");
        }
        assert!(parse_size("8589934591.999G").is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_an_error(text in ".{0,40}|[0-9]{0,50}\\.?[0-9]{0,25}[kKmMgGtTiIbB]{0,3}") {
            let _ = parse_size(&text);
        }

        #[test]
        fn whole_sizes_are_exact(number in 0_u64..1 << 33, unit in 0_usize..4) {
            let text = format!("{number}{}", ["", "K", "m", "GiB"][unit]);
            prop_assert_eq!(parse_size(&text), Ok(number << (10 * unit)));
        }
    }
}
