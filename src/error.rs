//! What can go wrong: [`Error`] for one transfer, grouped by whose fault it is, and [`MultiError`] for a call.
//!
//! An `Ok` from a call says nothing of single transfers; their results come from the info queue alone.

mod proxy;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use url::Url;

pub use proxy::{ProxyFault, SocksReply};

/// What ended a transfer: the fault, what was being done, and the last address tried.
///
/// Messages are lower case, without a full stop, and never hold credentials. They do not repeat the URL:
/// whoever reports an error knows which transfer it belongs to.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    fault: Fault,
    doing: Doing,
    address: Option<SocketAddr>,
    redirected: Option<Url>,
    proxy: Option<String>,
}

/// What a transfer was doing when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Doing {
    /// Checking what was asked for.
    #[default]
    Starting,
    /// Waiting for a place or for its time.
    Waiting,
    /// Looking up the host's addresses.
    Resolving,
    /// Opening a connection.
    Connecting,
    /// Agreeing on keys and checking certificates.
    Handshaking,
    /// Sending the request.
    Sending,
    /// Waiting for the answer, or reading its head or body.
    Receiving,
    /// Writing the body to where it belongs.
    Writing,
    /// Comparing the whole body with what was promised.
    Verifying,
}

/// The fault itself, grouped by whose it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    // The caller's.
    /// The URL's scheme is neither http nor https.
    #[error("unsupported scheme '{0}': use http or https")]
    UnsupportedScheme(String),
    /// The URL has no host, or a part of it cannot be sent.
    #[error("bad URL: {0}")]
    BadUrl(String),
    /// The trust roots could not be loaded.
    #[error("cannot load trusted certificates: {0}")]
    TrustRoots(String),
    /// The client's own certificate or key cannot be used.
    #[error("cannot use the client certificate or key in {}: {reason}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    // The peer's.
    /// The answer is not HTTP, or breaks its rules.
    #[error("malformed response: {0}")]
    Malformed(Malformed),
    /// The server answered with a status of 400 or above.
    #[error("{}{}", status_text(*.status), size_text(*.size))]
    Status {
        /// The status code, 400 or above.
        status: u16,
        /// What the server asked for in Retry-After (RFC 9110 §10.2.3).
        retry_after: Option<RetryAfter>,
        /// With a 416, the bytes of the whole, where the server said (RFC 9110 §15.5.17).
        size: Option<u64>,
    },
    /// An answer to a request for a part is not that part, or that cannot be told.
    #[error("the response does not continue the partial file: {0}")]
    BadRange(&'static str),
    /// A part alone was asked for, and the server sends the whole.
    #[error("the server ignored the range and sent the whole file")]
    NoPart,
    /// The file on the server is not the one that was begun.
    #[error("the file changed on the server")]
    Changed,
    /// More redirects than allowed.
    #[error("more than {0} redirects")]
    TooManyRedirects(u32),
    /// A redirect that is not followed: a bad target, a foreign scheme, a downgrade that would carry credentials.
    #[error("redirect not followed: {0}")]
    BadRedirect(String),
    /// The body is, or would be, larger than allowed. In bytes.
    #[error("the body is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The body ended before its time.
    #[error("the connection closed after {received} bytes of {}", expected.map_or_else(|| "an unfinished body".to_owned(), |n| n.to_string()))]
    Truncated {
        /// Bytes of the body received.
        received: u64,
        /// Bytes the server had announced, where it had.
        expected: Option<u64>,
    },

    /// The body is not what its Content-Encoding says.
    #[error("{0}")]
    Undecodable(Undecodable),

    /// The connection broke the rules of HTTP/2, or a body did (RFC 9113 §5.4): by whose stream is not known.
    #[error("the server violated the HTTP/2 protocol: {0}")]
    Http2(ErrorCode),
    /// One version of HTTP alone was to be spoken, and the server does not.
    #[error("the server does not support the requested version of HTTP")]
    VersionRefused,
    /// The server wants to be spoken to over HTTP/1.1, and that was not to be.
    #[error("the server requires HTTP/1.1")]
    Http11Required,

    // The network's.
    /// The server ended the stream before its answer was whole (RST_STREAM, RFC 9113 §6.4).
    #[error("the server reset the stream: {0}")]
    StreamReset(ErrorCode),
    /// The server ended the connection before it had begun on the request (GOAWAY, RFC 9113 §6.8).
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
        /// Which, as a URL without a login.
        proxy: String,
        /// Why.
        fault: ProxyFault,
    },
    /// No connection could be opened.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke while bytes were sent or received.
    #[error("connection lost: {0}")]
    ConnectionLost(#[source] io::Error),
    /// The connection closed before the answer was whole, or before any of it came.
    #[error("the server closed the connection before its response was complete")]
    NoAnswer,
    /// Something took longer than it may. The duration is the limit.
    #[error("{kind} timed out after {}", humantime::format_duration(*.limit))]
    Timeout {
        /// Which clock ran out.
        kind: Timeout,
        /// The limit that was set.
        limit: Duration,
    },

    // TLS.
    /// The server's certificate was refused. Retrying will not help.
    #[error("certificate not accepted: {0}")]
    Certificate(#[source] Box<dyn StdError + Send + Sync>),
    /// The server does not accept the client's certificate, or that it has none. Retrying will not help.
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
    /// The whole body is not the one that was promised.
    #[error("the digest is {found}, not {expected} as {}", if *.is_announced { "the server announced" } else { "asked for" })]
    Digest {
        /// What its digest was to be.
        expected: String,
        /// What it is.
        found: String,
        /// The server itself announced it (RFC 9530): the body was damaged on its way, and another
        /// try may bring it whole.
        is_announced: bool,
    },
    /// A piece of the body is not the one that was promised.
    #[error("the digest of bytes {}-{} is {found}, not {expected} as asked for", range.start, range.end.saturating_sub(1))]
    Piece {
        /// Its bytes, by their offsets.
        range: Range<u64>,
        /// What its digest was to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The whole body cannot be made of the pieces that were promised.
    #[error("the size is {found} bytes, which is not that of {count} pieces of {length} bytes")]
    PieceCount {
        /// What it is, or would be, in bytes.
        found: u64,
        /// How many pieces there were to be.
        count: usize,
        /// Bytes of each but the last.
        length: u64,
    },
    /// The whole body is not as large as was promised.
    #[error("the size is {found} bytes, not {expected} as asked for")]
    Size {
        /// What it was to be, in bytes.
        expected: u64,
        /// What it is, or would be, in bytes.
        found: u64,
    },
    /// Nothing says what the digest of a file is to be, though each was to be checked.
    #[error("{0}")]
    NoDigest(String),

    // The disk's.
    /// A file or folder could not be made, written or renamed.
    #[error("cannot {verb} {}: {source}", path.display())]
    Disk {
        /// What was tried: "create", "write", "rename".
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The final name exists and `--exists error` was asked for.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// The final name was asked for, and another row, run or program has put a file there.
    #[error("{} exists: another row or program created it during the run", .0.display())]
    Taken(PathBuf),

    // Nobody's.
    /// The multi was aborted by one of its own functions, or stopped.
    #[error("aborted")]
    Aborted,
}

/// When a server wants to be asked again: Retry-After (RFC 9110 §10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this long: it was given in seconds, or as a date beside the server's own Date.
    Delay(Duration),
    /// At this time, by a clock that may not be ours: a date came without a Date beside it.
    Date(SystemTime),
}

/// `for 5m`, `until 2026-11-23T06:00:00Z`.
impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Dates can be written from 1970 to the end of 9999.
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

/// Which clock ran out. Each starts when the transfer is dispatched, not while it waits for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// Connecting, which began with a lookup that did not end.
    Lookup,
    /// Connecting.
    Connect,
    /// Connecting, which did not get beyond the handshake.
    Handshake,
    /// Connecting, which did not get through the proxy.
    Proxy,
    /// No byte of the answer arrived for too long.
    Answer,
    /// No further byte arrived for too long.
    Stall,
    /// Fewer bytes arrived than asked for.
    Speed,
    /// The whole transfer.
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

/// Why a stream or connection of HTTP/2 was ended (RFC 9113 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// The peer asks for less.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
}

/// As the RFC calls it, or its number.
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

/// How an answer broke the rules of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The first bytes are not an HTTP/1 status line (RFC 9112 §4).
    #[error("not HTTP/1.x")]
    NotHttp,
    /// The first byte is that of an alert: the port speaks TLS.
    #[error("not HTTP/1.x but TLS: the URL may want https")]
    Tls,
    /// The status line or a header line cannot be read (RFC 9112 §4 and §5).
    #[error("bad response head")]
    Head,
    /// The head is longer than the limit.
    #[error("response head over 256 KiB")]
    HeadTooLong,
    /// More header lines than the limit.
    #[error("too many header lines")]
    TooManyHeaders,
    /// More interim (1xx) answers than the limit.
    #[error("too many interim responses")]
    TooManyInterim,
    /// An interim answer that nobody asked for: 101 (RFC 9110 §15.2.2).
    #[error("unexpected 101 Switching Protocols")]
    Upgrade,
    /// A status that cannot answer the request, such as 206 without Range or 304 without a condition.
    #[error("unexpected status {0}{why}", why = if *.0 == 206 { " to a request without a range" } else { "" })]
    Unasked(u16),
    /// A part of another extent than was asked for, or one that does not say where it lies (RFC 9110 §14.4).
    #[error("the response has another range than the requested one")]
    OtherRange,
    /// Content-Length is not a number, or two of them differ (RFC 9112 §6.3).
    #[error("bad Content-Length")]
    ContentLength,
    /// A transfer coding other than chunked, or chunked not last (RFC 9112 §6.1).
    #[error("unsupported Transfer-Encoding")]
    TransferEncoding,
    /// A chunk's size line or end cannot be read (RFC 9112 §7.1).
    #[error("bad chunk")]
    Chunk,
    /// The trailer section is damaged or over its limit (RFC 9112 §7.1.2).
    #[error("bad trailers")]
    Trailers,
    /// A body where none may be: after HEAD, or of a 204 or 304 (RFC 9110 §6.4.1).
    #[error("a body in a response that cannot have one")]
    UnexpectedBody,
    /// The stream breaks the rules of HTTP/2 (RFC 9113 §8.1.1).
    #[error("HTTP/2 {0}")]
    Http2(ErrorCode),
    /// Bytes arrived on a connection that had no request under way.
    #[error("a response without a request")]
    Unsolicited,
}

/// Why the codings of a body cannot be undone (RFC 9110 §8.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecodable {
    /// A coding that is not known; its name, escaped.
    #[error("unrecognized content encoding '{0}'")]
    Unknown(String),
    /// More codings, one in the other, than the limit.
    #[error("more than {0} content encodings")]
    TooMany(usize),
    /// The bytes are not what the coding of this name makes, or not those that it has the checksum of.
    #[error("the body is damaged: it is not valid {0}, or its checksum is wrong")]
    Damaged(&'static str),
    /// The body ended, and the coding of this name has more to come: it was cut before it was sent.
    #[error("the body ends before its {0} encoding is complete")]
    Cut(&'static str),
    /// More of the body would have to be kept in memory than the limit. In bytes.
    #[error("the body needs a {coding} window of {window} bytes; the limit is {most}")]
    Window {
        /// The coding.
        coding: &'static str,
        /// What it needs.
        window: u64,
        /// The limit.
        most: u64,
    },
    /// The body needs a dictionary that nobody has sent.
    #[error("the body needs a {0} dictionary")]
    Dictionary(&'static str),
}

impl From<Undecodable> for Fault {
    fn from(why: Undecodable) -> Self {
        Self::Undecodable(why)
    }
}

impl Fault {
    /// The same fault for another transfer of the same origin, where it is one of reaching that.
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
            _ => None,
        }
    }

    /// The same fault as one of the handshake with a proxy: whose certificate it is has to be said.
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
        match self {
            Self::Status { status, .. } => matches!(status, 429 | 503),
            Self::StreamReset(code) | Self::GoneAway(code) => *code == ErrorCode::ENHANCE_YOUR_CALM,
            _ => false,
        }
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What a 416 says of the size of the whole.
fn size_text(size: Option<u64>) -> String {
    size.map_or_else(String::new, |size| format!(": the file has {size} bytes"))
}

/// The well-known meaning of an error status, for messages.
fn status_text(status: u16) -> String {
    meaning(status).map_or_else(
        || format!("the server answered with status {status}"),
        str::to_owned,
    )
}

/// What a status means, where that is well known.
fn meaning(status: u16) -> Option<&'static str> {
    let reason = match status {
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

/// The statuses that are retried by default: the server says, or is known to mean, that the failure is temporary.
pub const RETRIED_STATUSES: [u16; 9] = [408, 425, 429, 500, 502, 503, 504, 522, 524];

impl Error {
    /// An error with its fault, while `doing` something, to or from `address` where there is one.
    pub fn new(fault: impl Into<Fault>, doing: Doing, address: Option<SocketAddr>) -> Self {
        Self(Box::new(Inner {
            fault: fault.into(),
            doing,
            address,
            redirected: None,
            proxy: None,
        }))
    }

    /// The same for a transfer through a proxy, which is named without its login.
    #[must_use]
    pub(crate) fn through(mut self, proxy: Option<String>) -> Self {
        self.0.proxy = proxy;
        self
    }

    /// The same for a transfer that redirects had led to another URL.
    #[must_use]
    pub(crate) fn redirected_to(mut self, url: Option<Url>) -> Self {
        self.0.redirected = url;
        self
    }

    /// What went wrong.
    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// What was being done.
    pub fn doing(&self) -> Doing {
        self.0.doing
    }

    /// The last address tried, if one was.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// Where redirects had led, if there were any. It may hold credentials: mask it before it is shown.
    pub fn redirected(&self) -> Option<&Url> {
        self.0.redirected.as_ref()
    }

    /// The proxy that the transfer took, if it took one: the address is then the proxy's.
    pub fn proxy(&self) -> Option<&str> {
        self.0.proxy.as_deref()
    }

    /// The status code, when the server's answer was the fault.
    pub fn status(&self) -> Option<u16> {
        match self.0.fault {
            Fault::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// When the server wants to be asked again, where it said so.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        match self.0.fault {
            Fault::Status { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// Whether the server asks to be left alone for a while: 429, 503, or ENHANCE_YOUR_CALM (RFC 9113 §7).
    pub(crate) fn asks_for_calm(&self) -> bool {
        self.0.fault.asks_for_calm()
    }

    /// Whether trying again may help: every transport fault but a refused certificate, a lack of descriptors, and
    /// [`RETRIED_STATUSES`].
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
            _ => false,
        }
    }
}

/// Whether too many files are open, here or on the whole machine: others will be closed.
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
    /// Something inside is not as it must be: a defect of the engine.
    #[error("internal error")]
    InternalError,
    /// The socket is not one that the engine uses.
    #[error("not a socket of this multi")]
    BadSocket,
    /// An argument has a value that it may not have.
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
