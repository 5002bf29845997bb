//! For tests: feeds an [`Exchange`] like a connection, and records its events.

use super::{Closed, Event, Exchange};
use crate::error::Malformed;
use crate::http::Method;

/// The events of an exchange; adjacent data is joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Interim(u16, String),
    Head(u16, String),
    Data(Vec<u8>),
    Done,
}

impl Seen {
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Interim(status, _) | Self::Head(status, _) => Some(*status),
            Self::Data(_) | Self::Done => None,
        }
    }
}

/// The state of an exchange after it was fed and closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) seen: Vec<Seen>,
    pub(super) error: Option<Malformed>,
    /// `None` after an error.
    pub(super) consumed: Option<usize>,
    /// As it was before the close.
    pub(super) is_reusable: bool,
    pub(super) was_until_close: bool,
    pub(super) has_begun: bool,
    pub(super) received: u64,
    pub(super) expected: Option<u64>,
    pub(super) closed: Closed,
}

impl Outcome {
    pub(super) fn body(&self) -> Vec<u8> {
        let data = self.seen.iter().filter_map(|seen| match seen {
            Seen::Data(data) => Some(&data[..]),
            _ => None,
        });
        data.collect::<Vec<_>>().concat()
    }

    pub(super) fn is_done(&self) -> bool {
        self.seen.last() == Some(&Seen::Done)
    }
}

/// Feeds a new exchange with everything at once.
pub(super) fn replay_whole(method: Method, answer: &[u8]) -> Outcome {
    replay(&mut Exchange::new(), method, &[answer])
}

/// Feeds an exchange with one piece after another, up to the end of the response or an error. Then it is closed, unless
/// the end was reached.
pub(super) fn replay(exchange: &mut Exchange, method: Method, pieces: &[&[u8]]) -> Outcome {
    exchange.begin(method);
    let mut seen = Vec::new();
    let mut consumed = 0;
    let mut error = None;
    for piece in pieces {
        match feed(exchange, piece, &mut seen) {
            Ok(taken) => consumed += taken,
            Err(malformed) => error = Some(malformed),
        }
        if error.is_some() || seen.last() == Some(&Seen::Done) {
            break;
        }
    }
    let is_reusable = exchange.is_reusable();
    let was_until_close = exchange.is_until_close();
    let has_begun = exchange.has_begun();
    let closed = match seen.last() {
        Some(Seen::Done) => Closed::Done,
        _ => exchange.close(),
    };
    Outcome {
        seen,
        // Where an error stops depends on the pieces.
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

/// Feeds one piece until it causes no more events, and checks what the exchange promises for each call.
fn feed(exchange: &mut Exchange, piece: &[u8], seen: &mut Vec<Seen>) -> Result<usize, Malformed> {
    let mut at = 0;
    loop {
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
                seen.push(Seen::Interim(response.status, format!("{response:?}")))
            }
            Event::Head(response) => {
                seen.push(Seen::Head(response.status, format!("{response:?}")))
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
