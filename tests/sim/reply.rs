//! Requests and answers of a simulated run, apart from the version of HTTP that they go over: what
//! a server has for what it is asked.

use std::borrow::Cow;
use std::fmt::Debug;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::random::Random;
use super::site::Parts;

/// Answers requests.
pub(super) trait Serve: Debug {
    /// The answer to a request, and what goes wrong with it.
    fn answer(&mut self, request: &Request, random: &mut Random) -> Answer;
}

/// What a server makes of a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    /// It ends before its time.
    pub(super) cut: Option<Cut>,
    /// Where, if it does.
    pub(super) cut_at: CutAt,
    /// From one piece of it to the next, at most.
    pub(super) pace: Duration,
}

/// What ends an answer before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Close,
    Reset,
    Stall,
}

/// Where an answer ends that ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutAt {
    Start,
    Anywhere,
    Body,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            cut: None,
            cut_at: CutAt::Anywhere,
            pace: Duration::from_secs(3),
        }
    }
}

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) range: Option<String>,
    pub(super) if_range: Option<String>,
    pub(super) if_none_match: Option<String>,
    /// When it comes, and over which connection, if that has no others beside it.
    pub(super) at: Option<Instant>,
    pub(super) connection: RawFd,
}

impl Request {
    /// One of HTTP/1.1, which is whole.
    pub(super) fn read(head: &str) -> Self {
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_owned())
            })
        };
        Self {
            path: head.split([' ', '?']).nth(1).unwrap_or_default().to_owned(),
            range: field("Range"),
            if_range: field("If-Range"),
            if_none_match: field("If-None-Match"),
            at: None,
            connection: 0,
        }
    }

    /// The numbers that its path is made of.
    pub(super) fn numbers<const N: usize>(&self) -> [usize; N] {
        let parts = self.path.split('/').filter_map(|part| part.parse().ok());
        let numbers: Vec<usize> = parts.collect();
        let numbers = numbers.try_into();
        numbers.unwrap_or_else(|_| panic!("a request for {}", self.path))
    }

    /// The range of bytes asked for out of `total`; `None` where the file has no such bytes.
    fn part(&self, total: usize) -> Option<(usize, usize)> {
        let range = self
            .range
            .as_deref()
            .and_then(|range| range.strip_prefix("bytes="));
        let (first, last) = range?.split_once('-')?;
        let first = first.parse().expect("a range from its beginning");
        let last = last
            .parse()
            .unwrap_or(usize::MAX)
            .min(total.wrapping_sub(1));
        (first < total).then_some((first, last))
    }
}

/// An answer before it is put in a framing.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Cow<'static, [u8]>,
    /// The end of its connection is not the end of its body.
    pub(super) has_end: bool,
}

/// The bytes of a reply.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// Where its body begins.
    pub(super) body: usize,
    /// Its connection closes behind it.
    pub(super) closes: bool,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: body.into(),
            has_end: false,
        }
    }

    /// Whether replies of this status have no body, whatever they say (RFC 9112 §6.3).
    pub(super) fn is_bare(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.fields.push((name, value));
        self
    }

    /// One of the answers that ask to come again.
    pub(super) fn refusal(random: &mut Random) -> Self {
        let status = *random.pick(&[500, 503, 429, 408]);
        let reply = Self::new(status, &b"not now"[..]);
        match random.below(4) {
            0 => reply.with("Retry-After", random.below(9).to_string()),
            1 => reply.with("Retry-After", "Thu, 01 Jan 1970 00:00:07 GMT".to_owned()),
            _ => reply,
        }
    }

    /// The whole of a file, or what the request asks for of it (RFC 9110 §14.2, §13.1.5), as far as
    /// this server goes along. What looks like a date is no entity tag but the time of its last change.
    pub(super) fn of(
        content: Cow<'static, [u8]>,
        tag: &str,
        parts: Parts,
        request: &Request,
    ) -> Self {
        let is_known = |known: &Option<String>| known.as_deref() == Some(tag) && !tag.is_empty();
        if is_known(&request.if_none_match) {
            return Self::new(304, &b""[..]).tagged(tag);
        }
        let is_same =
            parts == Parts::Blind || request.if_range.is_none() || is_known(&request.if_range);
        if request.range.is_none() || !is_same || parts == Parts::Never {
            return Self::new(200, content).tagged(tag);
        }
        let total = content.len();
        let part = if parts == Parts::Refused {
            None
        } else {
            request.part(total)
        };
        let Some((first, last)) = part else {
            let range = format!("bytes */{total}");
            return Self::new(416, &b""[..])
                .tagged(tag)
                .with("Content-Range", range);
        };
        let (first, last) = match parts {
            Parts::FromStart => (0, last),
            Parts::Late => ((first + 1).min(last), last),
            // Less than this at a time is a failed try.
            Parts::Short => (first, last.min(first + 65_536 + (last - first) / 2)),
            _ => (first, last),
        };
        let body = match parts {
            Parts::Long => first..total,
            _ => first..last + 1,
        };
        let body = match content {
            Cow::Borrowed(content) => Cow::Borrowed(&content[body]),
            Cow::Owned(content) => Cow::Owned(content[body].to_vec()),
        };
        let total = total + usize::from(parts == Parts::OtherTotal);
        let reply = Self::new(206, body).tagged(tag);
        if parts == Parts::Mute {
            return reply;
        }
        reply.with("Content-Range", format!("bytes {first}-{last}/{total}"))
    }

    pub(super) fn tagged(self, tag: &str) -> Self {
        let reply = self.with("Accept-Ranges", "bytes".to_owned());
        if tag.is_empty() {
            return reply;
        }
        if tag.ends_with("GMT") {
            let later = "Sat, 28 Nov 2026 12:00:00 GMT".to_owned();
            return reply
                .with("Last-Modified", tag.to_owned())
                .with("Date", later);
        }
        reply.with("ETag", tag.to_owned())
    }

    /// The bytes of HTTP/1.1, in one of the framings (RFC 9112 §6.3). Where the end of the connection
    /// is the body's, a body that `is_cut` could not be told from a whole one.
    pub(super) fn encode(self, is_cut: bool, random: &mut Random) -> Encoded {
        let mut bytes = Vec::with_capacity(self.body.len() + 300);
        if random.once_in(10) {
            bytes.extend(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        }
        let mut closes = random.once_in(6);
        let framing = match random.below(6) {
            0 if !is_cut && !self.has_end => 0,
            1 | 2 => 1,
            _ => 2,
        };
        bytes.extend(format!("HTTP/1.1 {} Whatever\r\n", self.status).bytes());
        for (name, value) in &self.fields {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if closes && random.once_in(2) {
            bytes.extend(b"Connection: close\r\n");
        }
        let body;
        match framing {
            _ if self.is_bare() => {
                bytes.extend(b"\r\n");
                body = bytes.len();
            }
            0 => {
                closes = true;
                bytes.extend(b"\r\n");
                body = bytes.len();
                bytes.extend_from_slice(&self.body);
            }
            1 => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                body = bytes.len();
                for chunk in self.body.chunks(1 + random.below(5_000)) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
            _ => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", self.body.len()).bytes());
                body = bytes.len();
                bytes.extend_from_slice(&self.body);
            }
        }
        Encoded {
            bytes,
            body,
            closes,
        }
    }
}
