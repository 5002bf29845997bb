//! What moves the transfers: which ones run in a call, and what the arrival of bytes, the passing of time and a
//! failure lead to. An abort ends everything at once.

use std::time::Instant;

use slab::Slab;

use super::alarm::Expiry;
use super::connection::{Connection, Lost};
use super::connections::ConnectionKey;
use super::context::Context;
use super::exchanges::Exchanges;
use super::info::{Done, TransferId};
use super::multiplexed::{Arrival, Multiplexed, SLICE};
use super::queue::Slot;
use super::rate::Rate;
use super::trace::Trace;
use super::transfer::{self, Link, State, Step, Transfer};
use super::unanswered::Crowded;
use super::{Easy, Sink};
use crate::conn::Interest;
use crate::error::{Doing, Error, Fault, Timeout};

/// An idle connection older than this is not trusted: most servers and middleboxes have dropped it by then.
pub(super) const IDLE_AGE: std::time::Duration = std::time::Duration::from_secs(118);

/// The transfers of a multi, and what they share.
#[derive(Debug)]
pub(super) struct Engine<S> {
    pub(super) transfers: Slab<Transfer<S>>,
    pub(super) context: Context,
}

impl<S> Default for Engine<S> {
    fn default() -> Self {
        Self {
            transfers: Slab::new(),
            context: Context::default(),
        }
    }
}

impl<S: Sink> Engine<S> {
    /// The id of the next transfer to be added; `None` if there are too many.
    pub(super) fn next_id(&self) -> Option<TransferId> {
        let index = u32::try_from(self.transfers.vacant_key()).ok()?;
        Some(TransferId::next(index))
    }

    /// Adds a transfer with the [next id](Self::next_id). It is runnable.
    pub(super) fn add(&mut self, id: TransferId, easy: Easy<S>) {
        self.context.sleeping += usize::from(easy.delay.is_some());
        self.context.running += 1;
        self.context.schedule.push(id);
        self.transfers.insert(Transfer::new(
            id,
            easy,
            self.context.options.are_paths_typed,
        ));
    }

    /// The transfer of an id, while it is added.
    pub(super) fn get(&self, id: TransferId) -> Option<&Transfer<S>> {
        let transfer = self.transfers.get(id.index as usize)?;
        (transfer.id == id).then_some(transfer)
    }

    /// The transfer of an id, while it is added.
    pub(super) fn get_mut(&mut self, id: TransferId) -> Option<&mut Transfer<S>> {
        let transfer = self.transfers.get_mut(id.index as usize)?;
        (transfer.id == id).then_some(transfer)
    }

    /// Every transfer that has not completed.
    pub(super) fn live(&self) -> Vec<TransferId> {
        let transfers = self.transfers.iter();
        let live = transfers.filter(|(_, transfer)| !transfer.is_done());
        live.map(|(_, transfer)| transfer.id).collect()
    }

    /// Ends a transfer that is added, and removes it, its message too.
    pub(super) fn remove(&mut self, id: TransferId, now: Instant) -> Easy<S> {
        let transfer = &mut self.transfers[id.index as usize];
        if !transfer.is_done() {
            transfer::release_all(transfer, &mut self.context, now);
            self.context.running -= 1;
        }
        self.take_out(id)
    }

    /// Removes a transfer that holds nothing any more, and its message.
    pub(super) fn take_out(&mut self, id: TransferId) -> Easy<S> {
        let transfer = self.transfers.remove(id.index as usize);
        if let State::Done { message } = transfer.state {
            self.context.messages.withdraw(message);
        }
        self.context.schedule.dequeue(id);
        transfer.easy
    }

    /// Sets the limit of all transfers together. Transfers that wait for the old one look again.
    pub(super) fn set_rate(&mut self, rate: Option<Rate>) {
        for (_, transfer) in &mut self.transfers {
            transfer.allowance.give_back(self.context.rate.as_mut());
            if matches!(transfer.state, State::Limited) {
                transfer.clocks.wake = None;
                self.context.schedule.push(transfer.id);
            }
        }
        self.context.rate = rate;
    }

    /// Makes every transfer and every multiplexed connection runnable.
    pub(super) fn run_all(&mut self) {
        let mut last = None;
        for id in self.live() {
            self.context.schedule.push(id);
            let shared = self.shared_connection(id);
            if let Some(key) = shared
                && shared != last
            {
                self.context.schedule.push_connection(key);
                last = shared;
            }
        }
    }

    /// Runs the transfers of a connection after activity on its socket.
    pub(super) fn drive_user(&mut self, key: ConnectionKey, now: Instant) {
        let connection = self.context.network.connections.get(key);
        match connection.map(|connection| &connection.exchanges) {
            Some(Exchanges::Multiplexed(_)) => self.drive_connection(key, now),
            Some(Exchanges::Serial(serial)) => {
                if let Some(id) = serial.user() {
                    self.drive(id, now);
                }
            }
            None => {}
        }
    }

    /// Runs what is due and what is runnable, within the budget of the call, and at least one of each kind. Expired
    /// timers come first; they get half of the budget at most, so that they leave some for the rest. What is left over
    /// comes first in the next call.
    pub(super) fn run_due(&mut self, now: Instant) {
        // Slots become free without an event when the limits were raised or a hold ends.
        self.context.pool.release_due(now);
        self.assign_slots(now);
        self.relieve_unanswered(now);
        self.run_timers(now);
        self.run_connections(now);
        self.run_transfers(now);
        self.context.schedule.resume_yielded();
    }

    fn run_connections(&mut self, now: Instant) {
        let mut keys = self.context.schedule.take_connections();
        let mut done = 0;
        while let Some(key) = keys.get(done) {
            self.drive_connection(*key, now);
            done += 1;
            self.context.schedule.end_turn();
            if self.context.schedule.is_spent() {
                break;
            }
        }
        keys.drain(..done);
        self.context.schedule.put_back(keys);
    }

    fn run_timers(&mut self, now: Instant) {
        let reserve = self.context.schedule.budget() / 2;
        while let Some(index) = self.context.schedule.timers.pop_expired(now) {
            if let Some(transfer) = self.transfers.get(index as usize) {
                let id = transfer.id;
                // A last look first: if the application called late, what the transfer waits for may have come.
                if let Some(key) = self.shared_connection(id) {
                    self.drive_connection(key, now);
                }
                self.drive(id, now);
                self.expire(id, now);
            }
            self.context.schedule.end_turn();
            if self.context.schedule.budget() <= reserve {
                break;
            }
        }
    }

    fn run_transfers(&mut self, now: Instant) {
        while let Some(id) = self.context.schedule.pop() {
            self.drive(id, now);
            self.context.schedule.end_turn();
            if self.context.schedule.is_spent() {
                break;
            }
        }
    }

    /// Runs one transfer until it sleeps, yields or completes.
    pub(super) fn drive(&mut self, id: TransferId, now: Instant) {
        self.context.schedule.dequeue(id);
        loop {
            let transfer = &mut self.transfers[id.index as usize];
            let goes_on = match transfer::step(transfer, &mut self.context, now) {
                Ok(Step::Go(state)) => {
                    transfer.state = state;
                    true
                }
                Ok(Step::CatchUp(key)) => {
                    self.catch_up(key, now);
                    let transfer = &mut self.transfers[id.index as usize];
                    let is_joining = matches!(transfer.state, State::Joining);
                    if is_joining {
                        transfer::join(transfer, &mut self.context, key);
                    }
                    is_joining
                }
                Ok(Step::Wait | Step::Complete) => false,
                Ok(Step::Yield) => {
                    self.context.schedule.yield_transfer(id);
                    false
                }
                Err(fault) => {
                    self.fail(id, fault, now);
                    false
                }
            };
            self.assign_freed_slots(now);
            if !goes_on {
                break;
            }
        }
        self.report_head(id);
        self.set_timer(id);
    }

    /// Queues the event of a head that has arrived, unless the transfer has completed since.
    fn report_head(&mut self, id: TransferId) {
        let transfer = &mut self.transfers[id.index as usize];
        if std::mem::take(&mut transfer.has_new_head) && !transfer.is_done() {
            self.context.events.head(id);
        }
    }

    /// Ends a transfer if one of its clocks has run out.
    fn expire(&mut self, id: TransferId, now: Instant) {
        let transfer = &mut self.transfers[id.index as usize];
        if transfer.is_done() {
            return;
        }
        transfer.clocks.renew_span(&transfer.easy, now);
        let Some((kind, limit)) = transfer.clocks.expired(&transfer.easy, now) else {
            return self.set_timer(id);
        };
        let origins = &self.context.pool.origins;
        let last_byte = transfer.origin.and_then(|key| origins[key].last_byte);
        if kind == Timeout::Stall
            && transfer
                .clocks
                .extend_if_starved(&transfer.easy, last_byte, now)
        {
            self.context.events.info(transfer.subject(), || {
                "no byte comes, but other transfers of the origin receive".to_owned()
            });
            return self.set_timer(id);
        }
        let is_silent = last_byte.is_none_or(|at| Some(at) < transfer.clocks.dispatched);
        if let Some(key) = transfer.origin
            && is_silent
            && !matches!(kind, Timeout::Speed | Timeout::Total)
        {
            self.context.pool.fell_silent(key);
        }
        let kind = transfer::timeout_kind(transfer, &self.context, kind);
        self.fail(id, Fault::Timeout { kind, limit }, now);
        self.assign_freed_slots(now);
        self.set_timer(id);
    }

    /// Ends a transfer by a fault, or starts it over if that is possible without notice.
    fn fail(&mut self, id: TransferId, fault: Fault, now: Instant) {
        let transfer = &mut self.transfers[id.index as usize];
        let Some(error) = transfer::fail(transfer, &mut self.context, fault, now) else {
            return;
        };
        self.fail_sharing(id, &error, now);
        let transfer = &mut self.transfers[id.index as usize];
        transfer::complete(transfer, &mut self.context, Err(error), now);
    }

    /// A transfer could not reach its origin: ends those that waited for its attempt with the same fault.
    fn fail_sharing(&mut self, id: TransferId, error: &Error, now: Instant) {
        let is_reaching = matches!(
            error.doing(),
            Doing::Resolving | Doing::Connecting | Doing::Handshaking
        );
        let transfer = &self.transfers[id.index as usize];
        let Some(key) = transfer.origin else { return };
        if !is_reaching || error.fault().of_reaching().is_none() {
            return;
        }
        let since = transfer.clocks.dispatched;
        for sharing in self.context.pool.not_reached(key, id) {
            let Some(fault) = error.fault().of_reaching() else {
                continue;
            };
            let transfer = &mut self.transfers[sharing.index as usize];
            self.context.events.info(transfer.subject(), || {
                "another transfer tried to connect, and failed".to_owned()
            });
            let error = Error::new(fault, error.doing(), error.address())
                .redirected_to(transfer.redirects.url.clone())
                .through(error.proxy().map(str::to_owned));
            transfer::complete_since(transfer, &mut self.context, Err(error), since, now);
        }
    }

    /// Assigns free slots to the transfers that have waited longest, and makes those runnable. Their clocks start.
    pub(super) fn assign_slots(&mut self, now: Instant) {
        let context = &mut self.context;
        context.has_free_slots = false;
        loop {
            while let Some(connection) = context.pool.blocking_idle(now) {
                context.close(connection);
            }
            let Some((id, slot)) = context.pool.next(now) else {
                break;
            };
            let transfer = &mut self.transfers[id.index as usize];
            if let Slot::Join(key) = slot {
                let stream = context.network.connections[key].exchanges.attach(id);
                transfer.link = Some(Link::new(key, stream));
            }
            transfer.assign(slot);
            if transfer.clocks.dispatched.is_none() {
                transfer.clocks.dispatched = Some(now);
                context.events.step(transfer.subject(), || Trace::Started);
            }
            context.schedule.push(id);
        }
        while let Some(surplus) = context.pool.surplus() {
            context.close(surplus);
        }
    }

    /// Lets the server answer new connections that have waited long, since it may be at its limit: a transfer that has
    /// sent no request takes an idle connection; for another one, an idle connection closes.
    fn relieve_unanswered(&mut self, now: Instant) {
        while let Some(Crowded { unanswered, idle }) = self.context.pool.next_crowded(now) {
            let connection = &self.context.network.connections[unanswered];
            let Some(id) = connection.exchanges.only_user() else {
                continue;
            };
            let transfer = &mut self.transfers[id.index as usize];
            if connection.is_established {
                self.context.events.info(transfer.subject(), || {
                    "no answer over the new connection: closing an idle one".to_owned()
                });
                self.context.close(idle);
            } else {
                transfer::take_idle(transfer, &mut self.context, now);
                self.set_timer(id);
            }
            self.assign_slots(now);
        }
    }

    fn assign_freed_slots(&mut self, now: Instant) {
        if self.context.has_free_slots {
            self.assign_slots(now);
        }
    }

    /// The connection of a transfer, if several may use it.
    fn shared_connection(&self, id: TransferId) -> Option<ConnectionKey> {
        let transfer = self.transfers.get(id.index as usize)?;
        self.context.shared_connection(transfer.link)
    }

    /// Receives what has come over a multiplexed connection until the kernel has no more or the budget is spent, and
    /// runs the transfers that it is for.
    fn drive_connection(&mut self, key: ConnectionKey, now: Instant) {
        let mut buffer = self.context.network.scratch.take();
        let mut budget = self.context.schedule.turn_budget();
        loop {
            let network = &mut self.context.network;
            let connection = network.connections.get_mut(key);
            let Some((_, filter, multiplexed)) = connection.and_then(Connection::shared_io) else {
                break;
            };
            let arrival = multiplexed.receive(filter, &mut buffer, &mut network.scratch, now);
            let count = match arrival {
                Some(Arrival::Bytes(count)) => count,
                Some(Arrival::Lost(lost)) => {
                    self.lose(key, lost, now);
                    break;
                }
                Some(Arrival::Nothing) | None => break,
            };
            buffer = self.parse_and_wake(key, buffer, count, now);
            budget = budget.saturating_sub(count);
            self.context.schedule.spend(count);
            if budget == 0 {
                self.context.schedule.yield_connection(key);
                break;
            }
        }
        self.context.network.scratch.give(buffer);
        self.context.mark_unsent(key);
    }

    /// Parses the first `count` bytes of the buffer, a slice at a time, and runs the transfers that they are for.
    fn parse_and_wake(
        &mut self,
        key: ConnectionKey,
        mut buffer: Box<[u8]>,
        count: usize,
        now: Instant,
    ) -> Box<[u8]> {
        for start in (0..count).step_by(SLICE) {
            let Some(multiplexed) = self.context.multiplexed(key) else {
                break;
            };
            buffer = multiplexed.parse(buffer, start..count.min(start + SLICE));
            // The pool has to know first: a transfer that a GOAWAY left out must not join this connection again.
            self.context.update_capacity(key);
            self.wake_streams(key, now);
        }
        buffer
    }

    /// Runs the transfers that have events on their streams.
    fn wake_streams(&mut self, key: ConnectionKey, now: Instant) {
        while let Some(id) = self
            .context
            .multiplexed(key)
            .and_then(Multiplexed::next_woken)
        {
            self.drive(id, now);
        }
    }

    /// A multiplexed connection ended. Its transfers learn it one by one, and the last one to leave closes it.
    fn lose(&mut self, key: ConnectionKey, lost: Lost, now: Instant) {
        let Some(multiplexed) = self.context.multiplexed(key) else {
            return;
        };
        multiplexed.lose(lost);
        let user = multiplexed.any_user();
        self.context.update_capacity(key);
        let Some(user) = user else {
            return self.context.close(key);
        };
        self.context.network.want(key, user, Interest::Remove);
        self.wake_streams(key, now);
    }

    /// Receives from a multiplexed connection that was not watched, idle or with all streams at rest: a GOAWAY may have
    /// come.
    fn catch_up(&mut self, key: ConnectionKey, now: Instant) {
        let call = self.context.schedule.call();
        let connection = &mut self.context.network.connections[key];
        let idle_since = connection.idle_since.take();
        let multiplexed = connection.exchanges.multiplexed();
        let is_unwatched = multiplexed.is_some_and(|multiplexed| multiplexed.is_unwatched());
        match idle_since {
            Some((_, since_call)) if since_call == call => {}
            Some((since, _)) if now.saturating_duration_since(since) >= IDLE_AGE => {
                self.lose(key, Lost::Ended, now);
            }
            Some(_) => self.drive_connection(key, now),
            None if is_unwatched => self.drive_connection(key, now),
            None => {}
        }
    }

    /// Sets a transfer's timer after a change, and checks that something will wake the transfer.
    pub(super) fn set_timer(&mut self, id: TransferId) {
        let transfer = &self.transfers[id.index as usize];
        let at = if transfer.is_done() {
            None
        } else {
            transfer.clocks.next(&transfer.easy)
        };
        self.context.schedule.timers.set(id.index, at);
        debug_assert!(
            self.can_progress(id),
            "nothing would wake {id:?} in {:?}",
            self.transfers[id.index as usize].state
        );
    }

    /// Whether something will wake a transfer: a socket, a time, its turn, or another part of the engine.
    fn can_progress(&self, id: TransferId) -> bool {
        let transfer = &self.transfers[id.index as usize];
        let schedule = &self.context.schedule;
        let network = &self.context.network;
        let connection = transfer
            .link
            .and_then(|link| network.connections.get(link.key));
        // The interest in a socket that streams share is decided at the end of the call.
        let is_unsent = connection.is_some_and(|connection| connection.exchanges.is_unsent());
        schedule.is_queued(id)
            || transfer.is_paused
            || is_unsent
            || schedule.timers.is_set(id.index)
            || schedule.has_yielded(id)
            || match transfer.state {
                State::Pending { turn, .. } => transfer
                    .origin
                    .is_some_and(|key| self.context.pool.is_waiting(key, turn, id)),
                State::Resolve => self.context.lookups.is_awaited_by(id),
                // The application, a connection that catches up in this call, and a segment wake these.
                State::Done { .. } | State::Joining | State::StandBy => true,
                State::Delayed
                | State::Init
                | State::Assigned { .. }
                | State::Connect
                | State::Handshake
                | State::Send
                | State::Receive
                | State::Limited => false,
            }
            || connection.is_some_and(|connection| {
                let mut sockets = connection.sockets();
                sockets.any(|socket| network.sockets.is_wanted(socket))
            })
    }

    /// When the engine has something to do next.
    pub(super) fn expiry(&self) -> Option<Expiry> {
        let (schedule, pool) = (&self.context.schedule, &self.context.pool);
        if schedule.is_idle() && !pool.must_assign() {
            let times = [schedule.timers.next(), pool.next_release()];
            times.into_iter().flatten().min().map(Expiry::At)
        } else {
            Some(Expiry::Now)
        }
    }

    /// Drops entries of closed connections: they are no reason to be called.
    pub(super) fn forget_closed(&mut self) {
        let connections = &self.context.network.connections;
        let schedule = &mut self.context.schedule;
        schedule.retain_connections(|key| connections.contains(key));
    }

    /// Completes every transfer with the abort. Their resources are not returned one by one: [`Context::clear`]
    /// forgets all of them.
    pub(super) fn abort_transfers(&mut self) {
        for (_, transfer) in &mut self.transfers {
            if transfer.is_done() {
                continue;
            }
            let error = Error::new(Fault::Aborted, transfer.state.doing(), transfer.address());
            let message = self.context.messages.push(Done {
                id: transfer.id,
                result: Err(error),
                dispatched: transfer.clocks.dispatched,
            });
            transfer.forget(message);
        }
    }
}
