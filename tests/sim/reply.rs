//! Requests and answers of a simulated run, apart from the version of HTTP that they go over: what
//! a server has for what it is asked.

use super::random::Random;
use super::site::Parts;

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) range: Option<String>,
    pub(super) if_range: Option<String>,
    pub(super) if_none_match: Option<String>,
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
            path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
            range: field("Range"),
            if_range: field("If-Range"),
            if_none_match: field("If-None-Match"),
        }
    }

    /// The bytes asked for of so many; `None` where there are none such.
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
    pub(super) body: &'static [u8],
}

impl Reply {
    pub(super) fn new(status: u16, body: &'static [u8]) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body,
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.fields.push((name, value));
        self
    }

    /// The whole of a file, or what the request asks for of it (RFC 9110 §14.2, §13.1.5), as far as
    /// this server goes along.
    pub(super) fn of(content: &'static [u8], tag: &str, parts: Parts, request: &Request) -> Self {
        let is_known = |known: &Option<String>| known.as_deref() == Some(tag) && !tag.is_empty();
        if is_known(&request.if_none_match) {
            return Self::new(304, b"").tagged(tag);
        }
        let is_same =
            parts == Parts::Blind || request.if_range.is_none() || is_known(&request.if_range);
        if request.range.is_none() || !is_same || parts == Parts::Never {
            return Self::new(200, content).tagged(tag);
        }
        let total = content.len();
        let Some((first, last)) = request.part(total).filter(|_| parts != Parts::Refused) else {
            let range = format!("bytes */{total}");
            return Self::new(416, b"").tagged(tag).with("Content-Range", range);
        };
        let (first, last) = match parts {
            Parts::FromStart => (0, last),
            Parts::Late => ((first + 1).min(last), last),
            // Less than this at a time is a failed try.
            Parts::Short => (first, last.min(first + 65_536 + (last - first) / 2)),
            _ => (first, last),
        };
        let body = match parts {
            Parts::Long => &content[first..],
            _ => &content[first..=last],
        };
        let total = total + usize::from(parts == Parts::OtherTotal);
        let reply = Self::new(206, body).tagged(tag);
        if parts == Parts::Mute {
            return reply;
        }
        reply.with("Content-Range", format!("bytes {first}-{last}/{total}"))
    }

    fn tagged(self, tag: &str) -> Self {
        let reply = self.with("Accept-Ranges", "bytes".to_owned());
        if tag.is_empty() {
            return reply;
        }
        reply.with("ETag", tag.to_owned())
    }

    /// The bytes of HTTP/1.1, in one of the framings (RFC 9112 §6.3), and whether the connection
    /// closes behind them. Where its end is the body's, a body that `is_cut` could not be told from
    /// a whole one.
    pub(super) fn encode(self, is_cut: bool, random: &mut Random) -> (Vec<u8>, bool) {
        let mut bytes = Vec::with_capacity(self.body.len() + 300);
        if random.once_in(10) {
            bytes.extend(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        }
        let mut closes = random.once_in(6);
        let framing = match random.below(6) {
            0 if !is_cut => 0,
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
        match framing {
            _ if self.status == 304 => bytes.extend(b"\r\n"),
            0 => {
                closes = true;
                bytes.extend(b"\r\n");
                bytes.extend_from_slice(self.body);
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
                bytes.extend_from_slice(self.body);
            }
        }
        (bytes, closes)
    }
}
