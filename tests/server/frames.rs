//! Frames of HTTP/2, byte by byte (RFC 9113 §4 and §6), and field sections without compression
//! (RFC 7541 §6.2.2): what a scripted server says, right or wrong.

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What every client says first (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Takes the first frame off `bytes`, if it is whole.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let head = bytes.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let frame = Self {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
            payload: bytes.get(9..9 + length)?.to_vec(),
        };
        bytes.drain(..9 + length);
        Some(frame)
    }

    /// The error code of a RST_STREAM or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let code = self.payload[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(code)
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field section: each field literally, indexed nowhere.
pub(crate) fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            length(text.len(), &mut bytes);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn length(number: usize, out: &mut Vec<u8>) {
    if number < 127 {
        return out.push(number as u8);
    }
    out.push(127);
    let mut rest = number - 127;
    while rest >= 128 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The head of an answer.
pub(crate) fn head(stream: u32, status: &str, fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    let mut all = vec![(":status", status)];
    all.extend(fields);
    frame(HEADERS, END_HEADERS | flags, stream, &section(&all))
}

/// A body, in frames that are not too long.
pub(crate) fn data(stream: u32, body: &[u8], flags: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut parts = body.chunks(16_384).peekable();
    if parts.peek().is_none() {
        return frame(DATA, flags, stream, &[]);
    }
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        bytes.extend(frame(DATA, if is_last { flags } else { 0 }, stream, part));
    }
    bytes
}

/// A whole answer.
pub(crate) fn answer(stream: u32, body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut bytes = head(stream, "200", &[("content-length", &length)], 0);
    bytes.extend(data(stream, body, END_STREAM));
    bytes
}

pub(crate) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// SETTINGS_MAX_CONCURRENT_STREAMS.
pub(crate) fn max_streams(streams: u32) -> (u16, u32) {
    (3, streams)
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn goaway(last: u32, code: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, &payload)
}
