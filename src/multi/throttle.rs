//! The cap on an origin's busy connections after the server asked for fewer requests or fell silent, and how it grows
//! back. Pure.

/// A cap on an origin's busy connections. Each 429 or 503 halves it; then it grows by one after as many successful
/// transfers as it allows at once, and is dropped when it reaches the number from before. A silent origin gets half of
/// all slots until a transfer succeeds, so that the others go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Throttle {
    cap: usize,
    /// The number of busy connections at the first such response.
    from: usize,
    /// Successful transfers since the last change.
    succeeded: usize,
}

impl Throttle {
    /// The cap after a response that asks for fewer requests, with `busy` connections.
    pub(super) fn after(before: Option<Self>, busy: usize) -> Self {
        let from = before.map_or(busy, |before| before.from);
        Self {
            cap: (busy / 2).max(1),
            from,
            succeeded: 0,
        }
    }

    /// The cap for a silent origin if there are `slots` for all origins.
    pub(super) fn silent(slots: usize) -> Self {
        let cap = (slots / 2).max(1);
        Self {
            cap,
            from: cap,
            succeeded: 0,
        }
    }

    /// The cap after one more successful transfer; `None` if it is dropped.
    pub(super) fn relaxed(mut self) -> Option<Self> {
        self.succeeded += 1;
        if self.succeeded >= self.cap {
            self.cap += 1;
            self.succeeded = 0;
        }
        (self.cap < self.from).then_some(self)
    }

    /// Whether one more connection may be busy.
    pub(super) fn has_room(self, busy: usize) -> bool {
        busy < self.cap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_and_never_closes() {
        let throttle = Throttle::after(None, 16);
        assert!(throttle.has_room(7) && !throttle.has_room(8));
        let again = Throttle::after(Some(throttle), 8);
        assert!(again.has_room(3) && !again.has_room(4));
        assert!(Throttle::after(Some(again), 0).has_room(0));
    }

    #[test]
    fn a_silent_origin_gets_half_of_the_slots_until_a_success() {
        let throttle = Throttle::silent(16);
        assert!(throttle.has_room(7) && !throttle.has_room(8));
        assert_eq!(throttle.relaxed(), None);
        assert!(Throttle::silent(1).has_room(0));
    }

    #[test]
    fn it_grows_by_one_for_each_round_that_went_well_and_then_is_gone() {
        let mut throttle = Some(Throttle::after(None, 4));
        let mut caps = Vec::new();
        while let Some(now) = throttle {
            caps.push(now.cap);
            throttle = now.relaxed();
        }
        assert_eq!(caps, [2, 2, 3, 3, 3]);
    }
}
