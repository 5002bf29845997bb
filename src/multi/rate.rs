//! Rate limits: how much a transfer may receive, and when. Pure arithmetic; the time is an argument.

use std::time::{Duration, Instant};

/// The maximum size of one grant, in bytes: the unit in which transfers share a limit.
const QUANTUM: u64 = 64 * 1024;

/// The unused time that may be saved up.
const BURST: Duration = Duration::from_millis(100);

/// A limit in bytes per second, shared by all transfers that take grants from it.
///
/// It keeps one time: when everything granted so far is paid for (the generic cell rate algorithm). A grant that is not
/// available now is reserved for later, so that many transfers do not all wake for one grant.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    per_second: u64,
    paid_at: Option<Instant>,
}

impl Rate {
    /// A limit of `per_second` bytes, at least 1.
    pub(crate) fn new(per_second: u64) -> Self {
        Self {
            per_second: per_second.max(1),
            paid_at: None,
        }
    }

    /// Reserves a grant. Returns its bytes, and the time from which they may be received.
    pub(crate) fn reserve(&mut self, now: Instant) -> (u64, Instant) {
        let grant = (self.per_second / 10).clamp(1, QUANTUM);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let start = self.paid_at.map_or(earliest, |at| at.max(earliest));
        self.paid_at = Some(start + self.price(grant));
        (grant, start.max(now))
    }

    /// Returns the unused bytes of a grant.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        let price = self.price(bytes);
        self.paid_at = self.paid_at.and_then(|at| at.checked_sub(price));
    }

    /// Charges bytes that were received beyond a grant.
    pub(crate) fn charge(&mut self, bytes: u64) {
        let price = self.price(bytes);
        self.paid_at = self.paid_at.map(|at| at + price);
    }

    fn price(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.per_second as f64)
    }
}

/// What one transfer may receive, under its own limit and that of all transfers.
#[derive(Debug)]
pub(super) struct Allowance {
    own: Option<Rate>,
    /// Bytes that were granted and not yet received: under its own limit, and under the shared one.
    grants: [u64; 2],
}

impl Allowance {
    /// An allowance with an own limit in bytes a second.
    pub(super) fn new(per_second: Option<u64>) -> Self {
        Self {
            own: per_second.map(Rate::new),
            grants: [0; 2],
        }
    }

    /// Replaces the own limit.
    pub(super) fn set_limit(&mut self, per_second: Option<u64>) {
        self.own = per_second.map(Rate::new);
    }

    /// How many bytes may be received now.
    ///
    /// # Errors
    /// None before this time.
    pub(super) fn bytes(
        &mut self,
        shared: Option<&mut Rate>,
        now: Instant,
    ) -> Result<u64, Instant> {
        let mut limit = u64::MAX;
        for (rate, grant) in self.limits(shared) {
            if *grant == 0 {
                let (bytes, from) = rate.reserve(now);
                *grant = bytes;
                if from > now {
                    return Err(from);
                }
            }
            limit = limit.min(*grant);
        }
        Ok(limit)
    }

    /// Takes received bytes off the grants. What exceeds a grant is charged.
    pub(super) fn spend(&mut self, bytes: usize, shared: Option<&mut Rate>) {
        for (rate, grant) in self.limits(shared) {
            rate.charge((bytes as u64).saturating_sub(*grant));
            *grant = grant.saturating_sub(bytes as u64);
        }
    }

    /// Returns what was granted and not received.
    pub(super) fn give_back(&mut self, shared: Option<&mut Rate>) {
        for (rate, grant) in self.limits(shared) {
            rate.give_back(std::mem::take(grant));
        }
    }

    /// Forgets what was granted: the limits are new.
    pub(super) fn forget_grants(&mut self) {
        self.grants = [0; 2];
    }

    /// The limits that there are, each with its grant.
    fn limits<'a>(
        &'a mut self,
        shared: Option<&'a mut Rate>,
    ) -> impl Iterator<Item = (&'a mut Rate, &'a mut u64)> {
        let rates = [self.own.as_mut(), shared];
        let limits = rates.into_iter().zip(&mut self.grants);
        limits.filter_map(|(rate, grant)| Some((rate?, grant)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that this number of greedy transfers receive in `seconds`.
    fn received(rate: &mut Rate, takers: usize, seconds: u64) -> u64 {
        let start = Instant::now();
        let end = start + Duration::from_secs(seconds);
        let mut due: Vec<_> = (0..takers).map(|_| rate.reserve(start)).collect();
        let mut total = 0;
        loop {
            let (index, &(bytes, at)) = due
                .iter()
                .enumerate()
                .min_by_key(|(_, (_, at))| *at)
                .unwrap();
            if at > end {
                return total;
            }
            total += bytes;
            due[index] = rate.reserve(at);
        }
    }

    #[test]
    fn the_limit_is_kept_by_one_and_by_many() {
        for takers in [1, 3, 100] {
            let total = received(&mut Rate::new(1_000_000), takers, 10);
            assert!(
                (9_800_000..=10_300_000).contains(&total),
                "{takers} takers received {total}"
            );
        }
    }

    #[test]
    fn the_slowest_limit_is_kept_too() {
        let total = received(&mut Rate::new(1), 1, 10);
        assert!((9..=12).contains(&total), "received {total}");
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let now = Instant::now();
        let mut rate = Rate::new(1000);
        let (grant, _) = rate.reserve(now);
        let (_, later) = rate.clone().reserve(now);
        rate.give_back(grant);
        let (_, sooner) = rate.reserve(now);
        assert!(sooner < later || later == now);
    }

    #[test]
    fn an_allowance_keeps_the_lower_of_two_limits() {
        let now = Instant::now();
        let mut shared = Rate::new(100);
        let mut allowance = Allowance::new(Some(1000));
        // The shared limit has saved up a burst for one grant more.
        for _ in 0..2 {
            assert_eq!(allowance.bytes(Some(&mut shared), now), Ok(10));
            allowance.spend(10, Some(&mut shared));
        }
        let later = allowance.bytes(Some(&mut shared), now);
        assert!(later.is_err_and(|later| later > now));
        // Its own limit granted 100 bytes at once.
        assert_eq!(allowance.bytes(None, now), Ok(80));
    }

    #[test]
    fn without_limits_an_allowance_has_no_bound() {
        let now = Instant::now();
        let mut allowance = Allowance::new(None);
        assert_eq!(allowance.bytes(None, now), Ok(u64::MAX));
        allowance.spend(1 << 20, None);
        allowance.set_limit(Some(50));
        assert_eq!(allowance.bytes(None, now), Ok(5));
    }

    #[test]
    fn a_grant_that_is_returned_delays_no_other_transfer() {
        let now = Instant::now();
        let mut shared = Rate::new(1000);
        let mut first = Allowance::new(None);
        let mut second = Allowance::new(None);
        assert_eq!(first.bytes(Some(&mut shared), now), Ok(100));
        assert!(second.bytes(Some(&mut shared), now).is_ok());
        first.give_back(Some(&mut shared));
        second.give_back(Some(&mut shared));
        assert_eq!(first.bytes(Some(&mut shared), now), Ok(100));
    }
}
