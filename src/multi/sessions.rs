//! The HTTP/2 connections to one origin: how many streams each carries, how many it may, and which
//! one the next stream goes to.

use super::connections::ConnectionKey;

/// Streams with long bodies on one connection from which on that connection may be what holds them back.
const MANY_BULKY: usize = 4;
/// Connections that are opened at most because those there are may be what holds the streams back.
const ENOUGH: usize = 4;

/// One connection.
#[derive(Debug)]
struct Session {
    connection: ConnectionKey,
    /// Streams that it carries, or that are about to be begun.
    load: usize,
    /// Streams that it may carry; 0 when it takes no further ones.
    capacity: usize,
    /// Streams whose bodies have turned out to be long.
    bulky: usize,
    /// Its ticket while it is idle.
    ticket: Option<u64>,
}

/// The HTTP/2 connections to one origin.
#[derive(Debug, Default)]
pub(super) struct Sessions(Vec<Session>);

impl Sessions {
    /// A new connection, with the stream of whoever opened it.
    pub(super) fn add(&mut self, connection: ConnectionKey, capacity: usize) {
        self.0.push(Session {
            connection,
            load: 1,
            capacity,
            bulky: 0,
            ticket: None,
        });
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many streams they carry together.
    pub(super) fn load(&self) -> usize {
        self.0.iter().map(|session| session.load).sum()
    }

    /// The least loaded connection that takes a further stream.
    pub(super) fn best(&self) -> Option<ConnectionKey> {
        let open = self
            .0
            .iter()
            .filter(|session| session.load < session.capacity);
        open.min_by_key(|session| session.load)
            .map(|session| session.connection)
    }

    /// Whether a connection carries nothing.
    pub(super) fn is_idle(&self, connection: ConnectionKey) -> bool {
        self.place(connection)
            .is_some_and(|place| self.0[place].load == 0)
    }

    /// Whether another connection might be faster than these.
    pub(super) fn are_bottleneck(&self) -> bool {
        self.0.len() < ENOUGH && self.0.iter().all(|session| session.bulky >= MANY_BULKY)
    }

    /// Begins a stream; gives the ticket of a connection that was idle.
    pub(super) fn join(&mut self, connection: ConnectionKey) -> Option<u64> {
        let session = self.find(connection)?;
        session.load += 1;
        session.ticket.take()
    }

    /// A stream has ended.
    pub(super) fn leave(&mut self, connection: ConnectionKey, was_bulky: bool) {
        if let Some(session) = self.find(connection) {
            session.load -= 1;
            session.bulky -= usize::from(was_bulky);
        }
    }

    /// A stream's body has turned out to be long.
    pub(super) fn grow(&mut self, connection: ConnectionKey) {
        if let Some(session) = self.find(connection) {
            session.bulky += 1;
        }
    }

    /// The connection may carry so many streams from now on. True when that is news.
    pub(super) fn set_capacity(&mut self, connection: ConnectionKey, capacity: usize) -> bool {
        match self.find(connection) {
            Some(session) => std::mem::replace(&mut session.capacity, capacity) != capacity,
            None => false,
        }
    }

    /// The connection is idle, with this ticket. False when it is none of these.
    pub(super) fn keep(&mut self, connection: ConnectionKey, ticket: u64) -> bool {
        match self.find(connection) {
            Some(session) => {
                session.ticket = Some(ticket);
                true
            }
            None => false,
        }
    }

    /// The connection has closed; gives its ticket if it was idle.
    pub(super) fn remove(&mut self, connection: ConnectionKey) -> Option<u64> {
        let place = self.place(connection)?;
        self.0.swap_remove(place).ticket
    }

    fn place(&self, connection: ConnectionKey) -> Option<usize> {
        let mut sessions = self.0.iter();
        sessions.position(|session| session.connection == connection)
    }

    fn find(&mut self, connection: ConnectionKey) -> Option<&mut Session> {
        let place = self.place(connection)?;
        self.0.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> ConnectionKey {
        ConnectionKey::new(slot)
    }

    fn sessions(capacities: &[usize]) -> Sessions {
        let mut sessions = Sessions::default();
        for (slot, capacity) in (0..).zip(capacities) {
            sessions.add(key(slot), *capacity);
        }
        sessions
    }

    #[test]
    fn streams_go_to_the_least_loaded_connection() {
        let mut sessions = sessions(&[3, 3]);
        sessions.join(key(0));
        assert_eq!(sessions.best(), Some(key(1)));
        sessions.join(key(1));
        sessions.join(key(1));
        assert_eq!(sessions.best(), Some(key(0)));
        sessions.join(key(0));
        assert_eq!(sessions.best(), None);
        sessions.leave(key(1), false);
        assert_eq!(sessions.best(), Some(key(1)));
    }

    #[test]
    fn a_connection_that_takes_no_more_is_passed_over() {
        let mut sessions = sessions(&[100, 100]);
        assert!(sessions.set_capacity(key(0), 0));
        assert!(!sessions.set_capacity(key(0), 0));
        assert_eq!(sessions.best(), Some(key(1)));
        assert!(sessions.set_capacity(key(1), 1));
        assert_eq!(sessions.best(), None);
    }

    #[test]
    fn long_bodies_ask_for_a_further_connection_up_to_a_few() {
        let mut sessions = sessions(&[100]);
        for _ in 0..MANY_BULKY {
            assert!(!sessions.are_bottleneck());
            sessions.join(key(0));
            sessions.grow(key(0));
        }
        assert!(sessions.are_bottleneck());
        sessions.add(key(1), 100);
        assert!(!sessions.are_bottleneck());
        sessions.leave(key(0), true);
        for slot in 1..ENOUGH as u32 {
            sessions.add(key(slot), 100);
        }
        assert!(!sessions.are_bottleneck());
    }

    #[test]
    fn an_idle_connection_gives_its_ticket_back() {
        let mut sessions = sessions(&[100]);
        sessions.leave(key(0), false);
        assert!(sessions.keep(key(0), 7));
        assert!(!sessions.keep(key(1), 8));
        assert_eq!(sessions.join(key(0)), Some(7));
        assert_eq!(sessions.join(key(0)), None);
        assert_eq!(sessions.remove(key(0)), None);
        assert_eq!(sessions.best(), None);
    }
}
