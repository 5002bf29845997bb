//! One request and its response on an established connection: the states Send, Receive and Limited.

use std::ops::ControlFlow;
use std::time::Instant;

use super::finish::end_exchange;
use super::recover::{begin_again, recover};
use super::request::NextRequest;
use super::response::{Reader, has_enough};
use super::{Delivery, State, Step, Transfer};
use crate::conn::Interest;
use crate::error::Fault;
use crate::multi::Sink;
use crate::multi::connection::Sent;
use crate::multi::connections::ConnectionKey;
use crate::multi::context::Context;
use crate::multi::exchanges::{Advance, Readiness};

/// A body of more bytes than this counts as a long one.
const BULKY: u64 = 1024 * 1024;

/// Sends the request.
pub(super) fn send<S: Sink>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) -> Result<Step, Fault> {
    let Some(link) = transfer.link else {
        return Ok(Step::Go(State::Init));
    };
    if transfer.easy.is_connect_only {
        if let Some(key) = transfer.origin {
            context.pool.stand_by(key);
            // Where few connections of the origin may be busy, one more may be now.
            context.has_free_slots = true;
        }
        return Ok(Step::Go(State::StandBy));
    }
    if transfer.clocks.last_byte.is_none() {
        transfer.clocks.await_bytes(now);
    }
    let connection = &mut context.network.connections[link.key];
    match connection.exchanges.readiness(link.stream) {
        Readiness::Begun => {}
        Readiness::Later => {
            context.mark_unsent(link.key);
            return Ok(Step::Wait);
        }
        Readiness::Never => return begin_again(transfer, context, Fault::NoAnswer, now),
        Readiness::Ready => {
            let record = &mut context.pool.origins[connection.origin];
            let (origin, route, prepared) = record.request_parts();
            let mut own_jar = transfer.jar.take();
            let options = &mut context.options;
            let jar = options.cookies.as_mut().or(own_jar.as_deref_mut());
            let netrc = options.netrc.as_deref();
            let mut next_request = NextRequest::new(transfer, origin, route, netrc);
            if let Some(jar) = jar {
                next_request.add_cookies(jar, now);
            }
            let events = &mut context.events;
            let exchanges = &mut connection.exchanges;
            let has_begun = exchanges.request(link.stream, &next_request, prepared, events);
            transfer.jar = own_jar;
            if !has_begun? {
                return begin_again(transfer, context, Fault::NoAnswer, now);
            }
            connection.requests += 1;
            transfer.delivery = Delivery::Sink;
            if connection.requests == 1 && !connection.exchanges.is_multiplexed() {
                let origin = connection.origin;
                context.pool.await_answer(origin, link.key, now);
            }
        }
    }
    transmit(transfer, context, link.key)
}

/// Sends the rest of a request that was begun.
fn transmit<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    key: ConnectionKey,
) -> Result<Step, Fault> {
    let connection = &mut context.network.connections[key];
    match connection.transmit()? {
        // What the server sent before it closed is still readable: perhaps it refuses so long a request.
        Sent::Closed => Ok(Step::Go(State::Receive)),
        Sent::AtEndOfCall => {
            context.mark_unsent(key);
            Ok(Step::Go(State::Receive))
        }
        Sent::Blocked => {
            context.network.want(key, transfer.id, Interest::Out);
            Ok(Step::Wait)
        }
        Sent::All => {
            // TLS and tunnels stop reading when they are open: bytes that had come by then are no new event.
            let record = &context.pool.origins[connection.origin];
            let may_have_more =
                connection.requests == 1 && (!connection.is_plain() || record.route().is_tunnel());
            if transfer.is_paused || may_have_more {
                return Ok(Step::Go(State::Receive));
            }
            // Nothing was left to be received before this request, so whatever comes now is a new event.
            transfer.state = State::Receive;
            let interest = connection.standing_interest();
            context.network.want(key, transfer.id, interest);
            Ok(Step::Wait)
        }
    }
}

/// Receives the response until nothing more has come, or the budget is used up.
pub(super) fn receive<S: Sink>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) -> Result<Step, Fault> {
    let mut budget = context.schedule.turn_budget();
    loop {
        let limit = match room(transfer, context, now)? {
            ControlFlow::Continue(limit) => limit,
            ControlFlow::Break(step) => return Ok(step),
        };
        let Some(link) = &mut transfer.link else {
            return Ok(Step::Go(State::Init));
        };
        if link.is_resting {
            context.set_resting(link, false);
        }
        let (key, stream) = (link.key, link.stream);
        let network = &mut context.network;
        let connection = &mut network.connections[key];
        let mut reader = Reader {
            now,
            transfer,
            record: &mut context.pool.origins[connection.origin],
            events: &mut context.events,
            jar: context.options.cookies.as_mut(),
            empty_jar: context.options.redirect_cookies.as_ref(),
            rate: context.rate.as_mut(),
            wire: 0,
        };
        let (scratch, splicer) = (&mut network.scratch, &mut context.splicer);
        let advance = connection.advance(stream, limit, scratch, splicer, &mut reader)?;
        context.schedule.spend(reader.wire);
        if connection.requests == 1 && advance.has_bytes() {
            context.pool.answered(connection.origin, key, now);
        }
        match advance {
            Advance::Wait(interest) => {
                if let Some(interest) = interest {
                    context.network.want(key, transfer.id, interest);
                }
                return Ok(Step::Wait);
            }
            Advance::More(0) => {}
            Advance::More(count) => {
                note_length(transfer, context);
                // The peer is allowed to send as much again.
                context.mark_unsent(key);
                if has_enough(transfer) {
                    return end_exchange(transfer, context, false, now);
                }
                budget = budget.saturating_sub(count);
                if budget == 0 {
                    return Ok(Step::Yield);
                }
            }
            Advance::Complete { is_clean } => {
                return end_exchange(transfer, context, is_clean, now);
            }
            Advance::Broken(broken) => return recover(transfer, context, broken, now),
        }
    }
}

/// Tells the pool when a body turns out to be a long one.
fn note_length<S>(transfer: &mut Transfer<S>, context: &mut Context) {
    if transfer.received >= BULKY
        && let Some(link) = &mut transfer.link
        && !link.is_bulky
    {
        link.is_bulky = true;
        let origin = context.network.connections[link.key].origin;
        context.pool.grow(origin, link.key);
    }
}

/// How many bytes the transfer may receive now, or what it does instead.
fn room<S: Sink>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) -> Result<ControlFlow<Step, usize>, Fault> {
    if transfer.has_drained_enough(now) {
        return end_exchange(transfer, context, false, now).map(ControlFlow::Break);
    }
    if transfer.is_paused {
        return rest(transfer, context, now).map(ControlFlow::Break);
    }
    // After a pause, the time without a byte counts from now.
    if transfer.clocks.last_byte.is_none() {
        transfer.clocks.await_bytes(now);
    }
    match transfer.allowance.bytes(context.rate.as_mut(), now) {
        Ok(bytes) => {
            let most = context.schedule.turn_budget() as u64;
            Ok(ControlFlow::Continue(bytes.min(most) as usize))
        }
        // A body that is discarded is not worth the wait.
        Err(_) if matches!(transfer.delivery, Delivery::Drain(..)) => {
            transfer.allowance.give_back(context.rate.as_mut());
            end_exchange(transfer, context, false, now).map(ControlFlow::Break)
        }
        Err(until) => {
            transfer.clocks.wake = Some(until);
            Ok(ControlFlow::Break(Step::Go(State::Limited)))
        }
    }
}

/// Waits until the rate limit lets the transfer receive again.
pub(super) fn limited<S: Sink>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) -> Result<Step, Fault> {
    if transfer.clocks.wake.is_some_and(|at| now < at) {
        return rest(transfer, context, now);
    }
    transfer.clocks.wake = None;
    transfer.clocks.await_bytes(now);
    Ok(Step::Go(State::Receive))
}

/// Receives nothing for a while. Meanwhile no clock counts the time without a byte.
fn rest<S: Sink>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) -> Result<Step, Fault> {
    transfer.clocks.rest();
    if let Some(link) = &mut transfer.link
        && let Err(broken) = context.rest(transfer.id, link)
    {
        return recover(transfer, context, broken, now);
    }
    Ok(Step::Wait)
}
