//! [`Response`]: the head of a response, and the parsed values of fields that several layers need.

use std::time::{Duration, SystemTime};

use super::grammar::{decimal, trim};
use super::header::text;
use super::{ContentRange, Headers, Version, date};
use crate::error::{Malformed, RetryAfter};

/// The longest delay a server can ask for: about 136 years, which can be added to the current time without overflow.
const LONGEST_DELAY: Duration = Duration::from_secs(u32::MAX as u64);

/// The head of a response: status and fields. It is reused for the next response and keeps its allocation.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The HTTP version of the response.
    pub version: Version,
    /// The status code, 100 to 999; 0 before the first response.
    pub status: u16,
    /// The fields, as received.
    pub headers: Headers,
}

impl Response {
    /// Resets the head and keeps the allocation.
    pub fn clear(&mut self) {
        self.version = Version::default();
        self.status = 0;
        self.headers.clear();
    }

    /// Content-Length: that of the body, or of the body of a GET (HEAD, 304). `None` if it is missing, invalid, or
    /// overridden by Transfer-Encoding (RFC 9112 §6.3).
    pub fn content_length(&self) -> Option<u64> {
        match self.headers.get("transfer-encoding") {
            Some(_) => None,
            None => content_length(&self.headers).ok().flatten(),
        }
    }

    /// Whether the body ends only when the connection closes (RFC 9112 §6.3).
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.version < Version::Http2
            && self.headers.get("content-length").is_none()
            && self.headers.get("transfer-encoding").is_none()
    }

    /// Content-Type with its parameters; `None` if it is missing or no text (RFC 9110 §8.3).
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get("content-type").and_then(text)
    }

    /// ETag with its quotes and its `W/`, as it is sent back in If-Range or If-None-Match (RFC 9110 §8.8.3). One
    /// without quotes is none: it cannot be sent back, and would keep a date from counting.
    pub fn etag(&self) -> Option<&str> {
        let etag = self.headers.get("etag").and_then(text)?;
        let opaque = etag.strip_prefix("W/").unwrap_or(etag);
        let is_quoted = opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"');
        is_quoted.then_some(etag)
    }

    /// Last-Modified, if it is a valid date (RFC 9110 §8.8.2).
    pub fn last_modified(&self) -> Option<SystemTime> {
        self.date("last-modified")
    }

    /// Date, if it is valid: when the server created the response (RFC 9110 §6.6.1).
    pub(crate) fn sent_at(&self) -> Option<SystemTime> {
        self.date("date")
    }

    /// Location; [`redirect::target`](super::redirect::target) resolves it (RFC 9110 §10.2.2).
    pub fn location(&self) -> Option<&[u8]> {
        self.headers.get("location")
    }

    /// Retry-After (RFC 9110 §10.2.3): seconds or a date. With a Date field, a date becomes a delay relative to the
    /// server's clock, so an error of the local clock does not matter. A past date is a delay of zero; the longest
    /// delay is 136 years.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        let value = trim(self.headers.get("retry-after")?);
        if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
            let seconds = decimal(value).unwrap_or(u64::MAX);
            let delay = Duration::from_secs(seconds).min(LONGEST_DELAY);
            return Some(RetryAfter::Delay(delay));
        }
        let then = self.date("retry-after")?;
        Some(match self.sent_at() {
            Some(now) => {
                let delay = then.duration_since(now).unwrap_or_default();
                RetryAfter::Delay(delay.min(LONGEST_DELAY))
            }
            None => RetryAfter::Date(then),
        })
    }

    /// Content-Range of a 206, if there is exactly one and it is valid.
    pub fn content_range(&self) -> Option<ContentRange> {
        self.only("content-range").and_then(ContentRange::parse)
    }

    /// Content-Range of a 416: the size of the file, if there is exactly one such field and it is valid.
    pub fn unsatisfied_range(&self) -> Option<u64> {
        self.only("content-range")
            .and_then(ContentRange::parse_unsatisfied)
    }

    /// The trimmed value of a field; `None` unless the field occurs exactly once.
    fn only(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.headers.get_all(name);
        let value = values.next()?;
        values.next().is_none().then_some(trim(value))
    }

    /// A field's date (RFC 9110 §5.6.7).
    fn date(&self, name: &str) -> Option<SystemTime> {
        let value = text(self.headers.get(name)?)?;
        date::parse(value)
    }
}

/// Content-Length (RFC 9112 §6.3). Repeated equal values, on several lines or in a list, count as one.
///
/// # Errors
///
/// [`Malformed::ContentLength`] if a value is not a number that fits, or if values differ.
pub(crate) fn content_length(headers: &Headers) -> Result<Option<u64>, Malformed> {
    let mut length = None;
    for line in headers.get_all("content-length") {
        // Nearly every response has one number. Only other values need to be split.
        if length.is_none()
            && let Some(number) = decimal(line)
        {
            length = Some(number);
            continue;
        }
        for value in line.split(|&byte| byte == b',') {
            let number = decimal(trim(value)).ok_or(Malformed::ContentLength)?;
            if *length.get_or_insert(number) != number {
                return Err(Malformed::ContentLength);
            }
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(fields: &[(&str, &str)]) -> Response {
        let mut response = Response::default();
        for (name, value) in fields {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        response
    }

    #[test]
    fn lengths_that_agree_are_one_length() {
        for fields in [
            &[("Content-Length", "5")][..],
            &[("content-length", " 5\t")],
            &[("Content-Length", "005")],
            &[("Content-Length", "5, 5")],
            &[("Content-Length", "5"), ("Content-Length", "5,05")],
        ] {
            let response = response(fields);
            assert_eq!(content_length(&response.headers), Ok(Some(5)), "{fields:?}");
            assert_eq!(response.content_length(), Some(5));
        }
        assert_eq!(content_length(&Headers::new()), Ok(None));
    }

    #[test]
    fn lengths_that_are_no_number_or_differ_are_refused() {
        for value in [
            "",
            " ",
            "+5",
            "-5",
            "5 6",
            "5,6",
            "5,",
            ",5",
            "five",
            "0x5",
            "5.0",
            "5;",
            "18446744073709551616",
            "5\u{b}",
        ] {
            let response = response(&[("Content-Length", value)]);
            assert_eq!(
                content_length(&response.headers),
                Err(Malformed::ContentLength),
                "{value:?}"
            );
            assert_eq!(response.content_length(), None);
        }
        let response = response(&[("Content-Length", "5"), ("Content-Length", "6")]);
        assert_eq!(
            content_length(&response.headers),
            Err(Malformed::ContentLength)
        );
    }

    #[test]
    fn a_length_beside_a_transfer_coding_does_not_count() {
        let response = response(&[("Content-Length", "5"), ("Transfer-Encoding", "chunked")]);
        assert_eq!(response.content_length(), None);
    }

    #[test]
    fn text_fields_are_text_or_nothing() {
        let mut given = response(&[
            ("ETag", " W/\"x\" "),
            ("Content-Type", "text/html; charset=x"),
            ("Location", "/a"),
        ]);
        assert_eq!(given.etag(), Some("W/\"x\""));
        assert_eq!(given.content_type(), Some("text/html; charset=x"));
        assert_eq!(given.location(), Some(&b"/a"[..]));
        given.headers.clear();
        given.headers.push(b"ETag", b"\"\xe9\"");
        assert_eq!(given.etag(), None);
        assert_eq!(response(&[("ETag", "\"a\u{1}\"")]).etag(), None);
        for unquoted in ["", "x", "\"", "\"x", "W/x", "W/"] {
            assert_eq!(response(&[("ETag", unquoted)]).etag(), None, "{unquoted}");
        }
    }

    #[test]
    fn last_modified_is_a_date_in_any_of_three_forms() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(
                response(&[("Last-Modified", date)]).last_modified(),
                Some(expected),
                "{date}"
            );
        }
        assert_eq!(
            response(&[("Last-Modified", "yesterday")]).last_modified(),
            None
        );
        assert_eq!(response(&[]).last_modified(), None);
    }

    #[test]
    fn retry_after_in_seconds_is_a_delay() {
        let seconds = |value| response(&[("Retry-After", value)]).retry_after();
        assert_eq!(
            seconds("120"),
            Some(RetryAfter::Delay(Duration::from_secs(120)))
        );
        assert_eq!(seconds(" 0 "), Some(RetryAfter::Delay(Duration::ZERO)));
        assert_eq!(
            seconds("99999999999999999999999"),
            Some(RetryAfter::Delay(LONGEST_DELAY))
        );
        for bad in ["", "-1", "1.5", "soon"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn retry_after_as_a_date_is_measured_by_the_servers_own_clock() {
        let at = ("Retry-After", "Sun, 06 Nov 1994 08:50:00 GMT");
        let delay = response(&[at, ("Date", "Sun, 06 Nov 1994 08:49:37 GMT")]).retry_after();
        assert_eq!(delay, Some(RetryAfter::Delay(Duration::from_secs(23))));
        let past = response(&[at, ("Date", "Mon, 07 Nov 1994 08:49:37 GMT")]).retry_after();
        assert_eq!(past, Some(RetryAfter::Delay(Duration::ZERO)));
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_800);
        assert_eq!(response(&[at]).retry_after(), Some(RetryAfter::Date(date)));
        assert_eq!(
            response(&[at, ("Date", "?")]).retry_after(),
            Some(RetryAfter::Date(date))
        );
    }

    #[test]
    fn two_content_ranges_are_none() {
        let range = ("Content-Range", "bytes 0-1/2");
        assert!(response(&[range]).content_range().is_some());
        assert!(response(&[range, range]).content_range().is_none());
        let unsatisfied = ("Content-Range", "bytes */2");
        assert_eq!(response(&[unsatisfied]).unsatisfied_range(), Some(2));
        assert_eq!(response(&[unsatisfied, range]).unsatisfied_range(), None);
    }

    #[test]
    fn a_cleared_response_is_as_new() {
        let mut response = response(&[("a", "b")]);
        response.status = 200;
        response.version = Version::Http10;
        response.clear();
        assert_eq!((response.status, response.version), (0, Version::Http11));
        assert!(response.headers.is_empty());
    }
}
