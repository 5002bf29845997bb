//! [`Jar`]: the cookies of a run, from a file and from answers, within bounds that no server can
//! widen.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use url::Url;

use super::{Cookie, SetCookie, scope};

/// Cookies that are taken from the answers of one site, and of all: as browsers have it. Those of a
/// file do not count.
const MOST_OF_SITE: usize = 180;
const MOST: usize = 3000;

/// Set-Cookie fields that are looked at in one answer: as curl has it.
const MOST_IN_ANSWER: usize = 50;

/// The longest value of a Cookie field, in bytes: many servers take no longer line.
const LONGEST_FIELD: usize = 8 * 1024;

/// How many jars this process has made.
static JARS: AtomicU64 = AtomicU64::new(0);

/// The cookies of a run. `Debug` shows nothing of them.
#[derive(Clone)]
pub struct Jar {
    /// Tells the jar and its clones from others.
    number: u64,
    /// One moment by both clocks; the second in seconds since 1970.
    clock: (Instant, i64),
    /// By site: none is sent beyond its own.
    sites: HashMap<String, Vec<Kept>>,
    /// How many come from answers.
    taken: usize,
    /// Grows with each cookie that comes and each that goes out.
    turn: u64,
}

#[derive(Clone)]
struct Kept {
    cookie: Cookie,
    /// The turn when it came, and when it was last sent.
    created: u64,
    used: u64,
    /// It comes from an answer, and may have to make way.
    is_taken: bool,
}

impl Jar {
    /// Cookies that are there from the beginning. The two times are those of one moment.
    pub fn new(cookies: Vec<Cookie>, at: Instant, time: SystemTime) -> Self {
        let unix = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix = i64::try_from(unix.as_secs()).unwrap_or(i64::MAX);
        let mut jar = Self {
            number: JARS.fetch_add(1, Ordering::Relaxed),
            clock: (at, unix),
            sites: HashMap::new(),
            taken: 0,
            turn: 0,
        };
        for cookie in cookies {
            jar.insert(cookie, false, unix);
        }
        jar
    }

    /// Whether both are clones of one jar, whatever they have taken since.
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        self.number == other.number
    }

    /// Takes the Set-Cookie fields of an answer to a request for `url`; of those that may not be
    /// taken, nothing (RFC 6265 §5.3).
    pub fn take<'f>(&mut self, url: &Url, fields: impl Iterator<Item = &'f [u8]>, at: Instant) {
        let mut now = None;
        for field in fields.take(MOST_IN_ANSWER) {
            let now = *now.get_or_insert_with(|| self.unix(at));
            let cookie = SetCookie::parse(field).and_then(|field| field.cookie(url, now));
            if let Some(cookie) = cookie
                && (url.scheme() == "https" || !self.hides_secure(&cookie))
            {
                self.insert(cookie, true, now);
            }
        }
    }

    /// The value of a Cookie field in a request for `url`, if any cookie goes there: those with
    /// longer paths first, then those that came first (RFC 6265 §5.4). `given` are bytes that stand
    /// in the field already; what does not fit beside them is left out.
    pub fn field(&mut self, url: &Url, given: usize, at: Instant) -> Option<String> {
        let host = scope::bare(url.host_str()?);
        let site = self.sites.get_mut(scope::site(host))?;
        let (is_tls, path) = (url.scheme() == "https", url.path());
        let (moment, unix) = self.clock;
        let now = unix_at(moment, unix, at);
        let goes = |kept: &&mut Kept| {
            let cookie = &kept.cookie;
            (is_tls || !cookie.is_secure) && !cookie.has_expired(now) && cookie.is_for(host, path)
        };
        let mut going: Vec<_> = site.iter_mut().filter(goes).collect();
        going.sort_by_key(|kept| (usize::MAX - kept.cookie.path.len(), kept.created));
        self.turn += 1;
        let mut field = String::new();
        for kept in going {
            let (name, value) = (&kept.cookie.name, &kept.cookie.value);
            let length = field.len() + "; ".len() + name.len() + "=".len() + value.len();
            if given + length > LONGEST_FIELD {
                break;
            }
            kept.used = self.turn;
            for part in [if field.is_empty() { "" } else { "; " }, name, "=", value] {
                field.push_str(part);
            }
        }
        (!field.is_empty()).then_some(field)
    }

    fn unix(&self, at: Instant) -> i64 {
        unix_at(self.clock.0, self.clock.1, at)
    }

    /// Whether a cookie that came in the clear would be taken for one that only TLS may set
    /// (RFC 6265bis §5.7, step 12).
    fn hides_secure(&self, new: &Cookie) -> bool {
        let kept = self.sites.get(scope::site(&new.domain));
        kept.into_iter().flatten().any(|Kept { cookie, .. }| {
            let is_near = scope::domain_matches(&new.domain, &cookie.domain)
                || scope::domain_matches(&cookie.domain, &new.domain);
            let is_below = scope::path_matches(&new.path, &cookie.path);
            cookie.is_secure && cookie.name == new.name && is_near && is_below
        })
    }

    /// Puts a cookie in the place of the one that it replaces (RFC 6265 §5.3, step 11), which is how
    /// one that has expired takes another away.
    fn insert(&mut self, cookie: Cookie, is_taken: bool, now: i64) {
        self.turn += 1;
        let site = scope::site(&cookie.domain).to_owned();
        let kept = self.sites.entry(site.clone()).or_default();
        let old = kept.iter().position(|kept| kept.cookie.is_same(&cookie));
        match old {
            Some(old) if cookie.has_expired(now) => {
                self.taken -= usize::from(kept.swap_remove(old).is_taken);
            }
            Some(old) => kept[old].cookie = cookie,
            None if cookie.has_expired(now) => {}
            None => {
                let (created, used) = (self.turn, self.turn);
                kept.push(Kept {
                    cookie,
                    created,
                    used,
                    is_taken,
                });
                self.taken += usize::from(is_taken);
                if is_taken {
                    self.make_room(&site, now);
                }
            }
        }
        if self.sites.get(&site).is_some_and(Vec::is_empty) {
            self.sites.remove(&site);
        }
    }

    /// Has what has expired and then what was not used for longest make way, where a site or all
    /// together have too many (RFC 6265 §5.3, at its end).
    fn make_room(&mut self, site: &str, now: i64) {
        let of_site = self.sites.get_mut(site);
        if let Some(kept) = of_site
            && kept.iter().filter(|kept| kept.is_taken).count() > MOST_OF_SITE
        {
            self.taken -= drop_expired(kept, now);
            if kept.iter().filter(|kept| kept.is_taken).count() > MOST_OF_SITE {
                self.taken -= drop_unused(kept);
            }
        }
        if self.taken <= MOST {
            return;
        }
        for kept in self.sites.values_mut() {
            self.taken -= drop_expired(kept, now);
        }
        if self.taken > MOST {
            let last_used = |kept: &Vec<Kept>| unused(kept).map(|at| kept[at].used);
            let sites = self.sites.values_mut();
            let oldest = sites.filter_map(|kept| Some((last_used(kept)?, kept)));
            if let Some((_, kept)) = oldest.min_by_key(|(used, _)| *used) {
                self.taken -= drop_unused(kept);
            }
        }
        self.sites.retain(|_, kept| !kept.is_empty());
    }
}

/// The time in seconds since 1970, where one moment is known by both clocks.
fn unix_at(moment: Instant, unix: i64, at: Instant) -> i64 {
    let passed = at.saturating_duration_since(moment).as_secs();
    unix.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
}

/// Drops what was taken and has expired, and says how many.
fn drop_expired(kept: &mut Vec<Kept>, now: i64) -> usize {
    let before = kept.len();
    kept.retain(|kept| !kept.is_taken || !kept.cookie.has_expired(now));
    before - kept.len()
}

/// Where that one stands of those taken which was not used for longest.
fn unused(kept: &[Kept]) -> Option<usize> {
    let taken = kept.iter().enumerate().filter(|(_, kept)| kept.is_taken);
    taken.min_by_key(|(_, kept)| kept.used).map(|(at, _)| at)
}

/// Drops it, and says how many that are.
fn drop_unused(kept: &mut Vec<Kept>) -> usize {
    let at = unused(kept);
    at.map_or(0, |at| {
        kept.swap_remove(at);
        1
    })
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
        // A new value does not change its place.
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
        assert!(test.jar.sites.is_empty() && test.jar.taken == 0);
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
        assert_eq!(test.jar.taken, MOST_OF_SITE);
        assert_eq!(test.jar.sites["example.com"].len(), MOST_OF_SITE + 1);
        assert_eq!(
            test.sent("http://a.example.com/n").split("; ").count(),
            MOST_OF_SITE
        );
    }

    #[test]
    fn there_are_3000_at_most_and_those_of_the_file_beside_them() {
        let line = |at: usize| format!("f{at}.test\tFALSE\t/\tFALSE\t0\tfile\t1\n");
        let mut test = Test::new(&(0..100).map(line).collect::<String>());
        for at in 0..1600 {
            test.take(&format!("http://h{at}.test/"), &["a=1", "b=1; Max-Age=100"]);
        }
        assert_eq!(test.jar.taken, MOST);
        let count: usize = test.jar.sites.values().map(Vec::len).sum();
        assert_eq!(count, MOST + 100);
        assert_eq!(test.sent("http://h0.test/"), "");
        assert_eq!(test.sent("http://h1599.test/"), "a=1; b=1");
        assert_eq!(test.sent("http://f0.test/"), "file=1");
        test.now += Duration::from_secs(100);
        test.take("http://new.test/", &["a=1"]);
        assert_eq!(test.jar.taken, MOST / 2 + 1);
    }

    #[test]
    fn one_answer_brings_50_at_most() {
        let mut test = Test::new("");
        let fields: Vec<_> = (0..100).map(|at| format!("n{at}=1")).collect();
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        test.take("http://h.example/", &fields);
        assert_eq!(test.jar.taken, MOST_IN_ANSWER);
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
