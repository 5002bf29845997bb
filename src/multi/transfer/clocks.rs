//! The clocks of a transfer: when each time limit expires, and which one did.

use std::time::{Duration, Instant};

use super::{State, Transfer};
use crate::error::Timeout;
use crate::multi::context::Context;
use crate::multi::{Easy, PATIENCE};

/// When the transfer, its connection and its request began. No clock runs before the transfer is dispatched.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::multi) struct Clocks {
    /// When the transfer was dispatched.
    pub(in crate::multi) dispatched: Option<Instant>,
    /// When the current connection was begun; none once it is established.
    pub(in crate::multi) connecting: Option<Instant>,
    /// When the last byte came, or the request began; none while no byte is expected.
    pub(in crate::multi) last_byte: Option<Instant>,
    /// How many times since then the transfer was starved, not stalled.
    pub(in crate::multi) starved: u32,
    /// When the current span of `min_speed` began…
    pub(in crate::multi) span: Option<Instant>,
    /// …and the bytes received in it.
    pub(in crate::multi) span_bytes: u64,
    /// When to run again, for a reason that depends on the state.
    pub(in crate::multi) wake: Option<Instant>,
}

/// When a clock began, its limit, and its kind.
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

    /// The clocks of a completed transfer: none of them runs.
    pub(in crate::multi) fn over(dispatched: Option<Instant>) -> Self {
        Self {
            dispatched,
            ..Self::default()
        }
    }

    /// The wait for bytes begins: the request is sent, or a pause is over.
    pub(in crate::multi) fn await_bytes(&mut self, now: Instant) {
        self.last_byte = Some(now);
        self.starved = 0;
        self.span = Some(now);
        self.span_bytes = 0;
    }

    /// No byte is expected for a while.
    pub(in crate::multi) fn rest(&mut self) {
        self.last_byte = None;
        self.span = None;
    }

    /// Bytes have come, or at least a frame without any.
    pub(in crate::multi) fn received(&mut self, bytes: usize, now: Instant) {
        self.last_byte = Some(now);
        self.starved = 0;
        self.span_bytes += bytes as u64;
    }

    /// Begins a new span if the last one is over and enough bytes came in it.
    pub(in crate::multi) fn renew_span<S>(&mut self, easy: &Easy<S>, now: Instant) {
        let (Some(began), Some((rate, length))) = (self.span, easy.min_speed) else {
            return;
        };
        let is_over = began.checked_add(length).is_some_and(|end| end <= now);
        let wanted = u128::from(rate) * length.as_millis() / 1000;
        if is_over && u128::from(self.span_bytes) >= wanted {
            self.span = Some(now);
            self.span_bytes = 0;
        }
    }

    /// Grants a stalled transfer more time if it is only starved: another transfer of the origin received a byte, the
    /// last one at `origin`, within the limit. Returns false after [`PATIENCE`] limits.
    pub(in crate::multi) fn extend_if_starved<S>(
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

    /// The earliest time at which a clock expires, or the transfer must run.
    pub(in crate::multi) fn next<S>(&self, easy: &Easy<S>) -> Option<Instant> {
        let deadlines = self
            .running(easy)
            .into_iter()
            .filter_map(|(since, limit, _)| since?.checked_add(limit?));
        deadlines.chain(self.wake).min()
    }

    /// A clock that has expired, and its limit.
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
        .is_some_and(|(link, connection)| connection.exchanges.has_begun(link.stream));
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
    fn a_starved_transfer_gets_more_time_but_not_for_ever() {
        let now = Instant::now();
        let easy = Easy::new("http://a/".parse().unwrap(), ());
        let limit = easy.stall_timeout.unwrap();
        let mut clocks = Clocks::default();
        clocks.await_bytes(now);
        for n in 1..PATIENCE {
            let at = now + n * limit;
            assert_eq!(clocks.expired(&easy, at), Some((Timeout::Stall, n * limit)));
            // The origin has sent others a byte a moment ago.
            assert!(clocks.extend_if_starved(&easy, Some(at - limit / 2), at));
            assert_eq!(clocks.expired(&easy, at), None);
        }
        let at = now + PATIENCE * limit;
        assert!(!clocks.extend_if_starved(&easy, Some(at), at));
        assert_eq!(
            clocks.expired(&easy, at),
            Some((Timeout::Stall, PATIENCE * limit))
        );
        // A byte starts the clock again.
        clocks.received(1, at);
        assert_eq!(clocks.next(&easy), Some(at + limit));
        // An origin that sends nothing to any transfer gives no more time.
        let later = at + limit;
        assert!(!clocks.extend_if_starved(&easy, Some(at), later));
        assert!(!clocks.extend_if_starved(&easy, None, later));
    }

    #[test]
    fn a_span_with_enough_bytes_is_followed_by_the_next() {
        let now = Instant::now();
        let mut easy = Easy::new("http://a/".parse().unwrap(), ());
        let span = Duration::from_secs(10);
        easy.min_speed = Some((100, span));
        let mut clocks = Clocks::default();
        clocks.await_bytes(now);
        clocks.received(1000, now);
        clocks.renew_span(&easy, now + span);
        assert_eq!(clocks.expired(&easy, now + span), None);
        clocks.received(999, now + span);
        clocks.renew_span(&easy, now + 2 * span);
        assert_eq!(
            clocks.expired(&easy, now + 2 * span),
            Some((Timeout::Speed, span))
        );
        // At rest no byte is expected.
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
