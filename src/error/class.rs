//! [`Class`]: the one classification of faults. No match here has a wildcard, so a new fault has to be classified.

use std::io;

use super::{Error, Fault, Undecodable};

/// What kind of failure an error is. The exit codes of the program follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The URL cannot be requested.
    Request,
    /// A certificate or key was refused, or could not be loaded.
    Trust,
    /// TLS failed.
    Tls,
    /// The server or the proxy requires a login.
    Login,
    /// The server answered with another error status.
    Status,
    /// A time limit was exceeded.
    Timeout,
    /// The response does not continue what was begun, or is not the range that was requested.
    Range,
    /// A file exists at the name.
    Exists,
    /// The body does not have the expected digest or size.
    Integrity,
    /// A local file could not be created, read or written, for this reason.
    Disk(io::ErrorKind),
    /// The network or the peer's connection failed.
    Network,
    /// The response violates the protocol, or cannot be used.
    Protocol,
    /// The body is larger than allowed.
    TooLarge,
    /// The application aborted the transfer.
    Aborted,
}

impl Class {
    /// The class of an error.
    pub fn of(error: &Error) -> Self {
        match error.fault() {
            Fault::UnsupportedScheme(_) | Fault::BadUrl(_) | Fault::ProxyVariable { .. } => {
                Self::Request
            }
            Fault::TrustRoots(_)
            | Fault::Pem { .. }
            | Fault::Certificate(_)
            | Fault::IdentityRefused(_) => Self::Trust,
            Fault::Tls(_) => Self::Tls,
            Fault::Proxy { fault, .. } if fault.is_authentication() => Self::Login,
            Fault::Proxy { fault, .. } if fault.is_malformed() => Self::Protocol,
            Fault::Status {
                status: 401 | 407, ..
            } => Self::Login,
            Fault::Status { .. } => Self::Status,
            Fault::Timeout { .. } => Self::Timeout,
            Fault::Changed | Fault::BadRange(_) | Fault::NoPart | Fault::WebPage => Self::Range,
            Fault::Exists(_) | Fault::Taken(_) => Self::Exists,
            Fault::Digest { .. }
            | Fault::Piece { .. }
            | Fault::PieceCount { .. }
            | Fault::Size { .. }
            | Fault::NoDigest(_) => Self::Integrity,
            Fault::Disk { source, .. } => Self::Disk(source.kind()),
            Fault::Truncated { .. }
            | Fault::Undecodable(Undecodable::Cut(_))
            | Fault::Resolve { .. }
            | Fault::Proxy { .. }
            | Fault::Connect(_)
            | Fault::ConnectionLost(_)
            | Fault::NoAnswer
            | Fault::StreamReset(_)
            | Fault::GoneAway(_)
            | Fault::TlsTruncated { .. } => Self::Network,
            Fault::Malformed(_)
            | Fault::Undecodable(_)
            | Fault::TooManyRedirects(_)
            | Fault::BadRedirect(_)
            | Fault::Http2(_)
            | Fault::VersionRefused
            | Fault::Http11Required => Self::Protocol,
            Fault::TooLarge { .. } => Self::TooLarge,
            Fault::Aborted => Self::Aborted,
        }
    }
}
