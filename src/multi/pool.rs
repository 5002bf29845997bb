//! Which transfer gets which connection: slots, the order of waiting transfers, and the idle connections that are
//! kept.
//!
//! A dispatched transfer gets an idle connection to its origin, a stream on a multiplexed connection, or the right to
//! open a connection, or it waits. While it is unknown whether an origin speaks HTTP/2, or known that it does, one
//! connection is opened at a time, and the other transfers wait for a limited time to share it. Each freed slot goes
//! to the first waiting transfer that can use it: one that needs a new connection, and may not open it, does not
//! hold up those that find one. No other entry is examined, so a wake-up costs the same with a hundred thousand
//! waiting transfers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use url::Url;

use super::connections::ConnectionKey;
use super::info::TransferId;
use super::options::Protocol;
use super::origins::{OriginKey, Origins};
use super::pace::Pace;
use super::queue::{FirstConnection, Queue, Ready, Slot, Turn, Waiter};
use super::throttle::Throttle;
use super::timers::Timers;
use super::unanswered::Crowded;
use crate::error::Fault;
use crate::http::Version;

/// How long transfers wait for a first connection that might carry all of them, before they open their own.
const WAIT_FOR_FIRST: Duration = Duration::from_secs(2);

/// Limits on the number of transfers and connections. 0 means no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Transfers that are dispatched at once.
    pub transfers: usize,
    /// Connections in all, idle ones included.
    pub connections: usize,
    /// Connections to one origin.
    pub per_origin: usize,
    /// Idle connections that are kept; 0 keeps none.
    pub idle: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transfers: 0,
            connections: 0,
            per_origin: 0,
            idle: 64,
        }
    }
}

/// The slots of one engine.
#[derive(Debug, Default)]
pub(super) struct Pool {
    limits: Limits,
    pace: Pace,
    /// What is known of each origin.
    pub(super) origins: Origins,
    /// The queue of each origin, by the index of its key.
    queues: Vec<Queue>,
    /// Transfers that are dispatched and not complete, extra ones apart.
    dispatched: usize,
    /// Slots that the application reserves for extra transfers.
    reserved: usize,
    /// Connections that are open or being opened.
    open: usize,
    /// Idle connections by ticket, so the one that became idle first is first.
    idle: BTreeMap<u64, ConnectionKey>,
    tickets: u64,
    /// The first waiting transfer of each origin that could get a slot: on an existing connection…
    finding: BTreeSet<(Turn, OriginKey)>,
    /// …and on a new one.
    opening: BTreeSet<(Turn, OriginKey)>,
    /// Slots may have become free in a call that could not assign them.
    must_assign: bool,
    /// Held origins by the time at which the hold ends.
    held: BTreeSet<(Instant, OriginKey)>,
    /// Waiting transfers that cannot start before a certain time.
    asleep: usize,
    /// When waiting for a first connection ends, by origin.
    first_connection: Timers,
    /// When a new connection will have waited too long for its server, by origin.
    crowded: Timers,
}

/// Whether one more fits below a limit, where 0 is no limit.
pub(super) fn is_below(count: usize, limit: usize) -> bool {
    limit == 0 || count < limit
}

impl Pool {
    /// Sets the limits, and the protocol of new origins. Open connections stay open; surplus idle ones close when
    /// slots are next assigned.
    pub(super) fn set_limits(&mut self, limits: Limits, protocol: Protocol) {
        self.limits = limits;
        self.origins.set_protocol(protocol);
        for key in self.origins.keys() {
            self.refresh(key);
        }
        self.note_free_slots();
    }

    /// Says that slots may have become free in a call that cannot assign them, so that the next call comes soon.
    pub(super) fn note_free_slots(&mut self) {
        let is_waited_for = !self.finding.is_empty() || !self.opening.is_empty();
        self.must_assign |= is_waited_for || self.surplus().is_some();
    }

    /// Whether slots should be assigned as soon as possible.
    pub(super) fn must_assign(&self) -> bool {
        self.must_assign
    }

    /// Sets the minimum time between two starts; zero is none.
    pub(super) fn set_start_interval(&mut self, interval: Duration) {
        self.pace.set_interval(interval);
    }

    /// The next ticket, higher than all before.
    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Uses the record and the queue of a URL's origin. Each call is paired with a [`leave`](Self::leave).
    pub(super) fn enter(&mut self, url: &Url) -> Result<OriginKey, Fault> {
        let key = self.origins.enter(url)?;
        if key.index() >= self.queues.len() {
            self.queues.resize_with(key.index() + 1, Queue::default);
        }
        Ok(key)
    }

    /// Ends a use of an origin. The record and the queue go with the last one.
    pub(super) fn leave(&mut self, key: OriginKey) {
        if self.origins.release(key) {
            self.queues[key.index()] = Queue::default();
        }
    }

    /// Puts a transfer into the queue of its origin.
    pub(super) fn wait(&mut self, key: OriginKey, turn: Turn, waiter: Waiter) {
        self.queues[key.index()].waiting.insert(turn, waiter);
        self.refresh(key);
    }

    /// Removes a transfer from the queue of its origin, if it is there.
    pub(super) fn stop_waiting(&mut self, key: OriginKey, turn: Turn) {
        if self.queues[key.index()].waiting.remove(&turn).is_some() {
            self.refresh(key);
        }
    }

    /// Whether a transfer waits in the queue of its origin.
    pub(super) fn is_waiting(&self, key: OriginKey, turn: Turn, id: TransferId) -> bool {
        let waiting = &self.queues[key.index()].waiting;
        waiting.get(&turn).is_some_and(|waiter| waiter.id == id)
    }

    /// Moves a waiting transfer to another turn.
    pub(super) fn change_turn(&mut self, key: OriginKey, from: Turn, to: Turn, waiter: Waiter) {
        self.queues[key.index()].waiting.remove(&from);
        self.wait(key, to, waiter);
    }

    /// Assigns a free slot to the first transfer that can use it. A transfer that is new is counted as dispatched.
    pub(super) fn next(&mut self, now: Instant) -> Option<(TransferId, Slot)> {
        self.pace.set_awaited(false);
        let has_room = is_below(self.open, self.limits.connections);
        let opening = if has_room { self.opening.first() } else { None };
        let (turn, key) = *match (opening, self.finding.first()) {
            (Some(opens), Some(finds)) => opens.min(finds),
            (opens, finds) => opens.or(finds)?,
        };
        if turn.is_new && !self.may_dispatch() {
            return None;
        }
        if turn.is_paced && !self.pace.is_due(now) {
            self.pace.set_awaited(true);
            return None;
        }
        let record = &mut self.origins[key];
        let queue = &mut self.queues[key.index()];
        let slot = match queue.offer(record, &self.limits)? {
            Slot::New if !has_room => Slot::Join(queue.loads.best()?),
            slot => slot,
        };
        let Waiter { id, .. } = queue.waiting.remove(&turn)?;
        match slot {
            Slot::Reuse(_) => {
                if let Some((ticket, _)) = queue.idle.pop() {
                    self.idle.remove(&ticket);
                }
            }
            Slot::Join(connection) => {
                if let Some(ticket) = queue.loads.join(connection) {
                    self.idle.remove(&ticket);
                }
            }
            Slot::New => {
                queue.open += 1;
                self.open += 1;
                record.breaker.begin_attempt(id, self.tickets);
                if record.may_multiplex() && queue.first_connection == FirstConnection::NotOpening {
                    queue.first_connection = FirstConnection::Awaited;
                    let until = now.checked_add(WAIT_FOR_FIRST);
                    self.first_connection.set(key.index() as u32, until);
                }
                self.origins.retain(key);
            }
        }
        self.dispatched += usize::from(turn.is_new);
        if turn.is_paced {
            self.pace.start(now);
        }
        self.refresh(key);
        Some((id, slot))
    }

    /// The idle connection that must close before [`next`](Self::next) can let the first transfer open one.
    pub(super) fn blocking_idle(&self, now: Instant) -> Option<ConnectionKey> {
        if is_below(self.open, self.limits.connections) {
            return None;
        }
        let first @ (turn, _) = self.opening.first()?;
        let is_first = self.finding.first().is_none_or(|finds| first < finds);
        let is_due = !turn.is_paced || self.pace.is_due(now);
        if is_first && is_due && (!turn.is_new || self.may_dispatch()) {
            self.longest_idle()
        } else {
            None
        }
    }

    /// Whether one more transfer may be dispatched.
    fn may_dispatch(&self) -> bool {
        is_below(self.dispatched + self.reserved, self.limits.transfers)
    }

    /// Reserves this many of the slots for extra transfers.
    pub(super) fn reserve(&mut self, slots: usize) {
        self.reserved = slots;
    }

    /// Assigns no slot at an origin until a time. An earlier hold that lasts longer stays.
    pub(super) fn hold(&mut self, key: OriginKey, until: Instant) {
        let held = &mut self.queues[key.index()].held;
        match held.replace(until.max(held.unwrap_or(until))) {
            Some(before) => drop(self.held.remove(&(before, key))),
            None => self.origins.retain(key),
        }
        self.held.extend(held.map(|until| (until, key)));
        self.refresh(key);
    }

    /// The server asked for fewer requests: holds the origin until a time, and lowers its number of busy connections.
    /// Further responses that ask for it while the origin is held belong to the same event.
    pub(super) fn back_off(&mut self, key: OriginKey, until: Instant) {
        let queue = &mut self.queues[key.index()];
        if queue.held.is_none() {
            queue.throttle = Some(Throttle::after(queue.throttle, queue.busy()));
        }
        self.hold(key, until);
    }

    /// A transfer has waited in vain for a byte, and no other transfer from the origin received one in that time.
    pub(super) fn fell_silent(&mut self, key: OriginKey) {
        let slots = self.limits.transfers;
        let queue = &mut self.queues[key.index()];
        if slots > 0 && queue.throttle.is_none() {
            queue.throttle = Some(Throttle::silent(slots));
            self.refresh(key);
        }
    }

    /// A transfer from an origin succeeded.
    pub(super) fn succeeded(&mut self, key: OriginKey) {
        let queue = &mut self.queues[key.index()];
        if let Some(throttle) = queue.throttle {
            queue.throttle = throttle.relaxed();
            self.refresh(key);
        }
    }

    /// Ends the holds and the waits for a first connection that are over. Slots are assigned next.
    pub(super) fn release_due(&mut self, now: Instant) {
        self.must_assign = false;
        while let Some((until, key)) = self.held.first().copied()
            && until <= now
        {
            self.held.remove(&(until, key));
            self.queues[key.index()].held = None;
            self.refresh(key);
            self.leave(key);
        }
        while let Some(index) = self.first_connection.pop_expired(now) {
            self.set_first_connection(OriginKey::of(index), FirstConnection::GivenUp);
        }
    }

    /// The number of transfers that wait at an origin that is held or at its throttle, or that another transfer tries
    /// to reach.
    pub(super) fn asleep(&self) -> usize {
        self.asleep
    }

    /// A transfer failed to connect. Returns the waiting transfers that share in that attempt.
    pub(super) fn not_reached(&mut self, key: OriginKey, by: TransferId) -> Vec<TransferId> {
        let last = self.origins[key].breaker.failed(by).unwrap_or(0);
        let waiting = self.queues[key.index()].waiting.iter();
        let sharing = waiting.filter(|(turn, _)| turn.ticket <= last);
        let sharing = sharing.map(|(_, waiter)| waiter.id).collect();
        self.refresh(key);
        sharing
    }

    /// A transfer no longer tries to connect.
    pub(super) fn stop_trying(&mut self, key: OriginKey, id: TransferId) {
        if self.origins[key].breaker.give_up(id).is_some() {
            self.refresh(key);
        }
    }

    /// When the next hold ends, the next wait for a first connection or of a new one ends, or the next transfer may
    /// start.
    pub(super) fn next_release(&self) -> Option<Instant> {
        let held = self.held.first().map(|(until, _)| *until);
        let times = [
            held,
            self.first_connection.next(),
            self.crowded.next(),
            self.pace.next(),
        ];
        times.into_iter().flatten().min()
    }

    /// A connection was established and speaks `version`. `streams` is the capacity of a multiplexed one, which
    /// carries its first stream already.
    pub(super) fn opened(
        &mut self,
        key: OriginKey,
        connection: ConnectionKey,
        version: Version,
        streams: Option<usize>,
    ) {
        self.origins[key].connected(version);
        if let Some(streams) = streams {
            self.queues[key.index()].loads.add(connection, streams);
        }
        self.set_first_connection(key, FirstConnection::NotOpening);
    }

    /// A new connection begins to wait for its server: to be established, or for the first byte of its first response.
    pub(super) fn await_answer(&mut self, key: OriginKey, connection: ConnectionKey, now: Instant) {
        self.queues[key.index()].unanswered.begin(connection, now);
        self.refresh(key);
    }

    /// The server has answered over a connection.
    pub(super) fn answered(&mut self, key: OriginKey, connection: ConnectionKey, now: Instant) {
        let unanswered = &mut self.queues[key.index()].unanswered;
        if unanswered.answered(connection, now) {
            self.refresh(key);
        }
    }

    /// A new connection that has waited too long for its server, while an idle one is of no use.
    pub(super) fn next_crowded(&mut self, now: Instant) -> Option<Crowded> {
        while let Some(index) = self.crowded.pop_expired(now) {
            let key = OriginKey::of(index);
            let crowded = self.queues[key.index()].next_crowded(now);
            self.refresh(key);
            if crowded.is_some() {
                return crowded;
            }
        }
        None
    }

    /// A connection could not be established. If it is still unknown which version it would have spoken, waiting
    /// transfers do not wait for the next one.
    pub(super) fn not_opened(&mut self, key: OriginKey) {
        let first_connection = if self.origins[key].has_known_version() {
            FirstConnection::NotOpening
        } else {
            FirstConnection::GivenUp
        };
        self.set_first_connection(key, first_connection);
    }

    fn set_first_connection(&mut self, key: OriginKey, first_connection: FirstConnection) {
        self.first_connection.set(key.index() as u32, None);
        self.queues[key.index()].first_connection = first_connection;
        self.refresh(key);
    }

    /// Uses HTTP/1.1 for all further connections to an origin.
    pub(super) fn require_http1(&mut self, key: OriginKey) {
        self.origins[key].require_http1();
        self.set_first_connection(key, FirstConnection::NotOpening);
    }

    /// Sets the maximum number of streams of a connection; with 0 it gets no further ones.
    pub(super) fn set_capacity(
        &mut self,
        key: OriginKey,
        connection: ConnectionKey,
        streams: usize,
    ) {
        let loads = &mut self.queues[key.index()].loads;
        if loads.set_capacity(connection, streams) {
            self.refresh(key);
        }
    }

    /// A transfer begins to stand by, with its connection or stream.
    pub(super) fn stand_by(&mut self, key: OriginKey) {
        self.queues[key.index()].standing_by += 1;
        self.refresh(key);
    }

    /// A transfer stops standing by.
    pub(super) fn stop_standing_by(&mut self, key: OriginKey) {
        self.queues[key.index()].standing_by -= 1;
        self.refresh(key);
    }

    /// Counts a stream as one with a long body.
    pub(super) fn grow(&mut self, key: OriginKey, connection: ConnectionKey) {
        self.queues[key.index()].loads.grow(connection);
        self.refresh(key);
    }

    /// A stream ended.
    pub(super) fn left(&mut self, key: OriginKey, connection: ConnectionKey, was_bulky: bool) {
        let loads = &mut self.queues[key.index()].loads;
        loads.leave(connection, was_bulky);
        self.refresh(key);
    }

    /// A dispatched transfer completed.
    pub(super) fn complete(&mut self) {
        self.dispatched -= 1;
    }

    /// Keeps a connection as idle.
    pub(super) fn keep(&mut self, key: OriginKey, connection: ConnectionKey, now: Instant) {
        let ticket = self.ticket();
        let queue = &mut self.queues[key.index()];
        queue.unanswered.note_idle(now);
        if !queue.loads.keep(connection, ticket) {
            queue.idle.push((ticket, connection));
        }
        self.idle.insert(ticket, connection);
        self.refresh(key);
    }

    /// An idle connection that must close because there are more than the limit.
    pub(super) fn surplus(&self) -> Option<ConnectionKey> {
        if self.idle.len() > self.limits.idle {
            self.longest_idle()
        } else {
            None
        }
    }

    fn longest_idle(&self) -> Option<ConnectionKey> {
        self.idle
            .first_key_value()
            .map(|(_, connection)| *connection)
    }

    /// A connection closed.
    pub(super) fn closed(&mut self, key: OriginKey, connection: ConnectionKey) {
        let queue = &mut self.queues[key.index()];
        queue.unanswered.remove(connection);
        if let Some(ticket) = queue.remove_idle(connection) {
            self.idle.remove(&ticket);
        }
        if let Some(ticket) = queue.loads.remove(connection) {
            self.idle.remove(&ticket);
        }
        self.uncount(key);
    }

    /// A transfer returns its right to open a connection.
    pub(super) fn not_used(&mut self, key: OriginKey) {
        self.set_first_connection(key, FirstConnection::NotOpening);
        self.uncount(key);
    }

    fn uncount(&mut self, key: OriginKey) {
        self.queues[key.index()].open -= 1;
        self.open -= 1;
        self.refresh(key);
        self.leave(key);
    }

    /// Updates the sets of ready queues after a change of an origin's queue or record.
    fn refresh(&mut self, key: OriginKey) {
        let record = &self.origins[key];
        let queue = &mut self.queues[key.index()];
        let is_asleep = queue.held.is_some() || record.breaker.is_probed() || queue.is_throttled();
        let asleep = queue.waiting.len() * usize::from(is_asleep);
        self.asleep = self.asleep + asleep - std::mem::replace(&mut queue.asleep, asleep);
        self.crowded.set(key.index() as u32, queue.crowded_at());
        let ready = queue.next_ready(record, &self.limits);
        if ready == queue.ready {
            return;
        }
        match std::mem::replace(&mut queue.ready, ready) {
            Some(Ready::Find(turn)) => drop(self.finding.remove(&(turn, key))),
            Some(Ready::Open(turn)) => drop(self.opening.remove(&(turn, key))),
            None => {}
        }
        match ready {
            Some(Ready::Find(turn)) => drop(self.finding.insert((turn, key))),
            Some(Ready::Open(turn)) => drop(self.opening.insert((turn, key))),
            None => {}
        }
    }

    /// Forgets every transfer and connection at once, whatever their state. What the application set stays: limits,
    /// reserved slots and held origins.
    pub(super) fn clear(&mut self) {
        for key in self.origins.keys() {
            let old = std::mem::take(&mut self.queues[key.index()]);
            let is_dropped = self.origins.reset(key, usize::from(old.held.is_some()));
            if !is_dropped {
                self.queues[key.index()] = Queue {
                    held: old.held,
                    throttle: old.throttle,
                    ..Queue::default()
                };
            }
        }
        self.idle.clear();
        self.finding.clear();
        self.opening.clear();
        self.first_connection.clear();
        self.crowded.clear();
        self.pace.set_awaited(false);
        (self.dispatched, self.open, self.asleep) = (0, 0, 0);
        self.must_assign = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> TransferId {
        TransferId::of(index)
    }

    fn waiter(index: u32) -> Waiter {
        Waiter {
            id: id(index),
            is_apart: false,
        }
    }

    fn connection(index: u32) -> ConnectionKey {
        ConnectionKey::new(index)
    }

    fn origin(name: &str) -> Url {
        format!("http://{name}/").parse().unwrap()
    }

    /// A pool in which the transfers 0, 1, 2… wait in turn for the origins named.
    fn pool(limits: Limits, origins: &[&str]) -> (Pool, Vec<OriginKey>) {
        let mut pool = Pool::default();
        pool.set_limits(limits, Protocol::Negotiated);
        let mut keys = Vec::new();
        for (index, name) in origins.iter().enumerate() {
            let key = pool.enter(&origin(name)).unwrap();
            let turn = Turn {
                is_connect_only: false,
                is_new: true,
                is_paced: false,
                ticket: pool.ticket(),
            };
            pool.wait(key, turn, waiter(index as u32));
            keys.push(key);
        }
        (pool, keys)
    }

    fn started(pool: &mut Pool) -> Vec<u32> {
        std::iter::from_fn(|| pool.next(Instant::now()))
            .map(|(id, _)| id.index)
            .collect()
    }

    #[test]
    fn without_limits_all_transfers_start_in_order() {
        let (mut pool, _) = pool(Limits::default(), &["a", "b", "a"]);
        assert_eq!(started(&mut pool), [0, 1, 2]);
    }

    #[test]
    fn a_capped_origin_does_not_hold_up_the_others() {
        let (mut pool, keys) = pool(
            Limits {
                per_origin: 1,
                ..Limits::default()
            },
            &["a", "a", "b", "a"],
        );
        assert_eq!(started(&mut pool), [0, 2]);
        pool.not_used(keys[0]);
        assert_eq!(started(&mut pool), [1]);
    }

    #[test]
    fn each_freed_place_starts_exactly_one() {
        let (mut pool, keys) = pool(
            Limits {
                transfers: 2,
                ..Limits::default()
            },
            &["a"; 6],
        );
        assert_eq!(started(&mut pool), [0, 1]);
        pool.complete();
        pool.keep(keys[0], connection(77), Instant::now());
        assert_eq!(
            pool.next(Instant::now()),
            Some((id(2), Slot::Reuse(connection(77))))
        );
        assert_eq!(pool.next(Instant::now()), None);
    }

    #[test]
    fn the_longest_idle_connection_goes_first() {
        let (mut pool, keys) = pool(
            Limits {
                idle: 2,
                ..Limits::default()
            },
            &["a"; 3],
        );
        assert_eq!(started(&mut pool), [0, 1, 2]);
        pool.keep(keys[0], connection(10), Instant::now());
        pool.keep(keys[0], connection(11), Instant::now());
        assert_eq!(pool.surplus(), None);
        pool.keep(keys[0], connection(12), Instant::now());
        assert_eq!(pool.surplus(), Some(connection(10)));
        pool.closed(keys[0], connection(10));
        assert_eq!(pool.longest_idle(), Some(connection(11)));
    }

    #[test]
    fn at_the_limit_an_idle_connection_closes_for_another_origin() {
        let (mut pool, keys) = pool(
            Limits {
                connections: 1,
                ..Limits::default()
            },
            &["a", "b"],
        );
        assert_eq!(started(&mut pool), [0]);
        assert_eq!(pool.blocking_idle(Instant::now()), None);
        pool.complete();
        pool.keep(keys[0], connection(5), Instant::now());
        assert_eq!(pool.next(Instant::now()), None);
        assert_eq!(pool.blocking_idle(Instant::now()), Some(connection(5)));
        pool.closed(keys[0], connection(5));
        assert_eq!(started(&mut pool), [1]);
    }

    #[test]
    fn a_dispatched_transfer_goes_before_a_new_one() {
        let (mut pool, keys) = pool(
            Limits {
                transfers: 1,
                ..Limits::default()
            },
            &["a", "a"],
        );
        assert_eq!(started(&mut pool), [0]);
        let turn = Turn {
            is_connect_only: false,
            is_new: false,
            is_paced: false,
            ticket: pool.ticket(),
        };
        pool.wait(keys[0], turn, waiter(0));
        assert_eq!(started(&mut pool), [0]);
    }

    #[test]
    fn starts_are_spread_and_started_transfers_go_on() {
        let mut pool = Pool::default();
        let second = Duration::from_secs(1);
        pool.set_start_interval(second);
        let now = Instant::now();
        let wait = |pool: &mut Pool, index, (is_new, is_paced)| {
            let key = pool.enter(&origin("a")).unwrap();
            let turn = Turn {
                is_connect_only: false,
                is_new,
                is_paced,
                ticket: pool.ticket(),
            };
            pool.wait(key, turn, waiter(index));
        };
        for index in 0..3 {
            wait(&mut pool, index, (true, true));
        }
        assert_eq!(pool.next(now), Some((id(0), Slot::New)));
        assert_eq!(pool.next(now), None);
        assert_eq!(pool.next_release(), Some(now + second));
        // A part of a file that is under way is first among those that start.
        wait(&mut pool, 3, (false, true));
        wait(&mut pool, 4, (false, false));
        assert_eq!(pool.next(now), Some((id(4), Slot::New)));
        assert_eq!(pool.next(now), None);
        assert_eq!(pool.next(now + second), Some((id(3), Slot::New)));
        assert_eq!(pool.next(now + 2 * second), Some((id(1), Slot::New)));
        assert_eq!(pool.next(now + 3 * second), Some((id(2), Slot::New)));
        assert_eq!(pool.next(now + 3 * second), None);
        // No transfer waits any more, so no timer is set.
        assert_eq!(pool.next_release(), None);
    }

    #[test]
    fn an_unused_origin_is_forgotten() {
        let (mut pool, keys) = pool(Limits::default(), &["a"]);
        assert_eq!(started(&mut pool), [0]);
        pool.complete();
        pool.leave(keys[0]);
        pool.not_used(keys[0]);
        assert!(pool.origins.is_empty());
    }

    #[test]
    fn an_origin_that_asked_for_less_gets_less_and_then_more_again() {
        let now = Instant::now();
        let (mut pool, keys) = pool(Limits::default(), &["a"; 12]);
        // Four are under way, the others wait.
        pool.hold(keys[0], now);
        pool.release_due(now);
        pool.limits.transfers = 4;
        assert_eq!(started(&mut pool), [0, 1, 2, 3]);
        pool.set_limits(Limits::default(), Protocol::Negotiated);
        pool.back_off(keys[0], now);
        // A second response during the hold belongs to the same event.
        pool.back_off(keys[0], now);
        for _ in 0..4 {
            pool.not_used(keys[0]);
        }
        pool.release_due(now);
        assert_eq!(started(&mut pool), [4, 5]);
        pool.succeeded(keys[0]);
        pool.succeeded(keys[0]);
        assert_eq!(started(&mut pool), [6]);
        for _ in 0..3 {
            pool.succeeded(keys[0]);
        }
        assert_eq!(started(&mut pool), [7, 8, 9, 10, 11]);
    }

    #[test]
    fn a_held_origin_gives_no_place_until_it_is_let_go() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let (mut pool, keys) = pool(Limits::default(), &["a", "b"]);
        pool.hold(keys[0], later);
        pool.hold(keys[0], now);
        assert_eq!(started(&mut pool), [1]);
        assert_eq!(pool.next_release(), Some(later));
        pool.release_due(now);
        assert_eq!(started(&mut pool), [0; 0]);
        pool.release_due(later);
        assert_eq!(pool.next_release(), None);
        assert_eq!(started(&mut pool), [0]);
    }

    #[test]
    fn an_origin_is_remembered_for_as_long_as_it_is_held() {
        let now = Instant::now();
        let (mut pool, _) = pool(Limits::default(), &[]);
        let key = pool.enter(&origin("a")).unwrap();
        pool.hold(key, now);
        pool.leave(key);
        assert!(!pool.origins.is_empty());
        pool.release_due(now);
        assert!(pool.origins.is_empty());
    }
}
