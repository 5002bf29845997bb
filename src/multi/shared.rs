//! What happens to a connection of HTTP/2 as a whole: bytes that come are for many transfers, bytes
//! that go are of many, and when it ends it ends for all of them.

use std::time::Instant;

use super::connection::{Connection, Lost, Stage, Talk};
use super::connections::ConnectionKey;
use super::info::TransferId;
use super::{Multi, Sink};
use crate::conn::{Interest, Received};

/// Bytes that one connection receives before others have their turn.
pub(super) const BUDGET: usize = 2 * 1024 * 1024;

/// Bytes that are taken out of their frames at once. Their memory is used again for the next ones;
/// more of it would be given back to the system and asked for anew each time.
const SLICE: usize = 64 * 1024;

impl<S: Sink> Multi<S> {
    /// The connection of HTTP/2 that a transfer uses.
    pub(super) fn shared_by(&self, id: TransferId) -> Option<ConnectionKey> {
        let key = self.transfers.get(id.index as usize)?.connection?;
        let connection = self.connections.get(key)?;
        matches!(connection.talk, Talk::Http2(_)).then_some(key)
    }

    /// Takes what has come over a connection until the kernel has no more of it or the budget is spent, and has the
    /// transfers go on that it is for.
    pub(super) fn drive_connection(&mut self, key: ConnectionKey, now: Instant) {
        let mut buffer = self.scratch.take();
        let mut budget = BUDGET;
        while let Some(Connection {
            stage: Stage::Connected { filter, .. },
            talk: Talk::Http2(http2),
            ..
        }) = self.connections.get_mut(key)
        {
            // What is clogged goes on when its output has gone.
            if !http2.may_receive() {
                break;
            }
            let count = match filter.recv(&mut buffer, usize::MAX, &mut self.scratch) {
                Ok(Received::Bytes(count)) => count,
                Ok(Received::WouldBlock) => {
                    if let Some(lost) = http2.unwritable.take() {
                        self.lose(key, lost, now);
                    }
                    break;
                }
                Ok(Received::End { .. }) => {
                    self.lose(key, Lost::Ended, now);
                    break;
                }
                Err(fault) => {
                    self.lose(key, Lost::new(&fault), now);
                    break;
                }
            };
            http2.last_byte = now;
            buffer = self.hand_out(key, buffer, count, now);
            budget = budget.saturating_sub(count);
            self.budget = self.budget.saturating_sub(count);
            if budget == 0 {
                self.yielded_connections.push(key);
                break;
            }
        }
        self.scratch.give(buffer);
        self.mark_unsent(key);
    }

    /// Gives the first `count` bytes of the buffer to a connection's session, and what comes of them to its transfers.
    fn hand_out(
        &mut self,
        key: ConnectionKey,
        mut buffer: Box<[u8]>,
        count: usize,
        now: Instant,
    ) -> Box<[u8]> {
        for start in (0..count).step_by(SLICE) {
            let Some(connection) = self.connections.get_mut(key) else {
                break;
            };
            let origin = connection.origin;
            let Some(http2) = connection.http2() else {
                break;
            };
            let part = start..count.min(start + SLICE);
            buffer = http2.session.receive(buffer, part);
            // The pool has to know first: whose stream was left out by a goodbye must not come back here.
            let capacity = http2.capacity();
            self.pool.set_capacity(origin, key, capacity);
            self.wake_streams(key, now);
        }
        buffer
    }

    /// Has those transfers go on whose streams have something to say.
    fn wake_streams(&mut self, key: ConnectionKey, now: Instant) {
        while let Some(http2) = self.connections.get_mut(key).and_then(Connection::http2) {
            let Some(slot) = http2.session.next_woken() else {
                break;
            };
            if let Some(id) = http2.users.get(slot).copied() {
                self.drive(id, now);
            }
        }
    }

    /// A connection has ended. Streams whose answers were whole are not affected; the others learn
    /// of it, one by one, and the last to leave closes it.
    pub(super) fn lose(&mut self, key: ConnectionKey, lost: Lost, now: Instant) {
        let connection = &mut self.connections[key];
        let sockets: Vec<_> = connection.sockets().collect();
        let origin = connection.origin;
        let Some(http2) = connection.http2() else {
            return;
        };
        http2.lost = Some(lost);
        http2.session.end();
        let user = http2.users.iter().next().map(|(_, id)| *id);
        self.pool.set_capacity(origin, key, 0);
        let Some(user) = user else {
            self.close_connection(key);
            return;
        };
        for socket in sockets {
            self.sockets.want(socket, user, Interest::Remove);
        }
        self.wake_streams(key, now);
    }

    /// Takes note that a connection has something to send, or may have: it does so at the end of
    /// this call, all at once.
    pub(super) fn mark_unsent(&mut self, key: ConnectionKey) {
        if let Some(http2) = self.connections.get_mut(key).and_then(Connection::http2)
            && !std::mem::replace(&mut http2.is_unsent, true)
        {
            self.unsent.push(key);
        }
    }

    /// Sends what the transfers of this call have left to be sent, and closes what is of no more use.
    pub(super) fn transmit_all(&mut self) {
        while let Some(key) = self.unsent.pop() {
            if let Some(is_useless) = self.transmit(key)
                && is_useless
            {
                self.close_connection(key);
            }
        }
    }

    /// Sends what a connection has to send, and says what is wanted of its socket. True when nobody
    /// uses it, nor ever will.
    fn transmit(&mut self, key: ConnectionKey) -> Option<bool> {
        let connection = self.connections.get_mut(key)?;
        let origin = connection.origin;
        let Stage::Connected { socket, filter, .. } = &mut connection.stage else {
            return None;
        };
        let Talk::Http2(http2) = &mut connection.talk else {
            return None;
        };
        http2.is_unsent = false;
        let was_clogged = http2.session.is_clogged();
        let was_unwritable = http2.unwritable.is_some();
        let is_all_sent = http2.transmit(filter.as_mut());
        let wanted = http2.interest(is_all_sent, filter.wants());
        let is_out_of_sight = wanted == Interest::Remove && http2.is_at_rest();
        let was_out_of_sight = std::mem::replace(&mut http2.is_out_of_sight, is_out_of_sight);
        // An edge-triggered loop reports bytes once: those that came unread, or before a failure, get no further event.
        let is_to_be_driven = (was_clogged && !http2.session.is_clogged())
            || (was_out_of_sight && !is_out_of_sight)
            || (!was_unwritable && http2.unwritable.is_some());
        if is_to_be_driven {
            self.runnable_connections.push(key);
        }
        let capacity = http2.capacity();
        let user = http2.users.iter().next().map(|(_, id)| *id);
        if let Some(user) = user {
            self.sockets.want(*socket, user, wanted);
        }
        let is_useless = user.is_none() && capacity == 0;
        while let Some(slot) = http2.session.next_woken() {
            if let Some(id) = http2.users.get(slot).copied() {
                let transfer = &mut self.transfers[id.index as usize];
                if !std::mem::replace(&mut transfer.is_runnable, true) {
                    self.runnable.push_back(id);
                }
            }
        }
        self.pool.set_capacity(origin, key, capacity);
        Some(is_useless)
    }

    /// Lets a connection carry no further streams; those that it has go on.
    pub(super) fn retire(&mut self, key: ConnectionKey) {
        let connection = &mut self.connections[key];
        let origin = connection.origin;
        if let Some(http2) = connection.http2() {
            http2.is_retired = true;
            self.pool.set_capacity(origin, key, 0);
        }
    }

    /// Takes a transfer off a connection of HTTP/2: a stream whose answer is not whole is reset.
    /// The connection goes on with the others, or is kept as idle.
    pub(super) fn leave_stream(&mut self, id: TransferId, key: ConnectionKey) {
        let transfer = &mut self.transfers[id.index as usize];
        let was_resting = std::mem::take(&mut transfer.is_resting);
        let was_bulky = std::mem::take(&mut transfer.is_bulky);
        let slot = transfer.slot;
        let calls = self.calls;
        let connection = &mut self.connections[key];
        let origin = connection.origin;
        let sockets: Vec<_> = connection.sockets().collect();
        let Some(http2) = connection.http2() else {
            return;
        };
        http2.session.leave(slot);
        http2.users.try_remove(slot);
        if was_resting {
            http2.resting -= 1;
            http2.session.make_room_for(http2.resting);
        }
        self.pool.left(origin, key, was_bulky);
        if http2.users.is_empty() {
            if !http2.is_open() {
                return self.close_connection(key);
            }
            connection.idle_since = Some((http2.last_byte, calls));
            for socket in sockets {
                self.sockets.want(socket, id, Interest::Remove);
            }
            self.pool.keep(origin, key);
        }
        self.mark_unsent(key);
    }
}
