//! The new connections of one origin over which no byte has come.
//!
//! At its limit of connections a server leaves new ones to its kernel, which completes their TCP handshake, and serves
//! them only when others close. A connection that waits much longer than others did, while idle ones exist that nothing
//! waits for, is probably such a one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::connections::ConnectionKey;

/// The shortest wait of a new connection that is taken as a sign that the server does not serve it.
const SHORTEST: Duration = Duration::from_millis(200);

/// A wait is long if it exceeds the longest one so far by this factor.
const FACTOR: u32 = 4;

/// How long no connection of the origin became idle: the application had the time to use them.
const QUIET: Duration = Duration::from_millis(20);

/// A connection that waits for its server, and an idle one that the server may serve in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowded {
    pub(super) unanswered: ConnectionKey,
    pub(super) idle: ConnectionKey,
}

/// The unanswered connections of one origin.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    /// When each began to connect, or to wait for its first response; the earliest is first.
    waiting: VecDeque<(Instant, ConnectionKey)>,
    /// The longest wait that ended with an answer.
    longest: Duration,
    /// When a connection last became idle.
    idle_since: Option<Instant>,
}

impl Unanswered {
    /// A connection begins to wait for its server.
    pub(super) fn begin(&mut self, connection: ConnectionKey, now: Instant) {
        self.waiting.push_back((now, connection));
    }

    /// A connection has an answer. Returns false if it did not wait for one.
    pub(super) fn answered(&mut self, connection: ConnectionKey, now: Instant) -> bool {
        let since = self.remove(connection);
        if let Some(since) = since {
            self.longest = self.longest.max(now.saturating_duration_since(since));
        }
        since.is_some()
    }

    /// Removes a connection. Returns when it began to wait, if it did.
    pub(super) fn remove(&mut self, connection: ConnectionKey) -> Option<Instant> {
        let mut waiting = self.waiting.iter();
        let index = waiting.position(|(_, waits)| *waits == connection)?;
        Some(self.waiting.remove(index)?.0)
    }

    /// A connection became idle.
    pub(super) fn note_idle(&mut self, now: Instant) {
        self.idle_since = Some(now);
    }

    /// When the wait of the first connection will have been too long.
    pub(super) fn due(&self) -> Option<Instant> {
        let (since, _) = self.waiting.front()?;
        let patience = self.longest.saturating_mul(FACTOR).max(SHORTEST);
        let quiet = self.idle_since?.checked_add(QUIET)?;
        Some(since.checked_add(patience)?.max(quiet))
    }

    /// The first connection, if it has waited too long. Its wait begins again, as the last one.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<ConnectionKey> {
        if self.due()? > now {
            return None;
        }
        let (_, connection) = self.waiting.pop_front()?;
        self.begin(connection, now);
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn connection(index: u32) -> ConnectionKey {
        ConnectionKey::new(index)
    }

    #[test]
    fn a_wait_is_too_long_once_it_exceeds_the_longest_so_far_by_far() {
        let start = Instant::now();
        let mut unanswered = Unanswered::default();
        unanswered.begin(connection(1), start);
        unanswered.begin(connection(2), start);
        assert_eq!(unanswered.due(), None, "no connection was ever idle");
        assert!(unanswered.answered(connection(1), start + 10 * MS));
        assert!(!unanswered.answered(connection(1), start + 20 * MS));
        unanswered.note_idle(start + 10 * MS);
        assert_eq!(unanswered.due(), Some(start + SHORTEST));
        unanswered.begin(connection(3), start);
        assert!(unanswered.answered(connection(3), start + 70 * MS));
        assert_eq!(unanswered.due(), Some(start + 280 * MS));
        unanswered.note_idle(start + 270 * MS);
        assert_eq!(unanswered.due(), Some(start + 290 * MS));
        assert_eq!(unanswered.next_due(start + 289 * MS), None);
        let due = unanswered.next_due(start + 290 * MS);
        assert_eq!(due, Some(connection(2)));
        // The next idle connection is not closed for the same one at once.
        assert_eq!(unanswered.due(), Some(start + 570 * MS));
    }

    #[test]
    fn the_connection_that_waits_longest_is_first() {
        let start = Instant::now();
        let mut unanswered = Unanswered::default();
        for index in 0..4 {
            unanswered.begin(connection(index), start + index * MS);
        }
        unanswered.note_idle(start);
        assert_eq!(unanswered.remove(connection(1)), Some(start + MS));
        assert_eq!(unanswered.remove(connection(1)), None);
        let late = start + Duration::from_secs(1);
        let due: Vec<_> = std::iter::from_fn(|| unanswered.next_due(late)).collect();
        assert_eq!(due, [connection(0), connection(2), connection(3)]);
    }
}
