//! One request and its answer on a standing connection: the states Send, Receive and Limited.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::splice::Arrived;
use super::{After, Delivery, State, Step, Transfer};
use crate::conn::{Interest, Received, Scratch};
use crate::error::Fault;
use crate::http::{Credentials, Field, Method, Origin, Response, redirect, request_target};
use crate::http1::{self, Closed, Event, Exchange};
use crate::multi::connection::Stage;
use crate::multi::info::TransferId;
use crate::multi::rate::Rate;
use crate::multi::trace::Tracer;
use crate::multi::{Multi, Sink};

/// What gannet calls itself (RFC 9110 §10.1.5).
const USER_AGENT: &str = concat!("gannet/", env!("CARGO_PKG_VERSION"));

/// Bytes that one transfer receives before others have their turn.
const BUDGET: usize = 2 * 1024 * 1024;

/// A body that nobody wants is read to its end, to keep the connection, if it is no longer than this…
const DRAIN: u64 = 64 * 1024;

/// …and comes within this time.
const DRAIN_TIME: Duration = Duration::from_secs(1);

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
        if transfer.clocks.last_byte.is_none() {
            transfer.clocks.last_byte = Some(now);
            transfer.delivery = Delivery::Sink;
            connection.requests += 1;
            connection.taken = 0;
            connection.request.clear();
            write_head(
                transfer,
                self.pool.origin(connection.origin),
                &mut connection.request,
            )?;
            connection.exchange.begin(transfer.easy.method);
            self.tracer.sent(id, &connection.request);
        }
        let Stage::Connected { socket, filter, .. } = &mut connection.stage else {
            return Ok(Step::Go(State::Connect));
        };
        while connection.taken < connection.request.len() {
            match filter.send(&connection.request[connection.taken..])? {
                0 => break,
                taken => connection.taken += taken,
            }
        }
        if connection.taken == connection.request.len() && filter.flush()? {
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
            let transfer = &mut self.transfers[id.index as usize];
            if transfer.is_paused {
                return Ok(self.rest(id));
            }
            if transfer.has_drained_enough(now) {
                return self.settle(id, false, now);
            }
            let limit = match allowance(transfer, self.rate.as_mut(), now) {
                Ok(limit) => limit,
                Err(until) => {
                    transfer.clocks.wake = Some(until);
                    return Ok(Step::Go(State::Limited));
                }
            };
            let Some(connection) = transfer
                .connection
                .and_then(|key| self.connections.get_mut(key))
            else {
                return Ok(Step::Go(State::Init));
            };
            let Stage::Connected { socket, filter, .. } = &mut connection.stage else {
                return Ok(Step::Go(State::Connect));
            };
            let arrived = match self.splicer.carry(
                transfer,
                &connection.exchange,
                filter.plain(),
                limit,
                buffer,
            )? {
                Some(arrived) => arrived,
                None => filter.recv(buffer, limit, &mut self.scratch)?.into(),
            };
            let bytes = match arrived {
                Arrived::WouldBlock => {
                    self.sockets.want(*socket, id, filter.wants());
                    return Ok(Step::Wait);
                }
                Arrived::End { trusted } => {
                    ended(transfer, connection.exchange.close(), trusted)?;
                    return self.settle(id, false, now);
                }
                Arrived::Moved(n) => {
                    connection.exchange.skip(n as u64);
                    transfer.received += n as u64;
                    budget = budget.saturating_sub(n);
                    spend(transfer, n, self.rate.as_mut());
                    &[][..]
                }
                Arrived::Bytes(n) => {
                    budget = budget.saturating_sub(n);
                    spend(transfer, n, self.rate.as_mut());
                    &buffer[..n]
                }
            };
            transfer.clocks.last_byte = Some(now);
            let mut reader = Reader {
                id,
                now,
                transfer,
                exchange: &mut connection.exchange,
                tracer: &mut self.tracer,
            };
            if let Some(rest) = reader.take(bytes)? {
                let is_clean = rest == 0
                    && connection.exchange.is_reusable()
                    && is_drained(connection.filter(), buffer, &mut self.scratch);
                return self.settle(id, is_clean, now);
            }
            if budget == 0 {
                return Ok(Step::Yield);
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
            return Ok(self.rest(id));
        }
        transfer.clocks.wake = None;
        transfer.clocks.last_byte = Some(now);
        Ok(Step::Go(State::Receive))
    }

    /// Gives the socket up for a while; no byte can come, so no clock counts the time without one.
    fn rest(&mut self, id: TransferId) -> Step {
        let transfer = &mut self.transfers[id.index as usize];
        transfer.clocks.last_byte = None;
        if let Some(connection) = transfer
            .connection
            .and_then(|key| self.connections.get(key))
        {
            for socket in connection.sockets() {
                self.sockets.want(socket, id, Interest::Remove);
            }
        }
        Step::Wait
    }
}

/// Writes the head of the transfer's next request. What was given wins over the defaults, the transfer's own fields
/// over the shared ones; credentials and a Host that was given go to the first URL's origin alone.
fn write_head<S>(transfer: &Transfer<S>, origin: &Origin, out: &mut Vec<u8>) -> Result<(), Fault> {
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
fn spend<S>(transfer: &mut Transfer<S>, n: usize, shared: Option<&mut Rate>) {
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
fn is_drained(
    filter: Option<&mut dyn crate::conn::Filter>,
    buffer: &mut [u8],
    scratch: &mut Scratch,
) -> bool {
    filter.is_some_and(|filter| {
        matches!(
            filter.recv(buffer, usize::MAX, scratch),
            Ok(Received::WouldBlock)
        )
    })
}

/// The peer ended its sending before the answer was known to be whole.
fn ended<S>(transfer: &Transfer<S>, closed: Closed, trusted: bool) -> Result<(), Fault> {
    match closed {
        Closed::Done if trusted => Ok(()),
        Closed::Done => Err(Fault::TlsTruncated {
            received: transfer.received,
        }),
        Closed::Truncated { received, expected } => Err(Fault::Truncated { received, expected }),
        Closed::NoAnswer => Err(Fault::NoAnswer),
    }
}

/// Reads an answer out of received bytes, for one transfer.
struct Reader<'a, S> {
    id: TransferId,
    now: Instant,
    transfer: &'a mut Transfer<S>,
    exchange: &'a mut Exchange,
    tracer: &'a mut Tracer,
}

impl<S: Sink> Reader<'_, S> {
    /// Takes `bytes`; once the answer is whole, gives how many were left over.
    fn take(&mut self, mut bytes: &[u8]) -> Result<Option<usize>, Fault> {
        loop {
            let (consumed, event) = self.exchange.receive(bytes)?;
            match event {
                Event::NeedMore => return Ok(None),
                Event::Interim(response) => self.tracer.received(self.id, response),
                Event::Head(response) => {
                    self.tracer.received(self.id, response);
                    head(self.transfer, response, self.now)?;
                }
                Event::Data(data) => body(self.transfer, data)?,
                Event::Done => return Ok(Some(bytes.len() - consumed)),
            }
            bytes = &bytes[consumed..];
        }
    }
}

/// Decides what becomes of an answer, by its head.
fn head<S: Sink>(
    transfer: &mut Transfer<S>,
    response: &Response,
    now: Instant,
) -> Result<(), Fault> {
    let status = response.status;
    let length = if transfer.easy.method == Method::Head {
        Some(0)
    } else {
        response.content_length()
    };
    if redirect::is_redirect(status) {
        let after = match redirected(transfer, response) {
            Ok(url) => After::Redirect(Box::new(url)),
            Err(fault) => After::Fail(fault),
        };
        drain(transfer, length, after, now);
        return Ok(());
    }
    if status >= 400 {
        let fault = Fault::Status {
            status,
            retry_after: response.retry_after(),
        };
        drain(transfer, length, After::Fail(fault), now);
        return Ok(());
    }
    if let Some(limit) = transfer.easy.max_size
        && length.is_some_and(|length| length > limit)
    {
        return Err(Fault::TooLarge { limit });
    }
    transfer.received = 0;
    transfer.easy.sink.head(response)
}

/// Where a redirect leads, if it may be followed.
fn redirected<S>(transfer: &Transfer<S>, response: &Response) -> Result<url::Url, Fault> {
    let Some(location) = response.location() else {
        return Err(Fault::BadRedirect(format!(
            "status {} without a Location",
            response.status
        )));
    };
    let url = redirect::target(transfer.url(), location)?;
    if transfer.redirects >= transfer.easy.max_redirects {
        return Err(Fault::TooManyRedirects(transfer.easy.max_redirects));
    }
    Ok(url)
}

/// Has the body read and thrown away, where that is worth a connection; else the transfer moves on at once.
fn drain<S>(transfer: &mut Transfer<S>, length: Option<u64>, after: After, now: Instant) {
    transfer.clocks.wake = Some(now + DRAIN_TIME);
    let room = if length.is_some_and(|length| length > DRAIN) {
        0
    } else {
        DRAIN
    };
    transfer.delivery = Delivery::Drain(room, after);
}

/// Hands a part of the body on.
fn body<S: Sink>(transfer: &mut Transfer<S>, data: &[u8]) -> Result<(), Fault> {
    match &mut transfer.delivery {
        Delivery::Drain(room, _) => {
            *room = room.saturating_sub(data.len() as u64);
            Ok(())
        }
        Delivery::Sink => {
            transfer.received += data.len() as u64;
            match transfer.easy.max_size {
                Some(limit) if transfer.received > limit => Err(Fault::TooLarge { limit }),
                _ => transfer.easy.sink.write(data),
            }
        }
    }
}
