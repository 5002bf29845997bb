//! The head of a request in HTTP/2 (RFC 9113 §8.3.1): pseudo-fields, and fields in lower case that are not specific
//! to a connection.

use std::fmt::Write as _;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ::http::uri::{self, Authority, PathAndQuery, Uri};
use ::http::{Request, Version};

use crate::http::grammar::elements;
use crate::http::{Method, Scheme, Target, Unsendable, is_credential};

/// Fields that are specific to a connection or to framing, which HTTP/2 does not use (RFC 9113 §8.2.2).
const CONNECTION_SPECIFIC: [&str; 8] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The fields that many requests to one origin share.
#[derive(Debug, Clone)]
pub struct Fields {
    scheme: uri::Scheme,
    authority: Authority,
    fields: HeaderMap,
}

impl Fields {
    /// The fields of requests to the origin of `target`. A given Host replaces the origin's authority. Fields that are
    /// specific to a connection, and those that a Connection field names, are omitted. Credentials are never indexed by
    /// the compression (RFC 7541 §7.1.3).
    ///
    /// # Errors
    /// [`Unsendable`]: a name, a value or the Host cannot stand in a request.
    pub fn new<'a>(
        target: Target<'_>,
        given: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Unsendable> {
        let given: Vec<_> = given.collect();
        let options = given.iter().filter(|(name, _)| is(name, "connection"));
        let named: Vec<&[u8]> = elements(options.map(|(_, value)| value.as_bytes())).collect();
        let mut host = None;
        let mut fields = HeaderMap::with_capacity(given.len());
        for (name, value) in &given {
            if is(name, "host") {
                host = Some(*value);
            } else if !is_hop(name, &named) || (is(name, "te") && is(value, "trailers")) {
                let mut sent =
                    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| Unsendable::Value)?;
                sent.set_sensitive(is_credential(name));
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unsendable::Name)?;
                fields.append(name, sent);
            }
        }
        let own = target.authority();
        let authority = Authority::try_from(host.unwrap_or(&own));
        Ok(Self {
            scheme: match target.origin().scheme {
                Scheme::Http => uri::Scheme::HTTP,
                Scheme::Https => uri::Scheme::HTTPS,
            },
            authority: authority.map_err(|_| Unsendable::Authority)?,
            fields,
        })
    }

    /// A request for another target of the origin.
    ///
    /// # Errors
    /// [`Unsendable::Target`].
    pub fn request(&self, method: Method, target: Target<'_>) -> Result<Request<()>, Unsendable> {
        let path = target.path();
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unsendable::Target);
        }
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|_| Unsendable::Target)?);
        let mut request = Request::new(());
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Unsendable::Target)?;
        *request.method_mut() = match method {
            Method::Get => ::http::Method::GET,
            Method::Head => ::http::Method::HEAD,
        };
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.fields.clone();
        Ok(request)
    }
}

/// Whether a field has this name.
fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// Whether a field is specific to a connection: always, or because a Connection field names it.
fn is_hop(name: &str, named: &[&[u8]]) -> bool {
    let mut named = named.iter();
    CONNECTION_SPECIFIC.iter().any(|hop| is(name, hop))
        || named.any(|hop| name.as_bytes().eq_ignore_ascii_case(hop))
}

/// A request in the form of HTTP/1.1, for logs: one line for each field.
pub(crate) fn request_text(request: &Request<()>) -> String {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let authority = uri.authority().map_or("", Authority::as_str);
    let mut text = format!("{} {target} HTTP/2\nhost: {authority}\n", request.method());
    for (name, value) in request.headers() {
        // Writing to a String never fails.
        let _ = writeln!(
            text,
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Origin;

    fn fields(url: &str, given: &[(&str, &str)]) -> Result<Fields, Unsendable> {
        let origin = Origin::of(&url.parse().unwrap()).unwrap();
        Fields::new(Target::new(&origin, "/"), given.iter().copied())
    }

    /// A request for a path of an origin that is not looked at.
    fn request(fields: &Fields, method: Method, path: &str) -> Result<Request<()>, Unsendable> {
        let origin = Origin::of(&"http://h/".parse().unwrap()).unwrap();
        fields.request(method, Target::new(&origin, path))
    }

    fn asked(given: &[(&str, &str)]) -> String {
        let fields = fields("https://a.example:8443/", given).unwrap();
        request_text(&request(&fields, Method::Get, "/x?y=%20z").unwrap())
    }

    #[test]
    fn a_request_has_its_pseudo_fields_and_lower_case_names() {
        let fields = fields("http://[::1]/", &[("Accept", "*/*"), ("X-A", "é")]).unwrap();
        let request = request(&fields, Method::Head, "/a").unwrap();
        assert_eq!(request.uri().to_string(), "http://[::1]/a");
        assert_eq!(request.method(), ::http::Method::HEAD);
        assert_eq!(
            request_text(&request),
            "HEAD /a HTTP/2\nhost: [::1]\naccept: */*\nx-a: é\n"
        );
    }

    #[test]
    fn a_host_that_was_given_becomes_the_authority() {
        assert!(asked(&[]).contains("host: a.example:8443\n"));
        assert!(asked(&[("Host", "b.example")]).contains("host: b.example\n"));
        let bad = fields("https://a/", &[("Host", "b c")]);
        assert_eq!(bad.unwrap_err(), Unsendable::Authority);
    }

    #[test]
    fn nothing_that_speaks_of_connections_is_sent() {
        let given = [
            ("Connection", "keep-alive, X-Hop"),
            ("Keep-Alive", "5"),
            ("X-Hop", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("TE", "gzip"),
            ("Content-Length", "5"),
            ("X-Kept", "1"),
        ];
        let text = asked(&given);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("x-kept: 1\n"));
        assert!(asked(&[("TE", "trailers")]).contains("te: trailers"));
    }

    #[test]
    fn a_field_that_comes_twice_is_sent_twice() {
        let text = asked(&[("Cookie", "a=1"), ("cookie", "b=2")]);
        assert!(text.ends_with("cookie: a=1\ncookie: b=2\n"), "{text}");
    }

    #[test]
    fn credentials_are_marked_as_secret() {
        let fields = fields("https://a/", &[("Authorization", "x"), ("Accept", "y")]).unwrap();
        let request = request(&fields, Method::Get, "/").unwrap();
        let is_secret = |name: &str| request.headers()[name].is_sensitive();
        assert!(is_secret("authorization") && !is_secret("accept"));
    }

    #[test]
    fn what_would_break_out_is_refused() {
        for (name, value, why) in [
            ("a b", "x", Unsendable::Name),
            ("é", "x", Unsendable::Name),
            ("a", "x\r\ny", Unsendable::Value),
            ("a", "\0", Unsendable::Value),
        ] {
            assert_eq!(fields("http://a/", &[(name, value)]).unwrap_err(), why);
        }
        let fields = fields("http://a/", &[]).unwrap();
        for target in ["/a b", "/\r\n", "/é", "/\0", "x y"] {
            assert!(request(&fields, Method::Get, target).is_err(), "{target:?}");
        }
    }
}
