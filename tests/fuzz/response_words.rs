//! The fields of an answer that decide something (`http::Response`): numbers, ranges, dates and
//! validators are read within their bounds or not at all.

use std::time::{Duration, SystemTime};

use gannet::error::RetryAfter;
use gannet::http::{ContentRange, Field, Response};

/// Longer delays than this, 136 years, could overflow a clock.
const LONGEST_DELAY: Duration = Duration::from_secs(u32::MAX as u64);

/// Takes lines of `Name: value`, the values as any bytes but a line end.
pub fn run(bytes: &[u8]) {
    let mut response = Response {
        status: 206,
        ..Response::default()
    };
    for line in bytes.split(|&byte| byte == b'\n') {
        assert_range(ContentRange::parse(line));
        let mut parts = line.splitn(2, |&byte| byte == b':');
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            response.headers.push(name, value);
        }
    }
    assert_range(response.content_range());
    assert_length(&response);
    assert_delay(&response);
    assert_validators(&response);
    if response.content_range().is_some() {
        assert_eq!(response.unsatisfied_range(), None);
    }
    let shown = format!("{response:?}");
    assert!(!shown.contains(char::is_control), "{shown:?}");
}

fn assert_range(range: Option<ContentRange>) {
    let Some(range) = range else { return };
    assert!(range.first <= range.last);
    assert!((range.last - range.first).checked_add(1).is_some());
    assert!(range.total.is_none_or(|total| range.last < total));
    let total = range
        .total
        .map_or("*".to_owned(), |total| total.to_string());
    let written = format!("bytes {}-{}/{total}", range.first, range.last);
    assert_eq!(ContentRange::parse(written.as_bytes()), Some(range));
    assert_eq!(ContentRange::parse_unsatisfied(written.as_bytes()), None);
}

/// A length counts only where every value given is that length.
fn assert_length(response: &Response) {
    let Some(length) = response.content_length() else {
        return;
    };
    assert!(response.headers.get("transfer-encoding").is_none());
    for value in response.headers.get_all("Content-Length") {
        let text = str::from_utf8(value).expect("digits");
        for number in text.split(',') {
            let digits = number.trim_matches([' ', '\t']);
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(digits.parse(), Ok(length));
        }
    }
}

/// A delay can be added to any clock; it does not depend on ours.
fn assert_delay(response: &Response) {
    let asked = response.retry_after();
    // Formatting fails, or panics, where a date cannot be written.
    assert!(asked.is_none_or(|asked| !asked.to_string().is_empty()));
    match asked {
        Some(RetryAfter::Delay(delay)) => {
            assert!(delay <= LONGEST_DELAY);
            assert!(SystemTime::now().checked_add(delay).is_some());
        }
        Some(RetryAfter::Date(then)) => assert!(then >= SystemTime::UNIX_EPOCH),
        None => {}
    }
    if let Some(then) = response.last_modified() {
        assert!(then >= SystemTime::UNIX_EPOCH);
    }
}

/// Validators are fit to be sent back.
fn assert_validators(response: &Response) {
    if let Some(etag) = response.etag() {
        let field = Field::parse(&format!("If-None-Match: {etag}"));
        assert_eq!(field.as_ref().map(Field::value), Ok(Some(etag)));
    }
    if let Some(kind) = response.content_type() {
        assert!(!kind.contains(|c: char| c.is_ascii_control() && c != '\t'));
    }
    assert_eq!(
        response.location(),
        response.headers.get_all("LOCATION").next()
    );
}
