//! Cookie files (`http::cookie`): each line is a cookie, a bad line or nothing; what is read can be
//! sent, each on one line, to a host that the file names.

use std::time::{Instant, UNIX_EPOCH};

use gannet::http::{Jar, read_cookies};
use url::Url;

use super::cookies::assert_sendable;

/// Takes a file.
pub fn run(bytes: &[u8]) {
    let (cookies, bad) = read_cookies(bytes);
    let lines = bytes.split(|&byte| byte == b'\n').count();
    assert!(cookies.len() + bad.len() <= lines);
    let mut last = 0;
    for bad in bad {
        assert!(last < bad.line && bad.line <= lines, "{bad:?}");
        assert!(bad.to_string().len() < 100, "{bad}");
        last = bad.line;
    }
    assert!(format!("{cookies:?}").len() <= 2 + 13 * cookies.len());
    let has_cookies = !cookies.is_empty();
    let now = Instant::now();
    let mut jar = Jar::new(cookies, now, UNIX_EPOCH);
    for url in [
        "https://www.example.org/a/b",
        "http://localhost/",
        "http://[::1]/",
    ] {
        let url = Url::parse(url).expect("a URL");
        if let Some(field) = jar.field(&url, 0, now) {
            assert!(has_cookies);
            assert_sendable(&field);
        }
    }
}
