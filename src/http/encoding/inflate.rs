//! The codings gzip and deflate (RFC 9110 §8.4.1.2 and §8.4.1.3): RFC 1951 data in the gzip or zlib wrapper, or raw.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Coding, Decoded};
use crate::error::Undecodable;

/// The first bytes of a gzip member (RFC 1952 §2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The largest window, as a power of 2.
const WINDOW: u8 = 15;

/// Decodes concatenated gzip members, which together are one file (RFC 1952 §2.2).
#[derive(Debug, Default)]
pub(super) enum Gzip {
    /// No byte was received.
    #[default]
    Empty,
    /// In a member.
    Member(Decompress),
    /// After a complete member. `true`: the first magic byte of another was received.
    Between(bool),
    /// After the last member. Trailing garbage is ignored, as the gzip program does.
    Behind,
}

impl Coding for Gzip {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, Undecodable> {
        match self {
            Self::Empty if input.is_empty() => Ok(Decoded::NONE),
            Self::Empty => {
                *self = Self::Member(Decompress::new_gzip(WINDOW));
                self.step(input, output)
            }
            Self::Member(member) => {
                let (step, is_at_end) = inflate("gzip", member, input, output)?;
                if is_at_end {
                    *self = Self::Between(false);
                }
                Ok(step)
            }
            Self::Between(has_first) => {
                let Some(&byte) = input.first() else {
                    return Ok(Decoded::NONE);
                };
                let is_next = byte == MAGIC[usize::from(*has_first)];
                match (is_next, *has_first) {
                    (false, _) => *self = Self::Behind,
                    (true, false) => *self = Self::Between(true),
                    (true, true) => *self = Self::begun()?,
                }
                Ok(Decoded {
                    consumed: 1,
                    produced: 0,
                })
            }
            Self::Behind => Ok(Decoded {
                consumed: input.len(),
                produced: 0,
            }),
        }
    }

    fn is_complete(&self) -> bool {
        !matches!(self, Self::Member(_))
    }
}

impl Gzip {
    /// A member after its magic bytes.
    fn begun() -> Result<Self, Undecodable> {
        let mut member = Decompress::new_gzip(WINDOW);
        inflate("gzip", &mut member, &MAGIC, &mut [0])?;
        Ok(Self::Member(member))
    }
}

/// Decodes deflate: RFC 1951 data in the wrapper of RFC 1950, as the coding is defined, or raw, as some servers send.
#[derive(Debug, Default)]
pub(super) enum Deflate {
    /// No byte was received.
    #[default]
    Empty,
    /// The first byte, which alone does not show whether there is a wrapper.
    First(u8),
    /// In the data.
    Body(Decompress),
    /// After the end of the data.
    Complete,
}

impl Coding for Deflate {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, Undecodable> {
        let Some(&byte) = input.first() else {
            return match self {
                // Output that did not fit into the last call may be pending.
                Self::Body(_) => self.inflate(input, output),
                _ => Ok(Decoded::NONE),
            };
        };
        match self {
            Self::Empty => {
                *self = Self::First(byte);
                Ok(Decoded {
                    consumed: 1,
                    produced: 0,
                })
            }
            Self::First(first) => {
                let first = *first;
                let mut body = Decompress::new(has_wrapper(first, byte));
                let (taken, is_at_end) = inflate("deflate", &mut body, &[first], output)?;
                *self = if is_at_end {
                    Self::Complete
                } else {
                    Self::Body(body)
                };
                let rest = self.step(input, &mut output[taken.produced..])?;
                Ok(Decoded {
                    consumed: rest.consumed,
                    produced: taken.produced + rest.produced,
                })
            }
            Self::Body(_) => self.inflate(input, output),
            Self::Complete => Err(Undecodable::Damaged("deflate")),
        }
    }

    fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }
}

impl Deflate {
    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, Undecodable> {
        let Self::Body(body) = self else {
            return Ok(Decoded::NONE);
        };
        let (step, is_at_end) = inflate("deflate", body, input, output)?;
        if is_at_end {
            *self = Self::Complete;
        }
        Ok(step)
    }
}

/// Whether two bytes are the header of RFC 1950 §2.2, by their method and check bits.
fn has_wrapper(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

/// Decodes some RFC 1951 data; `true` at its end.
fn inflate(
    name: &'static str,
    stream: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> Result<(Decoded, bool), Undecodable> {
    let before = (stream.total_in(), stream.total_out());
    let status = stream.decompress(input, output, FlushDecompress::None);
    let status = status.map_err(|_| Undecodable::Damaged(name))?;
    let step = Decoded {
        consumed: (stream.total_in() - before.0) as usize,
        produced: (stream.total_out() - before.1) as usize,
    };
    Ok((step, status == Status::StreamEnd))
}
