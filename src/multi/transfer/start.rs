//! From `add` to a slot: the states Delayed, Init, Pending and Assigned.

use std::time::Instant;

use super::{Link, State, Step, Transfer};
use crate::conn::Endpoint;
use crate::error::Fault;
use crate::multi::connections::ConnectionKey;
use crate::multi::context::Context;
use crate::multi::engine::IDLE_AGE;
use crate::multi::queue::{Slot, Turn};
use crate::multi::timers::later;

/// Waits until the delay is over. It counts from the transfer's first turn.
pub(super) fn delayed<S>(transfer: &mut Transfer<S>, context: &mut Context, now: Instant) -> Step {
    let delay = transfer.easy.delay.unwrap_or_default();
    let clocks = &mut transfer.clocks;
    let wake = *clocks.wake.get_or_insert_with(|| later(now, delay));
    if now < wake {
        return Step::Wait;
    }
    clocks.wake = None;
    context.sleeping -= 1;
    Step::Go(State::Init)
}

/// Checks the URL, and waits for a slot at its origin.
pub(super) fn init<S>(transfer: &mut Transfer<S>, context: &mut Context) -> Result<Step, Fault> {
    let key = context.pool.enter(transfer.url())?;
    transfer.origin = Some(key);
    let has_started = transfer.clocks.dispatched.is_some();
    let turn = Turn {
        is_connect_only: transfer.easy.is_connect_only,
        is_new: !has_started && !transfer.easy.is_extra,
        is_paced: !has_started && !transfer.easy.is_connect_only,
        ticket: context.pool.ticket(),
    };
    context.pool.wait(key, turn, transfer.waiter());
    context.has_free_slots = true;
    Ok(Step::Go(State::Pending {
        turn,
        needs_fresh: false,
    }))
}

/// Puts a dispatched transfer back into the queue, for a new connection or for any.
pub(super) fn requeue<S>(transfer: &mut Transfer<S>, context: &mut Context, needs_fresh: bool) {
    let turn = Turn {
        is_connect_only: transfer.easy.is_connect_only,
        is_new: false,
        is_paced: false,
        ticket: context.pool.ticket(),
    };
    transfer.state = State::Pending { turn, needs_fresh };
    if let Some(key) = transfer.origin {
        context.pool.wait(key, turn, transfer.waiter());
        context.has_free_slots = true;
    }
}

/// Takes the slot that was assigned.
pub(super) fn take_slot<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    slot: Slot,
    needs_fresh: bool,
    now: Instant,
) -> Step {
    // The transfer goes on at once, even where it was to run later in this call.
    context.schedule.dequeue(transfer.id);
    match slot {
        Slot::New => {
            transfer.clocks.connecting = Some(now);
            Step::Go(State::Resolve)
        }
        Slot::Reuse(key) => {
            if needs_fresh || !is_alive(context, key, now) {
                context.close(key);
                requeue(transfer, context, true);
                return Step::Wait;
            }
            let connection = &mut context.network.connections[key];
            let stream = connection.exchanges.attach(transfer.id);
            transfer.link = Some(Link::new(key, stream));
            join(transfer, context, key);
            Step::Go(State::Send)
        }
        Slot::Join(key) => {
            transfer.state = State::Joining;
            Step::CatchUp(key)
        }
    }
}

/// Continues on a connection that is established.
pub(in crate::multi) fn join<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    key: ConnectionKey,
) {
    transfer.state = State::Send;
    let connection = context.network.connections.get(key);
    transfer.endpoint = connection.and_then(|connection| connection.endpoint().cloned());
    context.events.info(transfer.subject(), || {
        let endpoint = transfer.endpoint.as_ref().map(Endpoint::to_string);
        format!("reusing the connection to {}", endpoint.unwrap_or_default())
    });
}

/// Whether an idle connection can still carry a request: nothing has come over it since its last response.
fn is_alive(context: &mut Context, key: ConnectionKey, now: Instant) -> bool {
    let call = context.schedule.call();
    let connection = &mut context.network.connections[key];
    match connection.idle_since.take() {
        Some((_, since_call)) if since_call == call => true,
        Some((since, _)) => {
            now.saturating_duration_since(since) < IDLE_AGE && connection.is_silent()
        }
        None => false,
    }
}
