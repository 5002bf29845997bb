//! Metalink documents: RFC 5854, and version 3 as older tools write it. A document is held whole,
//! up to a limit, and read a file at a time.

use std::collections::VecDeque;
use std::io::Cursor;
use std::num::NonZeroU64;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use url::Url;

use super::excerpt::{has_control, quote};
use super::reference::resolve;
use super::{ListError, Place, Row};
use crate::http::Digest;
use crate::http::Expected;
use crate::http::digest::{Algorithm, Pieces};

/// The longest document, in bytes.
const LONGEST: usize = 16 << 20;

/// How deep elements may stand in one another: these documents need five.
const DEEPEST: usize = 16;

/// The longest text of an element, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// Mirrors of one file at most.
const MOST_URLS: usize = 1000;

/// The reader of one document.
#[derive(Debug)]
pub(super) struct Metalink {
    source: Arc<str>,
    base: Option<Url>,
    /// Lines before its first.
    lines_before: u64,
    state: State,
}

enum State {
    /// The document is on its way.
    Coming(Vec<u8>),
    /// It was too long, and that is still to be said.
    TooLong,
    /// It is here.
    Reading(Document),
    /// All was given out.
    Done,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Coming(_) => "Coming",
            Self::TooLong => "TooLong",
            Self::Reading(_) => "Reading",
            Self::Done => "Done",
        })
    }
}

/// A whole document, and how far it has been read.
struct Document {
    reader: Reader<Cursor<Vec<u8>>>,
    /// Offsets of the newlines.
    newlines: Vec<u64>,
    buffer: Vec<u8>,
    /// The names of the elements that are open.
    open: Vec<String>,
    /// An element has been seen, or there is nothing to be one.
    has_root: bool,
}

/// A file as far as it has been read.
#[derive(Debug, Default)]
struct File {
    name: Option<String>,
    size: Option<u64>,
    digest: Option<Digest>,
    /// The digests of its pieces, by the strongest algorithm.
    pieces: Option<Pieces>,
    /// Those that are being read; `Some(None)` for such as are of no use.
    reading: Option<Option<Pieces>>,
    /// Each with its priority: the lowest goes first (RFC 5854 §4.2.16.2).
    urls: Vec<(u32, Url)>,
    /// What is wrong with it.
    fault: Option<String>,
    text: String,
    /// Of the element that is being read: how a hash is computed, and when a URL's turn is.
    kind: String,
    priority: u32,
}

impl Metalink {
    pub(super) fn new(source: Arc<str>, base: Option<Url>) -> Self {
        Self {
            source,
            base,
            lines_before: 0,
            state: State::Coming(Vec::new()),
        }
    }

    /// The same for a document that has so many blank lines above it.
    pub(super) fn below(mut self, lines: u64) -> Self {
        self.lines_before = lines;
        self
    }

    /// Takes in bytes; nothing is kept beyond the limit.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if let State::Coming(document) = &mut self.state {
            if document.len() + bytes.len() > LONGEST {
                self.state = State::TooLong;
            } else {
                document.extend_from_slice(bytes);
            }
        }
    }

    /// The input has ended.
    pub(super) fn finish(&mut self) {
        if let State::Coming(bytes) = &mut self.state {
            self.state = State::Reading(Document::new(std::mem::take(bytes)));
        }
    }

    /// Whether everything was given out.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The next file of the document.
    pub(super) fn next_row(&mut self) -> Option<Result<Row, ListError>> {
        let (line, result) = match &mut self.state {
            State::Coming(_) | State::Done => return None,
            State::TooLong => (1, Err("a metalink of more than 16 MiB".to_owned())),
            State::Reading(document) => match document.next_file(self.base.as_ref()) {
                Ok(None) => {
                    self.state = State::Done;
                    return None;
                }
                Ok(Some((line, file))) => {
                    let place = self.place(line);
                    let row = file.into_row(place.clone());
                    return Some(row.map_err(|message| ListError::new(place, message)));
                }
                Err(fault) => (document.line(), Err(fault)),
            },
        };
        // What follows a fault cannot be told apart from what caused it.
        self.state = State::Done;
        let place = self.place(line);
        Some(result.map_err(|message| ListError::new(place, message)))
    }

    fn place(&self, line: u64) -> Place {
        Place {
            source: Arc::clone(&self.source),
            line: self.lines_before + line,
        }
    }
}

impl Document {
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

    /// The line that reading has come to.
    fn line(&self) -> u64 {
        let at = self.reader.buffer_position();
        self.newlines.partition_point(|&newline| newline < at) as u64 + 1
    }

    /// Reads up to the end of the next file; gives it with the line on which it begins.
    fn next_file(&mut self, base: Option<&Url>) -> Result<Option<(u64, File)>, String> {
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
                        return Err("not a metalink: another element is the outermost".into());
                    }
                    if self.open.len() >= DEEPEST {
                        return Err("elements stand too deep in one another".into());
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
                        (Some((_, file)), name) => file.end(name, base),
                        _ => {}
                    }
                }
                Event::Text(text) => add(&mut file, &text),
                Event::CData(text) => add(&mut file, &text),
                Event::GeneralRef(reference) => add(&mut file, &resolved(&reference)?),
                Event::Eof if !self.has_root => {
                    return Err("not a metalink: no element is in it".into());
                }
                Event::Eof if self.open.is_empty() && file.is_none() => return Ok(None),
                Event::Eof => return Err("the document ends before its last element does".into()),
                _ => {}
            }
        }
    }
}

/// Adds to the text of the element that is being read; of what is too long no more is kept than shows it.
fn add(file: &mut Option<(u64, File)>, text: &str) {
    if let Some((_, file)) = file
        && file.text.len() <= LONGEST_TEXT
    {
        file.text.push_str(text);
    }
}

/// What a reference stands for: a character, by its number or by one of the five names that need no
/// declaration. Whatever a document declares itself stands for nothing.
fn resolved(reference: &BytesRef<'_>) -> Result<String, String> {
    let character = reference.resolve_char_ref().map_err(|_| "not XML")?;
    character
        .map(String::from)
        .or_else(|| resolve_predefined_entity(reference).map(str::to_owned))
        .ok_or_else(|| "a reference to an entity of the document's own".into())
}

/// The value of an attribute, without those that cannot be read.
fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).ok()??;
    let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
    value.ok().map(|value| value.into_owned())
}

impl File {
    fn begin(start: &BytesStart<'_>) -> Self {
        Self {
            name: attribute(start, "name"),
            ..Self::default()
        }
    }

    /// An element within the file begins.
    fn element(&mut self, name: &str, start: &BytesStart<'_>) {
        self.text.clear();
        match name {
            "hash" if self.reading.is_some() => self.begin_piece(start),
            "hash" => self.kind = attribute(start, "type").unwrap_or_default(),
            "pieces" => self.begin_pieces(start),
            "url" => {
                let number = |name| attribute(start, name)?.parse().ok();
                // Version 3 has preferences, of which 100 is the highest.
                let preference = || number("preference").map(|n: u32| 1000_u32.saturating_sub(n));
                self.priority = number("priority").or_else(preference).unwrap_or(999_999);
            }
            _ => {}
        }
    }

    /// An element within the file ends, and its text is whole.
    fn end(&mut self, name: &str, base: Option<&Url>) {
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let result = match name {
            "hash" if self.reading.is_some() => self.piece(text),
            "pieces" => {
                self.end_pieces();
                Ok(())
            }
            // Nothing else has its place among them.
            _ if self.reading.is_some() => Ok(()),
            "size" => text
                .parse()
                .map(|size| self.size = Some(size))
                .map_err(|_| format!("<size> is {}", quote(text.as_bytes()))),
            "hash" => self.hash(text),
            "url" => self.url(text, base),
            _ => Ok(()),
        };
        if let Err(fault) = result {
            self.fault.get_or_insert(fault);
        }
    }

    /// Keeps the strongest digest (RFC 5854 §4.2.4); those by unknown algorithms are left out.
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

    /// Pieces begin; those by an unknown algorithm are left out.
    fn begin_pieces(&mut self, start: &BytesStart<'_>) {
        let kind = attribute(start, "type").unwrap_or_default();
        let length = attribute(start, "length").and_then(|length| length.parse().ok());
        self.reading = Some(Algorithm::named(&kind).and_then(|algorithm| {
            if length.is_none() {
                self.fault
                    .get_or_insert_with(|| "<pieces> without a length".into());
            }
            let length: NonZeroU64 = length?;
            Some(Pieces::new(algorithm, length))
        }));
    }

    /// The digest of the next piece begins, with its number in version 3.
    fn begin_piece(&mut self, start: &BytesStart<'_>) {
        let number: Option<usize> =
            attribute(start, "piece").and_then(|number| number.parse().ok());
        let pieces = self.reading.iter().flatten().next();
        if number.is_some_and(|number| pieces.is_some_and(|pieces| pieces.count() != number)) {
            let fault = || "<pieces> are out of order".into();
            self.fault.get_or_insert_with(fault);
        }
    }

    /// The digest of the next piece.
    fn piece(&mut self, text: &str) -> Result<(), String> {
        let Some(Some(pieces)) = &mut self.reading else {
            return Ok(());
        };
        let expected = format!("{}:{text}", pieces.algorithm()).parse::<Expected>();
        let expected = expected.map_err(|fault| format!("<hash> of a piece: {fault}"))?;
        expected.digests().for_each(|digest| pieces.push(digest));
        Ok(())
    }

    /// Pieces have ended: the strongest are kept.
    fn end_pieces(&mut self) {
        let pieces = self.reading.take().flatten().into_iter();
        self.pieces = pieces
            .chain(self.pieces.take())
            .max_by_key(Pieces::algorithm);
    }

    /// Keeps a URL that can be fetched; others, such as ftp, are left out.
    fn url(&mut self, text: &str, base: Option<&Url>) -> Result<(), String> {
        if text.len() > LONGEST_TEXT {
            return Err("<url> is longer than 64 KiB".into());
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let is_other = |scheme: &str| {
            !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https")
        };
        if scheme.is_some_and(is_other) || text.starts_with("magnet:") {
            return Ok(());
        }
        let url = resolve(text, base)
            .map_err(|fault| format!("<url>: {fault}: {}", quote(text.as_bytes())))?;
        if self.urls.len() < MOST_URLS {
            self.urls.push((self.priority, url));
        }
        Ok(())
    }

    fn into_row(mut self, place: Place) -> Result<Row, String> {
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
        let mut row = Row::new(first, place)?;
        urls.into_iter().try_for_each(|url| row.add_mirror(url))?;
        row.out = Some(name);
        row.options_mut().size = self.size;
        if let Some(pieces) = self.pieces {
            let (count, size) = (pieces.count(), self.size);
            if count == 0 || size.is_some_and(|size| !pieces.fit(size)) {
                let length = pieces.length();
                return Err(format!(
                    "{count} <pieces> of {length} bytes do not make the file"
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
