//! From `add` to a place: the states Delayed, Init and Pending.

use std::time::Instant;

use super::{State, Step};
use crate::error::Fault;
use crate::multi::info::TransferId;
use crate::multi::pool::{Place, Turn};
use crate::multi::{Multi, Sink};

/// An idle connection older than this is not trusted: most servers and middleboxes have dropped it by then.
const IDLE_AGE: std::time::Duration = std::time::Duration::from_secs(118);

impl<S: Sink> Multi<S> {
    /// Waits for the transfer's time.
    pub(in crate::multi) fn delayed(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let clocks = &mut self.transfer(id).clocks;
        if clocks.wake.is_some_and(|at| now < at) {
            return Ok(Step::Wait);
        }
        clocks.wake = None;
        self.sleeping -= 1;
        Ok(Step::Go(State::Init))
    }

    /// Checks the URL, and queues for a place at its origin.
    pub(in crate::multi) fn init(&mut self, id: TransferId, now: Instant) -> Result<Step, Fault> {
        let transfer = &mut self.transfers[id.index as usize];
        if let Some(at) = transfer
            .easy
            .delay
            .take()
            .and_then(|delay| now.checked_add(delay))
        {
            transfer.clocks.wake = Some(at);
            self.sleeping += 1;
            return Ok(Step::Go(State::Delayed));
        }
        let key = self.pool.enter(transfer.url())?;
        let ticket = self.pool.ticket();
        let transfer = self.transfer(id);
        let turn = Turn {
            is_new: transfer.clocks.dispatched.is_none(),
            ticket,
        };
        transfer.origin = Some(key);
        transfer.turn = Some(turn);
        self.pool.wait(key, turn, id);
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
                    self.requeue(id, now);
                    return Ok(Step::Wait);
                }
                let address = self.connections[connection].address();
                let transfer = self.transfer(id);
                transfer.connection = Some(connection);
                transfer.address = address;
                let connection = &mut self.connections[connection];
                connection.user = Some(id);
                self.tracer.info(id, || {
                    format!(
                        "reusing the connection to {}",
                        connection
                            .address()
                            .map_or_else(String::new, |a| a.to_string())
                    )
                });
                Ok(Step::Go(State::Send))
            }
        }
    }

    /// Whether an idle connection is still fit to carry a request: nothing has come over it since its last answer.
    fn is_alive(&mut self, connection: usize, now: Instant) -> bool {
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

    /// Queues a dispatched transfer again, for a new connection.
    pub(in crate::multi) fn requeue(&mut self, id: TransferId, now: Instant) {
        let ticket = self.pool.ticket();
        let turn = Turn {
            is_new: false,
            ticket,
        };
        let transfer = self.transfer(id);
        transfer.needs_fresh = true;
        transfer.state = State::Pending;
        transfer.turn = Some(turn);
        if let Some(key) = transfer.origin {
            self.pool.wait(key, turn, id);
            self.give_places(now);
        }
    }

    /// Gives free places to those who have waited longest, and makes them runnable. Their clocks start here.
    pub(in crate::multi) fn give_places(&mut self, now: Instant) {
        loop {
            while let Some(connection) = self.pool.obstacle() {
                self.close_connection(connection);
            }
            let Some((id, place)) = self.pool.next() else {
                break;
            };
            let transfer = self.transfer(id);
            transfer.turn = None;
            transfer.place = Some(place);
            transfer.clocks.dispatched.get_or_insert(now);
            self.make_runnable(id);
        }
        while let Some(surplus) = self.pool.surplus() {
            self.close_connection(surplus);
        }
    }
}
