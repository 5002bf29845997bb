//! The digest of one response's content (RFC 9530 §2), where the content is not the full file but a range of it, or a
//! coded form. No I/O.

use crate::error::Fault;
use crate::http::digest::{Hashers, announced};
use crate::http::{Digest, Response};

/// The computation for one response.
#[derive(Debug)]
pub(super) struct Message {
    announced: Digest,
    hashers: Hashers,
    /// The offset of its first byte in the file.
    start: u64,
}

impl Message {
    /// The computation for a response that starts at offset `start`, if the response announces a digest.
    pub(super) fn of(response: &Response, start: u64) -> Option<Box<Self>> {
        let announced = announced(response.headers.get_all("content-digest"))?;
        Some(Box::new(Self {
            hashers: Hashers::new([announced.algorithm()]),
            announced,
            start,
        }))
    }

    /// The computation for a full response with this digest.
    pub(super) fn of_whole(announced: Digest) -> Box<Self> {
        Box::new(Self {
            hashers: Hashers::new([announced.algorithm()]),
            announced,
            start: 0,
        })
    }

    /// The offset of its first byte in the file.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Hashes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hashers.update(bytes);
    }

    /// Verifies the digest once the content is complete.
    ///
    /// # Errors
    /// [`Fault::Digest`]: it differs from the announced one.
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
