//! [`Origin`]: scheme, host and port of a URL.

use std::fmt::Write as _;
use std::net::IpAddr;

use url::{Host, Url};

use super::zone;
use crate::error::Fault;

/// The scheme of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plaintext; default port 80.
    Http,
    /// TLS; default port 443.
    Https,
}

impl Scheme {
    /// The scheme as written in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of a URL without a port (RFC 9110 §4.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Scheme, host and port (RFC 9110 §4.3.1). Connections and credentials are shared within an origin, never across.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Plaintext or TLS.
    pub scheme: Scheme,
    /// A name in lower-case ASCII, or an IP address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The zone of a link-local address: the name or the number of an interface. It is never sent.
    pub zone: Option<String>,
}

impl Origin {
    /// The origin of a URL.
    ///
    /// # Errors
    ///
    /// [`Fault::UnsupportedScheme`] if the scheme is neither http nor https, [`Fault::BadUrl`] if there is no host.
    pub fn of(url: &Url) -> Result<Self, Fault> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => return Err(Fault::UnsupportedScheme(other.to_owned())),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(Fault::BadUrl("it has no host".to_owned())),
        };
        let port = url.port().unwrap_or_else(|| scheme.default_port());
        let zone = zone::of(url).map(str::to_owned);
        Ok(Self {
            scheme,
            host,
            port,
            zone,
        })
    }

    /// Whether a URL has this origin. Cheaper than comparing with [`Origin::of`]: it allocates nothing.
    pub fn is_of(&self, url: &Url) -> bool {
        let host = url.host_str().map(|host| host.trim_matches(['[', ']']));
        url.scheme() == self.scheme.as_str()
            && url.port().unwrap_or_else(|| self.scheme.default_port()) == self.port
            && host == Some(&*self.host)
            && zone::of(url) == self.zone.as_deref()
    }

    /// Whether connections to this origin use TLS.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// The address, if the host is an IP address that needs no lookup.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Host and port as the target of CONNECT: always with a port, IPv6 in brackets (RFC 9112 §3.2.3).
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.uri_host(), self.port)
    }

    fn uri_host(&self) -> String {
        match self.ip() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        }
    }

    /// The value of the Host field: without the scheme's default port, IPv6 in brackets (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let mut authority = self.uri_host();
        if self.port != self.scheme.default_port() {
            // Writing to a String cannot fail.
            let _ = write!(authority, ":{}", self.port);
        }
        authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Result<Origin, Fault> {
        Origin::of(&Url::parse(url).unwrap())
    }

    #[test]
    fn the_port_is_the_schemes_own_unless_named() {
        let plain = origin("http://Example.COM/a").unwrap();
        assert_eq!(
            (plain.scheme, &*plain.host, plain.port),
            (Scheme::Http, "example.com", 80)
        );
        assert!(!plain.is_tls());
        assert_eq!(plain, origin("http://u:p@example.com:80/b?c").unwrap());
        let tls = origin("https://example.com").unwrap();
        assert!(tls.is_tls() && tls.port == 443 && tls.scheme.as_str() == "https");
        assert_ne!(tls, origin("https://example.com:444").unwrap());
    }

    #[test]
    fn an_origin_knows_its_urls() {
        for url in [
            "http://example.com/a",
            "https://example.com:444/",
            "http://127.1:80/",
            "https://u:p@[::1]:8443/?x",
        ] {
            let parsed = Url::parse(url).unwrap();
            assert!(origin(url).unwrap().is_of(&parsed), "{url}");
            for other in [
                "http://example.org/a",
                "https://example.com/",
                "http://[::2]/",
            ] {
                assert!(!origin(other).unwrap().is_of(&parsed), "{url} {other}");
            }
        }
    }

    #[test]
    fn authority_has_a_port_only_where_it_is_unusual() {
        for (url, expected) in [
            ("http://example.com/", "example.com"),
            ("http://example.com:8080/", "example.com:8080"),
            ("https://example.com:80/", "example.com:80"),
            ("http://[::1]/", "[::1]"),
            ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
            ("http://[fe80::1]/#zone-id=eth0", "[fe80::1]"),
            ("http://127.0.0.1:3000/", "127.0.0.1:3000"),
            ("http://bücher.example/", "xn--bcher-kva.example"),
        ] {
            assert_eq!(origin(url).unwrap().authority(), expected);
        }
    }

    #[test]
    fn a_tunnel_is_asked_for_with_the_port_in_any_case() {
        for (url, expected) in [
            ("https://example.com/", "example.com:443"),
            ("http://[::1]/", "[::1]:80"),
        ] {
            assert_eq!(origin(url).unwrap().host_and_port(), expected);
        }
    }

    #[test]
    fn literal_addresses_need_no_lookup() {
        assert_eq!(
            origin("http://[::1]/").unwrap().ip(),
            Some("::1".parse().unwrap())
        );
        assert_eq!(
            origin("http://0x7f.1/").unwrap().ip(),
            Some("127.0.0.1".parse().unwrap())
        );
        assert_eq!(origin("http://localhost/").unwrap().ip(), None);
        assert_eq!(origin("http://[::1]/").unwrap().host, "::1");
    }

    #[test]
    fn other_schemes_are_refused() {
        for url in ["ftp://example.com/", "file:///etc/passwd", "data:,x"] {
            assert!(
                matches!(origin(url), Err(Fault::UnsupportedScheme(_))),
                "{url}"
            );
        }
    }
}
