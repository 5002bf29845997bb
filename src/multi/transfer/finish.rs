//! The end of an exchange and of a transfer: what happens to the connection, and what a redirect or a failure leads to.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::time::Instant;

use super::recover::retire_if_silent;
use super::request::NextRequest;
use super::start::requeue;
use super::{After, Clocks, Delivery, State, Step, Transfer};
use crate::conn::Endpoint;
use crate::error::{Error, Fault, Malformed, ProxyFault};
use crate::http::auth::masked;
use crate::http::challenge::DigestLogin;
use crate::multi::Sink;
use crate::multi::connection::Connection;
use crate::multi::context::Context;
use crate::multi::info::{Done, Outcome};
use crate::multi::queue::Slot;
use crate::multi::trace::Trace;

/// The most tunnels that a transfer asks a proxy for because of its challenges: after one challenge, and after one that
/// says that the answer is stale.
const MOST_TUNNELS: u8 = 2;

/// Ends an exchange with a complete response, or with one that is no longer of interest. The connection is kept if it
/// `is_clean`.
pub(super) fn end_exchange<S: Sink>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    is_clean: bool,
    now: Instant,
) -> Result<Step, Fault> {
    transfer.clocks.wake = None;
    transfer.clocks.rest();
    match std::mem::take(&mut transfer.delivery) {
        Delivery::Sink => {
            let outcome = outcome(transfer, context, now);
            if let Some(key) = transfer.origin {
                context.pool.succeeded(key);
            }
            release_connection(transfer, context, is_clean, now);
            complete(transfer, context, Ok(outcome), now);
            Ok(Step::Complete)
        }
        Delivery::Drain(_, After::Fail(fault)) => {
            let connection = transfer.connection(&context.network.connections);
            let was_used = connection.is_some_and(Connection::is_reused_serially);
            if was_used && matches!(fault, Fault::Status { status: 408, .. }) {
                // The server was about to close the idle connection, and says so (RFC 9110 §15.5.9).
                drop_connection(transfer, context, now);
                requeue(transfer, context, true);
                return Ok(Step::Wait);
            }
            if let Fault::Status { status, .. } = fault
                && can_answer(transfer, context, status)
            {
                context.events.info(transfer.subject(), || {
                    "answering the challenge with Digest".to_owned()
                });
                release_connection(transfer, context, is_clean, now);
                leave_origin(transfer, context, now);
                return Ok(Step::Go(State::Init));
            }
            if fault.asks_for_calm() {
                context.back_off(transfer.origin, now);
            }
            release_connection(transfer, context, is_clean, now);
            let error = error(transfer, context, fault);
            complete(transfer, context, Err(error), now);
            Ok(Step::Complete)
        }
        Delivery::Drain(_, After::Redirect(url)) => {
            let status = response(transfer, context).map_or(0, |response| response.status);
            context
                .events
                .step(transfer.subject(), || Trace::Redirected {
                    status,
                    from: masked(transfer.url()).to_string(),
                    to: masked(&url).to_string(),
                });
            release_connection(transfer, context, is_clean, now);
            leave_origin(transfer, context, now);
            transfer.redirects.count += 1;
            transfer.redirects.has_left_tls |= transfer.url().scheme() == "https";
            transfer.redirects.url = Some(*url);
            (transfer.logins.origin, transfer.logins.proxy) = (None, None);
            transfer.logins.tunnels = 0;
            transfer.endpoint = None;
            transfer.refused = 0;
            Ok(Step::Go(State::Init))
        }
    }
}

/// Handles a fault: starts the transfer over if that is possible without notice, or ends its exchange. Returns the
/// error that the transfer must complete with, if neither is possible.
pub(in crate::multi) fn fail<S: Sink>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    fault: Fault,
    now: Instant,
) -> Option<Error> {
    let connection = transfer.connection(&context.network.connections);
    if connection.is_some_and(|connection| is_stale(connection, &fault)) {
        context.events.info(transfer.subject(), || {
            "the connection was dead: taking a new one".to_owned()
        });
        drop_connection(transfer, context, now);
        transfer.clocks.rest();
        transfer.clocks.wake = None;
        requeue(transfer, context, true);
        return None;
    }
    if has_another_target(connection, &fault) {
        turn_to_next_target(transfer, context, now);
        return None;
    }
    if can_answer_proxy(transfer, context) {
        context.events.info(transfer.subject(), || {
            "the proxy asks for a Digest login: asking for the tunnel with it".to_owned()
        });
        connect_again(transfer, context, now);
        return None;
    }
    retire_if_silent(transfer, context, &fault, now);
    if !matches!(transfer.delivery, Delivery::Drain(..)) {
        return Some(error(transfer, context, fault));
    }
    // The head has decided already; how the rest of a discarded body fails changes nothing.
    match end_exchange(transfer, context, false, now) {
        Ok(Step::Go(state)) => {
            transfer.state = state;
            context.schedule.push(transfer.id);
            None
        }
        Ok(_) => None,
        Err(fault) => Some(error(transfer, context, fault)),
    }
}

/// Whether a 401 or 407 has a Digest challenge, and a login that answers it. The next request has the answer then.
fn can_answer<S>(transfer: &mut Transfer<S>, context: &Context, status: u16) -> bool {
    let Some(key) = transfer.origin else {
        return false;
    };
    let record = &context.pool.origins[key];
    let netrc = context.options.netrc.as_deref();
    let request = NextRequest::new(transfer, record.origin(), record.route(), netrc);
    let Some(credentials) = request.credentials(status) else {
        return false;
    };
    let logins = &mut transfer.logins;
    let before = if status == 401 {
        &mut logins.origin
    } else {
        &mut logins.proxy
    };
    let random = RandomState::new().hash_one(key.index());
    let answer = DigestLogin::answer(&logins.challenges, credentials, before.as_ref(), random);
    let can = answer.is_some();
    if can {
        *before = answer;
    }
    can
}

/// Whether a fault means no more than that the connection was closed by the server, or is out of step.
fn is_stale(connection: &Connection, fault: &Fault) -> bool {
    match fault {
        Fault::ConnectionLost(_) | Fault::NoAnswer | Fault::Tls(_) | Fault::TlsTruncated { .. } => {
            connection.may_be_stale()
        }
        // Bytes that are no response were left over from the last one (RFC 9112 §6.3).
        Fault::Malformed(Malformed::NotHttp) => connection.requests > 1,
        _ => false,
    }
}

/// Whether the proxy could not connect to the address that it was told, and the origin has others.
fn has_another_target(connection: Option<&Connection>, fault: &Fault) -> bool {
    let is_refusal = matches!(
        fault,
        Fault::Proxy {
            fault: ProxyFault::Socks(_),
            ..
        }
    );
    let target = connection.and_then(|connection| connection.target);
    is_refusal && target.is_some_and(|target| target.left > 0)
}

/// Tells the proxy the next address, over a new connection: addresses behind a proxy do not race.
fn turn_to_next_target<S>(transfer: &mut Transfer<S>, context: &mut Context, now: Instant) {
    context.events.info(transfer.subject(), || {
        "the proxy could not connect: telling it the next address".to_owned()
    });
    transfer.refused += 1;
    connect_again(transfer, context, now);
}

/// Whether the proxy refused a tunnel with a Digest challenge, and there is a login that answers it. The next request
/// for a tunnel has the answer then.
fn can_answer_proxy<S>(transfer: &mut Transfer<S>, context: &mut Context) -> bool {
    let (Some(key), Some(link)) = (transfer.origin, transfer.link) else {
        return false;
    };
    let Some(connection) = context.network.connections.get_mut(link.key) else {
        return false;
    };
    let Some(refusal) = connection.filter().and_then(|filter| filter.refusal()) else {
        return false;
    };
    let record = &mut context.pool.origins[key];
    let logins = &mut transfer.logins;
    logins.challenges = refusal.challenges.clone();
    let proxy = record.route().proxy();
    let Some(credentials) = proxy.and_then(|proxy| proxy.credentials.clone()) else {
        return false;
    };
    if logins.tunnels >= MOST_TUNNELS {
        return false;
    }
    logins.tunnels += 1;
    let random = RandomState::new().hash_one(key.index());
    let before = refusal.login.as_deref();
    let answer = DigestLogin::answer(&refusal.challenges, credentials, before, random);
    record.tunnel_login = answer.map(Rc::new);
    record.tunnel_login.is_some()
}

/// Takes a new connection instead of one that was not established.
fn connect_again<S>(transfer: &mut Transfer<S>, context: &mut Context, now: Instant) {
    drop_connection(transfer, context, now);
    transfer.clocks.wake = None;
    if let Some(key) = transfer.origin {
        context.pool.stop_trying(key, transfer.id);
    }
    requeue(transfer, context, true);
}

/// A fault with what the transfer was doing.
fn error<S>(transfer: &Transfer<S>, context: &Context, fault: Fault) -> Error {
    let origins = &context.pool.origins;
    let proxy = transfer.origin.and_then(|key| origins[key].route().proxy());
    let is_refused = request_had_login(transfer, context, &fault);
    Error::new(fault, transfer.state.doing(), transfer.address())
        .offered(transfer.logins.challenges.schemes(), is_refused)
        .redirected_to(transfer.redirects.url.clone())
        .through(proxy.map(ToString::to_string))
}

/// Whether a 401, 403 or 407 came although the request had a login.
fn request_had_login<S>(transfer: &Transfer<S>, context: &Context, fault: &Fault) -> bool {
    let Some(key) = transfer.origin else {
        return false;
    };
    let record = &context.pool.origins[key];
    let status = match fault {
        Fault::Status {
            status: 401 | 403, ..
        } => 401,
        Fault::Status { status: 407, .. } => 407,
        Fault::Proxy { fault, .. } if fault.is_authentication() => {
            let proxy = record.route().proxy();
            return proxy.is_some_and(|proxy| proxy.credentials.is_some());
        }
        _ => return false,
    };
    let netrc = context.options.netrc.as_deref();
    let request = NextRequest::new(transfer, record.origin(), record.route(), netrc);
    request.has_login(status)
}

/// The head of the last response.
fn response<'c, S>(
    transfer: &Transfer<S>,
    context: &'c Context,
) -> Option<&'c crate::http::Response> {
    let stream = transfer.link?.stream;
    let connection = transfer.connection(&context.network.connections)?;
    connection.exchanges.response(stream)
}

fn outcome<S>(transfer: &Transfer<S>, context: &Context, now: Instant) -> Outcome {
    let connection = transfer.connection(&context.network.connections);
    let response = response(transfer, context);
    Outcome {
        status: response.map_or(0, |response| response.status),
        version: response.map_or_else(Default::default, |response| response.version),
        received: transfer.received,
        elapsed: transfer
            .clocks
            .dispatched
            .map_or_else(Default::default, |at| now.saturating_duration_since(at)),
        redirects: transfer.redirects.count,
        final_url: transfer.redirects.url.clone(),
        address: connection
            .and_then(Connection::endpoint)
            .and_then(Endpoint::inet),
        is_reused: connection.is_some_and(|connection| connection.requests > 1),
    }
}

/// Completes a transfer: releases everything that it holds, and queues its message.
pub(in crate::multi) fn complete<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    result: Result<Outcome, Error>,
    now: Instant,
) {
    complete_since(transfer, context, result, None, now);
}

/// Completes a transfer. If it was not dispatched, it took part since `since` in what another transfer did.
pub(in crate::multi) fn complete_since<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    result: Result<Outcome, Error>,
    since: Option<Instant>,
    now: Instant,
) {
    let dispatched = transfer.clocks.dispatched.or(since);
    release_all(transfer, context, now);
    context.running -= 1;
    context.has_free_slots = true;
    let message = context.messages.push(Done {
        id: transfer.id,
        result,
        dispatched,
    });
    transfer.state = State::Done { message };
}

/// Releases everything that a transfer holds, in any state. The slots that this frees are assigned later.
pub(in crate::multi) fn release_all<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) {
    if let (State::StandBy, Some(key)) = (transfer.state, transfer.origin) {
        context.pool.stop_standing_by(key);
    }
    drop_connection(transfer, context, now);
    transfer.allowance.give_back(context.rate.as_mut());
    context.sleeping -= usize::from(matches!(transfer.state, State::Delayed));
    let was_counted = transfer.clocks.dispatched.is_some() && !transfer.easy.is_extra;
    transfer.clocks = Clocks::over(transfer.clocks.dispatched);
    leave_origin(transfer, context, now);
    context.schedule.timers.set(transfer.id.index, None);
    if was_counted {
        context.pool.complete();
    }
}

/// Leaves the queue, an unused slot, and the origin.
fn leave_origin<S>(transfer: &mut Transfer<S>, context: &mut Context, now: Instant) {
    let Some(key) = transfer.origin.take() else {
        return;
    };
    if let State::Pending { turn, .. } = transfer.state {
        context.pool.stop_waiting(key, turn);
    }
    context.pool.stop_trying(key, transfer.id);
    match transfer.state {
        State::Assigned {
            slot: Slot::New, ..
        }
        | State::Resolve => context.pool.not_used(key),
        State::Assigned {
            slot: Slot::Reuse(connection),
            ..
        } => context.pool.keep(key, connection, now),
        // The stream of a `Slot::Join` was left with the connection.
        _ => {}
    }
    context.pool.leave(key);
}

/// Takes a transfer off its connection, which is kept as idle if it `is_clean`.
fn release_connection<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    is_clean: bool,
    now: Instant,
) {
    if let Some(link) = transfer.link.take() {
        context.leave(transfer.id, link, is_clean, now);
    }
}

/// Takes a transfer off its connection, and closes that unless other transfers use it.
pub(super) fn drop_connection<S>(transfer: &mut Transfer<S>, context: &mut Context, now: Instant) {
    release_connection(transfer, context, false, now);
}
