//! S5: while all transfers of an HTTP/2 connection are paused or wait for a rate limit, its socket is not watched.

use std::time::Duration;

use gannet::multi::{Interest, Limits, TransferId};

use super::fake::Fake;
use super::http2::{Side, add, engine, interests};
use super::peer::Peer;
use crate::server::frames::{
    ACK, END_STREAM, PING, SETTINGS, answer, data, frame, head, max_streams, settings,
};

const SECOND: Duration = Duration::from_secs(1);

/// This many transfers on one connection; earlier changes of interest are skipped.
fn streams(peer: &Peer, count: usize) -> (Fake<Vec<u8>>, Vec<TransferId>, Side, Vec<u32>) {
    let mut fake = engine(Limits::default());
    let ids: Vec<_> = (0..count).map(|_| add(&mut fake, peer)).collect();
    let mut side = Side::accept(peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, count);
    fake.settle();
    fake.told();
    (fake, ids, side, streams)
}

#[test]
fn s5_a_lone_stream_that_is_paused_gives_its_socket_up_and_takes_it_back() {
    let peer = Peer::new();
    let (mut fake, ids, mut side, streams) = streams(&peer, 1);
    fake.pause(ids[0]).unwrap();
    fake.settle();
    assert_eq!(interests(&fake), [Interest::Remove]);
    side.say(answer(streams[0], b"out of sight"));
    assert_eq!(fake.elapse(600 * SECOND), 0, "no clock runs");
    fake.resume(ids[0]).unwrap();
    assert_eq!(fake.result(ids[0]).unwrap().received, 12);
    let told = interests(&fake);
    assert_eq!(told, [Interest::In, Interest::Remove]);
}

/// S1: the socket is watched while one of them receives, and not longer.
#[test]
fn s5_the_socket_is_given_up_with_the_last_stream_that_wants_it() {
    let peer = Peer::new();
    let (mut fake, ids, mut side, streams) = streams(&peer, 3);
    fake.pause(ids[0]).unwrap();
    fake.pause(ids[1]).unwrap();
    fake.settle();
    assert_eq!(interests(&fake), []);
    side.say(answer(streams[2], b"the last"));
    fake.result(ids[2]).unwrap();
    assert_eq!(interests(&fake), [Interest::Remove]);
    fake.resume(ids[1]).unwrap();
    fake.settle();
    assert_eq!(interests(&fake), [Interest::In]);
    fake.remove(ids[1]).unwrap();
    assert_eq!(interests(&fake), [Interest::Remove]);
    fake.resume(ids[0]).unwrap();
    side.say(answer(streams[0], b"the first"));
    assert_eq!(fake.result(ids[0]).unwrap().received, 9);
}

#[test]
fn s5_another_transfer_takes_the_socket_back_of_a_stream_that_rests() {
    let peer = Peer::new();
    let (mut fake, ids, mut side, streams) = streams(&peer, 1);
    fake.pause(ids[0]).unwrap();
    fake.settle();
    fake.told();
    side.say(frame(PING, 0, 0, b"anybody?"));
    let other = add(&mut fake, &peer);
    // Frames that came meanwhile are read first, and answered.
    let pong = side.expect(&mut fake, PING);
    assert_eq!(pong.flags, ACK);
    let stream = side.requests(&mut fake, 1)[0];
    assert_eq!(interests(&fake), [Interest::In]);
    side.say(answer(stream, b"on"));
    fake.result(other).unwrap();
    assert_eq!(interests(&fake), [Interest::Remove]);
    fake.resume(ids[0]).unwrap();
    side.say(answer(streams[0], b""));
    fake.result(ids[0]).unwrap();
}

#[test]
fn s5_a_lone_stream_gives_its_socket_up_until_its_rate_lets_it_go_on() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let mut easy = peer.easy("/");
    easy.max_recv_speed = Some(1000);
    let id = fake.add(easy).unwrap();
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let stream = side.requests(&mut fake, 1)[0];
    side.say(head(stream, "200", &[], 0));
    for _ in 0..30 {
        side.say(data(stream, &[0; 100], 0));
    }
    side.say(data(stream, b"", END_STREAM));
    fake.settle();
    assert!(fake.ledger().sockets.is_empty());
    fake.elapse(SECOND);
    assert!((900..1500).contains(&fake.received(id)));
    fake.elapse(3 * SECOND);
    assert_eq!(fake.result(id).unwrap().received, 3000);
}

/// A request that is not sent yet is still sent; nothing is received meanwhile.
#[test]
fn s5_a_paused_stream_still_sends_its_request() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let mut easy = peer.easy("/");
    let long = format!("X: {}", "x".repeat(16 << 20));
    easy.headers = [gannet::http::Field::parse(&long).expect("a field")].into();
    let id = fake.add(easy).unwrap();
    let mut side = Side::accept(&peer, &mut fake, &[]);
    fake.pause(id).unwrap();
    fake.settle();
    assert_eq!(interests(&fake).last(), Some(&Interest::Out));
    let mut heard = 0;
    fake.until("the whole request", |fake| {
        heard += side
            .frames()
            .iter()
            .map(|frame| frame.payload.len())
            .sum::<usize>();
        heard >= 14 << 20 && fake.ledger().sockets.is_empty()
    });
}

/// L5: the peer allowed further streams while the socket was not watched; that is read when a stream goes on.
#[test]
fn l5_room_that_no_event_tells_of_is_given_away() {
    let peer = Peer::new();
    let mut fake = engine(Limits {
        per_origin: 1,
        ..Limits::default()
    });
    let first = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[max_streams(1)]);
    side.requests(&mut fake, 1);
    side.expect(&mut fake, SETTINGS);
    let waits = add(&mut fake, &peer);
    fake.pause(first).unwrap();
    fake.settle();
    side.say(settings(&[max_streams(5)]));
    fake.resume(first).unwrap();
    // The first call watches the socket again, the second reads. What it reads causes no further event.
    for _ in 0..4 {
        fake.kick().unwrap();
    }
    let progress = fake.multi.progress(waits).unwrap();
    assert!(progress.is_dispatched);
    side.requests(&mut fake, 1);
}

/// While all streams were at rest a GOAWAY may have come: the next request is not sent on that connection.
#[test]
fn a_connection_that_died_while_its_streams_rested_takes_no_further_request() {
    let peer = Peer::new();
    let (mut fake, ids, side, _) = streams(&peer, 1);
    fake.pause(ids[0]).unwrap();
    fake.settle();
    drop(side);
    let other = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let stream = side.requests(&mut fake, 1)[0];
    side.say(answer(stream, b"elsewhere"));
    fake.result(other).unwrap();
    fake.resume(ids[0]).unwrap();
    fake.result(ids[0]).unwrap_err();
}
