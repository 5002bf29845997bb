//! The `urls` format: one URL on each line, followed by mirrors after tabs or a file name after a space; indented lines
//! set options of the URL above them.

use std::mem;
use std::sync::Arc;

use url::Url;

use super::excerpt::{quote, quote_url};
use super::lines::Line;
use super::pieces;
use super::reference::{References, Resolver};
use super::value::{file, filled, header, once, plain, size};
use super::{ListError, Location, Row, as_written, text_of};

const BLANKS: [char; 2] = [' ', '\t'];

/// The row above the next line, to which an option line belongs.
#[derive(Debug)]
enum Above {
    /// No URL yet: an option is an error.
    Nothing,
    /// A row, held because options may follow.
    Row(Row),
    /// An invalid row, not returned yet. Its other options are dropped, so that it is reported once.
    Bad(ListError),
    /// A row that was returned: options come too late.
    Given,
    /// An invalid row that was returned.
    Reported,
}

/// The parser of one list.
#[derive(Debug)]
pub(super) struct Urls {
    source: Arc<str>,
    urls: Resolver,
    above: Above,
}

impl Urls {
    /// A parser of the list named `source`.
    pub(super) fn new(source: Arc<str>, references: References) -> Self {
        Self {
            source,
            urls: Resolver::new(references),
            above: Above::Nothing,
        }
    }

    /// Parses one line. Returns the held row above it if the line begins another row.
    pub(super) fn read(&mut self, number: u64, line: &Line<'_>) -> Option<Result<Row, ListError>> {
        let (Line::Text(text) | Line::TooLong(text)) = line else {
            return self.begin(self.error(number, UTF16));
        };
        let is_too_long = matches!(line, Line::TooLong(_));
        let is_indented = matches!(text.first(), Some(b' ' | b'\t'));
        match text.iter().find(|byte| !matches!(byte, b' ' | b'\t')) {
            Some(b'#') => None,
            None if !is_too_long => None,
            _ if is_indented => {
                self.add_option(number, if is_too_long { None } else { Some(text) });
                None
            }
            _ if is_too_long => self.begin(self.error(number, TOO_LONG)),
            _ => {
                let entry = self.entry(number, text);
                self.begin(entry)
            }
        }
    }

    /// Returns the held row or error.
    pub(super) fn take(&mut self) -> Option<Result<Row, ListError>> {
        match mem::replace(&mut self.above, Above::Nothing) {
            Above::Row(row) => {
                let row = checked(row);
                self.above = if row.is_ok() {
                    Above::Given
                } else {
                    Above::Reported
                };
                Some(row)
            }
            Above::Bad(error) => {
                self.above = Above::Reported;
                Some(Err(error))
            }
            other => {
                self.above = other;
                None
            }
        }
    }

    /// Whether [`take`](Self::take) would return something.
    pub(super) fn is_holding(&self) -> bool {
        matches!(self.above, Above::Row(_) | Above::Bad(_))
    }

    /// Holds a new row, and returns the one held before, which is complete.
    fn begin(&mut self, entry: Result<Row, ListError>) -> Option<Result<Row, ListError>> {
        let complete = self.take();
        self.above = match entry {
            Ok(row) => Above::Row(row),
            Err(error) => Above::Bad(error),
        };
        complete
    }

    /// Parses a line that is not indented. Errors quote the whole line, so that its password can be found and masked
    /// even if the space or tab at fault is within it.
    fn entry(&mut self, number: u64, line: &[u8]) -> Result<Row, ListError> {
        let location = self.location(number);
        let text = str::from_utf8(line).map(|text| text.trim_end_matches(BLANKS));
        let row = match (text, foreign(line)) {
            (_, Some(what)) => Err(what.into()),
            (Err(_), None) => Err("the line is not UTF-8".into()),
            (Ok(text), None) if text.contains('\t') => self.mirrors(text, location),
            (Ok(text), None) => self.destination(text, location),
        };
        row.map_err(|fault| ListError {
            location: self.location(number),
            message: format!("{fault}: {}", quote(line)),
            text: as_written(line),
        })
    }

    /// Parses `URL` or `URL NAME`.
    fn destination(&mut self, text: &str, location: Location) -> Result<Row, String> {
        let (url, out) = match text.split_once(' ') {
            Some((url, rest)) => (url, Some(rest.trim_start_matches(' '))),
            None => (text, None),
        };
        let mut row = Row::new(self.urls.resolve(url)?, location)?;
        let Some(out) = out else {
            return Ok(row);
        };
        if out.contains(' ') {
            return Err("more than one word after the URL (write a space in a URL as %20; for a name with spaces use out=)".into());
        }
        if out.contains("://") {
            return Err("a URL instead of a file name (separate mirrors by tabs)".into());
        }
        if is_torn(&row.url, out) {
            return Err("a space in the URL, as it seems: write it as %20 (or a name with out= on an indented line)".into());
        }
        row.out = Some(file(out)?);
        Ok(row)
    }

    /// Parses `URL TAB URL …`. A mirror without a scheme is refused: it is more likely a file name than a host.
    fn mirrors(&mut self, text: &str, location: Location) -> Result<Row, String> {
        let fields = text
            .split('\t')
            .map(|field| field.trim_matches(' '))
            .filter(|field| !field.is_empty());
        let mut row: Option<Row> = None;
        for field in fields {
            if field.contains(' ') {
                return Err("a file name beside mirrors (use out=)".into());
            }
            if row.is_some() && !self.urls.has_base() && !field.contains("://") {
                return Err("a mirror without a scheme (separate a file name by a space)".into());
            }
            let url = self.urls.resolve(field)?;
            match &mut row {
                None => row = Some(Row::new(url, location.clone())?),
                Some(row) => row.add_mirror(url)?,
            }
        }
        row.ok_or_else(|| "empty URL".into())
    }

    /// Sets an option of the row above. An invalid option makes the row invalid; `None` is an overlong line.
    fn add_option(&mut self, number: u64, line: Option<&[u8]>) {
        let (message, text) = match &mut self.above {
            Above::Reported => return,
            Above::Bad(bad) => {
                bad.text = bad.text.take().and_then(|text| below(&text, line));
                return;
            }
            Above::Nothing => (
                "an indented option line without a URL above it".into(),
                None,
            ),
            Above::Given => (
                "the options arrived too late: write them together with their URL".into(),
                None,
            ),
            Above::Row(row) => {
                match line.map_or_else(|| Err(TOO_LONG.into()), |line| set_option(row, line)) {
                    Ok(()) => return,
                    Err(fault) => (
                        format!("{fault} (options of {})", quote_url(&row.url)),
                        below(&row.to_string(), line),
                    ),
                }
            }
        };
        self.above = Above::Bad(ListError {
            location: self.location(number),
            message,
            text,
        });
    }

    fn error(&self, number: u64, message: &str) -> Result<Row, ListError> {
        Err(ListError::new(self.location(number), message.into()))
    }

    fn location(&self, line: u64) -> Location {
        Location {
            source: Arc::clone(&self.source),
            line,
        }
    }
}

/// What a line is that is of no list, as far as it can be told.
fn foreign(line: &[u8]) -> Option<&'static str> {
    if line.starts_with(b"\x1f\x8b") {
        return Some("the list is compressed with gzip: decompress it first");
    }
    if line.contains(&b'\r') {
        return Some("the lines end in CR alone: convert them with tr '\\r' '\\n'");
    }
    match line {
        [b'[', rest @ ..] if matches!(rest.trim_ascii(), [] | [b'{' | b'"' | b'[' | b']', ..]) => {
            Some("a JSON array: write one object on each line, as jq -c '.[]' does")
        }
        [b'"' | b'\'', ..] => Some("the URL is in quotes: write it without them"),
        _ => None,
    }
}

/// Whether a name is more likely the rest of the URL before it, as in `http://host/my file.zip`: only the name has an
/// extension. A path is a name: it says where the file goes.
fn is_torn(url: &Url, name: &str) -> bool {
    let last = url.path().rsplit('/').next().unwrap_or_default();
    let is_whole = url.query().is_some() || url.fragment().is_some() || last.is_empty();
    !is_whole && !name.contains('/') && !has_extension(last) && has_extension(name)
}

/// Whether a name ends like `.zip` or `.mp3`.
fn has_extension(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return false;
    };
    !stem.is_empty()
        && (1..=5).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && extension.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Checks that the options of a complete row agree.
fn checked(row: Row) -> Result<Row, ListError> {
    let options = row.options.as_deref();
    let Some(pieces) = options.and_then(|options| options.pieces.as_deref()) else {
        return Ok(row);
    };
    let size = options.and_then(|options| options.size);
    let count = pieces.count();
    if count > 0 && size.is_none_or(|size| pieces.fit(size)) {
        return Ok(row);
    }
    let (length, url) = (pieces.length(), quote_url(&row.url));
    let why = format!(
        "{count} pieces= of {length} bytes do not match the size of the file (options of {url})"
    );
    Err(ListError {
        text: Some(row.to_string().trim_end().into()),
        ..ListError::new(row.location, why)
    })
}

/// Appends an option line to the lines of an invalid row.
fn below(lines: &str, option: Option<&[u8]>) -> Option<Box<str>> {
    let option = text_of(option?)?;
    Some(format!("{}\n  {option}", lines.trim_end()).into())
}

/// The message for a [`Line::Utf16`].
pub(super) const UTF16: &str = "the list is UTF-16 and must be UTF-8";

/// The message for a [`Line::TooLong`].
pub(super) const TOO_LONG: &str = "line is longer than 64 KiB";

/// Parses `key=value` into the row. Errors do not quote the value, because a header may be a secret.
fn set_option(row: &mut Row, line: &[u8]) -> Result<(), String> {
    let text = str::from_utf8(line)
        .map_err(|_| "the option line is not UTF-8")?
        .trim_matches(BLANKS);
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let (key, value) = (
        key.trim_end_matches(BLANKS),
        value.trim_start_matches(BLANKS),
    );
    if key.contains("://") {
        return Err("an indented URL (write it at the start of the line)".into());
    }
    if !text.contains('=') {
        return Err("an option line without \"=\"".into());
    }
    match key {
        "out" => once(&mut row.out, || file(value)),
        "header" => header(value).map(|header| row.options_mut().headers.push(header)),
        "dir" => once(&mut row.options_mut().dir, || filled(value)),
        "user-agent" => once(&mut row.options_mut().user_agent, || plain(value)),
        "referer" => once(&mut row.options_mut().referer, || plain(value)),
        "size" => once(&mut row.options_mut().size, || size(value)),
        "max-size" => once(&mut row.options_mut().max_size, || size(value)),
        "checksum" => value
            .parse()
            .and_then(|digest| row.expect(digest))
            .map_err(|fault| format!("is not usable: {fault}")),
        "split" => once(&mut row.options_mut().split, || {
            Ok(value.parse::<super::Split>()?)
        }),
        "pieces" => pieces::add(&mut row.options_mut().pieces, value),
        _ => return Err(format!("unknown option {}", quote(key.as_bytes()))),
    }
    .map_err(|fault: String| format!("{key}= {fault}"))
}
