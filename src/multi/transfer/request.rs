//! The head of a request: what a transfer sends, and to whom it may send it.

use std::sync::Arc;

use super::Transfer;
use crate::error::Fault;
use crate::http::{Credentials, Field, Origin, request_target};
use crate::http1;

/// What gannet calls itself (RFC 9110 §10.1.5).
const USER_AGENT: &str = concat!("gannet/", env!("CARGO_PKG_VERSION"));

/// Writes the head of the transfer's next request. What was given wins over the defaults, the transfer's own fields
/// over the shared ones; credentials and a Host that was given go to the first URL's origin alone.
pub(super) fn write_head<S>(
    transfer: &Transfer<S>,
    origin: &Origin,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let easy = &transfer.easy;
    let is_home =
        transfer.redirected.is_none() || Origin::of(&easy.url).is_ok_and(|first| first == *origin);
    let may_go = |field: &&Field| {
        is_home || !(field.is_credential() || field.name().eq_ignore_ascii_case("Host"))
    };
    let own = || easy.own_headers.iter().filter(may_go);
    let has_own = |name: &str| own().any(|field| field.name().eq_ignore_ascii_case(name));
    let shared = || {
        easy.headers
            .iter()
            .filter(may_go)
            .filter(|field| !has_own(field.name()))
    };
    let is_given = |name: &str| {
        own()
            .chain(shared())
            .any(|field| field.name().eq_ignore_ascii_case(name))
    };

    let authority = origin.authority();
    let from_url = || Credentials::from_url(&easy.url).map(Arc::new);
    let credentials = if is_home {
        easy.credentials.clone().or_else(from_url)
    } else {
        None
    };
    let basic = credentials.map(|credentials| credentials.basic());
    let defaults = [
        Some(("Host", authority.as_str())),
        Some(("User-Agent", USER_AGENT)),
        Some(("Accept", "*/*")),
        basic.as_deref().map(|basic| ("Authorization", basic)),
    ];
    let defaults = defaults
        .into_iter()
        .flatten()
        .filter(|(name, _)| !is_given(name));
    let given = own()
        .chain(shared())
        .filter_map(|field| Some((field.name(), field.value()?)));
    http1::encode(
        out,
        easy.method,
        request_target(transfer.url()),
        defaults.chain(given),
    )
    .map_err(|error| Fault::BadUrl(error.to_string()))
}
