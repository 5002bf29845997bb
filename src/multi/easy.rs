//! What to do: one request, where its body goes, and the limits it keeps. Plain data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::http::auth::masked;
use crate::http::{Credentials, Field, Method};

/// How many times the stall timeout a transfer may be without a byte while its origin sends bytes to others.
pub const PATIENCE: u32 = 4;

/// One transfer to be made: libcurl's easy handle, as plain data.
///
/// ```
/// use gannet::multi::Easy;
/// let easy = Easy::new("https://example.org/file".parse()?, Vec::<u8>::new());
/// assert_eq!(easy.max_redirects, 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Easy<S> {
    /// What to fetch. The fragment is not sent; user information is used as Basic credentials.
    pub url: Url,
    /// GET, or HEAD for the head alone.
    pub method: Method,
    /// Where the body goes.
    pub sink: S,
    /// Header lines for every request of a run, shared. They win over the defaults of the same name.
    pub headers: Arc<[Field]>,
    /// Further header lines, of this transfer alone. They win over `headers`.
    pub own_headers: Vec<Field>,
    /// For Basic authentication (RFC 7617). Sent to the first URL's origin alone.
    pub credentials: Option<Arc<Credentials>>,
    /// Redirects followed at most.
    pub max_redirects: u32,
    /// The largest body taken, in bytes.
    pub max_size: Option<u64>,
    /// Time before the transfer starts: how retries wait.
    pub delay: Option<Duration>,
    /// Longest time for lookup, connection and handshake together.
    pub connect_timeout: Option<Duration>,
    /// Longest time without a byte. While others have bytes from the same origin, a transfer that
    /// has none is starved rather than stalled: it is given up to [`PATIENCE`] times as long.
    pub stall_timeout: Option<Duration>,
    /// Bytes a second that are to come at least, on average over each span of this length, from the
    /// request on. Does not count while a rate limit or a pause holds the transfer back.
    pub min_speed: Option<(u64, Duration)>,
    /// Longest time for the whole transfer.
    pub timeout: Option<Duration>,
    /// Bytes a second received at most.
    pub max_recv_speed: Option<u64>,
    /// It belongs to a transfer that is under way: it is first in turn, and not one of those that
    /// [`Limits::transfers`](super::Limits::transfers) bounds. Over HTTP/2 it has a connection to
    /// itself, where one may be opened: beside the other on one connection it would bring nothing
    /// sooner.
    pub is_extra: bool,
    /// It only connects (libcurl: `CURLOPT_CONNECT_ONLY`), and stands by with its connection until
    /// [`Multi::replace`] gives it something to fetch.
    ///
    /// [`Multi::replace`]: super::Multi::replace
    pub is_connect_only: bool,
}

impl<S> Easy<S> {
    /// A GET of `url` into `sink`, with the defaults of the command line: 20 redirects, 10 s to
    /// connect, 30 s without a byte.
    pub fn new(url: Url, sink: S) -> Self {
        Self {
            url,
            method: Method::Get,
            sink,
            headers: Arc::from([]),
            own_headers: Vec::new(),
            credentials: None,
            max_redirects: 20,
            max_size: None,
            delay: None,
            connect_timeout: Some(Duration::from_secs(10)),
            stall_timeout: Some(Duration::from_secs(30)),
            min_speed: None,
            timeout: None,
            max_recv_speed: None,
            is_extra: false,
            is_connect_only: false,
        }
    }
}

/// What it fetches and where that goes, without a secret: user information is masked, headers are left out.
impl<S: fmt::Debug> fmt::Debug for Easy<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Easy")
            .field("url", &masked(&self.url))
            .field("method", &self.method)
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let url = "https://me:secret@host.example/file".parse().unwrap();
        let shown = format!("{:?}", Easy::new(url, ()));
        assert!(shown.contains("***@host.example/file"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
