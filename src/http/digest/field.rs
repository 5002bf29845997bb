//! Parses the fields Repr-Digest and Content-Digest (RFC 9530), which are dictionaries of byte sequences (RFC 9651 §3.2
//! and §3.3.5), and the older Digest (RFC 3230) and Content-MD5 (RFC 2616 §14.15).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{Algorithm, Digest};

/// The strongest digest of a field by a known algorithm. `lines` are the values of all its lines, because a
/// dictionary may span several. A field that is not a valid dictionary is ignored (RFC 9651 §4.2).
///
/// ```
/// use gannet::internals::http::digest::announced;
///
/// let digest = announced([&b"unixsum=:AA==:, sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"[..]]).unwrap();
/// assert!(digest.to_string().starts_with("sha256:ba7816bf"));
/// ```
pub fn announced<'l>(lines: impl IntoIterator<Item = &'l [u8]>) -> Option<Digest> {
    let mut strongest: Option<Digest> = None;
    for member in lines
        .into_iter()
        .flat_map(|line| line.split(|byte| *byte == b','))
    {
        let member = std::str::from_utf8(member).ok()?;
        let (key, item) = member.trim_matches([' ', '\t']).split_once('=')?;
        // Base64 contains neither comma nor semicolon, so a semicolon begins the parameters.
        let encoded = item.split(';').next().unwrap_or_default();
        let encoded = encoded.trim_end_matches(' ').strip_prefix(':')?;
        let bytes = BASE64_STANDARD.decode(encoded.strip_suffix(':')?).ok()?;
        let digest =
            Algorithm::with_field_key(key).and_then(|algorithm| Digest::new(algorithm, &bytes));
        strongest = strongest
            .into_iter()
            .chain(digest)
            .max_by_key(Digest::algorithm);
    }
    strongest
}

/// The strongest digest of a Digest field by a known algorithm (RFC 3230 §4.3.2). Its members are independent: an
/// invalid one is ignored.
pub fn announced_before<'l>(lines: impl IntoIterator<Item = &'l [u8]>) -> Option<Digest> {
    let members = lines
        .into_iter()
        .flat_map(|line| line.split(|byte| *byte == b','));
    let digests = members.filter_map(|member| {
        let (name, encoded) = std::str::from_utf8(member).ok()?.split_once('=')?;
        let name = name.trim();
        let algorithm = Algorithm::with_field_key(&name.to_ascii_lowercase())
            .or_else(|| Algorithm::named(name))?;
        let bytes = BASE64_STANDARD.decode(encoded.trim()).ok()?;
        Digest::new(algorithm, &bytes)
    });
    digests.max_by_key(Digest::algorithm)
}

/// The digest of a Content-MD5 field; `None` if it is not an MD5 digest in Base64.
pub fn content_md5(value: &[u8]) -> Option<Digest> {
    let bytes = BASE64_STANDARD.decode(value.trim_ascii()).ok()?;
    Digest::new(Algorithm::Md5, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_fields_are_read() {
        let md5 = "md5:d41d8cd98f00b204e9800998ecf8427e";
        for (value, digest) in [
            ("MD5=1B2M2Y8AsgTpgAmY7PhCfg==", Some(md5)),
            (
                "md5 = 1B2M2Y8AsgTpgAmY7PhCfg== , crc32c=AAAAAA==",
                Some(md5),
            ),
            ("ADLER32=03da0195,MD5=1B2M2Y8AsgTpgAmY7PhCfg==", Some(md5)),
            (
                "SHA=2jmj7l5rSw0yVb/vlWAYkK/YBwk=,MD5=1B2M2Y8AsgTpgAmY7PhCfg==",
                Some("sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ),
            ("MD5=d41d8cd98f00b204e9800998ecf8427e", None),
            ("", None),
            ("UNIXsum=30637", None),
        ] {
            let found = announced_before([value.as_bytes()]);
            let found = found.map(|digest| digest.to_string());
            assert_eq!(found.as_deref(), digest, "{value}");
        }
        let found = content_md5(b" 1B2M2Y8AsgTpgAmY7PhCfg== ");
        assert_eq!(found.map(|digest| digest.to_string()).as_deref(), Some(md5));
        assert_eq!(content_md5(b"d41d8cd98f00b204e9800998ecf8427e"), None);
    }

    fn shown(value: &str) -> Option<String> {
        announced([value.as_bytes()]).map(|digest| digest.to_string())
    }

    /// The examples of RFC 9530, §2 and appendix B.
    const SHA256: &str = "sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:";
    const SHA512: &str = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

    #[test]
    fn the_strongest_known_digest_counts() {
        assert_eq!(
            shown(SHA256).as_deref(),
            Some("sha256:778df9428fa7299fa02dc5079fb190b50ef6862055020aa82ec66764f89318f9")
        );
        let both = format!("{SHA512},\t{SHA256}");
        assert!(shown(&both).unwrap().starts_with("sha512:60c01a9b"));
        assert!(shown(&format!("{SHA256};q=1, x=:AA==:")).is_some());
    }

    #[test]
    fn the_lines_of_a_field_are_one_dictionary() {
        let lines = [SHA256, SHA512];
        let digest = announced(lines.map(str::as_bytes)).unwrap();
        assert!(digest.to_string().starts_with("sha512:60c01a9b"));
        assert_eq!(announced([SHA256, "broken"].map(str::as_bytes)), None);
    }

    #[test]
    fn what_is_unknown_or_damaged_is_ignored() {
        for value in [
            "",
            "sha-256",
            "unixsum=:AA==:",
            "sha-256=:AA==:",
            "sha-256=::",
            "sha-256=:",
            "sha-256=d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=",
            "SHA-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:",
            "sha-256=\"x\"",
        ] {
            assert_eq!(shown(value), None, "{value}");
        }
        assert_eq!(shown(&format!("{SHA256}, broken")), None);
        assert_eq!(announced([&b"sha-256=:\xff:"[..]]), None);
    }
}
