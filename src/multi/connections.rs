//! The connections of an engine by key. A key never names another connection, even after its own has closed: bytes,
//! wake-ups and slots of a closed connection have no effect.

use std::ops::{Index, IndexMut};

use slab::Slab;

use super::connection::Connection;

/// Names one connection during the whole life of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ConnectionKey {
    index: u32,
    /// Distinguishes the connection from earlier ones at its index.
    generation: u32,
}

#[cfg(test)]
impl ConnectionKey {
    /// A key for tests without connections.
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            generation: 0,
        }
    }
}

/// Connections by key. Every operation is O(1), except [`iter`](Self::iter).
#[derive(Debug)]
pub(super) struct ConnectionTable<C> {
    entries: Slab<(u32, C)>,
    generation: u32,
}

/// The connections of an engine.
pub(super) type Connections = ConnectionTable<Connection>;

impl<C> Default for ConnectionTable<C> {
    fn default() -> Self {
        Self {
            entries: Slab::new(),
            generation: 0,
        }
    }
}

impl<C> ConnectionTable<C> {
    /// Adds a connection under a new key.
    pub(super) fn insert(&mut self, connection: C) -> ConnectionKey {
        self.generation = self.generation.wrapping_add(1);
        // Each connection has a descriptor, which is a number of 31 bits.
        let index = self.entries.insert((self.generation, connection)) as u32;
        ConnectionKey {
            index,
            generation: self.generation,
        }
    }

    /// Removes a connection; `None` if it was removed before.
    pub(super) fn remove(&mut self, key: ConnectionKey) -> Option<C> {
        self.get(key)?;
        Some(self.entries.remove(key.index as usize).1)
    }

    /// Removes any connection; `None` if none is left.
    pub(super) fn pop(&mut self) -> Option<C> {
        let (index, _) = self.entries.iter().next()?;
        Some(self.entries.remove(index).1)
    }

    pub(super) fn contains(&self, key: ConnectionKey) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn get(&self, key: ConnectionKey) -> Option<&C> {
        let (generation, connection) = self.entries.get(key.index as usize)?;
        (*generation == key.generation).then_some(connection)
    }

    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut C> {
        let (generation, connection) = self.entries.get_mut(key.index as usize)?;
        (*generation == key.generation).then_some(connection)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionKey, &C)> {
        let entries = self.entries.iter();
        entries.map(|(index, (generation, connection))| {
            let key = ConnectionKey {
                index: index as u32,
                generation: *generation,
            };
            (key, connection)
        })
    }
}

/// For keys that a transfer or the pool holds: their connection is open.
impl<C> Index<ConnectionKey> for ConnectionTable<C> {
    type Output = C;

    fn index(&self, key: ConnectionKey) -> &C {
        self.get(key)
            .expect("what a transfer or the pool holds is open")
    }
}

impl<C> IndexMut<ConnectionKey> for ConnectionTable<C> {
    fn index_mut(&mut self, key: ConnectionKey) -> &mut C {
        self.get_mut(key)
            .expect("what a transfer or the pool holds is open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_names_the_successor_of_its_connection() {
        let mut connections = ConnectionTable::default();
        let first = connections.insert("first");
        assert_eq!(connections.remove(first), Some("first"));
        let second = connections.insert("second");
        assert_eq!(first.index, second.index);
        assert_eq!(connections.get(first), None);
        assert_eq!(connections.get_mut(first), None);
        assert_eq!(connections.remove(first), None);
        assert!(!connections.contains(first));
        assert_eq!(connections[second], "second");
        assert_eq!(connections.iter().next(), Some((second, &"second")));
        assert_eq!(connections.pop(), Some("second"));
        assert_eq!(connections.pop(), None);
    }
}
