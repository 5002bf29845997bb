//! A set of byte offsets of a file, stored as the smallest number of ranges. Pure arithmetic.

use std::ops::Range;

/// A set of byte offsets: ranges in order, none empty, none touching the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// The set of these ranges; `None` if one is empty, out of order, or touches the one before it.
    pub fn in_order(ranges: impl IntoIterator<Item = Range<u64>>) -> Option<Self> {
        let mut end = None;
        let mut held = Vec::new();
        for range in ranges {
            if range.is_empty() || end.is_some_and(|end| range.start <= end) {
                return None;
            }
            end = Some(range.end);
            held.push(range);
        }
        Some(Self(held))
    }

    /// Adds a range; an empty one changes nothing.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // Ranges that overlap or touch the new one are merged with it.
        let first = self.0.partition_point(|held| held.end < range.start);
        let last = self.0.partition_point(|held| held.start <= range.end);
        let mut merged = range;
        for held in self.0.drain(first..last) {
            merged.start = merged.start.min(held.start);
            merged.end = merged.end.max(held.end);
        }
        self.0.insert(first, merged);
    }

    /// Removes a range.
    pub fn remove(&mut self, range: Range<u64>) {
        let first = self.0.partition_point(|held| held.end <= range.start);
        let last = self.0.partition_point(|held| held.start < range.end);
        if first >= last || range.is_empty() {
            return;
        }
        let before = self.0[first].start..range.start;
        let after = range.end..self.0[last - 1].end;
        let rest = [before, after].into_iter().filter(|rest| !rest.is_empty());
        self.0.splice(first..last, rest);
    }

    /// Adds all of another set.
    pub fn insert_all(&mut self, other: &Self) {
        other.iter().for_each(|range| self.insert(range));
    }

    /// Removes the offsets that are not in `other`.
    pub fn intersect(&mut self, other: &Self) {
        let end = self.end();
        other.gaps(end).for_each(|gap| self.remove(gap));
    }

    /// Removes every offset from `end` on.
    pub fn truncate(&mut self, end: u64) {
        self.0.retain(|held| held.start < end);
        if let Some(last) = self.0.last_mut() {
            last.end = last.end.min(end);
        }
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().cloned()
    }

    /// The gaps in the first `size` offsets, in order.
    pub fn gaps(&self, size: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let starts = std::iter::once(0).chain(self.0.iter().map(|held| held.end));
        let ends = self.0.iter().map(|held| held.start).chain([size]);
        starts
            .zip(ends)
            .map(move |(start, end)| start..end.min(size))
            .filter(|gap| !gap.is_empty())
    }

    /// The number of offsets from 0 on without a gap: the written frontier, up to which a digest may read.
    pub fn frontier(&self) -> u64 {
        self.0
            .first()
            .filter(|held| held.start == 0)
            .map_or(0, |held| held.end)
    }

    /// The end of the last range.
    pub fn end(&self) -> u64 {
        self.0.last().map_or(0, |held| held.end)
    }

    /// The number of offsets.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|held| held.end - held.start).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(ranges: &[(u64, u64)]) -> Ranges {
        let mut set = Ranges::default();
        for (start, end) in ranges {
            set.insert(*start..*end);
        }
        set
    }

    #[test]
    fn the_frontier_is_where_the_first_gap_begins() {
        assert_eq!(set(&[]).frontier(), 0);
        assert_eq!(set(&[(5, 9)]).frontier(), 0);
        assert_eq!(set(&[(0, 4), (5, 9)]).frontier(), 4);
        assert_eq!(set(&[(0, 4), (5, 9), (4, 5)]).frontier(), 9);
    }

    #[test]
    fn ranges_out_of_order_are_no_set() {
        for bad in [
            &[(0, 0)][..],
            &[(0, 4), (4, 5)],
            &[(0, 4), (3, 5)],
            &[(5, 9), (0, 4)],
        ] {
            let ranges = bad.iter().map(|(start, end)| *start..*end);
            assert_eq!(Ranges::in_order(ranges), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in_and_nothing_else(
            ranges in prop::collection::vec((0_u64..64, 0_u64..16), 0..12),
            taken in prop::collection::vec((0_u64..64, 0_u64..16), 0..4),
            end in 0_u64..80,
            size in 0_u64..80,
        ) {
            let mut set = Ranges::default();
            let mut wanted = [false; 80];
            for (start, length) in ranges {
                set.insert(start..start + length);
                wanted[start as usize..(start + length) as usize].fill(true);
            }
            for (start, length) in taken {
                set.remove(start..start + length);
                wanted[start as usize..(start + length) as usize].fill(false);
            }
            set.truncate(end);
            wanted[end as usize..].fill(false);
            let mut both = Ranges::default();
            both.insert_all(&set);
            both.intersect(&Ranges::in_order([10..20, 30..70]).unwrap());
            for (offset, wanted) in wanted.iter().enumerate() {
                let is_in_both = *wanted && matches!(offset, 10..20 | 30..70);
                prop_assert_eq!(both.iter().any(|held| held.contains(&(offset as u64))), is_in_both);
            }
            let has = |offset: u64| set.iter().any(|held| held.contains(&offset));
            for (offset, wanted) in wanted.iter().enumerate() {
                prop_assert_eq!(has(offset as u64), *wanted, "{}", offset);
                let is_missing = set.gaps(size).any(|gap| gap.contains(&(offset as u64)));
                prop_assert_eq!(is_missing, !*wanted && (offset as u64) < size);
            }
            prop_assert_eq!(set.count(), wanted.iter().filter(|held| **held).count() as u64);
            prop_assert_eq!(set.frontier(), wanted.iter().take_while(|held| **held).count() as u64);
            prop_assert_eq!(set.end(), wanted.iter().rposition(|held| *held).map_or(0, |at| at as u64 + 1));
            prop_assert_eq!(Ranges::in_order(set.iter()), Some(set.clone()));
        }
    }
}
