//! The words that every version of HTTP shares: methods, fields, answers, origins, redirects, credentials.
//!
//! Nothing here performs I/O or reads a clock. RFC 9110 unless another is named.

pub mod auth;
mod connect_to;
pub mod cookie;
pub mod digest;
pub mod disposition;
pub mod encoding;
mod event;
pub(crate) mod grammar;
mod header;
mod netrc;
mod no_proxy;
mod origin;
mod proxy;
mod range;
pub mod redirect;
mod response;
mod unsendable;

use std::fmt;

pub use auth::Credentials;
pub use connect_to::ConnectTo;
pub use digest::{Digest, Expected};
pub use event::Event;
pub use header::{Field, Headers};
pub(crate) use header::{is_credential, is_secret};
pub use netrc::{Netrc, NetrcError};
pub use no_proxy::NoProxy;
pub use origin::{Origin, Scheme, request_target};
pub use proxy::{BadProxy, Proxies, Proxy, ProxyScheme};
pub use range::{ByteRange, ContentRange};
pub use response::Response;
pub(crate) use response::content_length;
pub use unsendable::Unsendable;

/// What a request asks for (RFC 9110 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// The resource itself.
    #[default]
    Get,
    /// The head of the answer that GET would have.
    Head,
}

impl Method {
    /// The method as it is sent.
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

/// The version of HTTP that an answer came in (RFC 9110 §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// RFC 1945.
    Http10,
    /// RFC 9112, and any later HTTP/1.x.
    #[default]
    Http11,
    /// RFC 9113.
    Http2,
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
