//! Where a socket connects to.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The other end of a connection: an address and a port, or a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// TCP.
    Inet(SocketAddr),
    /// The path of a stream socket.
    Unix(Arc<Path>),
}

impl Endpoint {
    /// The address, unless it is a Unix socket.
    pub(crate) fn inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether it is an IPv6 address.
    pub(super) fn is_ipv6(&self) -> bool {
        self.inet().is_some_and(|address| address.is_ipv6())
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}
