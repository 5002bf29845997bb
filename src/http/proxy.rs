//! [`Proxy`]: through whom requests go; [`Proxies`]: which one, if any, those of an origin take. Pure.
//!
//! What a proxy is told stands in `http1/connect.rs` and `socks.rs`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

use super::auth::Credentials;
use super::no_proxy::NoProxy;
use super::origin::{Origin, Scheme};

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// HTTP (RFC 9110 §3.7), in the clear; port 80 unless said otherwise.
    Http,
    /// The same over TLS; port 443 unless said otherwise.
    Https,
    /// SOCKS version 5 (RFC 1928), told addresses: names are looked up here; port 1080 unless said otherwise.
    Socks5,
    /// The same, told names: the proxy looks them up.
    Socks5h,
}

impl ProxyScheme {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Socks5, Self::Socks5h];

    /// The scheme as URLs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    /// Whether it is one of the two that speak SOCKS.
    pub fn is_socks(self) -> bool {
        matches!(self, Self::Socks5 | Self::Socks5h)
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }
}

/// One proxy. Shown without its login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// How it is spoken to.
    pub scheme: ProxyScheme,
    /// Name in lower case and ASCII, or a literal address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What it is to be told of who asks: the userinfo of its URL, percent-decoded.
    pub credentials: Option<Credentials>,
}

/// Why a text names no proxy. It is not repeated, since it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProxy {
    /// A scheme that is not spoken.
    #[error("unsupported proxy scheme '{0}': only http, https, socks5 and socks5h are")]
    Scheme(String),
    /// It cannot be read as a URL with a host.
    #[error("not the URL of a proxy, such as http://proxy.example:3128")]
    Url,
    /// SOCKS has no room for such a login (RFC 1929 §2).
    #[error("SOCKS takes a user of 1 to 255 bytes, and a password of at most 255")]
    Login,
}

/// Reads `[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]`; without a scheme it is http. A path is passed over.
impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (named(scheme)?, rest),
            None => (ProxyScheme::Http, text),
        };
        // Under a scheme of its own no port is taken for the usual one, and left out.
        let url = Url::parse(&format!("proxy://{rest}")).map_err(|_| BadProxy::Url)?;
        let host = url.host_str().ok_or(BadProxy::Url)?;
        let host = match Host::parse(host).map_err(|_| BadProxy::Url)? {
            Host::Domain(name) => name,
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port().unwrap_or_else(|| scheme.default_port());
        if host.is_empty() || port == 0 {
            return Err(BadProxy::Url);
        }
        let credentials = Credentials::from_url(&url);
        let is_sayable = |login: &Credentials| {
            (1..=255).contains(&login.user().len()) && login.password().len() <= 255
        };
        if scheme.is_socks() && !credentials.as_ref().is_none_or(is_sayable) {
            return Err(BadProxy::Login);
        }
        Ok(Self {
            scheme,
            host,
            port,
            credentials,
        })
    }
}

fn named(scheme: &str) -> Result<ProxyScheme, BadProxy> {
    let mut known = ProxyScheme::ALL.into_iter();
    if let Some(scheme) = known.find(|known| scheme.eq_ignore_ascii_case(known.as_str())) {
        return Ok(scheme);
    }
    // What is no scheme at all may be a login.
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.is_empty() && scheme.bytes().all(is_scheme) {
        return Err(BadProxy::Scheme(scheme.to_owned()));
    }
    Err(BadProxy::Url)
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, port) = (self.scheme.as_str(), self.port);
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => write!(f, "{scheme}://[{address}]:{port}"),
            _ => write!(f, "{scheme}://{}:{port}", self.host),
        }
    }
}

/// Which proxy, if any, the requests of an origin take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxies {
    /// For origins that are spoken to in the clear.
    pub http: Option<Arc<Proxy>>,
    /// For origins that are spoken to over TLS.
    pub https: Option<Arc<Proxy>>,
    /// Hosts that are spoken to without one.
    pub exempt: NoProxy,
}

impl Proxies {
    /// One for all origins.
    pub fn all(proxy: Proxy) -> Self {
        let proxy = Arc::new(proxy);
        Self {
            http: Some(Arc::clone(&proxy)),
            https: Some(proxy),
            exempt: NoProxy::default(),
        }
    }

    /// What the environment says, in the variables that curl and wget read: `http_proxy`, `https_proxy` and, for
    /// both, `all_proxy`, the latter two in upper case as well. HTTP_PROXY is not read: whoever
    /// sends a Proxy header to a CGI program would choose it. An empty variable is none.
    ///
    /// # Errors
    /// The name of a variable that names no proxy, and why.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, (&'static str, BadProxy)> {
        let first = |names: [&'static str; 2]| {
            let set = |name| Some((name, variable(name).filter(|text| !text.is_empty())?));
            names.into_iter().find_map(set)
        };
        let read = |found: Option<(&'static str, String)>| {
            let read = found.map(|(name, text)| text.parse().map_err(|why| (name, why)));
            read.transpose().map(|proxy| proxy.map(Arc::new))
        };
        let rest = read(first(["all_proxy", "ALL_PROXY"]))?;
        Ok(Self {
            http: read(first(["http_proxy", "http_proxy"]))?.or_else(|| rest.clone()),
            https: read(first(["https_proxy", "HTTPS_PROXY"]))?.or(rest),
            exempt: NoProxy::default(),
        })
    }

    /// The proxy of an origin; none where it is spoken to without one.
    pub fn of(&self, origin: &Origin) -> Option<&Arc<Proxy>> {
        let proxy = match origin.scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        };
        proxy.filter(|_| !self.exempt.has(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(text: &str) -> Proxy {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_proxy_has_the_port_of_its_scheme_unless_one_is_named() {
        for (text, shown) in [
            ("http://Proxy.Example", "http://proxy.example:80"),
            ("https://proxy.example/", "https://proxy.example:443"),
            ("socks5://proxy.example", "socks5://proxy.example:1080"),
            ("SOCKS5H://127.0.0.1", "socks5h://127.0.0.1:1080"),
            ("socks5://h:80", "socks5://h:80"),
            ("https://h:80", "https://h:80"),
            ("proxy.example:3128", "http://proxy.example:3128"),
            (" localhost ", "http://localhost:80"),
            ("[::1]:3128", "http://[::1]:3128"),
            ("http://0x7f.1:8080/a?b", "http://127.0.0.1:8080"),
            ("bücher.example", "http://xn--bcher-kva.example:80"),
        ] {
            assert_eq!(proxy(text).to_string(), shown);
        }
    }

    #[test]
    fn a_login_is_decoded_and_never_shown() {
        let given = proxy("u%40x:p%3A%20q@h:3128");
        assert_eq!(given.credentials, Some(Credentials::parse("u@x:p: q")));
        assert_eq!(given.to_string(), "http://h:3128");
        let shown = format!("{given:?}");
        assert!(!shown.contains("p: q") && !shown.contains("u@x"), "{shown}");
    }

    #[test]
    fn what_names_no_proxy_is_refused_and_not_repeated() {
        for (text, why) in [
            ("socks4://h", BadProxy::Scheme("socks4".to_owned())),
            ("ftp://h", BadProxy::Scheme("ftp".to_owned())),
            ("", BadProxy::Url),
            ("http://", BadProxy::Url),
            ("://h", BadProxy::Url),
            ("me:hunter2://h", BadProxy::Url),
            ("http://h:99999", BadProxy::Url),
            ("http://h:0", BadProxy::Url),
            ("http://a b", BadProxy::Url),
            ("http://me:hunter2@", BadProxy::Url),
            ("http://[::1", BadProxy::Url),
            ("socks5://:p@h", BadProxy::Login),
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(why), "{text}");
        }
        let long = format!("socks5://{}@h", "u".repeat(256));
        assert_eq!(long.parse::<Proxy>(), Err(BadProxy::Login));
    }

    fn environment(
        variables: &'static [(&str, &str)],
    ) -> Result<Proxies, (&'static str, BadProxy)> {
        Proxies::from_environment(|wanted| {
            let mut found = variables.iter().filter(|(name, _)| *name == wanted);
            found.next().map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(proxies: &Proxies, url: &str) -> Option<String> {
        let origin = Origin::of(&Url::parse(url).unwrap()).unwrap();
        proxies.of(&origin).map(ToString::to_string)
    }

    #[test]
    fn the_scheme_of_an_origin_chooses_among_the_variables() {
        let proxies = environment(&[
            ("http_proxy", "a:1"),
            ("HTTPS_PROXY", "socks5://b:2"),
            ("ALL_PROXY", "c:3"),
        ])
        .unwrap();
        assert_eq!(chosen(&proxies, "http://x/").as_deref(), Some("http://a:1"));
        assert_eq!(
            chosen(&proxies, "https://x/").as_deref(),
            Some("socks5://b:2")
        );
        let proxies = environment(&[("https_proxy", ""), ("all_proxy", "c:3")]).unwrap();
        assert_eq!(
            chosen(&proxies, "https://x/").as_deref(),
            Some("http://c:3")
        );
        assert_eq!(chosen(&proxies, "http://x/").as_deref(), Some("http://c:3"));
    }

    #[test]
    fn a_variable_that_a_stranger_may_set_is_not_read() {
        let proxies = environment(&[("HTTP_PROXY", "evil:1")]).unwrap();
        assert_eq!(proxies, Proxies::default());
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_named() {
        let (name, why) = environment(&[("all_proxy", "gopher://h")]).unwrap_err();
        assert_eq!(name, "all_proxy");
        assert_eq!(why, BadProxy::Scheme("gopher".to_owned()));
    }

    #[test]
    fn exempt_hosts_are_spoken_to_without_a_proxy() {
        let mut proxies = Proxies::all(proxy("h:3128"));
        proxies.exempt = NoProxy::parse("example.com");
        assert_eq!(chosen(&proxies, "https://www.example.com/"), None);
        assert!(chosen(&proxies, "http://example.org/").is_some());
    }
}
