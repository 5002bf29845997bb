//! A lazy stream of rows out of a URL list. [`Input`] reads the bytes, [`Rows`] makes rows and
//! errors of them without I/O.
//!
//! Within [`Rows`], `lines` cuts bytes of any shape into lines of bounded length; `urls`, `jsonl`
//! and `sums` read the lines of the formats of these names, and `metalink` a document; `format`
//! chooses among them. `reference` reads one URL as people write it.
//!
//! In the `urls` format a row is held back until something shows that it has all its indented options:
//!
//! ```text
//!            URL line              next URL, settle or finish
//! nothing ──────────────▶ row held ──────────────────────────▶ row given out
//!    │                       │                                       │
//!    │ option                │ bad option                            │ option, too late
//!    └────────────────▶ error held ◀─────────────────────────────────┘
//!                            │ next URL, settle or finish
//!                            ▼
//!                      error given out: further options of that row are dropped with it
//! ```

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use url::Url;

use self::format::{Opening, Reader};
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
pub(crate) use self::input::{Input, Next};
pub use self::reference::parse_url;
pub use self::shard::Shard;
pub(crate) use self::write::bad_row;

/// The source of what stands in no list.
const TYPED: &str = "command line";

/// One entry of a list: one file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// Where the file is; a fragment is kept.
    pub url: Url,
    /// Other places of the same file, in the order written.
    pub mirrors: Vec<Url>,
    /// The name asked for, relative to the target folder. It is as written: a stranger may have chosen it, so it
    /// must still pass `download::name::beneath`.
    pub out: Option<String>,
    /// What the indented lines set, apart from `out=`.
    pub options: Option<Box<RowOptions>>,
    /// The line of the URL.
    pub place: Place,
}

/// What the indented lines below a URL set for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowOptions {
    /// `dir=`: the folder asked for, relative to the target folder; as written, like [`Row::out`].
    pub dir: Option<String>,
    /// `header=`: whole `Name: value` lines; the name is a token, the value has no control character but tab.
    pub headers: Vec<String>,
    /// `user-agent=`, without control characters.
    pub user_agent: Option<String>,
    /// `referer=`, without control characters.
    pub referer: Option<String>,
    /// `max-size=`, in bytes.
    pub max_size: Option<u64>,
    /// `checksum=` and the digests in fragments: all of them are to be met.
    pub digests: Vec<Expected>,
    /// `split=`.
    pub split: Option<Split>,
    /// How large the file is to be, in bytes.
    pub size: Option<u64>,
    /// `pieces=`: what the digests of its pieces are to be.
    pub pieces: Option<Arc<Pieces>>,
}

impl Row {
    /// A row of a URL and the digests in its fragment.
    ///
    /// # Errors
    /// A digest that is none; the message is fit to print.
    pub fn new(url: Url, place: Place) -> Result<Self, String> {
        let mut row = Self {
            url,
            mirrors: Vec::new(),
            out: None,
            options: None,
            place,
        };
        row.expect_all(&reference::fragment_digests(&row.url)?)?;
        Ok(row)
    }

    /// Its URL, and those of its mirrors.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        std::iter::once(&self.url).chain(&self.mirrors)
    }

    /// The digests that the file is to have.
    pub fn digests(&self) -> &[Expected] {
        self.options
            .as_ref()
            .map_or(&[], |options| &options.digests)
    }

    /// Whether it says enough to know the file by.
    pub fn has_digests(&self) -> bool {
        let has_pieces = |options: &RowOptions| options.pieces.is_some();
        !self.digests().is_empty() || self.options.as_deref().is_some_and(has_pieces)
    }

    /// Adds another place of the same file, with the digests in its fragment.
    fn add_mirror(&mut self, url: Url) -> Result<(), String> {
        self.expect_all(&reference::fragment_digests(&url)?)?;
        self.mirrors.push(url);
        Ok(())
    }

    /// Adds what digests are to be.
    ///
    /// # Errors
    /// One of them contradicts another.
    pub(crate) fn expect_all(&mut self, digests: &[Expected]) -> Result<(), String> {
        let mut digests = digests.iter().cloned();
        digests.try_for_each(|digest| self.expect(digest))
    }

    /// Adds what a digest is to be. No file has two by one algorithm.
    fn expect(&mut self, digest: Expected) -> Result<(), String> {
        let algorithm = digest.algorithm();
        let is_same = |known: &&Expected| known.algorithm() == algorithm;
        match self.digests().iter().find(is_same) {
            None => self.options_mut().digests.push(digest),
            Some(known) if *known == digest => {}
            Some(_) => return Err(format!("two different {algorithm} digests of one file")),
        }
        Ok(())
    }

    fn options_mut(&mut self) -> &mut RowOptions {
        self.options.get_or_insert_default()
    }
}

/// How many transfers may bring one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Split {
    /// As many as are found to add speed.
    #[default]
    Auto,
    /// So many at once.
    Most(NonZeroU32),
}

/// As it is written.
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
                .map_err(|_| "is neither a number from 1 on nor \"auto\""),
        }
    }
}

/// Reads a line of a format in which each line is a row by itself. Blank lines are none, and neither
/// are comments.
fn read_alone(
    place: Place,
    line: &Line<'_>,
    row: impl FnOnce(&[u8], Place) -> Result<Row, String>,
) -> Option<Result<Row, ListError>> {
    let row = match line {
        Line::Text(text) if matches!(text.trim_ascii(), [] | [b'#', ..]) => return None,
        Line::Text(text) => row(text, place.clone()),
        Line::TooLong(_) => Err(TOO_LONG.into()),
        Line::Utf16 => Err(UTF16.into()),
    };
    Some(row.map_err(|message| ListError {
        // By the rules of another format it might be a row, and not the one that was meant.
        text: line.text().and_then(text_of).map(bad_row),
        ..ListError::new(place, message)
    }))
}

/// A line that no row was made of, as a line of the `urls` format that is bad again: as it came, unless the
/// list would be taken for one of another format by it. `None` for what is no text, or would be part of
/// something else by an indent or a `#`.
pub(crate) fn as_written(line: &[u8]) -> Option<Box<str>> {
    let line = text_of(line)?;
    // A byte order mark that comes first in a list is no part of its line.
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

/// Where in a list something stands; displayed as `urls.txt:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name, or `standard input`.
    pub source: Arc<str>,
    /// The line, counted from 1.
    pub line: u64,
}

impl Place {
    /// The place of the `index`th URL, from 1, that was typed and stands in no list.
    pub fn typed(index: u64) -> Self {
        Self {
            source: Arc::from(TYPED),
            line: index,
        }
    }

    /// Whether it is in a list, and not something that was typed.
    pub fn is_listed(&self) -> bool {
        *self.source != *TYPED
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}

/// A row that cannot be read; what stands below it can.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {message}")]
#[non_exhaustive]
pub struct ListError {
    /// The line at fault: the URL's or the option's.
    pub place: Place,
    /// What is wrong, on one line, without control characters and without passwords.
    pub message: String,
    /// What stands there, where it can be written down again: one line, or in the `urls` format a row with
    /// its options, without the end of the last line. It may hold passwords, so it is never shown.
    pub text: Option<Box<str>>,
}

impl ListError {
    /// An error of something that cannot be written down again.
    pub fn new(place: Place, message: String) -> Self {
        Self {
            place,
            message,
            text: None,
        }
    }
}

/// The rows of one list, read as its bytes come in.
///
/// It holds the bytes that were fed and not yet read, and one row. Call [`next_row`](Self::next_row) until it gives
/// `None` before feeding more, and memory is bounded by one feed and one line.
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
/// assert_eq!(rows.next_row().unwrap()?.place.to_string(), "urls.txt:2");
/// assert!(rows.is_finished());
/// # Ok::<(), gannet::list::ListError>(())
/// ```
#[derive(Debug)]
pub struct Rows {
    lines: Lines,
    reader: Reader,
    source: Arc<str>,
    base: Option<Url>,
    /// What came before anything else, and how many line ends of it.
    opening: Opening,
    blank_lines: u64,
    /// Nothing has come since `settle`.
    is_settled: bool,
}

impl Rows {
    /// A list of URLs named `source` (`-` is shown as `standard input`), whose relative references
    /// are resolved against `base`.
    pub fn new(source: &str, base: Option<Url>) -> Self {
        Self::in_format(Format::Urls, source, base)
    }

    /// The same for a list in any format.
    pub fn in_format(format: Format, source: &str, base: Option<Url>) -> Self {
        let source = if source == "-" {
            "standard input"
        } else {
            source
        };
        let source = Arc::from(source);
        Self {
            lines: Lines::default(),
            reader: Reader::new(format, &source, base.as_ref()),
            source,
            base,
            opening: Opening::default(),
            blank_lines: 0,
            is_settled: false,
        }
    }

    /// Takes in the next bytes, cut anywhere. After [`finish`](Self::finish) they are ignored.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.is_settled = false;
        if matches!(self.reader, Reader::Unknown) {
            let (blank, is_torn) = self.opening.pass(bytes);
            let (blank, rest) = bytes.split_at(blank);
            self.lines.feed(blank);
            self.blank_lines += blank.iter().filter(|&&byte| byte == b'\n').count() as u64;
            bytes = rest;
            match bytes.first() {
                None => return,
                Some(b'<') if !is_torn => {
                    let metalink = Metalink::new(Arc::clone(&self.source), self.base.clone());
                    self.reader = Reader::Metalink(metalink.below(self.blank_lines));
                }
                Some(_) => self.reader = Reader::Lines,
            }
        }
        match &mut self.reader {
            Reader::Metalink(metalink) => metalink.feed(bytes),
            _ => self.lines.feed(bytes),
        }
    }

    /// Says that the input has ended; the last line may lack its newline.
    pub fn finish(&mut self) {
        self.lines.finish();
        if let Reader::Metalink(metalink) = &mut self.reader {
            metalink.finish();
        }
    }

    /// Says that nothing more has come for a while: the row held back for its options is given out, unless a line
    /// begun with an indent shows that an option is on its way.
    pub fn settle(&mut self) {
        self.is_settled = true;
    }

    /// The next row or error, in the order of the list; `None` when it wants more bytes or is finished.
    pub fn next_row(&mut self) -> Option<Result<Row, ListError>> {
        if let Reader::Metalink(metalink) = &mut self.reader {
            return metalink.next_row();
        }
        while let Some((number, line)) = self.lines.next_line() {
            if matches!(self.reader, Reader::Unknown | Reader::Lines) {
                match format::by_line(&line) {
                    Some(format) => {
                        self.reader = Reader::new(format, &self.source, self.base.as_ref())
                    }
                    None => continue,
                }
            }
            if let Some(row) = self.reader.read(number, &line) {
                return Some(row);
            }
        }
        let Reader::Urls(urls) = &mut self.reader else {
            return None;
        };
        let is_due = self.lines.is_finished() || self.is_settled && !self.lines.has_indent_begun();
        if is_due { urls.take() } else { None }
    }

    /// Whether a row, or the error of one, is held back that [`settle`](Self::settle) or
    /// [`finish`](Self::finish) would give out.
    pub fn is_holding(&self) -> bool {
        self.holds() && (self.lines.is_finished() || !self.lines.has_indent_begun())
    }

    /// Whether the input has ended and all of it was given out.
    pub fn is_finished(&self) -> bool {
        if let Reader::Metalink(metalink) = &self.reader {
            return metalink.is_finished();
        }
        self.lines.is_finished() && !self.holds()
    }

    fn holds(&self) -> bool {
        matches!(&self.reader, Reader::Urls(urls) if urls.is_holding())
    }
}

#[cfg(test)]
mod tests;
