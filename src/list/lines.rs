//! Splits bytes into lines of bounded length: handles line ends, byte order marks and overlong lines. It does not parse
//! the lines.

/// The longest line that is read, in bytes, without its newline.
pub(super) const LONGEST_LINE: usize = 64 * 1024;

pub(super) const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
const UTF16_MARKS: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

/// One line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The line without its LF or CRLF, and without a byte order mark.
    Text(&'a [u8]),
    /// The beginning of a line longer than [`LONGEST_LINE`]. Its rest is skipped.
    TooLong(&'a [u8]),
    /// The input begins with a UTF-16 byte order mark. No line follows.
    Utf16,
}

impl<'a> Line<'a> {
    /// The line, unless it is too long or UTF-16.
    pub(super) fn text(&self) -> Option<&'a [u8]> {
        match self {
            Line::Text(text) => Some(text),
            Line::TooLong(_) | Line::Utf16 => None,
        }
    }
}

/// A buffer of unread input. `start..scanned` has no newline, so a line that arrives in pieces is scanned only once.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// The offset of the first unread byte.
    start: usize,
    /// The offset up to which there is no newline; at least `start`.
    scanned: usize,
    /// The number of lines returned so far.
    number: u64,
    /// In the rest of a line that was reported as too long.
    is_skipping: bool,
    has_ended: bool,
}

impl Lines {
    /// Adds bytes. The rest of an overlong line is not stored.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        if self.has_ended {
            return;
        }
        if self.start == self.buffer.len() {
            self.clear();
            if self.is_skipping {
                let Some(newline) = memchr::memchr(b'\n', bytes) else {
                    return;
                };
                self.is_skipping = false;
                bytes = &bytes[newline + 1..];
            }
        } else if self.start > self.buffer.len() / 2 {
            // Fewer bytes are moved than were read before, so the cost of moving is linear in the input.
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Signals the end of the input. The remaining bytes are the last line.
    pub(super) fn finish(&mut self) {
        self.has_ended = true;
    }

    /// The next line and its number, counted from 1; `None` if there is no complete line.
    pub(super) fn next_line(&mut self) -> Option<(u64, Line<'_>)> {
        if self.number == 0 && UTF16_MARKS.iter().any(|mark| self.buffer.starts_with(mark)) {
            self.clear();
            self.number = 1;
            self.has_ended = true;
            return Some((1, Line::Utf16));
        }
        if self.is_skipping && !self.skip() {
            return None;
        }
        let found =
            memchr::memchr(b'\n', &self.buffer[self.scanned..]).map(|offset| self.scanned + offset);
        let (end, next) = match found {
            Some(newline) => (newline, newline + 1),
            None => {
                let end = self.buffer.len();
                self.scanned = end;
                let is_long = end - self.start > LONGEST_LINE;
                if !(is_long || self.has_ended && end > self.start) {
                    return None;
                }
                self.is_skipping = is_long;
                (end, end)
            }
        };
        let line = self.start..end;
        self.start = next;
        self.scanned = next;
        self.number += 1;
        let text = without_mark(self.number, &self.buffer[line.clone()]);
        if line.len() > LONGEST_LINE {
            return Some((self.number, Line::TooLong(text)));
        }
        Some((
            self.number,
            Line::Text(text.strip_suffix(b"\r").unwrap_or(text)),
        ))
    }

    /// Whether the input has ended and all lines were returned.
    pub(super) fn is_finished(&self) -> bool {
        self.has_ended && self.start == self.buffer.len()
    }

    /// Whether the unread bytes begin with an indent.
    pub(super) fn has_indent_begun(&self) -> bool {
        !self.is_skipping && matches!(self.buffer.get(self.start), Some(b' ' | b'\t'))
    }

    /// Drops the rest of an overlong line; false if its end has not arrived yet.
    fn skip(&mut self) -> bool {
        let Some(newline) = memchr::memchr(b'\n', &self.buffer[self.start..]) else {
            self.clear();
            return false;
        };
        self.start += newline + 1;
        self.scanned = self.start;
        self.is_skipping = false;
        true
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.start = 0;
        self.scanned = 0;
    }
}

/// The line without a UTF-8 byte order mark, which some editors write at the start of a file (RFC 3629 §6).
fn without_mark(number: u64, line: &[u8]) -> &[u8] {
    if number == 1 {
        line.strip_prefix(UTF8_MARK).unwrap_or(line)
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(input: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut lines = Lines::default();
        lines.feed(input);
        lines.finish();
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next_line() {
            let Line::Text(text) = line else {
                panic!("{line:?}")
            };
            all.push((number, text.to_vec()));
        }
        assert!(lines.is_finished());
        all
    }

    fn line(number: u64, text: &str) -> (u64, Vec<u8>) {
        (number, text.into())
    }

    #[test]
    fn lf_and_crlf_end_a_line_and_the_last_may_lack_both() {
        assert_eq!(
            texts(b"a\nb\r\n\nc"),
            [line(1, "a"), line(2, "b"), line(3, ""), line(4, "c")]
        );
        assert_eq!(texts(b"a\r"), [line(1, "a")]);
        assert_eq!(texts(b""), []);
        assert_eq!(texts(b"\n"), [line(1, "")]);
    }

    #[test]
    fn a_byte_order_mark_is_dropped_from_the_first_line_only() {
        assert_eq!(
            texts(b"\xEF\xBB\xBFa\n\xEF\xBB\xBFb"),
            [line(1, "a"), line(2, "\u{feff}b")]
        );
    }

    #[test]
    fn utf16_is_named_once_and_the_rest_is_dropped() {
        for input in [&b"\xFF\xFEa\0\n\0b\0"[..], b"\xFE\xFF\0a\0\n"] {
            let mut lines = Lines::default();
            lines.feed(&input[..1]);
            assert_eq!(lines.next_line(), None);
            lines.feed(&input[1..]);
            assert_eq!(lines.next_line(), Some((1, Line::Utf16)));
            lines.feed(b"more\n");
            assert_eq!(lines.next_line(), None);
            assert!(lines.is_finished());
        }
    }

    #[test]
    fn a_line_of_just_the_limit_is_read_and_one_byte_more_is_not() {
        let mut lines = Lines::default();
        lines.feed(&[b'x'; LONGEST_LINE]);
        lines.feed(b"\n");
        lines.feed(&[b'y'; LONGEST_LINE + 1]);
        lines.feed(b"\nz\n");
        assert!(
            matches!(lines.next_line(), Some((1, Line::Text(text))) if text.len() == LONGEST_LINE)
        );
        assert!(matches!(lines.next_line(), Some((2, Line::TooLong(_)))));
        assert_eq!(lines.next_line(), Some((3, Line::Text(b"z"))));
    }

    #[test]
    fn an_endless_line_costs_no_memory() {
        let mut lines = Lines::default();
        let mut reported = 0;
        for _ in 0..10_000 {
            lines.feed(&[b'x'; 8192]);
            while let Some((_, line)) = lines.next_line() {
                assert!(matches!(line, Line::TooLong(_)));
                reported += 1;
            }
            assert!(
                lines.buffer.capacity() <= 4 * LONGEST_LINE,
                "{}",
                lines.buffer.capacity()
            );
        }
        assert_eq!(reported, 1);
        lines.feed(b"\nnext\n");
        assert_eq!(lines.next_line(), Some((2, Line::Text(b"next"))));
    }

    #[test]
    fn a_long_run_of_lines_keeps_the_buffer_small() {
        let mut lines = Lines::default();
        for _ in 0..10_000 {
            lines.feed(b"http://example.com/some/file\nhttp://exam");
            while lines.next_line().is_some() {}
        }
        assert!(
            lines.buffer.capacity() < 1024,
            "{}",
            lines.buffer.capacity()
        );
        assert_eq!(lines.number, 10_000);
    }
}
