//! The formats of lists, and how one is told by how a list begins.

use std::sync::Arc;

use url::Url;

use super::jsonl::Jsonl;
use super::lines::Line;
use super::metalink::Metalink;
use super::sums::{self, Sums};
use super::urls::Urls;
use super::{ListError, Row};

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

/// Parts what comes before the first byte that says something: blanks, line ends, and a byte order mark.
pub(super) fn split_blank(bytes: &[u8]) -> (&[u8], &[u8]) {
    let is_blank = |byte: &u8| b" \t\r\n\xEF\xBB\xBF".contains(byte);
    let at = bytes.iter().position(|byte| !is_blank(byte));
    bytes.split_at(at.unwrap_or(bytes.len()))
}

/// The format of a list by its first line; `None` for a line that is blank or a comment.
pub(super) fn by_line(line: &Line<'_>) -> Option<Format> {
    let Line::Text(text) = line else {
        return Some(Format::Urls);
    };
    match text.trim_ascii_start() {
        [] | [b'#', ..] => None,
        [b'{', ..] => Some(Format::Jsonl),
        _ if sums::entry(text).is_ok() || sums::is_tagged(text) => Some(Format::Sums),
        _ => Some(Format::Urls),
    }
}
