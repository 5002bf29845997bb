//! What a further response may say about a file that an earlier one began: which statuses may concern the range alone,
//! and which full responses are not the file. Whole files, divided ones and later runs all ask here. Pure.

use super::Validators;
use crate::error::Fault;
use crate::http::Response;

/// What an error status to a range request leaves open: the full file may still be available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The server may refuse ranges. Some servers, firewalls and scripts know neither Range nor If-Range, treat
    /// If-Range as a precondition, refuse the length of their own entity tag, or find no file for such a request.
    Range,
    /// The server is in trouble, or its script fails on ranges: worth one request once the retries are used up.
    Trouble,
}

impl Refusal {
    /// What this status leaves open; `None` for a status that a request without a range would get too.
    pub fn of(status: u16) -> Option<Self> {
        match status {
            // A login, a payment, the time or the number of requests, another server, the law.
            401 | 402 | 407 | 408 | 421 | 425 | 429 | 451 => None,
            // No content, in place of a range.
            204 | 205 | 400..=499 | 501 => Some(Self::Range),
            202 | 500..=599 => Some(Self::Trouble),
            _ => None,
        }
    }
}

/// The fault of a successful response that has no file: 202, which a server sends while it prepares one or suspects a
/// robot, 204 and 205 (RFC 9110 §15.3).
pub(super) fn without_file(response: &Response) -> Option<Fault> {
    let status = response.status;
    matches!(status, 202 | 204 | 205).then(|| Fault::Status {
        status,
        retry_after: response.retry_after(),
        size: None,
    })
}

/// A web page of fewer bytes than this is suspected of standing in for a file.
const PAGE: u64 = 64 * 1024;

/// What an earlier response has said of a file that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// The size of the file in bytes; `u64::MAX` if the response did not state it.
    pub size: u64,
    /// The file is a web page itself.
    pub is_page: bool,
}

impl Promise {
    /// Whether a full response is a small web page in place of the file: a login, a challenge or an error. A strong
    /// validator shows that the page is the file of now.
    pub fn is_broken_by(&self, response: &Response) -> bool {
        !self.is_page
            && is_page(response)
            && Validators::of(response).strong().is_none()
            && response
                .content_length()
                .is_none_or(|length| length < self.size.min(PAGE))
    }
}

/// Whether the media type of a response is that of a web page.
pub(super) fn is_page(response: &Response) -> bool {
    let media_type = response.headers.get("content-type");
    let essence = media_type.and_then(|whole| whole.split(|&byte| byte == b';').next());
    essence.is_some_and(|essence| {
        let essence = essence.trim_ascii();
        [&b"text/html"[..], b"application/xhtml+xml"]
            .iter()
            .any(|page| essence.eq_ignore_ascii_case(page))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_broken(fields: &[(&str, &str)], promise: Promise) -> bool {
        let mut response = Response::default();
        for (name, value) in fields {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        promise.is_broken_by(&response)
    }

    #[test]
    fn a_small_page_without_a_strong_validator_breaks_the_promise_of_a_larger_file() {
        let promise = Promise {
            size: 5000,
            is_page: false,
        };
        let page = ("Content-Type", "Text/HTML; charset=utf-8");
        let length = ("Content-Length", "4999");
        assert!(is_broken(&[page, length], promise));
        assert!(is_broken(&[page, length, ("ETag", "W/\"v\"")], promise));
        assert!(is_broken(
            &[page, ("Transfer-Encoding", "chunked")],
            promise
        ));
        assert!(!is_broken(&[page, ("Content-Length", "5000")], promise));
        assert!(!is_broken(&[page, length, ("ETag", "\"v\"")], promise));
        assert!(!is_broken(
            &[("Content-Type", "text/plain"), length],
            promise
        ));
        assert!(!is_broken(&[length], promise));
        let of_page = Promise {
            is_page: true,
            ..promise
        };
        assert!(!is_broken(&[page, length], of_page));
        let large = Promise {
            size: 1 << 20,
            ..promise
        };
        assert!(!is_broken(&[page, ("Content-Length", "65536")], large));
        let of_unknown_size = Promise {
            size: u64::MAX,
            ..promise
        };
        assert!(is_broken(&[page, length], of_unknown_size));
    }

    #[test]
    fn a_status_that_any_request_would_get_leaves_nothing_open() {
        for status in [401, 407, 429, 408, 451, 304, 200] {
            assert_eq!(Refusal::of(status), None, "{status}");
        }
        for status in [400, 403, 404, 405, 410, 412, 431, 501] {
            assert_eq!(Refusal::of(status), Some(Refusal::Range), "{status}");
        }
        for status in [500, 502, 503, 504, 520] {
            assert_eq!(Refusal::of(status), Some(Refusal::Trouble), "{status}");
        }
    }
}
