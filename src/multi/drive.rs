//! What moves the transfers: who is due, who runs, what is told at the end of a call, and what an abort leaves.

use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use super::alarm::Expiry;
use super::connection::{Connection, Talk};
use super::connections::ConnectionKey;
use super::info::{Done, TransferId};
use super::rate::Rate;
use super::transfer::{State, Step, Transfer};
use super::{Easy, Multi, Sink, Target};
use crate::error::{Error, Fault, MultiError, Timeout};

/// Transfers run in one call at most, beside the one whose socket had activity. The rest stays runnable.
const TURNS: usize = 256;

/// Bytes that a call receives for those of one kind (connections, timers, runnable transfers) before it
/// leaves the rest to the next: several times what one transfer receives before others have their turn.
const CALL_BUDGET: usize = 8 * 1024 * 1024;

impl<S: Sink> Multi<S> {
    pub(super) fn has(&self, id: TransferId) -> bool {
        self.transfers
            .get(id.index as usize)
            .is_some_and(|transfer| transfer.id == id)
    }

    /// A transfer that is known to be there: the id comes from a table of the engine's own.
    pub(super) fn transfer(&mut self, id: TransferId) -> &mut Transfer<S> {
        &mut self.transfers[id.index as usize]
    }

    /// Gives whether the transfer was paused before.
    pub(super) fn set_paused(
        &mut self,
        id: TransferId,
        is_paused: bool,
    ) -> Result<bool, MultiError> {
        if !self.has(id) {
            return Err(MultiError::BadEasyHandle);
        }
        Ok(std::mem::replace(
            &mut self.transfer(id).is_paused,
            is_paused,
        ))
    }

    pub(super) fn make_runnable(&mut self, id: TransferId) {
        let transfer = self.transfer(id);
        if !std::mem::replace(&mut transfer.is_runnable, true) {
            self.runnable.push_back(id);
        }
    }

    /// Makes a call that may come to the application's functions and sinks. One that panics leaves
    /// the multi dead, as an error of one does, and not half-way through something.
    pub(super) fn guarded<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> T {
        let result = panic::catch_unwind(AssertUnwindSafe(|| call(self)));
        result.unwrap_or_else(|cause| {
            // The socket function may panic again; each time there is one socket less to tell of.
            while panic::catch_unwind(AssertUnwindSafe(|| self.abort())).is_err() {}
            panic::resume_unwind(cause)
        })
    }

    /// One call: what the target is about, and whatever else is due.
    pub(super) fn act(&mut self, target: Target, now: Instant) -> Result<(), MultiError> {
        self.calls += 1;
        match target {
            Target::Timeout => self.alarm.forget(),
            Target::Socket(socket) => {
                if let Some(key) = self.sockets.connection(socket) {
                    self.drive_user(key, now);
                }
            }
        }
        self.run_due(now);
        self.conclude(now)
    }

    /// Replaces the limit of all transfers together. Those that wait by the old one look anew.
    pub(super) fn set_rate(&mut self, rate: Option<Rate>) {
        for id in self.live() {
            self.give_back(id);
            let transfer = self.transfer(id);
            if transfer.state == State::Limited {
                transfer.clocks.wake = None;
                self.make_runnable(id);
            }
        }
        self.rate = rate;
    }

    /// Every transfer that has not completed.
    pub(super) fn live(&self) -> Vec<TransferId> {
        let transfers = self.transfers.iter();
        let live = transfers.filter(|(_, transfer)| transfer.state != State::Done);
        live.map(|(_, transfer)| transfer.id).collect()
    }

    /// Takes a transfer that holds nothing any more out of every table, its message too. A dead
    /// multi that is empty lives again.
    pub(super) fn take_out(&mut self, id: TransferId) -> Easy<S> {
        let transfer = self.transfers.remove(id.index as usize);
        if let Some(message) = transfer.message {
            self.messages.withdraw(message);
        }
        self.is_dead &= !self.transfers.is_empty();
        transfer.easy
    }

    /// Runs what is due and what is runnable, so much of each that the call stays short. What is left
    /// comes first in the next call.
    pub(super) fn run_due(&mut self, now: Instant) {
        // Places that nobody freed: the limits were raised, or an origin is held no longer.
        self.pool.release_due(now);
        self.give_places(now);
        self.run_connections(now);
        self.run_timers(now);
        self.run_transfers(now);
        for id in std::mem::take(&mut self.yielded) {
            if self.has(id) {
                self.make_runnable(id);
            }
        }
        self.runnable_connections
            .append(&mut self.yielded_connections);
    }

    fn run_connections(&mut self, now: Instant) {
        self.budget = CALL_BUDGET;
        let mut keys = std::mem::take(&mut self.runnable_connections);
        let mut done = 0;
        while let Some(key) = keys.get(done)
            && self.budget > 0
        {
            self.drive_connection(*key, now);
            done += 1;
        }
        keys.drain(..done);
        keys.append(&mut self.runnable_connections);
        self.runnable_connections = keys;
    }

    fn run_timers(&mut self, now: Instant) {
        self.budget = CALL_BUDGET;
        for _ in 0..TURNS {
            if self.budget == 0 {
                break;
            }
            let Some(index) = self.timers.pop_expired(now) else {
                break;
            };
            if let Some(transfer) = self.transfers.get(index as usize) {
                let id = transfer.id;
                // A last look first: if the application was late, what it was waited for may well have come.
                if let Some(key) = self.shared_by(id) {
                    self.drive_connection(key, now);
                }
                self.drive(id, now);
                self.expire(id, now);
            }
        }
    }

    fn run_transfers(&mut self, now: Instant) {
        self.budget = CALL_BUDGET;
        for _ in 0..TURNS {
            if self.budget == 0 {
                break;
            }
            let Some(id) = self.runnable.pop_front() else {
                break;
            };
            if self.has(id) && self.transfer(id).is_runnable {
                self.drive(id, now);
            }
        }
    }

    /// Has whoever uses a connection go on.
    pub(super) fn drive_user(&mut self, key: ConnectionKey, now: Instant) {
        let user = match self.connections.get(key).map(|connection| &connection.talk) {
            Some(Talk::Http1(http1)) => http1.user,
            Some(Talk::Http2(_)) => return self.drive_connection(key, now),
            None => None,
        };
        if let Some(id) = user {
            self.drive(id, now);
        }
    }

    /// Ends a transfer one of whose clocks has run out.
    pub(super) fn expire(&mut self, id: TransferId, now: Instant) {
        let transfer = &mut self.transfers[id.index as usize];
        if transfer.state == State::Done {
            return;
        }
        transfer.clocks.turn_span(&transfer.easy, now);
        let Some((kind, limit)) = transfer.clocks.expired(&transfer.easy, now) else {
            return self.after(id);
        };
        let origin = transfer
            .origin
            .and_then(|key| self.pool.origins[key].last_byte);
        if kind == Timeout::Stall && transfer.clocks.bear_with(&transfer.easy, origin, now) {
            self.tracer
                .info(id, || "no byte comes, but others have some".to_owned());
            return self.after(id);
        }
        let kind = self.in_words(id, kind);
        self.fail(id, Fault::Timeout { kind, limit }, now);
        self.after(id);
    }

    /// Which clock it was, more closely, by what the transfer was doing.
    fn in_words(&self, id: TransferId, kind: Timeout) -> Timeout {
        let transfer = &self.transfers[id.index as usize];
        let connection = transfer
            .connection
            .and_then(|key| self.connections.get(key));
        let has_begun = connection.is_some_and(|connection| connection.has_begun(transfer.slot));
        let proxy = transfer
            .origin
            .and_then(|key| self.pool.origins[key].route().proxy());
        match (kind, transfer.state) {
            (Timeout::Connect, State::Resolve) => Timeout::Lookup,
            (Timeout::Connect, State::Handshake) if proxy.is_some() => Timeout::Proxy,
            (Timeout::Connect, State::Handshake) => Timeout::Handshake,
            (Timeout::Stall, State::Receive) if !has_begun => Timeout::Answer,
            _ => kind,
        }
    }

    /// Runs one transfer until it sleeps, yields or completes.
    pub(super) fn drive(&mut self, id: TransferId, now: Instant) {
        self.transfer(id).is_runnable = false;
        loop {
            let step = match self.transfer(id).state {
                State::Delayed => self.delayed(id, now),
                State::Init => self.init(id, now),
                State::Pending => self.pending(id, now),
                State::Resolve => self.resolve(id, now),
                State::Connect => self.connect(id, now),
                State::Handshake => self.handshake(id, now),
                State::StandBy => Ok(self.stand_by(id)),
                State::Send => self.send(id, now),
                State::Receive => self.receive(id, now),
                State::Limited => self.limited(id, now),
                State::Done => Ok(Step::Complete),
            };
            match step {
                Ok(Step::Go(state)) => self.transfer(id).state = state,
                Ok(Step::Wait | Step::Complete) => break,
                Ok(Step::Yield) => {
                    self.yielded.push(id);
                    break;
                }
                Err(fault) => {
                    self.fail(id, fault, now);
                    break;
                }
            }
        }
        self.after(id);
    }

    /// Sets a transfer's timer after whatever has happened to it, and sees that it cannot sleep for ever.
    pub(super) fn after(&mut self, id: TransferId) {
        let transfer = &self.transfers[id.index as usize];
        let at = if transfer.state == State::Done {
            None
        } else {
            transfer.clocks.next(&transfer.easy)
        };
        self.timers.set(id.index, at);
        debug_assert!(
            self.can_progress(id),
            "nothing would wake {id:?} in {:?}",
            self.transfers[id.index as usize].state
        );
    }

    /// Whether something will wake a transfer: a socket, a time, its turn, or an answer that others owe it.
    pub(super) fn can_progress(&self, id: TransferId) -> bool {
        let transfer = &self.transfers[id.index as usize];
        let connection = transfer
            .connection
            .and_then(|key| self.connections.get(key));
        // What is wanted of a socket that streams share is said at the end of the call.
        let is_unsaid = connection.is_some_and(
            |connection| matches!(&connection.talk, Talk::Http2(http2) if http2.is_unsent),
        );
        let sockets = connection.map(Connection::sockets);
        transfer.is_runnable
            || transfer.is_paused
            || is_unsaid
            || self.timers.is_set(id.index)
            || self.yielded.contains(&id)
            || matches!(
                transfer.state,
                State::Done | State::Pending | State::Resolve | State::StandBy
            )
            || sockets.is_some_and(|sockets| {
                sockets
                    .into_iter()
                    .any(|socket| self.sockets.is_wanted(socket))
            })
    }

    /// Drops the entries at the head of the queue whose transfers have gone, or have run already:
    /// they are no reason to be called.
    fn forget_stale(&mut self) {
        while let Some(id) = self.runnable.front().copied() {
            if self.has(id) && self.transfer(id).is_runnable {
                break;
            }
            self.runnable.pop_front();
        }
        self.runnable_connections
            .retain(|key| self.connections.contains(*key));
    }

    pub(super) fn expiry(&self) -> Option<Expiry> {
        if self.is_dead {
            None
        } else if self.runnable.is_empty()
            && self.runnable_connections.is_empty()
            && !self.pool.is_stirred()
        {
            let times = [self.timers.next(), self.pool.next_release()];
            times.into_iter().flatten().min().map(Expiry::At)
        } else {
            Some(Expiry::Now)
        }
    }

    /// The end of every call: tells the functions what has changed, the timer function last.
    pub(super) fn conclude(&mut self, now: Instant) -> Result<(), MultiError> {
        self.transmit_all();
        if !self.is_dead {
            // A connection may have closed, or carry more now, and no event will say so.
            self.give_places(now);
        }
        if self.sockets.flush(&mut self.messages) {
            self.abort();
        }
        if self.is_dead {
            return Err(MultiError::AbortedByCallback);
        }
        self.forget_stale();
        if self.alarm.evaluate(self.expiry(), now).is_err() {
            self.abort();
            return Err(MultiError::AbortedByCallback);
        }
        Ok(())
    }

    pub(super) fn announce_runnable(&mut self) -> Result<(), MultiError> {
        self.guarded(|multi| {
            if multi.alarm.announce_now().is_err() {
                multi.abort();
                return Err(MultiError::AbortedByCallback);
            }
            Ok(())
        })
    }

    /// Says that the next call has something to do, where what was set has made it so.
    pub(super) fn announce_if_stirred(&mut self) -> Result<(), MultiError> {
        if self.is_dead || self.expiry() != Some(Expiry::Now) {
            return Ok(());
        }
        self.announce_runnable()
    }

    /// Completes every transfer with the abort, and closes every connection. The multi is dead
    /// until all transfers are removed. What went before may have ended anywhere: nothing is undone
    /// step by step, all is forgotten at once, and the socket function is called last.
    pub(super) fn abort(&mut self) {
        for id in self.live() {
            let transfer = &mut self.transfers[id.index as usize];
            let error = Error::new(Fault::Aborted, transfer.state.doing(), transfer.address);
            let done = Done {
                id,
                result: Err(error),
                dispatched: transfer.clocks.dispatched,
            };
            transfer.forget();
            transfer.message = Some(self.messages.push(done));
        }
        (self.running, self.sleeping) = (0, 0);
        self.is_dead = !self.transfers.is_empty();
        self.pool.clear();
        self.timers.clear();
        self.rate = self.options.max_recv_speed.map(Rate::new);
        self.runnable.clear();
        self.yielded.clear();
        self.runnable_connections.clear();
        self.yielded_connections.clear();
        self.unsent.clear();
        self.alarm.forget();
        while let Some(mut connection) = self.connections.pop() {
            if let Some(filter) = connection.filter() {
                filter.close();
            }
        }
        // The function may have said that it is broken; that it says so of the removals too is no news.
        self.sockets.clear(&mut self.messages);
    }
}
