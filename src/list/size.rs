//! Sizes as people type them: `512`, `8m`, `1.5GiB`.

use super::excerpt::quote;

/// More digits than this after the point are refused, so that the arithmetic stays exact.
const MOST_FRACTION_DIGITS: usize = 18;

/// A size in bytes. `K`, `M`, `G` of either case are powers of 1024, and a `B` or `iB` after them changes nothing;
/// a fraction (`1.5G`) is rounded down to a whole byte.
///
/// ```
/// use gannet::list::parse_size;
///
/// assert_eq!(parse_size("10M"), Ok(10 << 20));
/// assert_eq!(parse_size("1.5k"), Ok(1536));
/// ```
///
/// # Errors
/// A sentence that quotes the text, when it is no size or does not fit into 64 bits.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let unit_at = text
        .find(|character: char| character.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(unit_at);
    let bytes = shift(suffix)
        .and_then(|shift| scale(number, shift))
        .ok_or_else(|| {
            format!(
                "{} is not a size (bytes, or a number with K, M or G)",
                quote(text.as_bytes())
            )
        })?;
    u64::try_from(bytes).map_err(|_| format!("{} is too large a size", quote(text.as_bytes())))
}

/// The power of two that a suffix stands for.
fn shift(suffix: &str) -> Option<u32> {
    match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        _ => None,
    }
}

/// `number` times two to the `shift`, rounded down; `u128::MAX` for what is beyond all bounds.
fn scale(number: &str, shift: u32) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_point = number.contains('.');
    if !is_digits(whole)
        || !is_digits(fraction)
        || has_point && shift == 0
        || fraction.len() > MOST_FRACTION_DIGITS
    {
        return None;
    }
    let Ok(whole) = whole.parse::<u64>() else {
        return Some(u128::MAX);
    };
    let parts = fraction.parse::<u128>().ok()?;
    let power = u32::try_from(fraction.len()).ok()?;
    Some((u128::from(whole) << shift) + (parts << shift) / 10_u128.pow(power))
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
            ("0.001K", 1),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "", "K", "-1", "+1", "1.5", "1.", ".5G", "1.5.2M", "1X", "1T", "1 K", "1iB", "１",
            "1K\n", "0x10",
        ] {
            assert!(
                parse_size(text).unwrap_err().contains("is not a size"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_too_large() {
        for text in [
            "18446744073709551616",
            "17179869184G",
            "99999999999999999999999999999999999999999K",
        ] {
            assert!(
                parse_size(text).unwrap_err().contains("too large"),
                "{text}"
            );
        }
        assert!(parse_size("17179869183.999G").is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_an_error(text in ".{0,40}|[0-9]{0,50}\\.?[0-9]{0,25}[kKmMgGiIbB]{0,3}") {
            let _ = parse_size(&text);
        }

        #[test]
        fn whole_sizes_are_exact(number in 0_u64..1 << 33, unit in 0_usize..4) {
            let text = format!("{number}{}", ["", "K", "m", "GiB"][unit]);
            prop_assert_eq!(parse_size(&text), Ok(number << (10 * unit)));
        }
    }
}
