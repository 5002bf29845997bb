//! How many connections of an origin may be busy after it has asked for less, and how that grows back: pure.

/// A cap on an origin's busy connections, which it brought upon itself by a 429 or 503. It halves
/// with each such answer, and grows by one whenever as many transfers have gone well as it lets
/// run; once it is where it came from there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Narrow {
    cap: usize,
    /// How many were busy when it was first asked for less.
    from: usize,
    /// Transfers that went well since it last changed.
    went_well: usize,
}

impl Narrow {
    /// The cap after an origin with so many busy connections has asked for less.
    pub(super) fn after(before: Option<Self>, busy: usize) -> Self {
        let from = before.map_or(busy, |before| before.from);
        Self {
            cap: (busy / 2).max(1),
            from,
            went_well: 0,
        }
    }

    /// The cap after one more transfer has gone well; `None` when there is none any more.
    pub(super) fn widened(mut self) -> Option<Self> {
        self.went_well += 1;
        if self.went_well >= self.cap {
            self.cap += 1;
            self.went_well = 0;
        }
        (self.cap < self.from).then_some(self)
    }

    /// Whether another connection may be busy beside so many.
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
