//! Parses digests in the notations of command lines, lists and tools.
//!
//! | notation | used by |
//! | --- | --- |
//! | `sha-256=HEX`, `sha256=HEX`, `sha256:HEX` | aria2, URL fragments, OCI |
//! | `sha256-BASE64`, several separated by blanks | W3C Subresource Integrity, npm, Nix |
//! | `sha256:BASE32`, `sha256:BASE64` | Nix |

use std::str::FromStr;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::{Algorithm, Digest, Expected};

/// The alphabet of Nix's base 32.
const NIX: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// Base64 with optional padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl FromStr for Expected {
    type Err = String;

    /// Parses a digest in any notation. Of several digests in the notation of Subresource Integrity, those by the
    /// strongest algorithm count, and those by unknown algorithms are ignored (W3C Subresource Integrity §3.3.3 and
    /// §3.3.4).
    ///
    /// # Errors
    /// Why the text is not a digest; the message is printable.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.split_ascii_whitespace().nth(1).is_none() {
            return one(text).map(Self::from);
        }
        let mut strongest: Vec<Digest> = Vec::new();
        for hash in text.split_ascii_whitespace() {
            let Some((name, encoded)) = hash.split_once('-') else {
                return Err("several digests must each be ALGORITHM-BASE64".into());
            };
            let Some(algorithm) = Algorithm::named(name) else {
                continue;
            };
            let digest = sri(algorithm, encoded)?;
            match strongest.first().map(Digest::algorithm) {
                Some(best) if best > algorithm => {}
                Some(best) if best == algorithm => strongest.push(digest),
                _ => strongest = vec![digest],
            }
        }
        Self::any_of(strongest)
            .ok_or_else(|| format!("no digest by a known algorithm ({})", Algorithm::names()))
    }
}

/// Parses one digest with its algorithm.
fn one(text: &str) -> Result<Digest, String> {
    // In `sha-256=` the dash is part of the name; in `sha256-` it ends the name.
    let Some(at) = text.find(['=', ':']).filter(|&at| is_name(&text[..at])) else {
        let (name, encoded) = text
            .split_once('-')
            .ok_or("not ALGORITHM:HEX or ALGORITHM-BASE64")?;
        return sri(algorithm(name)?, encoded);
    };
    let (name, encoded) = (&text[..at], &text[at + 1..]);
    encoded_digest(algorithm(name)?, encoded)
}

/// Whether the text before a `=` or `:` may be the name of an algorithm. It is not if the `=` is the padding of
/// base64.
fn is_name(text: &str) -> bool {
    let Some((family, size)) = text.split_once('-') else {
        return text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    };
    let is_size = size.len() <= 3 && size.bytes().all(|byte| byte.is_ascii_digit());
    is_size && family.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::named(name).ok_or_else(|| {
        let names = Algorithm::names();
        format!(
            "unknown algorithm '{}' (known: {names})",
            name.escape_default()
        )
    })
}

/// Parses the text after `sha256-`: base64, optionally with `?` and options, which have no meaning yet (W3C
/// Subresource Integrity §3.1).
fn sri(algorithm: Algorithm, encoded: &str) -> Result<Digest, String> {
    let encoded = encoded.split('?').next().unwrap_or_default();
    // The grammar is that of Content Security Policy, which also allows the URL-safe alphabet.
    let bytes = BASE64.decode(encoded.replace('-', "+").replace('_', "/"));
    let bytes = bytes.ok();
    let digest = bytes.and_then(|bytes| Digest::new(algorithm, &bytes));
    digest.ok_or_else(|| {
        format!(
            "a {algorithm} digest is {} bytes in base64 after the dash",
            algorithm.length()
        )
    })
}

/// Parses the text after `sha256:`. Its length identifies the base.
fn encoded_digest(algorithm: Algorithm, encoded: &str) -> Result<Digest, String> {
    let length = algorithm.length();
    let bytes = if encoded.len() == 2 * length {
        from_hex(encoded)
    } else if encoded.len() == (8 * length).div_ceil(5) {
        from_nix(encoded, length)
    } else {
        BASE64.decode(encoded).ok()
    };
    let digest = bytes.and_then(|bytes| Digest::new(algorithm, &bytes));
    digest.ok_or_else(|| format!("a {algorithm} digest is {} hex digits", 2 * length))
}

/// Parses a digest in hex, as in the output of `sha256sum` and similar tools. Its length identifies the algorithm.
///
/// # Errors
/// Why the text is not a digest; the message is printable.
pub fn untagged(hex: &str) -> Result<Digest, String> {
    let algorithm = match hex.len() {
        digits if digits.is_multiple_of(2) => Algorithm::of_length(digits / 2),
        _ => None,
    };
    let algorithm = algorithm.ok_or("no digest has this number of digits")?;
    encoded_digest(algorithm, hex)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some(from_hex_digit(high)? * 16 + from_hex_digit(low)?),
            _ => None,
        })
        .collect()
}

fn from_hex_digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Nix's base 32: the last letter holds the lowest five bits of the first byte.
fn from_nix(text: &str, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    for (index, letter) in text.bytes().rev().enumerate() {
        let value = NIX.iter().position(|&known| known == letter)?;
        let (at, shift) = (index * 5 / 8, index * 5 % 8);
        let bits = value << shift;
        bytes[at] |= (bits & 0xff) as u8;
        match (bits >> 8, bytes.get_mut(at + 1)) {
            (0, _) => {}
            (carry, Some(next)) => *next |= carry as u8,
            (_, None) => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const BASE64_OF_IT: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    /// `nix hash to-base32 --type sha256`.
    const NIX_OF_IT: &str = "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s";

    fn read(text: &str) -> String {
        text.parse::<Expected>().unwrap().to_string()
    }

    fn fault(text: &str) -> String {
        text.parse::<Expected>().unwrap_err()
    }

    #[test]
    fn every_form_of_one_digest_is_the_same_digest() {
        for text in [
            format!("sha256:{HEX}"),
            format!("sha256={HEX}"),
            format!("sha-256={HEX}"),
            format!("SHA-256:{}", HEX.to_uppercase()),
            format!(" sha256:{HEX} "),
            format!("sha256-{BASE64_OF_IT}"),
            format!("sha256-{}", BASE64_OF_IT.trim_end_matches('=')),
            format!("sha256-{BASE64_OF_IT}?foo"),
            format!("sha256:{BASE64_OF_IT}"),
            format!("sha256:{NIX_OF_IT}"),
        ] {
            assert_eq!(read(&text), format!("sha256:{HEX}"), "{text}");
        }
    }

    #[test]
    fn nix_writes_other_lengths_too() {
        for (text, hex) in [
            (
                "md5:3jgzhjhz9zjvbb0kyj7jc500ch",
                "md5:900150983cd24fb0d6963f7d28e17f72",
            ),
            (
                "sha1:kpcd173cq987hw957sx6m0868wv3x6d9",
                "sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
            ),
        ] {
            assert_eq!(read(text), hex);
        }
        // The two bits beyond the digest's 128 are set.
        assert!(fault("md5:zjgzhjhz9zjvbb0kyj7jc500ch").contains("32 hex digits"));
    }

    #[test]
    fn of_several_hashes_the_strongest_counts() {
        let long = "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==";
        let for_urls = long.replace('+', "-").replace('/', "_");
        assert_eq!(read(&for_urls), read(long));
        let several = format!("sha256-{BASE64_OF_IT}  {long} sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
        assert!(read(&several).starts_with("sha512:ddaf35a1"));
        assert_eq!(
            read(&format!("sha999-AAAA sha256-{BASE64_OF_IT}")),
            format!("sha256:{HEX}")
        );
        let zeros = format!("sha256-{}=", "A".repeat(43));
        assert_eq!(
            read(&format!("{zeros} sha256-{BASE64_OF_IT}")),
            format!("sha256:{} or sha256:{HEX}", "0".repeat(64))
        );
        assert!(fault("sha999-AAAA sha998-AAAA").starts_with("no digest by a known algorithm"));
        assert!(fault(&format!("sha256-{BASE64_OF_IT} sha512-AAAA")).contains("64 bytes"));
        assert!(fault(&format!("sha256:{HEX} sha256:{HEX}")).contains("several digests"));
    }

    #[test]
    fn what_is_no_digest_is_refused_with_the_reason() {
        for (text, part) in [
            ("", "not ALGORITHM:HEX"),
            (HEX, "not ALGORITHM:HEX"),
            ("crc32:00000000", "unknown algorithm 'crc32'"),
            ("sha3-256=00", "unknown algorithm 'sha3'"),
            ("b\u{1b}:00", "not ALGORITHM"),
            ("sha256:", "64 hex digits"),
            ("sha256:abcd", "64 hex digits"),
            ("sha256-abcd", "32 bytes in base64"),
            ("sha256-====", "32 bytes in base64"),
            ("=", "unknown algorithm ''"),
            ("-", "unknown algorithm ''"),
        ] {
            assert!(fault(text).contains(part), "{text:?}: {}", fault(text));
        }
        assert!(fault(&format!("sha256:{}", "g".repeat(64))).contains("64 hex digits"));
        assert!(fault(&format!("sha256:{}", "\u{e9}".repeat(32))).contains("64 hex digits"));
        assert!(fault(&format!("sha256:{}e", &NIX_OF_IT[1..])).contains("64 hex digits"));
    }

    #[test]
    fn a_length_tells_the_algorithm() {
        for algorithm in [
            Algorithm::Md5,
            Algorithm::Sha1,
            Algorithm::Sha224,
            Algorithm::Sha256,
            Algorithm::Sha384,
            Algorithm::Sha512,
        ] {
            let digest = untagged(&"0".repeat(2 * algorithm.length())).unwrap();
            assert_eq!(digest.algorithm(), algorithm);
        }
        assert!(untagged("00").is_err());
        assert!(untagged(&"x".repeat(64)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_digest_or_a_printable_fault(text in "(sha-?256|md5|sha1)?[-:= ]?\\PC{0,70}|.{0,40}") {
            if let Err(fault) = text.parse::<Expected>() {
                prop_assert!(!fault.contains(char::is_control), "{fault:?}");
            }
        }

        #[test]
        fn a_digest_is_read_back_in_each_form(bytes: [u8; 32]) {
            for algorithm in [Algorithm::Sha256, Algorithm::Blake3] {
                let digest = Digest::new(algorithm, &bytes).unwrap();
                prop_assert_eq!(digest.to_string().parse(), Ok(Expected::from(digest)));
                prop_assert_eq!(digest.to_sri().parse(), Ok(Expected::from(digest)));
            }
        }
    }
}
