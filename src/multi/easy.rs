//! What a transfer does: one request, where its body goes, and its limits. Plain data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::events::EventMask;
use crate::http::auth::masked;
use crate::http::{Credentials, Field, Method};

/// While other transfers of its origin receive bytes, a transfer may be without a byte for this multiple of its stall
/// timeout.
pub const PATIENCE: u32 = 4;

/// One transfer: libcurl's easy handle, as plain data.
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
    /// GET, or HEAD for the head only.
    pub method: Method,
    /// Where the body goes.
    pub sink: S,
    /// Header lines of every request of a run, shared. They replace defaults of the same name.
    pub headers: Arc<[Field]>,
    /// Header lines of this transfer only. They replace those of `headers` with the same name.
    pub own_headers: Vec<Field>,
    /// For Basic authentication (RFC 7617). Only the origin of the first URL receives them.
    pub credentials: Option<Arc<Credentials>>,
    /// The maximum number of redirects to follow.
    pub max_redirects: u32,
    /// The maximum size of the body, in bytes.
    pub max_size: Option<u64>,
    /// The delay before the transfer starts; retries use it.
    pub delay: Option<Duration>,
    /// The time limit for lookup, connection and handshake together.
    pub connect_timeout: Option<Duration>,
    /// The time limit without a byte. While other transfers of the origin receive bytes, a transfer without any is
    /// starved, not stalled: its limit is up to [`PATIENCE`] times as long.
    pub stall_timeout: Option<Duration>,
    /// The minimum speed in bytes per second, as an average over each span of this length after the request. The time
    /// of a pause or of waiting for a rate limit does not count.
    pub min_speed: Option<(u64, Duration)>,
    /// The time limit for the whole transfer.
    pub timeout: Option<Duration>,
    /// The maximum speed in bytes per second.
    pub max_recv_speed: Option<u64>,
    /// It belongs to another transfer of the same file: it comes first in the queue, and
    /// [`Limits::transfers`](super::Limits::transfers) does not count it. Over HTTP/2 it gets a separate connection if
    /// one may be opened, since a second stream on the same connection would not be faster.
    pub is_extra: bool,
    /// It only connects (libcurl: `CURLOPT_CONNECT_ONLY`), and keeps its connection until [`Multi::replace`] gives it
    /// something to fetch.
    ///
    /// [`Multi::replace`]: super::Multi::replace
    pub is_connect_only: bool,
    /// Which events of it the application reads, with [`Multi::event_read`](super::Multi::event_read).
    pub events: EventMask,
}

impl<S> Easy<S> {
    /// A GET of `url` into `sink`, with the defaults of the command line: 20 redirects, 10 s to connect, 30 s without a
    /// byte.
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
            events: EventMask::default(),
        }
    }
}

/// Shows the URL, the method and the sink. User information is masked, and headers are omitted, so it has no secrets.
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
