//! Cookies (RFC 6265): which are taken, kept, and sent to whom. The clock is handed in, and files
//! are handed in as bytes; who makes requests with them is decided elsewhere.
//!
//! ```text
//! a cookie file ──► read_file ──┐
//!                               ├──► Cookie ──► Jar ──► the value of a Cookie field
//! Set-Cookie ──► SetCookie ─────┘
//! ```

mod date;
mod file;
mod jar;
mod scope;
mod set_cookie;

use std::fmt;

pub use file::{BadLine, read_file};
pub use jar::Jar;
pub use set_cookie::SetCookie;

/// A cookie as it is kept (RFC 6265 §5.3). `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
    /// As the host of an [`Origin`](super::Origin).
    domain: String,
    path: String,
    /// It goes to its domain itself, and to nothing below.
    is_host_only: bool,
    /// It goes over TLS alone.
    is_secure: bool,
    /// When it expires, in seconds since 1970; one without such a time lasts as long as the run.
    expires: Option<i64>,
}

impl Cookie {
    /// Whether this one takes the place of another.
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.domain == other.domain
            && self.path == other.path
            && self.is_host_only == other.is_host_only
    }

    fn has_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// Whether it is sent to a host and path (RFC 6265 §5.4), as far as these decide it.
    fn is_for(&self, host: &str, path: &str) -> bool {
        let is_of_host =
            self.domain == host || !self.is_host_only && scope::domain_matches(host, &self.domain);
        is_of_host && scope::path_matches(path, &self.path)
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(***)")
    }
}

/// Whether a name or a value can be sent in a Cookie field and be told from what stands beside it.
fn is_sendable(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| byte.is_ascii_control() || byte == b';')
}
