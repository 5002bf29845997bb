//! The end of an exchange, and of a transfer: what becomes of the connection, of a redirect, of an
//! error; the state Done.

use std::time::{Duration, Instant};

use super::{After, Delivery, State, Step};
use crate::conn::Interest;
use crate::error::{Doing, Error, Fault, Malformed, ProxyFault};
use crate::http::auth::masked;
use crate::multi::connection::{Connection, Talk};
use crate::multi::connections::ConnectionKey;
use crate::multi::info::{Done, Outcome, TransferId};
use crate::multi::origins::OriginKey;
use crate::multi::queue::Place;
use crate::multi::trace::Trace;
use crate::multi::{Multi, Sink};

/// The shortest time that there is: over when the application calls the next time.
const MOMENT: Duration = Duration::from_nanos(1);

impl<S: Sink> Multi<S> {
    /// Ends an exchange whose answer is whole, or no longer of interest; the connection is kept if it `is_clean`.
    pub(in crate::multi) fn settle(
        &mut self,
        id: TransferId,
        is_clean: bool,
        now: Instant,
    ) -> Result<Step, Fault> {
        let transfer = &mut self.transfers[id.index as usize];
        transfer.clocks.wake = None;
        transfer.clocks.rest();
        match std::mem::take(&mut transfer.delivery) {
            Delivery::Sink => {
                let result = self.outcome(id, now);
                if let Some(key) = self.transfer(id).origin {
                    self.pool.succeeded(key);
                }
                self.release_connection(id, is_clean, now);
                self.complete(id, Ok(result));
                self.give_places(now);
                Ok(Step::Complete)
            }
            Delivery::Drain(_, After::Fail(fault)) => {
                let connection = transfer
                    .connection
                    .and_then(|key| self.connections.get(key));
                let is_old = |connection: &Connection| {
                    connection.requests > 1 && matches!(connection.talk, Talk::Http1(_))
                };
                let was_used = connection.is_some_and(is_old);
                if was_used && matches!(fault, Fault::Status { status: 408, .. }) {
                    // The server was about to close the idle connection, and said so (RFC 9110 §15.5.9).
                    self.drop_connection(id);
                    self.requeue(id, true, now);
                    return Ok(Step::Wait);
                }
                if fault.asks_for_calm() {
                    self.back_off(id, now);
                }
                self.release_connection(id, is_clean, now);
                self.complete_with(id, fault, now);
                Ok(Step::Complete)
            }
            Delivery::Drain(_, After::Redirect(url)) => {
                let connection = transfer
                    .connection
                    .and_then(|key| self.connections.get(key));
                let response = connection.and_then(|connection| connection.response(transfer.slot));
                self.tracer.step(id, || Trace::Redirected {
                    status: response.map_or(0, |response| response.status),
                    from: masked(transfer.url()).to_string(),
                    to: masked(&url).to_string(),
                });
                self.release_connection(id, is_clean, now);
                self.leave_origin(id);
                let transfer = self.transfer(id);
                transfer.redirects += 1;
                transfer.was_tls |= transfer.url().scheme() == "https";
                transfer.address = None;
                transfer.redirected = Some(*url);
                transfer.refused = 0;
                transfer.needs_fresh = false;
                Ok(Step::Go(State::Init))
            }
        }
    }

    /// Leaves a transfer's origin alone until the application has read of it, and may have said more.
    pub(super) fn back_off(&mut self, id: TransferId, now: Instant) {
        if let Some(key) = self.transfer(id).origin {
            self.pool.back_off(key, now + MOMENT);
        }
    }

    /// Ends a transfer by a fault, or starts it over where nobody need notice.
    pub(in crate::multi) fn fail(&mut self, id: TransferId, fault: Fault, now: Instant) {
        let transfer = &self.transfers[id.index as usize];
        let connection = transfer
            .connection
            .and_then(|key| self.connections.get(key));
        let is_stale = |connection: &Connection| match fault {
            Fault::ConnectionLost(_)
            | Fault::NoAnswer
            | Fault::Tls(_)
            | Fault::TlsTruncated { .. } => connection.may_be_stale(),
            // What is no answer at all was left over from the last one (RFC 9112 §6.3).
            Fault::Malformed(Malformed::NotHttp) => connection.requests > 1,
            _ => false,
        };
        if connection.is_some_and(is_stale) {
            self.tracer.info(id, || {
                "the connection was dead: taking a new one".to_owned()
            });
            self.drop_connection(id);
            let transfer = self.transfer(id);
            transfer.clocks.rest();
            transfer.clocks.wake = None;
            self.requeue(id, true, now);
            return;
        }
        if self.has_another_target(id, &fault) {
            return self.turn_to_next_target(id, now);
        }
        self.suspect(id, &fault, now);
        let transfer = &self.transfers[id.index as usize];
        if matches!(transfer.delivery, Delivery::Drain(..)) {
            // The head has decided already; how the rest of a body that nobody wants goes wrong changes nothing.
            match self.settle(id, false, now) {
                Ok(Step::Go(state)) => {
                    self.transfer(id).state = state;
                    self.make_runnable(id);
                }
                Ok(_) => {}
                Err(fault) => self.complete_with(id, fault, now),
            }
            return;
        }
        self.complete_with(id, fault, now);
    }

    /// Whether the proxy could not connect to the address that it was told, and the origin has others.
    fn has_another_target(&self, id: TransferId, fault: &Fault) -> bool {
        let is_refusal = matches!(
            fault,
            Fault::Proxy {
                fault: ProxyFault::Socks(_),
                ..
            }
        );
        let connection = self.transfers[id.index as usize].connection;
        let target = connection.and_then(|key| self.connections.get(key)?.target);
        is_refusal && target.is_some_and(|target| target.left > 0)
    }

    /// Has the proxy told another address: there is no race behind a proxy.
    fn turn_to_next_target(&mut self, id: TransferId, now: Instant) {
        self.tracer.info(id, || {
            "the proxy could not connect: telling it the next address".to_owned()
        });
        self.drop_connection(id);
        let transfer = self.transfer(id);
        transfer.refused += 1;
        transfer.clocks.wake = None;
        if let Some(key) = transfer.origin {
            self.pool.stop_trying(key, id);
        }
        self.requeue(id, true, now);
    }

    fn complete_with(&mut self, id: TransferId, fault: Fault, now: Instant) {
        let transfer = &self.transfers[id.index as usize];
        let doing = transfer.state.doing();
        let proxy = transfer
            .origin
            .and_then(|key| self.pool.origins[key].route().proxy());
        let error = Error::new(fault, doing, transfer.address)
            .redirected_to(transfer.redirected.clone())
            .through(proxy.map(ToString::to_string));
        let is_reaching = matches!(
            doing,
            Doing::Resolving | Doing::Connecting | Doing::Handshaking
        );
        let origin = transfer.origin.filter(|_| is_reaching);
        if let Some((key, fault)) = origin.zip(error.fault().of_reaching()) {
            self.fail_with(id, key, (&fault, &error));
        }
        self.complete(id, Err(error));
        self.give_places(now);
    }

    /// Ends those who have waited for a transfer to reach their origin, which it has not: the try was theirs too.
    fn fail_with(&mut self, id: TransferId, key: OriginKey, (fault, error): (&Fault, &Error)) {
        let since = self.transfer(id).clocks.dispatched;
        for sharing in self.pool.not_reached(key, id) {
            let Some(fault) = fault.of_reaching() else {
                continue;
            };
            self.tracer.info(sharing, || {
                "another has tried to connect, in vain".to_owned()
            });
            let redirected = self.transfer(sharing).redirected.clone();
            let error = Error::new(fault, error.doing(), error.address())
                .redirected_to(redirected)
                .through(error.proxy().map(str::to_owned));
            self.complete_since(sharing, Err(error), since);
        }
    }

    fn outcome(&self, id: TransferId, now: Instant) -> Outcome {
        let transfer = &self.transfers[id.index as usize];
        let connection = transfer
            .connection
            .and_then(|key| self.connections.get(key));
        let response = connection.and_then(|connection| connection.response(transfer.slot));
        Outcome {
            status: response.map_or(0, |response| response.status),
            version: response.map_or_else(Default::default, |response| response.version),
            received: transfer.received,
            elapsed: transfer
                .clocks
                .dispatched
                .map_or_else(Default::default, |at| now.saturating_duration_since(at)),
            redirects: transfer.redirects,
            final_url: transfer.redirected.clone(),
            address: connection.and_then(|connection| connection.address()),
            is_reused: connection.is_some_and(|connection| connection.requests > 1),
        }
    }

    /// Completes a transfer: everything that it held is let go, and its message is queued.
    pub(in crate::multi) fn complete(&mut self, id: TransferId, result: Result<Outcome, Error>) {
        self.complete_since(id, result, None);
    }

    /// The same for one that was not dispatched, but took part in what another did since a time.
    fn complete_since(
        &mut self,
        id: TransferId,
        result: Result<Outcome, Error>,
        since: Option<Instant>,
    ) {
        let dispatched = self.transfer(id).clocks.dispatched.or(since);
        self.let_go(id);
        self.running -= 1;
        let message = self.messages.push(Done {
            id,
            result,
            dispatched,
        });
        let transfer = self.transfer(id);
        transfer.state = State::Done;
        transfer.message = Some(message);
    }

    /// Lets go of whatever a transfer holds, in whatever state it is. The places that this frees
    /// are still to be given away.
    pub(in crate::multi) fn let_go(&mut self, id: TransferId) {
        let transfer = &self.transfers[id.index as usize];
        if let (State::StandBy, Some(key)) = (transfer.state, transfer.origin) {
            self.pool.stop_standing_by(key);
        }
        self.drop_connection(id);
        self.give_back(id);
        let transfer = &mut self.transfers[id.index as usize];
        self.sleeping -= usize::from(transfer.state == State::Delayed);
        let was_counted = transfer.clocks.dispatched.is_some() && !transfer.easy.is_extra;
        transfer.clocks = super::Clocks::over(transfer.clocks.dispatched);
        self.leave_origin(id);
        self.timers.set(id.index, None);
        if was_counted {
            self.pool.complete();
        }
    }

    /// Gives back what a transfer was granted and has not received.
    pub(in crate::multi) fn give_back(&mut self, id: TransferId) {
        let transfer = &mut self.transfers[id.index as usize];
        for (rate, grant) in [transfer.rate.as_mut(), self.rate.as_mut()]
            .into_iter()
            .zip(&mut transfer.grants)
        {
            if let Some(rate) = rate {
                rate.give_back(std::mem::take(grant));
            }
        }
    }

    /// Leaves the queue, a place not yet used, and the origin.
    fn leave_origin(&mut self, id: TransferId) {
        let transfer = &mut self.transfers[id.index as usize];
        let Some(key) = transfer.origin.take() else {
            return;
        };
        if let Some(turn) = transfer.turn.take() {
            self.pool.stop_waiting(key, turn);
        }
        self.pool.stop_trying(key, id);
        let transfer = &mut self.transfers[id.index as usize];
        match transfer.place.take() {
            Some(Place::New) => self.pool.not_used(key),
            Some(Place::Reuse(connection)) => self.pool.keep(key, connection),
            // The stream was left already.
            Some(Place::Join(_)) | None => {}
        }
        self.pool.leave(key);
    }

    /// Takes a transfer off its connection, which is kept as idle if it `is_clean`, else closed.
    fn release_connection(&mut self, id: TransferId, is_clean: bool, now: Instant) {
        if !is_clean {
            return self.drop_connection(id);
        }
        let Some(key) = self.transfer(id).connection.take() else {
            return;
        };
        let connection = &mut self.connections[key];
        let Some(http1) = connection.http1() else {
            return self.leave_stream(id, key);
        };
        http1.user = None;
        connection.idle_since = Some((now, self.calls));
        for socket in connection.sockets() {
            self.sockets.want(socket, id, Interest::Remove);
        }
        let origin = connection.origin;
        self.pool.keep(origin, key);
    }

    /// Takes a transfer off its connection and closes that, unless others share it.
    pub(super) fn drop_connection(&mut self, id: TransferId) {
        let shared = self.shared_by(id);
        match (self.transfer(id).connection.take(), shared) {
            (Some(_), Some(key)) => self.leave_stream(id, key),
            (Some(key), None) => self.close_connection(key),
            (None, _) => {}
        }
    }

    /// Closes a connection and frees its place.
    pub(in crate::multi) fn close_connection(&mut self, key: ConnectionKey) {
        let Some(mut connection) = self.connections.remove(key) else {
            return;
        };
        for socket in connection.sockets() {
            self.sockets.close(socket, &mut self.messages);
        }
        if let Some(filter) = connection.filter() {
            filter.close();
        }
        if connection.http2().is_some_and(|http2| http2.answers == 0) {
            self.pool.origins[connection.origin].unanswered += 1;
        }
        if connection.is_established {
            self.pool.origins[connection.origin].reach.disconnected();
        } else {
            self.pool.not_opened(connection.origin);
        }
        self.pool.closed(connection.origin, key);
    }
}
