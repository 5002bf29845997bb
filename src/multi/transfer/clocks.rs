//! The clocks of a transfer: when each runs out, and which did.

use std::time::{Duration, Instant};

use super::{State, Transfer};
use crate::error::Timeout;
use crate::multi::context::Context;
use crate::multi::{Easy, PATIENCE};

/// When things began. All of them start at dispatch, not while the transfer waits for a place.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::multi) struct Clocks {
    /// When the transfer was dispatched.
    pub(in crate::multi) dispatched: Option<Instant>,
    /// When the present connection was begun; none when it stands.
    pub(in crate::multi) connecting: Option<Instant>,
    /// When the last byte came, or the request began; none while no byte can come.
    pub(in crate::multi) last_byte: Option<Instant>,
    /// How often the transfer was found starved since, not stalled.
    pub(in crate::multi) starved: u32,
    /// The present span of `min_speed`: when it began, and how many bytes came in it.
    pub(in crate::multi) span: Option<Instant>,
    pub(in crate::multi) in_span: u64,
    /// When to look again, for a reason that the state knows.
    pub(in crate::multi) wake: Option<Instant>,
}

/// A clock's beginning, its limit, and which one it is.
type Running = (Option<Instant>, Option<Duration>, Timeout);

impl Clocks {
    fn running<S>(&self, easy: &Easy<S>) -> [Running; 4] {
        let stall = easy
            .stall_timeout
            .and_then(|limit| limit.checked_mul(1 + self.starved));
        let span = easy.min_speed.map(|(_, span)| span);
        [
            (self.dispatched, easy.timeout, Timeout::Total),
            (self.connecting, easy.connect_timeout, Timeout::Connect),
            (self.last_byte, stall, Timeout::Stall),
            (self.span, span, Timeout::Speed),
        ]
    }

    /// Those of a transfer that has completed: nothing runs out any more.
    pub(in crate::multi) fn over(dispatched: Option<Instant>) -> Self {
        Self {
            dispatched,
            ..Self::default()
        }
    }

    /// The request has left, or the wait for bytes begins anew.
    pub(in crate::multi) fn listen(&mut self, now: Instant) {
        self.last_byte = Some(now);
        self.starved = 0;
        self.span = Some(now);
        self.in_span = 0;
    }

    /// No byte can come for a while, or is wanted.
    pub(in crate::multi) fn rest(&mut self) {
        self.last_byte = None;
        self.span = None;
    }

    /// So many bytes have come.
    pub(in crate::multi) fn received(&mut self, bytes: usize, now: Instant) {
        self.last_byte = Some(now);
        self.starved = 0;
        self.in_span += bytes as u64;
    }

    /// Begins a new span where the last one is over and enough came in it.
    pub(in crate::multi) fn turn_span<S>(&mut self, easy: &Easy<S>, now: Instant) {
        let (Some(began), Some((rate, length))) = (self.span, easy.min_speed) else {
            return;
        };
        let is_over = began.checked_add(length).is_some_and(|end| end <= now);
        let wanted = u128::from(rate) * length.as_millis() / 1000;
        if is_over && u128::from(self.in_span) >= wanted {
            self.span = Some(now);
            self.in_span = 0;
        }
    }

    /// Gives a transfer without bytes more time where `origin`, the last byte from its origin, went
    /// to others within its limit: true when it is starved, and not yet for too long.
    pub(in crate::multi) fn bear_with<S>(
        &mut self,
        easy: &Easy<S>,
        origin: Option<Instant>,
        now: Instant,
    ) -> bool {
        let Some((limit, origin)) = easy.stall_timeout.zip(origin) else {
            return false;
        };
        let is_alive = now.saturating_duration_since(origin) < limit;
        let is_starved = is_alive && self.starved + 1 < PATIENCE;
        self.starved += u32::from(is_starved);
        is_starved
    }

    /// The earliest time at which there is something to do.
    pub(in crate::multi) fn next<S>(&self, easy: &Easy<S>) -> Option<Instant> {
        let deadlines = self
            .running(easy)
            .into_iter()
            .filter_map(|(since, limit, _)| since?.checked_add(limit?));
        deadlines.chain(self.wake).min()
    }

    /// The clock that has run out by `now`, if one has, and its limit.
    pub(in crate::multi) fn expired<S>(
        &self,
        easy: &Easy<S>,
        now: Instant,
    ) -> Option<(Timeout, Duration)> {
        self.running(easy)
            .into_iter()
            .find_map(|(since, limit, kind)| {
                let limit = limit?;
                (since?.checked_add(limit)? <= now).then_some((kind, limit))
            })
    }
}

/// A timeout in more detail, by what the transfer was doing.
pub(in crate::multi) fn timeout_kind<S>(
    transfer: &Transfer<S>,
    context: &Context,
    kind: Timeout,
) -> Timeout {
    let connection = transfer.connection(&context.network.connections);
    let has_begun = transfer
        .link
        .zip(connection)
        .is_some_and(|(link, connection)| connection.exchanges.has_begun(link.slot));
    let origins = &context.pool.origins;
    let proxy = transfer.origin.and_then(|key| origins[key].route().proxy());
    match (kind, transfer.state) {
        (Timeout::Connect, State::Resolve) => Timeout::Lookup,
        (Timeout::Connect, State::Handshake) if proxy.is_some() => Timeout::Proxy,
        (Timeout::Connect, State::Handshake) => Timeout::Handshake,
        (Timeout::Stall, State::Receive) if !has_begun => Timeout::Answer,
        _ => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_is_next_and_the_one_that_expires() {
        let now = Instant::now();
        let mut easy = Easy::new("http://a/".parse().unwrap(), ());
        easy.timeout = Some(Duration::from_secs(60));
        let clocks = Clocks {
            dispatched: Some(now),
            connecting: None,
            last_byte: Some(now),
            ..Clocks::default()
        };
        let stall = now + Duration::from_secs(30);
        assert_eq!(clocks.next(&easy), Some(stall));
        assert_eq!(clocks.expired(&easy, now), None);
        assert_eq!(
            clocks.expired(&easy, stall),
            Some((Timeout::Stall, Duration::from_secs(30)))
        );
    }

    #[test]
    fn a_transfer_whose_origin_feeds_others_is_given_time_but_not_for_ever() {
        let now = Instant::now();
        let easy = Easy::new("http://a/".parse().unwrap(), ());
        let limit = easy.stall_timeout.unwrap();
        let mut clocks = Clocks::default();
        clocks.listen(now);
        for n in 1..PATIENCE {
            let at = now + n * limit;
            assert_eq!(clocks.expired(&easy, at), Some((Timeout::Stall, n * limit)));
            // The origin has sent others a byte a moment ago.
            assert!(clocks.bear_with(&easy, Some(at - limit / 2), at));
            assert_eq!(clocks.expired(&easy, at), None);
        }
        let at = now + PATIENCE * limit;
        assert!(!clocks.bear_with(&easy, Some(at), at));
        assert_eq!(
            clocks.expired(&easy, at),
            Some((Timeout::Stall, PATIENCE * limit))
        );
        // A byte of its own, and all begins anew.
        clocks.received(1, at);
        assert_eq!(clocks.next(&easy), Some(at + limit));
        // An origin that sends nobody anything is no excuse.
        let later = at + limit;
        assert!(!clocks.bear_with(&easy, Some(at), later));
        assert!(!clocks.bear_with(&easy, None, later));
    }

    #[test]
    fn a_span_with_enough_bytes_is_followed_by_the_next() {
        let now = Instant::now();
        let mut easy = Easy::new("http://a/".parse().unwrap(), ());
        let span = Duration::from_secs(10);
        easy.min_speed = Some((100, span));
        let mut clocks = Clocks::default();
        clocks.listen(now);
        clocks.received(1000, now);
        clocks.turn_span(&easy, now + span);
        assert_eq!(clocks.expired(&easy, now + span), None);
        clocks.received(999, now + span);
        clocks.turn_span(&easy, now + 2 * span);
        assert_eq!(
            clocks.expired(&easy, now + 2 * span),
            Some((Timeout::Speed, span))
        );
        // At rest nothing is expected.
        clocks.rest();
        assert_eq!(clocks.expired(&easy, now + 9 * span), None);
    }

    #[test]
    fn a_limit_too_large_for_the_clock_never_expires() {
        let now = Instant::now();
        let mut easy = Easy::new("http://a/".parse().unwrap(), ());
        easy.stall_timeout = Some(Duration::MAX);
        let clocks = Clocks {
            last_byte: Some(now),
            ..Clocks::default()
        };
        assert_eq!(clocks.next(&easy), None);
        assert_eq!(clocks.expired(&easy, now), None);
    }
}
