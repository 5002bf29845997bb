//! What transfers do, reported as it happens, for logs: libcurl's debug function.

use std::fmt;

use super::info::TransferId;
use crate::http::{Response, is_secret};

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

pub(super) type TraceFunction = Box<dyn FnMut(TransferId, Trace)>;

/// The trace function, if one is set. Without it nothing is formatted.
#[derive(Default)]
pub(super) struct Tracer(Option<(Detail, TraceFunction)>);

impl Tracer {
    pub(super) fn set_function(&mut self, detail: Detail, function: TraceFunction) {
        self.0 = Some((detail, function));
    }

    /// Whether heads are reported.
    pub(super) fn has_heads(&self) -> bool {
        matches!(self.0, Some((Detail::All, _)))
    }

    fn all(&mut self) -> Option<&mut TraceFunction> {
        match &mut self.0 {
            Some((Detail::All, function)) => Some(function),
            _ => None,
        }
    }

    /// Reports a step, with any detail.
    pub(super) fn step(&mut self, id: TransferId, step: impl FnOnce() -> Trace) {
        if let Some((_, function)) = &mut self.0 {
            function(id, step());
        }
    }

    /// Reports a step as text, with full detail.
    pub(super) fn info(&mut self, id: TransferId, text: impl FnOnce() -> String) {
        if let Some(function) = self.all() {
            function(id, Trace::Info(text()));
        }
    }

    /// Reports the head of a request, as it is sent.
    pub(super) fn sent(&mut self, id: TransferId, head: &[u8]) {
        let Some(function) = self.all() else { return };
        for line in head.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                function(id, Trace::Sent(masked(line)));
            }
        }
    }

    /// Reports the head of a response.
    pub(super) fn received(&mut self, id: TransferId, response: &Response) {
        let Some(function) = self.all() else { return };
        function(
            id,
            Trace::Received(format!("{} {}", response.version, response.status)),
        );
        for (name, value) in response.headers.iter() {
            let line = [name, b": ", value].concat();
            function(id, Trace::Received(masked(&line)));
        }
    }
}

/// A header line as text; the value is masked if it is a credential.
fn masked(line: &[u8]) -> String {
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

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.0.as_ref().map(|(detail, _)| detail);
        f.debug_tuple("Tracer").field(&detail).finish()
    }
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
