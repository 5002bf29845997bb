//! The queue of events, V1 to V5. [`Fake::read`] checks V1 and V3 in every test.

use gannet::multi::{Detail, Easy, Event, EventKind, Trace, TransferId};

use super::fake::Fake;
use super::peer::Peer;

/// What an event is, in one word.
fn word(event: &Event) -> String {
    match &event.kind {
        EventKind::Head => "head".to_owned(),
        EventKind::Trace(Trace::Started) => "started".to_owned(),
        EventKind::Trace(Trace::Redirected { status, .. }) => format!("redirected {status}"),
        EventKind::Trace(Trace::Info(_)) => "info".to_owned(),
        EventKind::Trace(Trace::Sent(line)) => format!("> {line}"),
        EventKind::Trace(Trace::Received(line)) => format!("< {line}"),
        other => panic!("{other:?}"),
    }
}

/// The events of a transfer so far, in words.
fn words(fake: &mut Fake<Vec<u8>>, id: TransferId) -> Vec<String> {
    fake.read();
    let own = fake.events.iter().filter(|event| event.id == id);
    own.map(word).collect()
}

/// A transfer of `/` that reports its head, and traces with this detail.
fn reporting(peer: &Peer, traces: Option<Detail>) -> Easy<Vec<u8>> {
    let mut easy = peer.easy("/");
    easy.events.head = true;
    easy.events.traces = traces;
    easy
}

/// V1: one transfer after the other, each with another mask, over one connection.
#[test]
fn v1_a_transfer_has_only_the_events_that_it_asks_for() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let mut talk = None;
    let masks = [
        (false, None, vec![]),
        (true, None, vec!["head"]),
        (false, Some(Detail::Steps), vec!["started"]),
        (true, Some(Detail::Steps), vec!["started", "head"]),
    ];
    for (head, traces, expected) in masks {
        let mut easy = peer.easy("/");
        assert_eq!((easy.events.head, easy.events.traces), (false, None));
        (easy.events.head, easy.events.traces) = (head, traces);
        let id = fake.add(easy).unwrap();
        fake.settle();
        let talk = talk.get_or_insert_with(|| peer.accept(&mut fake));
        talk.request(&mut fake);
        talk.head(1);
        fake.until("the head", |fake| {
            let progress = fake.multi.progress(id).unwrap();
            progress.expected == Some(1)
        });
        talk.say("x");
        fake.result(id).unwrap();
        assert_eq!(words(&mut fake, id), expected);
    }
}

/// V2: all events of a transfer that is redirected, and that receives an interim response and a body in two pieces.
#[test]
fn v2_events_come_in_the_order_in_which_they_happened_and_once() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(reporting(&peer, Some(Detail::All))).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.say("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
    talk.request(&mut fake);
    talk.say("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx");
    fake.until("a byte", |fake| {
        fake.multi
            .progress(id)
            .is_some_and(|progress| progress.received == 1)
    });
    talk.say("y");
    fake.result(id).unwrap();
    let mut words = words(&mut fake, id);
    words.retain(|word| {
        let is_field = word.starts_with('>') && !word.contains("GET");
        !is_field && word != "info"
    });
    assert_eq!(
        words,
        [
            "started",
            "> GET / HTTP/1.1",
            "< HTTP/1.1 302",
            "< Location: /b",
            "< Content-Length: 0",
            "redirected 302",
            "> GET /b HTTP/1.1",
            "< HTTP/1.1 103",
            "< HTTP/1.1 200",
            "< Content-Length: 2",
            "head",
        ]
    );
    assert!(fake.multi.event_read().is_none());
}

/// V3: of two transfers with unread events, one is removed.
#[test]
fn v3_a_removed_transfers_unread_events_go_with_it() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let ids = [(); 2].map(|()| {
        let id = fake
            .add(reporting(&peer, Some(Detail::Steps)))
            .expect("a live multi");
        peer.asked(&mut fake).head(100);
        fake.settle();
        id
    });
    fake.remove(ids[0]).unwrap();
    assert_eq!(words(&mut fake, ids[0]), [""; 0]);
    assert_eq!(words(&mut fake, ids[1])[0], "started");
}

/// V4: no event of a head that the completion follows in the same call, of an error status, or of a body behind a head
/// that an event has told.
#[test]
fn v4_a_head_is_an_event_once_and_only_if_its_transfer_goes_on() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let at_once = fake.add(reporting(&peer, None)).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.answer("all of it");
    fake.result(at_once).unwrap();
    assert_eq!(words(&mut fake, at_once), [""; 0]);

    let missing = fake.add(reporting(&peer, None)).unwrap();
    talk.request(&mut fake);
    talk.say("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nn");
    fake.settle();
    talk.say("o");
    fake.result(missing).unwrap_err();
    assert_eq!(words(&mut fake, missing), [""; 0]);

    let in_pieces = fake.add(reporting(&peer, None)).unwrap();
    talk.request(&mut fake);
    talk.head(3);
    for piece in ["a", "b", "c"] {
        fake.settle();
        talk.say(piece);
    }
    fake.result(in_pieces).unwrap();
    assert_eq!(words(&mut fake, in_pieces), ["head"]);
}

/// V5: a head and a completion wait unread; reading the one leaves the other.
#[test]
fn v5_events_and_messages_are_two_queues() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(reporting(&peer, None)).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.head(1);
    fake.until("the head", |fake| {
        fake.multi
            .progress(id)
            .is_some_and(|progress| progress.expected.is_some())
    });
    talk.say("x");
    fake.until("the end", |fake| fake.multi.running() == 0);
    let event = fake.multi.event_read().expect("the head");
    assert_eq!((event.id, event.kind), (id, EventKind::Head));
    assert!(fake.multi.event_read().is_none());
    assert_eq!(fake.multi.info_read().map(|done| done.id), Some(id));
    assert!(fake.multi.event_read().is_none());
    fake.remove(id).unwrap();
}
