//! Set-Cookie (`http::cookie`): a cookie that is taken can be sent, goes to the host that set it or to its
//! neighbours, never beyond, and never out of its time.

use std::time::{Duration, Instant, UNIX_EPOCH};

use gannet::internals::http::cookie::{Jar, SetCookie};
use url::Url;

use super::cookies::assert_sendable;

/// Takes the URL of the answer, if it is an http URL, on the first line, and a field on each
/// line behind it.
pub fn run(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let url = str::from_utf8(first)
        .ok()
        .and_then(|text| Url::parse(text).ok());
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.unwrap_or_else(|| Url::parse("https://www.one.co.uk/a/b").expect("a URL"));
    let fields: Vec<_> = lines.collect();
    for field in &fields {
        if let Some(cookie) = SetCookie::parse(field).and_then(|field| field.cookie(&url, 0)) {
            assert_eq!(format!("{cookie:?}"), "Cookie(***)");
        }
    }
    let now = Instant::now();
    let start = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let mut jar = Jar::new(Vec::new(), now, start);
    jar.take(&url, fields.into_iter(), now);
    let mut sent = |url: &Url| {
        jar.field(url, 0, now)
            .inspect(|field| assert_sendable(field))
    };
    sent(&url);
    let foreign = [
        "https://two.co.uk/a/b",
        "https://co.uk/a/b",
        "https://127.0.0.2/a/b",
    ];
    for other in foreign.map(|other| Url::parse(other).expect("a URL")) {
        if other.host() != url.host()
            && !url
                .host_str()
                .is_some_and(|host| host.ends_with("two.co.uk"))
        {
            assert_eq!(sent(&other), None, "{url} {other}");
        }
    }
}
