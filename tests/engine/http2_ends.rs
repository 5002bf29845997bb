//! Connections of HTTP/2 that end, that cannot send, or that close with unread bytes: E2, and which transfer gets
//! which bytes.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use gannet::error::Fault;
use gannet::http::Field;
use gannet::multi::{Interest, Limits, TransferId};

use super::fake::Fake;
use super::http2::{Side, add, engine, interests};
use super::peer::Peer;
use crate::server::frames::{
    self, DATA, END_STREAM, PING, answer, data, frame, goaway, head, max_streams, settings,
};

const SECOND: Duration = Duration::from_secs(1);
/// Bytes that the engine gives to a session at once.
const SLICE: usize = 65_536;
/// The size of 16 MiB of the letter x on the wire (RFC 7541, appendix B: seven bits each).
const HUFFMAN: usize = 14 << 20;

/// The interest in every socket.
fn wanted(fake: &Fake<Vec<u8>>) -> Vec<Interest> {
    let ledger = fake.ledger();
    ledger.sockets.values().map(|told| told.interest).collect()
}

/// Fills up to a length with frames of an unknown type.
fn pad(bytes: &mut Vec<u8>, length: usize) {
    while bytes.len() < length {
        let left = length - bytes.len() - 9;
        // The rest after a frame has room for another frame, or is empty.
        let payload = if left <= 16_000 { left } else { 8_000 };
        bytes.extend(frame(0xbe, 0, 0, &vec![0; payload]));
    }
    assert_eq!(bytes.len(), length);
}

/// Grows the kernel's buffers of a connection, by a long body.
fn warm(fake: &mut Fake<Vec<u8>>, peer: &Peer, side: &mut Side) -> u32 {
    let id = add(fake, peer);
    let stream = side.requests(fake, 1)[0];
    side.say(head(stream, "200", &[], 0));
    for _ in 0..200 {
        side.say(data(stream, &[b'w'; 48_000], 0));
        fake.settle();
    }
    side.say(data(stream, b"", END_STREAM));
    fake.result(id).expect("a whole answer");
    fake.settle();
    stream
}

/// The connection closes in the middle of what was received, and the transfer connects to another server. The
/// new connection gets the slot of the first one, but none of its bytes.
#[test]
fn bytes_of_a_closed_connection_do_not_answer_for_its_successor() {
    for slices in [1, 2] {
        let (first, second) = (Peer::new(), Peer::new());
        let mut fake = engine(Limits::default());
        let id = add(&mut fake, &first);
        let mut side = Side::accept(&first, &mut fake, &[]);
        let stream = side.requests(&mut fake, 1)[0];
        let last = warm(&mut fake, &first, &mut side);
        let mut bytes = goaway(last, 0);
        let to = second.url("/b").to_string();
        bytes.extend(head(stream, "302", &[("location", &to)], END_STREAM));
        pad(&mut bytes, SLICE);
        bytes.extend(settings(&[]));
        if slices > 1 {
            pad(&mut bytes, slices * SLICE);
        }
        bytes.extend(answer(1, b"said by the first server"));
        side.say(&bytes);
        fake.settle();
        fake.read();
        let body = fake.multi.easy(id).map(|easy| easy.sink.clone());
        assert_eq!(body, Some(Vec::new()), "the second server has said nothing");
        let mut other = Side::accept(&second, &mut fake, &[]);
        let stream = other.requests(&mut fake, 1)[0];
        other.say(answer(stream, b"its own"));
        assert_eq!(fake.result(id).unwrap().received, 7);
    }
}

/// A transfer over a connection with a peer that takes only a part of a long request.
fn half_sent(fake: &mut Fake<Vec<u8>>, peer: &Peer) -> TransferId {
    let mut easy = peer.easy("/long");
    let long = format!("X: {}", "x".repeat(16 << 20));
    easy.headers = [Field::parse(&long).expect("a field")].into();
    let id = fake.add(easy).expect("a live multi");
    fake.settle();
    assert_eq!(wanted(fake), [Interest::InOut], "half of it is sent");
    id
}

/// S1, S2: the interest of one stream in the socket is not the interest of all.
#[test]
fn s1_s2_a_stream_that_must_wait_takes_no_wish_to_write_away() {
    let peer = Peer::new();
    let mut fake = engine(Limits {
        per_origin: 1,
        ..Limits::default()
    });
    let first = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[max_streams(2)]);
    let stream = side.requests(&mut fake, 1)[0];
    side.say(answer(stream, b"0"));
    fake.result(first).unwrap();
    half_sent(&mut fake, &peer);
    // The stream of a removed transfer counts until the peer has the reset.
    let second = add(&mut fake, &peer);
    fake.settle();
    fake.remove(second).unwrap();
    fake.settle();
    add(&mut fake, &peer);
    fake.settle();
    assert_eq!(wanted(&fake), [Interest::InOut]);
    let mut heard = 0;
    fake.until("the whole request", |fake| {
        heard += side
            .frames()
            .iter()
            .map(|frame| frame.payload.len())
            .sum::<usize>();
        heard >= HUFFMAN && wanted(fake) == [Interest::In]
    });
}

/// A peer that floods with frames that require a reply and does not read, until the engine does not read from it any
/// more. Returns the rest of the flood.
fn clogged(peer: &Peer, fake: &mut Fake<Vec<u8>>) -> (TransferId, Side, Vec<u8>) {
    let id = add(fake, peer);
    let mut side = Side::accept(peer, fake, &[]);
    side.requests(fake, 1);
    fake.settle();
    let flood = frame(PING, 0, 0, b"flooding").repeat(3000);
    let mut rest = Vec::new();
    for _ in 0..1000 {
        if rest.is_empty() {
            rest.extend_from_slice(&flood);
        }
        if let Ok(count) = side.talk.tcp.write(&rest) {
            rest.drain(..count);
        }
        fake.settle();
        if wanted(fake) == [Interest::Out] {
            return (id, side, rest);
        }
    }
    panic!("it is never clogged: {:?}", wanted(fake));
}

/// E2: the socket is never writable again, and the poll reports the reset for ever.
#[test]
fn e2_a_clogged_connection_that_is_reset_ends_at_once() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let (id, side, _) = clogged(&peer, &mut fake);
    side.talk.reset();
    let error = fake.result(id).unwrap_err();
    let is_lost = matches!(error.fault(), Fault::ConnectionLost(_) | Fault::NoAnswer);
    assert!(is_lost, "{error}");
    assert!(fake.ledger().sockets.is_empty());
}

/// E1: a peer that reads again is read from again, whatever has come meanwhile.
#[test]
fn e1_a_clogged_connection_goes_on_when_its_output_has_gone() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let (id, mut side, mut rest) = clogged(&peer, &mut fake);
    rest.extend(answer(1, b"behind the flood"));
    let mut heard = vec![0; 1 << 20];
    fake.until("the answer", |fake| {
        while let Ok(1..) = side.talk.tcp.read(&mut heard) {}
        if let Ok(count) = side.talk.tcp.write(&rest) {
            rest.drain(..count);
        }
        fake.received(id) == 16
    });
    fake.result(id).unwrap();
}

/// E2: the session has ended by the peer's error, and its one stream is at rest: nothing is read any more, and without
/// output the engine does not wait to write.
#[test]
fn e2_a_paused_stream_on_a_broken_session_costs_nothing() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let paused = add(&mut fake, &peer);
    let lively = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    for stream in side.requests(&mut fake, 2) {
        side.say(head(stream, "200", &[], 0));
    }
    fake.settle();
    fake.pause(paused).unwrap();
    // DATA on stream 0 is a connection error (RFC 9113 §6.1).
    side.say(frame(DATA, 0, 0, b"bad"));
    fake.result(lively).unwrap_err();
    side.say(frame(DATA, 0, 0, b"more"));
    side.say([0; 100_000]);
    fake.settle();
    assert!(fake.ledger().sockets.is_empty());
    assert_eq!(fake.elapse(600 * SECOND), 0);
    fake.resume(paused).unwrap();
    fake.result(paused).unwrap_err();
    assert!(peer.try_accept().is_none());
}

/// E2: a transfer stands by on a connection with a GOAWAY. It connects again when it gets something to fetch.
#[test]
fn e2_a_transfer_that_stands_by_on_an_ended_session_costs_nothing() {
    type End = fn(&mut Side);
    let ends: [End; 2] = [
        |side| side.say(goaway(0, 0)),
        |side| side.say(frame(DATA, 0, 0, b"bad")),
    ];
    for end in ends {
        let peer = Peer::new();
        let mut fake = engine(Limits::default());
        let mut easy = peer.easy("/");
        (easy.is_connect_only, easy.is_extra) = (true, true);
        let id = fake.add(easy).unwrap();
        let mut side = Side::accept(&peer, &mut fake, &[]);
        fake.settle();
        end(&mut side);
        fake.settle();
        side.say([0; 1000]);
        fake.settle();
        assert_eq!(fake.elapse(600 * SECOND), 0);
        interests(&fake);
        let mut easy = peer.easy("/file");
        fake.call(|multi, now| multi.replace(id, &mut easy, now))
            .unwrap();
        let mut side = Side::accept(&peer, &mut fake, &[]);
        let stream = side.requests(&mut fake, 1)[0];
        side.say(answer(stream, b"bytes"));
        fake.result(id).unwrap();
    }
}

/// L2: a transfer that stands by does not count where few connections of an origin may be busy.
#[test]
fn l2_a_transfer_that_stands_by_takes_no_place_from_those_that_fetch() {
    let peer = Peer::new();
    let mut fake = engine(Limits {
        per_origin: 3,
        ..Limits::default()
    });
    let first = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let stream = side.requests(&mut fake, 1)[0];
    let mut easy = peer.easy("/");
    (easy.is_connect_only, easy.is_extra) = (true, true);
    fake.add(easy).unwrap();
    let mut other = Side::accept(&peer, &mut fake, &[]);
    fake.settle();
    // It asks for fewer requests: from now on one of its connections may be busy.
    side.say(head(stream, "503", &[], END_STREAM));
    assert_eq!(fake.result(first).unwrap_err().status(), Some(503));
    fake.elapse(SECOND);
    let next = add(&mut fake, &peer);
    fake.settle();
    let progress = fake.multi.progress(next).unwrap();
    assert!(progress.is_dispatched, "nothing else is busy");
    let asked = [&mut side, &mut other].map(|side| {
        let frames = side.frames().into_iter();
        frames.filter(|frame| frame.kind == frames::HEADERS).count()
    });
    assert_eq!(asked.iter().sum::<usize>(), 1);
}
