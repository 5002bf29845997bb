//! [`Exchange`]: one response, from its first byte to its last. It belongs to a connection, and is reused for each
//! request.

use super::chunked::{Decoder, Piece, at_most};
use super::framing::{Body, Framing, is_plainly_empty};
use super::head::{self, Certainty};
use super::{KEPT, MAX_INTERIM};
use crate::error::Malformed;
use crate::http::{Event, Method, Response};

/// What the end of the peer's stream means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The response is complete.
    Done,
    /// The response is incomplete, in its head or in its body.
    Truncated {
        /// Bytes of the body received.
        received: u64,
        /// The announced length of the body, if there was one.
        expected: Option<u64>,
    },
    /// No byte of a response has arrived.
    NoAnswer,
}

/// Reads the response to one request after the other, from bytes in pieces of any size.
///
/// It allocates only for a head that arrives in pieces or is longer than the ones before.
#[derive(Debug, Default)]
pub struct Exchange {
    state: ResponseState,
    method: Method,
    head: head::Reader,
    response: Response,
    interim_count: u32,
    has_begun: bool,
    is_persistent: bool,
    received: u64,
    expected: Option<u64>,
}

/// The states. [`super`] draws their graph.
#[derive(Debug, Default)]
enum ResponseState {
    /// No request is under way.
    #[default]
    Idle,
    /// Before the end of the final response's head.
    Head,
    /// This many bytes of the body are left.
    Length(u64),
    /// In a chunked body.
    Chunked(Decoder),
    /// In a body that ends with the connection.
    UntilClose,
    /// The response is complete.
    Done,
    /// The response is malformed. Every call fails with this.
    Failed(Malformed),
}

/// An [`Event`] without borrowed data; `Data` has the offset where the data begins.
enum Parsed {
    Pending,
    Interim,
    Head,
    Data(usize),
    End,
}

impl Exchange {
    /// An exchange without a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Prepares for the response to a request. Buffers are kept, up to a usual size.
    pub fn begin(&mut self, method: Method) {
        self.state = ResponseState::Head;
        self.method = method;
        self.head.reset();
        self.response.clear();
        self.response.headers.shrink_to(KEPT);
        self.interim_count = 0;
        self.has_begun = false;
        self.is_persistent = true;
        self.received = 0;
        self.expected = None;
    }

    /// Takes received bytes. Returns how many it consumed, and what they were.
    ///
    /// [`Event::Data`] borrows from `bytes`. After any event but [`Event::Pending`] and [`Event::End`], call again with
    /// the rest at once, even if it is empty: the end of a response takes a separate call, which needs no byte. What
    /// the call that returned [`Event::End`] did not consume does not belong to the response.
    ///
    /// # Errors
    ///
    /// How the response violates HTTP. Further calls return the same error, until [`begin`](Self::begin).
    /// [`Malformed::Unsolicited`] for bytes without a request.
    pub fn receive<'a>(&'a mut self, bytes: &'a [u8]) -> Result<(usize, Event<'a>), Malformed> {
        let (consumed, parsed) = match self.parse(bytes) {
            Ok(done) => done,
            Err(malformed) => {
                self.state = ResponseState::Failed(malformed);
                return Err(malformed);
            }
        };
        let event = match parsed {
            Parsed::Pending => Event::Pending,
            Parsed::Interim => Event::Interim(&self.response),
            Parsed::Head => Event::Head(&self.response),
            Parsed::Data(start) => {
                self.received += (consumed - start) as u64;
                Event::Data(&bytes[start..consumed])
            }
            Parsed::End => {
                self.state = ResponseState::Done;
                Event::End
            }
        };
        Ok((consumed, event))
    }

    /// The peer has ended its stream. Over TLS without close_notify, a body that
    /// [ends with the connection](Self::is_until_close) must not be trusted: check that before.
    pub fn close(&mut self) -> Closed {
        let is_complete = match &self.state {
            ResponseState::Done | ResponseState::UntilClose | ResponseState::Length(0) => true,
            ResponseState::Chunked(decoder) => decoder.is_complete(),
            ResponseState::Idle
            | ResponseState::Head
            | ResponseState::Length(_)
            | ResponseState::Failed(_) => false,
        };
        self.is_persistent = false;
        if is_complete {
            self.state = ResponseState::Done;
            return Closed::Done;
        }
        if !self.has_begun() {
            return Closed::NoAnswer;
        }
        Closed::Truncated {
            received: self.received,
            expected: self.expected,
        }
    }

    /// The number of bytes of the body that may be spliced. `None` unless a length was announced and is not reached.
    pub fn raw_remaining(&self) -> Option<u64> {
        match self.state {
            ResponseState::Length(left) if left > 0 => Some(left),
            _ => None,
        }
    }

    /// Counts bytes of the body that were spliced: at most [`raw_remaining`](Self::raw_remaining), else the connection
    /// cannot be reused. Once none remains, `receive(&[])` returns the end.
    pub fn skip(&mut self, n: u64) {
        let moved = match &mut self.state {
            ResponseState::Length(left) => {
                let moved = n.min(*left);
                *left -= moved;
                moved
            }
            _ => 0,
        };
        self.received += moved;
        self.is_persistent &= moved == n;
    }

    /// Whether the connection may carry another request: the response is complete, the peer keeps the connection open
    /// (RFC 9112 §9.3), and any reader finds the same end of the response.
    pub fn is_reusable(&self) -> bool {
        matches!(self.state, ResponseState::Done) && self.is_persistent
    }

    /// Whether only the end of the connection ends the body.
    pub fn is_until_close(&self) -> bool {
        matches!(self.state, ResponseState::UntilClose)
    }

    /// Whether any byte of a response has arrived, interim responses included. Empty lines before it do not count.
    pub fn has_begun(&self) -> bool {
        self.has_begun || self.head.has_begun()
    }

    /// Bytes of the body so far, without framing.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The length of the body, once the head has arrived: 0 if there is no body (HEAD, 204, 304), `None` if its last
    /// chunk or the end of the connection ends it.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// The last head that was received; empty before the first.
    pub fn response(&self) -> &Response {
        &self.response
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<(usize, Parsed), Malformed> {
        match &mut self.state {
            ResponseState::Failed(malformed) => Err(*malformed),
            ResponseState::Idle | ResponseState::Done if !bytes.is_empty() => {
                Err(Malformed::Unsolicited)
            }
            ResponseState::Idle | ResponseState::Done => Ok((0, Parsed::Pending)),
            ResponseState::Head => self.parse_head(bytes),
            ResponseState::Length(0) => Ok((0, Parsed::End)),
            _ if bytes.is_empty() => Ok((0, Parsed::Pending)),
            ResponseState::Length(left) => {
                let taken = at_most(*left, bytes.len());
                *left -= taken as u64;
                Ok((taken, Parsed::Data(0)))
            }
            ResponseState::UntilClose => Ok((bytes.len(), Parsed::Data(0))),
            ResponseState::Chunked(decoder) => {
                let (consumed, piece) = decoder.receive(bytes)?;
                let parsed = match piece {
                    Piece::NeedMore => Parsed::Pending,
                    Piece::Data(start) => Parsed::Data(start),
                    Piece::End => Parsed::End,
                };
                Ok((consumed, parsed))
            }
        }
    }

    fn parse_head(&mut self, bytes: &[u8]) -> Result<(usize, Parsed), Malformed> {
        let (consumed, whole) = self.head.receive(bytes, &mut self.response)?;
        let Some(certainty) = whole else {
            return Ok((consumed, Parsed::Pending));
        };
        self.has_begun = true;
        let parsed = if self.response.status < 200 {
            self.interim(certainty)?;
            Parsed::Interim
        } else {
            let framing = Framing::of(self.method, &self.response)?.given(certainty);
            self.frame(framing);
            Parsed::Head
        };
        Ok((consumed, parsed))
    }

    /// An interim response (RFC 9110 §15.2): it has no body. A 101 is an error, since no upgrade was requested.
    fn interim(&mut self, certainty: Certainty) -> Result<(), Malformed> {
        self.interim_count += 1;
        if self.response.status == 101 {
            return Err(Malformed::Upgrade);
        }
        if self.interim_count > MAX_INTERIM {
            return Err(Malformed::TooManyInterim);
        }
        self.is_persistent &= certainty == Certainty::Sure && is_plainly_empty(&self.response);
        Ok(())
    }

    fn frame(&mut self, framing: Framing) {
        self.is_persistent &= framing.is_persistent;
        (self.state, self.expected) = match framing.body {
            Body::Length(length) => (ResponseState::Length(length), Some(length)),
            Body::Chunked => (ResponseState::Chunked(Decoder::default()), None),
            Body::UntilClose => (ResponseState::UntilClose, None),
        };
    }
}

#[cfg(test)]
mod tests;
