//! What all versions of HTTP share: methods, fields, responses, origins, redirects, credentials.
//!
//! No I/O and no clock. Sections without an RFC are those of RFC 9110.

pub(crate) mod auth;
pub(crate) mod challenge;
mod connect_to;
pub(crate) mod cookie;
pub(crate) mod date;
pub(crate) mod digest;
pub(crate) mod disposition;
pub(crate) mod encoding;
pub(crate) mod event;
pub(crate) mod grammar;
mod header;
mod netrc;
mod no_proxy;
mod origin;
mod proxy;
mod range;
pub(crate) mod redirect;
mod response;
pub(crate) mod target;
pub(crate) mod typed_path;
pub(crate) mod unsendable;
mod url_parameter;
pub(crate) mod zone;

use std::fmt;

pub use auth::{Credentials, masked};
pub use connect_to::ConnectTo;
pub use cookie::{BadLine, Cookie, Jar, read_file as read_cookies};
pub use digest::{Algorithm, Digest, Expected, Pieces};
pub use encoding::offer as accept_encoding;
pub(crate) use event::Event;
pub use header::{Field, Headers};
pub(crate) use header::{is_credential, is_secret};
pub use netrc::{Netrc, NetrcError};
pub use no_proxy::NoProxy;
pub use origin::{Origin, Scheme};
pub use proxy::{BadProxy, Proxies, Proxy, ProxyScheme};
pub use range::{ByteRange, ContentRange};
pub use response::Response;
pub(crate) use response::content_length;
pub(crate) use target::{Form, Target};
pub(crate) use unsendable::Unsendable;

/// A request method (RFC 9110 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Method {
    /// Fetches the resource.
    #[default]
    Get,
    /// Fetches the head of the response to a GET, without the body.
    Head,
}

impl Method {
    /// The method as sent in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The HTTP version of a response (RFC 9110 §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Version {
    /// RFC 1945.
    Http10,
    /// RFC 9112, and any later HTTP/1.x.
    #[default]
    Http11,
    /// RFC 9113.
    Http2,
}

impl Version {
    /// Whether a connection carries several exchanges at once.
    pub(crate) fn is_multiplexed(self) -> bool {
        match self {
            Self::Http10 | Self::Http11 => false,
            Self::Http2 => true,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_versions_read_as_on_the_wire() {
        assert_eq!(Method::Get.to_string(), "GET");
        assert_eq!(Method::Head.to_string(), "HEAD");
        assert_eq!(Version::Http10.to_string(), "HTTP/1.0");
        assert_eq!(Version::Http11.to_string(), "HTTP/1.1");
        assert_eq!(Version::Http2.to_string(), "HTTP/2");
    }
}
