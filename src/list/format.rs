//! The formats of lists, and the detection of a list's format by its first bytes.

use std::sync::Arc;

use super::jsonl::Jsonl;
use super::lines::{Line, UTF8_MARK};
use super::metalink::Metalink;
use super::reference::References;
use super::sums::{self, Sums};
use super::urls::Urls;
use super::{ListError, Row};

/// The format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// Detected by its beginning: `<` is metalink, `{` is jsonl, a digest and a name is sums, anything else is urls.
    #[default]
    Auto,
    /// One URL on each line, with options on indented lines.
    Urls,
    /// One JSON object on each line.
    Jsonl,
    /// One digest and name on each line, as `sha256sum` and similar tools write them.
    Sums,
    /// RFC 5854.
    Metalink,
}

/// The parser of a list's format.
#[derive(Debug)]
pub(super) enum FormatParser {
    /// Not detected: only blank bytes were received.
    Unknown,
    /// A line format, detected by the first line that is neither blank nor a comment.
    Lines,
    Urls(Urls),
    Jsonl(Jsonl),
    Sums(Sums),
    Metalink(Metalink),
}

impl FormatParser {
    pub(super) fn new(format: Format, source: &Arc<str>, references: &References) -> Self {
        let (source, references) = (Arc::clone(source), references.clone());
        match format {
            Format::Auto => Self::Unknown,
            Format::Urls => Self::Urls(Urls::new(source, references)),
            Format::Jsonl => Self::Jsonl(Jsonl::new(source, references)),
            Format::Sums => Self::Sums(Sums::new(source, references)),
            Format::Metalink => Self::Metalink(Metalink::new(source, references)),
        }
    }

    /// Parses one line of a line format.
    pub(super) fn read(&mut self, number: u64, line: &Line<'_>) -> Option<Result<Row, ListError>> {
        match self {
            Self::Urls(urls) => urls.read(number, line),
            Self::Jsonl(jsonl) => jsonl.read(number, line),
            Self::Sums(sums) => sums.read(number, line),
            Self::Unknown | Self::Lines | Self::Metalink(_) => None,
        }
    }
}

/// Skips the beginning of a list: a byte order mark, blanks and line ends, fed in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The bytes of a byte order mark received so far; `None` if it can no longer occur.
    mark: Option<usize>,
    has_begun: bool,
}

impl Opening {
    /// The number of bytes to skip. `true`: the first of them begin a byte order mark that is not complete, so what
    /// follows is not a document.
    pub(super) fn skip(&mut self, bytes: &[u8]) -> (usize, bool) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.mark = Some(0);
        }
        for (at, byte) in bytes.iter().enumerate() {
            match self.mark.take() {
                Some(count) if *byte == UTF8_MARK[count] => {
                    self.mark = Some(count + 1).filter(|count| *count < UTF8_MARK.len());
                }
                Some(1..) => return (at, true),
                _ if b" \t\r\n".contains(byte) => {}
                _ => return (at, false),
            }
        }
        (bytes.len(), false)
    }
}

/// Detects the format by a line; `None` if the line is blank or a comment.
pub(super) fn by_line(line: &Line<'_>) -> Option<Format> {
    let (Line::Text(text) | Line::TooLong(text)) = line else {
        return Some(Format::Urls);
    };
    match text.trim_ascii_start() {
        [] | [b'#', ..] => None,
        [b'{', ..] => Some(Format::Jsonl),
        _ if line.text().is_some_and(is_sum) => Some(Format::Sums),
        _ => Some(Format::Urls),
    }
}

/// Whether a line has the syntax of the `sums` format.
fn is_sum(text: &[u8]) -> bool {
    sums::entry(text).is_ok() || sums::is_tagged(text)
}
