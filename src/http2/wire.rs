//! The transport of the h2 crate: bytes in memory. It never waits: without bytes, or without room, a call is pending,
//! and the session polls again.
//!
//! h2 allocates memory for a frame when it has read the frame's head, and copies the part of the frame that it has
//! read by then. Therefore a read ends before a frame that does not fit, or after the head of that frame: each body
//! is copied once, to memory of the right size. A field section is read separately: if it breaks the connection, the
//! frame that was read last tells which stream it belongs to.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// With more output than this, in bytes, h2 must wait. A peer that floods the client with frames which require a
/// reply is not read from until it takes the replies.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// Received bytes, and output.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// A lent buffer; h2 has not read the part from `start` to `end`.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes that were unread when the buffer was returned.
    rest: BytesMut,
    position: FramePosition,
    output: Vec<u8>,
    /// The peer has ended its stream of bytes.
    is_ended: bool,
    /// Nothing can be sent any more, so output is discarded.
    is_muted: bool,
}

impl Wire {
    /// Lends the next received bytes, a part of a buffer.
    pub(super) fn lend(&mut self, buffer: Box<[u8]>, part: Range<usize>) {
        self.end = part.end.min(buffer.len());
        self.start = part.start.min(self.end);
        self.input = buffer;
    }

    /// Returns the buffer. Unread bytes are kept.
    pub(super) fn give_back(&mut self) -> Box<[u8]> {
        self.rest
            .extend_from_slice(&self.input[self.start..self.end]);
        (self.start, self.end) = (0, 0);
        std::mem::take(&mut self.input)
    }

    /// Whether there are unread bytes.
    pub(super) fn has_unread(&self) -> bool {
        !self.rest.is_empty() || self.start < self.end
    }

    /// Discards unread bytes.
    pub(super) fn drain(&mut self) {
        self.rest = BytesMut::new();
        self.start = self.end;
    }

    /// The stream of the field section that was read last, if nothing else was read after it.
    pub(super) fn section(&self) -> Option<u32> {
        self.position.is_section.then_some(self.position.stream)
    }

    /// Bytes to send.
    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    /// Removes output that was sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.output.drain(..count);
    }

    /// The peer has ended its stream of bytes.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// Nothing can be sent any more: discards output, now and in future.
    pub(super) fn mute(&mut self) {
        self.is_muted = true;
        self.output = Vec::new();
    }

    /// Moves unread bytes to `out`, as far as they should be read at once.
    fn read(&mut self, out: &mut ReadBuf<'_>) {
        let from_rest = !self.rest.is_empty();
        let unread = if from_rest {
            &self.rest[..]
        } else {
            &self.input[self.start..self.end]
        };
        let count = self.position.portion(unread, out.remaining());
        out.put_slice(&unread[..count]);
        if from_rest {
            self.rest.advance(count);
        } else {
            self.start += count;
        }
    }
}

/// Bytes before each frame's payload (RFC 9113 §4.1).
const HEAD: usize = 9;

/// Whether a frame is a part of a field section: HEADERS or CONTINUATION (RFC 9113 §6.2, §6.10).
fn is_section(kind: u8) -> bool {
    matches!(kind, 1 | 9)
}

/// The position of h2 in the sequence of frames.
#[derive(Debug, Default)]
struct FramePosition {
    /// The read part of a frame's head…
    head: [u8; HEAD],
    /// …and its length.
    have: usize,
    /// Bytes of the payload that are unread.
    left: usize,
    /// The stream of the last frame that was begun…
    stream: u32,
    /// …and whether that frame is a part of a field section.
    is_section: bool,
}

impl FramePosition {
    /// How many of the bytes to read at once, with this room for them; at least one if there are bytes and room.
    fn portion(&mut self, bytes: &[u8], room: usize) -> usize {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..bytes.len().min(room)];
            let count = rest.len().min(self.left);
            taken += count;
            self.left -= count;
            let rest = &rest[count..];
            if self.left > 0 || rest.is_empty() || (self.is_section && taken > 0) {
                return taken;
            }
            let count = rest.len().min(HEAD - self.have);
            let mut head = self.head;
            head[self.have..self.have + count].copy_from_slice(&rest[..count]);
            let is_whole = self.have + count == HEAD;
            let payload = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let fits = is_whole && taken + count + payload <= room;
            if taken > 0 && (!fits || is_section(head[3])) {
                return taken;
            }
            self.head = head;
            self.have = (self.have + count) % HEAD;
            taken += count;
            if !is_whole {
                return taken;
            }
            self.left = payload;
            self.is_section = is_section(head[3]);
            self.stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            if !fits {
                return taken;
            }
        }
    }
}

/// h2's end of a [`Wire`].
pub(super) struct End(pub(super) Rc<RefCell<Wire>>);

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if !wire.has_unread() && !wire.is_ended {
            return Poll::Pending;
        }
        wire.read(out);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = &mut *self.0.borrow_mut();
        if wire.output.len() >= OUTPUT_LIMIT {
            return Poll::Pending;
        }
        if !wire.is_muted {
            wire.output.extend_from_slice(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use proptest::prelude::*;

    fn read(end: &mut End, room: usize) -> Option<Vec<u8>> {
        let mut memory = vec![0; room];
        let mut out = ReadBuf::new(&mut memory);
        match Pin::new(end).poll_read(&mut Context::from_waker(Waker::noop()), &mut out) {
            Poll::Ready(Ok(())) => Some(out.filled().to_vec()),
            _ => None,
        }
    }

    /// A frame with a payload of this length.
    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = vec![7; HEAD + length];
        bytes[..3].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
        bytes
    }

    #[test]
    fn what_is_unread_when_the_buffer_goes_back_comes_first_later() {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let mut end = End(Rc::clone(&wire));
        let bytes = frame(6);
        let buffer = [&b"??"[..], &bytes, b"???"].concat();
        let length = buffer.len();
        wire.borrow_mut().lend(buffer.into(), 2..length - 3);
        assert_eq!(read(&mut end, 10).unwrap(), bytes[..9]);
        assert_eq!(read(&mut end, 2).unwrap(), bytes[9..11]);
        assert_eq!(wire.borrow_mut().give_back().len(), length);
        assert!(wire.borrow().has_unread());
        wire.borrow_mut().lend(frame(0).into(), 0..9);
        assert_eq!(read(&mut end, 100).unwrap(), bytes[11..]);
        assert_eq!(read(&mut end, 100).unwrap(), frame(0));
        assert_eq!(read(&mut end, 3), None);
        wire.borrow_mut().end();
        assert_eq!(read(&mut end, 3).unwrap(), b"");
    }

    #[test]
    fn a_read_ends_where_the_next_frame_would_not_fit() {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let mut end = End(Rc::clone(&wire));
        let bytes = [frame(1), frame(0), frame(100), frame(5)].concat();
        wire.borrow_mut().lend(bytes.clone().into(), 0..bytes.len());
        for (room, expected) in [(64, 19), (64, 9), (200, 114)] {
            assert_eq!(read(&mut end, room).unwrap().len(), expected);
        }
        assert_eq!(read(&mut end, 64), None);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_bytes_come(
            lengths in proptest::collection::vec(0..300_usize, 0..20),
            cuts in proptest::collection::vec(1..200_usize, 1..20),
            rooms in proptest::collection::vec(1..400_usize, 1..20),
        ) {
            let bytes: Vec<u8> = lengths.into_iter().flat_map(frame).collect();
            let wire = Rc::new(RefCell::new(Wire::default()));
            let mut end = End(Rc::clone(&wire));
            let (mut given, mut taken) = (0, Vec::new());
            let mut rooms = rooms.iter().cycle();
            for cut in cuts.iter().cycle() {
                let next = bytes.len().min(given + cut);
                wire.borrow_mut().lend(bytes.clone().into(), given..next);
                for _ in 0..2 {
                    taken.extend(read(&mut end, *rooms.next().unwrap()).unwrap_or_default());
                }
                wire.borrow_mut().give_back();
                given = next;
                if given == bytes.len() {
                    break;
                }
            }
            while let Some(piece) = read(&mut end, *rooms.next().unwrap()) {
                prop_assert!(!piece.is_empty());
                taken.extend(piece);
            }
            prop_assert_eq!(taken, bytes);
        }
    }

    #[test]
    fn no_more_is_taken_than_the_peer_lets_go_out() {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let mut end = End(Rc::clone(&wire));
        let mut context = Context::from_waker(Waker::noop());
        let bytes = [0; OUTPUT_LIMIT];
        assert!(
            Pin::new(&mut end)
                .poll_write(&mut context, &bytes)
                .is_ready()
        );
        assert!(
            Pin::new(&mut end)
                .poll_write(&mut context, b"x")
                .is_pending()
        );
        wire.borrow_mut().sent(1);
        assert!(Pin::new(&mut end).poll_write(&mut context, b"x").is_ready());
        assert_eq!(wire.borrow().output().len(), OUTPUT_LIMIT);
    }
}
