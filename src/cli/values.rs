//! Values of flags that are more than a number or a name, as they are typed. Like `flags.rs` this stands on few crates, so that
//! tests can include it by its path.

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

#[cfg(test)]
mod tests {
    use super::*;

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
