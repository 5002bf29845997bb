//! The head of a request: what a transfer sends, and to whom it may send it.

use std::sync::Arc;

use url::Url;

use super::Transfer;
use crate::error::Fault;
use crate::http::{Credentials, Field, Origin, Unsendable, request_target};
use crate::http1;
use crate::http2::{self, Fields};
use crate::multi::Easy;

/// What gannet calls itself (RFC 9110 §10.1.5).
const USER_AGENT: &str = concat!("gannet/", env!("CARGO_PKG_VERSION"));

/// The fields of a request as they are sent, kept for the next one of an origin that has the same.
#[derive(Debug, Default)]
pub(in crate::multi) struct Prepared {
    /// For HTTP/1.1; empty until they are needed.
    bytes: Vec<u8>,
    /// For HTTP/2.
    fields: Option<Fields>,
    /// What they are made of: the same two say that they are still right.
    headers: Option<Arc<[Field]>>,
    credentials: Option<Arc<Credentials>>,
}

impl Prepared {
    /// Makes ready for a transfer: what was made for others is forgotten.
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

/// Whether a request has fields that others of its origin may not have; and whether it goes to the first URL's origin.
fn is_special<S>(transfer: &Transfer<S>, origin: &Origin) -> (bool, bool) {
    let easy = &transfer.easy;
    let has_userinfo = !easy.url.username().is_empty() || easy.url.password().is_some();
    let is_special = transfer.redirected.is_some() || !easy.own_headers.is_empty() || has_userinfo;
    let is_home = transfer.redirected.is_none() || origin.is_of(&easy.url);
    (is_special, is_home || !is_special)
}

/// Writes the head of the transfer's next request, for HTTP/1.1.
pub(super) fn write_head<S>(
    transfer: &Transfer<S>,
    origin: &Origin,
    prepared: &mut Prepared,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let easy = &transfer.easy;
    http1::encode_line(out, easy.method, request_target(transfer.url())).map_err(unsendable)?;
    let (is_special, is_home) = is_special(transfer, origin);
    if is_special {
        return with_fields(easy, origin, is_home, |fields| {
            http1::encode_fields(out, fields)
        });
    }
    prepared.make_ready_for(easy);
    if prepared.bytes.is_empty() {
        let mut bytes = Vec::new();
        with_fields(easy, origin, true, |fields| {
            http1::encode_fields(&mut bytes, fields)
        })?;
        prepared.bytes = bytes;
    }
    out.extend_from_slice(&prepared.bytes);
    Ok(())
}

/// The transfer's next request, for HTTP/2.
pub(super) fn stream_request<S>(
    transfer: &Transfer<S>,
    origin: &Origin,
    prepared: &mut Prepared,
) -> Result<http2::Request, Fault> {
    let easy = &transfer.easy;
    let target = request_target(transfer.url());
    let (is_special, is_home) = is_special(transfer, origin);
    let make = || with_fields(easy, origin, is_home, |fields| Fields::new(origin, fields));
    let request = if is_special {
        make()?.request(easy.method, target)
    } else {
        prepared.make_ready_for(easy);
        let fields = match &mut prepared.fields {
            Some(fields) => fields,
            none => none.insert(make()?),
        };
        fields.request(easy.method, target)
    };
    request.map_err(unsendable)
}

/// Has the fields of a request written. What was given wins over the defaults, the transfer's own
/// fields over the shared ones; credentials and a Host that was given stay at home, with the first
/// URL's origin.
fn with_fields<S, T>(
    easy: &Easy<S>,
    origin: &Origin,
    is_home: bool,
    write: impl for<'a> FnOnce(&mut Pairs<'a>) -> Result<T, Unsendable>,
) -> Result<T, Fault> {
    let may_go = |field: &&Field| {
        is_home || !(field.is_credential() || field.name().eq_ignore_ascii_case("Host"))
    };
    let own = || easy.own_headers.iter().filter(may_go);
    let has_own = |name: &str| own().any(|field| field.name().eq_ignore_ascii_case(name));
    let shared = || {
        let fields = easy.headers.iter().filter(may_go);
        fields.filter(|field| !has_own(field.name()))
    };
    let given = || own().chain(shared());
    let is_given = |name: &str| given().any(|field| field.name().eq_ignore_ascii_case(name));

    let authority = origin.authority();
    let basic = if is_home {
        basic(easy.credentials.as_deref(), &easy.url)
    } else {
        None
    };
    let defaults = [
        Some(("Host", authority.as_str())),
        Some(("User-Agent", USER_AGENT)),
        Some(("Accept", "*/*")),
        basic.as_deref().map(|basic| ("Authorization", basic)),
    ];
    let defaults = defaults.into_iter().flatten();
    let defaults = defaults.filter(|(name, _)| !is_given(name));
    let given = given().filter_map(|field| Some((field.name(), field.value()?)));
    write(&mut defaults.chain(given)).map_err(unsendable)
}

/// The value of Authorization, from what was given or what stands in the URL.
fn basic(given: Option<&Credentials>, url: &Url) -> Option<String> {
    match given {
        Some(credentials) => Some(credentials.basic()),
        None => Credentials::from_url(url).map(|credentials| credentials.basic()),
    }
}
