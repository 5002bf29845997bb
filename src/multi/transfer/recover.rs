//! Requests that a connection could not carry: which are begun again on another one, and what the origin's connections
//! are used for from then on.

use std::time::Instant;

use super::finish::drop_connection;
use super::start::requeue;
use super::{Step, Transfer};
use crate::error::{Fault, Timeout};
use crate::multi::connections::ConnectionKey;
use crate::multi::context::Context;
use crate::multi::exchanges::Broken;

/// After this many consecutive connections without one complete response, no request is begun again: the failure counts
/// as a try, so that retries wait.
const FRUITLESS: u32 = 5;

/// Decides what happens to a transfer after its stream ended before its response was complete.
pub(super) fn recover<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    broken: Broken,
    now: Instant,
) -> Result<Step, Fault> {
    match broken {
        Broken::Fault(fault) => {
            if fault.asks_for_calm() {
                context.back_off(transfer.origin, now);
            }
            Err(fault)
        }
        Broken::Unprocessed { fault, is_refused } => {
            if is_refused && !allow_fewer_streams(transfer, context) {
                return Err(fault);
            }
            begin_again(transfer, context, fault, now)
        }
        Broken::Ruined {
            fault,
            is_culprit: true,
        } => {
            // It counts as a response, so that the other streams are begun again. That ends, since each such connection
            // costs one transfer a try.
            count_response(transfer, context);
            Err(fault)
        }
        Broken::Ruined { fault, .. } => begin_again(transfer, context, fault, now),
        Broken::Http11Required if !context.options.protocol.allows_http1() => {
            Err(Fault::Http11Required)
        }
        Broken::Http11Required => {
            fall_back(transfer, context);
            begin_again(transfer, context, Fault::Http11Required, now)
        }
        Broken::Lost => {
            let (fault, is_stale) = loss(transfer, context);
            if is_stale {
                begin_again(transfer, context, fault, now)
            } else {
                Err(fault)
            }
        }
    }
}

/// Begins a transfer again on any connection, which does not count as a try. This ends: each connection completes at
/// least one response, or is one of the few that may complete none.
pub(super) fn begin_again<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    fault: Fault,
    now: Instant,
) -> Result<Step, Fault> {
    let origins = &context.pool.origins;
    let unanswered = transfer.origin.map_or(0, |key| origins[key].unanswered);
    if unanswered >= FRUITLESS {
        return Err(fault);
    }
    transfer.clocks.rest();
    transfer.clocks.wake = None;
    context
        .events
        .info(transfer.subject(), || format!("{fault}: beginning again"));
    drop_connection(transfer, context, now);
    requeue(transfer, context, false);
    Ok(Step::Wait)
}

/// Takes an idle connection of the origin instead of a new one that is not established: the server may be at its limit
/// of connections. No request was sent.
pub(in crate::multi) fn take_idle<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) {
    context.events.info(transfer.subject(), || {
        "the new connection is not established: taking an idle one".to_owned()
    });
    transfer.clocks.connecting = None;
    transfer.clocks.wake = None;
    drop_connection(transfer, context, now);
    if let Some(key) = transfer.origin {
        context.pool.stop_trying(key, transfer.id);
    }
    requeue(transfer, context, false);
}

/// Counts what a transfer received as a complete response of its connection.
fn count_response<S>(transfer: &Transfer<S>, context: &mut Context) {
    let Some(key) = context.shared_connection(transfer.link) else {
        return;
    };
    let connection = &mut context.network.connections[key];
    if let Some(multiplexed) = connection.exchanges.multiplexed() {
        multiplexed.count_response();
        context.pool.origins[connection.origin].unanswered = 0;
    }
}

/// The server refused a stream, so it takes fewer streams than its settings say. Returns false if the connection has no
/// other stream.
fn allow_fewer_streams<S>(transfer: &Transfer<S>, context: &mut Context) -> bool {
    let Some(key) = context.shared_connection(transfer.link) else {
        return false;
    };
    let multiplexed = context.multiplexed(key);
    let has_others = multiplexed.is_some_and(|multiplexed| multiplexed.limit_to_others());
    context.update_capacity(key);
    has_others
}

/// Uses HTTP/1.1 for all further connections to a transfer's origin.
fn fall_back<S>(transfer: &Transfer<S>, context: &mut Context) {
    let Some(origin) = transfer.origin else {
        return;
    };
    let connections = context.network.connections.iter();
    let of_origin = connections.filter(|(_, connection)| connection.origin == origin);
    let keys: Vec<ConnectionKey> = of_origin.map(|(key, _)| key).collect();
    for key in keys {
        context.retire(key);
    }
    context.pool.require_http1(origin);
}

/// The fault of a stream after the end of its connection. True if the request may be repeated without notice.
fn loss<S>(transfer: &Transfer<S>, context: &mut Context) -> (Fault, bool) {
    let Some(link) = transfer.link else {
        return (Fault::NoAnswer, false);
    };
    match context.multiplexed(link.key) {
        Some(multiplexed) => multiplexed.loss(link.stream, transfer.received),
        None => (Fault::NoAnswer, false),
    }
}

/// A stream stalled. If the whole connection was silent for as long, it is most likely dead, and gets no further
/// streams.
pub(super) fn retire_if_silent<S>(
    transfer: &Transfer<S>,
    context: &mut Context,
    fault: &Fault,
    now: Instant,
) {
    let Fault::Timeout {
        kind: Timeout::Stall | Timeout::Answer,
        limit,
    } = fault
    else {
        return;
    };
    let Some(link) = transfer.link else {
        return;
    };
    let connection = context.network.connections.get(link.key);
    let last_byte = connection.and_then(|connection| connection.exchanges.last_byte());
    if let Some(at) = last_byte
        && now.saturating_duration_since(at) >= *limit
    {
        context.retire(link.key);
    }
}
