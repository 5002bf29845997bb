//! The chunked transfer coding (RFC 9112 §7.1): removes sizes and line ends; data stays in place.

use super::head::LineScan;
use super::{MAX_CHUNK_LINE, MAX_TRAILER_BYTES, MAX_TRAILER_LINES};
use crate::error::Malformed;

/// Decodes a body that arrives in slices of any size.
///
/// ```text
/// Size ─▶ AfterSize ─▶ Extension ─▶ SizeLf ─▶ Data ─▶ DataCr ─▶ DataLf ─▶ Size …
///                                     └─ size 0 ─▶ Trailers ─▶ end
/// ```
#[derive(Debug, Default)]
pub(super) struct Decoder {
    state: ChunkState,
    /// The size read so far; then the bytes of the chunk that are left.
    left: u64,
    /// Bytes of the current size line, or of the trailer section.
    bytes: usize,
    /// Lines of the trailer section.
    lines: usize,
}

#[derive(Debug, Clone, Copy, Default)]
enum ChunkState {
    /// Before the first digit of the size.
    #[default]
    BeforeSize,
    /// After at least one digit.
    Size,
    /// In the whitespace after the size.
    AfterSize,
    /// In an extension, which ends with the line.
    Extension,
    /// After the CR of the size line.
    SizeLf,
    /// In the data.
    Data,
    /// Before the line end after the data.
    DataCr,
    /// After the CR of that line end.
    DataLf,
    /// In the trailer section, which ends with an empty line.
    Trailers(LineScan),
}

/// What a slice contained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Only framing, up to the end of the slice.
    NeedMore,
    /// Data from this offset to the end of the consumed bytes.
    Data(usize),
    /// The end of the body.
    End,
}

impl Decoder {
    /// Takes received bytes. Returns how many were consumed, and what they were.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(usize, Piece), Malformed> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                ChunkState::Data => {
                    let end = at + at_most(self.left, bytes.len() - at);
                    self.left -= (end - at) as u64;
                    if self.left == 0 {
                        self.state = ChunkState::DataCr;
                    }
                    return Ok((end, Piece::Data(at)));
                }
                ChunkState::Trailers(scan) => {
                    let (taken, piece) = self.trailers(&bytes[at..], scan)?;
                    return Ok((at + taken, piece));
                }
                ChunkState::DataCr | ChunkState::DataLf => self.data_end(byte)?,
                _ => self.size_line(byte)?,
            }
            at += 1;
        }
        Ok((at, Piece::NeedMore))
    }

    /// Whether the last chunk has arrived. Then the body is complete, even if its trailers are not (RFC 9112 §8).
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, ChunkState::Trailers(_))
    }

    /// A byte of a size line: hexadecimal digits, optional whitespace around them, and an ignored extension (§7.1.1).
    fn size_line(&mut self, byte: u8) -> Result<(), Malformed> {
        self.bytes += 1;
        if self.bytes > MAX_CHUNK_LINE {
            return Err(Malformed::Chunk);
        }
        self.state = match (self.state, byte) {
            (ChunkState::BeforeSize, b' ' | b'\t') => ChunkState::BeforeSize,
            (
                ChunkState::BeforeSize | ChunkState::Size,
                b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F',
            ) => {
                self.digit(byte)?;
                ChunkState::Size
            }
            (ChunkState::Size | ChunkState::AfterSize, b' ' | b'\t') => ChunkState::AfterSize,
            (ChunkState::Size | ChunkState::AfterSize, b';') => ChunkState::Extension,
            (ChunkState::Size | ChunkState::AfterSize | ChunkState::Extension, b'\r') => {
                ChunkState::SizeLf
            }
            (
                ChunkState::Size
                | ChunkState::AfterSize
                | ChunkState::Extension
                | ChunkState::SizeLf,
                b'\n',
            ) => {
                self.bytes = 0;
                match self.left {
                    0 => ChunkState::Trailers(LineScan::Start),
                    _ => ChunkState::Data,
                }
            }
            (ChunkState::Extension, _) if byte == b'\t' || !byte.is_ascii_control() => {
                ChunkState::Extension
            }
            _ => return Err(Malformed::Chunk),
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<(), Malformed> {
        let digit = char::from(byte).to_digit(16).ok_or(Malformed::Chunk)?;
        let shifted = self.left.checked_mul(16).ok_or(Malformed::Chunk)?;
        self.left = shifted | u64::from(digit);
        Ok(())
    }

    /// A byte of the line end after a chunk's data.
    fn data_end(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (ChunkState::DataCr, b'\r') => ChunkState::DataLf,
            (_, b'\n') => ChunkState::BeforeSize,
            _ => return Err(Malformed::Chunk),
        };
        Ok(())
    }

    /// Counts the lines of the trailer section, and discards them (§7.1.2).
    fn trailers(&mut self, bytes: &[u8], mut scan: LineScan) -> Result<(usize, Piece), Malformed> {
        let end = scan.end(bytes);
        let taken = end.unwrap_or(bytes.len());
        let section = &bytes[..taken];
        self.state = ChunkState::Trailers(scan);
        self.bytes += taken;
        self.lines += section.iter().filter(|&&byte| byte == b'\n').count();
        let lines = self.lines - usize::from(end.is_some());
        let is_over = self.bytes > MAX_TRAILER_BYTES || lines > MAX_TRAILER_LINES;
        if is_over || section.contains(&0) {
            return Err(Malformed::Trailers);
        }
        let piece = end.map_or(Piece::NeedMore, |_| Piece::End);
        Ok((taken, piece))
    }
}

/// The smaller of two counts: the bytes that are left, and those at hand.
pub(super) fn at_most(left: u64, at_hand: usize) -> usize {
    usize::try_from(left).map_or(at_hand, |left| left.min(at_hand))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data, how much was consumed, and whether the end was reached: in one piece, and the same byte by byte.
    fn decoded(bytes: &[u8]) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let whole = decode(&mut Decoder::default(), bytes);
        let mut decoder = Decoder::default();
        let mut pieces = Ok((Vec::new(), 0, false));
        for byte in bytes {
            let Ok((mut data, consumed, false)) = pieces else {
                break;
            };
            pieces = decode(&mut decoder, &[*byte]).map(|(more, taken, is_end)| {
                data.extend_from_slice(&more);
                (data, consumed + taken, is_end)
            });
        }
        assert_eq!(whole, pieces);
        whole
    }

    fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let mut data = Vec::new();
        let mut at = 0;
        loop {
            let (taken, piece) = decoder.receive(&bytes[at..])?;
            let given = &bytes[at..at + taken];
            at += taken;
            match piece {
                Piece::NeedMore => return Ok((data, at, false)),
                Piece::End => return Ok((data, at, true)),
                Piece::Data(start) => data.extend_from_slice(&given[start..]),
            }
        }
    }

    #[track_caller]
    fn is_hello(bytes: &[u8]) {
        assert_eq!(
            decoded(bytes),
            Ok((b"hello".to_vec(), bytes.len(), true)),
            "{bytes:?}"
        );
    }

    #[test]
    fn chunks_are_joined_and_nothing_behind_the_end_is_consumed() {
        is_hello(b"5\r\nhello\r\n0\r\n\r\n");
        is_hello(b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n");
        assert_eq!(decoded(b"0\r\n\r\nHTTP"), Ok((vec![], 5, true)));
    }

    #[test]
    fn sizes_come_in_any_case_padded_and_extended() {
        is_hello(b"0000000000000000000000005\r\nhello\r\n000\r\n\r\n");
        is_hello(b"5 \t\r\nhello\r\n 0 \r\n\r\n");
        is_hello(b"5;a=\"b;c\";\xff\r\nhello\r\n0 ;x\r\n\r\n");
        let mut data = b"Aa\r\n".to_vec();
        data.extend_from_slice(&[b'x'; 0xaa]);
        assert_eq!(decoded(&data), Ok((vec![b'x'; 0xaa], data.len(), false)));
    }

    #[test]
    fn a_line_feed_alone_ends_a_line() {
        is_hello(b"5\nhello\n0\n\n");
        is_hello(b"5;x\nhello\r\n0\r\nA: b\n\r\n");
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for bytes in [
            &b"\r\n"[..],
            b"\n",
            b"x\r\n",
            b"-5\r\n",
            b"+5\r\n",
            b"0x5\r\n",
            b"5 5\r\n",
            b";x\r\n",
            b" \r\n",
            b"5\rx",
            b"5\r\r\n",
            b"5;\0\r\n",
            b"5;a\rb\r\n",
            b"5\0\r\n",
            b"5,\r\n",
            b"5g\r\n",
            b"\xff\r\n",
        ] {
            assert_eq!(decoded(bytes), Err(Malformed::Chunk), "{bytes:?}");
        }
    }

    #[test]
    fn a_size_has_at_most_64_bits() {
        assert_eq!(decoded(b"ffffffffffffffff\r\n"), Ok((vec![], 18, false)));
        assert_eq!(
            decoded(b"00ffffffffffffffff\r\nx"),
            Ok((b"x".to_vec(), 21, false))
        );
        assert_eq!(decoded(b"10000000000000000\r\n"), Err(Malformed::Chunk));
    }

    #[test]
    fn data_is_followed_by_a_line_end_and_nothing_else() {
        for bytes in [
            &b"1\r\nxy"[..],
            b"1\r\nx\ry",
            b"1\r\nx\r\r\n",
            b"1\r\nx0\r\n\r\n",
        ] {
            assert_eq!(decoded(bytes), Err(Malformed::Chunk), "{bytes:?}");
        }
        assert_eq!(decoded(b"1\r\nx\r\n\r\n"), Err(Malformed::Chunk));
    }

    #[test]
    fn a_size_line_has_at_most_8_kib() {
        let line = |length: usize| format!("0;{}\r\n\r\n", "x".repeat(length - 4)).into_bytes();
        assert!(decoded(&line(MAX_CHUNK_LINE)).is_ok_and(|(.., is_end)| is_end));
        assert_eq!(decoded(&line(MAX_CHUNK_LINE + 1)), Err(Malformed::Chunk));
        assert_eq!(
            decoded(&b"0".repeat(MAX_CHUNK_LINE + 1)),
            Err(Malformed::Chunk)
        );
        assert_eq!(
            decoded(&b" ".repeat(MAX_CHUNK_LINE + 1)),
            Err(Malformed::Chunk)
        );
    }

    #[test]
    fn trailers_are_passed_over() {
        is_hello(b"5\r\nhello\r\n0\r\nA: b\r\n c\r\njunk\r\n\r\n");
        assert_eq!(decoded(b"0\r\n\r"), Ok((vec![], 4, false)));
    }

    #[test]
    fn trailers_are_bounded_in_lines_and_bytes() {
        let lines = |count| format!("0\r\n{}\r\n", "A: b\r\n".repeat(count)).into_bytes();
        assert!(decoded(&lines(MAX_TRAILER_LINES)).is_ok_and(|(.., is_end)| is_end));
        assert_eq!(
            decoded(&lines(MAX_TRAILER_LINES + 1)),
            Err(Malformed::Trailers)
        );
        let bytes = |length: usize| format!("0\r\n{}\r\n\r\n", "x".repeat(length - 4)).into_bytes();
        assert!(decoded(&bytes(MAX_TRAILER_BYTES)).is_ok_and(|(.., is_end)| is_end));
        assert_eq!(
            decoded(&bytes(MAX_TRAILER_BYTES + 1)),
            Err(Malformed::Trailers)
        );
        assert_eq!(decoded(b"0\r\nA: \0\r\n\r\n"), Err(Malformed::Trailers));
    }

    #[test]
    fn the_body_is_complete_once_the_last_size_line_has_ended() {
        for (bytes, expected) in [
            (&b"5\r\nhello\r\n"[..], false),
            (b"0", false),
            (b"0\r", false),
            (b"0\r\n", true),
            (b"0\r\nA: b", true),
        ] {
            let mut decoder = Decoder::default();
            decode(&mut decoder, bytes).unwrap();
            assert_eq!(decoder.is_complete(), expected, "{bytes:?}");
        }
    }
}
