//! [`Exchange`]: one answer, from its first byte to its last. It lives with a connection and is used again for
//! each request.

use super::chunked::{Decoder, Piece, at_most};
use super::framing::{Body, Framing, is_plainly_empty};
use super::head::{self, Certainty};
use super::{KEPT, MAX_INTERIM};
use crate::error::Malformed;
use crate::http::{Event, Method, Response};

/// What the end of the peer's sending meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The answer is complete.
    Done,
    /// It is not; also if it broke off in its head.
    Truncated {
        /// Bytes of the body received.
        received: u64,
        /// Bytes of the body announced, where they were.
        expected: Option<u64>,
    },
    /// Not one byte of an answer came.
    NoAnswer,
}

/// Reads the answer to one request after another, from bytes that come in pieces of any size.
///
/// It allocates for a head that comes in pieces, and for a longer one than before.
#[derive(Debug, Default)]
pub struct Exchange {
    state: State,
    method: Method,
    head: head::Reader,
    response: Response,
    interim_count: u32,
    has_begun: bool,
    is_persistent: bool,
    received: u64,
    expected: Option<u64>,
}

/// The graph is drawn in [`super`].
#[derive(Debug, Default)]
enum State {
    /// No request is under way.
    #[default]
    Idle,
    /// Before the end of the final answer's head.
    Head,
    /// So many bytes of the body are still to come.
    Length(u64),
    /// In a chunked body.
    Chunked(Decoder),
    /// In a body that ends with the connection.
    UntilClose,
    /// The answer is complete.
    Done,
    /// The answer is not HTTP, and stays so.
    Failed(Malformed),
}

/// An [`Event`] before it is lent out; data by where it begins.
enum Step {
    NeedMore,
    Interim,
    Head,
    Data(usize),
    Done,
}

impl Exchange {
    /// One that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes ready for the answer to a request that is about to be sent. Buffers are kept, up to a usual size.
    pub fn begin(&mut self, method: Method) {
        self.state = State::Head;
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

    /// Takes bytes that have arrived; says how many it consumed, and what they were.
    ///
    /// [`Event::Data`] borrows from `bytes`. After any event but [`Event::Pending`] and [`Event::End`], call again with
    /// the rest at once, even if it is empty: the end of an answer takes a separate call, which needs no byte. What
    /// the call that returned [`Event::End`] did not consume does not belong to the answer.
    ///
    /// # Errors
    ///
    /// How the answer breaks the rules of HTTP; the same again, until [`begin`](Self::begin).
    /// [`Malformed::Unsolicited`] for bytes that come when no answer is due.
    pub fn receive<'a>(&'a mut self, bytes: &'a [u8]) -> Result<(usize, Event<'a>), Malformed> {
        let (consumed, step) = match self.step(bytes) {
            Ok(done) => done,
            Err(malformed) => {
                self.state = State::Failed(malformed);
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
                self.state = State::Done;
                Event::End
            }
        };
        Ok((consumed, event))
    }

    /// The peer has ended its sending. Over TLS without close_notify, a body that
    /// [ends with the connection](Self::is_until_close) is not to be trusted: ask for that before.
    pub fn close(&mut self) -> Closed {
        let is_complete = match &self.state {
            State::Done | State::UntilClose | State::Length(0) => true,
            State::Chunked(decoder) => decoder.is_complete(),
            State::Idle | State::Head | State::Length(_) | State::Failed(_) => false,
        };
        self.is_persistent = false;
        if is_complete {
            self.state = State::Done;
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

    /// Bytes of the body still to come which may be moved without being looked at. `None` unless a length was announced
    /// and is not yet reached.
    pub fn raw_remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) if left > 0 => Some(left),
            _ => None,
        }
    }

    /// So many bytes of the body went another way: at most [`raw_remaining`](Self::raw_remaining), or the
    /// connection is of no further use. Once none remains, `receive(&[])` tells the end.
    pub fn skip(&mut self, n: u64) {
        let moved = match &mut self.state {
            State::Length(left) => {
                let moved = n.min(*left);
                *left -= moved;
                moved
            }
            _ => 0,
        };
        self.received += moved;
        self.is_persistent &= moved == n;
    }

    /// Whether the connection may carry another request: the answer is done, the peer keeps the connection open
    /// (RFC 9112 §9.3), and nothing of the answer leaves a doubt about where it ended.
    pub fn is_reusable(&self) -> bool {
        matches!(self.state, State::Done) && self.is_persistent
    }

    /// Whether the body ends with the connection and nothing else.
    pub fn is_until_close(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    /// Whether any byte of an answer was seen, interim ones included. Empty lines before it are not yet an answer.
    pub fn has_begun(&self) -> bool {
        self.has_begun || self.head.has_begun()
    }

    /// Bytes of the body so far, without any framing.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that the body will have, once the head has said so: 0 where there is none (HEAD, 204, 304), `None`
    /// where its end is known by its last chunk or by the end of the connection.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// The head that came last; empty before the first.
    pub fn response(&self) -> &Response {
        &self.response
    }

    fn step(&mut self, bytes: &[u8]) -> Result<(usize, Step), Malformed> {
        match &mut self.state {
            State::Failed(malformed) => Err(*malformed),
            State::Idle | State::Done if !bytes.is_empty() => Err(Malformed::Unsolicited),
            State::Idle | State::Done => Ok((0, Step::NeedMore)),
            State::Head => self.step_head(bytes),
            State::Length(0) => Ok((0, Step::Done)),
            _ if bytes.is_empty() => Ok((0, Step::NeedMore)),
            State::Length(left) => {
                let taken = at_most(*left, bytes.len());
                *left -= taken as u64;
                Ok((taken, Step::Data(0)))
            }
            State::UntilClose => Ok((bytes.len(), Step::Data(0))),
            State::Chunked(decoder) => {
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

    /// An answer before the answer (RFC 9110 §15.2): it has no body, and 101 is one that nobody asked for.
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
            Body::Length(length) => (State::Length(length), Some(length)),
            Body::Chunked => (State::Chunked(Decoder::default()), None),
            Body::UntilClose => (State::UntilClose, None),
        };
    }
}

#[cfg(test)]
mod tests;
