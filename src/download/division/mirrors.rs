//! Which mirror the next segment of a file is requested from: each is tried once, then the fastest is preferred. Pure;
//! the clock is an argument.

use std::time::{Duration, Instant};

use crate::http::Origin;

/// A mirror is slow if its connections are slower than the fastest one's by more than this factor: it does not keep
/// untried mirrors from being tried.
const SLOW: f64 = 4.0;

/// The factor by which an earlier speed decays with each measurement that does not reach it.
const MEMORY: f64 = 0.97;

/// The first pause before a mirror that limits its connections is asked for one more; it doubles.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The mirrors of one file, by their index in its list.
#[derive(Debug)]
pub(super) struct Mirrors {
    mirrors: Vec<Mirror>,
    /// The largest number of connections to one origin.
    per_origin: usize,
}

#[derive(Debug)]
struct Mirror {
    origin: Origin,
    /// The number of connections that fetch a segment or are being opened for one.
    lanes: usize,
    /// The number of connections that it was found to serve, and when one more is tried.
    most: usize,
    rises_at: Option<Instant>,
    pause: Duration,
    is_tried: bool,
    /// The speed of one of its connections, in bytes a second.
    speed: Option<f64>,
    rests_until: Option<Instant>,
    is_dropped: bool,
}

impl Mirror {
    fn new(origin: Origin) -> Self {
        Self {
            origin,
            lanes: 0,
            most: usize::MAX,
            rises_at: None,
            pause: PAUSE,
            is_tried: false,
            speed: None,
            rests_until: None,
            is_dropped: false,
        }
    }

    fn is_in_use(&self) -> bool {
        !self.is_dropped && self.rests_until.is_none()
    }
}

impl Mirrors {
    /// Mirrors at these origins, in order of preference, with at most `per_origin` connections to one origin; 0 is no
    /// limit.
    pub(super) fn new(origins: impl IntoIterator<Item = Origin>, per_origin: usize) -> Self {
        Self {
            mirrors: origins.into_iter().map(Mirror::new).collect(),
            per_origin: if per_origin == 0 {
                usize::MAX
            } else {
                per_origin
            },
        }
    }

    /// Counts a connection that is opened to a mirror.
    pub(super) fn opened(&mut self, index: usize) {
        if let Some(mirror) = self.mirrors.get_mut(index) {
            mirror.lanes += 1;
            mirror.is_tried = true;
            mirror.rests_until = None;
        }
    }

    /// Counts a connection to a mirror that has ended.
    pub(super) fn closed(&mut self, index: usize) {
        if let Some(mirror) = self.mirrors.get_mut(index) {
            mirror.lanes = mirror.lanes.saturating_sub(1);
        }
    }

    /// Records the speed of a mirror's fastest connection, in bytes a second. It is called a few times a second, and
    /// an earlier, higher speed decays, because that connection may have ended while others are stuck.
    pub(super) fn measured(&mut self, index: usize, speed: f64) {
        if let Some(mirror) = self.mirrors.get_mut(index) {
            let before = mirror.speed.unwrap_or(0.0);
            mirror.speed = Some(speed.max(before * MEMORY));
        }
    }

    /// The speed of one of a mirror's connections, in bytes a second, if it is known.
    pub(super) fn speed(&self, index: usize) -> Option<f64> {
        self.mirrors.get(index)?.speed
    }

    /// The number of connections to a mirror.
    #[cfg(test)]
    pub(super) fn lanes(&self, index: usize) -> usize {
        self.mirrors.get(index).map_or(0, |mirror| mirror.lanes)
    }

    /// Lets a mirror rest until `until`.
    pub(super) fn rest(&mut self, index: usize, until: Instant) {
        if let Some(mirror) = self.mirrors.get_mut(index) {
            mirror.rests_until = Some(until);
        }
    }

    /// Sends no more requests to a mirror for this file. Its current transfers continue.
    pub(super) fn drop(&mut self, index: usize) {
        if let Some(mirror) = self.mirrors.get_mut(index) {
            mirror.is_dropped = true;
        }
    }

    /// Whether a mirror was dropped.
    pub(super) fn is_dropped(&self, index: usize) -> bool {
        self.mirrors
            .get(index)
            .is_none_or(|mirror| mirror.is_dropped)
    }

    /// Whether another mirror is left.
    pub(super) fn has_another(&self, index: usize) -> bool {
        let others = self.mirrors.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != index);
        others.any(|(_, mirror)| !mirror.is_dropped)
    }

    /// Limits a mirror to its current number of connections. One more is tried after a while.
    pub(super) fn lower(&mut self, index: usize, now: Instant) {
        if let Some(mirror) = self.mirrors.get_mut(index) {
            mirror.most = mirror.lanes.max(1);
            mirror.rises_at = now.checked_add(mirror.pause);
            mirror.pause = (mirror.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Allows one more connection to each limited mirror after its pause.
    pub(super) fn raise(&mut self, now: Instant) {
        for mirror in &mut self.mirrors {
            if mirror.rises_at.is_some_and(|at| at <= now) {
                mirror.most = mirror.most.saturating_add(1);
                mirror.rises_at = now.checked_add(mirror.pause);
            }
        }
    }

    /// The mirror for the next segment, if the file uses `wanted` connections; `None` if no mirror has room.
    pub(super) fn next(&self, wanted: usize, now: Instant) -> Option<usize> {
        let usable = || {
            let mirrors = self.mirrors.iter().enumerate();
            mirrors.filter(|(_, mirror)| self.is_usable(mirror, now))
        };
        let untried = usable().find(|(_, mirror)| !mirror.is_tried);
        if let Some((index, _)) = untried
            && self.in_use() < wanted
        {
            return Some(index);
        }
        let known = usable().filter_map(|(index, mirror)| Some((index, mirror.speed?)));
        // The first of equally fast ones.
        let fastest = known.reduce(|one, other| if other.1 > one.1 { other } else { one });
        let unknown = usable().filter(|(_, mirror)| mirror.is_tried && mirror.speed.is_none());
        let idlest = unknown.min_by_key(|(_, mirror)| mirror.lanes);
        let fastest = fastest.map(|(index, _)| index);
        fastest
            .filter(|index| !self.is_slow(*index))
            .or(idlest.or(untried).map(|(index, _)| index))
            .or(fastest)
    }

    /// The mirror that is available first, and the time until then.
    pub(super) fn soonest(&self, now: Instant) -> Option<(usize, Duration)> {
        let mirrors = self.mirrors.iter().enumerate();
        let rests = mirrors
            .filter(|(_, mirror)| !mirror.is_dropped)
            .map(|(index, mirror)| (index, mirror.rests_until.unwrap_or(now)));
        let (index, at) = rests.min_by_key(|(_, until)| *until)?;
        Some((index, at.saturating_duration_since(now)))
    }

    fn is_usable(&self, mirror: &Mirror, now: Instant) -> bool {
        let is_awake = mirror.rests_until.is_none_or(|until| until <= now);
        !mirror.is_dropped && is_awake && self.has_room(mirror)
    }

    fn has_room(&self, mirror: &Mirror) -> bool {
        let same = self
            .mirrors
            .iter()
            .filter(|other| other.origin == mirror.origin);
        let at_origin: usize = same.map(|other| other.lanes).sum();
        mirror.lanes < mirror.most && at_origin < self.per_origin
    }

    /// How many mirrors were tried and are not known to be slow.
    fn in_use(&self) -> usize {
        let indices = 0..self.mirrors.len();
        let in_use = indices.filter(|index| {
            let mirror = &self.mirrors[*index];
            mirror.is_tried && mirror.is_in_use() && !self.is_slow(*index)
        });
        in_use.count()
    }

    /// Whether a mirror is known to be much slower than another one in use.
    fn is_slow(&self, index: usize) -> bool {
        let speeds = self.mirrors.iter().filter(|mirror| mirror.is_in_use());
        let best = speeds.filter_map(|mirror| mirror.speed).fold(0.0, f64::max);
        self.speed(index).is_some_and(|speed| speed * SLOW < best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mirrors(count: u16, per_origin: usize) -> Mirrors {
        let origins = (0..count).map(|host| {
            let url = format!("http://h{host}/").parse().unwrap();
            Origin::of(&url).unwrap()
        });
        Mirrors::new(origins, per_origin)
    }

    /// Opens `wanted` connections, and returns how many each mirror has.
    fn open(mirrors: &mut Mirrors, wanted: usize, now: Instant) -> Vec<usize> {
        for _ in 0..wanted {
            let Some(index) = mirrors.next(wanted, now) else {
                break;
            };
            mirrors.opened(index);
        }
        mirrors.mirrors.iter().map(|mirror| mirror.lanes).collect()
    }

    #[test]
    fn connections_are_spread_at_first() {
        let now = Instant::now();
        assert_eq!(open(&mut mirrors(2, 0), 4, now), [2, 2]);
        assert_eq!(open(&mut mirrors(3, 0), 2, now), [1, 1, 0]);
        assert_eq!(open(&mut mirrors(1, 0), 5, now), [5]);
    }

    #[test]
    fn the_next_is_asked_of_the_fastest_that_has_room() {
        let now = Instant::now();
        let mut mirrors = mirrors(3, 3);
        open(&mut mirrors, 3, now);
        for (index, speed) in [(0, 2e6), (1, 5e6), (2, 3e6)] {
            mirrors.measured(index, speed);
        }
        assert_eq!(mirrors.next(9, now), Some(1));
        assert_eq!(open(&mut mirrors, 4, now), [1, 3, 3]);
        assert_eq!(open(&mut mirrors, 4, now), [3, 3, 3]);
        assert_eq!(mirrors.next(20, now), None);
    }

    #[test]
    fn where_one_is_slow_another_is_tried() {
        let now = Instant::now();
        let mut mirrors = mirrors(3, 0);
        open(&mut mirrors, 2, now);
        mirrors.measured(0, 8e6);
        mirrors.measured(1, 1e6);
        mirrors.closed(1);
        assert_eq!(mirrors.next(2, now), Some(2));
        mirrors.opened(2);
        mirrors.measured(2, 7e6);
        assert_eq!(mirrors.next(4, now), Some(0));
    }

    #[test]
    fn who_rests_or_was_dropped_is_not_asked() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut mirrors = mirrors(3, 0);
        mirrors.drop(0);
        mirrors.rest(1, later);
        assert_eq!(mirrors.next(4, now), Some(2));
        assert!(mirrors.has_another(2) && mirrors.has_another(1));
        mirrors.rest(2, later + Duration::from_secs(1));
        assert_eq!(mirrors.next(4, now), None);
        assert_eq!(mirrors.soonest(now), Some((1, Duration::from_secs(1))));
        assert_eq!(mirrors.next(4, later), Some(1));
        mirrors.drop(1);
        assert!(!mirrors.has_another(2));
    }

    #[test]
    fn the_fastest_of_those_that_are_left_is_not_slow() {
        let now = Instant::now();
        let mut mirrors = mirrors(2, 0);
        open(&mut mirrors, 2, now);
        mirrors.measured(0, 1e8);
        mirrors.measured(1, 1e6);
        mirrors.drop(0);
        assert_eq!(mirrors.next(2, now), Some(1));
    }

    #[test]
    fn what_an_origin_is_found_to_serve_rises_again_after_a_pause_that_grows() {
        let start = Instant::now();
        let mut mirrors = mirrors(1, 0);
        open(&mut mirrors, 2, start);
        mirrors.lower(0, start);
        assert_eq!(mirrors.next(8, start), None);
        let mut now = start;
        let mut refusals = 0;
        while now < start + Duration::from_secs(120) {
            now += Duration::from_millis(200);
            mirrors.raise(now);
            if mirrors.next(8, now).is_some() {
                refusals += 1;
                mirrors.lower(0, now);
            }
        }
        assert_eq!(refusals, 4, "after 5, 15, 35 and 75 seconds");
    }

    #[test]
    fn mirrors_of_one_origin_share_its_connections() {
        let now = Instant::now();
        let url = "http://h/".parse().unwrap();
        let origin = Origin::of(&url).unwrap();
        let mut mirrors = Mirrors::new([origin.clone(), origin], 2);
        assert_eq!(open(&mut mirrors, 8, now), [1, 1]);
    }

    proptest! {
        #[test]
        fn somebody_can_be_asked_unless_all_rest_are_full_or_dropped(
            count in 1_u16..5,
            per_origin in 0_usize..4,
            steps in prop::collection::vec((0_u8..7, 0_usize..5, 0_u64..1000), 0..60),
        ) {
            let mut now = Instant::now();
            let mut mirrors = mirrors(count, per_origin);
            for (what, index, amount) in steps {
                let index = index % usize::from(count);
                match what {
                    0 | 1 => if let Some(index) = mirrors.next(amount as usize % 9, now) {
                        prop_assert!(!mirrors.is_dropped(index));
                        mirrors.opened(index);
                        prop_assert!(per_origin == 0 || mirrors.lanes(index) <= per_origin);
                    },
                    2 => mirrors.closed(index),
                    3 => mirrors.measured(index, amount as f64),
                    4 => mirrors.rest(index, now + Duration::from_millis(amount)),
                    5 => mirrors.lower(index, now),
                    _ => if mirrors.has_another(index) {
                        mirrors.drop(index);
                    },
                }
                now += Duration::from_millis(amount);
                mirrors.raise(now);
                let is_idle = mirrors.mirrors.iter().all(|mirror| mirror.lanes == 0);
                if is_idle {
                    prop_assert!(mirrors.next(1, now).or(mirrors.soonest(now).map(|(index, _)| index)).is_some());
                }
            }
        }
    }
}
