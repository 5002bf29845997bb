//! How one file is divided among several transfers: which bytes each fetches, which segment is split for a new
//! transfer, and which is fetched a second time. Every missing byte stays assigned or free, whatever fails. Pure
//! arithmetic.

use std::ops::Range;

use slab::Slab;

use crate::download::Ranges;

/// A segment that will be complete in less than this many seconds is not worth another request.
const WORTHWHILE: f64 = 0.25;

/// At most this many bytes arrive along with the head of the first response: they are no reason to leave its segment
/// larger than the others.
const WITH_HEAD: u64 = 256 * 1024;

/// The number of a transfer's segment.
pub type Lane = usize;

/// A segment: where it began, the offset of the next byte, and where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Assigned {
    from: u64,
    at: u64,
    end: u64,
    /// Another transfer fetches the same bytes; the first to complete them wins.
    has_rival: bool,
}

impl Assigned {
    fn overlaps(&self, other: &Self) -> bool {
        self.at < other.end && other.at < self.end
    }

    /// How many bytes are missing. A transfer may be beyond an end that was moved meanwhile.
    fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }
}

/// A segment that was assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub lane: Lane,
    /// Its range.
    pub range: Range<u64>,
    /// The lane that was split for it, which now ends earlier.
    pub shrunk: Option<Lane>,
}

/// The speeds of the lanes, in bytes a second.
struct Speeds<'a> {
    /// What a new transfer is expected to reach; at least 1.
    expected: f64,
    measured: &'a dyn Fn(Lane) -> Option<f64>,
}

impl Speeds<'_> {
    fn of(&self, lane: Lane) -> f64 {
        (self.measured)(lane).unwrap_or(self.expected).max(1.0)
    }

    fn seconds_left(&self, lane: Lane, segment: &Assigned) -> f64 {
        segment.left() as f64 / self.of(lane)
    }
}

/// The division of one file.
#[derive(Debug)]
pub struct Plan {
    size: u64,
    /// The smallest segment, in bytes.
    least: u64,
    done: Ranges,
    segments: Slab<Assigned>,
}

impl Plan {
    /// A file of `size` bytes, of which `done` are written, in segments of at least `least` bytes.
    pub fn new(size: u64, least: u64, done: Ranges) -> Self {
        Self {
            size,
            least: least.max(1),
            done,
            segments: Slab::new(),
        }
    }

    /// The written ranges.
    pub fn done(&self) -> &Ranges {
        &self.done
    }

    /// How many bytes from the first on are written and will not be overwritten: two transfers that fetch the same
    /// bytes can receive different ones.
    pub fn settled(&self) -> u64 {
        let under_way = self.segments.iter().map(|(_, segment)| segment.at);
        under_way.fold(self.done.frontier(), u64::min)
    }

    /// The size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether every byte is written.
    pub fn is_done(&self) -> bool {
        self.done.frontier() >= self.size
    }

    /// The range that a lane still has to fetch.
    pub fn rest(&self, lane: Lane) -> Range<u64> {
        self.segments
            .get(lane)
            .map_or(0..0, |segment| segment.at..segment.end.max(segment.at))
    }

    /// Adds the lane of a transfer that began at `from` and is at `at`. Its segment is the rest of the gap there.
    pub fn adopt(&mut self, from: u64, at: u64) -> Lane {
        let gap = self.done.gaps(self.size).find(|gap| gap.end > at);
        let end = gap.map_or(at, |gap| gap.end);
        let lane = self.add(at..end);
        self.segments[lane].from = from.min(at);
        lane
    }

    /// Extends a lane to the end of the file, because no other transfer can fetch those bytes.
    pub fn extend(&mut self, lane: Lane) {
        if let Some(segment) = self.segments.get_mut(lane) {
            segment.end = self.size;
        }
    }

    /// Extends a lane over the unassigned gap behind it.
    pub fn reach(&mut self, lane: Lane) {
        let end = self.rest(lane).end;
        let taken = self.taken();
        let behind = taken.gaps(self.size).find(|gap| gap.start == end);
        if let Some((segment, gap)) = self.segments.get_mut(lane).zip(behind) {
            segment.end = gap.end;
        }
    }

    /// The lane of the next segment behind this one, unless two lanes fetch that segment.
    pub fn behind(&self, lane: Lane) -> Option<Lane> {
        let end = self.rest(lane).end;
        let behind = self
            .segments
            .iter()
            .filter(|(_, segment)| segment.at >= end);
        let (next, segment) = behind.min_by_key(|(_, segment)| segment.at)?;
        (!segment.has_rival && segment.at < segment.end).then_some(next)
    }

    /// Extends a lane over the segment of `other`, which is the next [behind](Self::behind) it, and closes `other`.
    pub fn take_back(&mut self, lane: Lane, other: Lane) {
        let end = self.rest(other).end;
        self.close(other);
        if let Some(segment) = self.segments.get_mut(lane) {
            segment.end = end.max(segment.end);
        }
    }

    /// Records that a lane has written all bytes before `at`, which may be beyond its end.
    pub fn advance(&mut self, lane: Lane, at: u64) {
        if let Some(segment) = self.segments.get_mut(lane) {
            self.done.insert(segment.at..at.max(segment.at));
            segment.at = at.max(segment.at);
            segment.end = segment.end.max(segment.at);
        }
    }

    /// Frees a range after its bytes have turned out to be damaged.
    pub fn spoil(&mut self, range: Range<u64>) {
        self.done.remove(range);
    }

    /// Closes a lane at the end of its transfer: its missing bytes are free.
    pub fn close(&mut self, lane: Lane) {
        if let Some(segment) = self.segments.try_remove(lane)
            && segment.has_rival
        {
            let others: Vec<_> = self.segments.iter().map(|(lane, _)| lane).collect();
            for lane in others {
                let has_rival = self.rivals(lane).next().is_some();
                self.segments[lane].has_rival = has_rival;
            }
        }
    }

    /// The lanes that fetch some of the same bytes as this one.
    fn rivals(&self, lane: Lane) -> impl Iterator<Item = Lane> + '_ {
        let others = self
            .segments
            .iter()
            .filter(move |(other, _)| *other != lane);
        let rivals = others.filter(move |(_, other)| self.segments[lane].overlaps(other));
        rivals.map(|(other, _)| other)
    }

    /// A lane other than `spared` that has no missing bytes: it, or other lanes, have written them.
    pub fn superfluous(&self, spared: Option<Lane>) -> Option<Lane> {
        self.segments
            .iter()
            .filter(|(lane, _)| Some(*lane) != spared)
            .find_map(|(lane, segment)| self.is_written(segment).then_some(lane))
    }

    /// Whether all bytes that a segment has left are written.
    fn is_written(&self, segment: &Assigned) -> bool {
        let mut written = self.done.iter();
        segment.at >= segment.end
            || written.any(|held| held.start <= segment.at && segment.end <= held.end)
    }

    /// Assigns a segment, the first of `count` to be opened now. It is taken from a gap; without a gap it is split
    /// from the slowest segment; near the end of the file it is a second copy of a stuck one. `pace` is the expected
    /// speed of its transfer in bytes a second, and `speed` the measured speed of a lane, if it is known: the slower
    /// of two transfers gets the smaller range.
    pub fn open(
        &mut self,
        count: u64,
        pace: f64,
        speed: impl Fn(Lane) -> Option<f64>,
    ) -> Option<Opened> {
        if let Some(range) = self.free(count) {
            return Some(self.opened(range, None));
        }
        let speeds = Speeds {
            expected: pace.max(1.0),
            measured: &speed,
        };
        let slowest = self.slowest(&speeds);
        let lanes = slowest.iter().copied();
        let splittable = lanes.filter(|lane| self.can_split(*lane, &speeds));
        if let Some(lane) = splittable.clone().next() {
            // Each lane that can be split gives an equal number of pieces, so that segments that open together have
            // similar lengths.
            let pieces = count.div_ceil(splittable.count() as u64).max(1);
            self.segments[lane].end = self.end_after_split(lane, pieces, &speeds);
            let range = self.free(pieces)?;
            return Some(self.opened(range, Some(lane)));
        }
        // A range on which all of its lanes are stuck is fetched once more.
        let lanes = slowest.iter().copied();
        let mut stuck = lanes.filter(|lane| self.is_stuck(*lane, &speeds));
        let lane =
            stuck.find(|lane| self.rivals(*lane).all(|lane| self.is_stuck(lane, &speeds)))?;
        self.segments[lane].has_rival = true;
        let opened = self.opened(self.rest(lane), None);
        self.segments[opened.lane].has_rival = true;
        Some(opened)
    }

    /// The lanes that have enough left to be worth another request, the slowest first.
    fn slowest(&self, speeds: &Speeds<'_>) -> Vec<Lane> {
        let mut slowest: Vec<(f64, Lane)> = self
            .segments
            .iter()
            .filter(|(_, segment)| segment.at < segment.end)
            .map(|(lane, segment)| (speeds.seconds_left(lane, segment), lane))
            .filter(|(left, _)| *left >= WORTHWHILE)
            .collect();
        slowest.sort_by(|a, b| b.0.total_cmp(&a.0));
        slowest.into_iter().map(|(_, lane)| lane).collect()
    }

    /// The new end of a lane that gives away this many pieces: it keeps no more than one of them, unless it is faster.
    fn end_after_split(&self, lane: Lane, pieces: u64, speeds: &Speeds<'_>) -> u64 {
        let segment = &self.segments[lane];
        let brought = segment.at - segment.from;
        let since = if brought <= WITH_HEAD {
            segment.from
        } else {
            segment.at
        };
        let (length, own) = (segment.end - since, speeds.of(lane));
        let weighed = length as f64 * own / (own + pieces as f64 * speeds.expected);
        let kept = length.div_ceil(pieces + 1).max(weighed as u64);
        (since + kept).max(segment.at + self.least)
    }

    /// Whether a lane can give away a segment.
    fn can_split(&self, lane: Lane, speeds: &Speeds<'_>) -> bool {
        let segment = &self.segments[lane];
        let end = self.end_after_split(lane, 1, speeds);
        !segment.has_rival && segment.end.saturating_sub(end) >= self.least
    }

    /// Whether a new transfer would fetch the rest of a lane in much less time.
    fn is_stuck(&self, lane: Lane, speeds: &Speeds<'_>) -> bool {
        let rest = self.rest(lane);
        let fresh = (rest.end - rest.start) as f64 / speeds.expected;
        speeds.seconds_left(lane, &self.segments[lane]) >= 1.0 + 2.0 * fresh
    }

    /// A segment of the first gap, of a length at which `count` segments fill all gaps.
    fn free(&self, count: u64) -> Option<Range<u64>> {
        let taken = self.taken();
        let total: u64 = taken.gaps(self.size).map(|gap| gap.end - gap.start).sum();
        let gap = taken.gaps(self.size).next()?;
        let length = total.div_ceil(count.max(1)).max(self.least);
        // A rest of the gap that is below the smallest segment is added to this one.
        let is_rest_small = (gap.end - gap.start).saturating_sub(length) < self.least;
        let end = if is_rest_small {
            gap.end
        } else {
            gap.start + length
        };
        Some(gap.start..end)
    }

    /// The ranges that are written or assigned.
    fn taken(&self) -> Ranges {
        let mut taken = self.done.clone();
        for (_, segment) in &self.segments {
            taken.insert(segment.at..segment.end);
        }
        taken
    }

    fn opened(&mut self, range: Range<u64>, shrunk: Option<Lane>) -> Opened {
        Opened {
            lane: self.add(range.clone()),
            range,
            shrunk,
        }
    }

    fn add(&mut self, range: Range<u64>) -> Lane {
        self.segments.insert(Assigned {
            from: range.start,
            at: range.start,
            end: range.end,
            has_rival: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter;

    use proptest::prelude::*;

    const M: u64 = 1 << 20;

    fn open_all(plan: &mut Plan, lanes: usize) -> Vec<Range<u64>> {
        while plan.segments.len() < lanes {
            let missing = (lanes - plan.segments.len()) as u64;
            if plan.open(missing, 1e6, |_| Some(1e6)).is_none() {
                break;
            }
        }
        let mut ranges: Vec<_> = plan
            .segments
            .iter()
            .map(|(_, segment)| segment.at..segment.end)
            .collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    #[test]
    fn a_file_is_divided_evenly() {
        let mut plan = Plan::new(64 * M, M, Ranges::default());
        plan.adopt(0, 0);
        let ranges = open_all(&mut plan, 16);
        let even: Vec<_> = (0..16).map(|n| n * 4 * M..(n + 1) * 4 * M).collect();
        assert_eq!(ranges, even);
    }

    #[test]
    fn what_came_with_the_first_head_is_part_of_the_first_share() {
        let plan_at = |at| Plan::new(64 * M, M, Ranges::in_order(iter::once(0..at)).unwrap());
        let mut plan = plan_at(M / 8);
        plan.adopt(0, M / 8);
        let ranges = open_all(&mut plan, 16);
        assert_eq!((&ranges[0], &ranges[1]), (&(M / 8..4 * M), &(4 * M..8 * M)));
        // Bytes that arrived earlier are not counted: the other segments begin now.
        let mut plan = plan_at(32 * M);
        plan.adopt(0, 32 * M);
        assert_eq!(open_all(&mut plan, 2)[0], 32 * M..48 * M);
    }

    #[test]
    fn a_lane_reaches_as_far_as_nobody_else_brings_anything() {
        let there = Ranges::in_order(iter::once(40 * M..44 * M)).unwrap();
        let mut plan = Plan::new(64 * M, M, there);
        let first = plan.adopt(0, 0);
        let ranges = open_all(&mut plan, 4);
        let others: Vec<_> = ranges.iter().map(|range| range.start).skip(1).collect();
        let close = |plan: &mut Plan, start| {
            let mut segments = plan.segments.iter();
            let (lane, _) = segments.find(|(_, segment)| segment.at == start).unwrap();
            plan.close(lane);
        };
        for start in others {
            plan.reach(first);
            assert_eq!(plan.rest(first).end, start.min(40 * M));
            close(&mut plan, start);
        }
        plan.reach(first);
        assert_eq!(plan.rest(first).end, 40 * M);
    }

    #[test]
    fn shares_stay_even_when_they_are_doubled_again_and_again() {
        let mut plan = Plan::new(64 * M, M, Ranges::default());
        plan.adopt(0, 0);
        for lanes in [2, 4, 8, 16] {
            let even = 64 * M / lanes as u64;
            let ranges = open_all(&mut plan, lanes);
            assert!(
                ranges.iter().all(|range| range.end - range.start == even),
                "{ranges:?}"
            );
        }
    }

    #[test]
    fn no_share_is_smaller_than_the_least() {
        let mut plan = Plan::new(20 * M, 8 * M, Ranges::default());
        plan.adopt(0, 0);
        assert_eq!(open_all(&mut plan, 16), [0..8 * M, 8 * M..20 * M]);
    }

    #[test]
    fn who_has_ended_takes_half_of_what_the_slowest_has_left() {
        let mut plan = Plan::new(40 * M, M, Ranges::default());
        let (slow, fast) = (plan.adopt(0, 0), {
            plan.open(1, 1e6, |_| None).unwrap().lane
        });
        plan.advance(slow, 4 * M);
        plan.advance(fast, 40 * M);
        assert_eq!(plan.superfluous(None), Some(fast));
        plan.close(fast);
        let opened = plan.open(1, 1e7, |_| Some(1e6)).unwrap();
        assert_eq!((opened.range, opened.shrunk), (12 * M..20 * M, Some(slow)));
    }

    #[test]
    fn who_is_slower_takes_the_smaller_part() {
        let mut plan = Plan::new(40 * M, M, Ranges::default());
        let fast = plan.adopt(0, 0);
        let opened = plan.open(1, 1e6, |_| Some(3e6)).unwrap();
        assert_eq!((opened.range, opened.shrunk), (30 * M..40 * M, Some(fast)));
        // The new transfer would need longer for less than the smallest segment than the other one for everything.
        assert_eq!(plan.open(1, 1e4, |_| Some(3e6)), None);
    }

    #[test]
    fn what_is_nearly_there_is_left_alone_and_what_is_stuck_is_overtaken() {
        let mut plan = Plan::new(M, M, Ranges::default());
        let stuck = plan.adopt(0, 0);
        assert_eq!(plan.open(1, 1e7, |_| Some(1e7)), None);
        let rival = plan.open(1, 1e7, |_| Some(1.0)).unwrap();
        assert_eq!((rival.range.clone(), rival.shrunk), (0..M, None));
        assert_eq!(
            plan.open(1, 1e7, |lane| (lane == stuck).then_some(1.0)),
            None,
            "one rival that is fast is enough"
        );
        // A second stuck lane is no help, so the range is fetched once more.
        let other = plan.open(1, 1e7, |_| Some(1.0)).unwrap();
        assert_eq!((other.range, other.shrunk), (0..M, None));
        plan.close(other.lane);
        plan.advance(rival.lane, M);
        plan.close(rival.lane);
        assert_eq!(plan.superfluous(None), Some(stuck));
        plan.close(stuck);
        assert!(plan.is_done());
    }

    #[test]
    fn holes_that_an_earlier_run_has_left_are_filled() {
        let done = Ranges::in_order([0..5 * M, 7 * M..9 * M]).unwrap();
        let mut plan = Plan::new(10 * M, 8 * M, done);
        plan.adopt(5 * M, 5 * M);
        assert_eq!(open_all(&mut plan, 3), [5 * M..7 * M, 9 * M..10 * M]);
    }

    #[test]
    fn what_a_rival_may_write_again_is_not_settled() {
        let mut plan = Plan::new(100, 60, Ranges::default());
        let slow = plan.adopt(0, 0);
        plan.advance(slow, 10);
        let rival = plan.open(1, 1000.0, |_| Some(1.0)).unwrap();
        assert_eq!(rival.range, 10..100);
        plan.advance(rival.lane, 90);
        assert_eq!((plan.done().frontier(), plan.settled()), (90, 10));
        plan.close(slow);
        assert_eq!(plan.settled(), 90);
    }

    #[test]
    fn a_lane_that_is_past_its_end_has_nothing_left_and_takes_nothing_back() {
        let mut plan = Plan::new(100, 1, Ranges::default());
        let first = plan.adopt(0, 0);
        let second = plan.open(1, 1.0, |_| Some(1.0)).unwrap();
        assert_eq!(second.range, 50..100);
        plan.advance(first, 70);
        assert_eq!(plan.rest(first), 70..70);
        assert_eq!(plan.behind(first), None);
    }

    #[test]
    fn a_lane_that_is_alone_again_brings_all_the_rest() {
        let mut plan = Plan::new(20 * M, M, Ranges::default());
        let first = plan.adopt(0, 0);
        let other = plan.open(1, 1e6, |_| None).unwrap().lane;
        plan.close(other);
        plan.extend(first);
        plan.advance(first, 20 * M);
        assert!(plan.is_done());
    }

    proptest! {
        #[test]
        fn every_byte_comes_whatever_fails_splits_or_is_stolen(
            size in 1_u64..5000,
            least in 1_u64..300,
            held in prop::collection::vec((0_u64..5000, 0_u64..500), 0..4),
            steps in prop::collection::vec((0_u8..5, 0_usize..8, 0_u64..700), 0..120),
        ) {
            let mut done = Ranges::default();
            for (start, length) in held {
                done.insert(start.min(size)..(start + length).min(size));
            }
            let start = done.frontier();
            let mut plan = Plan::new(size, least, done);
            plan.adopt(start, start);
            for (what, which, amount) in steps {
                let lanes: Vec<_> = plan.segments.iter().map(|(lane, _)| lane).collect();
                let lane = lanes.get(which % lanes.len().max(1)).copied();
                match (what, lane) {
                    (0..2, Some(lane)) => {
                        let rest = plan.rest(lane);
                        plan.advance(lane, (rest.start + amount).min(rest.end));
                    }
                    (2, Some(lane)) => plan.close(lane),
                    (3, _) => {
                        if let Some(lane) = plan.superfluous(None) {
                            plan.close(lane);
                        }
                    }
                    _ => {
                        let before = plan.segments.len();
                        let speed = |lane: Lane| [None, Some(1.0), Some(100.0)][(lane + which) % 3];
                        if let Some(opened) = plan.open(amount % 4 + 1, 100.0, speed) {
                            prop_assert!(plan.segments.len() == before + 1);
                            prop_assert!(opened.range.start < opened.range.end && opened.range.end <= size);
                            prop_assert_eq!(plan.rest(opened.lane), opened.range);
                        }
                    }
                }
                // Two lanes overlap only if they are rivals.
                let segments: Vec<_> = plan.segments.iter().map(|(_, segment)| segment).collect();
                for (n, one) in segments.iter().enumerate() {
                    for other in &segments[n + 1..] {
                        let is_shared = one.at < other.end && other.at < one.end;
                        prop_assert!(!is_shared || one.has_rival && other.has_rival, "{one:?} {other:?}");
                    }
                }
            }
            // Whatever has happened, the rest can still be fetched.
            for _ in 0..10_000 {
                if plan.is_done() {
                    break;
                }
                let lane = plan.segments.iter().map(|(lane, _)| lane).next();
                let lane = match lane {
                    Some(lane) => lane,
                    None => plan.open(1, 1.0, |_| None).expect("something is missing").lane,
                };
                plan.advance(lane, plan.rest(lane).end);
                plan.close(lane);
            }
            prop_assert!(plan.is_done());
            prop_assert_eq!(plan.done().count(), size);
        }
    }
}
