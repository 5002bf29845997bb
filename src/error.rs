//! The errors of the library: [`Error`] for one transfer, grouped by the party at fault, and [`MultiError`] for a
//! call.
//!
//! An `Ok` from a call says nothing about single transfers: their results come only from the info queue.

#![warn(clippy::wildcard_enum_match_arm)]

pub(crate) mod class;
mod pem;
mod proxy;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use url::Url;

pub use pem::PemFault;
pub use proxy::{ProxyFault, SocksReply};

/// Why a transfer failed: the fault, the activity that it interrupted, and the last address tried.
///
/// Messages are lower case, without a full stop, and never hold credentials. They do not repeat the URL: the caller
/// knows which transfer an error belongs to.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    fault: Fault,
    doing: Doing,
    address: Option<SocketAddr>,
    redirected: Option<Url>,
    proxy: Option<String>,
    /// The authentication schemes that a 401 or 407 offers.
    schemes: Vec<String>,
    /// The request had a login.
    had_login: bool,
}

/// The activity of a transfer when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Doing {
    /// Checking the request.
    #[default]
    Starting,
    /// Waiting for a slot or for its start time.
    Waiting,
    /// Looking up the host's addresses.
    Resolving,
    /// Opening a connection.
    Connecting,
    /// In the TLS handshake: agreeing on keys and checking certificates.
    Handshaking,
    /// Sending the request.
    Sending,
    /// Waiting for the response, or reading its head or body.
    Receiving,
    /// Writing the body to its sink.
    Writing,
    /// Verifying the complete body.
    Verifying,
}

/// The fault, grouped by the party that caused it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    // The caller's.
    /// The URL's scheme is neither http nor https.
    #[error("unsupported scheme '{0}': use http or https")]
    UnsupportedScheme(String),
    /// The URL has no host, or a component of it cannot be sent.
    #[error("bad URL: {0}")]
    BadUrl(String),
    /// The proxy that the URL needs is not understood.
    #[error("the variable {variable}: {reason}")]
    ProxyVariable {
        /// The environment variable that names the proxy.
        variable: &'static str,
        /// Why its value is not the URL of a proxy.
        reason: String,
    },
    /// The trust roots could not be loaded.
    #[error("cannot load trusted certificates: {0}")]
    TrustRoots(String),
    /// A file of trusted certificates, of the client's certificate or of its key cannot be used.
    #[error("cannot use {}: {fault}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: PemFault,
    },

    // The peer's.
    /// The response is not HTTP, or violates its rules.
    #[error("malformed response: {0}")]
    Malformed(Malformed),
    /// The server answered with a status of 400 or above, or with one that has no file: 202, 204 or 205.
    #[error("{}{}", status_text(*.status), size_text(*.size))]
    Status {
        /// The status code.
        status: u16,
        /// The value of Retry-After (RFC 9110 §10.2.3).
        retry_after: Option<RetryAfter>,
        /// With a 416, the size of the full file in bytes, if the server sent it (RFC 9110 §15.5.17).
        size: Option<u64>,
    },
    /// The response to a range request does not have the requested range, or does not prove it.
    #[error("cannot continue the partial file: {0}")]
    BadRange(&'static str),
    /// Only a range was requested, and the server sends the full file.
    #[error("the server ignored the range and sent the whole file")]
    NoPart,
    /// The file on the server is not the version that was begun.
    #[error("the file changed on the server")]
    Changed,
    /// A small web page came in place of a file that had begun: a login, a challenge or an error.
    #[error("the server sent a small web page in place of the file that had begun")]
    WebPage,
    /// More redirects than allowed.
    #[error("more than {0} redirects")]
    TooManyRedirects(u32),
    /// A redirect that is not followed: a bad target, an unsupported scheme, or a downgrade that would expose
    /// credentials.
    #[error("redirect not followed: {0}")]
    BadRedirect(String),
    /// The body is, or would be, larger than allowed. In bytes.
    #[error("the body is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The body ended too early.
    #[error("the connection closed after {received} bytes of {}", expected.map_or_else(|| "an unfinished body".to_owned(), |n| n.to_string()))]
    Truncated {
        /// Bytes of the body received.
        received: u64,
        /// Bytes that the server announced, if it did.
        expected: Option<u64>,
    },

    /// The body is not what its Content-Encoding says.
    #[error("{0}")]
    Undecodable(Undecodable),

    /// The connection, or one of its streams, violated the rules of HTTP/2 (RFC 9113 §5.4).
    #[error("the server violated the HTTP/2 protocol: {0}")]
    Http2(ErrorCode),
    /// A specific version of HTTP was requested, and the server does not support it.
    #[error("the server does not support the requested version of HTTP")]
    VersionRefused,
    /// The server requires HTTP/1.1, and the options exclude it.
    #[error("the server requires HTTP/1.1")]
    Http11Required,

    // The network's.
    /// The server ended the stream before its response was complete (RST_STREAM, RFC 9113 §6.4).
    #[error("the server reset the stream: {0}")]
    StreamReset(ErrorCode),
    /// The server ended the connection before it processed the request (GOAWAY, RFC 9113 §6.8).
    #[error("the server closed the HTTP/2 connection: {0}")]
    GoneAway(ErrorCode),
    /// The host name has no address, or the lookup failed.
    #[error("cannot resolve host '{host}': {reason}")]
    Resolve {
        /// The name that was looked up.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// The proxy does not connect to the host.
    #[error("the proxy {proxy} {fault}")]
    Proxy {
        /// The proxy, as a URL without a login.
        proxy: String,
        /// The reason.
        fault: ProxyFault,
    },
    /// No connection could be opened.
    #[error("cannot connect: {}", reason(.0))]
    Connect(#[source] io::Error),
    /// The connection broke while bytes were sent or received.
    #[error("connection lost: {}", reason(.0))]
    ConnectionLost(#[source] io::Error),
    /// The connection closed before the response was complete, or before its first byte.
    #[error("the server closed the connection before its response was complete")]
    NoAnswer,
    /// A time limit was exceeded.
    #[error("{kind} timed out after {}", humantime::format_duration(*.limit))]
    Timeout {
        /// The time limit that was exceeded.
        kind: Timeout,
        /// The limit that was set.
        limit: Duration,
    },

    // TLS.
    /// The server's certificate was refused. Retrying will not help.
    #[error("certificate not accepted: {0}")]
    Certificate(#[source] Box<dyn StdError + Send + Sync>),
    /// The server does not accept the client's certificate, or requires one. Retrying will not help.
    #[error("TLS failed: {0}")]
    IdentityRefused(String),
    /// The handshake failed, or a record was damaged.
    #[error("TLS failed: {0}")]
    Tls(#[source] Box<dyn StdError + Send + Sync>),
    /// The connection ended without TLS's close_notify, so the end of the body cannot be trusted (RFC 8446 §6.1).
    #[error("the TLS connection ended without close_notify after {received} bytes")]
    TlsTruncated {
        /// Bytes of the body received.
        received: u64,
    },

    // The body's.
    /// The digest of the body is not the expected one.
    #[error("the digest is {found}, not {expected} as {}", if *.is_announced { "the server announced" } else { "asked for" })]
    Digest {
        /// The expected digest.
        expected: String,
        /// The digest of the body.
        found: String,
        /// The expected digest is the server's own (RFC 9530): the body was damaged in transit, and a retry may help.
        is_announced: bool,
    },
    /// The digest of a piece is not the expected one.
    #[error("the digest of bytes {}-{} is {found}, not {expected} as asked for", range.start, range.end.saturating_sub(1))]
    Piece {
        /// The range of the piece.
        range: Range<u64>,
        /// The expected digest.
        expected: String,
        /// The digest of the piece.
        found: String,
    },
    /// The size of the body does not match the number of expected pieces.
    #[error("the size is {found} bytes, which is not that of {count} pieces of {length} bytes")]
    PieceCount {
        /// The size of the body, in bytes.
        found: u64,
        /// The number of expected pieces.
        count: usize,
        /// The size of each piece but the last, in bytes.
        length: u64,
    },
    /// The size of the body is not the expected one.
    #[error("the size is {found} bytes, not {expected} as asked for")]
    Size {
        /// The expected size, in bytes.
        expected: u64,
        /// The size of the body, in bytes.
        found: u64,
    },
    /// No digest is known for a file, though each file must be verified.
    #[error("{0}")]
    NoDigest(String),

    // The disk's.
    /// A file or folder could not be created, written or renamed.
    #[error("cannot {verb} {}: {}", path.display(), reason(source))]
    Disk {
        /// The failed operation: "create", "write", "rename".
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The final name exists, and `--exists error` is set.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// The final name is fixed, and another row, run or program has created a file there.
    #[error("{} exists: another row or program created it during the run", .0.display())]
    Taken(PathBuf),

    // The application's.
    /// A function of the application aborted the multi, or the multi was stopped.
    #[error("aborted")]
    Aborted,
}

/// When a server allows the next request: Retry-After (RFC 9110 §10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this delay: the field has seconds, or a date that the server's own Date makes relative.
    Delay(Duration),
    /// At this time of the server's clock: the response had no Date to compare with.
    Date(SystemTime),
}

/// `for 5m`, `until 2026-11-23T06:00:00Z`.
impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only dates from 1970 to the end of 9999 can be formatted.
        let years = UNIX_EPOCH..UNIX_EPOCH + Duration::from_secs(253_402_300_800);
        match self {
            Self::Delay(delay) => write!(f, "for {}", humantime::format_duration(*delay)),
            Self::Date(date) if years.contains(date) => {
                write!(f, "until {}", humantime::format_rfc3339_seconds(*date))
            }
            Self::Date(_) => f.write_str("for years"),
        }
    }
}

/// The time limit that was exceeded. Each starts when the transfer is dispatched, not while it waits for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// Connecting; the lookup of the host had not ended.
    Lookup,
    /// Connecting.
    Connect,
    /// Connecting; the TLS handshake had not ended.
    Handshake,
    /// Connecting; the proxy had not connected.
    Proxy,
    /// No byte of the response arrived for too long.
    Answer,
    /// No further byte arrived for too long.
    Stall,
    /// The speed was below the minimum for too long.
    Speed,
    /// The full transfer.
    Total,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookup => "looking up the host",
            Self::Connect => "connecting",
            Self::Handshake => "the TLS handshake",
            Self::Proxy => "connecting through the proxy",
            Self::Answer => "waiting for the response",
            Self::Stall => "the transfer stalled and",
            Self::Speed => "the transfer was too slow and",
            Self::Total => "the transfer",
        })
    }
}

/// Why a stream or a connection of HTTP/2 ended (RFC 9113 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// The peer demands fewer requests.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
}

/// The name in the RFC, or the number.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

/// How a response violates the rules of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The first bytes are not an HTTP/1 status line (RFC 9112 §4).
    #[error("not HTTP/1.x")]
    NotHttp,
    /// The first byte is that of a TLS alert: the port expects TLS.
    #[error("not HTTP/1.x but TLS: the URL may want https")]
    Tls,
    /// The status line or a field line cannot be parsed (RFC 9112 §4 and §5).
    #[error("bad response head")]
    Head,
    /// The head is longer than the limit.
    #[error("response head over 256 KiB")]
    HeadTooLong,
    /// More field lines than the limit.
    #[error("too many header lines")]
    TooManyHeaders,
    /// More interim (1xx) responses than the limit.
    #[error("too many interim responses")]
    TooManyInterim,
    /// An upgrade that was not requested: 101 (RFC 9110 §15.2.2).
    #[error("unexpected 101 Switching Protocols")]
    Upgrade,
    /// A status that does not fit the request, such as 206 without Range or 304 without a condition.
    #[error("{}", unasked(*.0))]
    Unasked(u16),
    /// A response with another range than the requested one, or without a valid Content-Range (RFC 9110 §14.4).
    #[error("the response has another range than the requested one")]
    OtherRange,
    /// Content-Length is not a number, or two of them differ (RFC 9112 §6.3).
    #[error("bad Content-Length")]
    ContentLength,
    /// A transfer coding other than chunked, or chunked not last (RFC 9112 §6.1).
    #[error("unsupported Transfer-Encoding")]
    TransferEncoding,
    /// The size line or the end of a chunk cannot be parsed (RFC 9112 §7.1).
    #[error("bad chunk")]
    Chunk,
    /// The trailer section cannot be parsed or is over its limit (RFC 9112 §7.1.2).
    #[error("bad trailers")]
    Trailers,
    /// A body in a response that has none: to HEAD, or a 204 or 304 (RFC 9110 §6.4.1).
    #[error("a body in a response that cannot have one")]
    UnexpectedBody,
    /// The stream violates the rules of HTTP/2 (RFC 9113 §8.1.1).
    #[error("HTTP/2 {0}")]
    Http2(ErrorCode),
    /// Bytes arrived on a connection without an outstanding request.
    #[error("a response without a request")]
    Unsolicited,
}

fn unasked(status: u16) -> String {
    if status == 206 {
        "a part of the file (status 206) in place of all of it".to_owned()
    } else {
        format!("unexpected status {status}")
    }
}

/// Why the codings of a body cannot be decoded (RFC 9110 §8.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecodable {
    /// An unknown coding; its name, escaped.
    #[error("unrecognized content encoding '{0}'")]
    Unknown(String),
    /// More nested codings than the limit.
    #[error("more than {0} content encodings")]
    TooMany(usize),
    /// The bytes are not valid in this coding, or do not have its checksum.
    #[error("the body is damaged: it is not valid {0}, or its checksum is wrong")]
    Damaged(&'static str),
    /// The body ended before the end of this coding: it was truncated before it was sent.
    #[error("the body ends before its {0} encoding is complete")]
    Cut(&'static str),
    /// The decoder needs a larger window of memory than the limit.
    #[error("the body needs a {coding} window of {window} bytes; the limit is {most}")]
    Window {
        /// The coding.
        coding: &'static str,
        /// The size of its window, in bytes.
        window: u64,
        /// The limit.
        most: u64,
    },
    /// The body needs a dictionary, which is not supported.
    #[error("the body needs a {0} dictionary")]
    Dictionary(&'static str),
}

impl From<Undecodable> for Fault {
    fn from(why: Undecodable) -> Self {
        Self::Undecodable(why)
    }
}

impl Fault {
    /// A copy of a fault to reach an origin, for another transfer that waits for that origin; `None` for any other
    /// fault.
    pub(crate) fn of_reaching(&self) -> Option<Self> {
        match self {
            Self::Resolve { host, reason } => Some(Self::Resolve {
                host: host.clone(),
                reason: reason.clone(),
            }),
            Self::Connect(source) if !is_lack_of_descriptors(source) => {
                let again = source.raw_os_error().map(io::Error::from_raw_os_error);
                let again =
                    again.unwrap_or_else(|| io::Error::new(source.kind(), source.to_string()));
                Some(Self::Connect(again))
            }
            Self::Proxy { proxy, fault } => Some(Self::Proxy {
                proxy: proxy.clone(),
                fault: fault.clone(),
            }),
            Self::Timeout {
                kind:
                    kind @ (Timeout::Lookup | Timeout::Connect | Timeout::Handshake | Timeout::Proxy),
                limit,
            } => Some(Self::Timeout {
                kind: *kind,
                limit: *limit,
            }),
            Self::UnsupportedScheme(_)
            | Self::BadUrl(_)
            | Self::ProxyVariable { .. }
            | Self::TrustRoots(_)
            | Self::Pem { .. }
            | Self::Malformed(_)
            | Self::Status { .. }
            | Self::BadRange(_)
            | Self::NoPart
            | Self::WebPage
            | Self::Changed
            | Self::TooManyRedirects(_)
            | Self::BadRedirect(_)
            | Self::TooLarge { .. }
            | Self::Truncated { .. }
            | Self::Undecodable(_)
            | Self::Http2(_)
            | Self::VersionRefused
            | Self::Http11Required
            | Self::StreamReset(_)
            | Self::GoneAway(_)
            | Self::Connect(_)
            | Self::ConnectionLost(_)
            | Self::NoAnswer
            | Self::Timeout { .. }
            | Self::Certificate(_)
            | Self::IdentityRefused(_)
            | Self::Tls(_)
            | Self::TlsTruncated { .. }
            | Self::Digest { .. }
            | Self::Piece { .. }
            | Self::PieceCount { .. }
            | Self::Size { .. }
            | Self::NoDigest(_)
            | Self::Disk { .. }
            | Self::Exists(_)
            | Self::Taken(_)
            | Self::Aborted => None,
        }
    }

    /// Marks a fault of a TLS handshake as one with the proxy, so that its message says so.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only the faults of a handshake have other words"
    )]
    pub(crate) fn of_proxy(self) -> Self {
        match self {
            Self::Certificate(why) => Self::Certificate(format!("the proxy's: {why}").into()),
            Self::Tls(why) => Self::Tls(format!("with the proxy: {why}").into()),
            Self::IdentityRefused(why) => Self::IdentityRefused(format!("with the proxy: {why}")),
            Self::VersionRefused => {
                Self::Tls("with the proxy: it does not support HTTP/1.1".into())
            }
            other => other,
        }
    }

    /// As [`Error::asks_for_calm`].
    pub(crate) fn asks_for_calm(&self) -> bool {
        if let Self::StreamReset(code) | Self::GoneAway(code) = self {
            return *code == ErrorCode::ENHANCE_YOUR_CALM;
        }
        matches!(
            self,
            Self::Status {
                status: 429 | 503,
                ..
            }
        )
    }

    /// Whether the response does not continue what was begun: another version of the file, or another range. A request
    /// without a range may still get the full file.
    pub(crate) fn is_misfit(&self) -> bool {
        matches!(self, Self::BadRange(_) | Self::Changed)
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// The size of the full file that a 416 sends, for messages.
fn size_text(size: Option<u64>) -> String {
    size.map_or_else(String::new, |size| format!(": the file has {size} bytes"))
}

/// What the system said, without the number of its error.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

/// The well-known meaning of an error status, for messages.
fn status_text(status: u16) -> String {
    meaning(status).map_or_else(
        || format!("the server answered with status {status}"),
        str::to_owned,
    )
}

/// The meaning of a status, if it is well known.
fn meaning(status: u16) -> Option<&'static str> {
    let reason = match status {
        202 => "accepted, but the file is not ready",
        204 => "no content",
        205 => "reset content",
        400 => "bad request",
        401 => "unauthorized",
        402 => "payment required",
        403 => "forbidden",
        404 => "not found",
        405 => "method not allowed",
        406 => "not acceptable",
        407 => "proxy authentication required",
        408 => "request timeout",
        409 => "conflict",
        410 => "gone",
        412 => "precondition failed",
        416 => "range not satisfiable",
        421 => "misdirected request",
        425 => "too early",
        429 => "too many requests",
        451 => "unavailable for legal reasons",
        500 => "internal server error",
        501 => "not implemented",
        502 => "bad gateway",
        503 => "service unavailable",
        504 => "gateway timeout",
        _ => return None,
    };
    Some(reason)
}

/// The statuses that are retried by default: they mean that the failure is temporary.
pub const RETRIED_STATUSES: [u16; 10] = [202, 408, 425, 429, 500, 502, 503, 504, 522, 524];

impl Error {
    /// An error of this fault during an activity, with the peer's address, if there is one.
    pub fn new(fault: impl Into<Fault>, doing: Doing, address: Option<SocketAddr>) -> Self {
        Self(Box::new(Inner {
            fault: fault.into(),
            doing,
            address,
            redirected: None,
            proxy: None,
            schemes: Vec::new(),
            had_login: false,
        }))
    }

    /// Adds the proxy that the transfer uses, as a URL without its login.
    #[must_use]
    pub(crate) fn through(mut self, proxy: Option<String>) -> Self {
        self.0.proxy = proxy;
        self
    }

    /// Adds the authentication schemes that the response offers, and whether the request had a login.
    #[must_use]
    pub(crate) fn offered(mut self, schemes: Vec<String>, had_login: bool) -> Self {
        self.0.schemes = schemes;
        self.0.had_login = had_login;
        self
    }

    /// Adds the URL that redirects had led to.
    #[must_use]
    pub(crate) fn redirected_to(mut self, url: Option<Url>) -> Self {
        self.0.redirected = url;
        self
    }

    /// The fault.
    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// The activity that failed.
    pub fn doing(&self) -> Doing {
        self.0.doing
    }

    /// The last address tried, if one was.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// The URL that redirects had led to, if there were any. It may hold credentials: mask it before it is shown.
    pub fn redirected(&self) -> Option<&Url> {
        self.0.redirected.as_ref()
    }

    /// The authentication schemes that a 401 or 407 offers, as the server writes them.
    pub fn schemes(&self) -> &[String] {
        &self.0.schemes
    }

    /// Whether a 401, 403 or 407 came although the request had a login.
    pub fn had_login(&self) -> bool {
        self.0.had_login
    }

    /// The proxy that the transfer used, if any: the address is then the proxy's.
    pub fn proxy(&self) -> Option<&str> {
        self.0.proxy.as_deref()
    }

    /// The status code, if the fault is the server's status.
    pub fn status(&self) -> Option<u16> {
        let Fault::Status { status, .. } = self.0.fault else {
            return None;
        };
        Some(status)
    }

    /// The server's Retry-After, if it sent one.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        let Fault::Status { retry_after, .. } = self.0.fault else {
            return None;
        };
        retry_after
    }

    /// Whether the server demands fewer requests: 429, 503, or ENHANCE_YOUR_CALM (RFC 9113 §7).
    pub(crate) fn asks_for_calm(&self) -> bool {
        self.0.fault.asks_for_calm()
    }

    /// Whether a retry may help: after every transport fault but a refused certificate, after a lack of descriptors,
    /// and for [`RETRIED_STATUSES`].
    pub fn is_retryable(&self) -> bool {
        match &self.0.fault {
            Fault::Status { status, .. } => RETRIED_STATUSES.contains(status),
            Fault::Proxy { fault, .. } => fault.is_retryable(),
            Fault::Truncated { .. }
            | Fault::Undecodable(Undecodable::Cut(_))
            | Fault::Resolve { .. }
            | Fault::Connect(_)
            | Fault::ConnectionLost(_)
            | Fault::Http2(_)
            | Fault::StreamReset(_)
            | Fault::GoneAway(_)
            | Fault::NoAnswer
            | Fault::Timeout { .. }
            | Fault::Tls(_)
            | Fault::TlsTruncated { .. }
            | Fault::Digest {
                is_announced: true, ..
            } => true,
            Fault::Disk { source, .. } => is_lack_of_descriptors(source),
            Fault::UnsupportedScheme(_)
            | Fault::BadUrl(_)
            | Fault::ProxyVariable { .. }
            | Fault::TrustRoots(_)
            | Fault::Pem { .. }
            | Fault::Malformed(_)
            | Fault::BadRange(_)
            | Fault::NoPart
            | Fault::WebPage
            | Fault::Changed
            | Fault::TooManyRedirects(_)
            | Fault::BadRedirect(_)
            | Fault::TooLarge { .. }
            | Fault::Undecodable(_)
            | Fault::VersionRefused
            | Fault::Http11Required
            | Fault::Certificate(_)
            | Fault::IdentityRefused(_)
            | Fault::Digest { .. }
            | Fault::Piece { .. }
            | Fault::PieceCount { .. }
            | Fault::Size { .. }
            | Fault::NoDigest(_)
            | Fault::Exists(_)
            | Fault::Taken(_)
            | Fault::Aborted => false,
        }
    }
}

/// Whether too many files are open in this process or on the machine: a retry helps once some are closed.
fn is_lack_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.fault, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.fault.source()
    }
}

/// Why a call on a multi failed: CURLMcode, by name and number.
///
/// Left out because Rust's types make them impossible: `BAD_HANDLE` (1: there is no invalid
/// `Multi`), `OUT_OF_MEMORY` (3: allocation aborts), `ADDED_ALREADY` (7: `add` takes the easy by
/// value), `RECURSIVE_API_CALL` (8: the functions cannot reach the multi that calls them),
/// `UNKNOWN_OPTION` (6: options are fields), `WAKEUP_FAILURE` (9) and `UNRECOVERABLE_POLL` (12: the
/// engine neither wakes nor polls). `CALL_MULTI_PERFORM` (−1) is known as
/// [`MultiError::CALL_MULTI_PERFORM`] and never returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultiError {
    /// The transfer is not, or no longer, in this multi.
    #[error("no such transfer in this multi")]
    BadEasyHandle,
    /// An internal invariant is violated: a defect of the engine.
    #[error("internal error")]
    InternalError,
    /// The socket is not one that the engine uses.
    #[error("not a socket of this multi")]
    BadSocket,
    /// An argument has an invalid value.
    #[error("bad function argument")]
    BadFunctionArgument,
    /// The socket or the timer function returned an error: the multi is dead until every transfer is removed.
    #[error("aborted by callback")]
    AbortedByCallback,
}

impl MultiError {
    /// CURLM_CALL_MULTI_PERFORM: libcurl's old way of saying "call again at once". Known, never returned.
    pub const CALL_MULTI_PERFORM: i32 = -1;

    /// The number of the CURLMcode of the same name.
    pub fn code(self) -> i32 {
        match self {
            Self::BadEasyHandle => 2,
            Self::InternalError => 4,
            Self::BadSocket => 5,
            Self::BadFunctionArgument => 10,
            Self::AbortedByCallback => 11,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn any_time_to_ask_again_can_be_said() {
        let far = UNIX_EPOCH + Duration::from_secs(1 << 50);
        let old = UNIX_EPOCH - Duration::from_secs(1);
        let said = [
            RetryAfter::Delay(Duration::from_secs(90)),
            RetryAfter::Date(UNIX_EPOCH),
            RetryAfter::Date(old),
            RetryAfter::Date(far),
        ]
        .map(|asked| asked.to_string());
        let words = [
            "for 1m 30s",
            "until 1970-01-01T00:00:00Z",
            "for years",
            "for years",
        ];
        assert_eq!(said, words);
    }

    #[test]
    fn a_lack_of_descriptors_passes_and_a_lack_of_space_does_not() {
        for (errno, is_retryable) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::NOSPC, false),
            (Errno::DQUOT, false),
            (Errno::IO, false),
        ] {
            let fault = Fault::Disk {
                verb: "write",
                path: "a".into(),
                source: io::Error::from_raw_os_error(errno.raw_os_error()),
            };
            let error = Error::new(fault, Doing::Writing, None);
            assert_eq!(error.is_retryable(), is_retryable, "{errno}");
        }
    }
}
