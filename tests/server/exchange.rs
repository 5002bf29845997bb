//! One request read and one answer written, byte by byte as the script has it.

use std::io::{self, Read, Write};
use std::time::Instant;

use crate::harness::digest_field;

use super::gate::Gate;
use super::log::{Log, Request};
use super::script::{Answer, Fault, Framing, Pace};
use super::stream::Stream;

/// What becomes of the connection after an answer.
pub(super) enum Ending {
    KeepAlive,
    Close,
    CloseWithoutNotify,
    Reset,
    /// These bytes below TLS, then a close.
    Damage(Vec<u8>),
}

pub(super) fn greet(stream: &mut Stream, greeting: &[u8]) -> io::Result<()> {
    if greeting.is_empty() {
        return Ok(());
    }
    stream.write_all(greeting)?;
    stream.flush()
}

/// The next request, or None when the client has closed. What was read behind its head stays in `unread`.
pub(super) fn read_request(
    stream: &mut Stream,
    unread: &mut Vec<u8>,
    connection: usize,
) -> Option<Request> {
    let end = loop {
        if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => unread.extend_from_slice(&piece[..count]),
        }
    };
    let head: Vec<u8> = unread.drain(..end).collect();
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let mut start = lines.next()?.split(' ');
    Some(Request {
        method: start.next()?.to_owned(),
        target: start.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        connection,
        at: Instant::now(),
    })
}

/// Writes the answer; the request counts as under way until just before its last byte.
pub(super) fn answer(stream: &mut Stream, request: &Request, answer: &Answer, log: &Log) -> Ending {
    if let Some(gate) = &answer.gate {
        gate.pass();
    }
    let mut under_way = UnderWay(Some(log));
    let message = Message::new(request, answer);
    if write(stream, &message, answer, &mut under_way, log).is_err() {
        return Ending::Close;
    }
    match answer.fault {
        Some(Fault::Stall(_)) => {
            log.note(|seen| seen.stalled += 1);
            let mut ignored = [0; 512];
            while stream.read(&mut ignored).is_ok_and(|count| count > 0) {}
            Ending::Close
        }
        Some(Fault::Reset(_)) => Ending::Reset,
        Some(Fault::Close(_)) if !answer.damage.is_empty() => Ending::Damage(answer.damage.clone()),
        _ if !answer.sends_close_notify => Ending::CloseWithoutNotify,
        Some(Fault::Close(_)) => Ending::Close,
        None if message.ends_connection => Ending::Close,
        None => Ending::KeepAlive,
    }
}

/// A request that counts as under way until it is told or dropped.
struct UnderWay<'a>(Option<&'a Log>);

impl UnderWay<'_> {
    fn end(&mut self) {
        if let Some(log) = self.0.take() {
            log.note(|seen| seen.in_flight -= 1);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The bytes of an answer.
struct Message {
    head: Vec<u8>,
    /// The body in its framing.
    payload: Vec<u8>,
    ends_connection: bool,
}

fn write(
    stream: &mut Stream,
    message: &Message,
    answer: &Answer,
    under_way: &mut UnderWay<'_>,
    log: &Log,
) -> io::Result<()> {
    let mut payload = message.payload.clone();
    match answer.fault {
        Some(Fault::Close(bytes) | Fault::Reset(bytes) | Fault::Stall(bytes)) => {
            payload.truncate(bytes)
        }
        None => {}
    }
    let is_stall = matches!(answer.fault, Some(Fault::Stall(_)));
    let piece = match &answer.pace {
        Some(Pace::Gate(bytes, _) | Pace::Beat(bytes, _, _)) => *bytes,
        None => payload.len().saturating_sub(1).max(1),
    };
    let mut pieces: Vec<Vec<u8>> = payload.chunks(piece).map(<[u8]>::to_vec).collect();
    match pieces.last_mut() {
        Some(last) => last.extend_from_slice(&answer.after),
        None if !is_stall => under_way.end(),
        None => {}
    }
    stream.write_all(&answer.interim)?;
    // In one write: what came later than a look behind the answer could not be told from the next one.
    let behind = if pieces.is_empty() {
        &answer.after[..]
    } else {
        &[]
    };
    stream.write_all(&[&message.head[..], behind].concat())?;
    stream.flush()?;
    let count = pieces.len();
    for (at, piece) in pieces.into_iter().enumerate() {
        keep_pace(answer.pace.as_ref());
        if at + 1 == count && !is_stall {
            under_way.end();
        }
        stream.write_all(&piece)?;
        stream.flush()?;
        log.note(|seen| seen.sent += piece.len());
    }
    Ok(())
}

fn keep_pace(pace: Option<&Pace>) {
    match pace {
        Some(Pace::Gate(_, gate)) => Gate::pass(gate),
        Some(Pace::Beat(_, beat, gate)) => gate.pause(*beat),
        None => {}
    }
}

impl Message {
    fn new(request: &Request, answer: &Answer) -> Self {
        if let Some(raw) = &answer.raw {
            return Self {
                head: Vec::new(),
                payload: raw.clone(),
                ends_connection: true,
            };
        }
        if let Some(wanted) = &answer.authorization
            && request.header("Authorization") != Some(wanted)
        {
            let challenge = (
                "WWW-Authenticate".to_owned(),
                "Basic realm=\"gannet\"".to_owned(),
            );
            return Self::bodyless(401, &[challenge], answer);
        }
        if is_unchanged(request, answer) {
            return Self::bodyless(304, &answer.headers, answer);
        }
        if let Some(status) = answer.refuses_ranges
            && request.header("Range").is_some()
        {
            return Self::bodyless(status, &[], answer);
        }
        match wanted_range(request, answer) {
            Wanted::All => Self::whole(request, answer),
            Wanted::Part(from, to) => Self::part(answer, from, to),
            Wanted::Nothing => {
                let range = (
                    "Content-Range".to_owned(),
                    format!("bytes */{}", answer.body.len()),
                );
                Self::bodyless(416, &[range], answer)
            }
        }
    }

    fn whole(request: &Request, answer: &Answer) -> Self {
        let mut headers = answer.headers.clone();
        headers.extend(content_digest(answer, 0, answer.body.len()));
        let is_bodyless = matches!(answer.status, 204 | 304) || request.method == "HEAD";
        let mut payload = answer.body.to_vec();
        let mut is_delimited = true;
        match &answer.framing {
            _ if matches!(answer.status, 204 | 304) => {}
            Framing::Length => {
                headers.push(("Content-Length".to_owned(), payload.len().to_string()))
            }
            Framing::FalseLength(length) => {
                headers.push(("Content-Length".to_owned(), length.to_string()))
            }
            Framing::Chunked { chunk, trailers } => {
                headers.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
                payload = in_chunks(&answer.body, *chunk, trailers);
            }
            Framing::UntilClose => is_delimited = false,
        }
        if is_bodyless {
            payload.clear();
        }
        let ends_connection = answer.closes || answer.version == "HTTP/1.0" || !is_delimited;
        Self {
            head: head(answer.version, answer.status, &headers),
            payload,
            ends_connection,
        }
    }

    fn part(answer: &Answer, from: usize, to: usize) -> Self {
        let mut headers = answer.headers.clone();
        headers.push((
            "Content-Range".to_owned(),
            format!("bytes {from}-{}/{}", to - 1, answer.body.len()),
        ));
        headers.push(("Content-Length".to_owned(), (to - from).to_string()));
        headers.extend(content_digest(answer, from, to));
        let payload = answer.body[from..to].to_vec();
        Self {
            head: head(answer.version, 206, &headers),
            payload,
            ends_connection: answer.closes,
        }
    }

    fn bodyless(status: u16, headers: &[(String, String)], answer: &Answer) -> Self {
        let mut headers = headers.to_vec();
        if status != 304 {
            headers.push(("Content-Length".to_owned(), "0".to_owned()));
        }
        Self {
            head: head(answer.version, status, &headers),
            payload: Vec::new(),
            ends_connection: answer.closes,
        }
    }
}

fn head(version: &str, status: u16, headers: &[(String, String)]) -> Vec<u8> {
    let mut head = format!("{version} {status} Scripted\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    head.into_bytes()
}

fn in_chunks(body: &[u8], size: usize, trailers: &str) -> Vec<u8> {
    let mut coded = Vec::new();
    for chunk in body.chunks(size) {
        coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    coded
}

/// If-None-Match with the very tag (RFC 9110 §13.1.2), where the answer has one.
fn is_unchanged(request: &Request, answer: &Answer) -> bool {
    let tag = request.header("If-None-Match");
    answer.honours_conditions && tag.is_some() && answer.header("ETag") == tag
}

enum Wanted {
    All,
    Part(usize, usize),
    Nothing,
}

/// The field that announces what is sent, where that was to be.
fn content_digest(answer: &Answer, from: usize, to: usize) -> Option<(String, String)> {
    let field = digest_field(&answer.announced.as_ref()?[from..to]);
    Some(("Content-Digest".to_owned(), field))
}

/// What Range and If-Range ask of this answer (RFC 9110 §13.1.5 and §14.2), for one range of bytes.
fn wanted_range(request: &Request, answer: &Answer) -> Wanted {
    let condition = request.header("If-Range");
    let holds = condition.is_none_or(|tag| {
        answer.header("ETag") == Some(tag) || answer.header("Last-Modified") == Some(tag)
    });
    if !answer.honours_range || !holds {
        return Wanted::All;
    }
    let range = request.header("Range");
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((from, to)) = range else {
        return Wanted::All;
    };
    let length = answer.body.len();
    let (from, to) = match to.parse::<usize>() {
        Ok(last) if from.is_empty() => (length.saturating_sub(last).to_string(), ""),
        _ => (from.to_owned(), to),
    };
    let Ok(from) = from.parse::<usize>() else {
        return Wanted::All;
    };
    let to = to
        .parse::<usize>()
        .map_or(length, |last| (last + 1).min(length));
    if from < to {
        Wanted::Part(from, to)
    } else {
        Wanted::Nothing
    }
}
