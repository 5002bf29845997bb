//! The coding zstd (RFC 8878): frames, one behind the other. The blocks are ruzstd's to decode; it
//! wants each of them whole, so they are cut out here.

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::Read as _;

use super::{Coding, Step};
use crate::error::Undecodable;

/// The largest window, in bytes: what a body sent over HTTP may ask for (RFC 9659 §3).
const MOST_WINDOW: u64 = 8 << 20;

/// The most bytes that a block has, coded or not (RFC 8878 §3.1.1.2.3).
const MOST_BLOCK: usize = 128 * 1024;

const MAGIC: u32 = 0xfd2f_b528;

/// How a frame begins that is to be passed over: with any of 16 numbers (§3.1.2).
const SKIPPABLE: u32 = 0x184d_2a50;

const DAMAGED: Undecodable = Undecodable::Damaged("zstd");

/// Which bytes are awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Awaited {
    /// The first four of a frame.
    #[default]
    Magic,
    /// The length of one that is passed over, and the rest of that.
    SkipLength,
    Skip(u32),
    /// The byte that says what is in the head of the frame, and all of that.
    Descriptor,
    Head,
    /// The head of a block, and all of it with whatever comes behind it. `true`: it is the last.
    BlockHead,
    Block(bool),
}

/// Frames.
pub(super) struct Zstd {
    decoder: FrameDecoder,
    awaited: Awaited,
    /// What has come of it, and how many bytes there are to be.
    held: Vec<u8>,
    need: usize,
    /// The content of the frame in bytes, where it says so, and what has been decoded of it.
    size: Option<u64>,
    decoded: u64,
    has_checksum: bool,
    /// The last block was decoded; what it came to may not have been put out yet.
    is_at_end: bool,
}

impl Default for Zstd {
    fn default() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MOST_WINDOW);
        Self {
            decoder,
            awaited: Awaited::Magic,
            held: Vec::new(),
            need: 4,
            size: None,
            decoded: 0,
            has_checksum: false,
            is_at_end: false,
        }
    }
}

impl Coding for Zstd {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Undecodable> {
        let mut rest = input;
        loop {
            let produced = self.put_out(output)?;
            if produced > 0 {
                let consumed = input.len() - rest.len();
                return Ok(Step { consumed, produced });
            }
            if let Awaited::Skip(left) = &mut self.awaited {
                let skipped = rest.len().min(*left as usize);
                *left -= skipped as u32;
                rest = &rest[skipped..];
                if *left == 0 {
                    self.begin(Awaited::Magic, 4);
                }
            } else {
                let taken = rest.len().min(self.need - self.held.len());
                self.held.extend_from_slice(&rest[..taken]);
                rest = &rest[taken..];
            }
            let is_complete = self.held.len() == self.need;
            if !is_complete || matches!(self.awaited, Awaited::Skip(1..)) {
                return Ok(Step {
                    consumed: input.len() - rest.len(),
                    produced: 0,
                });
            }
            self.advance()?;
        }
    }

    fn is_whole(&self) -> bool {
        self.awaited == Awaited::Magic && self.held.is_empty()
    }
}

impl Zstd {
    /// Puts out what is decoded and beyond the window, and at the end of a frame the rest.
    fn put_out(&mut self, output: &mut [u8]) -> Result<usize, Undecodable> {
        let produced = self.decoder.read(output).map_err(|_| DAMAGED)?;
        self.decoded += produced as u64;
        if self.size.is_some_and(|size| self.decoded > size) {
            return Err(DAMAGED);
        }
        if produced == 0 && std::mem::take(&mut self.is_at_end) {
            let is_right = self.size.is_none_or(|size| size == self.decoded);
            let found = self.decoder.get_calculated_checksum();
            let is_whole = !self.has_checksum || found == self.decoder.get_checksum_from_data();
            if !is_right || !is_whole {
                return Err(DAMAGED);
            }
        }
        Ok(produced)
    }

    /// What was awaited has come whole.
    fn advance(&mut self) -> Result<(), Undecodable> {
        match self.awaited {
            Awaited::Magic => match self.number() {
                MAGIC => self.go_on(Awaited::Descriptor, 1),
                skippable if skippable & !0xf == SKIPPABLE => self.begin(Awaited::SkipLength, 4),
                _ => return Err(DAMAGED),
            },
            Awaited::SkipLength => match self.number() {
                0 => self.begin(Awaited::Magic, 4),
                length => self.begin(Awaited::Skip(length), 0),
            },
            Awaited::Skip(_) => {}
            Awaited::Descriptor => {
                let length = head_length(self.held[4]);
                self.go_on(Awaited::Head, length);
            }
            Awaited::Head => self.begin_frame()?,
            Awaited::BlockHead => {
                let (is_last, length) = block(&self.held).ok_or(DAMAGED)?;
                let checksum = if is_last && self.has_checksum { 4 } else { 0 };
                self.go_on(Awaited::Block(is_last), length + checksum);
            }
            Awaited::Block(is_last) => {
                let block = self.held.as_slice();
                let strategy = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(block, strategy);
                if decoded.map_err(|error| undecodable(&error))? != is_last {
                    return Err(DAMAGED);
                }
                self.is_at_end = is_last;
                if is_last {
                    self.begin(Awaited::Magic, 4);
                } else {
                    self.begin(Awaited::BlockHead, 3);
                }
            }
        }
        Ok(())
    }

    /// The head of a frame has come (§3.1.1.1).
    fn begin_frame(&mut self) -> Result<(), Undecodable> {
        let descriptor = self.held[4];
        let begun = self.decoder.reset(self.held.as_slice());
        begun.map_err(|error| undecodable(&error))?;
        self.has_checksum = descriptor & 0b100 != 0;
        self.size = (size_length(descriptor) > 0).then(|| self.decoder.content_size());
        self.decoded = 0;
        self.begin(Awaited::BlockHead, 3);
        Ok(())
    }

    /// Awaits so many bytes, and forgets those before.
    fn begin(&mut self, awaited: Awaited, need: usize) {
        self.held.clear();
        self.awaited = awaited;
        self.need = need;
    }

    /// Awaits so many bytes behind those that are there.
    fn go_on(&mut self, awaited: Awaited, more: usize) {
        self.awaited = awaited;
        self.need += more;
    }

    /// The four bytes that are there as a number.
    fn number(&self) -> u32 {
        self.held
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
    }
}

/// Bytes of the size in the head of a frame (§3.1.1.1.1.1).
fn size_length(descriptor: u8) -> usize {
    let is_single = descriptor & 0b10_0000 != 0;
    match descriptor >> 6 {
        0 => usize::from(is_single),
        flag => 1 << flag,
    }
}

/// Bytes of the head of a frame behind its descriptor: window, dictionary, size.
fn head_length(descriptor: u8) -> usize {
    let is_single = descriptor & 0b10_0000 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 0b11)];
    usize::from(!is_single) + dictionary + size_length(descriptor)
}

/// Whether a block is the last, and how many bytes come behind its head (§3.1.1.2); `None` of one
/// that may not be.
fn block(head: &[u8]) -> Option<(bool, usize)> {
    let [a, b, c] = *head else {
        return None;
    };
    let head = u32::from_le_bytes([a, b, c, 0]) as usize;
    let (is_last, kind, size) = (head & 1 == 1, head >> 1 & 0b11, head >> 3);
    let length = match kind {
        0 | 2 => size,
        1 => 1,
        _ => return None,
    };
    (size <= MOST_BLOCK).then_some((is_last, length))
}

fn undecodable(error: &FrameDecoderError) -> Undecodable {
    match error {
        FrameDecoderError::WindowSizeTooBig { requested, .. } => Undecodable::Window {
            coding: "zstd",
            window: *requested,
            most: MOST_WINDOW,
        },
        FrameDecoderError::DictNotProvided { .. } => Undecodable::Dictionary("zstd"),
        _ => DAMAGED,
    }
}
