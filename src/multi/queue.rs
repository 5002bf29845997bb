//! The queue of one origin: its waiting transfers in order, its open connections, and which slot the first
//! waiting transfer could get. Limits over all origins are in [`pool`](super::pool).

use std::collections::BTreeMap;
use std::time::Instant;

use super::connections::ConnectionKey;
use super::info::TransferId;
use super::origins::OriginRecord;
use super::pool::{Limits, is_below};
use super::stream_load::StreamLoads;
use super::throttle::Throttle;
use super::unanswered::{Crowded, Unanswered};

/// What a waiting transfer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// An idle connection, which was removed from the pool.
    Reuse(ConnectionKey),
    /// A stream of this connection.
    Join(ConnectionKey),
    /// The right to open a connection, which is counted already.
    New,
}

/// The order of waiting transfers. First come those that were dispatched before (after a redirect, or because their
/// connection was dead) and extra ones, then those that are counted as dispatched with their slot; within these,
/// transfers that have started come before those that have not, and then the lower ticket comes first. Transfers that
/// only connect come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) is_connect_only: bool,
    /// The transfer is counted as dispatched when it gets its slot.
    pub(super) is_new: bool,
    /// The transfer has not started, so [`Pace`](super::pace::Pace) says when it may.
    pub(super) is_paced: bool,
    pub(super) ticket: u64,
}

/// A waiting transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) id: TransferId,
    /// It asks for a connection that no other transfer uses, if one may be opened.
    pub(super) is_apart: bool,
}

/// The first waiting transfer of an origin that could get a slot, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// On an idle connection or on a stream of one.
    Find(Turn),
    /// On a new connection, which the limit over all origins may forbid.
    Open(Turn),
}

/// The state of the first connection to an origin, which may carry all waiting transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum FirstConnection {
    /// It is not being opened. Waiting transfers will wait for the next one.
    #[default]
    NotOpening,
    /// It is being opened, and waiting transfers wait for it.
    Awaited,
    /// It took too long, or failed: each transfer opens its own.
    GivenUp,
}

/// The queue of one origin.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Connections that are open or being opened.
    pub(super) open: usize,
    /// Transfers that stand by, each with a connection or a stream that carries nothing.
    pub(super) standing_by: usize,
    /// Idle connections for one exchange at a time, with their tickets; the one used last is at the end.
    pub(super) idle: Vec<(u64, ConnectionKey)>,
    /// Multiplexed connections, idle ones included.
    pub(super) loads: StreamLoads,
    /// New connections over which nothing has come.
    pub(super) unanswered: Unanswered,
    pub(super) first_connection: FirstConnection,
    pub(super) waiting: BTreeMap<Turn, Waiter>,
    /// This queue's entry in the pool's sets of ready queues.
    pub(super) ready: Option<Ready>,
    /// No transfer gets a slot before this time.
    pub(super) held: Option<Instant>,
    /// The cap on busy connections, after the server asked for fewer.
    pub(super) throttle: Option<Throttle>,
    /// The number of waiting transfers that cannot start before a certain time, as the pool counts them.
    pub(super) asleep: usize,
}

impl Queue {
    /// The number of busy connections. Each stream counts as one; what only stands by does not count.
    pub(super) fn busy(&self) -> usize {
        let used = self.open - self.idle.len() - self.loads.len() + self.loads.streams();
        used.saturating_sub(self.standing_by)
    }

    /// Whether as many connections are busy as the throttle allows.
    pub(super) fn is_throttled(&self) -> bool {
        self.throttle
            .is_some_and(|throttle| !throttle.has_room(self.busy()))
    }

    /// The first waiting transfer, if it could get a slot by the limits of its origin.
    pub(super) fn next_ready(&self, record: &OriginRecord, limits: &Limits) -> Option<Ready> {
        let turn = *self.waiting.keys().next()?;
        if self.held.is_some() {
            return None;
        }
        Some(match self.offer(record, limits)? {
            Slot::New if self.loads.best().is_none() => Ready::Open(turn),
            _ => Ready::Find(turn),
        })
    }

    /// The slot that the first waiting transfer would get by the limits of its origin.
    pub(super) fn offer(&self, record: &OriginRecord, limits: &Limits) -> Option<Slot> {
        if self.is_throttled() {
            return None;
        }
        let first = self.waiting.values().next();
        let is_apart = first.is_some_and(|waiter| waiter.is_apart);
        // A transfer that asks for its own connection does not wait for a shared one, once the version is known.
        let waits = self.first_connection == FirstConnection::Awaited
            && !(is_apart && record.has_known_version());
        let may_open =
            is_below(self.open, limits.per_origin) && !waits && !record.breaker.is_probed();
        if let Some(connection) = self.loads.best() {
            let needs_another =
                self.loads.are_bottleneck() || (is_apart && !self.loads.is_idle(connection));
            return Some(if may_open && needs_another {
                Slot::New
            } else {
                Slot::Join(connection)
            });
        }
        match self.idle.last() {
            Some((_, connection)) => Some(Slot::Reuse(*connection)),
            None => may_open.then_some(Slot::New),
        }
    }

    /// When a new connection will have waited too long while idle ones are of no use.
    pub(super) fn crowded_at(&self) -> Option<Instant> {
        if self.idle.is_empty() || !self.waiting.is_empty() {
            return None;
        }
        self.unanswered.due()
    }

    /// A new connection that has waited too long, and the connection that has been idle longest.
    pub(super) fn next_crowded(&mut self, now: Instant) -> Option<Crowded> {
        self.crowded_at()?;
        let (_, idle) = *self.idle.first()?;
        let unanswered = self.unanswered.next_due(now)?;
        Some(Crowded { unanswered, idle })
    }

    /// Removes an idle connection. Returns its ticket if it was in the list.
    pub(super) fn remove_idle(&mut self, connection: ConnectionKey) -> Option<u64> {
        let index = self.idle.iter().position(|(_, idle)| *idle == connection)?;
        Some(self.idle.remove(index).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Version;
    use crate::multi::origins::Origins;

    /// The record of a new https origin: its version is unknown.
    fn record(origins: &mut Origins) -> &mut OriginRecord {
        let key = origins.enter(&"https://a/".parse().unwrap()).unwrap();
        &mut origins[key]
    }

    fn waiting(is_apart: bool) -> Queue {
        let turn = Turn {
            is_connect_only: false,
            is_new: true,
            is_paced: false,
            ticket: 1,
        };
        let id = TransferId::of(0);
        Queue {
            waiting: BTreeMap::from([(turn, Waiter { id, is_apart })]),
            ..Queue::default()
        }
    }

    #[test]
    fn transfers_wait_for_a_first_connection_that_may_carry_them() {
        let mut origins = Origins::default();
        let record = record(&mut origins);
        let mut queue = waiting(false);
        let limits = Limits::default();
        assert_eq!(queue.offer(record, &limits), Some(Slot::New));
        queue.first_connection = FirstConnection::Awaited;
        assert_eq!(queue.offer(record, &limits), None);
        queue.first_connection = FirstConnection::GivenUp;
        assert_eq!(queue.offer(record, &limits), Some(Slot::New));
    }

    #[test]
    fn a_transfer_apart_opens_its_own_connection_once_the_version_is_known() {
        let mut origins = Origins::default();
        let record = record(&mut origins);
        let mut queue = waiting(true);
        let limits = Limits::default();
        queue.first_connection = FirstConnection::Awaited;
        assert_eq!(queue.offer(record, &limits), None);
        record.connected(Version::Http2);
        assert_eq!(queue.offer(record, &limits), Some(Slot::New));
        queue.open = 1;
        queue.loads.add(ConnectionKey::new(7), 100);
        assert_eq!(queue.offer(record, &limits), Some(Slot::New));
        queue.loads.leave(ConnectionKey::new(7), false);
        let idle = Slot::Join(ConnectionKey::new(7));
        assert_eq!(queue.offer(record, &limits), Some(idle));
    }

    #[test]
    fn an_idle_connection_is_used_before_a_new_one_is_opened() {
        let mut origins = Origins::default();
        let record = record(&mut origins);
        let mut queue = waiting(false);
        queue.open = 2;
        queue.idle = vec![(1, ConnectionKey::new(1)), (2, ConnectionKey::new(2))];
        let latest = Slot::Reuse(ConnectionKey::new(2));
        assert_eq!(queue.offer(record, &Limits::default()), Some(latest));
        assert_eq!(queue.remove_idle(ConnectionKey::new(1)), Some(1));
        assert_eq!(queue.remove_idle(ConnectionKey::new(1)), None);
    }
}
