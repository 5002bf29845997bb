//! [`Proxy`]: the address and login of a proxy. [`Proxies`]: which proxy, if any, an origin is reached by. No I/O.
//!
//! The protocols are in `http1/connect.rs` and `socks.rs`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

use super::auth::Credentials;
use super::no_proxy::NoProxy;
use super::origin::{Origin, Scheme};
use crate::error::Fault;

/// The protocol that a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// HTTP in plaintext (RFC 9110 §3.7); default port 80.
    Http,
    /// HTTP over TLS; default port 443.
    Https,
    /// SOCKS version 5 (RFC 1928) with names looked up on this machine; default port 1080.
    Socks5,
    /// SOCKS version 5 with names looked up by the proxy; default port 1080.
    Socks5h,
}

impl ProxyScheme {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Socks5, Self::Socks5h];

    /// The scheme of this name. GNOME and others set `socks` for a SOCKS5 proxy, which looks names up.
    fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("socks") {
            return Some(Self::Socks5h);
        }
        let mut known = Self::ALL.into_iter();
        known.find(|known| name.eq_ignore_ascii_case(known.as_str()))
    }

    /// The scheme as written in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    /// Whether the protocol is SOCKS.
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

/// One proxy. `Display` omits the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The protocol.
    pub scheme: ProxyScheme,
    /// A name in lower-case ASCII, or an IP address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The login for the proxy: the userinfo of its URL, percent-decoded.
    pub credentials: Option<Credentials>,
}

/// Why a text is not the URL of a proxy. The text is not quoted, because it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProxy {
    /// The scheme is not supported.
    #[error("unsupported proxy scheme '{0}': use http, https, socks5 or socks5h")]
    Scheme(String),
    /// It is not a URL with a host.
    #[error("not the URL of a proxy, such as http://proxy.example:3128")]
    Url,
    /// The login is too long for SOCKS, or its user is empty (RFC 1929 §2).
    #[error(
        "a SOCKS proxy takes a user name of 1 to 255 bytes and a password of at most 255 bytes"
    )]
    Login,
}

/// Parses `[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]`. The default scheme is http. A path is ignored.
impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (named(scheme)?, rest),
            None => (ProxyScheme::Http, text),
        };
        // The `url` crate drops the default port of a scheme it knows, so it gets one that it does not know.
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
        if scheme.is_socks() && !credentials.as_ref().is_none_or(fits_socks) {
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

/// Whether SOCKS can carry the login (RFC 1929 §2).
fn fits_socks(login: &Credentials) -> bool {
    (1..=255).contains(&login.user().len()) && login.password().len() <= 255
}

fn named(scheme: &str) -> Result<ProxyScheme, BadProxy> {
    if let Some(scheme) = ProxyScheme::named(scheme) {
        return Ok(scheme);
    }
    // Text that is no scheme may be a login, so it is not quoted.
    if !scheme.is_empty() && scheme.bytes().all(is_scheme_byte) {
        return Err(BadProxy::Scheme(scheme.to_owned()));
    }
    Err(BadProxy::Url)
}

/// RFC 3986 §3.1.
fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
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

/// A proxy, or the variable that should name one. An invalid value is an error only for the origins that need it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Setting {
    Proxy(Arc<Proxy>),
    Invalid {
        variable: &'static str,
        why: BadProxy,
    },
}

/// The proxies of a run, by scheme of the origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxies {
    /// The proxy for http origins.
    http: Option<Setting>,
    /// The proxy for https origins.
    https: Option<Setting>,
    /// Hosts that are reached without a proxy.
    pub exempt: NoProxy,
}

impl Proxies {
    /// One proxy for all origins.
    pub fn all(proxy: Proxy) -> Self {
        let proxy = Setting::Proxy(Arc::new(proxy));
        Self {
            http: Some(proxy.clone()),
            https: Some(proxy),
            exempt: NoProxy::default(),
        }
    }

    /// The proxies of the environment, from the variables that curl and wget read: `http_proxy`, `https_proxy` and,
    /// for both schemes, `all_proxy`; the latter two also in upper case. HTTP_PROXY is not read: in a CGI program
    /// the sender of a `Proxy` header could set it. An empty variable counts as unset. One that does not hold the URL
    /// of a proxy is an error for the origins that need it, which are never reached without a proxy instead.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let all = first_set(&["all_proxy", "ALL_PROXY"], &variable);
        Self {
            http: first_set(&["http_proxy"], &variable).or_else(|| all.clone()),
            https: first_set(&["https_proxy", "HTTPS_PROXY"], &variable).or(all),
            exempt: NoProxy::default(),
        }
    }

    /// The proxy of an origin; `None` if it is reached without one.
    ///
    /// # Errors
    /// [`Fault::ProxyVariable`]: the variable with its proxy does not hold the URL of a proxy.
    pub fn of(&self, origin: &Origin) -> Result<Option<&Arc<Proxy>>, Fault> {
        if self.exempt.has(origin) {
            return Ok(None);
        }
        let setting = match origin.scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        };
        match setting {
            None => Ok(None),
            Some(Setting::Proxy(proxy)) => Ok(Some(proxy)),
            Some(Setting::Invalid { variable, why }) => Err(Fault::ProxyVariable {
                variable,
                reason: why.to_string(),
            }),
        }
    }
}

/// The proxy in the first of these variables that is set and not empty.
fn first_set(names: &[&'static str], variable: impl Fn(&str) -> Option<String>) -> Option<Setting> {
    names.iter().find_map(|&name| {
        let text = variable(name).filter(|text| !text.is_empty())?;
        Some(match text.parse() {
            Ok(proxy) => Setting::Proxy(Arc::new(proxy)),
            Err(why) => Setting::Invalid {
                variable: name,
                why,
            },
        })
    })
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
            ("socks://h/", "socks5h://h:1080"),
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

    fn environment(variables: &'static [(&str, &str)]) -> Proxies {
        Proxies::from_environment(|wanted| {
            let mut found = variables.iter().filter(|(name, _)| *name == wanted);
            found.next().map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(proxies: &Proxies, url: &str) -> Option<String> {
        let origin = Origin::of(&Url::parse(url).unwrap()).unwrap();
        let proxy = proxies.of(&origin).unwrap();
        proxy.map(ToString::to_string)
    }

    #[test]
    fn the_scheme_of_an_origin_chooses_among_the_variables() {
        let proxies = environment(&[
            ("http_proxy", "a:1"),
            ("HTTPS_PROXY", "socks5://b:2"),
            ("ALL_PROXY", "c:3"),
        ]);
        assert_eq!(chosen(&proxies, "http://x/").as_deref(), Some("http://a:1"));
        assert_eq!(
            chosen(&proxies, "https://x/").as_deref(),
            Some("socks5://b:2")
        );
        let proxies = environment(&[("https_proxy", ""), ("all_proxy", "c:3")]);
        assert_eq!(
            chosen(&proxies, "https://x/").as_deref(),
            Some("http://c:3")
        );
        assert_eq!(chosen(&proxies, "http://x/").as_deref(), Some("http://c:3"));
    }

    #[test]
    fn a_variable_that_a_stranger_may_set_is_not_read() {
        let proxies = environment(&[("HTTP_PROXY", "evil:1")]);
        assert_eq!(proxies, Proxies::default());
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_an_error_where_it_is_needed() {
        let mut proxies = environment(&[("all_proxy", "gopher://h"), ("http_proxy", "a:1")]);
        proxies.exempt = NoProxy::parse("free");
        assert_eq!(chosen(&proxies, "http://x/").as_deref(), Some("http://a:1"));
        assert_eq!(chosen(&proxies, "https://free/"), None);
        let origin = Origin::of(&Url::parse("https://x/").unwrap()).unwrap();
        let fault = proxies.of(&origin).unwrap_err().to_string();
        assert!(
            fault.contains("all_proxy") && fault.contains("'gopher'"),
            "{fault}"
        );
    }

    #[test]
    fn exempt_hosts_are_spoken_to_without_a_proxy() {
        let mut proxies = Proxies::all(proxy("h:3128"));
        proxies.exempt = NoProxy::parse("example.com");
        assert_eq!(chosen(&proxies, "https://www.example.com/"), None);
        assert!(chosen(&proxies, "http://example.org/").is_some());
    }
}
