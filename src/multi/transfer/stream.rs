//! One request and its answer on a stream of HTTP/2: the states Send and Receive, and what becomes
//! of a stream that was broken.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::answer::{body, has_enough, head};
use super::exchange::spend;
use super::request::Asking;
use super::{Delivery, State, Step};
use crate::error::{Fault, Timeout};
use crate::http2::{Broken, Event, Readiness, shown};
use crate::multi::connection::{Connection, Lost, Talk};
use crate::multi::info::TransferId;
use crate::multi::options::Protocol;
use crate::multi::shared::BUDGET;
use crate::multi::{Multi, Sink};

/// Connections in a row that answered nobody, from which on nothing is begun again free of charge:
/// a server that goes on like that is to be waited for.
const FRUITLESS: u32 = 5;
/// Bytes of a body from which on it counts as a long one.
const BULKY: u64 = 1024 * 1024;

impl<S: Sink> Multi<S> {
    /// Sends the request; it leaves with those of others at the end of the call.
    pub(super) fn send_on_stream(&mut self, id: TransferId, now: Instant) -> Result<Step, Fault> {
        let transfer = &mut self.transfers[id.index as usize];
        let slot = transfer.slot;
        let Some(key) = transfer.connection else {
            return Ok(Step::Go(State::Init));
        };
        let Some(Connection {
            origin,
            talk: Talk::Http2(http2),
            requests,
            ..
        }) = self.connections.get_mut(key)
        else {
            return Ok(Step::Go(State::Init));
        };
        if transfer.clocks.last_byte.is_none() {
            transfer.clocks.listen(now);
        }
        let readiness = if http2.is_open() {
            http2.session.readiness(slot)
        } else {
            Readiness::Never
        };
        match readiness {
            Readiness::Ready => {}
            Readiness::Later => {
                // What is wanted of the socket is said at the end of the call, as the others need it too.
                self.mark_unsent(key);
                return Ok(Step::Wait);
            }
            Readiness::Never => return self.begin_again(id, Fault::NoAnswer, now),
        }
        let (origin, route, prepared) = self.pool.origins[*origin].request_parts();
        let asking = Asking::new(transfer, origin, route, &mut self.options, now);
        let request = asking.stream_request(prepared)?;
        let text = self.tracer.has_heads().then(|| shown(&request));
        let Some(number) = http2.session.request(slot, transfer.easy.method, request) else {
            return self.begin_again(id, Fault::NoAnswer, now);
        };
        transfer.delivery = Delivery::Sink;
        *requests += 1;
        self.tracer
            .info(id, || format!("the request goes on stream {number}"));
        if let Some(text) = text {
            self.tracer.sent(id, text.as_bytes());
        }
        self.mark_unsent(key);
        Ok(Step::Go(State::Receive))
    }

    /// Receives the answer as far as it has come, or until the budget is spent: much may have come
    /// while the stream was at rest.
    pub(super) fn receive_on_stream(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let start = self.transfer(id).received;
        loop {
            if let ControlFlow::Break(step) = self.room(id, now)? {
                return Ok(step);
            }
            self.set_resting(id, false);
            if self.transfer(id).received.saturating_sub(start) >= BUDGET as u64 {
                return Ok(Step::Yield);
            }
            if let ControlFlow::Break(step) = self.take_event(id, now)? {
                return Ok(step);
            }
        }
    }

    /// Takes the next thing that has happened to the stream.
    fn take_event(&mut self, id: TransferId, now: Instant) -> Result<ControlFlow<Step>, Fault> {
        let transfer = &mut self.transfers[id.index as usize];
        let slot = transfer.slot;
        let Some(key) = transfer.connection else {
            return Ok(ControlFlow::Break(Step::Go(State::Init)));
        };
        let connection = &mut self.connections[key];
        let origin = connection.origin;
        let Some(http2) = connection.http2() else {
            return Ok(ControlFlow::Break(Step::Go(State::Init)));
        };
        let number = http2.session.number(slot);
        let event = match http2.session.poll(slot) {
            Ok(event) => event,
            Err(broken) => return self.mend(id, broken, now).map(ControlFlow::Break),
        };
        match event {
            Event::Pending => return Ok(ControlFlow::Break(Step::Wait)),
            Event::Interim(response) => {
                transfer.clocks.received(0, now);
                self.tracer.received(id, response);
            }
            Event::Head(response) => {
                self.tracer
                    .info(id, || format!("the answer comes on stream {number}"));
                self.tracer.received(id, response);
                transfer.clocks.received(0, now);
                self.pool.origins[origin].last_byte = Some(now);
                head(transfer, response, self.options.cookies.as_mut(), now)?;
            }
            Event::Data(data) => {
                let count = data.len();
                body(transfer, data)?;
                transfer.clocks.received(count, now);
                self.pool.origins[origin].last_byte = Some(now);
                http2.session.release(slot, count);
                spend(transfer, count, self.rate.as_mut());
                if transfer.received >= BULKY && !transfer.is_bulky {
                    transfer.is_bulky = true;
                    self.pool.grow(origin, key);
                }
                self.mark_unsent(key);
                if has_enough(&self.transfers[id.index as usize]) {
                    return self.settle(id, false, now).map(ControlFlow::Break);
                }
            }
            Event::End => {
                http2.answers += 1;
                self.pool.origins[origin].unanswered = 0;
                return self.settle(id, true, now).map(ControlFlow::Break);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Lets a stream lie for a while. Its body stays where it is, within its window; the others are
    /// not held up by that. With the last of them the socket is given up.
    pub(super) fn rest_stream(&mut self, id: TransferId, now: Instant) -> Result<Step, Fault> {
        let transfer = &mut self.transfers[id.index as usize];
        transfer.clocks.rest();
        let slot = transfer.slot;
        self.set_resting(id, true);
        let connection = self.transfers[id.index as usize].connection;
        let connection = connection.and_then(|key| self.connections.get_mut(key));
        if let Some(http2) = connection.and_then(Connection::http2)
            && let Err(broken) = http2.session.rest(slot)
        {
            return self.mend(id, broken, now);
        }
        Ok(Step::Wait)
    }

    /// Begins or ends a stream's rest; what is wanted of the socket may change with it.
    fn set_resting(&mut self, id: TransferId, is_resting: bool) {
        let transfer = &mut self.transfers[id.index as usize];
        if std::mem::replace(&mut transfer.is_resting, is_resting) == is_resting {
            return;
        }
        let Some(key) = transfer.connection else {
            return;
        };
        let connection = self.connections.get_mut(key);
        if let Some(http2) = connection.and_then(Connection::http2) {
            if is_resting {
                http2.resting += 1;
            } else {
                http2.resting -= 1;
            }
            http2.session.make_room_for(http2.resting);
            self.mark_unsent(key);
        }
    }

    /// Decides what becomes of a transfer whose stream was broken.
    fn mend(&mut self, id: TransferId, broken: Broken, now: Instant) -> Result<Step, Fault> {
        match broken {
            Broken::Fault(fault) => {
                if fault.asks_for_calm() {
                    self.back_off(id, now);
                }
                Err(fault)
            }
            Broken::Unprocessed { fault, is_refused } => {
                if is_refused && !self.narrow(id) {
                    return Err(fault);
                }
                self.begin_again(id, fault, now)
            }
            Broken::Ruined {
                fault,
                is_culprit: true,
            } => {
                // There is an end to the others' beginning again: each such connection costs somebody a try.
                self.answered(id);
                Err(fault)
            }
            Broken::Ruined { fault, .. } => self.begin_again(id, fault, now),
            Broken::Http11Required if self.options.protocol == Protocol::Http2 => {
                Err(Fault::Http11Required)
            }
            Broken::Http11Required => {
                self.fall_back(id);
                self.begin_again(id, Fault::Http11Required, now)
            }
            Broken::Lost => {
                let (fault, is_stale) = self.loss(id);
                if is_stale {
                    self.begin_again(id, fault, now)
                } else {
                    Err(fault)
                }
            }
        }
    }

    /// A transfer's connection has brought an answer, or what came in the place of one.
    fn answered(&mut self, id: TransferId) {
        let connection = self.transfer(id).connection;
        if let Some(connection) = connection.and_then(|key| self.connections.get_mut(key))
            && let Talk::Http2(http2) = &mut connection.talk
        {
            http2.answers += 1;
            self.pool.origins[connection.origin].unanswered = 0;
        }
    }

    /// The server takes fewer streams at once than it said, and than this connection has. False
    /// when this is the only one.
    fn narrow(&mut self, id: TransferId) -> bool {
        let Some(key) = self.shared_by(id) else {
            return false;
        };
        let connection = &mut self.connections[key];
        let origin = connection.origin;
        let Some(http2) = connection.http2() else {
            return false;
        };
        let others = http2.users.len() - 1;
        http2.session.limit(others);
        let capacity = http2.capacity();
        self.pool.set_capacity(origin, key, capacity);
        others > 0
    }

    /// Speaks HTTP/1.1 to a transfer's origin from now on.
    fn fall_back(&mut self, id: TransferId) {
        let Some(origin) = self.transfer(id).origin else {
            return;
        };
        let of_origin = self.connections.iter().filter(|(_, c)| c.origin == origin);
        for key in of_origin.map(|(key, _)| key).collect::<Vec<_>>() {
            self.retire(key);
        }
        self.pool.require_http1(origin);
    }

    /// What to say of a stream whose connection has ended; and whether nobody need be told, because
    /// it had served before and nothing of this answer had come.
    fn loss(&self, id: TransferId) -> (Fault, bool) {
        let transfer = &self.transfers[id.index as usize];
        let connection = transfer
            .connection
            .and_then(|key| self.connections.get(key));
        let Some(Connection {
            talk: Talk::Http2(http2),
            ..
        }) = connection
        else {
            return (Fault::NoAnswer, false);
        };
        let has_head = http2.session.has_head(transfer.slot);
        let body = has_head.then(|| (transfer.received, http2.session.expected(transfer.slot)));
        let lost = http2.lost.as_ref().unwrap_or(&Lost::Ended);
        (lost.fault(body), !has_head && http2.answers > 0)
    }

    /// Begins a transfer again, free of charge, on whatever connection there is. There is an end to
    /// this: each connection answers at least one, or is among the few that may answer nobody.
    pub(super) fn begin_again(
        &mut self,
        id: TransferId,
        fault: Fault,
        now: Instant,
    ) -> Result<Step, Fault> {
        let transfer = &mut self.transfers[id.index as usize];
        let unanswered = transfer
            .origin
            .map_or(0, |key| self.pool.origins[key].unanswered);
        if unanswered >= FRUITLESS {
            return Err(fault);
        }
        transfer.clocks.rest();
        transfer.clocks.wake = None;
        self.tracer.info(id, || format!("{fault}: beginning again"));
        self.drop_connection(id);
        self.requeue(id, false, now);
        Ok(Step::Wait)
    }

    /// A stream has stalled. Where the whole connection was as silent, it is most likely dead, and
    /// gets no further streams.
    pub(super) fn suspect(&mut self, id: TransferId, fault: &Fault, now: Instant) {
        let Fault::Timeout {
            kind: Timeout::Stall | Timeout::Answer,
            limit,
        } = fault
        else {
            return;
        };
        let Some(key) = self.shared_by(id) else {
            return;
        };
        let silence = self.connections[key]
            .http2()
            .map_or(Duration::ZERO, |http2| {
                now.saturating_duration_since(http2.last_byte)
            });
        if silence >= *limit {
            self.retire(key);
        }
    }
}
