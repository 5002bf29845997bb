//! [`Jar`]: the cookies of a run, from a file and from responses. The number of cookies from responses is bounded.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use url::Url;

use super::{Cookie, SetCookie, scope};

/// The most cookies from responses of one site, as in browsers. Cookies of a file do not count.
const MAX_PER_SITE: usize = 180;

/// The most cookies from responses of all sites, as in browsers.
const MAX_TOTAL: usize = 3000;

/// The most Set-Cookie fields that are read in one response, as in curl.
const MAX_PER_RESPONSE: usize = 50;

/// The most bytes in the value of a Cookie field: many servers refuse longer lines.
const LONGEST_FIELD: usize = 8 * 1024;

/// The number of jars that this process has created.
static JARS: AtomicU64 = AtomicU64::new(0);

/// The cookies of a run. `Debug` shows nothing of them.
#[derive(Clone)]
pub struct Jar {
    /// Identifies the jar and its clones.
    number: u64,
    clock: Clock,
    /// By site: a cookie is never sent to another site.
    sites: HashMap<String, Vec<StoredCookie>>,
    /// The number of cookies from responses.
    received: usize,
    /// A logical clock: advances with each cookie that is stored and each field that is sent.
    turn: u64,
}

/// One moment on both clocks.
#[derive(Clone, Copy)]
struct Clock {
    at: Instant,
    /// Seconds since 1970.
    unix: i64,
}

impl Clock {
    /// A moment in seconds since 1970.
    fn unix_at(self, at: Instant) -> i64 {
        let passed = at.saturating_duration_since(self.at).as_secs();
        self.unix
            .saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

#[derive(Clone)]
struct StoredCookie {
    cookie: Cookie,
    /// The turn when it was stored.
    created: u64,
    /// The turn when it was last sent.
    used: u64,
    /// A response set it, so it counts against the bounds and may be evicted.
    is_received: bool,
}

impl Jar {
    /// A jar with the cookies of a file. `at` and `time` are the same moment on both clocks.
    pub fn new(cookies: Vec<Cookie>, at: Instant, time: SystemTime) -> Self {
        let unix = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix = i64::try_from(unix.as_secs()).unwrap_or(i64::MAX);
        let mut jar = Self {
            number: JARS.fetch_add(1, Ordering::Relaxed),
            clock: Clock { at, unix },
            sites: HashMap::new(),
            received: 0,
            turn: 0,
        };
        for cookie in cookies {
            jar.insert(cookie, false, unix);
        }
        jar
    }

    /// Whether both are clones of one jar. Their cookies may differ.
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        self.number == other.number
    }

    /// Stores the cookies of the Set-Cookie fields in a response for `url`, except those that the server may not set
    /// (RFC 6265 §5.3).
    pub fn take<'f>(&mut self, url: &Url, fields: impl Iterator<Item = &'f [u8]>, at: Instant) {
        let mut now = None;
        for field in fields.take(MAX_PER_RESPONSE) {
            let now = *now.get_or_insert_with(|| self.clock.unix_at(at));
            let cookie = SetCookie::parse(field).and_then(|field| field.cookie(url, now));
            if let Some(cookie) = cookie
                && (url.scheme() == "https" || !self.shadows_secure(&cookie))
            {
                self.insert(cookie, true, now);
            }
        }
    }

    /// The value of the Cookie field in a request for `url`; `None` if no cookie matches. Cookies with longer paths
    /// come first, then older ones (RFC 6265 §5.4). `given` bytes of the field are in use already; cookies that do
    /// not fit beside them are left out.
    pub fn field(&mut self, url: &Url, given: usize, at: Instant) -> Option<String> {
        let host = scope::bare(url.host_str()?);
        let site = self.sites.get_mut(scope::site(host))?;
        let (is_tls, path) = (url.scheme() == "https", url.path());
        let now = self.clock.unix_at(at);
        let mut sent: Vec<_> = site
            .iter_mut()
            .filter(|StoredCookie { cookie, .. }| {
                (is_tls || !cookie.is_secure)
                    && !cookie.has_expired(now)
                    && cookie.is_for(host, path)
            })
            .collect();
        sent.sort_by_key(|stored| (usize::MAX - stored.cookie.path.len(), stored.created));
        self.turn += 1;
        let mut field = String::new();
        for stored in sent {
            let (name, value) = (&stored.cookie.name, &stored.cookie.value);
            let length = field.len() + "; ".len() + name.len() + "=".len() + value.len();
            if given + length > LONGEST_FIELD {
                break;
            }
            stored.used = self.turn;
            for part in [if field.is_empty() { "" } else { "; " }, name, "=", value] {
                field.push_str(part);
            }
        }
        (!field.is_empty()).then_some(field)
    }

    /// Whether a cookie received in plaintext would shadow a secure one (RFC 6265bis §5.7, step 12).
    fn shadows_secure(&self, new: &Cookie) -> bool {
        let stored = self.sites.get(scope::site(&new.domain));
        stored
            .into_iter()
            .flatten()
            .any(|StoredCookie { cookie, .. }| {
                let is_near = scope::domain_matches(&new.domain, &cookie.domain)
                    || scope::domain_matches(&cookie.domain, &new.domain);
                let is_below = scope::path_matches(&new.path, &cookie.path);
                cookie.is_secure && cookie.name == new.name && is_near && is_below
            })
    }

    /// Stores a cookie, or replaces the one with the same name, domain and path (RFC 6265 §5.3, step 11). An expired
    /// cookie is not stored, so a server deletes a cookie by replacing it with an expired one.
    fn insert(&mut self, cookie: Cookie, is_received: bool, now: i64) {
        self.turn += 1;
        let site = scope::site(&cookie.domain).to_owned();
        let stored = self.sites.entry(site.clone()).or_default();
        let old = stored
            .iter()
            .position(|stored| cookie.replaces(&stored.cookie));
        match old {
            Some(old) if cookie.has_expired(now) => {
                self.received -= usize::from(stored.swap_remove(old).is_received);
            }
            Some(old) => stored[old].cookie = cookie,
            None if cookie.has_expired(now) => {}
            None => {
                let (created, used) = (self.turn, self.turn);
                stored.push(StoredCookie {
                    cookie,
                    created,
                    used,
                    is_received,
                });
                self.received += usize::from(is_received);
                if is_received {
                    self.evict(&site, now);
                }
            }
        }
        if self.sites.get(&site).is_some_and(Vec::is_empty) {
            self.sites.remove(&site);
        }
    }

    /// Evicts expired cookies, then the least recently used one, if the site or the jar is over its bound (RFC 6265
    /// §5.3, last paragraph).
    fn evict(&mut self, site: &str, now: i64) {
        if let Some(stored) = self.sites.get_mut(site)
            && count_received(stored) > MAX_PER_SITE
        {
            self.received -= drop_expired(stored, now);
            if count_received(stored) > MAX_PER_SITE {
                self.received -= drop_least_used(stored);
            }
        }
        if self.received <= MAX_TOTAL {
            return;
        }
        for stored in self.sites.values_mut() {
            self.received -= drop_expired(stored, now);
        }
        if self.received > MAX_TOTAL {
            let sites = self.sites.values_mut();
            let oldest = sites.filter_map(|stored| {
                let at = least_used(stored)?;
                Some((stored[at].used, stored))
            });
            if let Some((_, stored)) = oldest.min_by_key(|(used, _)| *used) {
                self.received -= drop_least_used(stored);
            }
        }
        self.sites.retain(|_, stored| !stored.is_empty());
    }
}

/// The number of cookies that came in responses.
fn count_received(stored: &[StoredCookie]) -> usize {
    stored.iter().filter(|stored| stored.is_received).count()
}

/// Removes expired cookies that came in responses, and returns their number.
fn drop_expired(stored: &mut Vec<StoredCookie>, now: i64) -> usize {
    let before = stored.len();
    stored.retain(|stored| !stored.is_received || !stored.cookie.has_expired(now));
    before - stored.len()
}

/// The index of the least recently used cookie that came in a response.
fn least_used(stored: &[StoredCookie]) -> Option<usize> {
    let received = stored
        .iter()
        .enumerate()
        .filter(|(_, stored)| stored.is_received);
    received
        .min_by_key(|(_, stored)| stored.used)
        .map(|(at, _)| at)
}

/// Removes the least recently used cookie that came in a response, and returns the number removed: 1 or 0.
fn drop_least_used(stored: &mut Vec<StoredCookie>) -> usize {
    let Some(at) = least_used(stored) else {
        return 0;
    };
    stored.swap_remove(at);
    1
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jar(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::cookie::read_file;
    use std::time::Duration;

    /// A jar, and the clock that it goes by: 10^9 seconds after 1970 when it is made.
    struct Test {
        jar: Jar,
        now: Instant,
    }

    impl Test {
        fn new(file: &str) -> Self {
            let now = Instant::now();
            let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            let (cookies, bad) = read_file(file.as_bytes());
            assert!(bad.is_empty(), "{bad:?}");
            Self {
                jar: Jar::new(cookies, now, time),
                now,
            }
        }

        fn take(&mut self, url: &str, fields: &[&str]) {
            let url = Url::parse(url).unwrap();
            let fields = fields.iter().map(|field| field.as_bytes());
            self.jar.take(&url, fields, self.now);
        }

        fn sent(&mut self, url: &str) -> String {
            let url = Url::parse(url).unwrap();
            self.jar.field(&url, 0, self.now).unwrap_or_default()
        }
    }

    #[test]
    fn cookies_go_where_they_came_from() {
        let mut test = Test::new("");
        test.take(
            "http://www.example.com/a/b",
            &["own=1", "all=2; Domain=example.com; Path=/"],
        );
        for (url, expected) in [
            ("http://www.example.com/a/c", "own=1; all=2"),
            ("https://www.example.com:8443/a/", "own=1; all=2"),
            ("http://www.example.com/", "all=2"),
            ("http://www.example.com/ab", "all=2"),
            ("http://example.com/a/b", "all=2"),
            ("http://x.www.example.com/a/b", "all=2"),
            ("http://example.org/a/b", ""),
            ("http://badexample.com/a/b", ""),
        ] {
            assert_eq!(test.sent(url), expected, "{url}");
        }
    }

    #[test]
    fn those_with_longer_paths_come_first_and_then_those_that_came_first() {
        let mut test = Test::new("h.example\tFALSE\t/\tFALSE\t0\tfile\t0\n");
        test.take(
            "http://h.example/a/b/c",
            &[
                "a=1; Path=/",
                "b=2; Path=/a/b",
                "c=3; Path=/a",
                "d=4; Path=/a/b",
            ],
        );
        // A new value does not change its position.
        test.take("http://h.example/a/b/c", &["a=5; Path=/"]);
        assert_eq!(
            test.sent("http://h.example/a/b/c"),
            "b=2; d=4; c=3; file=0; a=5"
        );
    }

    #[test]
    fn time_takes_cookies_away() {
        let mut test = Test::new(
            "h.example\tFALSE\t/\tFALSE\t1000000030\tfile\t1\nh.example\tFALSE\t/\tFALSE\t1000000000\told\t1\n",
        );
        test.take(
            "http://h.example/",
            &[
                "a=1; Max-Age=10",
                "b=2; Expires=Sun, 09 Sep 2001 01:47:00 GMT",
                "c=3; Max-Age=0",
                "d=4",
            ],
        );
        assert_eq!(test.sent("http://h.example/"), "file=1; a=1; b=2; d=4");
        test.now += Duration::from_secs(10);
        assert_eq!(test.sent("http://h.example/"), "file=1; b=2; d=4");
        test.now += Duration::from_secs(10);
        assert_eq!(test.sent("http://h.example/"), "file=1; d=4");
        test.now += Duration::from_secs(10_000_000_000);
        assert_eq!(test.sent("http://h.example/"), "d=4");
    }

    #[test]
    fn a_cookie_of_the_past_takes_its_like_away() {
        let mut test = Test::new("h.example\tFALSE\t/\tFALSE\t0\ta\t1\n");
        test.take("http://h.example/", &["a=2; Path=/x; Max-Age=0", "b=1"]);
        assert_eq!(test.sent("http://h.example/"), "a=1; b=1");
        test.take(
            "http://h.example/",
            &[
                "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                "b=; Max-Age=-1",
            ],
        );
        assert_eq!(test.sent("http://h.example/"), "");
        assert!(test.jar.sites.is_empty() && test.jar.received == 0);
    }

    #[test]
    fn what_is_secure_goes_over_tls_and_is_replaced_over_tls() {
        let mut test = Test::new("");
        test.take(
            "https://a.example.com/x",
            &["id=1; Secure; Domain=example.com"],
        );
        assert_eq!(test.sent("http://a.example.com/"), "");
        for field in [
            "id=2",
            "id=2; Domain=example.com",
            "id=2; Path=/a",
            "id=; Max-Age=0; Domain=example.com",
        ] {
            test.take("http://b.example.com/x", &[field]);
        }
        assert_eq!(test.sent("https://b.example.com/a"), "id=1");
        test.take("https://b.example.com/x", &["id=3; Domain=example.com"]);
        assert_eq!(test.sent("http://a.example.com/"), "id=3");
    }

    #[test]
    fn a_site_has_180_at_most_and_the_last_used_stay() {
        let mut test = Test::new("a.example.com\tFALSE\t/\tFALSE\t0\tfile\t1\n");
        test.take("http://a.example.com/", &["first=1; Path=/first"]);
        for at in 0..1000 {
            let host = format!("http://{}.example.com/", at % 7);
            test.take(&host, &[&format!("n{at}=1; Domain=example.com; Path=/n")]);
            assert_eq!(test.sent("http://a.example.com/first"), "first=1; file=1");
        }
        assert_eq!(test.jar.received, MAX_PER_SITE);
        assert_eq!(test.jar.sites["example.com"].len(), MAX_PER_SITE + 1);
        assert_eq!(
            test.sent("http://a.example.com/n").split("; ").count(),
            MAX_PER_SITE
        );
    }

    #[test]
    fn there_are_3000_at_most_and_those_of_the_file_beside_them() {
        let line = |at: usize| format!("f{at}.test\tFALSE\t/\tFALSE\t0\tfile\t1\n");
        let mut test = Test::new(&(0..100).map(line).collect::<String>());
        for at in 0..1600 {
            test.take(&format!("http://h{at}.test/"), &["a=1", "b=1; Max-Age=100"]);
        }
        assert_eq!(test.jar.received, MAX_TOTAL);
        let count: usize = test.jar.sites.values().map(Vec::len).sum();
        assert_eq!(count, MAX_TOTAL + 100);
        assert_eq!(test.sent("http://h0.test/"), "");
        assert_eq!(test.sent("http://h1599.test/"), "a=1; b=1");
        assert_eq!(test.sent("http://f0.test/"), "file=1");
        test.now += Duration::from_secs(100);
        test.take("http://new.test/", &["a=1"]);
        assert_eq!(test.jar.received, MAX_TOTAL / 2 + 1);
    }

    #[test]
    fn one_answer_brings_50_at_most() {
        let mut test = Test::new("");
        let fields: Vec<_> = (0..100).map(|at| format!("n{at}=1")).collect();
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        test.take("http://h.example/", &fields);
        assert_eq!(test.jar.received, MAX_PER_RESPONSE);
    }

    #[test]
    fn a_field_has_8_kib_at_most() {
        let mut test = Test::new("");
        for at in 0..20 {
            test.take(
                "http://h.example/",
                &[&format!("n{at:02}={}", "x".repeat(1000))],
            );
        }
        let sent = test.sent("http://h.example/");
        assert_eq!(sent.split("; ").count(), 8);
        assert!(sent.len() <= LONGEST_FIELD && sent.starts_with("n00="));
        let url = Url::parse("http://h.example/").unwrap();
        let beside = test.jar.field(&url, 6000, test.now).unwrap();
        assert_eq!(beside.split("; ").count(), 2);
        assert_eq!(test.jar.field(&url, 10_000, test.now), None);
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let mut test = Test::new("h\tFALSE\t/\tFALSE\t0\thunter2\thunter2\n");
        test.take("http://h.example/", &["hunter2=hunter2"]);
        assert!(!format!("{:?}", test.jar).contains("hunter2"));
    }
}
