//! A connection that carries one exchange after the other: HTTP/1.1. Bodies may be spliced from its socket.

use super::events::Events;
use super::exchanges::{Advance, Readiness};
use super::info::TransferId;
use super::sink::Sink;
use super::transfer::splice::{self, Arrived, Splicer};
use super::transfer::{NextRequest, Prepared, Reader};
use crate::conn::{Filter, Received, Scratch};
use crate::error::Fault;
use crate::http::Event;
use crate::http1::{Closed, Exchange};

/// The exchanges of one connection.
#[derive(Debug, Default)]
pub(super) struct Serial {
    /// The transfer that uses the connection; none while it is idle.
    user: Option<TransferId>,
    exchange: Exchange,
    /// The head of the request; empty until the request is begun.
    request: Vec<u8>,
    /// Bytes of it that the filters took.
    sent: usize,
    /// The previous response was long, so this one probably is.
    expects_much: bool,
}

/// What receiving works with.
pub(super) struct Receiving<'a> {
    pub(super) filter: &'a mut dyn Filter,
    pub(super) scratch: &'a mut Scratch,
    pub(super) splicer: &'a mut Splicer,
    /// Bytes to receive at most, by the rate limits.
    pub(super) limit: usize,
}

impl Serial {
    /// The exchanges of a new connection.
    pub(super) fn new(user: TransferId) -> Self {
        Self {
            user: Some(user),
            ..Self::default()
        }
    }

    /// The transfer that uses the connection.
    pub(super) fn user(&self) -> Option<TransferId> {
        self.user
    }

    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Lets a transfer use the idle connection.
    pub(super) fn attach(&mut self, id: TransferId) {
        self.user = Some(id);
        self.request.clear();
        self.sent = 0;
    }

    /// Makes the connection idle.
    pub(super) fn detach(&mut self) {
        self.user = None;
    }

    pub(super) fn readiness(&self) -> Readiness {
        if self.request.is_empty() {
            Readiness::Ready
        } else {
            Readiness::Begun
        }
    }

    /// Encodes the request, and expects its response.
    pub(super) fn request<S>(
        &mut self,
        next_request: &NextRequest<'_, S>,
        prepared: &mut Prepared,
        events: &mut Events,
    ) -> Result<(), Fault> {
        next_request.write_head(prepared, &mut self.request)?;
        self.expects_much = splice::is_worthwhile(self.exchange.expected());
        self.exchange.begin(next_request.method());
        events.sent(next_request.subject(), &self.request);
        Ok(())
    }

    /// Sends the rest of the request. Returns true when all of it was sent.
    ///
    /// # Errors
    /// What `filter` failed with.
    pub(super) fn transmit(&mut self, filter: &mut dyn Filter) -> Result<bool, Fault> {
        while self.sent < self.request.len() {
            match filter.send(&self.request[self.sent..])? {
                0 => return Ok(false),
                sent => self.sent += sent,
            }
        }
        filter.flush()
    }

    /// Receives once, and hands what came to the transfer.
    pub(super) fn advance<S: Sink>(
        &mut self,
        mut input: Receiving<'_>,
        reader: &mut Reader<'_, S>,
    ) -> Result<Advance, Fault> {
        let mut buffer = input.scratch.take();
        let advance = self.advance_with(&mut buffer, &mut input, reader);
        input.scratch.give(buffer);
        advance
    }

    fn advance_with<S: Sink>(
        &mut self,
        buffer: &mut [u8],
        input: &mut Receiving<'_>,
        reader: &mut Reader<'_, S>,
    ) -> Result<Advance, Fault> {
        let limit = self.first_look(input.filter, input.limit);
        let spliced =
            input
                .splicer
                .carry(reader.transfer, &self.exchange, input.filter.plain(), limit)?;
        let arrived = match spliced {
            Some(arrived) => arrived,
            None => input.filter.recv(buffer, limit, input.scratch)?.into(),
        };
        let (wire, in_buffer) = match arrived {
            Arrived::WouldBlock => return Ok(Advance::Wait(Some(input.filter.wants()))),
            Arrived::End { trusted } => {
                self.end(trusted, reader.transfer.received)?;
                return Ok(Advance::Complete { is_clean: false });
            }
            Arrived::Moved(count) => {
                self.exchange.skip(count as u64);
                reader.transfer.received += count as u64;
                (count, 0)
            }
            Arrived::Bytes(count) => (count, count),
        };
        reader.wire = wire;
        reader.count(wire);
        match self.read(&buffer[..in_buffer], reader)? {
            None => Ok(Advance::More(wire)),
            Some(excess) => {
                let is_clean = excess == 0
                    && self.exchange.is_reusable()
                    && is_drained(input.filter, buffer, input.scratch);
                Ok(Advance::Complete { is_clean })
            }
        }
    }

    /// The peer ended its sending, after `received` bytes of the body. Succeeds if that completes the response, and, if
    /// the end is not `trusted`, the response does not depend on it.
    fn end(&mut self, trusted: bool, received: u64) -> Result<(), Fault> {
        let has_head = self.exchange.response().status >= 200;
        match self.exchange.close() {
            Closed::Done if trusted => Ok(()),
            Closed::Done => Err(Fault::TlsTruncated { received }),
            Closed::Truncated { received, expected } if has_head => {
                Err(Fault::Truncated { received, expected })
            }
            Closed::Truncated { .. } | Closed::NoAnswer => Err(Fault::NoAnswer),
        }
    }

    /// How much to receive at once. If a long response is expected, the first read takes its head and little of the
    /// body, so that the rest can be spliced.
    fn first_look(&self, filter: &dyn Filter, limit: usize) -> usize {
        let is_first = self.expects_much && !self.exchange.has_begun();
        if is_first && filter.plain().is_some() {
            limit.min(splice::FIRST_LOOK)
        } else {
            limit
        }
    }

    /// Parses received bytes. Once the response is complete, returns the number of bytes that were left over.
    fn read<S: Sink>(
        &mut self,
        mut bytes: &[u8],
        reader: &mut Reader<'_, S>,
    ) -> Result<Option<usize>, Fault> {
        loop {
            let (consumed, event) = self.exchange.receive(bytes)?;
            match event {
                Event::Pending => return Ok(None),
                Event::End => return Ok(Some(bytes.len() - consumed)),
                event => reader.take(event)?,
            }
            bytes = &bytes[consumed..];
        }
    }
}

/// Whether nothing came behind a complete response: it would be a response without a request.
fn is_drained(filter: &mut dyn Filter, buffer: &mut [u8], scratch: &mut Scratch) -> bool {
    matches!(
        filter.recv(buffer, usize::MAX, scratch),
        Ok(Received::WouldBlock)
    )
}
