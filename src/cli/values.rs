//! Values of flags that are more than a number or a name, as they are typed. Like `flags.rs` this stands on few crates, so that
//! tests can include it by its path.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Digests of public keys, as `--pinnedpubkey` gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pins(Vec<[u8; 32]>);

impl Pins {
    /// At least one.
    pub(crate) fn digests(&self) -> &[[u8; 32]] {
        &self.0
    }
}

/// `sha256//BASE64`, several separated by semicolons.
pub(crate) fn pins(typed: &str) -> Result<Pins, String> {
    let digest = |pin: &str| {
        let text = pin.trim().strip_prefix("sha256//")?;
        STANDARD.decode(text).ok()?.try_into().ok()
    };
    let digests: Option<_> = typed.split(';').map(digest).collect();
    digests
        .map(Pins)
        .ok_or_else(|| "not sha256// and the Base64 of 32 bytes".into())
}

/// Statuses, as `--retry-on` gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Codes(pub(crate) Vec<u16>);

/// `500,503`; only failures can be tried again.
pub(crate) fn codes(typed: &str) -> Result<Codes, String> {
    let code = |text: &str| {
        let code = text.trim().parse().ok();
        code.filter(|code| (400..600).contains(code))
    };
    let codes: Option<_> = typed.split(',').map(code).collect();
    codes
        .map(Codes)
        .ok_or_else(|| "not error statuses such as 500,503".into())
}

/// A rate in bytes a second, and for how long it is to be kept, as `--min-speed` gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MinSpeed {
    pub(crate) rate: u64,
    pub(crate) span: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_error_statuses() {
        assert_eq!(codes("404, 503").unwrap().0, [404, 503]);
        for bad in ["", "200", "404,", "x", "600", "-1"] {
            assert!(codes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pins_are_sha256_in_base64() {
        let one = format!("sha256//{}", STANDARD.encode([7; 32]));
        assert_eq!(pins(&one).unwrap().digests(), [[7; 32]]);
        assert_eq!(pins(&format!("{one};{one}")).unwrap().digests().len(), 2);
        for bad in [
            "",
            "sha256//",
            "sha256//AAAA",
            "md5//AAAA",
            "key.pem",
            &format!("{one};"),
        ] {
            assert!(pins(bad).is_err(), "{bad}");
        }
    }
}
