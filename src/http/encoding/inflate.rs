//! The codings gzip and deflate (RFC 9110 §8.4.1.2 and §8.4.1.3): RFC 1951 in its two wrappers, or in none.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Coding, Step};
use crate::error::Undecodable;

/// How a member of gzip begins (RFC 1952 §2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The largest window there is, as a power of 2.
const WINDOW: u8 = 15;

/// Members of gzip, one behind the other: together they are one file (RFC 1952 §2.2).
#[derive(Debug, Default)]
pub(super) enum Gzip {
    /// Nothing has come.
    #[default]
    Empty,
    /// In a member.
    Member(Decompress),
    /// Behind a whole one. `true`: the byte that may begin another has come.
    Between(bool),
    /// What comes is none of it. Like gzip itself it is passed over: zeros on a tape, or the next line of a script.
    Behind,
}

impl Coding for Gzip {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Undecodable> {
        match self {
            Self::Empty if input.is_empty() => Ok(Step::NONE),
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
                    return Ok(Step::NONE);
                };
                let is_next = byte == MAGIC[usize::from(*has_first)];
                match (is_next, *has_first) {
                    (false, _) => *self = Self::Behind,
                    (true, false) => *self = Self::Between(true),
                    (true, true) => *self = Self::begun()?,
                }
                Ok(Step {
                    consumed: 1,
                    produced: 0,
                })
            }
            Self::Behind => Ok(Step {
                consumed: input.len(),
                produced: 0,
            }),
        }
    }

    fn is_whole(&self) -> bool {
        !matches!(self, Self::Member(_))
    }
}

impl Gzip {
    /// A member of which the first two bytes have come.
    fn begun() -> Result<Self, Undecodable> {
        let mut member = Decompress::new_gzip(WINDOW);
        inflate("gzip", &mut member, &MAGIC, &mut [0])?;
        Ok(Self::Member(member))
    }
}

/// RFC 1951 in the wrapper of RFC 1950, as the coding is defined, or bare, as some send it.
#[derive(Debug, Default)]
pub(super) enum Deflate {
    /// Nothing has come.
    #[default]
    Empty,
    /// The first byte, which alone does not tell.
    First(u8),
    /// In the body.
    Body(Decompress),
    /// Behind it.
    Whole,
}

impl Coding for Deflate {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Undecodable> {
        let Some(&byte) = input.first() else {
            return match self {
                // What did not fit before may be waiting.
                Self::Body(_) => self.inflate(input, output),
                _ => Ok(Step::NONE),
            };
        };
        match self {
            Self::Empty => {
                *self = Self::First(byte);
                Ok(Step {
                    consumed: 1,
                    produced: 0,
                })
            }
            Self::First(first) => {
                let first = *first;
                let mut body = Decompress::new(has_wrapper(first, byte));
                let (taken, is_at_end) = inflate("deflate", &mut body, &[first], output)?;
                *self = if is_at_end {
                    Self::Whole
                } else {
                    Self::Body(body)
                };
                let rest = self.step(input, &mut output[taken.produced..])?;
                Ok(Step {
                    consumed: rest.consumed,
                    produced: taken.produced + rest.produced,
                })
            }
            Self::Body(_) => self.inflate(input, output),
            Self::Whole => Err(Undecodable::Damaged("deflate")),
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }
}

impl Deflate {
    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Undecodable> {
        let Self::Body(body) = self else {
            return Ok(Step::NONE);
        };
        let (step, is_at_end) = inflate("deflate", body, input, output)?;
        if is_at_end {
            *self = Self::Whole;
        }
        Ok(step)
    }
}

/// Whether two bytes begin the wrapper of RFC 1950 (§2.2): its method, and its check.
fn has_wrapper(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

/// One step of RFC 1951, and whether it was the last.
fn inflate(
    name: &'static str,
    stream: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> Result<(Step, bool), Undecodable> {
    let before = (stream.total_in(), stream.total_out());
    let status = stream.decompress(input, output, FlushDecompress::None);
    let status = status.map_err(|_| Undecodable::Damaged(name))?;
    let step = Step {
        consumed: (stream.total_in() - before.0) as usize,
        produced: (stream.total_out() - before.1) as usize,
    };
    Ok((step, status == Status::StreamEnd))
}
