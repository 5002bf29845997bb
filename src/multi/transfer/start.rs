//! From `add` to a place: the states Delayed, Init and Pending.

use std::time::Instant;

use super::{State, Step};
use crate::error::Fault;
use crate::multi::connection::Lost;
use crate::multi::connections::ConnectionKey;
use crate::multi::info::TransferId;
use crate::multi::queue::{Place, Turn};
use crate::multi::timers::later;
use crate::multi::trace::Trace;
use crate::multi::{Multi, Sink};

/// An idle connection older than this is not trusted: most servers and middleboxes have dropped it by then.
const IDLE_AGE: std::time::Duration = std::time::Duration::from_secs(118);

impl<S: Sink> Multi<S> {
    /// Waits for the transfer's time, which counts from its first turn on.
    pub(in crate::multi) fn delayed(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let transfer = self.transfer(id);
        let delay = transfer.easy.delay.unwrap_or_default();
        let wake = *transfer
            .clocks
            .wake
            .get_or_insert_with(|| later(now, delay));
        if now < wake {
            return Ok(Step::Wait);
        }
        transfer.clocks.wake = None;
        self.sleeping -= 1;
        Ok(Step::Go(State::Init))
    }

    /// Checks the URL, and queues for a place at its origin.
    pub(in crate::multi) fn init(&mut self, id: TransferId, now: Instant) -> Result<Step, Fault> {
        let transfer = &self.transfers[id.index as usize];
        let key = self.pool.enter(transfer.url())?;
        let ticket = self.pool.ticket();
        let transfer = self.transfer(id);
        let has_started = transfer.clocks.dispatched.is_some();
        let turn = Turn {
            is_connect_only: transfer.easy.is_connect_only,
            is_new: !has_started && !transfer.easy.is_extra,
            is_paced: !has_started && !transfer.easy.is_connect_only,
            ticket,
        };
        transfer.origin = Some(key);
        transfer.turn = Some(turn);
        let waiter = transfer.waiter();
        self.pool.wait(key, turn, waiter);
        self.give_places(now);
        Ok(Step::Go(State::Pending))
    }

    /// Waits for a place; with one, goes on to where that begins.
    pub(in crate::multi) fn pending(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let transfer = self.transfer(id);
        transfer.is_runnable = false;
        match transfer.place {
            None => Ok(Step::Wait),
            Some(Place::New) => {
                transfer.needs_fresh = false;
                transfer.clocks.connecting = Some(now);
                Ok(Step::Go(State::Resolve))
            }
            Some(Place::Reuse(connection)) => {
                transfer.place = None;
                if transfer.needs_fresh || !self.is_alive(connection, now) {
                    self.close_connection(connection);
                    self.requeue(id, true, now);
                    return Ok(Step::Wait);
                }
                self.set_on(id, connection);
                if let Some(http1) = self.connections[connection].http1() {
                    http1.user = Some(id);
                }
                Ok(Step::Go(State::Send))
            }
            Some(Place::Join(connection)) => {
                transfer.place = None;
                self.look_after_idling(connection, now);
                if self.transfer(id).connection.is_some() {
                    self.set_on(id, connection);
                }
                Ok(Step::Go(State::Send))
            }
        }
    }

    /// Sets a transfer on a connection that stands.
    fn set_on(&mut self, id: TransferId, key: ConnectionKey) {
        let address = self.connections[key].address();
        let transfer = self.transfer(id);
        transfer.connection = Some(key);
        transfer.address = address;
        self.tracer.info(id, || {
            let address = address.map_or_else(String::new, |address| address.to_string());
            format!("reusing the connection to {address}")
        });
    }

    /// Looks at a connection of HTTP/2 that was out of sight, idle or with streams that all rest: what
    /// arrived since may be the peer's GOAWAY.
    fn look_after_idling(&mut self, key: ConnectionKey, now: Instant) {
        let connection = &mut self.connections[key];
        let idle_since = connection.idle_since.take();
        let is_at_rest = connection
            .http2()
            .is_some_and(|http2| http2.is_out_of_sight);
        match idle_since {
            Some((_, call)) if call == self.calls => {}
            Some((since, _)) if now.saturating_duration_since(since) >= IDLE_AGE => {
                self.lose(key, Lost::Ended, now);
            }
            Some(_) => self.drive_connection(key, now),
            None if is_at_rest => self.drive_connection(key, now),
            None => {}
        }
    }

    /// Whether an idle connection is still fit to carry a request: nothing has come over it since its last answer.
    fn is_alive(&mut self, connection: ConnectionKey, now: Instant) -> bool {
        let calls = self.calls;
        let connection = &mut self.connections[connection];
        match connection.idle_since.take() {
            Some((_, call)) if call == calls => true,
            Some((since, _)) => {
                now.saturating_duration_since(since) < IDLE_AGE && connection.is_silent()
            }
            None => false,
        }
    }

    /// Queues a dispatched transfer again, for a new connection or for any.
    pub(in crate::multi) fn requeue(&mut self, id: TransferId, needs_fresh: bool, now: Instant) {
        let ticket = self.pool.ticket();
        let transfer = self.transfer(id);
        let turn = Turn {
            is_connect_only: transfer.easy.is_connect_only,
            is_new: false,
            is_paced: false,
            ticket,
        };
        transfer.needs_fresh = needs_fresh;
        transfer.state = State::Pending;
        transfer.turn = Some(turn);
        if let Some(key) = transfer.origin {
            let waiter = transfer.waiter();
            self.pool.wait(key, turn, waiter);
            self.give_places(now);
        }
    }

    /// Gives free places to those who have waited longest, and makes them runnable. Their clocks start here.
    pub(in crate::multi) fn give_places(&mut self, now: Instant) {
        loop {
            while let Some(connection) = self.pool.obstacle(now) {
                self.close_connection(connection);
            }
            let Some((id, place)) = self.pool.next(now) else {
                break;
            };
            let transfer = &mut self.transfers[id.index as usize];
            if let Place::Join(key) = place
                && let Some(http2) = self.connections[key].http2()
            {
                transfer.connection = Some(key);
                transfer.slot = http2.users.insert(id);
            }
            transfer.turn = None;
            transfer.place = Some(place);
            if transfer.clocks.dispatched.is_none() {
                transfer.clocks.dispatched = Some(now);
                self.tracer.step(id, || Trace::Started);
            }
            self.make_runnable(id);
        }
        while let Some(surplus) = self.pool.surplus() {
            self.close_connection(surplus);
        }
    }
}
