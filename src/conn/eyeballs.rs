//! Which address to try next, and when: Happy Eyeballs (RFC 8305 §4 and §5) as a pure step function.
//!
//! The resolver returns all addresses at once, so the resolution delay of §3 does not apply.
//!
//! ```text
//!          ┌──── Dial(address) ───► an attempt runs ── failed ──┐
//!  step ───┤                                                    ▼
//!          ├──── Wait(until) ◄── attempts run, next not yet due   step again, next at once
//!          └──── Exhausted ◄──── none left to start, none running
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;

/// The time before the next address is tried while earlier attempts run (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A race of connection attempts to the addresses of one host.
#[derive(Debug)]
pub(crate) struct Race {
    waiting: VecDeque<Endpoint>,
    running: usize,
    next: Option<Instant>,
    /// Nothing starts before this time.
    pause: Option<Instant>,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start an attempt to this address, then step again.
    Dial(Endpoint),
    /// Wait for the attempts under way, and step again at this time, if there is one.
    Wait(Option<Instant>),
    /// Every address was tried and none runs.
    Exhausted,
}

impl Race {
    /// A race to `addresses`, which are in the resolver's order of preference (RFC 6724). Families alternate, beginning
    /// with the preferred one; `winner`, which won the last race to this host, comes first.
    pub(crate) fn new(addresses: &[Endpoint], winner: Option<&Endpoint>) -> Self {
        let v6_first = addresses.first().is_some_and(Endpoint::is_ipv6);
        let (mut first, mut second): (VecDeque<_>, VecDeque<_>) = addresses
            .iter()
            .cloned()
            .partition(|a| a.is_ipv6() == v6_first);
        let mut waiting = VecDeque::with_capacity(addresses.len());
        while let Some(address) = first.pop_front().or_else(|| second.pop_front()) {
            waiting.push_back(address);
            std::mem::swap(&mut first, &mut second);
            if first.is_empty() {
                std::mem::swap(&mut first, &mut second);
            }
        }
        if let Some(index) = winner.and_then(|w| waiting.iter().position(|a| a == w)) {
            let winner = waiting.remove(index);
            waiting.extend(winner);
            waiting.rotate_right(1);
        }
        Self {
            waiting,
            running: 0,
            next: None,
            pause: None,
        }
    }

    /// What to do at `now`.
    pub(crate) fn step(&mut self, now: Instant) -> Action {
        if self.pause.is_some_and(|until| now < until) {
            return Action::Wait(self.pause);
        }
        if self.running > 0 && self.next.is_some_and(|next| now < next) {
            return Action::Wait(if self.waiting.is_empty() {
                None
            } else {
                self.next
            });
        }
        match self.waiting.pop_front() {
            Some(address) => {
                self.running += 1;
                self.next = Some(now + ATTEMPT_DELAY);
                Action::Dial(address)
            }
            None if self.running > 0 => Action::Wait(None),
            None => Action::Exhausted,
        }
    }

    /// An attempt could not begin for the moment: it starts again at `until`.
    pub(crate) fn put_off(&mut self, endpoint: Endpoint, until: Instant) {
        self.failed();
        self.waiting.push_front(endpoint);
        self.pause = Some(until);
    }

    /// Whether an attempt was put off before.
    pub(crate) fn was_put_off(&self) -> bool {
        self.pause.is_some()
    }

    /// An attempt failed: the next one starts without waiting.
    pub(crate) fn failed(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn v4(n: u8) -> Endpoint {
        SocketAddr::from(([127, 0, 0, n], 80)).into()
    }

    fn v6(n: u16) -> Endpoint {
        SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, n], 80)).into()
    }

    fn dials(race: &mut Race, mut now: Instant) -> Vec<Endpoint> {
        let mut dialled = Vec::new();
        loop {
            match race.step(now) {
                Action::Dial(address) => dialled.push(address),
                Action::Wait(Some(until)) => now = until,
                Action::Wait(None) | Action::Exhausted => return dialled,
            }
        }
    }

    #[test]
    fn families_take_turns_and_the_resolver_s_first_goes_first() {
        let addresses = [v6(1), v6(2), v6(3), v4(1), v4(2)];
        assert_eq!(
            dials(&mut Race::new(&addresses, None), Instant::now()),
            [v6(1), v4(1), v6(2), v4(2), v6(3)]
        );
        let addresses = [v4(1), v4(2), v6(1)];
        assert_eq!(
            dials(&mut Race::new(&addresses, None), Instant::now()),
            [v4(1), v6(1), v4(2)]
        );
    }

    #[test]
    fn the_last_winner_is_tried_first() {
        let addresses = [v6(1), v6(2), v4(1)];
        assert_eq!(
            dials(&mut Race::new(&addresses, Some(&v4(1))), Instant::now()),
            [v4(1), v6(1), v6(2)]
        );
        assert_eq!(
            dials(&mut Race::new(&addresses, Some(&v4(9))), Instant::now()),
            [v6(1), v4(1), v6(2)]
        );
    }

    #[test]
    fn a_slow_attempt_is_joined_by_the_next_after_250_ms() {
        let now = Instant::now();
        let mut race = Race::new(&[v6(1), v4(1)], None);
        assert_eq!(race.step(now), Action::Dial(v6(1)));
        assert_eq!(race.step(now), Action::Wait(Some(now + ATTEMPT_DELAY)));
        assert_eq!(race.step(now + ATTEMPT_DELAY), Action::Dial(v4(1)));
        assert_eq!(race.step(now + ATTEMPT_DELAY), Action::Wait(None));
    }

    #[test]
    fn an_attempt_that_is_put_off_starts_again_at_its_time() {
        let now = Instant::now();
        let socket = Endpoint::Unix(std::path::Path::new("s").into());
        let mut race = Race::new(std::slice::from_ref(&socket), None);
        assert_eq!(race.step(now), Action::Dial(socket.clone()));
        let until = now + Duration::from_millis(10);
        race.put_off(socket.clone(), until);
        assert_eq!(race.step(now), Action::Wait(Some(until)));
        assert_eq!(race.step(until), Action::Dial(socket));
        race.failed();
        assert_eq!(race.step(until), Action::Exhausted);
    }

    #[test]
    fn a_failed_attempt_starts_the_next_at_once_and_the_last_ends_the_race() {
        let now = Instant::now();
        let mut race = Race::new(&[v6(1), v4(1)], None);
        assert_eq!(race.step(now), Action::Dial(v6(1)));
        race.failed();
        assert_eq!(race.step(now), Action::Dial(v4(1)));
        race.failed();
        assert_eq!(race.step(now), Action::Exhausted);
    }
}
