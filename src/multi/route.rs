//! How an origin is reached: directly, or through a proxy in one of two ways. Pure.

use std::sync::Arc;

use super::options::Protocol;
use crate::error::Fault;
use crate::http::{Origin, Proxies, Proxy, ProxyScheme};

/// How an origin is reached. It is decided once, when the origin is first used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Route {
    /// Without a proxy.
    #[default]
    Direct,
    /// An HTTP proxy receives the requests, and makes them itself (RFC 9112 §3.2.2).
    Forward(Arc<Proxy>),
    /// The proxy connects to the origin, and passes bytes on without understanding them.
    Tunnel(Arc<Proxy>),
}

impl Route {
    /// The route to an origin, for this protocol.
    ///
    /// # Errors
    /// [`Fault::ProxyVariable`]: the origin needs a proxy that is not understood.
    pub(super) fn to(
        origin: &Origin,
        proxies: &Proxies,
        protocol: Protocol,
    ) -> Result<Self, Fault> {
        let Some(proxy) = proxies.of(origin)? else {
            return Ok(Self::Direct);
        };
        let proxy = Arc::clone(proxy);
        // A proxy itself speaks HTTP/1.1; it can only pass on HTTP/2 and TLS.
        if origin.is_tls() || proxy.scheme.is_socks() || !protocol.allows_http1() {
            Ok(Self::Tunnel(proxy))
        } else {
            Ok(Self::Forward(proxy))
        }
    }

    /// The route to a stand-in of the origin: a tunnel, since a proxy that makes requests would connect to the origin.
    pub(super) fn into_tunnel(self) -> Self {
        match self {
            Self::Forward(proxy) => Self::Tunnel(proxy),
            other => other,
        }
    }

    /// The proxy, if there is one.
    pub(super) fn proxy(&self) -> Option<&Arc<Proxy>> {
        match self {
            Self::Direct => None,
            Self::Forward(proxy) | Self::Tunnel(proxy) => Some(proxy),
        }
    }

    /// The proxy that makes the requests itself.
    pub(super) fn forwarder(&self) -> Option<&Proxy> {
        match self {
            Self::Forward(proxy) => Some(proxy),
            Self::Direct | Self::Tunnel(_) => None,
        }
    }

    /// Whether a proxy passes bytes on without understanding them.
    pub(super) fn is_tunnel(&self) -> bool {
        matches!(self, Self::Tunnel(_))
    }

    /// Whether the proxy must be told an address of the origin.
    pub(super) fn tells_address(&self) -> bool {
        self.proxy()
            .is_some_and(|proxy| proxy.scheme == ProxyScheme::Socks5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(proxy: &str, url: &str, protocol: Protocol) -> Route {
        let proxies = Proxies::all(proxy.parse().unwrap());
        Route::to(
            &Origin::of(&url.parse().unwrap()).unwrap(),
            &proxies,
            protocol,
        )
        .unwrap()
    }

    #[test]
    fn only_an_http_proxy_is_given_plain_requests() {
        for (proxy, url, protocol, is_tunnel) in [
            ("http://p", "http://h/", Protocol::Negotiated, false),
            ("https://p", "http://h/", Protocol::Http1, false),
            ("http://p", "http://h/", Protocol::Http2, true),
            ("http://p", "https://h/", Protocol::Http1, true),
            ("socks5h://p", "http://h/", Protocol::Negotiated, true),
        ] {
            let route = route(proxy, url, protocol);
            assert_eq!(route.is_tunnel(), is_tunnel, "{proxy} {url}");
            assert_eq!(route.forwarder().is_some(), !is_tunnel, "{proxy} {url}");
        }
    }
}
