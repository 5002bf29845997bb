//! What a transfer does, told as it happens to whoever watches: libcurl's debug function.

use std::fmt;

use super::info::TransferId;
use crate::http::Response;

/// One thing that a transfer did. Credentials are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trace {
    /// A step: connecting, reusing, redirected.
    Info(String),
    /// A line of a request's head.
    Sent(String),
    /// A line of an answer's head.
    Received(String),
}

pub(super) type TraceFunction = Box<dyn FnMut(TransferId, Trace)>;

/// Who watches, if anyone does. Nothing is formatted when nobody does.
#[derive(Default)]
pub(super) struct Tracer(Option<TraceFunction>);

impl Tracer {
    pub(super) fn set_function(&mut self, function: TraceFunction) {
        self.0 = Some(function);
    }

    /// Whether anyone watches.
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn info(&mut self, id: TransferId, text: impl FnOnce() -> String) {
        if let Some(function) = &mut self.0 {
            function(id, Trace::Info(text()));
        }
    }

    /// The head of a request, as it goes to the wire.
    pub(super) fn sent(&mut self, id: TransferId, head: &[u8]) {
        let Some(function) = &mut self.0 else { return };
        for line in head.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                function(id, Trace::Sent(masked(line)));
            }
        }
    }

    /// The head of an answer.
    pub(super) fn received(&mut self, id: TransferId, response: &Response) {
        let Some(function) = &mut self.0 else { return };
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

/// A header line as text, without the value where that is a credential.
fn masked(line: &[u8]) -> String {
    const SECRET: [&str; 5] = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "proxy-authenticate",
    ];
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    match std::str::from_utf8(name) {
        Ok(name) if name.eq_ignore_ascii_case("location") => without_userinfo(&text),
        Ok(name)
            if SECRET
                .iter()
                .any(|secret| name.eq_ignore_ascii_case(secret)) =>
        {
            format!("{name}: ***")
        }
        _ => text.into_owned(),
    }
}

/// A line that holds a URL, without what stands between its `//` and the `@` of its authority.
fn without_userinfo(line: &str) -> String {
    let Some((before, rest)) = line.split_once("//") else {
        return line.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{before}//***{}", &rest[at..]),
        None => line.to_owned(),
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.0.is_some()).finish()
    }
}
