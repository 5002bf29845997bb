//! Lists of URLs as lazy streams of rows. [`ListReader`] reads the bytes; [`Rows`] parses them into rows and errors
//! without I/O.
//!
//! Within [`Rows`], `lines` splits bytes into lines of bounded length; `urls`, `jsonl` and `sums` parse the lines of
//! these formats, `metalink` parses a document, and `format` detects the format. `reference` parses one URL.
//!
//! In the `urls` format a row is held until all its indented options have been read:
//!
//! ```text
//!            URL line              next URL, settle or finish
//! nothing ──────────────▶ row held ──────────────────────────▶ row returned
//!    │                       │                                       │
//!    │ option                │ bad option                            │ option, too late
//!    └────────────────▶ error held ◀─────────────────────────────────┘
//!                            │ next URL, settle or finish
//!                            ▼
//!                      error returned: further options of that row are dropped
//! ```

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use url::Url;

use self::format::{FormatParser, Opening};
use self::lines::{Line, Lines};
use self::metalink::Metalink;
use self::urls::{TOO_LONG, UTF16};
use crate::http::Expected;
use crate::http::digest::Pieces;

pub(crate) mod checksums;
mod excerpt;
mod format;
pub(crate) mod input;
mod jsonl;
mod lines;
mod metalink;
mod pieces;
mod reference;
mod shard;
pub(crate) mod size;
mod sums;
mod urls;
mod value;
pub(crate) mod write;

pub(crate) use self::checksums::Checksums;
pub use self::format::Format;
pub(crate) use self::input::{ListReader, Next};
pub(crate) use self::reference::References;
pub use self::reference::parse_url;
pub use self::shard::Shard;
pub(crate) use self::write::bad_row;

/// The source of URLs that were typed.
const TYPED: &str = "command line";

/// One entry of a list: a file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The URL of the file, with its fragment.
    pub url: Url,
    /// Other URLs of the same file, in the order of the list.
    pub mirrors: Vec<Url>,
    /// The requested name, relative to the target folder. It is not sanitised: the list may come from elsewhere, so the
    /// name must pass `download::name::beneath` before use.
    pub out: Option<String>,
    /// The options other than `out=`.
    pub options: Option<Box<RowOptions>>,
    /// The list and the line of the URL.
    pub location: Location,
}

/// The options of a row. In the `urls` format they are the indented lines below a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowOptions {
    /// `dir=`: the requested folder, relative to the target folder; not sanitised, like [`Row::out`].
    pub dir: Option<String>,
    /// `header=`: whole `Name: value` lines; the name is a token, the value has no control character but tab.
    pub headers: Vec<String>,
    /// `user-agent=`, without control characters.
    pub user_agent: Option<String>,
    /// `referer=`, without control characters.
    pub referer: Option<String>,
    /// `max-size=`, in bytes.
    pub max_size: Option<u64>,
    /// `checksum=` and the digests in fragments. The file must match all of them.
    pub digests: Vec<Expected>,
    /// `split=`.
    pub split: Option<Split>,
    /// `size=`: the expected size of the file, in bytes.
    pub size: Option<u64>,
    /// `pieces=`: the expected digests of its pieces.
    pub pieces: Option<Arc<Pieces>>,
}

impl Row {
    /// A row with a URL and the digests in its fragment.
    ///
    /// # Errors
    /// A digest in the fragment is invalid; the message is printable.
    pub fn new(url: Url, location: Location) -> Result<Self, String> {
        let mut row = Self {
            url,
            mirrors: Vec::new(),
            out: None,
            options: None,
            location,
        };
        row.expect_all(&reference::fragment_digests(&row.url)?)?;
        Ok(row)
    }

    /// The URL of the row, then those of its mirrors.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        std::iter::once(&self.url).chain(&self.mirrors)
    }

    /// The expected digests of the file.
    pub fn digests(&self) -> &[Expected] {
        self.options
            .as_ref()
            .map_or(&[], |options| &options.digests)
    }

    /// Whether the row has a digest of the file or of its pieces.
    pub fn has_digests(&self) -> bool {
        self.options
            .as_deref()
            .is_some_and(|options| !options.digests.is_empty() || options.pieces.is_some())
    }

    /// Adds a mirror, and the digests in its fragment.
    fn add_mirror(&mut self, url: Url) -> Result<(), String> {
        self.expect_all(&reference::fragment_digests(&url)?)?;
        self.mirrors.push(url);
        Ok(())
    }

    /// Adds expected digests of the file.
    ///
    /// # Errors
    /// One of them contradicts another by the same algorithm.
    pub(crate) fn expect_all(&mut self, digests: &[Expected]) -> Result<(), String> {
        let mut digests = digests.iter().cloned();
        digests.try_for_each(|digest| self.expect(digest))
    }

    /// Adds an expected digest of the file. Two different digests by one algorithm are an error.
    fn expect(&mut self, digest: Expected) -> Result<(), String> {
        let algorithm = digest.algorithm();
        let mut known = self.digests().iter();
        match known.find(|known| known.algorithm() == algorithm) {
            None => self.options_mut().digests.push(digest),
            Some(known) if *known == digest => {}
            Some(_) => return Err(format!("two different {algorithm} digests for one file")),
        }
        Ok(())
    }

    fn options_mut(&mut self) -> &mut RowOptions {
        self.options.get_or_insert_default()
    }
}

/// The number of connections that a file may be divided over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Split {
    /// More connections while they add speed.
    #[default]
    Auto,
    /// At most this number.
    Most(NonZeroU32),
}

/// The form that is parsed: `auto` or a number.
impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Most(most) => most.fmt(f),
        }
    }
}

impl FromStr for Split {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            number => number
                .parse()
                .map(Self::Most)
                .map_err(|_| "is neither a number of at least 1 nor \"auto\""),
        }
    }
}

/// Parses a line of a format in which each line is a complete row. Blank lines and comments are skipped.
fn read_alone(
    location: Location,
    line: &Line<'_>,
    row: impl FnOnce(&[u8], Location) -> Result<Row, String>,
) -> Option<Result<Row, ListError>> {
    let row = match line {
        Line::Text(text) if matches!(text.trim_ascii(), [] | [b'#', ..]) => return None,
        Line::Text(text) => row(text, location.clone()),
        Line::TooLong(_) => Err(TOO_LONG.into()),
        Line::Utf16 => Err(UTF16.into()),
    };
    Some(row.map_err(|message| ListError {
        // Marked as a bad row, because as a line of the `urls` format it might be a different, valid row.
        text: line.text().and_then(text_of).map(bad_row),
        ..ListError::new(location, message)
    }))
}

/// An invalid line as a line of the `urls` format that is invalid too: unchanged, or after `bad row:` if it would make
/// the list look like another format. `None` if the line is not printable text, or begins with `#`.
pub(crate) fn as_written(line: &[u8]) -> Option<Box<str>> {
    let line = text_of(line)?;
    // A byte order mark at the start of a list is not part of its first line.
    let is_mistaken = line.starts_with(['<', '\u{feff}'])
        || format::by_line(&Line::Text(line.as_bytes())) != Some(Format::Urls);
    Some(if is_mistaken {
        bad_row(line)
    } else {
        line.into()
    })
}

fn text_of(line: &[u8]) -> Option<&str> {
    let line = str::from_utf8(line).ok()?.trim_matches([' ', '\t']);
    let is_row = !line.starts_with('#') && !line.split('\t').any(excerpt::has_control);
    (is_row && !line.is_empty()).then_some(line)
}

/// A list and a line of it, displayed as `urls.txt:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The name of the file, or `standard input`.
    pub source: Arc<str>,
    /// The line, counted from 1.
    pub line: u64,
}

impl Location {
    /// The location of the `index`th URL, counted from 1, on the command line.
    pub fn typed(index: u64) -> Self {
        Self {
            source: Arc::from(TYPED),
            line: index,
        }
    }

    /// Whether the location is in a list, not on the command line.
    pub fn is_listed(&self) -> bool {
        *self.source != *TYPED
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}

/// An invalid row. The rows below it can still be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{location}: {message}")]
pub struct ListError {
    /// The line at fault: that of the URL or of the option.
    pub location: Location,
    /// What is wrong, on one line, without control characters and without passwords.
    pub message: String,
    /// The invalid row, if it can be written to a list again: one line, or in the `urls` format a row with its
    /// options, without the last line end. It may contain passwords, so it is never shown.
    pub text: Option<Box<str>>,
}

impl ListError {
    /// An error of a row that cannot be written to a list again.
    pub fn new(location: Location, message: String) -> Self {
        Self {
            location,
            message,
            text: None,
        }
    }
}

/// An incremental parser: bytes of one list in, rows and errors out.
///
/// It holds the bytes that were fed but not parsed, and one row. Memory is bounded by one feed and one line if
/// [`next_row`](Self::next_row) is called until it returns `None` before more bytes are fed.
///
/// ```
/// use gannet::list::Rows;
///
/// let mut rows = Rows::new("urls.txt", None);
/// rows.feed(b"https://example.com/a\nhttps://exam");
/// assert!(rows.next_row().is_none()); // options may follow
/// rows.feed(b"ple.com/b\n");
/// assert_eq!(rows.next_row().unwrap()?.url.path(), "/a");
/// rows.finish();
/// assert_eq!(rows.next_row().unwrap()?.location.to_string(), "urls.txt:2");
/// assert!(rows.is_finished());
/// # Ok::<(), gannet::list::ListError>(())
/// ```
#[derive(Debug)]
pub struct Rows {
    lines: Lines,
    parser: FormatParser,
    source: Arc<str>,
    references: References,
    /// The blank bytes before the first row.
    opening: Opening,
    /// The number of line ends in them.
    blank_lines: u64,
    /// No bytes were fed since `settle`.
    is_settled: bool,
}

impl Rows {
    /// A parser of the `urls` format for a list named `source`; `-` is shown as `standard input`. Relative references
    /// are resolved against `base`.
    pub fn new(source: &str, base: Option<Url>) -> Self {
        Self::in_format(Format::Urls, source, base.into())
    }

    /// A parser of any format, which resolves references by these rules; otherwise like [`Rows::new`].
    pub fn in_format(format: Format, source: &str, references: References) -> Self {
        let source = if source == "-" {
            "standard input"
        } else {
            source
        };
        let source = Arc::from(source);
        Self {
            lines: Lines::default(),
            parser: FormatParser::new(format, &source, &references),
            source,
            references,
            opening: Opening::default(),
            blank_lines: 0,
            is_settled: false,
        }
    }

    /// Adds the next bytes; they may end within a line. After [`finish`](Self::finish) they are ignored.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.is_settled = false;
        if matches!(self.parser, FormatParser::Unknown) {
            let (blank, is_torn) = self.opening.skip(bytes);
            let (blank, rest) = bytes.split_at(blank);
            self.lines.feed(blank);
            self.blank_lines += blank.iter().filter(|&&byte| byte == b'\n').count() as u64;
            bytes = rest;
            match bytes.first() {
                None => return,
                Some(b'<') if !is_torn => {
                    let metalink = Metalink::new(Arc::clone(&self.source), self.references.clone());
                    self.parser = FormatParser::Metalink(metalink.below(self.blank_lines));
                }
                Some(_) => self.parser = FormatParser::Lines,
            }
        }
        match &mut self.parser {
            FormatParser::Metalink(metalink) => metalink.feed(bytes),
            _ => self.lines.feed(bytes),
        }
    }

    /// Signals the end of the input. The last line may lack its newline.
    pub fn finish(&mut self) {
        self.lines.finish();
        if let FormatParser::Metalink(metalink) = &mut self.parser {
            metalink.finish();
        }
    }

    /// Signals that no bytes arrived for a while. The held row is then returned without waiting for options, unless the
    /// incomplete next line begins with an indent, so that an option follows.
    pub fn settle(&mut self) {
        self.is_settled = true;
    }

    /// The next row or error, in the order of the list; `None` if more bytes are needed or the list has ended.
    pub fn next_row(&mut self) -> Option<Result<Row, ListError>> {
        if let FormatParser::Metalink(metalink) = &mut self.parser {
            return metalink.next_row();
        }
        while let Some((number, line)) = self.lines.next_line() {
            if matches!(self.parser, FormatParser::Unknown | FormatParser::Lines) {
                match format::by_line(&line) {
                    Some(format) => {
                        self.parser = FormatParser::new(format, &self.source, &self.references)
                    }
                    None => continue,
                }
            }
            if let Some(row) = self.parser.read(number, &line) {
                return Some(row);
            }
        }
        let FormatParser::Urls(urls) = &mut self.parser else {
            return None;
        };
        let is_due = self.lines.is_finished() || self.is_settled && !self.lines.has_indent_begun();
        if is_due { urls.take() } else { None }
    }

    /// Whether a row or error is held that [`settle`](Self::settle) or [`finish`](Self::finish) would release.
    pub fn is_holding(&self) -> bool {
        self.holds() && (self.lines.is_finished() || !self.lines.has_indent_begun())
    }

    /// Whether the input has ended and all rows were returned.
    pub fn is_finished(&self) -> bool {
        if let FormatParser::Metalink(metalink) = &self.parser {
            return metalink.is_finished();
        }
        self.lines.is_finished() && !self.holds()
    }

    fn holds(&self) -> bool {
        matches!(&self.parser, FormatParser::Urls(urls) if urls.is_holding())
    }
}

#[cfg(test)]
mod tests;
