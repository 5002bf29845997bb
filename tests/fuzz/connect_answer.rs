//! The answer of a proxy to CONNECT (`http1::ConnectAnswer`): the same however it is cut, and not a byte behind it
//! is taken for a part of it.

use gannet::error::Malformed;
use gannet::internals::http1::ConnectAnswer;

/// Takes what a proxy says, and what follows.
pub fn run(bytes: &[u8]) {
    let whole = received(bytes, bytes.len().max(1));
    for step in [1, 2, 7] {
        assert_eq!(received(bytes, step), whole, "by {step}");
    }
    if let Ok((consumed, Some(status))) = whole {
        assert!((200..1000).contains(&status));
        assert!(bytes[..consumed].ends_with(b"\n"));
        // What follows changes nothing.
        assert_eq!(received(&bytes[..consumed], 3), whole);
    }
}

fn received(bytes: &[u8], step: usize) -> Result<(usize, Option<u16>), Malformed> {
    let mut answer = ConnectAnswer::default();
    let mut at = 0;
    for piece in bytes.chunks(step) {
        let (consumed, status) = answer.receive(piece)?;
        assert!(consumed <= piece.len());
        at += consumed;
        if status.is_some() {
            return Ok((at, status));
        }
        assert_eq!(consumed, piece.len());
    }
    Ok((at, None))
}
