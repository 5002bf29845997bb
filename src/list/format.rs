//! The formats of lists, and how one is told by how a list begins.

use std::sync::Arc;

use url::Url;

use super::jsonl::Jsonl;
use super::lines::{Line, UTF8_MARK};
use super::metalink::Metalink;
use super::sums::{self, Sums};
use super::urls::Urls;
use super::{ListError, Row};

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// As it begins: `<` is a metalink, `{` is jsonl, a line of a digest and a name is sums, anything else is urls.
    #[default]
    Auto,
    /// A URL a line, with options.
    Urls,
    /// A JSON object a line.
    Jsonl,
    /// As `sha256sum` and its like write: a digest and a name a line.
    Sums,
    /// RFC 5854.
    Metalink,
}

/// Who reads a list.
#[derive(Debug)]
pub(super) enum Reader {
    /// Nothing but blanks has come.
    Unknown,
    /// Lines of some kind; the first that says something tells.
    Lines,
    Urls(Urls),
    Jsonl(Jsonl),
    Sums(Sums),
    Metalink(Metalink),
}

impl Reader {
    pub(super) fn new(format: Format, source: &Arc<str>, base: Option<&Url>) -> Self {
        let (source, base) = (Arc::clone(source), base.cloned());
        match format {
            Format::Auto => Self::Unknown,
            Format::Urls => Self::Urls(Urls::new(source, base)),
            Format::Jsonl => Self::Jsonl(Jsonl::new(source, base)),
            Format::Sums => Self::Sums(Sums::new(source, base)),
            Format::Metalink => Self::Metalink(Metalink::new(source, base)),
        }
    }

    /// Reads one line of a line format.
    pub(super) fn read(&mut self, number: u64, line: &Line<'_>) -> Option<Result<Row, ListError>> {
        match self {
            Self::Urls(urls) => urls.read(number, line),
            Self::Jsonl(jsonl) => jsonl.read(number, line),
            Self::Sums(sums) => sums.read(number, line),
            Self::Unknown | Self::Lines | Self::Metalink(_) => None,
        }
    }
}

/// What comes before the first byte that says something: a byte order mark, blanks and line ends,
/// in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Bytes of a mark that have come, from the first of all on; none once it cannot come any more.
    mark: Option<usize>,
    has_begun: bool,
}

impl Opening {
    /// How many of the next bytes say nothing. What follows them is no document if a mark was begun and is none.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> (usize, bool) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.mark = Some(0);
        }
        for (at, byte) in bytes.iter().enumerate() {
            match self.mark.take() {
                Some(come) if *byte == UTF8_MARK[come] => {
                    self.mark = Some(come + 1).filter(|come| *come < UTF8_MARK.len());
                }
                Some(1..) => return (at, true),
                _ if b" \t\r\n".contains(byte) => {}
                _ => return (at, false),
            }
        }
        (bytes.len(), false)
    }
}

/// The format of a list by its first line; `None` for a line that is blank or a comment.
pub(super) fn by_line(line: &Line<'_>) -> Option<Format> {
    let (Line::Text(text) | Line::TooLong(text)) = line else {
        return Some(Format::Urls);
    };
    let is_sum = || {
        let is_whole = matches!(line, Line::Text(_));
        is_whole && (sums::entry(text).is_ok() || sums::is_tagged(text))
    };
    match text.trim_ascii_start() {
        [] | [b'#', ..] => None,
        [b'{', ..] => Some(Format::Jsonl),
        _ if is_sum() => Some(Format::Sums),
        _ => Some(Format::Urls),
    }
}
