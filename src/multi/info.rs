//! Results of transfers: the messages of the info queue.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use url::Url;

use crate::error::Error;
use crate::http::Version;

/// Names a transfer. An id is never reused, neither for another transfer nor by another multi of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId {
    /// Distinguishes the transfer from all others of the process.
    generation: u32,
    /// Its index in the multi.
    pub(super) index: u32,
}

impl TransferId {
    /// The id of the next transfer, at an index that is free.
    pub(super) fn next(index: u32) -> Self {
        static GENERATION: AtomicU32 = AtomicU32::new(0);
        Self {
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            index,
        }
    }

    /// An id for tests without transfers.
    #[cfg(test)]
    pub(super) fn of(index: u32) -> Self {
        Self {
            generation: 0,
            index,
        }
    }
}

/// A completed transfer. [`Multi::info_read`](super::Multi::info_read) returns each exactly once.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// Which transfer.
    pub id: TransferId,
    /// Its result.
    pub result: Result<Outcome, Error>,
    /// When it was dispatched; `None` if it was not.
    pub dispatched: Option<Instant>,
}

/// The info queue, in the order of completion. Withdrawing a message leaves a gap. Every operation is O(1), on average.
#[derive(Debug, Default)]
pub(super) struct Messages {
    queue: VecDeque<Option<Done>>,
    /// Messages that left at the front: the number of a message, less this, is its index.
    gone: u64,
}

impl Messages {
    /// Queues a message. Returns its number.
    pub(super) fn push(&mut self, done: Done) -> u64 {
        self.queue.push_back(Some(done));
        self.gone + self.queue.len() as u64 - 1
    }

    /// The first message.
    pub(super) fn pop(&mut self) -> Option<Done> {
        loop {
            let first = self.queue.pop_front()?;
            self.gone += 1;
            if first.is_some() {
                return first;
            }
        }
    }

    /// Removes a message that was not read.
    pub(super) fn withdraw(&mut self, number: u64) {
        let index = number
            .checked_sub(self.gone)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(message) = index.and_then(|index| self.queue.get_mut(index)) {
            *message = None;
        }
    }
}

/// A transfer that succeeded.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// The status of the final response, below 400.
    pub status: u16,
    /// Its version of HTTP.
    pub version: Version,
    /// Bytes of the body.
    pub received: u64,
    /// The time from dispatch to completion.
    pub elapsed: Duration,
    /// The number of redirects that were followed.
    pub redirects: u32,
    /// Where the last redirect led, if there was one.
    pub final_url: Option<Url>,
    /// The address it came from.
    pub address: Option<SocketAddr>,
    /// The last request used a connection that had served an earlier one.
    pub is_reused: bool,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of the body so far.
    pub received: u64,
    /// The length of the body, if the server announced it.
    pub expected: Option<u64>,
    /// It was dispatched: it has left the queue, and its clocks run or ran.
    pub is_dispatched: bool,
}
