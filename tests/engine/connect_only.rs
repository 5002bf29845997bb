//! Transfers that only connect, and get something to fetch later.

use std::time::Duration;

use gannet::error::MultiError;
use gannet::multi::{Limits, Options, TransferId};

use super::fake::Fake;
use super::peer::{Peer, Talk};

/// A transfer that stands by while `others` are watched, and the peer's end of its connection.
fn standing_by(fake: &mut Fake<Vec<u8>>, peer: &Peer, others: usize) -> (TransferId, Talk) {
    let mut easy = peer.easy("/");
    (easy.is_connect_only, easy.is_extra) = (true, true);
    let id = fake.add(easy).expect("a live multi");
    let talk = peer.accept(fake);
    fake.until("a connection that rests", |fake| {
        fake.ledger().sockets.len() == others
    });
    (id, talk)
}

fn replace(
    fake: &mut Fake<Vec<u8>>,
    id: TransferId,
    peer: &Peer,
    path: &str,
) -> Result<(), MultiError> {
    let mut easy = peer.easy(path);
    fake.call(|multi, now| multi.replace(id, &mut easy, now))
}

#[test]
fn it_asks_for_nothing_until_it_is_told_what_and_then_over_that_connection() {
    let (peer, mut fake) = (Peer::new(), Fake::new());
    let (id, mut talk) = standing_by(&mut fake, &peer, 0);
    assert_eq!(fake.elapse(Duration::from_secs(600)), 0, "no clock runs");
    assert_eq!(fake.read(), 0);
    assert!(talk.try_request().is_none());
    replace(&mut fake, id, &peer, "/file").unwrap();
    assert!(talk.request(&mut fake).starts_with("GET /file "));
    talk.answer("bytes");
    fake.result(id).unwrap();
    let easy = fake.remove(id).unwrap();
    assert_eq!((easy.sink.as_slice(), easy.is_extra), (&b"bytes"[..], true));
    assert!(peer.try_accept().is_none());
}

#[test]
fn it_is_told_while_it_still_connects() {
    let (peer, mut fake) = (Peer::new(), Fake::new());
    let mut easy = peer.easy("/");
    easy.is_connect_only = true;
    let id = fake.add(easy).unwrap();
    replace(&mut fake, id, &peer, "/file").unwrap();
    let mut talk = peer.accept(&mut fake);
    assert!(talk.request(&mut fake).starts_with("GET /file "));
    talk.answer("bytes");
    fake.result(id).unwrap();
}

#[test]
fn a_connection_that_the_peer_has_closed_meanwhile_is_made_anew_and_costs_no_try() {
    let (peer, mut fake) = (Peer::new(), Fake::new());
    let (id, talk) = standing_by(&mut fake, &peer, 0);
    drop(talk);
    replace(&mut fake, id, &peer, "/file").unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.answer("bytes");
    fake.result(id).unwrap();
}

#[test]
fn removed_it_closes_its_connection() {
    let (peer, mut fake) = (Peer::new(), Fake::new());
    let (id, mut talk) = standing_by(&mut fake, &peer, 0);
    fake.remove(id).unwrap();
    fake.until("its end", |_| talk.is_closed());
}

#[test]
fn what_fetches_already_or_connects_elsewhere_cannot_be_told() {
    let (peer, other, mut fake) = (Peer::new(), Peer::new(), Fake::new());
    let busy = fake.add(peer.easy("/busy")).unwrap();
    let mut talk = peer.asked(&mut fake);
    let (idle, _kept) = standing_by(&mut fake, &peer, 1);
    let refused = Err(MultiError::BadFunctionArgument);
    assert_eq!(replace(&mut fake, busy, &peer, "/file"), refused);
    assert_eq!(replace(&mut fake, idle, &other, "/file"), refused);
    talk.answer("done");
    fake.result(busy).unwrap();
    assert_eq!(replace(&mut fake, busy, &peer, "/file"), refused);
    fake.remove(busy).unwrap();
    let gone = Err(MultiError::BadEasyHandle);
    assert_eq!(replace(&mut fake, busy, &peer, "/file"), gone);
}

/// L3: a transfer that only connects comes last, until it has something to fetch.
#[test]
fn one_that_waits_when_it_is_told_waits_no_longer_than_the_others() {
    let peer = Peer::new();
    let mut fake = Fake::with(Options {
        limits: Limits {
            per_origin: 1,
            ..Limits::default()
        },
        ..Options::default()
    });
    let busy = fake.add(peer.easy("/busy")).unwrap();
    let mut talk = peer.asked(&mut fake);
    let mut easy = peer.easy("/");
    easy.is_connect_only = true;
    let id = fake.add(easy).unwrap();
    fake.settle();
    let late = fake.add(peer.easy("/late")).unwrap();
    fake.settle();
    replace(&mut fake, id, &peer, "/file").unwrap();
    talk.answer("busy");
    fake.result(busy).unwrap();
    assert!(talk.request(&mut fake).starts_with("GET /file "));
    talk.answer("bytes");
    fake.result(id).unwrap();
    assert!(talk.request(&mut fake).starts_with("GET /late "));
    talk.answer("late");
    fake.result(late).unwrap();
}
