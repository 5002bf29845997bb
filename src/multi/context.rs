//! The parts of an engine that all transfers share. The states of a transfer borrow the transfer and this.

use std::time::{Duration, Instant};

use super::Options;
use super::connections::ConnectionKey;
use super::events::Events;
use super::exchanges::{Broken, Exchanges};
use super::info::{Messages, TransferId};
use super::lookup::Lookups;
use super::multiplexed::Multiplexed;
use super::network::Network;
use super::origins::OriginKey;
use super::pool::Pool;
use super::rate::Rate;
use super::schedule::Schedule;
use super::transfer::{Link, Splicer};
use crate::conn::Interest;

/// The shortest delay: over when the application calls the next time.
const MOMENT: Duration = Duration::from_nanos(1);

/// What transfers share.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) options: Options,
    pub(super) pool: Pool,
    pub(super) network: Network,
    pub(super) lookups: Lookups,
    pub(super) schedule: Schedule,
    /// The info queue.
    pub(super) messages: Messages,
    pub(super) events: Events,
    pub(super) splicer: Splicer,
    /// The limit of all transfers together.
    pub(super) rate: Option<Rate>,
    /// Transfers that have not completed.
    pub(super) running: usize,
    /// Transfers that wait until their delay is over.
    pub(super) sleeping: usize,
    /// Slots may have become free since slots were last assigned.
    pub(super) has_free_slots: bool,
}

impl Context {
    /// The server asked for fewer requests: starts no transfers to its origin until the application has read the
    /// completion, and may have set a hold.
    pub(super) fn back_off(&mut self, origin: Option<OriginKey>, now: Instant) {
        if let Some(key) = origin {
            self.pool.back_off(key, now + MOMENT);
        }
    }

    /// The exchanges of a connection that several transfers may use.
    pub(super) fn multiplexed(&mut self, key: ConnectionKey) -> Option<&mut Multiplexed> {
        let connection = self.network.connections.get_mut(key)?;
        connection.exchanges.multiplexed()
    }

    /// The connection of a link, if several transfers may use it.
    pub(super) fn shared_connection(&self, link: Option<Link>) -> Option<ConnectionKey> {
        let key = link?.key;
        let connection = self.network.connections.get(key)?;
        connection.exchanges.is_multiplexed().then_some(key)
    }

    /// Lets a multiplexed connection send at the end of this call.
    pub(super) fn mark_unsent(&mut self, key: ConnectionKey) {
        if self.multiplexed(key).is_some_and(Multiplexed::mark_unsent) {
            self.schedule.push_unsent(key);
        }
    }

    /// Tells the pool how many streams a connection may carry.
    pub(super) fn update_capacity(&mut self, key: ConnectionKey) {
        let Some(connection) = self.network.connections.get_mut(key) else {
            return;
        };
        if let Some(multiplexed) = connection.exchanges.multiplexed() {
            let capacity = multiplexed.capacity();
            self.pool.set_capacity(connection.origin, key, capacity);
        }
    }

    /// Begins no further streams on a connection. Its open streams continue.
    pub(super) fn retire(&mut self, key: ConnectionKey) {
        if let Some(multiplexed) = self.multiplexed(key) {
            multiplexed.retire();
            self.update_capacity(key);
        }
    }

    /// Begins or ends the rest of a transfer's stream. Returns false if the transfer has its connection to itself.
    pub(super) fn set_resting(&mut self, link: &mut Link, is_resting: bool) -> bool {
        if link.is_resting == is_resting {
            return is_resting;
        }
        let Some(multiplexed) = self.multiplexed(link.key) else {
            return false;
        };
        link.is_resting = is_resting;
        multiplexed.set_resting(is_resting);
        // The interest in the socket may change.
        self.mark_unsent(link.key);
        true
    }

    /// Stops receiving for a transfer. A stream keeps its body within its window, so the others go on; else the socket
    /// is not watched.
    pub(super) fn rest(&mut self, id: TransferId, link: &mut Link) -> Result<(), Broken> {
        if !self.set_resting(link, true) {
            self.network.want(link.key, id, Interest::Remove);
        }
        match self.multiplexed(link.key) {
            Some(multiplexed) => multiplexed.skip_interim(link.stream),
            None => Ok(()),
        }
    }

    /// Takes a transfer off its connection. If the connection `is_clean`, it is kept as idle, else it closes. If it is
    /// multiplexed, an incomplete stream is reset, and the connection goes on.
    pub(super) fn leave(&mut self, id: TransferId, link: Link, is_clean: bool, now: Instant) {
        let connection = &mut self.network.connections[link.key];
        match &mut connection.exchanges {
            Exchanges::Multiplexed(_) => self.leave_stream(id, link, now),
            Exchanges::Serial(serial) if is_clean => {
                serial.detach();
                connection.idle_since = Some((now, self.schedule.call()));
                let origin = connection.origin;
                self.network.want(link.key, id, Interest::Remove);
                self.pool.keep(origin, link.key, now);
            }
            Exchanges::Serial(_) => self.close(link.key),
        }
    }

    fn leave_stream(&mut self, id: TransferId, link: Link, now: Instant) {
        let key = link.key;
        let connection = &mut self.network.connections[key];
        let origin = connection.origin;
        let Some(multiplexed) = connection.exchanges.multiplexed() else {
            return;
        };
        multiplexed.detach(link.stream, link.is_resting);
        self.pool.left(origin, key, link.is_bulky);
        if multiplexed.is_unused() {
            if !multiplexed.is_open() {
                return self.close(key);
            }
            connection.idle_since = Some((multiplexed.last_byte(), self.schedule.call()));
            self.network.want(key, id, Interest::Remove);
            self.pool.keep(origin, key, now);
        }
        self.mark_unsent(key);
    }

    /// Closes a connection, and frees its slot.
    pub(super) fn close(&mut self, key: ConnectionKey) {
        let Some(mut connection) = self.network.connections.remove(key) else {
            return;
        };
        for socket in connection.sockets() {
            self.network.sockets.close(socket, &mut self.messages);
        }
        if let Some(filter) = connection.filter() {
            filter.close();
        }
        let record = &mut self.pool.origins[connection.origin];
        if connection.exchanges.is_unanswered() {
            record.unanswered += 1;
        }
        if connection.is_established {
            record.breaker.disconnected();
        } else {
            self.pool.not_opened(connection.origin);
        }
        self.pool.closed(connection.origin, key);
    }

    /// Sends what connections have to send after this call, and closes those that are of no more use.
    pub(super) fn transmit_all(&mut self) {
        while let Some(key) = self.schedule.pop_unsent() {
            if self.transmit(key) {
                self.close(key);
            }
        }
    }

    /// Sends the output of a multiplexed connection, and sets the interest in its socket. Returns true if no transfer
    /// uses the connection, and none will.
    fn transmit(&mut self, key: ConnectionKey) -> bool {
        let Some(connection) = self.network.connections.get_mut(key) else {
            return false;
        };
        let Some((socket, filter, multiplexed)) = connection.shared_io() else {
            return false;
        };
        let transmitted = multiplexed.transmit(filter);
        if transmitted.must_receive {
            self.schedule.push_connection(key);
        }
        let capacity = multiplexed.capacity();
        let user = multiplexed.any_user();
        if let Some(user) = user {
            let sockets = &mut self.network.sockets;
            sockets.want(socket, user, transmitted.interest);
        }
        while let Some(id) = multiplexed.next_woken() {
            self.schedule.push(id);
        }
        self.pool.set_capacity(connection.origin, key, capacity);
        user.is_none() && capacity == 0
    }

    /// Forgets all transfers and connections, whatever their state. The socket function is called last, since it may
    /// panic.
    pub(super) fn clear(&mut self) {
        (self.running, self.sleeping) = (0, 0);
        self.has_free_slots = false;
        self.pool.clear();
        self.schedule.clear();
        self.rate = self.options.max_recv_speed.map(Rate::new);
        self.network.clear(&mut self.messages);
    }
}
