//! [`Hashers`]: computes one or more digests over the same bytes.

use super::algorithm::Hasher;
use super::{Algorithm, Digest};

/// The state of one or more hash functions over the same bytes.
#[derive(Debug, Clone)]
pub struct Hashers(Vec<Hasher>);

impl Hashers {
    /// One hash function for each algorithm. Repeated algorithms count once.
    pub fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let mut algorithms: Vec<_> = algorithms.into_iter().collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        Self(algorithms.into_iter().map(Hasher::new).collect())
    }

    /// Whether there is no hash function.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for hasher in &mut self.0 {
            hasher.update(bytes);
        }
    }

    /// The digests of all bytes, weakest algorithm first.
    pub fn finish(self) -> Vec<Digest> {
        self.0.into_iter().map(Hasher::finish).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As computed by md5sum, sha1sum, sha224sum, sha256sum, b3sum, sha384sum and sha512sum.
    const OF_ABC: [&str; 7] = [
        "md5:900150983cd24fb0d6963f7d28e17f72",
        "sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
        "sha224:23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
         454d4423643ce80e2a9ac94fa54ca49f",
    ];

    #[test]
    fn each_algorithm_computes_what_other_tools_do() {
        let mut hashers = Hashers::new(Algorithm::ALL);
        hashers.update(b"a");
        hashers.update(b"");
        hashers.update(b"bc");
        let digests: Vec<_> = hashers.finish().iter().map(ToString::to_string).collect();
        assert_eq!(digests, OF_ABC);
    }

    #[test]
    fn an_algorithm_named_twice_is_computed_once() {
        let hashers = Hashers::new([Algorithm::Sha256, Algorithm::Md5, Algorithm::Sha256]);
        assert_eq!(hashers.finish().len(), 2);
    }
}
