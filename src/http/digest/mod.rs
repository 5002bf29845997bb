//! Digests of files: algorithms, notations and computation. No I/O.
//!
//! `algorithm` defines the hash functions, `text` parses the notations of command lines and lists, `field` those of
//! HTTP fields, `hasher` computes digests; `pieces` holds the digests of the pieces of a file.

mod algorithm;
mod field;
mod hasher;
mod pieces;
mod text;

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

pub use algorithm::Algorithm;
pub use field::{announced, announced_before, content_md5};
pub use hasher::Hashers;
pub use pieces::Pieces;
pub use text::untagged;

/// The longest digest, in bytes.
const LONGEST: usize = 64;

/// A digest with its algorithm, displayed as `sha256:HEX`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// The digest, padded with zeros.
    bytes: [u8; LONGEST],
}

impl Digest {
    /// A digest from its bytes; `None` if their number is not the algorithm's length.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algorithm.length() {
            return None;
        }
        let mut padded = [0; LONGEST];
        padded[..bytes.len()].copy_from_slice(bytes);
        Some(Self {
            algorithm,
            bytes: padded,
        })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes of the digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }

    /// The notation of W3C Subresource Integrity §3.1: `sha256-BASE64`.
    pub fn to_sri(&self) -> String {
        format!(
            "{}-{}",
            self.algorithm,
            BASE64_STANDARD.encode(self.as_bytes())
        )
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm)?;
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The expected digest of a file: any of one or more digests by one algorithm. More than one is rare: W3C
/// Subresource Integrity §3.3.4 allows several for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    first: Digest,
    others: Vec<Digest>,
}

impl Expected {
    /// The algorithm of all the digests.
    pub fn algorithm(&self) -> Algorithm {
        self.first.algorithm
    }

    /// Whether a digest is among the expected ones.
    pub fn is_met_by(&self, digest: &Digest) -> bool {
        self.digests().any(|expected| expected == digest)
    }

    /// The expected digests; at least one.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Expects any of several digests; `None` if there are none. The first one sets the algorithm; digests by another
    /// algorithm are left out.
    pub fn any_of(digests: impl IntoIterator<Item = Digest>) -> Option<Self> {
        let mut digests = digests.into_iter();
        let first = digests.next()?;
        let others = digests.filter(|digest| digest.algorithm == first.algorithm);
        Some(Self {
            first,
            others: others.collect(),
        })
    }
}

impl From<Digest> for Expected {
    fn from(first: Digest) -> Self {
        Self {
            first,
            others: Vec::new(),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.first, f)?;
        self.others
            .iter()
            .try_for_each(|digest| write!(f, " or {digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_with_and_without_dashes() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
        }
        for (name, algorithm) in [
            ("SHA-256", Some(Algorithm::Sha256)),
            ("Sha512", Some(Algorithm::Sha512)),
            ("MD-5", Some(Algorithm::Md5)),
            ("BLAKE3", Some(Algorithm::Blake3)),
            ("sha", None),
            ("", None),
            ("sha2560", None),
            ("crc32", None),
        ] {
            assert_eq!(Algorithm::named(name), algorithm, "{name}");
        }
    }

    #[test]
    fn a_digest_has_as_many_bytes_as_its_algorithm_says() {
        assert_eq!(Digest::new(Algorithm::Sha1, &[0; 19]), None);
        assert_eq!(Digest::new(Algorithm::Sha1, &[0; 21]), None);
        let digest = Digest::new(Algorithm::Md5, &[0xab; 16]).unwrap();
        assert_eq!(digest.to_string(), format!("md5:{}", "ab".repeat(16)));
        assert_eq!(digest.to_sri(), "md5-q6urq6urq6urq6urq6urqw==");
    }

    #[test]
    fn any_one_of_several_is_enough() {
        let digest = |byte| Digest::new(Algorithm::Sha1, &[byte; 20]).unwrap();
        let expected = Expected::any_of([digest(1), digest(2)]).unwrap();
        assert!(expected.is_met_by(&digest(1)) && expected.is_met_by(&digest(2)));
        assert!(!expected.is_met_by(&digest(3)));
        assert_eq!(Expected::any_of([]), None);
    }
}
