//! What came of a transfer: the messages of the info queue.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use url::Url;

use crate::error::Error;
use crate::http::Version;

/// A transfer in one multi. Ids are never used again for another transfer, nor by another multi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId {
    /// Tells the transfer from all others of the process.
    generation: u32,
    /// Its place in its multi.
    pub(super) index: u32,
}

impl TransferId {
    /// The id of the next transfer to be added anywhere, at a place that is free.
    pub(super) fn next(index: u32) -> Self {
        static GENERATION: AtomicU32 = AtomicU32::new(0);
        Self {
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            index,
        }
    }

    /// An id for tests of tables that hold ids and no transfers.
    #[cfg(test)]
    pub(super) fn of(index: u32) -> Self {
        Self {
            generation: 0,
            index,
        }
    }
}

/// A completed transfer, as [`Multi::info_read`](super::Multi::info_read) gives it: each exactly once.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// Which one.
    pub id: TransferId,
    /// How it went.
    pub result: Result<Outcome, Error>,
    /// When it was dispatched; `None` where it never was.
    pub dispatched: Option<Instant>,
}

/// The info queue, in order of completion. Whoever leaves early takes the message along: O(1), as is everything here.
#[derive(Debug, Default)]
pub(super) struct Messages {
    queue: VecDeque<Option<Done>>,
    /// How many have left at the head: a message's number less this is its place.
    gone: u64,
}

impl Messages {
    /// Queues a message, and gives its number.
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

    /// Takes a message back, if nobody has read it.
    pub(super) fn withdraw(&mut self, number: u64) {
        let place = number
            .checked_sub(self.gone)
            .and_then(|place| usize::try_from(place).ok());
        if let Some(message) = place.and_then(|place| self.queue.get_mut(place)) {
            *message = None;
        }
    }
}

/// A transfer that succeeded.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// The status of the final answer, below 400.
    pub status: u16,
    /// The protocol it came over.
    pub version: Version,
    /// Bytes of the body.
    pub received: u64,
    /// Time from dispatch to completion.
    pub elapsed: Duration,
    /// Redirects followed.
    pub redirects: u32,
    /// Where the last redirect led, if there was one.
    pub final_url: Option<Url>,
    /// The address it came from.
    pub address: Option<SocketAddr>,
    /// The last request went over a connection that had been used before.
    pub is_reused: bool,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of the body so far.
    pub received: u64,
    /// Bytes of the body in all, where the server said.
    pub expected: Option<u64>,
    /// It has left the queue, and its clocks run or ran.
    pub is_dispatched: bool,
}
