//! The cap on an origin's busy connections after the server asked for fewer requests, and how it grows back. Pure.

/// A cap on an origin's busy connections after a 429 or 503. Each such answer halves it. It grows by one after as many
/// successful transfers as it allows at once, and is dropped when it reaches the number from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Narrow {
    cap: usize,
    /// The number of busy connections at the first such answer.
    from: usize,
    /// Successful transfers since the last change.
    succeeded: usize,
}

impl Narrow {
    /// The cap after an answer that asks for fewer requests, with `busy` connections.
    pub(super) fn after(before: Option<Self>, busy: usize) -> Self {
        let from = before.map_or(busy, |before| before.from);
        Self {
            cap: (busy / 2).max(1),
            from,
            succeeded: 0,
        }
    }

    /// The cap after one more successful transfer; `None` if it is dropped.
    pub(super) fn widened(mut self) -> Option<Self> {
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
        let narrow = Narrow::after(None, 16);
        assert!(narrow.has_room(7) && !narrow.has_room(8));
        let again = Narrow::after(Some(narrow), 8);
        assert!(again.has_room(3) && !again.has_room(4));
        assert!(Narrow::after(Some(again), 0).has_room(0));
    }

    #[test]
    fn it_grows_by_one_for_each_round_that_went_well_and_then_is_gone() {
        let mut narrow = Some(Narrow::after(None, 4));
        let mut caps = Vec::new();
        while let Some(now) = narrow {
            caps.push(now.cap);
            narrow = now.widened();
        }
        assert_eq!(caps, [2, 2, 3, 3, 3]);
    }
}
