//! What a division asks of its caller: for the engine, for the report, and at its end.

use std::ops::Range;
use std::time::{Duration, Instant};

use url::Url;

use super::plan::Lane;
use crate::download::Proof;
use crate::error::Error;

/// What the caller does next, in the order in which actions are polled.
#[derive(Debug)]
pub enum Action {
    /// Start a transfer.
    Open(Opening),
    /// Move the end of a segment.
    Trim {
        /// The lane of the segment.
        lane: Lane,
        /// Its new end offset.
        end: u64,
    },
    /// Cancel a transfer.
    Cancel(Lane),
    /// Start nothing at the origin of a URL until its backoff is over.
    Hold {
        /// The URL of the server.
        url: Url,
        /// When the backoff ends.
        until: Instant,
    },
    /// Report that a server is asked again after a failure. It counts as a try of the file.
    Retrying {
        /// The URL of the server.
        url: Url,
        /// Why the transfer failed.
        error: Error,
        /// The backoff.
        delay: Duration,
        /// The tries at the server so far.
        tries: u32,
    },
    /// Report that a server is asked no more.
    Dropped {
        /// The URL of the server.
        url: Url,
        /// Why its transfer failed.
        error: Error,
    },
    /// The division is over, because every byte is written. No transfer is open.
    Done,
    /// The division is over, because the try of the file has failed. No transfer is open.
    Fail(Error),
}

/// A transfer that is started.
#[derive(Debug)]
pub struct Opening {
    /// The lane of its segment.
    pub lane: Lane,
    /// Where the segment is fetched.
    pub url: Url,
    /// The range of the segment.
    pub range: Range<u64>,
    /// What proves that the response has the right version.
    pub proof: Proof,
    /// The time to wait before the request.
    pub delay: Option<Duration>,
}
