//! How long a run bears with an origin that fails: without `--retry`, time decides and not the number of tries. Pure.
//!
//! Brownouts of servers and networks last minutes, and many rows meet the same one. So its time counts from the first
//! failure of the origin, whichever row met it, and a success ends it. An origin that never answered and cannot even be
//! connected to is most likely a typo: it gets seconds.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use url::Url;

use crate::error::{Doing, Error, Fault};
use crate::http::{Origin, Scheme};

/// What is known of the origins of a run.
#[derive(Debug, Default)]
pub struct Patience {
    /// The origin that answered last: most runs have one.
    last: Option<Origin>,
    /// Origins that have answered.
    answered: HashSet<Origin>,
    /// Origins that fail, since this time.
    failing: HashMap<Origin, Instant>,
    /// Origins that asked for a pause, and its end.
    held: HashMap<Origin, Instant>,
}

/// A failing origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// The time since its first failure without a success.
    pub elapsed: Duration,
    /// It cannot be reached, and has not answered in this run.
    pub is_unreached: bool,
}

impl Patience {
    /// A transfer from a URL has succeeded: whatever failed before, its origin works.
    pub fn succeeded(&mut self, url: &Url) {
        if self.failing.is_empty() && self.last.as_ref().is_some_and(|last| is_of(last, url)) {
            return;
        }
        if let Ok(origin) = Origin::of(url) {
            self.failing.remove(&origin);
            self.answered.insert(origin.clone());
            self.last = Some(origin);
        }
    }

    /// A transfer from a URL, or from where that redirected it, has failed.
    pub fn failed(&mut self, url: &Url, error: &Error, now: Instant) -> Failing {
        let Ok(origin) = Origin::of(error.redirected().unwrap_or(url)) else {
            return Failing {
                elapsed: Duration::ZERO,
                is_unreached: false,
            };
        };
        if error.status().is_some() {
            self.answered.insert(origin.clone());
        }
        let is_unreached = is_unreachable(error) && !self.answered.contains(&origin);
        let since = *self.failing.entry(origin).or_insert(now);
        Failing {
            elapsed: now.saturating_duration_since(since),
            is_unreached,
        }
    }

    /// Records a pause that the origin of a URL asked for. Returns whether it was in none.
    pub fn hold(&mut self, url: &Url, until: Instant, now: Instant) -> bool {
        let Ok(origin) = Origin::of(url) else {
            return false;
        };
        self.held.retain(|_, end| *end > now);
        let before = self.held.insert(origin.clone(), until);
        if let Some(end) = before
            && end > until
        {
            self.held.insert(origin, end);
        }
        before.is_none()
    }

    /// The end of the pause that the origin of a URL asked for; `now` if it is in none.
    pub fn held_until(&self, url: &Url, now: Instant) -> Instant {
        if self.held.is_empty() {
            return now;
        }
        let origin = Origin::of(url).ok();
        let end = origin.and_then(|origin| self.held.get(&origin).copied());
        end.map_or(now, |end| end.max(now))
    }
}

/// Whether a URL has this origin.
fn is_of(origin: &Origin, url: &Url) -> bool {
    let is_scheme = match origin.scheme {
        Scheme::Http => url.scheme() == "http",
        Scheme::Https => url.scheme() == "https",
    };
    is_scheme
        && url.host_str() == Some(origin.host.as_str())
        && url.port_or_known_default() == Some(origin.port)
}

/// Whether an error says that there is no server of this kind: no such name, no port that accepts, or one that does
/// not speak TLS.
fn is_unreachable(error: &Error) -> bool {
    match error.fault() {
        Fault::Resolve { .. } | Fault::Connect(_) => true,
        Fault::Tls(_) => error.doing() == Doing::Handshaking,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn failure(fault: Fault) -> Error {
        Error::new(fault, Doing::Connecting, None)
    }

    fn refused() -> Error {
        failure(Fault::Connect(std::io::ErrorKind::ConnectionRefused.into()))
    }

    #[test]
    fn the_time_of_an_origin_counts_from_its_first_failure_until_a_success() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        let elapsed = |patience: &mut Patience, name: &str, seconds| {
            let at = start + Duration::from_secs(seconds);
            let failing = patience.failed(&url(name), &failure(Fault::NoAnswer), at);
            assert!(!failing.is_unreached);
            failing.elapsed.as_secs()
        };
        assert_eq!(elapsed(&mut patience, "http://a/1", 10), 0);
        assert_eq!(elapsed(&mut patience, "http://a/2", 70), 60, "another row");
        assert_eq!(elapsed(&mut patience, "http://b/1", 70), 0, "another host");
        assert_eq!(
            elapsed(&mut patience, "http://a:81/", 70),
            0,
            "another port"
        );
        patience.succeeded(&url("http://a/3"));
        assert_eq!(elapsed(&mut patience, "http://a/1", 99), 0);
        assert_eq!(elapsed(&mut patience, "http://b/1", 99), 29);
        // The origin that answered last is not looked up again while no origin fails.
        patience.succeeded(&url("http://b/"));
        patience.succeeded(&url("http://a:81/"));
        patience.succeeded(&url("http://a/"));
        patience.succeeded(&url("http://a/"));
        assert_eq!(elapsed(&mut patience, "http://a/1", 120), 0);
        patience.succeeded(&url("http://a/"));
        assert_eq!(elapsed(&mut patience, "http://a/1", 150), 0);
    }

    #[test]
    fn a_pause_ends_at_the_latest_time_that_was_asked_for() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let (url, other) = (url("http://a/1"), url("http://b/1"));
        assert_eq!(patience.held_until(&url, now), now);
        assert!(patience.hold(&url, at(9), now));
        assert!(!patience.hold(&url, at(5), at(1)), "it is in one");
        assert_eq!(patience.held_until(&url, at(1)), at(9));
        assert_eq!(patience.held_until(&other, at(1)), at(1));
        assert_eq!(patience.held_until(&url, at(10)), at(10));
        assert!(patience.hold(&url, at(20), at(10)), "the first one is over");
    }

    #[test]
    fn an_origin_that_has_answered_is_no_typo() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        assert!(
            patience
                .failed(&url("http://a/"), &refused(), now)
                .is_unreached
        );
        let status = Fault::Status {
            status: 404,
            retry_after: None,
            size: None,
        };
        patience.failed(&url("http://a/"), &failure(status), now);
        assert!(
            !patience
                .failed(&url("http://a/"), &refused(), now)
                .is_unreached
        );
        assert!(
            patience
                .failed(&url("http://b/"), &refused(), now)
                .is_unreached
        );
        patience.succeeded(&url("http://b/"));
        assert!(
            !patience
                .failed(&url("http://b/"), &refused(), now)
                .is_unreached
        );
    }

    #[test]
    fn a_redirect_s_failure_is_that_of_its_target() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        patience.succeeded(&url("http://a/"));
        let error = refused().redirected_to(Some(url("http://b/")));
        assert!(patience.failed(&url("http://a/"), &error, now).is_unreached);
        let later = now + Duration::from_secs(9);
        let failing = patience.failed(&url("http://b/"), &refused(), later);
        assert_eq!(failing.elapsed, Duration::from_secs(9));
    }
}
