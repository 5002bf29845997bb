//! [`Pieces`]: the expected digests of the pieces of a file, as in a metalink (RFC 5854 §4.1.3).

use std::num::NonZeroU64;

use super::{Algorithm, Digest};

/// The expected digests of the pieces of a file, in order. All pieces have the same length, except that the last one
/// may be shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    algorithm: Algorithm,
    length: NonZeroU64,
    /// All digests concatenated, because there may be many.
    digests: Vec<u8>,
}

impl Pieces {
    /// No pieces yet; each will have `length` bytes.
    pub fn new(algorithm: Algorithm, length: NonZeroU64) -> Self {
        Self {
            algorithm,
            length,
            digests: Vec::new(),
        }
    }

    /// Adds the digest of the next piece. A digest by another algorithm is ignored.
    pub fn push(&mut self, digest: &Digest) {
        if digest.algorithm() == self.algorithm {
            self.digests.extend_from_slice(digest.as_bytes());
        }
    }

    /// The algorithm of all the digests.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The length of each piece but the last, in bytes.
    pub fn length(&self) -> u64 {
        self.length.get()
    }

    /// The number of pieces.
    pub fn count(&self) -> usize {
        self.digests.len() / self.algorithm.length()
    }

    /// The digest of a piece, by its index from 0.
    pub fn digest(&self, index: usize) -> Option<Digest> {
        let mut digests = self.digests.chunks_exact(self.algorithm.length());
        Digest::new(self.algorithm, digests.nth(index)?)
    }

    /// Whether a file of `size` bytes has this number of pieces.
    pub fn fit(&self, size: u64) -> bool {
        size.div_ceil(self.length()) == self.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_a_file_whose_last_byte_is_in_the_last_of_them() {
        let length = NonZeroU64::new(10).unwrap();
        let mut pieces = Pieces::new(Algorithm::Md5, length);
        assert!(pieces.fit(0) && !pieces.fit(1));
        for byte in 0..3 {
            pieces.push(&Digest::new(Algorithm::Md5, &[byte; 16]).unwrap());
            pieces.push(&Digest::new(Algorithm::Sha1, &[byte; 20]).unwrap());
        }
        let fitting: Vec<_> = (0..50).filter(|&size| pieces.fit(size)).collect();
        assert_eq!(fitting, (21..=30).collect::<Vec<_>>());
        assert!(!pieces.fit(u64::MAX));
        assert_eq!(pieces.digest(2), Digest::new(Algorithm::Md5, &[2; 16]));
        assert_eq!(pieces.digest(3), None);
    }
}
