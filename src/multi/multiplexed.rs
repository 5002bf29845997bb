//! A connection that carries many exchanges at once, each on a stream: HTTP/2.
//!
//! Bytes that arrive belong to many transfers, and so do those to be sent; when the connection ends, it ends for all
//! of them. A stream that is at rest takes nothing: its body stays within its window, and the others go on.

use std::time::Instant;

use slab::Slab;

use super::connection::Lost;
use super::events::Events;
use super::exchanges::{Advance, Broken, Readiness};
use super::info::TransferId;
use super::sink::Sink;
use super::transfer::{NextRequest, Prepared, Reader};
use crate::conn::{Filter, Interest, Received, Scratch};
use crate::error::Fault;
use crate::http::{Event, Version};
use crate::http2::{self, Session, Windows, request_text};

/// Bytes that are taken out of their frames at once. Their memory is reused for the next ones; a larger amount would be
/// returned to the system and requested again each time.
pub(super) const SLICE: usize = 64 * 1024;

/// The exchanges of one connection. The token of a stream is the index of its user.
#[derive(Debug)]
pub(super) struct Multiplexed {
    session: Session,
    users: Slab<TransferId>,
    /// Users with a stream at rest.
    resting: usize,
    /// Complete responses.
    responses: u32,
    /// Something may have to be sent, or the interest in the socket may have changed, by the end of this call.
    is_unsent: bool,
    /// Nothing more comes, and why.
    lost: Option<Lost>,
    /// Nothing can be sent any more, and why. What has come may still be read.
    unwritable: Option<Lost>,
    /// The socket is not watched because all streams are at rest, so what comes is not seen.
    is_unwatched: bool,
    /// No further streams are begun.
    is_retired: bool,
    /// When a byte last came.
    last_byte: Instant,
}

/// What a connection received at once.
#[derive(Debug)]
pub(super) enum Arrival {
    /// This many bytes, in the buffer.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The connection ended.
    Lost(Lost),
}

/// What to do after a connection sent its output.
#[derive(Debug)]
pub(super) struct Transmitted {
    /// The interest in the socket.
    pub(super) interest: Interest,
    /// Bytes may have come that no event reports: the connection must receive again.
    pub(super) must_receive: bool,
}

impl Multiplexed {
    /// A new session of this version, with a stream for the transfer that opened the connection. Returns the stream's
    /// token too. `None` if the version carries one exchange after the other.
    pub(super) fn new(
        version: Version,
        user: TransferId,
        windows: Windows,
        now: Instant,
    ) -> Option<(Self, usize)> {
        let session = match version {
            Version::Http10 | Version::Http11 => return None,
            Version::Http2 => Session::new(windows),
        };
        let mut users = Slab::new();
        let stream = users.insert(user);
        let multiplexed = Self {
            session,
            users,
            resting: 0,
            responses: 0,
            is_unsent: false,
            lost: None,
            unwritable: None,
            is_unwatched: false,
            is_retired: false,
            last_byte: now,
        };
        Some((multiplexed, stream))
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn last_byte(&self) -> Instant {
        self.last_byte
    }

    /// Whether the socket is not watched because all streams are at rest.
    pub(super) fn is_unwatched(&self) -> bool {
        self.is_unwatched
    }

    /// Whether output waits for the end of the call.
    pub(super) fn is_unsent(&self) -> bool {
        self.is_unsent
    }

    /// Notes that something may have to be sent. Returns true if that was not known in this call.
    pub(super) fn mark_unsent(&mut self) -> bool {
        !std::mem::replace(&mut self.is_unsent, true)
    }

    /// Whether any response was complete.
    pub(super) fn has_responded(&self) -> bool {
        self.responses > 0
    }

    /// Counts a response as complete, or as good as that.
    pub(super) fn count_response(&mut self) {
        self.responses += 1;
    }

    /// Adds a transfer. Returns the token of its stream.
    pub(super) fn attach(&mut self, id: TransferId) -> usize {
        self.users.insert(id)
    }

    /// Removes a transfer. An incomplete stream is reset.
    pub(super) fn detach(&mut self, stream: usize, was_resting: bool) {
        self.session.leave(stream);
        self.users.try_remove(stream);
        if was_resting {
            self.resting -= 1;
            self.session.make_room_for(self.resting);
        }
    }

    /// Whether no transfer uses the connection.
    pub(super) fn is_unused(&self) -> bool {
        self.users.is_empty()
    }

    /// Any transfer that uses the connection.
    pub(super) fn any_user(&self) -> Option<TransferId> {
        self.users.iter().next().map(|(_, id)| *id)
    }

    /// The next transfer with an event on its stream.
    pub(super) fn next_woken(&mut self) -> Option<TransferId> {
        loop {
            let stream = self.session.next_woken()?;
            if let Some(id) = self.users.get(stream) {
                return Some(*id);
            }
        }
    }

    pub(super) fn readiness(&mut self, stream: usize) -> Readiness {
        if !self.is_open() {
            return Readiness::Never;
        }
        match self.session.readiness(stream) {
            http2::Readiness::Ready => Readiness::Ready,
            http2::Readiness::Later => Readiness::Later,
            http2::Readiness::Never => Readiness::Never,
        }
    }

    /// Begins a request. It leaves with those of other streams at the end of the call. Returns false if the session
    /// does not take it.
    pub(super) fn request<S>(
        &mut self,
        stream: usize,
        next_request: &NextRequest<'_, S>,
        prepared: &mut Prepared,
        events: &mut Events,
    ) -> Result<bool, Fault> {
        let request = next_request.stream_request(prepared)?;
        let subject = next_request.subject();
        let text = subject.has_lines().then(|| request_text(&request));
        let Some(number) = self.session.request(stream, next_request.method(), request) else {
            return Ok(false);
        };
        events.info(subject, || format!("the request goes on stream {number}"));
        if let Some(text) = text {
            events.sent(subject, text.as_bytes());
        }
        Ok(true)
    }

    /// Hands the next part of a stream's response to its transfer.
    pub(super) fn advance<S: Sink>(
        &mut self,
        stream: usize,
        reader: &mut Reader<'_, S>,
    ) -> Result<Advance, Fault> {
        let number = self.session.number(stream);
        let event = match self.session.poll(stream) {
            Ok(event) => event,
            Err(broken) => return Ok(Advance::Broken(broken)),
        };
        match event {
            Event::Pending => Ok(Advance::Wait(None)),
            Event::Interim(_) => {
                reader.transfer.clocks.received(0, reader.now);
                reader.take(event)?;
                Ok(Advance::More(0))
            }
            Event::Head(_) => {
                reader.events.info(reader.transfer.subject(), || {
                    format!("the response comes on stream {number}")
                });
                reader.count(0);
                reader.take(event)?;
                Ok(Advance::More(0))
            }
            Event::Data(data) => {
                let count = data.len();
                reader.take(event)?;
                reader.count(count);
                self.session.release(stream, count);
                Ok(Advance::More(count))
            }
            Event::End => {
                self.count_response();
                reader.record.unanswered = 0;
                Ok(Advance::Complete { is_clean: true })
            }
        }
    }

    /// Sets whether one more stream is at rest, or one less. The connection's window grows by the windows of those.
    pub(super) fn set_resting(&mut self, is_resting: bool) {
        if is_resting {
            self.resting += 1;
        } else {
            self.resting -= 1;
        }
        self.session.make_room_for(self.resting);
    }

    /// Discards interim responses of a stream at rest: no window bounds their number.
    pub(super) fn skip_interim(&mut self, stream: usize) -> Result<(), Broken> {
        self.session.rest(stream)
    }

    /// Allows no more streams than the connection has without one that was refused. Returns false if it has no other.
    pub(super) fn limit_to_others(&mut self) -> bool {
        let others = self.users.len() - 1;
        self.session.limit(others);
        others > 0
    }

    /// Begins no further streams.
    pub(super) fn retire(&mut self) {
        self.is_retired = true;
    }

    /// Whether further streams may be begun.
    pub(super) fn is_open(&mut self) -> bool {
        !self.is_retired && self.lost.is_none() && self.session.is_open()
    }

    /// The maximum number of streams at once.
    pub(super) fn capacity(&mut self) -> usize {
        if self.is_open() {
            self.session.capacity()
        } else {
            0
        }
    }

    /// Whether the connection has streams and all of them are at rest.
    fn is_at_rest(&self) -> bool {
        self.resting > 0 && self.resting == self.users.len()
    }

    /// Whether to receive: not after the end, and not while output must be sent first.
    fn may_receive(&self) -> bool {
        self.lost.is_none() && !self.session.is_over() && !self.session.is_clogged()
    }

    /// Receives once from the socket. `None` if the connection must not receive now.
    pub(super) fn receive(
        &mut self,
        filter: &mut dyn Filter,
        buffer: &mut [u8],
        scratch: &mut Scratch,
        now: Instant,
    ) -> Option<Arrival> {
        // A connection that must send first goes on when its output was sent.
        if !self.may_receive() {
            return None;
        }
        Some(match filter.recv(buffer, usize::MAX, scratch) {
            Ok(Received::Bytes(count)) => {
                self.last_byte = now;
                Arrival::Bytes(count)
            }
            Ok(Received::WouldBlock) => match self.unwritable.take() {
                Some(lost) => Arrival::Lost(lost),
                None => Arrival::Nothing,
            },
            Ok(Received::End { .. }) => Arrival::Lost(Lost::Ended),
            Err(fault) => Arrival::Lost(Lost::new(&fault)),
        })
    }

    /// Parses a part of the buffer. Returns the buffer.
    pub(super) fn parse(&mut self, buffer: Box<[u8]>, part: std::ops::Range<usize>) -> Box<[u8]> {
        self.session.receive(buffer, part)
    }

    /// The connection ended. Complete streams are not affected; the others are woken.
    pub(super) fn lose(&mut self, lost: Lost) {
        self.lost = Some(lost);
        self.session.end();
    }

    /// The fault of a stream after the end of the connection, with `received` bytes of its body. True if the request
    /// may be repeated without notice: the connection had responded before, and nothing of this response came.
    pub(super) fn loss(&self, stream: usize, received: u64) -> (Fault, bool) {
        let has_head = self.session.has_head(stream);
        let body = has_head.then(|| (received, self.session.expected(stream)));
        let lost = self.lost.as_ref().unwrap_or(&Lost::Ended);
        (lost.fault(body), !has_head && self.responses > 0)
    }

    /// Sends the output, and decides the interest in the socket.
    pub(super) fn transmit(&mut self, filter: &mut dyn Filter) -> Transmitted {
        self.is_unsent = false;
        let was_clogged = self.session.is_clogged();
        let was_unwritable = self.unwritable.is_some();
        let is_all_sent = self.send(filter);
        let interest = self.interest(is_all_sent, filter.wants());
        let is_unwatched = interest == Interest::Remove && self.is_at_rest();
        let was_unwatched = std::mem::replace(&mut self.is_unwatched, is_unwatched);
        // An edge-triggered loop reports bytes once: those that came unread, or before a failure, get no further event.
        let must_receive = (was_clogged && !self.session.is_clogged())
            || (was_unwatched && !is_unwatched)
            || (!was_unwritable && self.unwritable.is_some());
        Transmitted {
            interest,
            must_receive,
        }
    }

    /// Sends the pending bytes. Returns true when none are left. After a failure nothing is sent any more, and what
    /// had come before is still read.
    fn send(&mut self, filter: &mut dyn Filter) -> bool {
        if self.lost.is_some() || self.unwritable.is_some() {
            return true;
        }
        let is_taken = self.session.transmit(|bytes| filter.send(bytes));
        let is_sent = is_taken.and_then(|is_taken| Ok(filter.flush()? && is_taken));
        is_sent.unwrap_or_else(|fault: Fault| {
            self.unwritable = Some(Lost::new(&fault));
            self.session.mute();
            true
        })
    }

    /// The interest in the socket until the next call. `standing` is the interest of the filters while bytes are
    /// received. A connection that does not receive is watched only while it has output.
    fn interest(&self, is_all_sent: bool, standing: Interest) -> Interest {
        let receives = self.may_receive() && !self.is_at_rest();
        match (receives, is_all_sent) {
            _ if self.lost.is_some() => Interest::Remove,
            (true, true) => standing,
            (true, false) => Interest::InOut,
            (false, false) => Interest::Out,
            (false, true) if self.session.is_clogged() => Interest::Out,
            (false, true) => Interest::Remove,
        }
    }
}
