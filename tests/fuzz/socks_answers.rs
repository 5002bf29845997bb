//! The answers of a SOCKS5 proxy (`socks::Handshake`): the same however they are cut, and not a byte behind
//! them is taken for a part of them.

use gannet::error::ProxyFault;
use gannet::http::Credentials;
use gannet::internals::socks::{Handshake, Target};

/// The longest that is waited for: a reply with a name.
const LONGEST: usize = 4 + 1 + 255 + 2;

/// Takes what a proxy says, and what follows; the first byte says whether there is a login to offer.
pub fn run(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let login = (first % 2 == 1).then(|| Credentials::parse("user:password"));
    let whole = talk(bytes, bytes.len().max(1), login.as_ref());
    for step in [1, 2, 5] {
        assert_eq!(talk(bytes, step, login.as_ref()), whole, "by {step}");
    }
    if let Ok((consumed, true)) = whole {
        let alone = talk(&bytes[..consumed], 3, login.as_ref());
        assert_eq!(alone, whole);
    }
}

/// How many bytes were taken, and whether the connection stands then.
fn talk(
    bytes: &[u8],
    step: usize,
    login: Option<&Credentials>,
) -> Result<(usize, bool), ProxyFault> {
    let target = Target::Name("some.host.test");
    let mut handshake = Handshake::new(target, 443, login).expect("a short name");
    let mut at = 0;
    for piece in bytes.chunks(step) {
        assert!(handshake.missing() <= LONGEST);
        handshake.sent(handshake.unsent().len());
        let consumed = handshake.receive(piece)?;
        at += consumed;
        if consumed < piece.len() {
            assert_eq!(handshake.missing(), 0);
        }
    }
    Ok((at, handshake.missing() == 0))
}
