//! What the digests of a file's pieces are to be, as a metalink has them (RFC 5854 §4.1.3).

use std::num::NonZeroU64;

use super::{Algorithm, Digest};

/// The digests of a file's pieces, in order. All pieces are equally long but the last, which may be shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    algorithm: Algorithm,
    length: NonZeroU64,
    /// One behind the other: a list of them may be long.
    digests: Vec<u8>,
}

impl Pieces {
    /// No pieces yet, each to have `length` bytes.
    pub fn new(algorithm: Algorithm, length: NonZeroU64) -> Self {
        Self {
            algorithm,
            length,
            digests: Vec::new(),
        }
    }

    /// Adds the digest of the next piece; one by another algorithm is left out.
    pub fn push(&mut self, digest: &Digest) {
        if digest.algorithm() == self.algorithm {
            self.digests.extend_from_slice(digest.as_bytes());
        }
    }

    /// How the digests are computed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Bytes of each piece but the last.
    pub fn length(&self) -> u64 {
        self.length.get()
    }

    /// How many pieces there are.
    pub fn count(&self) -> usize {
        self.digests.len() / self.algorithm.length()
    }

    /// The digest of a piece, counted from 0.
    pub fn digest(&self, index: usize) -> Option<Digest> {
        let mut digests = self.digests.chunks_exact(self.algorithm.length());
        Digest::new(self.algorithm, digests.nth(index)?)
    }

    /// Whether these can be the pieces of a file of `size` bytes.
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
