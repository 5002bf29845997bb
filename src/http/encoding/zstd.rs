//! The coding zstd (RFC 8878): concatenated frames of blocks. ruzstd decodes one complete block at a time, so this file
//! finds where blocks begin and end.

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::Read as _;

use super::{Coding, Decoded};
use crate::error::Undecodable;

/// The largest window in bytes that a body over HTTP may require (RFC 9659 §3).
const MOST_WINDOW: u64 = 8 << 20;

/// The most bytes of a block, encoded or decoded (RFC 8878 §3.1.1.2.3).
const MOST_BLOCK: usize = 128 * 1024;

const MAGIC: u32 = 0xfd2f_b528;

/// The first of the 16 magic numbers of skippable frames (§3.1.2).
const SKIPPABLE: u32 = 0x184d_2a50;

const DAMAGED: Undecodable = Undecodable::Damaged("zstd");

/// The next bytes that the decoder needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Awaited {
    /// The magic number of a frame.
    #[default]
    Magic,
    /// The length of a skippable frame.
    SkipLength,
    /// The rest of a skippable frame, in bytes.
    Skip(u32),
    /// The frame header descriptor.
    Descriptor,
    /// The rest of the frame header.
    Head,
    /// The header of a block.
    BlockHead,
    /// The content of a block. `true`: it is the last one, and the checksum of the frame, if any, follows it.
    Block(bool),
}

/// Decodes concatenated frames.
pub(super) struct Zstd {
    decoder: FrameDecoder,
    awaited: Awaited,
    /// The bytes received so far.
    held: Vec<u8>,
    /// The number of bytes that `held` must reach.
    need: usize,
    /// The content size of the frame in bytes, if its header has one.
    size: Option<u64>,
    /// The bytes of the frame that were decoded.
    decoded: u64,
    has_checksum: bool,
    /// The last block was decoded. Some of its output may still be pending.
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
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, Undecodable> {
        let mut rest = input;
        loop {
            let produced = self.drain(output)?;
            if produced > 0 {
                let consumed = input.len() - rest.len();
                return Ok(Decoded { consumed, produced });
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
                return Ok(Decoded {
                    consumed: input.len() - rest.len(),
                    produced: 0,
                });
            }
            self.advance()?;
        }
    }

    fn is_complete(&self) -> bool {
        self.awaited == Awaited::Magic && self.held.is_empty()
    }
}

impl Zstd {
    /// Writes decoded bytes that have left the window, and at the end of a frame the rest. Then checks the frame.
    fn drain(&mut self, output: &mut [u8]) -> Result<usize, Undecodable> {
        let produced = self.decoder.read(output).map_err(|_| DAMAGED)?;
        self.decoded += produced as u64;
        if self.size.is_some_and(|size| self.decoded > size) {
            return Err(DAMAGED);
        }
        if produced == 0 && std::mem::take(&mut self.is_at_end) {
            let has_size = self.size.is_none_or(|size| size == self.decoded);
            let found = self.decoder.get_calculated_checksum();
            let is_intact = !self.has_checksum || found == self.decoder.get_checksum_from_data();
            if !has_size || !is_intact {
                return Err(DAMAGED);
            }
        }
        Ok(produced)
    }

    /// Processes the awaited bytes, which are complete.
    fn advance(&mut self) -> Result<(), Undecodable> {
        match self.awaited {
            Awaited::Magic => match self.number() {
                MAGIC => self.extend(Awaited::Descriptor, 1),
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
                self.extend(Awaited::Head, length);
            }
            Awaited::Head => self.begin_frame()?,
            Awaited::BlockHead => {
                let (is_last, length) = block(&self.held).ok_or(DAMAGED)?;
                let checksum = if is_last && self.has_checksum { 4 } else { 0 };
                self.extend(Awaited::Block(is_last), length + checksum);
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

    /// Begins a frame after its complete header (§3.1.1.1).
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

    /// Discards the held bytes and awaits `need` new ones.
    fn begin(&mut self, awaited: Awaited, need: usize) {
        self.held.clear();
        self.awaited = awaited;
        self.need = need;
    }

    /// Awaits `more` bytes after the held ones.
    fn extend(&mut self, awaited: Awaited, more: usize) {
        self.awaited = awaited;
        self.need += more;
    }

    /// The held bytes as a little-endian number.
    fn number(&self) -> u32 {
        self.held
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
    }
}

/// The length of the content size field in a frame header, in bytes (§3.1.1.1.1.1).
fn size_length(descriptor: u8) -> usize {
    let is_single = descriptor & 0b10_0000 != 0;
    match descriptor >> 6 {
        0 => usize::from(is_single),
        flag => 1 << flag,
    }
}

/// The length of a frame header after its descriptor, in bytes: window, dictionary and content size.
fn head_length(descriptor: u8) -> usize {
    let is_single = descriptor & 0b10_0000 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 0b11)];
    usize::from(!is_single) + dictionary + size_length(descriptor)
}

/// Whether a block is the last one, and the length of its content in bytes (§3.1.1.2); `None` if its type is reserved
/// or it is too long.
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
