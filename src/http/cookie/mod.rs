//! Cookies (RFC 6265): which are accepted, stored, and sent to which URL. No I/O and no clock: files come as bytes,
//! and time is an argument.
//!
//! ```text
//! cookie file ──► read_file ────┐
//!                               ├──► Cookie ──► Jar ──► the value of a Cookie field
//! Set-Cookie ──► SetCookie ─────┘
//! ```

mod file;
mod jar;
mod scope;
mod set_cookie;

use std::fmt;

pub use file::{BadLine, read_file};
pub use jar::Jar;
pub use set_cookie::SetCookie;

/// A cookie as stored (RFC 6265 §5.3). `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
    /// In the form of [`Origin::host`](super::Origin::host).
    domain: String,
    path: String,
    /// It is not sent to subdomains of its domain.
    is_host_only: bool,
    /// It is sent over TLS only.
    is_secure: bool,
    /// When it expires, in seconds since 1970; `None` for a session cookie, which lasts until the run ends.
    expires: Option<i64>,
}

impl Cookie {
    /// Whether this cookie replaces another (RFC 6265 §5.3, step 11).
    fn replaces(&self, other: &Self) -> bool {
        self.name == other.name
            && self.domain == other.domain
            && self.path == other.path
            && self.is_host_only == other.is_host_only
    }

    fn has_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// Whether its domain and path match a URL's host and path (RFC 6265 §5.4).
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

/// Whether a Cookie field can carry a name or a value unambiguously.
fn is_sendable(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| byte.is_ascii_control() || byte == b';')
}
