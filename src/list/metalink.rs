//! The `metalink` format: RFC 5854, and version 3, which older tools write. A document is buffered up to a limit and
//! then parsed one file at a time.

use std::collections::VecDeque;
use std::io::Cursor;
use std::num::NonZeroU64;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use url::Url;

use super::excerpt::{has_control, quote};
use super::reference::References;
use super::{ListError, Location, Row};
use crate::http::Digest;
use crate::http::Expected;
use crate::http::digest::{Algorithm, Pieces};

/// The longest document, in bytes.
const LONGEST: usize = 16 << 20;

/// The deepest nesting of elements. Valid documents need five levels.
const DEEPEST: usize = 16;

/// The longest text of an element, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// The most URLs of one file.
const MOST_URLS: usize = 1000;

/// The parser of one document.
#[derive(Debug)]
pub(super) struct Metalink {
    source: Arc<str>,
    references: References,
    /// The number of lines above the document.
    lines_before: u64,
    progress: ParseProgress,
}

enum ParseProgress {
    /// The document is being received.
    Receiving(Vec<u8>),
    /// The document is too long; the error has not been returned yet.
    TooLong,
    /// The document is complete and being parsed.
    Parsing(XmlDocument),
    /// All rows were returned.
    Done,
}

impl std::fmt::Debug for ParseProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Receiving(_) => "Receiving",
            Self::TooLong => "TooLong",
            Self::Parsing(_) => "Parsing",
            Self::Done => "Done",
        })
    }
}

/// A complete document and the position of its parser.
struct XmlDocument {
    reader: Reader<Cursor<Vec<u8>>>,
    /// Offsets of the newlines.
    newlines: Vec<u64>,
    buffer: Vec<u8>,
    /// The names of the open elements.
    open: Vec<String>,
    /// An element was found, or the document is blank.
    has_root: bool,
}

/// The contents of a `<file>` element that were parsed so far.
#[derive(Debug, Default)]
struct File {
    name: Option<String>,
    size: Option<u64>,
    digest: Option<Digest>,
    /// The digests of its pieces, by the strongest algorithm so far.
    pieces: Option<Pieces>,
    /// The digests of the current `<pieces>` element; `Some(None)` if they are unusable.
    current_pieces: Option<Option<Pieces>>,
    /// The URLs with their priorities: the lowest number comes first (RFC 5854 §4.2.16.2).
    urls: Vec<(u32, Url)>,
    /// The first error.
    fault: Option<String>,
    /// The text of the current element.
    text: String,
    /// The `type` of the current `<hash>`.
    kind: String,
    /// The priority of the current `<url>`.
    priority: u32,
}

impl Metalink {
    pub(super) fn new(source: Arc<str>, references: References) -> Self {
        Self {
            source,
            references,
            lines_before: 0,
            progress: ParseProgress::Receiving(Vec::new()),
        }
    }

    /// Sets the number of blank lines above the document.
    pub(super) fn below(mut self, lines: u64) -> Self {
        self.lines_before = lines;
        self
    }

    /// Adds bytes to the document. Beyond the limit nothing is stored.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if let ParseProgress::Receiving(document) = &mut self.progress {
            if document.len() + bytes.len() > LONGEST {
                self.progress = ParseProgress::TooLong;
            } else {
                document.extend_from_slice(bytes);
            }
        }
    }

    /// Signals the end of the input.
    pub(super) fn finish(&mut self) {
        if let ParseProgress::Receiving(bytes) = &mut self.progress {
            self.progress = ParseProgress::Parsing(XmlDocument::new(std::mem::take(bytes)));
        }
    }

    /// Whether all rows were returned.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.progress, ParseProgress::Done)
    }

    /// The next file of the document.
    pub(super) fn next_row(&mut self) -> Option<Result<Row, ListError>> {
        let (line, result) = match &mut self.progress {
            ParseProgress::Receiving(_) | ParseProgress::Done => return None,
            ParseProgress::TooLong => (1, Err("the metalink is larger than 16 MiB".to_owned())),
            ParseProgress::Parsing(document) => match document.next_file(&self.references) {
                Ok(None) => {
                    self.progress = ParseProgress::Done;
                    return None;
                }
                Ok(Some((line, file))) => {
                    let location = self.location(line);
                    let row = file.into_row(location.clone());
                    return Some(row.map_err(|message| ListError::new(location, message)));
                }
                Err(fault) => (document.line(), Err(fault)),
            },
        };
        // After a syntax error the rest of the document cannot be parsed reliably.
        self.progress = ParseProgress::Done;
        let location = self.location(line);
        Some(result.map_err(|message| ListError::new(location, message)))
    }

    fn location(&self, line: u64) -> Location {
        Location {
            source: Arc::clone(&self.source),
            line: self.lines_before + line,
        }
    }
}

impl XmlDocument {
    fn new(bytes: Vec<u8>) -> Self {
        let newlines = (0..).zip(&bytes).filter(|(_, byte)| **byte == b'\n');
        let newlines = newlines.map(|(at, _)| at).collect();
        let has_root = bytes.trim_ascii().is_empty();
        let mut reader = Reader::from_reader(Cursor::new(bytes));
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            newlines,
            buffer: Vec::new(),
            open: Vec::new(),
            has_root,
        }
    }

    /// The current line of the parser.
    fn line(&self) -> u64 {
        let at = self.reader.buffer_position();
        self.newlines.partition_point(|&newline| newline < at) as u64 + 1
    }

    /// Parses up to the end of the next `<file>`; returns it with the line on which it begins.
    fn next_file(&mut self, references: &References) -> Result<Option<(u64, File)>, String> {
        let mut file: Option<(u64, File)> = None;
        loop {
            let line = self.line();
            self.buffer.clear();
            let event = self.reader.read_event_into(&mut self.buffer);
            match event.map_err(|_| "not XML")? {
                Event::Start(start) => {
                    let name = start.local_name();
                    let name = name.as_ref();
                    let is_root = self.open.is_empty();
                    if is_root && name != "metalink" {
                        return Err(other_root(name));
                    }
                    if self.open.len() >= DEEPEST {
                        return Err("the elements are nested too deeply".into());
                    }
                    match &mut file {
                        None if name == "file" && !is_root => {
                            file = Some((line, File::begin(&start)));
                        }
                        None => {}
                        Some((_, file)) => file.element(name, &start),
                    }
                    self.open.push(name.to_owned());
                    self.has_root = true;
                }
                Event::End(_) => {
                    let name = self.open.pop().unwrap_or_default();
                    match (&mut file, name.as_str()) {
                        (Some(_), "file") => return Ok(file),
                        (Some((_, file)), name) => file.end(name, references),
                        _ => {}
                    }
                }
                Event::Text(text) => add(&mut file, &text),
                Event::CData(text) => add(&mut file, &text),
                Event::DocType(kind)
                    if kind.trim_start().to_ascii_lowercase().starts_with("html") =>
                {
                    return Err(other_root("html"));
                }
                Event::GeneralRef(reference) => add(&mut file, &resolved(&reference)?),
                Event::Eof if !self.has_root => {
                    return Err("not a metalink: it has no element".into());
                }
                Event::Eof if self.open.is_empty() && file.is_none() => return Ok(None),
                Event::Eof => return Err("the document ends within an element".into()),
                _ => {}
            }
        }
    }
}

/// The error of a document with another root element.
fn other_root(name: &str) -> String {
    if name.eq_ignore_ascii_case("html") {
        return "not a metalink but a web page (HTML), perhaps an error of the server that the list is from".into();
    }
    let name = quote(name.as_bytes());
    format!("not a metalink: the root element is {name}")
}

/// Appends to the text of the current element. Text is stored up to the limit and a little beyond, which shows that it
/// is too long.
fn add(file: &mut Option<(u64, File)>, text: &str) {
    if let Some((_, file)) = file
        && file.text.len() <= LONGEST_TEXT
    {
        file.text.push_str(text);
    }
}

/// Resolves a reference: a character number, or one of the five predefined entities. Entities that a document declares
/// are refused.
fn resolved(reference: &BytesRef<'_>) -> Result<String, String> {
    let character = reference.resolve_char_ref().map_err(|_| "not XML")?;
    character
        .map(String::from)
        .or_else(|| resolve_predefined_entity(reference).map(str::to_owned))
        .ok_or_else(|| "a reference to an entity that XML does not predefine".into())
}

/// The value of an attribute; `None` if it is missing or invalid.
fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).ok()??;
    let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
    value.ok().map(|value| value.into_owned())
}

/// The value of an attribute that is a number.
fn numeric_attribute(start: &BytesStart<'_>, name: &str) -> Option<u32> {
    attribute(start, name)?.parse().ok()
}

impl File {
    fn begin(start: &BytesStart<'_>) -> Self {
        Self {
            name: attribute(start, "name"),
            ..Self::default()
        }
    }

    /// Handles the start of an element within the file.
    fn element(&mut self, name: &str, start: &BytesStart<'_>) {
        self.text.clear();
        match name {
            "hash" if self.current_pieces.is_some() => self.begin_piece(start),
            "hash" => self.kind = attribute(start, "type").unwrap_or_default(),
            "pieces" => self.begin_pieces(start),
            "url" => {
                let priority = numeric_attribute(start, "priority");
                // Version 3 has preferences, of which 100 is the highest.
                let preference = numeric_attribute(start, "preference");
                self.priority = priority
                    .or(preference.map(|preference| 1000_u32.saturating_sub(preference)))
                    .unwrap_or(999_999);
            }
            _ => {}
        }
    }

    /// Handles the end of an element within the file, with its complete text.
    fn end(&mut self, name: &str, references: &References) {
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let result = match name {
            "hash" if self.current_pieces.is_some() => self.piece(text),
            "pieces" => {
                self.end_pieces();
                Ok(())
            }
            // Other elements within `<pieces>` are ignored.
            _ if self.current_pieces.is_some() => Ok(()),
            "size" => text
                .parse()
                .map(|size| self.size = Some(size))
                .map_err(|_| format!("<size> is {}", quote(text.as_bytes()))),
            "hash" => self.hash(text),
            "url" => self.url(text, references),
            _ => Ok(()),
        };
        if let Err(fault) = result {
            self.fault.get_or_insert(fault);
        }
    }

    /// Keeps the strongest digest (RFC 5854 §4.2.4). Unknown algorithms are ignored.
    fn hash(&mut self, text: &str) -> Result<(), String> {
        let Some(algorithm) = Algorithm::named(&self.kind) else {
            return Ok(());
        };
        let expected = format!("{algorithm}:{text}").parse::<Expected>();
        let expected = expected.map_err(|fault| format!("<hash>: {fault}"))?;
        let digests = self.digest.iter().chain(expected.digests());
        self.digest = digests.max_by_key(|digest| digest.algorithm()).copied();
        Ok(())
    }

    /// Handles the start of `<pieces>`. Unknown algorithms are ignored.
    fn begin_pieces(&mut self, start: &BytesStart<'_>) {
        let kind = attribute(start, "type").unwrap_or_default();
        let length = attribute(start, "length").and_then(|length| length.parse().ok());
        self.current_pieces = Some(Algorithm::named(&kind).and_then(|algorithm| {
            if length.is_none() {
                self.fault
                    .get_or_insert_with(|| "<pieces> without a length".into());
            }
            let length: NonZeroU64 = length?;
            Some(Pieces::new(algorithm, length))
        }));
    }

    /// Handles the start of a piece's `<hash>`. In version 3 it has a number, which must be the next one.
    fn begin_piece(&mut self, start: &BytesStart<'_>) {
        let number: Option<usize> =
            attribute(start, "piece").and_then(|number| number.parse().ok());
        let pieces = self.current_pieces.iter().flatten().next();
        if number.is_some_and(|number| pieces.is_some_and(|pieces| pieces.count() != number)) {
            self.fault
                .get_or_insert_with(|| "<pieces> are out of order".into());
        }
    }

    /// Adds the digest of the next piece.
    fn piece(&mut self, text: &str) -> Result<(), String> {
        let Some(Some(pieces)) = &mut self.current_pieces else {
            return Ok(());
        };
        let expected = format!("{}:{text}", pieces.algorithm()).parse::<Expected>();
        let expected = expected.map_err(|fault| format!("<hash> of a piece: {fault}"))?;
        expected.digests().for_each(|digest| pieces.push(digest));
        Ok(())
    }

    /// Handles the end of `<pieces>`: those by the strongest algorithm are kept.
    fn end_pieces(&mut self) {
        let pieces = self.current_pieces.take().flatten().into_iter();
        self.pieces = pieces
            .chain(self.pieces.take())
            .max_by_key(Pieces::algorithm);
    }

    /// Keeps an http or https URL. URLs of other schemes are ignored.
    fn url(&mut self, text: &str, references: &References) -> Result<(), String> {
        if text.len() > LONGEST_TEXT {
            return Err("<url> is longer than 64 KiB".into());
        }
        let has_other_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https")
        });
        if has_other_scheme || text.starts_with("magnet:") {
            return Ok(());
        }
        let url = references
            .resolve(text)
            .map_err(|fault| format!("<url>: {fault}: {}", quote(text.as_bytes())))?;
        if self.urls.len() < MOST_URLS {
            self.urls.push((self.priority, url));
        }
        Ok(())
    }

    fn into_row(mut self, location: Location) -> Result<Row, String> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let name = self.name.unwrap_or_default();
        if name.is_empty() || name.ends_with('/') || has_control(&name) {
            return Err("<file> without a name".into());
        }
        self.urls.sort_by_key(|(priority, _)| *priority);
        let mut urls: VecDeque<_> = self.urls.into_iter().map(|(_, url)| url).collect();
        let Some(first) = urls.pop_front() else {
            return Err(format!(
                "no http or https URL for {}",
                quote(name.as_bytes())
            ));
        };
        let mut row = Row::new(first, location)?;
        urls.into_iter().try_for_each(|url| row.add_mirror(url))?;
        row.out = Some(name);
        row.options_mut().size = self.size;
        if let Some(pieces) = self.pieces {
            let (count, size) = (pieces.count(), self.size);
            if count == 0 || size.is_some_and(|size| !pieces.fit(size)) {
                let length = pieces.length();
                return Err(format!(
                    "{count} <pieces> of {length} bytes do not match the size of the file"
                ));
            }
            row.options_mut().pieces = Some(Arc::new(pieces));
        }
        if let Some(digest) = self.digest {
            row.expect(digest.into())?;
        }
        Ok(row)
    }
}
