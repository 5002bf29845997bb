//! The current try of a body: the range that it requests, what its response may bring, and what it has written.

use std::ops::Range;

use crate::download::Asked;
use crate::download::message::Message;
use crate::http::Version;

/// The current try and its response.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// The requested range; `None` if the full file was requested.
    pub(super) asked: Option<Asked>,
    /// The range that this try has written.
    pub(super) run: Range<u64>,
    /// The end offset of this response's body, if it is known.
    pub(super) limit: Option<u64>,
    /// The digest of this response's content, if the response is partial and announces one.
    pub(super) message: Option<Box<Message>>,
    /// The body of this response is decoded, so that no range request can continue it.
    pub(super) is_decoded: bool,
    /// The file at the final name already holds the same bytes.
    pub(super) is_same: bool,
    /// The missing ranges may be divided among several transfers.
    pub(super) is_divisible: bool,
    /// The version of HTTP of the last response for which this was decided.
    pub(super) version: Option<Version>,
}

impl Attempt {
    /// The offset of the first requested byte.
    pub(super) fn start(&self) -> u64 {
        self.asked.map_or(0, |asked| asked.start)
    }

    /// Accepts a partial response that ends at `limit`.
    pub(super) fn receive(&mut self, asked: Asked, limit: u64, message: Option<Box<Message>>) {
        self.run = asked.start..asked.start;
        self.limit = Some(limit);
        self.message = message;
    }

    /// Takes the digest of the response's content, if all of the content is written.
    pub(super) fn take_complete_message(&mut self) -> Option<Box<Message>> {
        if self.limit == Some(self.run.end) {
            self.message.take()
        } else {
            None
        }
    }

    /// Forgets what was written, and where the response ends.
    pub(super) fn clear(&mut self) {
        self.run = 0..0;
        self.limit = None;
    }
}
