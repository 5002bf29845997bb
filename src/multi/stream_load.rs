//! How many streams each multiplexed connection of an origin carries and may carry, and which connection gets the
//! next stream.

use super::connections::ConnectionKey;

/// From this many streams with long bodies on, one connection may be the bottleneck.
const MANY_BULKY: usize = 4;
/// The maximum number of connections that are opened because the existing ones may be the bottleneck.
const MAX_FOR_BULKY: usize = 4;

/// The streams of one connection.
#[derive(Debug)]
struct StreamLoad {
    connection: ConnectionKey,
    /// Streams that are open or about to be opened.
    streams: usize,
    /// The maximum number of streams; 0 if the connection takes no new ones.
    capacity: usize,
    /// Streams with a long body.
    bulky: usize,
    /// The ticket of the idle connection, while it is idle.
    ticket: Option<u64>,
}

/// The multiplexed connections of one origin.
#[derive(Debug, Default)]
pub(super) struct StreamLoads(Vec<StreamLoad>);

impl StreamLoads {
    /// Adds a connection, which carries the stream of the transfer that opened it.
    pub(super) fn add(&mut self, connection: ConnectionKey, capacity: usize) {
        self.0.push(StreamLoad {
            connection,
            streams: 1,
            capacity,
            bulky: 0,
            ticket: None,
        });
    }

    /// The number of connections.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of streams on all connections.
    pub(super) fn streams(&self) -> usize {
        self.0.iter().map(|load| load.streams).sum()
    }

    /// The connection with the fewest streams among those that take another one.
    pub(super) fn best(&self) -> Option<ConnectionKey> {
        let loads = self.0.iter();
        let open = loads.filter(|load| load.streams < load.capacity);
        open.min_by_key(|load| load.streams)
            .map(|load| load.connection)
    }

    /// Whether a connection carries no stream.
    pub(super) fn is_idle(&self, connection: ConnectionKey) -> bool {
        self.position(connection)
            .is_some_and(|index| self.0[index].streams == 0)
    }

    /// Whether one more connection might make the transfers faster.
    pub(super) fn are_bottleneck(&self) -> bool {
        self.0.len() < MAX_FOR_BULKY && self.0.iter().all(|load| load.bulky >= MANY_BULKY)
    }

    /// Adds a stream. Returns the ticket of the connection if it was idle.
    pub(super) fn join(&mut self, connection: ConnectionKey) -> Option<u64> {
        let load = self.find(connection)?;
        load.streams += 1;
        load.ticket.take()
    }

    /// Removes a stream that ended.
    pub(super) fn leave(&mut self, connection: ConnectionKey, was_bulky: bool) {
        if let Some(load) = self.find(connection) {
            load.streams -= 1;
            load.bulky -= usize::from(was_bulky);
        }
    }

    /// Counts a stream as one with a long body.
    pub(super) fn grow(&mut self, connection: ConnectionKey) {
        if let Some(load) = self.find(connection) {
            load.bulky += 1;
        }
    }

    /// Sets the maximum number of streams of a connection. Returns true if that changes it.
    pub(super) fn set_capacity(&mut self, connection: ConnectionKey, capacity: usize) -> bool {
        match self.find(connection) {
            Some(load) => std::mem::replace(&mut load.capacity, capacity) != capacity,
            None => false,
        }
    }

    /// Marks a connection as idle, with this ticket. Returns false if the connection is not multiplexed.
    pub(super) fn keep(&mut self, connection: ConnectionKey, ticket: u64) -> bool {
        match self.find(connection) {
            Some(load) => {
                load.ticket = Some(ticket);
                true
            }
            None => false,
        }
    }

    /// Removes a connection that closed. Returns its ticket if it was idle.
    pub(super) fn remove(&mut self, connection: ConnectionKey) -> Option<u64> {
        let index = self.position(connection)?;
        self.0.swap_remove(index).ticket
    }

    fn position(&self, connection: ConnectionKey) -> Option<usize> {
        let mut loads = self.0.iter();
        loads.position(|load| load.connection == connection)
    }

    fn find(&mut self, connection: ConnectionKey) -> Option<&mut StreamLoad> {
        let index = self.position(connection)?;
        self.0.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> ConnectionKey {
        ConnectionKey::new(index)
    }

    fn loads(capacities: &[usize]) -> StreamLoads {
        let mut loads = StreamLoads::default();
        for (index, capacity) in (0..).zip(capacities) {
            loads.add(key(index), *capacity);
        }
        loads
    }

    #[test]
    fn streams_go_to_the_least_loaded_connection() {
        let mut loads = loads(&[3, 3]);
        loads.join(key(0));
        assert_eq!(loads.best(), Some(key(1)));
        loads.join(key(1));
        loads.join(key(1));
        assert_eq!(loads.best(), Some(key(0)));
        loads.join(key(0));
        assert_eq!(loads.best(), None);
        loads.leave(key(1), false);
        assert_eq!(loads.best(), Some(key(1)));
    }

    #[test]
    fn a_connection_that_takes_no_more_is_passed_over() {
        let mut loads = loads(&[100, 100]);
        assert!(loads.set_capacity(key(0), 0));
        assert!(!loads.set_capacity(key(0), 0));
        assert_eq!(loads.best(), Some(key(1)));
        assert!(loads.set_capacity(key(1), 1));
        assert_eq!(loads.best(), None);
    }

    #[test]
    fn long_bodies_ask_for_a_further_connection_up_to_a_few() {
        let mut loads = loads(&[100]);
        for _ in 0..MANY_BULKY {
            assert!(!loads.are_bottleneck());
            loads.join(key(0));
            loads.grow(key(0));
        }
        assert!(loads.are_bottleneck());
        loads.add(key(1), 100);
        assert!(!loads.are_bottleneck());
        loads.leave(key(0), true);
        for index in 1..MAX_FOR_BULKY as u32 {
            loads.add(key(index), 100);
        }
        assert!(!loads.are_bottleneck());
    }

    #[test]
    fn an_idle_connection_gives_its_ticket_back() {
        let mut loads = loads(&[100]);
        loads.leave(key(0), false);
        assert!(loads.keep(key(0), 7));
        assert!(!loads.keep(key(1), 8));
        assert_eq!(loads.join(key(0)), Some(7));
        assert_eq!(loads.join(key(0)), None);
        assert_eq!(loads.remove(key(0)), None);
        assert_eq!(loads.best(), None);
    }
}
