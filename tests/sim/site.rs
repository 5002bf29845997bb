//! The servers of a simulated run: files, versions of them, redirects, ranges, and the faults that are still to come.

use std::sync::OnceLock;

use super::random::Random;
use crate::harness::noise;

/// No file has more bytes.
const LARGEST: usize = 601_000;

/// What all files are parts of.
static NOISE: OnceLock<Vec<u8>> = OnceLock::new();

/// How a file's URL answers, faults aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    There,
    Missing,
}

/// A file: what it holds is told by its number and its version alone.
#[derive(Debug)]
pub(super) struct File {
    pub(super) kind: Kind,
    size: usize,
    /// Redirects on the way to it.
    pub(super) redirects: usize,
    /// How often it is to go wrong yet, and was in the beginning.
    faults: usize,
    pub(super) all_faults: usize,
    /// It changes once, before this request is answered.
    changes_at: Option<usize>,
    requests: usize,
    pub(super) version: usize,
}

#[derive(Debug)]
pub(super) struct Site {
    pub(super) files: Vec<File>,
}

/// What ends an answer before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Close,
    Reset,
    Stall,
}

/// An answer, as it goes to the wire.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// It goes no further than so many bytes.
    pub(super) cut: Option<(usize, Cut)>,
    /// The connection closes behind it.
    pub(super) closes: bool,
}

/// The largest sizes lie round the edges of buffers.
fn size(random: &mut Random) -> usize {
    match random.below(40) {
        0 => 0,
        1 => *random.pick(&[65_535, 65_536, 65_537, 262_143, 262_144, 262_145]),
        2 => random.below(600_000),
        3..10 => random.below(70_000),
        _ => random.below(3_000),
    }
}

impl File {
    fn new(random: &mut Random) -> Self {
        let faults = [0, 0, 1, 1, 2, 3][random.below(6)];
        Self {
            kind: if random.once_in(20) {
                Kind::Missing
            } else {
                Kind::There
            },
            size: size(random),
            redirects: [0, 0, 0, 0, 1, 1, 3][random.below(7)],
            faults,
            all_faults: faults,
            changes_at: random.once_in(6).then(|| random.below(4)),
            requests: 0,
            version: 0,
        }
    }

    /// Every byte of a version.
    pub(super) fn content(&self, number: usize, version: usize) -> Vec<u8> {
        // Versions differ in length as well as in bytes; no part of one is where another has it.
        let size = self.size / (1 + version * (number % 2)) + version * (number % 3);
        let from = Random::new((number * 1000 + version) as u64).below(LARGEST);
        let noise = NOISE.get_or_init(|| noise(2 * LARGEST));
        noise[from..from + size].to_vec()
    }
}

impl Site {
    pub(super) fn new(files: usize, random: &mut Random) -> Self {
        Self {
            files: (0..files).map(|_| File::new(random)).collect(),
        }
    }

    /// The path at which a file begins.
    pub(super) fn path(&self, number: usize) -> String {
        format!("/{}/{number}", self.files[number].redirects)
    }

    /// Answers a request: its path is the redirects still to come, and the number of a file.
    pub(super) fn answer(&mut self, head: &str, random: &mut Random) -> Answer {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let parts: Vec<usize> = path
            .split('/')
            .filter_map(|part| part.parse().ok())
            .collect();
        let [redirects, number] = parts[..] else {
            panic!("a request for {path}");
        };
        let file = &mut self.files[number];
        file.requests += 1;
        if file.changes_at == Some(file.requests) {
            file.version += 1;
        }
        if redirects > 0 {
            let host = random.below(3);
            let location = format!("http://h{host}.test/{}/{number}", redirects - 1);
            let fields = format!("Location: {location}\r\n");
            return Reply::new(302, &fields, b"elsewhere".to_vec()).encode(None, random);
        }
        let fault = (file.faults > 0 && random.once_in(2)).then(|| {
            file.faults -= 1;
            random.below(8)
        });
        if fault == Some(0) {
            let (status, fields) = *random.pick(&[
                (500, ""),
                (503, "Retry-After: 2\r\n"),
                (429, "Retry-After: 1\r\n"),
                (408, ""),
            ]);
            return Reply::new(status, fields, b"not now".to_vec()).encode(None, random);
        }
        let reply = if file.kind == Kind::Missing {
            Reply::new(404, "", b"no such file".to_vec())
        } else {
            let version = file.version;
            let content = file.content(number, version);
            Reply::of(content, &format!("\"v{version}\""), head)
        };
        let cut = fault.map(|fault| match fault {
            1..=3 => Cut::Close,
            4..=6 => Cut::Reset,
            _ => Cut::Stall,
        });
        reply.encode(cut, random)
    }
}

/// The value of a request's field.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// An answer before it is put in a framing.
struct Reply {
    status: u16,
    fields: String,
    body: Vec<u8>,
}

impl Reply {
    fn new(status: u16, fields: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            fields: fields.to_owned(),
            body,
        }
    }

    /// The whole of a file, or what the request asks for of it (RFC 9110 §14.2, §13.1.5).
    fn of(content: Vec<u8>, etag: &str, head: &str) -> Self {
        let fields = format!("ETag: {etag}\r\nAccept-Ranges: bytes\r\n");
        if field(head, "If-None-Match") == Some(etag) {
            return Self::new(304, &fields, Vec::new());
        }
        let is_same = field(head, "If-Range").is_none_or(|known| known == etag);
        let range = field(head, "Range").filter(|_| is_same);
        let Some((first, last)) =
            range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
        else {
            return Self::new(200, &fields, content);
        };
        let total = content.len();
        let first: usize = first.parse().expect("a range from its beginning");
        let last = last
            .parse()
            .unwrap_or(usize::MAX)
            .min(total.saturating_sub(1));
        if first >= total {
            let fields = format!("{fields}Content-Range: bytes */{total}\r\n");
            return Self::new(416, &fields, Vec::new());
        }
        let fields = format!("{fields}Content-Range: bytes {first}-{last}/{total}\r\n");
        Self::new(206, &fields, content[first..=last].to_vec())
    }

    /// The bytes, in one of the framings (RFC 9112 §6.3).
    fn encode(self, cut: Option<Cut>, random: &mut Random) -> Answer {
        let mut bytes = Vec::new();
        if random.once_in(10) {
            bytes.extend(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        }
        let mut closes = random.once_in(6);
        // Where the connection's end is the body's, a cut cannot be told from it.
        let framing = match random.below(6) {
            0 if cut.is_none() || cut == Some(Cut::Stall) => 0,
            1 | 2 => 1,
            _ => 2,
        };
        bytes.extend(format!("HTTP/1.1 {} Whatever\r\n{}", self.status, self.fields).bytes());
        if closes && random.once_in(2) {
            bytes.extend(b"Connection: close\r\n");
        }
        match framing {
            _ if self.status == 304 => bytes.extend(b"\r\n"),
            0 => {
                closes = true;
                bytes.extend(b"\r\n");
                bytes.extend_from_slice(&self.body);
            }
            1 => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in self.body.chunks(1 + random.below(5_000)) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
            _ => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", self.body.len()).bytes());
                bytes.extend_from_slice(&self.body);
            }
        }
        let cut = cut.map(|cut| (random.below(bytes.len()), cut));
        Answer { bytes, cut, closes }
    }
}
