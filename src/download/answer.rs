//! What a further response may say about a file that an earlier one began: which statuses may concern the range alone,
//! and which full responses are not the file. Whole files, divided ones and later runs all ask here. Pure.

/// What an error status to a range request leaves open: the full file may still be available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The server may refuse ranges. Some servers, firewalls and scripts know neither Range nor If-Range, treat If-Range
    /// as a precondition, refuse the length of their own entity tag, or find no file for such a request.
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

#[cfg(test)]
mod tests {
    use super::*;

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
