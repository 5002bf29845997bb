//! The head of a request: its fields, and which of them an origin may receive.

use std::ptr;
use std::sync::Arc;
use std::time::Instant;

use super::Transfer;
use crate::error::Fault;
use crate::http::{Credentials, Field, Form, Jar, Method, Netrc, Origin, Target, Unsendable};
use crate::http1;
use crate::http2::{self, Fields};
use crate::multi::Easy;
use crate::multi::events::Subject;
use crate::multi::route::Route;

/// The product name (RFC 9110 §10.1.5).
const USER_AGENT: &str = concat!("gannet/", env!("CARGO_PKG_VERSION"));

/// The encoded fields of a request, kept for the next request to the origin with the same fields.
#[derive(Debug, Default)]
pub(in crate::multi) struct Prepared {
    /// For HTTP/1.1; empty until it is needed.
    bytes: Vec<u8>,
    /// For HTTP/2.
    fields: Option<Fields>,
    /// The headers that the fields were made from…
    headers: Option<Arc<[Field]>>,
    /// …and the credentials. With the same two, the fields are still valid.
    credentials: Option<Arc<Credentials>>,
}

impl Prepared {
    /// Drops fields that were made for other headers or credentials.
    fn make_ready_for<S>(&mut self, easy: &Easy<S>) {
        if !self.is_for(easy) {
            self.bytes.clear();
            self.fields = None;
            self.headers = Some(Arc::clone(&easy.headers));
            self.credentials = easy.credentials.clone();
        }
    }

    fn is_for<S>(&self, easy: &Easy<S>) -> bool {
        let has_headers = self
            .headers
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, &easy.headers));
        has_headers
            && match (&self.credentials, &easy.credentials) {
                (Some(own), Some(given)) => Arc::ptr_eq(own, given),
                (own, given) => own.is_none() && given.is_none(),
            }
    }
}

/// Names and values of fields, in their order.
type Pairs<'a> = dyn Iterator<Item = (&'a str, &'a str)> + 'a;

fn unsendable(error: Unsendable) -> Fault {
    Fault::BadUrl(error.to_string())
}

/// Whether a field has this name.
fn is(field: &Field, name: &str) -> bool {
    field.name().eq_ignore_ascii_case(name)
}

/// A transfer's next request, and its target.
pub(in crate::multi) struct NextRequest<'a, S> {
    transfer: &'a Transfer<S>,
    target: Target<'a>,
    /// How the origin is reached.
    route: &'a Route,
    /// Logins of hosts.
    netrc: Option<&'a Netrc>,
    /// The cookies of the jar for it.
    cookies: Option<String>,
}

impl<'a, S> NextRequest<'a, S> {
    /// The next request of a transfer, without cookies of a jar.
    pub(super) fn new(
        transfer: &'a Transfer<S>,
        origin: &'a Origin,
        route: &'a Route,
        netrc: Option<&'a Netrc>,
    ) -> Self {
        Self {
            transfer,
            target: if transfer.redirects.are_paths_typed {
                Target::as_typed(origin, transfer.url())
            } else {
                Target::of(origin, transfer.url())
            },
            route,
            netrc,
            cookies: None,
        }
    }

    /// Adds the cookies of the jar. An empty Cookie field means that no cookies are sent.
    pub(super) fn add_cookies(&mut self, jar: &mut Jar, now: Instant) {
        let given = self.given_cookies();
        let is_allowed = given.clone().all(|value| value.is_some());
        let length = given.flatten().map(|value| value.len() + "; ".len()).sum();
        let field = jar.field(self.transfer.url(), length, now);
        self.cookies = if is_allowed { field } else { None };
    }

    /// The login that the request has for the origin (401) or for the proxy that makes it (407), unless a header gives
    /// another one.
    pub(super) fn credentials(&self, status: u16) -> Option<Credentials> {
        let (name, login) = match status {
            401 => ("Authorization", self.login()),
            407 => (
                "Proxy-Authorization",
                self.route.forwarder()?.credentials.clone(),
            ),
            _ => return None,
        };
        let is_given = self.given().any(|field| is(field, name));
        if is_given { None } else { login }
    }

    /// Whether the request has a login for the origin (401) or the proxy (407), of any kind.
    pub(super) fn has_login(&self, status: u16) -> bool {
        let name = if status == 407 {
            "Proxy-Authorization"
        } else {
            "Authorization"
        };
        self.given().any(|field| is(field, name)) || self.credentials(status).is_some()
    }

    pub(in crate::multi) fn subject(&self) -> Subject {
        self.transfer.subject()
    }

    pub(in crate::multi) fn method(&self) -> Method {
        self.transfer.easy.method
    }

    /// Encodes the head for HTTP/1.1.
    pub(in crate::multi) fn write_head(
        &self,
        prepared: &mut Prepared,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let easy = &self.transfer.easy;
        let form = match self.route {
            Route::Forward(_) => Form::Absolute,
            Route::Direct | Route::Tunnel(_) => Form::Origin,
        };
        http1::encode_line(out, easy.method, self.target.clone(), form).map_err(unsendable)?;
        if self.is_special() {
            return self.with_fields(|fields| http1::encode_fields(out, fields));
        }
        prepared.make_ready_for(easy);
        if prepared.bytes.is_empty() {
            let mut bytes = Vec::new();
            self.with_fields(|fields| http1::encode_fields(&mut bytes, fields))?;
            prepared.bytes = bytes;
        }
        out.extend_from_slice(&prepared.bytes);
        Ok(())
    }

    /// The head for HTTP/2.
    pub(in crate::multi) fn stream_request(
        &self,
        prepared: &mut Prepared,
    ) -> Result<http2::Request, Fault> {
        let easy = &self.transfer.easy;
        let target = &self.target;
        let make = || self.with_fields(|fields| Fields::new(target.clone(), fields));
        let request = if self.is_special() {
            make()?.request(easy.method, target.clone())
        } else {
            prepared.make_ready_for(easy);
            let fields = match &mut prepared.fields {
                Some(fields) => fields,
                none => none.insert(make()?),
            };
            fields.request(easy.method, target.clone())
        };
        request.map_err(unsendable)
    }

    /// Whether it may have fields that differ from those of other requests to the origin.
    fn is_special(&self) -> bool {
        let easy = &self.transfer.easy;
        let has_userinfo = !easy.url.username().is_empty() || easy.url.password().is_some();
        let has_own = !easy.own_headers.is_empty() || has_userinfo || self.cookies.is_some();
        let logins = &self.transfer.logins;
        let has_digest = logins.origin.is_some() || logins.proxy.is_some();
        self.transfer.redirects.url.is_some() || has_own || has_digest
    }

    /// Whether it goes to the origin of the first URL.
    fn is_home(&self) -> bool {
        self.transfer.redirects.url.is_none() || self.target.origin().is_of(&self.transfer.easy.url)
    }

    /// Passes the fields to `write`. Given fields replace the defaults, except that given cookies precede those of the
    /// jar. Of several given Hosts the first counts: servers refuse a request with two (RFC 9112 §3.2).
    fn with_fields<T>(
        &self,
        write: impl for<'f> FnOnce(&mut Pairs<'f>) -> Result<T, Unsendable>,
    ) -> Result<T, Fault> {
        let is_given = |name: &str| self.given().any(|field| is(field, name));
        let authority = self.target.authority();
        let authorization = self.authorization();
        let to_proxy = self.proxy_authorization();
        let cookies = self.all_cookies();
        let defaults = [
            Some(("Host", authority.as_str())),
            Some(("User-Agent", USER_AGENT)),
            Some(("Accept", "*/*")),
            authorization
                .as_deref()
                .map(|login| ("Authorization", login)),
            to_proxy
                .as_deref()
                .map(|login| ("Proxy-Authorization", login)),
        ];
        let defaults = defaults.into_iter().flatten();
        let defaults = defaults.filter(|(name, _)| !is_given(name));
        let mut hosts = self.given().filter(|field| is(field, "Host"));
        let host = hosts.find(|field| field.value().is_some());
        let given = self.given();
        let given = given
            .filter(|field| !is(field, "Host") || host.is_some_and(|host| ptr::eq(host, *field)));
        let given = given.filter(|field| cookies.is_none() || !is(field, "Cookie"));
        let given = given.filter_map(|field| Some((field.name(), field.value()?)));
        let cookies = cookies.as_deref().map(|cookies| ("Cookie", cookies));
        write(&mut defaults.chain(given).chain(cookies)).map_err(unsendable)
    }

    /// The value of Authorization: the answer to a Digest challenge, or else a Basic login.
    fn authorization(&self) -> Option<String> {
        if let Some(digest) = &self.transfer.logins.origin {
            let target = self.target.path();
            return Some(digest.authorization(self.transfer.easy.method.as_str(), target));
        }
        self.login().map(|login| login.basic())
    }

    /// The value of Proxy-Authorization, for a proxy that makes the requests.
    fn proxy_authorization(&self) -> Option<String> {
        let proxy = self.route.forwarder()?;
        if let Some(digest) = &self.transfer.logins.proxy {
            let target = self.target.path();
            return Some(digest.authorization(self.transfer.easy.method.as_str(), target));
        }
        Some(proxy.credentials.as_ref()?.basic())
    }

    /// The given fields. Those of the transfer replace the shared ones. Only the origin of the first URL receives
    /// credentials and a Host. No origin receives a Proxy-Authorization through a tunnel.
    fn given(&self) -> impl Iterator<Item = &'a Field> + Clone {
        let easy = &self.transfer.easy;
        let (is_home, is_tunnel) = (self.is_home(), self.route.is_tunnel());
        let may_go = move |field: &&Field| {
            (is_home || !(field.is_credential() || is(field, "Host")))
                && !(is_tunnel && is(field, "Proxy-Authorization"))
        };
        let own = easy.own_headers.iter().filter(may_go);
        let has_own = {
            let own = own.clone();
            move |name: &str| own.clone().any(|field| is(field, name))
        };
        let shared = easy.headers.iter().filter(may_go);
        own.chain(shared.filter(move |field| !has_own(field.name())))
    }

    /// The values of the given Cookie fields.
    fn given_cookies(&self) -> impl Iterator<Item = Option<&'a str>> + Clone {
        let given = self.given().filter(|field| is(field, "Cookie"));
        given.map(Field::value)
    }

    /// The value of the only Cookie field (RFC 6265 §5.4), if the jar has cookies for it.
    fn all_cookies(&self) -> Option<String> {
        let own = self.cookies.as_deref()?;
        let all: Vec<_> = self.given_cookies().flatten().chain([own]).collect();
        Some(all.join("; "))
    }

    /// The login for the origin. The origin of the first URL receives the given one, else that of the URL, else that
    /// of the netrc. Other origins receive only the login that the netrc has for just that host, and none without TLS
    /// after a redirect from https.
    fn login(&self) -> Option<Credentials> {
        let easy = &self.transfer.easy;
        let origin = self.target.origin();
        let host = &origin.host;
        if !self.is_home() {
            let is_safe = origin.is_tls() || !self.transfer.redirects.has_left_tls;
            let netrc = if is_safe { self.netrc } else { None };
            return netrc?.named(host);
        }
        if let Some(given) = &easy.credentials {
            return Some(Credentials::clone(given));
        }
        let Some(typed) = Credentials::from_url(&easy.url) else {
            return self.netrc?.of_host(host);
        };
        let lacks_password = easy.url.password().is_none();
        match self.netrc {
            Some(netrc) if lacks_password => Some(netrc.complete(host, typed)),
            _ => Some(typed),
        }
    }
}
