//! [`Exchange`]: one answer, from its first byte to its last. It belongs to a connection, and is reused for each
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
    /// The answer is complete.
    Done,
    /// The answer is incomplete, in its head or in its body.
    Truncated {
        /// Bytes of the body received.
        received: u64,
        /// The announced length of the body, if there was one.
        expected: Option<u64>,
    },
    /// No byte of an answer came.
    NoAnswer,
}

/// Reads the answer to one request after the other, from bytes in pieces of any size.
///
/// It allocates only for a head that comes in pieces or is longer than the ones before.
#[derive(Debug, Default)]
pub struct Exchange {
    state: AnswerState,
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
enum AnswerState {
    /// No request is under way.
    #[default]
    Idle,
    /// Before the end of the final answer's head.
    Head,
    /// This many bytes of the body are left.
    Length(u64),
    /// In a chunked body.
    Chunked(Decoder),
    /// In a body that ends with the connection.
    UntilClose,
    /// The answer is complete.
    Done,
    /// The answer is malformed. Every call fails with this.
    Failed(Malformed),
}

/// An [`Event`] without borrowed data; `Data` has the offset where the data begins.
enum Step {
    NeedMore,
    Interim,
    Head,
    Data(usize),
    Done,
}

impl Exchange {
    /// An exchange without a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Prepares for the answer to a request. Buffers are kept, up to a usual size.
    pub fn begin(&mut self, method: Method) {
        self.state = AnswerState::Head;
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
    /// the rest at once, even if it is empty: the end of an answer takes a separate call, which needs no byte. What
    /// the call that returned [`Event::End`] did not consume does not belong to the answer.
    ///
    /// # Errors
    ///
    /// How the answer violates HTTP. Further calls return the same error, until [`begin`](Self::begin).
    /// [`Malformed::Unsolicited`] for bytes without a request.
    pub fn receive<'a>(&'a mut self, bytes: &'a [u8]) -> Result<(usize, Event<'a>), Malformed> {
        let (consumed, step) = match self.step(bytes) {
            Ok(done) => done,
            Err(malformed) => {
                self.state = AnswerState::Failed(malformed);
                return Err(malformed);
            }
        };
        let event = match step {
            Step::NeedMore => Event::Pending,
            Step::Interim => Event::Interim(&self.response),
            Step::Head => Event::Head(&self.response),
            Step::Data(start) => {
                self.received += (consumed - start) as u64;
                Event::Data(&bytes[start..consumed])
            }
            Step::Done => {
                self.state = AnswerState::Done;
                Event::End
            }
        };
        Ok((consumed, event))
    }

    /// The peer has ended its stream. Over TLS without close_notify, a body that
    /// [ends with the connection](Self::is_until_close) must not be trusted: check that before.
    pub fn close(&mut self) -> Closed {
        let is_complete = match &self.state {
            AnswerState::Done | AnswerState::UntilClose | AnswerState::Length(0) => true,
            AnswerState::Chunked(decoder) => decoder.is_complete(),
            AnswerState::Idle
            | AnswerState::Head
            | AnswerState::Length(_)
            | AnswerState::Failed(_) => false,
        };
        self.is_persistent = false;
        if is_complete {
            self.state = AnswerState::Done;
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
            AnswerState::Length(left) if left > 0 => Some(left),
            _ => None,
        }
    }

    /// Counts bytes of the body that were spliced: at most [`raw_remaining`](Self::raw_remaining), else the connection
    /// cannot be reused. Once none remains, `receive(&[])` returns the end.
    pub fn skip(&mut self, n: u64) {
        let moved = match &mut self.state {
            AnswerState::Length(left) => {
                let moved = n.min(*left);
                *left -= moved;
                moved
            }
            _ => 0,
        };
        self.received += moved;
        self.is_persistent &= moved == n;
    }

    /// Whether the connection may carry another request: the answer is complete, the peer keeps the connection open
    /// (RFC 9112 §9.3), and any reader finds the same end of the answer.
    pub fn is_reusable(&self) -> bool {
        matches!(self.state, AnswerState::Done) && self.is_persistent
    }

    /// Whether only the end of the connection ends the body.
    pub fn is_until_close(&self) -> bool {
        matches!(self.state, AnswerState::UntilClose)
    }

    /// Whether any byte of an answer has come, interim answers included. Empty lines before it do not count.
    pub fn has_begun(&self) -> bool {
        self.has_begun || self.head.has_begun()
    }

    /// Bytes of the body so far, without framing.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The length of the body, once the head has come: 0 if there is no body (HEAD, 204, 304), `None` if its last
    /// chunk or the end of the connection ends it.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// The last head that was received; empty before the first.
    pub fn response(&self) -> &Response {
        &self.response
    }

    fn step(&mut self, bytes: &[u8]) -> Result<(usize, Step), Malformed> {
        match &mut self.state {
            AnswerState::Failed(malformed) => Err(*malformed),
            AnswerState::Idle | AnswerState::Done if !bytes.is_empty() => {
                Err(Malformed::Unsolicited)
            }
            AnswerState::Idle | AnswerState::Done => Ok((0, Step::NeedMore)),
            AnswerState::Head => self.step_head(bytes),
            AnswerState::Length(0) => Ok((0, Step::Done)),
            _ if bytes.is_empty() => Ok((0, Step::NeedMore)),
            AnswerState::Length(left) => {
                let taken = at_most(*left, bytes.len());
                *left -= taken as u64;
                Ok((taken, Step::Data(0)))
            }
            AnswerState::UntilClose => Ok((bytes.len(), Step::Data(0))),
            AnswerState::Chunked(decoder) => {
                let (consumed, piece) = decoder.receive(bytes)?;
                let step = match piece {
                    Piece::NeedMore => Step::NeedMore,
                    Piece::Data(start) => Step::Data(start),
                    Piece::End => Step::Done,
                };
                Ok((consumed, step))
            }
        }
    }

    fn step_head(&mut self, bytes: &[u8]) -> Result<(usize, Step), Malformed> {
        let (consumed, whole) = self.head.receive(bytes, &mut self.response)?;
        let Some(certainty) = whole else {
            return Ok((consumed, Step::NeedMore));
        };
        self.has_begun = true;
        let step = if self.response.status < 200 {
            self.interim(certainty)?;
            Step::Interim
        } else {
            let framing = Framing::of(self.method, &self.response)?.given(certainty);
            self.frame(framing);
            Step::Head
        };
        Ok((consumed, step))
    }

    /// An interim answer (RFC 9110 §15.2): it has no body. A 101 is an error, since no upgrade was requested.
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
            Body::Length(length) => (AnswerState::Length(length), Some(length)),
            Body::Chunked => (AnswerState::Chunked(Decoder::default()), None),
            Body::UntilClose => (AnswerState::UntilClose, None),
        };
    }
}

#[cfg(test)]
mod tests;
