//! Where a response's body ends, and whether its connection may carry another request (RFC 9112 §6.3 and §9.3).

use super::head::Certainty;
use crate::error::Malformed;
use crate::http::grammar::elements;
use crate::http::{Headers, Method, Response, Version, content_length};

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// After this many bytes; 0 also if there is no body.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the end of the connection.
    UntilClose,
}

/// What the head of a final response says about the bytes that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) body: Body,
    /// Whether the connection stays open, and any reader finds the same end of the response.
    pub(super) is_persistent: bool,
}

impl Framing {
    /// The framing of a final response.
    pub(super) fn of(method: Method, response: &Response) -> Result<Self, Malformed> {
        // RFC 9112 §6.3, rule 1: these have no body, regardless of their fields.
        if matches!(response.status, 204 | 304) {
            return Ok(Self {
                body: Body::Length(0),
                is_persistent: is_persistent(response) && is_plainly_empty(response),
            });
        }
        let (coding, is_coding_plain) = transfer_coding(&response.headers)?;
        let length = match coding {
            Coding::Chunked => None,
            Coding::None => content_length(&response.headers)?,
        };
        // Rules 4, 6 and 8, in the RFC's order.
        let body = match (coding, length) {
            (Coding::Chunked, _) => Body::Chunked,
            (Coding::None, Some(length)) => Body::Length(length),
            (Coding::None, None) => Body::UntilClose,
        };
        // Rule 3 and §6.1: both framings at once, or chunked from HTTP/1.0, may be an attack on an intermediary.
        let is_clear = is_coding_plain
            && match body {
                Body::Length(_) => true,
                Body::Chunked => {
                    response.version > Version::Http10
                        && response.headers.get("content-length").is_none()
                }
                Body::UntilClose => method == Method::Head,
            };
        Ok(Self {
            body: match method {
                Method::Head => Body::Length(0),
                Method::Get => body,
            },
            is_persistent: is_clear && is_persistent(response),
        })
    }

    /// Closes the connection after this response if the head was repaired.
    pub(super) fn given(mut self, certainty: Certainty) -> Self {
        self.is_persistent &= certainty == Certainty::Sure;
        self
    }
}

/// Whether a head without a body, a 1xx, 204 or 304, announces none either. A 304 may have the length that a 200 would
/// have (RFC 9110 §8.6).
pub(super) fn is_plainly_empty(response: &Response) -> bool {
    let has_coding = response.headers.get("transfer-encoding").is_some();
    match content_length(&response.headers) {
        Ok(None | Some(0)) => !has_coding,
        Ok(Some(_)) => !has_coding && response.status == 304,
        Err(_) => false,
    }
}

/// The transfer coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    None,
    Chunked,
}

/// The transfer coding of all Transfer-Encoding lines (RFC 9112 §6.1), and whether they are well-formed. `identity`,
/// obsolete since RFC 7230, is skipped, and so are `none` and an empty list (RFC 9110 §5.6.1.2). A repeated `chunked`
/// counts once, on one line or several: a server and a proxy both added it, and the body is chunked once.
fn transfer_coding(headers: &Headers) -> Result<(Coding, bool), Malformed> {
    if headers.get("transfer-encoding").is_none() {
        return Ok((Coding::None, true));
    }
    let has_identity = elements(lines(headers)).any(is_identity);
    let mut codings = elements(lines(headers)).filter(|coding| !is_identity(coding));
    match (codings.next(), codings.next()) {
        (None, _) => Ok((Coding::None, false)),
        (Some(only), None) if is_chunked(only) => Ok((Coding::Chunked, !has_identity)),
        (Some(first), Some(second))
            if [first, second].into_iter().chain(codings).all(is_chunked) =>
        {
            Ok((Coding::Chunked, false))
        }
        _ => Err(Malformed::TransferEncoding),
    }
}

/// The values of all Transfer-Encoding lines.
fn lines(headers: &Headers) -> impl Iterator<Item = &[u8]> {
    headers.get_all("transfer-encoding")
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}

fn is_identity(coding: &[u8]) -> bool {
    [&b"identity"[..], b"none"]
        .iter()
        .any(|name| coding.eq_ignore_ascii_case(name))
}

/// Whether the connection stays open, by the Connection field and the version (RFC 9112 §9.3).
fn is_persistent(response: &Response) -> bool {
    let headers = &response.headers;
    let stays_open = response.version > Version::Http10 || has_option(headers, b"keep-alive");
    stays_open && !has_option(headers, b"close")
}

/// Whether the Connection field contains an option.
fn has_option(headers: &Headers, option: &[u8]) -> bool {
    let mut options = elements(headers.get_all("connection"));
    options.any(|given| given.eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(version: Version, status: u16, fields: &[(&str, &str)]) -> Response {
        let mut response = Response {
            version,
            status,
            headers: Headers::new(),
        };
        for (name, value) in fields {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        response
    }

    /// Body and persistence of a GET's response from HTTP/1.1.
    fn get(status: u16, fields: &[(&str, &str)]) -> Result<(Body, bool), Malformed> {
        let framing = Framing::of(Method::Get, &response(Version::Http11, status, fields))?;
        Ok((framing.body, framing.is_persistent))
    }

    fn get_from_http_1_0(fields: &[(&str, &str)]) -> (Body, bool) {
        let response = response(Version::Http10, 200, fields);
        let framing = Framing::of(Method::Get, &response).unwrap();
        (framing.body, framing.is_persistent)
    }

    const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");
    const FIVE: (&str, &str) = ("Content-Length", "5");

    #[test]
    fn a_length_bounds_the_body() {
        assert_eq!(get(200, &[FIVE]), Ok((Body::Length(5), true)));
        assert_eq!(get(205, &[FIVE]), Ok((Body::Length(5), true)));
        assert_eq!(
            get(999, &[("Content-Length", "5, 5"), FIVE]),
            Ok((Body::Length(5), true))
        );
        assert_eq!(
            get(200, &[FIVE, ("Content-Length", "6")]),
            Err(Malformed::ContentLength)
        );
        assert_eq!(
            get(200, &[("Content-Length", "")]),
            Err(Malformed::ContentLength)
        );
    }

    #[test]
    fn without_any_framing_the_body_ends_with_the_connection() {
        assert_eq!(get(200, &[]), Ok((Body::UntilClose, false)));
        assert_eq!(get(205, &[]), Ok((Body::UntilClose, false)));
        assert_eq!(
            get(200, &[("Connection", "keep-alive")]),
            Ok((Body::UntilClose, false))
        );
    }

    #[test]
    fn chunked_is_known_in_any_case_and_over_several_lines() {
        for fields in [
            &[CHUNKED][..],
            &[("transfer-encoding", " CHUNKED\t")],
            &[("Transfer-Encoding", ""), CHUNKED],
            &[("Transfer-Encoding", ", chunked ,")],
        ] {
            assert_eq!(get(200, fields), Ok((Body::Chunked, true)), "{fields:?}");
        }
    }

    #[test]
    fn identity_is_passed_over_but_leaves_a_doubt() {
        let identity = ("Transfer-Encoding", "identity");
        assert_eq!(get(200, &[identity, CHUNKED]), Ok((Body::Chunked, false)));
        assert_eq!(
            get(200, &[("Transfer-Encoding", "Identity"), FIVE]),
            Ok((Body::Length(5), false))
        );
        assert_eq!(get(200, &[identity]), Ok((Body::UntilClose, false)));
        assert_eq!(
            get(200, &[("Transfer-Encoding", "none"), FIVE]),
            Ok((Body::Length(5), false))
        );
    }

    #[test]
    fn no_coding_at_all_is_none_but_leaves_a_doubt() {
        for value in ["", ",", " , ,"] {
            let fields = [("Transfer-Encoding", value), FIVE];
            assert_eq!(get(200, &fields), Ok((Body::Length(5), false)), "{value:?}");
        }
    }

    #[test]
    fn any_other_transfer_coding_is_refused() {
        for value in [
            "gzip",
            "gzip, chunked",
            "chunked, gzip",
            "chunked, gzip, chunked",
            "chunked;q=1",
            "xchunked",
            "chunked\u{b}",
            "chunked identity",
            "\"chunked\"",
        ] {
            let fields = [("Transfer-Encoding", value), FIVE];
            assert_eq!(
                get(200, &fields),
                Err(Malformed::TransferEncoding),
                "{value:?}"
            );
        }
    }

    #[test]
    fn chunked_that_is_said_twice_is_done_once_and_leaves_a_doubt() {
        let in_a_list = ("Transfer-Encoding", "chunked, Chunked");
        for fields in [&[CHUNKED, CHUNKED][..], &[in_a_list], &[in_a_list, CHUNKED]] {
            assert_eq!(get(200, fields), Ok((Body::Chunked, false)), "{fields:?}");
        }
        let gzip = ("Transfer-Encoding", "gzip");
        for fields in [[CHUNKED, gzip, CHUNKED], [gzip, CHUNKED, CHUNKED]] {
            assert_eq!(get(200, &fields), Err(Malformed::TransferEncoding));
        }
    }

    #[test]
    fn a_length_beside_chunked_is_ignored_and_ends_the_connection() {
        assert_eq!(get(200, &[FIVE, CHUNKED]), Ok((Body::Chunked, false)));
        assert_eq!(
            get(200, &[CHUNKED, ("Content-Length", "x")]),
            Ok((Body::Chunked, false))
        );
    }

    #[test]
    fn http_1_0_is_decoded_alike_but_lasts_only_if_it_says_so() {
        let keep_alive = ("Connection", "Keep-Alive");
        assert_eq!(get_from_http_1_0(&[FIVE]), (Body::Length(5), false));
        assert_eq!(
            get_from_http_1_0(&[FIVE, keep_alive]),
            (Body::Length(5), true)
        );
        assert_eq!(
            get_from_http_1_0(&[CHUNKED, keep_alive]),
            (Body::Chunked, false)
        );
        assert_eq!(get_from_http_1_0(&[keep_alive]), (Body::UntilClose, false));
    }

    #[test]
    fn close_ends_the_connection_wherever_it_stands() {
        for value in ["close", "Close", "keep-alive, close", "x,CLOSE ,y"] {
            assert_eq!(
                get(200, &[FIVE, ("Connection", value)]),
                Ok((Body::Length(5), false)),
                "{value}"
            );
        }
        let twice = [FIVE, ("Connection", "keep-alive"), ("connection", "close")];
        assert_eq!(get(200, &twice), Ok((Body::Length(5), false)));
        assert_eq!(get_from_http_1_0(&twice), (Body::Length(5), false));
        assert_eq!(
            get(200, &[FIVE, ("Connection", "closed")]),
            Ok((Body::Length(5), true))
        );
    }

    #[test]
    fn no_content_and_not_modified_have_no_body_whatever_they_say() {
        for status in [204, 304] {
            assert_eq!(get(status, &[]), Ok((Body::Length(0), true)));
            assert_eq!(
                get(status, &[("Content-Length", "0")]),
                Ok((Body::Length(0), true))
            );
            assert_eq!(
                get(status, &[("Content-Length", "x")]),
                Ok((Body::Length(0), false))
            );
            assert_eq!(get(status, &[CHUNKED]), Ok((Body::Length(0), false)));
            assert_eq!(
                get(status, &[("Transfer-Encoding", "gzip")]),
                Ok((Body::Length(0), false))
            );
        }
        assert_eq!(get(304, &[FIVE]), Ok((Body::Length(0), true)));
        assert_eq!(get(204, &[FIVE]), Ok((Body::Length(0), false)));
    }

    #[test]
    fn an_answer_to_head_has_no_body_but_its_framing_must_be_valid() {
        let head = |fields: &[(&str, &str)]| {
            let framing = Framing::of(Method::Head, &response(Version::Http11, 200, fields))?;
            Ok((framing.body, framing.is_persistent))
        };
        for fields in [&[][..], &[FIVE], &[CHUNKED]] {
            assert_eq!(head(fields), Ok((Body::Length(0), true)), "{fields:?}");
        }
        assert_eq!(head(&[FIVE, CHUNKED]), Ok((Body::Length(0), false)));
        assert_eq!(
            head(&[("Content-Length", "x")]),
            Err(Malformed::ContentLength)
        );
    }

    #[test]
    fn a_doubtful_head_ends_the_connection() {
        let framing = Framing::of(Method::Get, &response(Version::Http11, 200, &[FIVE])).unwrap();
        assert!(framing.given(Certainty::Sure).is_persistent);
        assert!(!framing.given(Certainty::Doubtful).is_persistent);
    }
}
