//! Options of all transfers of a multi, since they share connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::lookup::Family;
use super::pool::Limits;
use crate::conn::TlsOptions;
use crate::error::Fault;
use crate::http::cookie::Jar;
use crate::http::{ConnectTo, Netrc, Origin, Proxies, Version};
use crate::http2::Windows;

/// The options of a multi: libcurl's CURLMOPT limits, and how connections are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The limits on the number of transfers and connections.
    pub limits: Limits,
    /// The address family of connections.
    pub family: Family,
    /// The network interface that connections use, by name, or one of its addresses, which they have as their own.
    pub interface: Option<String>,
    /// The Unix stream socket that all connections lead to, instead of an address of the URL's host. There are no
    /// lookups then, and no proxies nor stand-ins.
    pub unix_socket: Option<PathBuf>,
    /// The path and query of a URL are sent as they were typed (`--path-as-is`), with dot segments, if its fragment has
    /// them as `path-as-is=`.
    pub are_paths_typed: bool,
    /// The proxies, and the hosts that are reached without one.
    pub proxies: Proxies,
    /// Hosts that connections lead to instead of an origin (`--connect-to`). The first entry that matches counts.
    pub stand_ins: Vec<ConnectTo>,
    /// Addresses of a host and port, which replace a lookup (`--resolve`). Hosts are in lower case; `*` stands for
    /// every host that no other entry has.
    pub overrides: HashMap<(String, u16), Vec<IpAddr>>,
    /// How TLS connections are made.
    pub tls: TlsOptions,
    /// The maximum speed of all transfers together, in bytes per second.
    pub max_recv_speed: Option<u64>,
    /// The minimum time between two starts of transfers, on average. Extra ones count too.
    pub start_interval: Option<Duration>,
    /// Which versions of HTTP are used.
    pub protocol: Protocol,
    /// Logins by host, for easies without credentials. Only that host receives its login, also after a redirect; only
    /// the origin of the first URL receives the default one.
    pub netrc: Option<Arc<Netrc>>,
    /// Cookies to send. Cookies of responses are added to them.
    pub cookies: Option<Jar>,
    /// Without `cookies`: an empty jar, of which each transfer gets a copy when a redirect sets a cookie. The copy goes
    /// with the transfer. With neither jar, cookies of responses are ignored.
    pub redirect_cookies: Option<Jar>,
    /// The bytes that one call receives before it leaves the rest to the next one: 4 MiB without a number. An
    /// application that must not be held up sets fewer. A TLS handshake counts as 1 MiB, and each transfer, connection
    /// or timer that runs as 16 KiB.
    pub call_budget: Option<NonZeroUsize>,
    /// The flow-control windows of HTTP/2. Rate limits reduce the window of a stream.
    pub windows: Windows,
}

impl Options {
    /// The addresses that replace a lookup of this host and port.
    pub(super) fn overriding(&self, host: &str, port: u16) -> Option<&[IpAddr]> {
        if self.overrides.is_empty() {
            return None;
        }
        let own = self.overrides.get(&(host.to_ascii_lowercase(), port));
        own.or_else(|| self.overrides.get(&("*".to_owned(), port)))
            .map(Vec::as_slice)
    }
}

/// Which versions of HTTP are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/2 if ALPN selects it (RFC 7301), else HTTP/1.1.
    #[default]
    Negotiated,
    /// Only HTTP/1.1.
    Http1,
    /// Only HTTP/2. Without TLS it is used with prior knowledge (RFC 9113 §3.3).
    Http2,
}

impl Protocol {
    /// The version for an origin, if it does not depend on a negotiation.
    pub(super) fn known(self, origin: &Origin) -> Option<Version> {
        match self {
            Self::Http1 => Some(Version::Http11),
            Self::Http2 => Some(Version::Http2),
            Self::Negotiated if origin.is_tls() => None,
            Self::Negotiated => Some(Version::Http11),
        }
    }

    /// Whether HTTP/1.1 may be used.
    pub(super) fn allows_http1(self) -> bool {
        match self {
            Self::Negotiated | Self::Http1 => true,
            Self::Http2 => false,
        }
    }

    /// The protocols that a TLS handshake offers, the preferred one first.
    pub(super) fn offer(self) -> &'static [&'static [u8]] {
        match self {
            Self::Negotiated => &[b"h2", b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
        }
    }

    /// The version that a new connection speaks, after a TLS handshake that selected `agreed`, or without TLS.
    ///
    /// # Errors
    /// [`Fault::VersionRefused`]: the server does not speak the one version that is allowed.
    pub(super) fn version(self, agreed: Option<&[u8]>, is_tls: bool) -> Result<Version, Fault> {
        match (agreed, self) {
            (Some(b"h2"), _) => Ok(Version::Http2),
            // Without TLS there is no negotiation.
            (_, Self::Http2) if is_tls => Err(Fault::VersionRefused),
            (_, Self::Http2) => Ok(Version::Http2),
            (_, Self::Http1 | Self::Negotiated) => Ok(Version::Http11),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_follows_the_handshake_or_prior_knowledge() {
        let refused = |result: Result<Version, Fault>| result.is_err();
        let h2 = Some(&b"h2"[..]);
        for protocol in [Protocol::Negotiated, Protocol::Http2] {
            assert_eq!(protocol.version(h2, true).unwrap(), Version::Http2);
        }
        for agreed in [None, Some(&b"http/1.1"[..])] {
            let version = Protocol::Negotiated.version(agreed, true);
            assert_eq!(version.unwrap(), Version::Http11);
            assert!(refused(Protocol::Http2.version(agreed, true)));
        }
        assert_eq!(
            Protocol::Http2.version(None, false).unwrap(),
            Version::Http2
        );
        assert_eq!(
            Protocol::Http1.version(None, false).unwrap(),
            Version::Http11
        );
    }
}
