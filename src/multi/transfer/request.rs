//! The head of a request: what a transfer sends, and to whom it may send it.

use std::sync::Arc;

use url::Url;

use super::Transfer;
use crate::error::Fault;
use crate::http::{Credentials, Field, Origin, request_target};
use crate::http1;
use crate::multi::Easy;

/// What gannet calls itself (RFC 9110 §10.1.5).
const USER_AGENT: &str = concat!("gannet/", env!("CARGO_PKG_VERSION"));

/// The fields of a request as they are sent, kept for the next one of an origin that has the same.
#[derive(Debug, Default)]
pub(in crate::multi) struct Prepared {
    bytes: Vec<u8>,
    /// What they were made of: the same two say that they are still right.
    headers: Option<Arc<[Field]>>,
    credentials: Option<Arc<Credentials>>,
}

impl Prepared {
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

/// Writes the head of the transfer's next request.
pub(super) fn write_head<S>(
    transfer: &Transfer<S>,
    origin: &Origin,
    prepared: &mut Prepared,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let easy = &transfer.easy;
    let unsendable = |error: http1::Unsendable| Fault::BadUrl(error.to_string());
    http1::encode_line(out, easy.method, request_target(transfer.url())).map_err(unsendable)?;
    let has_userinfo = !easy.url.username().is_empty() || easy.url.password().is_some();
    if transfer.redirected.is_some() || !easy.own_headers.is_empty() || has_userinfo {
        let is_home = transfer.redirected.is_none() || origin.is_of(&easy.url);
        return write_fields(easy, origin, is_home, out).map_err(unsendable);
    }
    if !prepared.is_for(easy) {
        prepared.bytes.clear();
        prepared.headers = None;
        write_fields(easy, origin, true, &mut prepared.bytes).map_err(unsendable)?;
        prepared.headers = Some(Arc::clone(&easy.headers));
        prepared.credentials = easy.credentials.clone();
    }
    out.extend_from_slice(&prepared.bytes);
    Ok(())
}

/// Writes the fields of a request. What was given wins over the defaults, the transfer's own fields over the shared
/// ones; credentials and a Host that was given stay at home, with the first URL's origin.
fn write_fields<S>(
    easy: &Easy<S>,
    origin: &Origin,
    is_home: bool,
    out: &mut Vec<u8>,
) -> Result<(), http1::Unsendable> {
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
    http1::encode_fields(out, defaults.chain(given))
}

/// The value of Authorization, from what was given or what stands in the URL.
fn basic(given: Option<&Credentials>, url: &Url) -> Option<String> {
    match given {
        Some(credentials) => Some(credentials.basic()),
        None => Credentials::from_url(url).map(|credentials| credentials.basic()),
    }
}
