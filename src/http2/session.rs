//! [`Session`]: HTTP/2 on one connection. The caller feeds it received bytes, and takes the bytes to send.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::http::Request;
use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};

use super::stream::{Broken, ClientStream};
use super::wire::{End, Wire};
use super::woken::Woken;
use super::{MAX_HEAD, MAX_STREAMS, MAX_WINDOW, REMEMBERED_RESETS, Windows};
use crate::error::{ErrorCode, Fault};
use crate::http::{Event, Method, Response};

/// Whether a request can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// At once.
    Ready,
    /// Not before the peer allows more streams. The stream will be woken.
    Later,
    /// Never: the connection has ended, or is about to.
    Never,
}

/// HTTP/2 on one connection. See the [module](super) for its input and output.
pub struct Session {
    wire: Rc<RefCell<Wire>>,
    sender: SendRequest<Bytes>,
    /// Streams that wait for the peer to allow more streams.
    later: Vec<usize>,
    /// None after its end.
    connection: Option<Connection<End, Bytes>>,
    streams: Vec<Option<ClientStream>>,
    /// The stream with the fields that broke the connection, if it is one of this session.
    culprit: Option<u32>,
    /// The waker of each token, created at its first use.
    wakers: Vec<Waker>,
    woken: Woken,
    /// Memory of unused heads.
    spare: Vec<Response>,
    windows: Windows,
    /// The maximum number of streams at once, in addition to the peer's limit.
    cap: usize,
}

impl Session {
    /// A session with the preface and the settings as its first output.
    pub fn new(windows: Windows) -> Self {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(windows.stream.min(MAX_WINDOW))
            .initial_connection_window_size(windows.connection.min(MAX_WINDOW))
            .max_header_list_size(MAX_HEAD)
            .initial_max_send_streams(MAX_STREAMS)
            .max_concurrent_reset_streams(REMEMBERED_RESETS)
            .reset_stream_duration(Duration::from_secs(30));
        let handshake = pin!(builder.handshake(End(Rc::clone(&wire))));
        let mut session = match handshake.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok((sender, connection))) => Self {
                wire,
                sender,
                later: Vec::new(),
                connection: Some(connection),
                streams: Vec::new(),
                culprit: None,
                wakers: Vec::new(),
                woken: Woken::default(),
                spare: Vec::new(),
                windows,
                cap: MAX_STREAMS,
            },
            _ => unreachable!("memory takes the preface at once"),
        };
        session.advance();
        session
    }

    /// Takes a received part of `buffer`, and returns the buffer. Bytes that cannot be parsed before output was sent
    /// are kept: see [`is_clogged`](Self::is_clogged). A session that [is over](Self::is_over) takes nothing.
    pub fn receive(&mut self, buffer: Box<[u8]>, part: Range<usize>) -> Box<[u8]> {
        if self.is_over() {
            return buffer;
        }
        self.wire.borrow_mut().lend(buffer, part);
        self.advance();
        self.wire.borrow_mut().give_back()
    }

    /// The peer has ended its stream of bytes. Complete streams are not affected.
    pub fn end(&mut self) {
        self.wire.borrow_mut().end();
        self.advance();
        // h2 stops reading while it cannot write, and nothing can be written any more.
        self.connection = None;
        self.wire.borrow_mut().drain();
        self.later
            .drain(..)
            .for_each(|token| self.woken.push(token));
    }

    /// Nothing can be sent any more. Discards output from now on, so that received bytes can still be parsed, even
    /// those that require a reply.
    pub fn mute(&mut self) {
        self.wire.borrow_mut().mute();
        self.advance();
    }

    /// Whether the connection has ended, by an error of either end. The rest of the output may be sent, and nothing
    /// more is parsed.
    pub fn is_over(&self) -> bool {
        self.connection.is_none()
    }

    /// Lets h2 parse received bytes, and produce output.
    pub fn advance(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let mut context = Context::from_waker(Waker::noop());
        if Pin::new(connection).poll(&mut context).is_ready() {
            // h2 has reported its error to every stream that it affects.
            self.connection = None;
            let number = self.wire.borrow().section();
            let mut streams = self.streams.iter().flatten();
            self.culprit = number.filter(|number| streams.any(|s| s.number() == *number));
            self.wire.borrow_mut().drain();
        }
        if !self.later.is_empty() && self.may_send() != Readiness::Later {
            self.later
                .drain(..)
                .for_each(|token| self.woken.push(token));
        }
    }

    /// Passes the output to `send`, which returns how many bytes it took. Returns true when nothing is left.
    ///
    /// # Errors
    /// What `send` failed with.
    pub fn transmit<E>(
        &mut self,
        mut send: impl FnMut(&[u8]) -> Result<usize, E>,
    ) -> Result<bool, E> {
        loop {
            self.advance();
            if !self.has_output() {
                return Ok(true);
            }
            while self.has_output() {
                let taken = send(self.wire.borrow().output())?;
                if taken == 0 {
                    return Ok(false);
                }
                self.wire.borrow_mut().sent(taken);
            }
        }
    }

    /// Whether there is output.
    pub fn has_output(&self) -> bool {
        !self.wire.borrow().output().is_empty()
    }

    /// Whether received bytes cannot be parsed before output was sent. Nothing more may be received until then.
    pub fn is_clogged(&self) -> bool {
        self.wire.borrow().has_unread()
    }

    /// The next stream to [poll](Self::poll).
    pub fn next_woken(&mut self) -> Option<usize> {
        self.woken.next()
    }

    /// Whether further requests may be sent: the peer has sent no GOAWAY.
    pub fn is_open(&mut self) -> bool {
        self.may_send() != Readiness::Never
    }

    /// The maximum number of streams at once, by the peer's limit and ours.
    pub fn capacity(&self) -> usize {
        self.sender.current_max_send_streams().min(self.cap)
    }

    /// Lowers the maximum number of streams at once, to at least one.
    pub fn limit(&mut self, streams: usize) {
        self.cap = self.cap.min(streams.max(1));
    }

    /// Widens the window of the connection by those of `resting` streams. Their bodies are not being released, and
    /// would block the others.
    pub fn make_room_for(&mut self, resting: usize) {
        let theirs = u64::from(self.windows.stream) * resting as u64;
        let window = u64::from(self.windows.connection) + theirs;
        if let Some(connection) = &mut self.connection {
            connection.set_target_window_size(window.min(u64::from(MAX_WINDOW)) as u32);
        }
    }

    /// Whether a request can be sent now, as a stream with this token.
    pub fn readiness(&mut self, token: usize) -> Readiness {
        let readiness = self.may_send();
        if readiness == Readiness::Later && !self.later.contains(&token) {
            self.later.push(token);
        }
        readiness
    }

    fn may_send(&mut self) -> Readiness {
        if self.connection.is_none() {
            return Readiness::Never;
        }
        match self
            .sender
            .poll_ready(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(Ok(())) => Readiness::Ready,
            Poll::Ready(Err(_)) => Readiness::Never,
            Poll::Pending => Readiness::Later,
        }
    }

    /// Sends a request without a body, as a stream that is [ready](Self::readiness). Returns the stream's number (RFC
    /// 9113 §5.1.1), or `None` if the request cannot be sent after all. [Poll](Self::poll) the stream at once, so that
    /// it is woken from then on.
    pub fn request(&mut self, token: usize, method: Method, request: Request<()>) -> Option<u32> {
        let (future, _) = self.sender.send_request(request, true).ok()?;
        let number = future.stream_id().as_u32();
        if self.streams.len() <= token {
            self.streams.resize_with(token + 1, || None);
        }
        while self.wakers.len() <= token {
            self.wakers.push(self.woken.waker(self.wakers.len()));
        }
        let memory = self.spare.pop().unwrap_or_default();
        self.streams[token] = Some(ClientStream::new(number, future, method, memory));
        Some(number)
    }

    /// The next event of a stream. After any but [`Event::Pending`] and [`Event::End`], poll again.
    ///
    /// # Errors
    /// [`Broken`]: the stream ended before its response was complete. [Leave](Self::leave) it.
    pub fn poll(&mut self, token: usize) -> Result<Event<'_>, Broken> {
        match (self.streams.get_mut(token), self.wakers.get(token)) {
            (Some(Some(stream)), Some(waker)) => {
                let number = stream.number();
                let has_head = stream.has_head();
                let event = stream.poll(&mut Context::from_waker(waker));
                event.map_err(|broken| match (broken, self.culprit) {
                    (Broken::Fault(Fault::Http2(code)), Some(culprit)) => {
                        broken_by(culprit == number, has_head, code)
                    }
                    (broken, _) => broken,
                })
            }
            _ => Err(Broken::Lost),
        }
    }

    /// Discards interim responses of a stream that is not polled for a while.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn rest(&mut self, token: usize) -> Result<(), Broken> {
        match (self.streams.get_mut(token), self.wakers.get(token)) {
            (Some(Some(stream)), Some(waker)) => {
                stream.skip_interim(&mut Context::from_waker(waker))
            }
            _ => Ok(()),
        }
    }

    /// Releases bytes of a stream's body: the peer may send as many again.
    pub fn release(&mut self, token: usize, count: usize) {
        if let Some(Some(stream)) = self.streams.get_mut(token) {
            stream.release(count);
        }
    }

    /// Frees the token of a stream. If the stream is incomplete, it is reset (CANCEL).
    pub fn leave(&mut self, token: usize) {
        if let Some(stream) = self.streams.get_mut(token).and_then(Option::take) {
            let mut memory = stream.into_response();
            memory.clear();
            memory.headers.shrink_to(super::KEPT);
            self.spare.push(memory);
        }
    }

    /// The number of a stream (RFC 9113 §5.1.1); 0 if there is none.
    pub fn number(&self, token: usize) -> u32 {
        self.stream(token).map_or(0, ClientStream::number)
    }

    /// The last head received on a stream; `None` if no request was sent.
    pub fn response(&self, token: usize) -> Option<&Response> {
        self.stream(token).map(ClientStream::response)
    }

    /// The length of a stream's body, if it is known: 0 if there is no body (HEAD, 204, 304).
    pub fn expected(&self, token: usize) -> Option<u64> {
        self.stream(token).and_then(ClientStream::expected)
    }

    /// Whether the head of a stream's final response has arrived.
    pub fn has_head(&self, token: usize) -> bool {
        self.stream(token).is_some_and(ClientStream::has_head)
    }

    fn stream(&self, token: usize) -> Option<&ClientStream> {
        self.streams.get(token).and_then(Option::as_ref)
    }
}

/// How a stream ends when the fields of a stream, this one or another, broke the connection.
fn broken_by(is_culprit: bool, has_head: bool, code: ErrorCode) -> Broken {
    let fault = Fault::Http2(code);
    if is_culprit || !has_head {
        Broken::Ruined { fault, is_culprit }
    } else {
        Broken::Fault(fault)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_alive", &self.connection.is_some())
            .field("cap", &self.cap)
            .finish_non_exhaustive()
    }
}
