//! Formats completion lines for people: done, kept, fail.

use std::fmt::Write as _;

use gannet::error::Error;
use gannet::http::masked;
use gannet::multi::Outcome;
use gannet::session::{Completion, Landing};

use super::advice::WithAdvice;
use super::format::{Safe, Size, Span, Speed};

/// `  200  12.3 MiB  1.24 s  9.9 MiB/s  URL -> PATH`
pub(super) fn done_line(text: &mut String, completion: &Completion<'_>, outcome: &Outcome) {
    let (bytes, elapsed) = (completion.bytes, completion.elapsed);
    let _ = write!(
        text,
        "  {}  {}  {}  {}  ",
        outcome.status,
        Size(completion.decoded.unwrap_or(bytes)),
        Span(elapsed),
        Speed(bytes, elapsed)
    );
    destination(text, completion);
}

/// `  URL -> PATH`
pub(super) fn kept_line(text: &mut String, completion: &Completion<'_>) {
    text.push_str("  ");
    destination(text, completion);
}

/// `URL -> PATH`, and whether the file was renamed.
fn destination(text: &mut String, completion: &Completion<'_>) {
    let url = masked(completion.url);
    let _ = match completion.landing {
        Landing::File(folder, name) => {
            let path = folder.join(name);
            write!(text, "{} -> {}", Safe(url), Safe(path.display()))
        }
        Landing::Stdout => write!(text, "{} -> standard output", Safe(url)),
        Landing::Nowhere => write!(text, "{}", Safe(url)),
    };
    text.push_str(if completion.is_renamed {
        " (renamed: the name was taken)\n"
    } else {
        "\n"
    });
}

/// `  404  URL: not found (1 try) [list.txt:3] [192.0.2.1:80]`; after a redirect also the URL that failed.
pub(super) fn fail_line(text: &mut String, completion: &Completion<'_>, error: &Error) {
    let _ = write!(
        text,
        "  {}  {}: {}",
        StatusColumn(error.status()),
        Safe(masked(completion.url)),
        Safe(WithAdvice(error))
    );
    if let Some(url) = error.redirected() {
        let _ = write!(text, " at {}", Safe(masked(url)));
    }
    if let Some(after) = error.retry_after() {
        let _ = write!(text, "; the server asks to wait {after}");
    }
    let _ = match completion.tries {
        0 => Ok(()),
        1 => write!(text, " (1 try)"),
        tries => write!(text, " ({tries} tries)"),
    };
    if completion.location.is_listed() {
        let _ = write!(text, " [{}]", Safe(completion.location));
    }
    let _ = match (error.address(), error.proxy()) {
        (Some(address), Some(proxy)) => write!(text, " [{address}, the proxy {}]", Safe(proxy)),
        (Some(address), None) => write!(text, " [{address}]"),
        (None, Some(proxy)) => write!(text, " [by the proxy {}]", Safe(proxy)),
        (None, None) => Ok(()),
    };
    text.push('\n');
}

/// A status, or `-` if there is none.
pub(super) struct StatusColumn(pub(super) Option<u16>);

impl std::fmt::Display for StatusColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(status) => write!(f, "{status}"),
            None => f.write_str("-"),
        }
    }
}
