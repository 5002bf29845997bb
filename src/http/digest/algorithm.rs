//! [`Algorithm`]: the hash functions, and all that the crate knows of each. A new one is added in this file only, and
//! named in the documentation, which tests check.

use std::fmt;

use sha2::Digest as _;

use super::Digest;

/// A hash function. The order is that of strength: weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RFC 1321. Collisions are trivial to make.
    Md5,
    /// FIPS 180-4. Collisions can be made at great cost.
    Sha1,
    /// FIPS 180-4.
    Sha224,
    /// FIPS 180-4.
    Sha256,
    /// BLAKE3 without a key, 32 bytes.
    Blake3,
    /// FIPS 180-4.
    Sha384,
    /// FIPS 180-4.
    Sha512,
}

/// The properties of an algorithm.
struct Properties {
    /// In lower case without a dash.
    name: &'static str,
    /// The length of a digest in bytes.
    length: usize,
    /// The key in Repr-Digest and Content-Digest (RFC 9530 §7.2). A key registered as insecure (§5) still detects
    /// damage.
    field_key: Option<&'static str>,
    /// Digests in hex without the name of an algorithm are by this one, if they have its length.
    is_default_of_length: bool,
}

impl Properties {
    const fn new(name: &'static str, length: usize) -> Self {
        Self {
            name,
            length,
            field_key: None,
            is_default_of_length: true,
        }
    }

    const fn field_key(self, key: &'static str) -> Self {
        Self {
            field_key: Some(key),
            ..self
        }
    }

    const fn needs_name(self) -> Self {
        Self {
            is_default_of_length: false,
            ..self
        }
    }
}

impl Algorithm {
    /// All algorithms, weakest first.
    pub const ALL: [Self; 7] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Blake3,
        Self::Sha384,
        Self::Sha512,
    ];

    const fn properties(self) -> Properties {
        match self {
            Self::Md5 => Properties::new("md5", 16).field_key("md5"),
            Self::Sha1 => Properties::new("sha1", 20).field_key("sha"),
            Self::Sha224 => Properties::new("sha224", 28),
            Self::Sha256 => Properties::new("sha256", 32).field_key("sha-256"),
            Self::Blake3 => Properties::new("blake3", 32).needs_name(),
            Self::Sha384 => Properties::new("sha384", 48),
            Self::Sha512 => Properties::new("sha512", 64).field_key("sha-512"),
        }
    }

    /// The name, in lower case without a dash.
    pub fn name(self) -> &'static str {
        self.properties().name
    }

    /// The length of a digest in bytes.
    pub fn length(self) -> usize {
        self.properties().length
    }

    /// The algorithm with a name; its case and its dashes are ignored: `sha256`, `SHA-256`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| {
            name.bytes()
                .filter(|&byte| byte != b'-')
                .map(|byte| byte.to_ascii_lowercase())
                .eq(algorithm.name().bytes())
        })
    }

    /// The algorithm with a key in Repr-Digest or Content-Digest.
    pub(super) fn with_field_key(key: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.properties().field_key == Some(key))
    }

    /// The algorithm of a digest that is given without a name, by its length in bytes.
    pub(super) fn of_length(length: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| {
            let properties = algorithm.properties();
            properties.is_default_of_length && properties.length == length
        })
    }

    /// The names of all algorithms for a message, strongest first.
    pub(super) fn names() -> String {
        let names: Vec<_> = Self::ALL.into_iter().rev().map(Self::name).collect();
        names.join(", ")
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The state of one hash function.
#[derive(Debug, Clone)]
pub(super) enum Hasher {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    /// Boxed, because it is much larger than the others.
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::Md5(md5::Md5::new()),
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            Algorithm::Sha224 => Self::Sha224(sha2::Sha224::new()),
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => Self::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
            Algorithm::Blake3 => Self::Blake3(Box::new(blake3::Hasher::new())),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha224(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => drop(hasher.update(bytes)),
        }
    }

    pub(super) fn finish(self) -> Digest {
        let digest = match self {
            Self::Md5(hasher) => Digest::new(Algorithm::Md5, &hasher.finalize()),
            Self::Sha1(hasher) => Digest::new(Algorithm::Sha1, &hasher.finalize()),
            Self::Sha224(hasher) => Digest::new(Algorithm::Sha224, &hasher.finalize()),
            Self::Sha256(hasher) => Digest::new(Algorithm::Sha256, &hasher.finalize()),
            Self::Sha384(hasher) => Digest::new(Algorithm::Sha384, &hasher.finalize()),
            Self::Sha512(hasher) => Digest::new(Algorithm::Sha512, &hasher.finalize()),
            Self::Blake3(hasher) => Digest::new(Algorithm::Blake3, hasher.finalize().as_bytes()),
        };
        digest.expect("the output of a hash function has a fixed length")
    }
}
