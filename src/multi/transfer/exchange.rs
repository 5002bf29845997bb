//! One request and its answer on a standing connection: the states Send, Receive and Limited.

use std::ops::ControlFlow;
use std::time::Instant;

use super::answer::{Reader, ended, has_enough};
use super::request::Asking;
use super::splice::{self, Arrived};
use super::{Delivery, State, Step, Transfer};
use crate::conn::{Filter, Interest, Received, Scratch};
use crate::error::Fault;
use crate::multi::connection::{Stage, Talk};
use crate::multi::info::TransferId;
use crate::multi::rate::Rate;
use crate::multi::{Multi, Sink};

/// Bytes that one transfer receives before others have their turn.
const BUDGET: usize = 2 * 1024 * 1024;

impl<S: Sink> Multi<S> {
    /// Sends the request.
    pub(in crate::multi) fn send(&mut self, id: TransferId, now: Instant) -> Result<Step, Fault> {
        let transfer = &mut self.transfers[id.index as usize];
        let Some(connection) = transfer
            .connection
            .and_then(|key| self.connections.get_mut(key))
        else {
            return Ok(Step::Go(State::Init));
        };
        if transfer.easy.is_connect_only {
            if let Some(key) = transfer.origin {
                self.pool.stand_by(key);
                // Where an origin bears few busy connections, one more may be busy now.
                self.give_places(now);
            }
            return Ok(Step::Go(State::StandBy));
        }
        let Talk::Http1(http1) = &mut connection.talk else {
            return self.send_on_stream(id, now);
        };
        if transfer.clocks.last_byte.is_none() {
            transfer.clocks.listen(now);
            transfer.delivery = Delivery::Sink;
            connection.requests += 1;
            http1.taken = 0;
            http1.request.clear();
            let (origin, route, prepared) = self.pool.origins[connection.origin].request_parts();
            let asking = Asking::new(transfer, origin, route, &mut self.options, now);
            asking.write_head(prepared, &mut http1.request)?;
            http1.expects_much = splice::is_worthwhile(http1.exchange.expected());
            http1.exchange.begin(transfer.easy.method);
            self.tracer.sent(id, &http1.request);
        }
        let Stage::Connected { socket, filter, .. } = &mut connection.stage else {
            return Ok(Step::Go(State::Connect));
        };
        let is_sent = match http1.transmit(filter.as_mut()) {
            // What the server said before it left is still there to be read: perhaps it would not
            // have so long a request.
            Err(Fault::ConnectionLost(_)) => return Ok(Step::Go(State::Receive)),
            result => result?,
        };
        if is_sent {
            // TLS and tunnels stop reading as soon as they stand: what had come by then is no event any more.
            let may_have_more = connection.requests == 1
                && (filter.plain().is_none()
                    || self.pool.origins[connection.origin].route().is_tunnel());
            if transfer.is_paused || may_have_more {
                return Ok(Step::Go(State::Receive));
            }
            // Nothing was left to be received before this request, so whatever comes now is an event of its own.
            transfer.state = State::Receive;
            self.sockets.want(*socket, id, filter.wants());
        } else {
            self.sockets.want(*socket, id, Interest::Out);
        }
        Ok(Step::Wait)
    }

    /// Receives the answer until the kernel has no more of it, or the budget is spent.
    pub(in crate::multi) fn receive(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        if self.shared_by(id).is_some() {
            return self.receive_on_stream(id, now);
        }
        let mut buffer = self.scratch.take();
        let step = self.receive_into(&mut buffer, id, now);
        self.scratch.give(buffer);
        step
    }

    fn receive_into(
        &mut self,
        buffer: &mut [u8],
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let mut budget = BUDGET;
        loop {
            let limit = match self.room(id, now)? {
                ControlFlow::Continue(limit) => limit,
                ControlFlow::Break(step) => return Ok(step),
            };
            let transfer = &mut self.transfers[id.index as usize];
            let Some(connection) = transfer
                .connection
                .and_then(|key| self.connections.get_mut(key))
            else {
                return Ok(Step::Go(State::Init));
            };
            let Stage::Connected { socket, filter, .. } = &mut connection.stage else {
                return Ok(Step::Go(State::Connect));
            };
            let Talk::Http1(http1) = &mut connection.talk else {
                return Ok(Step::Go(State::Receive));
            };
            let limit = splice::look(http1, filter.as_ref(), limit);
            let arrived =
                match self
                    .splicer
                    .carry(transfer, &http1.exchange, filter.plain(), limit)?
                {
                    Some(arrived) => arrived,
                    None => filter.recv(buffer, limit, &mut self.scratch)?.into(),
                };
            let (received, shown) = match arrived {
                Arrived::WouldBlock => {
                    self.sockets.want(*socket, id, filter.wants());
                    return Ok(Step::Wait);
                }
                Arrived::End { trusted } => {
                    ended(transfer, &mut http1.exchange, trusted)?;
                    return self.settle(id, false, now);
                }
                Arrived::Moved(n) => {
                    http1.exchange.skip(n as u64);
                    transfer.received += n as u64;
                    (n, 0)
                }
                Arrived::Bytes(n) => (n, n),
            };
            budget = budget.saturating_sub(received);
            self.budget = self.budget.saturating_sub(received);
            spend(transfer, received, self.rate.as_mut());
            transfer.clocks.received(received, now);
            self.pool.origins[connection.origin].last_byte = Some(now);
            let mut reader = Reader {
                id,
                now,
                transfer,
                exchange: &mut http1.exchange,
                tracer: &mut self.tracer,
                jar: self.options.cookies.as_mut(),
            };
            if let Some(rest) = reader.take(&buffer[..shown])? {
                let is_clean = rest == 0
                    && http1.exchange.is_reusable()
                    && is_drained(filter.as_mut(), buffer, &mut self.scratch);
                return self.settle(id, is_clean, now);
            }
            if has_enough(&self.transfers[id.index as usize]) {
                return self.settle(id, false, now);
            }
            if budget == 0 {
                return Ok(Step::Yield);
            }
        }
    }

    /// How many bytes the transfer may receive now, or what it does instead.
    pub(super) fn room(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<ControlFlow<Step, usize>, Fault> {
        let transfer = &mut self.transfers[id.index as usize];
        if transfer.has_drained_enough(now) {
            return self.settle(id, false, now).map(ControlFlow::Break);
        }
        if transfer.is_paused {
            return self.rest(id, now).map(ControlFlow::Break);
        }
        // After a pause, the time without a byte counts anew.
        if transfer.clocks.last_byte.is_none() {
            transfer.clocks.listen(now);
        }
        match allowance(transfer, self.rate.as_mut(), now) {
            Ok(limit) => Ok(ControlFlow::Continue(limit)),
            // A body that nobody wants is not worth the wait.
            Err(_) if matches!(transfer.delivery, Delivery::Drain(..)) => {
                self.give_back(id);
                self.settle(id, false, now).map(ControlFlow::Break)
            }
            Err(until) => {
                transfer.clocks.wake = Some(until);
                Ok(ControlFlow::Break(Step::Go(State::Limited)))
            }
        }
    }

    /// Waits for the rate limit to let the transfer receive again; meanwhile nobody watches its socket.
    pub(in crate::multi) fn limited(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let transfer = self.transfer(id);
        if transfer.clocks.wake.is_some_and(|at| now < at) {
            return self.rest(id, now);
        }
        transfer.clocks.wake = None;
        transfer.clocks.listen(now);
        Ok(Step::Go(State::Receive))
    }

    /// Gives the socket up for a while; no byte can come, so no clock counts the time without one.
    fn rest(&mut self, id: TransferId, now: Instant) -> Result<Step, Fault> {
        if self.shared_by(id).is_some() {
            return self.rest_stream(id, now);
        }
        let transfer = &mut self.transfers[id.index as usize];
        transfer.clocks.rest();
        if let Some(connection) = transfer
            .connection
            .and_then(|key| self.connections.get(key))
        {
            for socket in connection.sockets() {
                self.sockets.want(socket, id, Interest::Remove);
            }
        }
        Ok(Step::Wait)
    }
}

/// How many bytes the transfer may receive now, or when it may again.
fn allowance<S>(
    transfer: &mut Transfer<S>,
    shared: Option<&mut Rate>,
    now: Instant,
) -> Result<usize, Instant> {
    let mut limit = BUDGET as u64;
    for (rate, grant) in [transfer.rate.as_mut(), shared]
        .into_iter()
        .zip(&mut transfer.grants)
    {
        let Some(rate) = rate else { continue };
        if *grant == 0 {
            let (bytes, from) = rate.reserve(now);
            *grant = bytes;
            if from > now {
                return Err(from);
            }
        }
        limit = limit.min(*grant);
    }
    Ok(limit as usize)
}

/// Takes received bytes off the grants; what goes beyond a grant is charged for.
pub(super) fn spend<S>(transfer: &mut Transfer<S>, n: usize, shared: Option<&mut Rate>) {
    for (rate, grant) in [transfer.rate.as_mut(), shared]
        .into_iter()
        .zip(&mut transfer.grants)
    {
        let Some(rate) = rate else { continue };
        rate.charge((n as u64).saturating_sub(*grant));
        *grant = grant.saturating_sub(n as u64);
    }
}

/// Whether nothing has come after a whole answer: what came would answer a request that nobody made.
fn is_drained(filter: &mut dyn Filter, buffer: &mut [u8], scratch: &mut Scratch) -> bool {
    matches!(
        filter.recv(buffer, usize::MAX, scratch),
        Ok(Received::WouldBlock)
    )
}
