//! Answers of HTTP/1.1 (`http1::Exchange`): whatever comes, and however it is cut, an exchange says
//! the same, takes no more than it was given, hands out no more than it took, ends once, and
//! carries on only where nothing is in doubt.

use gannet::error::Malformed;
use gannet::http::{Method, Response};
use gannet::internals::http1::{Closed, Event, Exchange};

use super::pieces;

/// Takes one or several answers, as they follow one another on a connection.
pub fn run(bytes: &[u8]) {
    let mut used = Exchange::new();
    for method in [Method::Get, Method::Head] {
        let mut rest = bytes;
        for turn in 0..8 {
            let whole = replay(&mut Exchange::new(), method, &pieces::whole(rest), false);
            assert_sound(&whole, rest);
            for pieces in [pieces::single(rest), pieces::some(rest, turn)] {
                assert_eq!(replay(&mut Exchange::new(), method, &pieces, false), whole);
                assert_eq!(replay(&mut used, method, &pieces, false), whole);
            }
            let skipped = replay(&mut used, method, &pieces::some(rest, !turn), true);
            assert_eq!(skipped.without_data(), whole.without_data());
            match whole.consumed {
                Some(consumed) if whole.is_reusable && consumed < rest.len() => {
                    rest = &rest[consumed..];
                }
                _ => break,
            }
        }
    }
}

/// What an exchange said, data joined.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Interim(u16, String),
    Head(u16, String),
    Data(Vec<u8>),
    Done,
}

/// All that can be asked of an exchange after it was fed and closed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    seen: Vec<Seen>,
    error: Option<Malformed>,
    /// `None` where there was an error: where it stops depends on the pieces.
    consumed: Option<usize>,
    is_reusable: bool,
    was_until_close: bool,
    has_begun: bool,
    received: u64,
    expected: Option<u64>,
    closed: Closed,
}

impl Outcome {
    fn body(&self) -> usize {
        let data = self.seen.iter().map(|seen| match seen {
            Seen::Data(data) => data.len(),
            _ => 0,
        });
        data.sum()
    }

    /// This outcome without the events of the body, which was received elsewhere.
    fn without_data(&self) -> Self {
        let mut outcome = self.clone();
        outcome.seen.retain(|seen| !matches!(seen, Seen::Data(_)));
        outcome
    }
}

/// Feeds one piece after another, up to the end of the answer or an error, and closes unless the end had come. Where
/// `skips` is set, what may be moved unseen is.
fn replay(exchange: &mut Exchange, method: Method, pieces: &[&[u8]], skips: bool) -> Outcome {
    exchange.begin(method);
    let mut seen = Vec::new();
    let mut consumed = 0;
    let mut error = None;
    for piece in pieces {
        match feed(exchange, piece, &mut seen, skips) {
            Ok(taken) => consumed += taken,
            Err(malformed) => error = Some(malformed),
        }
        if error.is_some() || seen.last() == Some(&Seen::Done) {
            break;
        }
    }
    if let Some(malformed) = error {
        for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\n"] {
            assert_eq!(exchange.receive(bytes).err(), Some(malformed));
        }
    }
    let (is_reusable, was_until_close) = (exchange.is_reusable(), exchange.is_until_close());
    let has_begun = exchange.has_begun();
    let closed = match seen.last() {
        Some(Seen::Done) => {
            assert_eq!(exchange.receive(b"H").err(), Some(Malformed::Unsolicited));
            Closed::Done
        }
        _ => exchange.close(),
    };
    assert!(!exchange.is_reusable() || is_reusable);
    Outcome {
        seen,
        consumed: error.is_none().then_some(consumed),
        error,
        is_reusable,
        was_until_close,
        has_begun,
        received: exchange.received(),
        expected: exchange.expected(),
        closed,
    }
}

/// Feeds one piece until nothing more comes of it, and holds the exchange to what it promises of a call.
fn feed(
    exchange: &mut Exchange,
    piece: &[u8],
    seen: &mut Vec<Seen>,
    skips: bool,
) -> Result<usize, Malformed> {
    let mut at = 0;
    loop {
        if skips && let Some(remaining) = exchange.raw_remaining() {
            let moved = remaining.min((piece.len() - at) as u64);
            exchange.skip(moved);
            at += moved as usize;
        }
        let rest = &piece[at..];
        let (consumed, event) = exchange.receive(rest)?;
        assert!(consumed <= rest.len());
        at += consumed;
        match event {
            Event::Pending => {
                assert_eq!(at, piece.len());
                return Ok(at);
            }
            Event::Interim(response) => {
                assert_read(response);
                seen.push(Seen::Interim(response.status, shown(response)));
            }
            Event::Head(response) => {
                assert_read(response);
                seen.push(Seen::Head(response.status, shown(response)));
            }
            Event::Data(data) => {
                assert!(!data.is_empty() && data.len() <= consumed);
                match seen.last_mut() {
                    Some(Seen::Data(before)) => before.extend_from_slice(data),
                    _ => seen.push(Seen::Data(data.to_vec())),
                }
            }
            Event::End => {
                assert!(!seen.contains(&Seen::Done));
                seen.push(Seen::Done);
                return Ok(at);
            }
        }
    }
}

/// A head, secrets and all.
fn shown(response: &Response) -> String {
    let fields: Vec<_> = response.headers.iter().collect();
    format!("{:?} {} {fields:?}", response.version, response.status)
}

/// No field holds what could pass for another.
fn assert_read(response: &Response) {
    for (name, value) in response.headers.iter() {
        let is_token =
            |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
        assert!(!name.is_empty() && name.iter().all(is_token), "{name:?}");
        assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)));
        let outer = [value.first(), value.last()];
        assert!(
            !outer
                .into_iter()
                .flatten()
                .any(|byte| b" \t".contains(byte))
        );
    }
}

/// What an outcome says agrees with itself, and with the bytes that led to it.
fn assert_sound(outcome: &Outcome, bytes: &[u8]) {
    assert!(
        outcome
            .consumed
            .is_none_or(|consumed| consumed <= bytes.len())
    );
    assert_eq!(outcome.received, outcome.body() as u64);
    assert!(outcome.body() <= bytes.len());
    let is_done = outcome.seen.last() == Some(&Seen::Done);
    if let (Closed::Done, Some(expected)) = (outcome.closed, outcome.expected) {
        assert_eq!(outcome.received, expected);
    }
    if let Closed::Truncated { received, expected } = outcome.closed {
        assert_eq!((received, expected), (outcome.received, outcome.expected));
        assert!(expected.is_none_or(|expected| received < expected));
    }
    assert!(!outcome.is_reusable || is_done && outcome.error.is_none());
    assert!(!outcome.was_until_close || outcome.consumed == Some(bytes.len()));
    assert_eq!(outcome.closed != Closed::NoAnswer, outcome.has_begun);
    let mut has_head = false;
    for seen in &outcome.seen {
        match seen {
            Seen::Interim(status, _) => assert!(!has_head && matches!(status, 100 | 102..=199)),
            Seen::Head(status, _) => {
                assert!(!has_head && matches!(status, 200..=999));
                has_head = true;
            }
            Seen::Data(_) | Seen::Done => assert!(has_head),
        }
    }
}
