//! The digest of the content of one answer, where the answer says what it is (RFC 9530 §2) and that is
//! not the digest of the file: it has a part of that, or is coded. No I/O.

use crate::error::Fault;
use crate::http::digest::{Hashers, announced};
use crate::http::{Digest, Response};

/// The computation for one answer.
#[derive(Debug)]
pub(super) struct Message {
    announced: Digest,
    hashers: Hashers,
    /// The offset of its first byte.
    start: u64,
}

impl Message {
    /// The computation for an answer whose first byte belongs at `start`, if it says what is to come of it.
    pub(super) fn of(response: &Response, start: u64) -> Option<Box<Self>> {
        let announced = announced(response.headers.get_all("content-digest"))?;
        Some(Box::new(Self {
            hashers: Hashers::new([announced.algorithm()]),
            announced,
            start,
        }))
    }

    /// The computation for an answer that has the whole, and says this of it.
    pub(super) fn of_whole(announced: Digest) -> Box<Self> {
        Box::new(Self {
            hashers: Hashers::new([announced.algorithm()]),
            announced,
            start: 0,
        })
    }

    /// The offset of its first byte.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Takes in the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hashers.update(bytes);
    }

    /// All of it has come: whether it is what it was said to be.
    ///
    /// # Errors
    /// [`Fault::Digest`]: it is not.
    pub(super) fn finish(self) -> Result<(), Fault> {
        let found = self.hashers.finish();
        if found.contains(&self.announced) {
            return Ok(());
        }
        Err(Fault::Digest {
            expected: self.announced.to_string(),
            found: found.iter().map(ToString::to_string).collect(),
            is_announced: true,
        })
    }
}
