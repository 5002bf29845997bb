//! What transfers do, for logs: what libcurl's debug function is told.

use crate::http::is_secret;

/// How much of what transfers do is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// Starts and redirects.
    Steps,
    /// These, further steps as text, and all heads.
    All,
}

/// One thing that a transfer did. Credentials are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trace {
    /// It was dispatched: its clocks run.
    Started,
    /// It follows a redirect.
    Redirected {
        /// The status of the response.
        status: u16,
        /// The URL that responded.
        from: String,
        /// The URL that is requested next.
        to: String,
    },
    /// A step as text: connecting, reusing a connection.
    Info(String),
    /// A line of a request's head.
    Sent(String),
    /// A line of a response's head.
    Received(String),
}

/// A header line as text; the value is masked if it is a credential.
pub(super) fn masked(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    match text.split_once(':') {
        Some((name, _)) if is_secret(name) => format!("{name}: ***"),
        _ => without_userinfo(&text),
    }
}

/// A line in which the user information of every URL is masked.
fn without_userinfo(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, url)) = rest.split_once("//") {
        let end = url.find(|c: char| "/?#<>\"' ".contains(c));
        let (authority, behind) = url.split_at(end.unwrap_or(url.len()));
        let host = authority
            .rfind('@')
            .map_or(authority, |at| &authority[at..]);
        let mask = if host.len() < authority.len() {
            "***"
        } else {
            ""
        };
        shown.extend([before, "//", mask, host]);
        rest = behind;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_masked() {
        for (line, shown) in [
            ("authorization: Bearer x", "authorization: ***"),
            ("X-Api-Key: x", "X-Api-Key: ***"),
            ("PRIVATE-TOKEN: x", "PRIVATE-TOKEN: ***"),
            ("set-cookie: a=b", "set-cookie: ***"),
            (
                "WWW-Authenticate: Basic realm=a",
                "WWW-Authenticate: Basic realm=a",
            ),
            ("Location: //u:p@h/a//b@c", "Location: //***@h/a//***@c"),
            (
                "Link: <http://u@h/>; rel=x, <http://i/>",
                "Link: <http://***@h/>; rel=x, <http://i/>",
            ),
            ("GET /a HTTP/1.1", "GET /a HTTP/1.1"),
            ("Referer: https://u:p@q@h?x", "Referer: https://***@h?x"),
        ] {
            assert_eq!(masked(line.as_bytes()), shown);
        }
    }
}
