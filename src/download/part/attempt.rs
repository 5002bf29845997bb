//! The current try of a body: the range that it requests, and what its response is.

use crate::download::Asked;
use crate::download::landing::Landing;
use crate::http::Version;

/// The current try and its response.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// The requested range; `None` if the full file was requested.
    pub(super) asked: Option<Asked>,
    /// Where the response lands.
    pub(super) landing: Landing,
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
}
