//! Finds the end of a head in received bytes, and parses it. Each byte is examined once to find the end, and once to
//! parse. A head that arrives in one piece is parsed in place.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Status};

use super::{KEPT, MAX_BLANK_LINES, MAX_HEAD, MAX_HEADERS, lenient};
use crate::error::Malformed;
use crate::http::{Response, Version};

/// The first byte of a TLS record with an alert.
const ALERT: u8 = 21;

/// The beginning of every response (RFC 9112 §2.3); a digit follows.
const PREFIX: &[u8] = b"HTTP/1.";
/// The usual maximum of header lines. A head with more is parsed a second time.
const USUAL_HEADERS: usize = 64;

/// Whether any reader of a head finds the same fields in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// The head follows the grammar, or deviates in a way that the RFC defines.
    Sure,
    /// Something was skipped or repaired.
    Doubtful,
}

/// Collects one head after the other.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The head so far, if it did not arrive in one piece.
    held: Vec<u8>,
    scan: LineScan,
    /// Whether a byte of this head has arrived, after any empty lines.
    has_begun: bool,
    blank_lines: u8,
    after_cr: bool,
}

impl Reader {
    /// Prepares for a new head, in any state.
    pub(super) fn reset(&mut self) {
        self.held.clear();
        self.held.shrink_to(KEPT);
        self.scan = LineScan::default();
        self.has_begun = false;
        self.blank_lines = 0;
        self.after_cr = false;
    }

    /// Whether a byte of the current head has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Takes received bytes. Returns how many belong to the head. Once the head is complete, fills the response.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        response: &mut Response,
    ) -> Result<(usize, Option<Certainty>), Malformed> {
        let blank = self.skip_blank_lines(bytes)?;
        let bytes = &bytes[blank..];
        if bytes.is_empty() {
            return Ok((blank, None));
        }
        self.has_begun = true;
        self.check_prefix(bytes)?;
        let end = self.scan.end(bytes);
        let taken = end.unwrap_or(bytes.len());
        if self.held.len() + taken > MAX_HEAD {
            return Err(Malformed::HeadTooLong);
        }
        if end.is_none() || !self.held.is_empty() {
            self.held.extend_from_slice(&bytes[..taken]);
        }
        if end.is_none() {
            return Ok((blank + taken, None));
        }
        let head = match &*self.held {
            [] => &bytes[..taken],
            held => held,
        };
        let certainty = read(head, response)?;
        self.reset();
        Ok((blank + taken, Some(certainty)))
    }

    /// Skips empty lines before the status line. RFC 9112 §2.2 allows that to servers; clients do it too.
    fn skip_blank_lines(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        if self.has_begun {
            return Ok(0);
        }
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\r' if !self.after_cr => self.after_cr = true,
                b'\n' if self.blank_lines < MAX_BLANK_LINES => {
                    self.after_cr = false;
                    self.blank_lines += 1;
                }
                b'\r' | b'\n' => return Err(Malformed::NotHttp),
                _ if self.after_cr => return Err(Malformed::NotHttp),
                _ => return Ok(at),
            }
        }
        Ok(bytes.len())
    }

    /// Refuses bytes that are not HTTP/1.x at the first wrong one, not after 256 KiB.
    fn check_prefix(&self, bytes: &[u8]) -> Result<(), Malformed> {
        let seen = self.held.len();
        let unseen = bytes.iter().zip(seen..=PREFIX.len());
        let is_prefix = unseen.into_iter().all(|(&byte, at)| match PREFIX.get(at) {
            Some(&expected) => byte == expected,
            None => byte.is_ascii_digit(),
        });
        match bytes.first() {
            _ if is_prefix => Ok(()),
            // A server that speaks TLS responds to a plain request with an alert (RFC 8446 §5.1, §6).
            Some(&ALERT) if seen == 0 => Err(Malformed::Tls),
            _ => Err(Malformed::NotHttp),
        }
    }
}

/// Finds the empty line that ends a section of lines, across any number of slices. A line ends with LF, with or without
/// a CR before it (RFC 9112 §2.2).
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum LineScan {
    /// In a line that is not empty.
    #[default]
    Inside,
    /// At the first byte of a line.
    Start,
    /// After a CR at the beginning of a line.
    AfterCr,
}

impl LineScan {
    /// The offset after the empty line, if it ends in these bytes. They are not examined again.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match (*self, byte) {
                (Self::Start | Self::AfterCr, b'\n') => return Some(at + 1),
                (Self::Start, b'\r') => {
                    *self = Self::AfterCr;
                    at += 1;
                }
                (Self::Inside, _) => {
                    at += memchr::memchr(b'\n', &bytes[at..])? + 1;
                    *self = Self::Start;
                }
                _ => *self = Self::Inside,
            }
        }
        None
    }
}

/// Parses a complete head: strictly and quickly if it follows the grammar, else by [`lenient`].
fn read(head: &[u8], response: &mut Response) -> Result<Certainty, Malformed> {
    if strict::<USUAL_HEADERS>(head, response) || strict::<MAX_HEADERS>(head, response) {
        return Ok(Certainty::Sure);
    }
    lenient::read(head, response)
}

/// Parses a head of at most `N` fields by the grammar of RFC 9112, which also allows LF for CRLF. Returns false if that
/// fails.
#[inline(never)]
fn strict<const N: usize>(head: &[u8], response: &mut Response) -> bool {
    // Uninitialized, because clearing 2,048 slots would cost more than parsing ten lines.
    let mut slots = [const { MaybeUninit::uninit() }; N];
    let mut parsed = httparse::Response::new(&mut []);
    let config = ParserConfig::default();
    let result = config.parse_response_with_uninit_headers(&mut parsed, head, &mut slots);
    let (Ok(Status::Complete(_)), Some(minor), Some(status @ 100..)) =
        (result, parsed.version, parsed.code)
    else {
        return false;
    };
    response.clear();
    response.status = status;
    response.version = match minor {
        0 => Version::Http10,
        _ => Version::Http11,
    };
    for header in parsed.headers.iter() {
        response.headers.push(header.name.as_bytes(), header.value);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reader() -> (Reader, Response) {
        (Reader::default(), Response::default())
    }

    /// What a whole head, and the same head byte by byte, is read as.
    fn received(bytes: &[u8]) -> Result<(usize, Option<Certainty>), Malformed> {
        let (mut reader, mut response) = reader();
        let whole = reader.receive(bytes, &mut response);

        let (mut reader, mut response) = self::reader();
        let mut pieces = Ok((0, None));
        for byte in bytes {
            let Ok((before, None)) = pieces else { break };
            let piece = reader.receive(&[*byte], &mut response);
            pieces = piece.map(|(taken, done)| (before + taken, done));
        }
        assert_eq!(whole, pieces);
        whole
    }

    #[test]
    fn a_head_ends_at_its_empty_line_and_takes_nothing_behind_it() {
        let head = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(b"\r\nbody");
        assert_eq!(received(&bytes), Ok((head.len(), Some(Certainty::Sure))));
        assert_eq!(
            received(b"HTTP/1.1 200 OK\nA: b\n\nx"),
            Ok((22, Some(Certainty::Sure)))
        );
        assert_eq!(received(b"HTTP/1.1 200 OK\r\nA: b\r\n\r"), Ok((24, None)));
        assert_eq!(
            received(b"HTTP/1.1 200\r\n\n"),
            Ok((15, Some(Certainty::Sure)))
        );
    }

    #[test]
    fn a_head_that_arrives_whole_is_not_copied_aside() {
        let (mut reader, mut response) = reader();
        for _ in 0..3 {
            let head = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n";
            reader.receive(head, &mut response).unwrap();
            assert_eq!(reader.held.capacity(), 0);
        }
    }

    #[test]
    fn a_few_empty_lines_before_the_status_line_are_passed_over() {
        assert_eq!(
            received(b"\r\n\n\r\nHTTP/1.1 200\n\n"),
            Ok((19, Some(Certainty::Sure)))
        );
        assert_eq!(received(&b"\r\n".repeat(8)), Ok((16, None)));
        assert_eq!(received(&b"\r\n".repeat(9)), Err(Malformed::NotHttp));
        assert_eq!(received(b"\r\rHTTP"), Err(Malformed::NotHttp));
        assert_eq!(received(b"\rHTTP"), Err(Malformed::NotHttp));
    }

    #[test]
    fn what_is_not_http_is_refused_at_its_first_wrong_byte() {
        for bytes in [
            &b"<"[..],
            b"ICY",
            b"HTTP/2",
            b"HTTP/0",
            b"HTTP/1.x",
            b"HTTP/11",
            b"http",
            b"\x16\x03\x01",
            b"hello",
            b" HTTP/1.1 200 OK",
            b"\0",
            b"SSH-2.0-x",
            b"HTTPS",
        ] {
            assert_eq!(received(bytes), Err(Malformed::NotHttp), "{bytes:?}");
        }
        assert_eq!(received(b"\x15"), Err(Malformed::Tls));
        for bytes in [&b"H"[..], b"HTTP/1.", b"HTTP/1.1"] {
            assert_eq!(received(bytes), Ok((bytes.len(), None)));
        }
    }

    #[test]
    fn a_head_may_have_256_kib_and_no_more() {
        let head = |length: usize| {
            let fixed = b"HTTP/1.1 200 OK\r\nA: \r\n\r\n".len();
            format!(
                "HTTP/1.1 200 OK\r\nA: {}\r\n\r\n",
                "x".repeat(length - fixed)
            )
            .into_bytes()
        };
        assert_eq!(
            received(&head(MAX_HEAD)),
            Ok((MAX_HEAD, Some(Certainty::Sure)))
        );
        assert_eq!(received(&head(MAX_HEAD + 1)), Err(Malformed::HeadTooLong));
        assert_eq!(
            received(&head(MAX_HEAD + 9)[..=MAX_HEAD]),
            Err(Malformed::HeadTooLong)
        );
    }

    #[test]
    fn a_head_may_have_2_048_lines_and_no_more() {
        for ending in ["\r\n", "\n"] {
            let head = |lines| {
                format!(
                    "HTTP/1.1 200 OK{ending}{}{ending}",
                    format!("A: b{ending}").repeat(lines)
                )
            };
            for lines in [64, 65, MAX_HEADERS] {
                let (mut reader, mut response) = reader();
                let result = reader.receive(head(lines).as_bytes(), &mut response);
                assert_eq!(result.unwrap().1, Some(Certainty::Sure));
                assert_eq!(response.headers.len(), lines);
            }
            assert_eq!(
                received(head(MAX_HEADERS + 1).as_bytes()),
                Err(Malformed::TooManyHeaders)
            );
        }
    }

    #[test]
    fn a_large_head_does_not_stay_in_memory() {
        let (mut reader, mut response) = reader();
        let head = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(100_000));
        let (first, second) = head.as_bytes().split_at(50_000);
        reader.receive(first, &mut response).unwrap();
        assert!(reader.receive(second, &mut response).unwrap().1.is_some());
        assert!(reader.held.capacity() <= KEPT);
    }

    /// Heads that keep to the grammar, and some that nearly do.
    fn heads() -> impl Strategy<Value = String> {
        let line = "[A-Za-z-]{1,8}[ :]{0,2}:[ \t]{0,2}[!-~é]{0,5}[ \t]{0,2}[!-~]{0,3}[ \t]?";
        let status_line = "HTTP/1\\.[01][ ]{1,2}[0-9]{3}( [a-z ]{0,5})?";
        (
            status_line,
            proptest::collection::vec((line, "\r?\n[ \t]?"), 0..5),
        )
            .prop_map(|(status_line, lines)| {
                let lines: String = lines.into_iter().map(|(line, end)| line + &end).collect();
                format!("{status_line}\r\n{lines}\r\n")
            })
    }

    proptest! {
        #[test]
        fn what_the_strict_reading_takes_the_lenient_one_takes_alike(head in heads()) {
            let (mut strictly, mut leniently) = (Response::default(), Response::default());
            if strict::<USUAL_HEADERS>(head.as_bytes(), &mut strictly) {
                let certainty = lenient::read(head.as_bytes(), &mut leniently);
                prop_assert_eq!(certainty, Ok(Certainty::Sure));
                prop_assert_eq!(format!("{strictly:?}"), format!("{leniently:?}"));
            }
        }
    }
}
