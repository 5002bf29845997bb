//! Digests of files: which there are, how people and servers write them, and how they are computed. No I/O.
//!
//! `text` reads them as people write them, `field` as servers do, `hasher` computes them; `pieces`
//! has those of a file's pieces.

mod field;
mod hasher;
mod pieces;
mod text;

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

pub use field::announced;
pub use hasher::Hashers;
pub use pieces::Pieces;
pub use text::untagged;

/// The longest digest, in bytes.
const LONGEST: usize = 64;

/// A way to compute a digest. A later one is harder to forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RFC 1321; forged at will.
    Md5,
    /// FIPS 180-4; forged at great cost.
    Sha1,
    /// FIPS 180-4.
    Sha224,
    /// FIPS 180-4.
    Sha256,
    /// The hash of the BLAKE3 paper, 32 bytes, without a key.
    Blake3,
    /// FIPS 180-4.
    Sha384,
    /// FIPS 180-4.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, the weakest first.
    pub const ALL: [Self; 7] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Blake3,
        Self::Sha384,
        Self::Sha512,
    ];

    /// The name, in the spelling without a dash.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of its digests, in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The algorithm of a name in any case, with or without dashes: `sha256`, `SHA-256`.
    pub fn named(name: &str) -> Option<Self> {
        let letters = || name.bytes().filter(|&byte| byte != b'-');
        let is = |algorithm: &Self| {
            letters()
                .map(|byte| byte.to_ascii_lowercase())
                .eq(algorithm.name().bytes())
        };
        Self::ALL.into_iter().find(is)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A digest, displayed as `sha256:HEX`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// As many bytes as the algorithm's digests have, then zeros.
    bytes: [u8; LONGEST],
}

impl Digest {
    /// A digest of its bytes; `None` if they are not as many as the algorithm's digests have.
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

    /// How it was computed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }

    /// As it stands in a file's integrity metadata, `sha256-BASE64` (W3C Subresource Integrity §3.1).
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

/// What a file's digest is to be: one of these, all by one algorithm. More than one is rare: W3C Subresource Integrity
/// §3.3.4 lets several stand for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    first: Digest,
    others: Vec<Digest>,
}

impl Expected {
    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        self.first.algorithm
    }

    /// Whether a digest is one of these.
    pub fn is_met_by(&self, digest: &Digest) -> bool {
        self.digests().any(|expected| expected == digest)
    }

    /// The digests, at least one.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// One expectation of several digests by one algorithm; `None` if there is none. Those by another are left out.
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
