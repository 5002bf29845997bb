//! What runs next: runnable transfers, connections with bytes to receive or to send, and timers.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use super::connections::ConnectionKey;
use super::info::TransferId;
use super::timers::Timers;

/// Bytes that a call receives, if no other number is set, before it leaves the rest to the next call.
const CALL_BUDGET: usize = 4 * 1024 * 1024;

/// The bytes that a TLS handshake counts as: it takes as much time.
pub(super) const HANDSHAKE: usize = 1024 * 1024;

/// The bytes that the turn of a transfer, a connection or a timer counts as, besides those that it receives.
const TURN: usize = 16 * 1024;

/// The fewest bytes that a turn may receive.
const LEAST: usize = 16 * 1024;

/// A call ends when a sixteenth of its budget is left.
const PARTS: usize = 16;

/// The work of an engine, in its order.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Runnable transfers, and stale entries; the first entry is never stale.
    runnable: VecDeque<TransferId>,
    /// By index, the transfer that is runnable. Other entries of the queue are stale.
    queued: Vec<Option<TransferId>>,
    /// Transfers that used up their budget in this call, and continue in the next.
    yielded: Vec<TransferId>,
    /// When each transfer has something to do, by its index.
    pub(super) timers: Timers,
    /// Multiplexed connections that may have more to receive…
    connections: Vec<ConnectionKey>,
    /// …and those that used up their budget in this call.
    yielded_connections: Vec<ConnectionKey>,
    /// Multiplexed connections that may have something to send at the end of this call.
    unsent: Vec<ConnectionKey>,
    calls: u64,
    /// Bytes that a call may receive, if not the default number.
    call_budget: Option<NonZeroUsize>,
    /// Bytes that this call may still receive.
    budget: usize,
}

impl Schedule {
    /// Sets the bytes that a call may receive, from the next call on.
    pub(super) fn set_call_budget(&mut self, bytes: Option<NonZeroUsize>) {
        self.call_budget = bytes;
    }

    fn call_budget(&self) -> usize {
        self.call_budget.map_or(CALL_BUDGET, NonZeroUsize::get)
    }

    /// Begins a call.
    pub(super) fn begin_call(&mut self) {
        self.calls += 1;
        self.budget = self.call_budget();
    }

    /// The number of the current call.
    pub(super) fn call(&self) -> u64 {
        self.calls
    }

    /// Takes received bytes off the budget.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.budget = self.budget.saturating_sub(bytes);
    }

    /// Counts a turn of a transfer, a connection or a timer.
    pub(super) fn end_turn(&mut self) {
        self.spend(TURN);
    }

    /// The bytes that the next turn may receive: at most half of what a call may.
    pub(super) fn turn_budget(&self) -> usize {
        self.budget.min(self.call_budget() / 2).max(LEAST)
    }

    /// The bytes that this call may still receive.
    pub(super) fn budget(&self) -> usize {
        self.budget
    }

    /// Whether the rest is left to the next call.
    pub(super) fn is_spent(&self) -> bool {
        self.budget <= self.call_budget() / PARTS
    }

    /// Makes a transfer runnable.
    pub(super) fn push(&mut self, id: TransferId) {
        let index = id.index as usize;
        if index >= self.queued.len() {
            self.queued.resize(index + 1, None);
        }
        if self.queued[index].replace(id) != Some(id) {
            self.runnable.push_back(id);
        }
    }

    /// Takes the next runnable transfer.
    pub(super) fn pop(&mut self) -> Option<TransferId> {
        let id = self.runnable.pop_front()?;
        self.queued[id.index as usize] = None;
        self.drop_stale();
        Some(id)
    }

    /// Makes a transfer not runnable: it runs now, or it was removed.
    pub(super) fn dequeue(&mut self, id: TransferId) {
        if self.is_queued(id) {
            self.queued[id.index as usize] = None;
            self.drop_stale();
        }
    }

    fn drop_stale(&mut self) {
        while let Some(id) = self.runnable.front().copied()
            && !self.is_queued(id)
        {
            self.runnable.pop_front();
        }
    }

    /// Whether a transfer is runnable.
    pub(super) fn is_queued(&self, id: TransferId) -> bool {
        self.queued.get(id.index as usize) == Some(&Some(id))
    }

    /// Whether any transfer is runnable.
    pub(super) fn has_runnable(&self) -> bool {
        !self.runnable.is_empty()
    }

    /// Lets a transfer continue in the next call.
    pub(super) fn yield_transfer(&mut self, id: TransferId) {
        self.yielded.push(id);
    }

    /// Whether a transfer continues in the next call.
    pub(super) fn has_yielded(&self, id: TransferId) -> bool {
        self.yielded.contains(&id)
    }

    /// Makes everything runnable that used up its budget in this call.
    pub(super) fn resume_yielded(&mut self) {
        for id in std::mem::take(&mut self.yielded) {
            self.push(id);
        }
        self.connections.append(&mut self.yielded_connections);
    }

    /// Lets a connection receive in this call, or in the next if connections have had their turn.
    pub(super) fn push_connection(&mut self, key: ConnectionKey) {
        self.connections.push(key);
    }

    /// Lets a connection receive in the next call.
    pub(super) fn yield_connection(&mut self, key: ConnectionKey) {
        self.yielded_connections.push(key);
    }

    /// Takes the connections that may have more to receive.
    pub(super) fn take_connections(&mut self) -> Vec<ConnectionKey> {
        std::mem::take(&mut self.connections)
    }

    /// Puts connections back that did not get a turn, in front of those that were added since.
    pub(super) fn put_back(&mut self, mut keys: Vec<ConnectionKey>) {
        keys.append(&mut self.connections);
        self.connections = keys;
    }

    /// Keeps only those connections to be received from that pass a test.
    pub(super) fn retain_connections(&mut self, is_open: impl Fn(ConnectionKey) -> bool) {
        self.connections.retain(|key| is_open(*key));
    }

    /// Lets a connection send at the end of this call.
    pub(super) fn push_unsent(&mut self, key: ConnectionKey) {
        self.unsent.push(key);
    }

    /// Takes a connection that may have something to send.
    pub(super) fn pop_unsent(&mut self) -> Option<ConnectionKey> {
        self.unsent.pop()
    }

    /// Whether nothing is runnable.
    pub(super) fn is_idle(&self) -> bool {
        self.runnable.is_empty() && self.connections.is_empty()
    }

    /// Forgets everything but the number of the call.
    pub(super) fn clear(&mut self) {
        *self = Self {
            calls: self.calls,
            call_budget: self.call_budget,
            budget: self.budget,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> TransferId {
        TransferId::of(index)
    }

    #[test]
    fn runnable_transfers_run_once_in_order() {
        let mut schedule = Schedule::default();
        for index in [3, 1, 3, 2] {
            schedule.push(id(index));
        }
        let ran: Vec<_> = std::iter::from_fn(|| schedule.pop()).collect();
        assert_eq!(ran, [id(3), id(1), id(2)]);
        assert!(schedule.is_idle());
    }

    #[test]
    fn a_transfer_that_left_the_queue_is_no_reason_to_be_called() {
        let mut schedule = Schedule::default();
        for index in 0..3 {
            schedule.push(id(index));
        }
        schedule.dequeue(id(1));
        assert!(!schedule.is_queued(id(1)));
        assert_eq!(schedule.pop(), Some(id(0)));
        schedule.dequeue(id(2));
        assert!(!schedule.has_runnable());
        schedule.push(id(1));
        assert_eq!(schedule.pop(), Some(id(1)));
        assert_eq!(schedule.pop(), None);
    }
}
