//! HTTP/2: shared sockets (S3), streams and their caps (L5), and what removing, pausing and clocks
//! mean on a stream (R3, S5, K7).

use std::io::Read as _;
use std::time::Duration;

use gannet::error::Fault;
use gannet::internals::http2::Session;
use gannet::internals::multi::PATIENCE;
use gannet::multi::{Interest, Limits, Options, Protocol, TransferId, Windows};

use super::fake::Fake;
use super::ledger::Told;
use super::peer::{Peer, Talk};
use crate::server::frames::{
    self, ACK, END_STREAM, Frame, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, answer, data,
    frame, goaway, head, max_streams,
};

const SECOND: Duration = Duration::from_secs(1);

/// An engine that speaks only HTTP/2.
pub(super) fn engine(limits: Limits) -> Fake<Vec<u8>> {
    Fake::with(Options {
        limits,
        protocol: Protocol::Http2,
        ..Options::default()
    })
}

pub(super) fn add(fake: &mut Fake<Vec<u8>>, peer: &Peer) -> TransferId {
    fake.add(peer.easy("/")).expect("a live multi")
}

/// The peer's end of a connection of HTTP/2.
pub(super) struct Side {
    pub(super) talk: Talk,
    unread: Vec<u8>,
}

impl Side {
    /// The next connection, after both prefaces.
    pub(super) fn accept(peer: &Peer, fake: &mut Fake<Vec<u8>>, settings: &[(u16, u32)]) -> Self {
        let mut talk = peer.accept(fake);
        talk.say(frames::settings(settings));
        // Strictly, not before it has come; but that makes no difference.
        talk.say(frame(SETTINGS, ACK, 0, &[]));
        let mut side = Self {
            talk,
            unread: Vec::new(),
        };
        fake.until("the preface", |_| {
            side.read();
            side.unread.starts_with(frames::PREFACE)
        });
        side.unread.drain(..frames::PREFACE.len());
        side.expect(fake, SETTINGS);
        side
    }

    pub(super) fn read(&mut self) {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = self.talk.tcp.read(&mut piece) {
            self.unread.extend_from_slice(&piece[..count]);
        }
    }

    /// Every frame that has come.
    pub(super) fn frames(&mut self) -> Vec<Frame> {
        self.read();
        std::iter::from_fn(|| Frame::take(&mut self.unread)).collect()
    }

    /// The next frame of a type; frames before it are skipped.
    #[track_caller]
    pub(super) fn expect(&mut self, fake: &mut Fake<Vec<u8>>, kind: u8) -> Frame {
        let mut found = None;
        fake.until("a frame", |_| {
            self.read();
            while found.is_none() {
                match Frame::take(&mut self.unread) {
                    Some(frame) if frame.kind == kind => found = Some(frame),
                    Some(_) => {}
                    None => break,
                }
            }
            found.is_some()
        });
        found.expect("a frame")
    }

    /// The streams of the next requests.
    #[track_caller]
    pub(super) fn requests(&mut self, fake: &mut Fake<Vec<u8>>, count: usize) -> Vec<u32> {
        (0..count)
            .map(|_| self.expect(fake, HEADERS).stream)
            .collect()
    }

    pub(super) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.talk.say(bytes);
    }
}

/// The changes of interest since the last call of this.
pub(super) fn interests(fake: &Fake<Vec<u8>>) -> Vec<Interest> {
    let interest = |told| match told {
        Told::Socket(_, interest) => Some(interest),
        Told::Timer(_) => None,
    };
    fake.told().into_iter().filter_map(interest).collect()
}

/// S3: one socket for two transfers, announced once, and removed when the second of them has left.
#[test]
fn s3_remove_comes_only_when_the_last_user_leaves() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let ids = [(); 2].map(|()| add(&mut fake, &peer));
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 2);
    fake.socket();
    fake.told();
    side.say(answer(streams[1], b"second"));
    assert_eq!(fake.result(ids[1]).unwrap().received, 6);
    assert_eq!(interests(&fake), []);
    side.say(answer(streams[0], b"first"));
    assert_eq!(fake.result(ids[0]).unwrap().received, 5);
    assert_eq!(interests(&fake), [Interest::Remove]);
    assert!(!side.talk.is_closed());
}

/// S3: the socket is watched if any of them receives. A paused one does not, and the other still does; without it the
/// socket is not watched (S5).
#[test]
fn s3_a_paused_transfer_takes_nothing_from_the_others() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let ids = [(); 2].map(|()| add(&mut fake, &peer));
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 2);
    fake.told();
    fake.pause(ids[0]).unwrap();
    side.say(answer(streams[0], b"patience"));
    side.say(answer(streams[1], b"at once"));
    fake.result(ids[1]).unwrap();
    assert_eq!(interests(&fake), [Interest::Remove]);
    assert_eq!((fake.received(ids[0]), fake.multi.running()), (0, 1));
    fake.resume(ids[0]).unwrap();
    assert_eq!(fake.result(ids[0]).unwrap().received, 8);
}

/// S3: a paused transfer keeps the others' share of the windows free, and takes no more than its own.
#[test]
fn s3_a_stream_that_rests_is_given_no_window_and_the_rest_have_theirs() {
    let peer = Peer::new();
    let mut fake = Fake::with(Options {
        protocol: Protocol::Http2,
        windows: Windows {
            stream: 1 << 20,
            connection: 1 << 20,
        },
        ..Options::default()
    });
    let ids = [(); 2].map(|()| add(&mut fake, &peer));
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 2);
    fake.pause(ids[0]).unwrap();
    for stream in &streams {
        side.say(head(*stream, "200", &[], 0));
    }
    let mut updates = Vec::new();
    // One and a half windows for the one, most of a window for the other: together more than the connection's initial
    // one.
    for _ in 0..15 {
        side.say(data(streams[1], &[1; 100_000], 0));
        side.say(data(streams[0], &[0; 60_000], 0));
        fake.settle();
        updates.extend(side.frames());
    }
    updates.retain(|frame| frame.kind == WINDOW_UPDATE);
    let has = |stream: u32| updates.iter().any(|update| update.stream == stream);
    assert!(has(0) && has(streams[1]) && !has(streams[0]));
    assert_eq!(
        (fake.received(ids[0]), fake.received(ids[1])),
        (0, 1_500_000)
    );
    fake.resume(ids[0]).unwrap();
    side.say(data(streams[0], b"", END_STREAM));
    assert_eq!(fake.result(ids[0]).unwrap().received, 900_000);
    side.say(data(streams[1], b"", END_STREAM));
    fake.result(ids[1]).unwrap();
}

/// K7: bytes that came while a stream was at rest are taken one budget at a time after the rest.
#[test]
fn k7_a_stream_that_was_at_rest_takes_what_came_in_turns() {
    const TOTAL: u64 = 5 << 20;
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let id = add(&mut fake, &peer);
    // Without another stream the socket would not be watched (S5), and the bytes would stay in the kernel.
    let other = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 2);
    fake.pause(id).unwrap();
    side.say(head(streams[0], "200", &[], 0));
    for _ in 0..TOTAL >> 16 {
        side.say(data(streams[0], &[7; 1 << 16], 0));
        fake.settle();
    }
    side.say(data(streams[0], b"", END_STREAM));
    fake.settle();
    fake.resume(id).unwrap();
    let mut before = 0;
    let mut turns = 0;
    while fake.kick().unwrap() > 1 {
        let received = fake.received(id);
        assert!((1..=3 << 20).contains(&(received - before)), "{received}");
        before = received;
        turns += 1;
    }
    assert_eq!((turns, fake.result(id).unwrap().received), (2, TOTAL));
    fake.remove(other).unwrap();
}

/// S5: a rate limit pauses one stream; a timer continues it.
#[test]
fn s5_a_rate_limited_stream_stalls_alone() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let mut easy = peer.easy("/");
    easy.max_recv_speed = Some(1000);
    let slow = fake.add(easy).unwrap();
    let fast = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 2);
    for stream in &streams {
        side.say(head(*stream, "200", &[], 0));
        for _ in 0..30 {
            side.say(data(*stream, &[0; 100], 0));
        }
        side.say(data(*stream, b"", END_STREAM));
    }
    assert_eq!(fake.result(fast).unwrap().received, 3000);
    let received = fake.received(slow);
    assert!(received < 1000, "{received}");
    fake.elapse(SECOND);
    assert!((900..1500).contains(&fake.received(slow)));
    fake.elapse(3 * SECOND);
    assert_eq!(fake.result(slow).unwrap().received, 3000);
}

/// L5: one hundred streams, even if the peer allows more; if no further connection may be opened, the others wait,
/// first come first served.
#[test]
fn l5_a_connection_carries_a_hundred_streams() {
    let peer = Peer::new();
    let mut fake = engine(Limits {
        per_origin: 1,
        ..Limits::default()
    });
    let ids: Vec<_> = (0..120).map(|_| add(&mut fake, &peer)).collect();
    let mut side = Side::accept(&peer, &mut fake, &[max_streams(1000)]);
    let streams = side.requests(&mut fake, 100);
    fake.settle();
    assert!(side.frames().iter().all(|frame| frame.kind != HEADERS));
    side.say(answer(streams[7], b""));
    fake.result(ids[7]).unwrap();
    assert_eq!(side.requests(&mut fake, 1), [201]);
    assert!(side.frames().iter().all(|frame| frame.kind != HEADERS));
    assert!(peer.try_accept().is_none());
}

/// L5: further connections are opened for streams that one connection does not take, one at a time.
#[test]
fn l5_more_than_a_connection_takes_opens_another() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    for _ in 0..150 {
        add(&mut fake, &peer);
    }
    let mut first = Side::accept(&peer, &mut fake, &[]);
    assert_eq!(first.requests(&mut fake, 100).len(), 100);
    let mut second = Side::accept(&peer, &mut fake, &[]);
    assert_eq!(second.requests(&mut fake, 50).len(), 50);
    fake.settle();
    assert!(peer.try_accept().is_none());
}

/// L5: the peer's setting applies, also after a change.
#[test]
fn l5_the_peers_cap_holds_and_new_streams_go_to_the_least_loaded_connection() {
    let peer = Peer::new();
    let mut fake = engine(Limits {
        per_origin: 2,
        ..Limits::default()
    });
    let first = add(&mut fake, &peer);
    let mut one = Side::accept(&peer, &mut fake, &[max_streams(2)]);
    one.expect(&mut fake, SETTINGS);
    add(&mut fake, &peer);
    add(&mut fake, &peer);
    let mut two = Side::accept(&peer, &mut fake, &[max_streams(2)]);
    two.expect(&mut fake, SETTINGS);
    add(&mut fake, &peer);
    add(&mut fake, &peer);
    fake.settle();
    let requests = |side: &mut Side| {
        let frames = side.frames().into_iter();
        frames.filter(|frame| frame.kind == HEADERS).count()
    };
    // Each has two, one of them before its settings were known; the fifth transfer waits.
    assert_eq!((requests(&mut one), requests(&mut two)), (1, 1));
    assert!(peer.try_accept().is_none());
    one.say(answer(1, b""));
    fake.result(first).unwrap();
    assert_eq!(one.requests(&mut fake, 1), [5]);
    // Room for two more, and one transfer that uses it.
    two.say(frames::settings(&[max_streams(4)]));
    two.expect(&mut fake, SETTINGS);
    add(&mut fake, &peer);
    assert_eq!(two.requests(&mut fake, 1), [5]);
}

/// L5: segments of one file do not share a connection while more may be opened, and each opens one at once.
#[test]
fn l5_an_extra_transfer_has_a_connection_to_itself_while_one_may_be_opened() {
    let peer = Peer::new();
    let mut fake = engine(Limits {
        per_origin: 3,
        ..Limits::default()
    });
    add(&mut fake, &peer);
    let mut whole = Side::accept(&peer, &mut fake, &[]);
    whole.requests(&mut fake, 1);
    for _ in 0..3 {
        let mut easy = peer.easy("/");
        easy.is_extra = true;
        fake.add(easy).expect("a live multi");
    }
    let mut first = Side::accept(&peer, &mut fake, &[]);
    let mut second = Side::accept(&peer, &mut fake, &[]);
    assert_eq!(first.requests(&mut fake, 1), [1]);
    assert_eq!(second.requests(&mut fake, 1), [1]);
    // No further one may be opened, so the last one shares.
    fake.settle();
    assert!(peer.try_accept().is_none());
    let shared: usize = [&mut whole, &mut first, &mut second]
        .into_iter()
        .map(|side| {
            side.frames()
                .iter()
                .filter(|frame| frame.kind == HEADERS)
                .count()
        })
        .sum();
    assert_eq!(shared, 1);
}

/// R3: a running transfer is removed: its stream is reset, the connection goes on, and a waiting transfer starts.
#[test]
fn r3_removing_resets_the_stream_and_starts_one_that_waits() {
    let peer = Peer::new();
    let mut fake = engine(Limits {
        transfers: 2,
        per_origin: 1,
        ..Limits::default()
    });
    let ids = [(); 4].map(|()| add(&mut fake, &peer));
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 2);
    side.say(head(streams[0], "200", &[("content-length", "10")], 0));
    side.say(data(streams[0], b"half", 0));
    fake.until("half", |fake| fake.received(ids[0]) == 4);
    fake.told();
    fake.remove(ids[0]).unwrap();
    let told = side.expect(&mut fake, RST_STREAM);
    assert_eq!((told.stream, told.code()), (streams[0], 8));
    let third = side.requests(&mut fake, 1);
    assert_eq!(interests(&fake), []);
    side.say(data(streams[0], b"what was on its way", 0));
    side.say(answer(streams[1], b"on"));
    side.say(answer(third[0], b"on"));
    fake.result(ids[1]).unwrap();
    fake.result(ids[2]).unwrap();
    let fourth = side.requests(&mut fake, 1);
    side.say(answer(fourth[0], b"on"));
    fake.result(ids[3]).unwrap();
}

/// R3, S6: removing the last of them leaves the connection idle, and dropping the engine closes it.
#[test]
fn r3_a_connection_is_kept_after_all_its_streams_were_removed() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let ids = [(); 3].map(|()| add(&mut fake, &peer));
    let mut side = Side::accept(&peer, &mut fake, &[]);
    side.requests(&mut fake, 3);
    fake.told();
    ids.into_iter()
        .for_each(|id| drop(fake.remove(id).unwrap()));
    assert_eq!(interests(&fake), [Interest::Remove]);
    let id = add(&mut fake, &peer);
    let streams = side.requests(&mut fake, 1);
    side.say(answer(streams[0], b"again"));
    assert!(fake.result(id).unwrap().is_reused);
    drop(fake);
    assert!(side.talk.is_closed());
}

/// Frames of the peer on an idle connection are read before it is reused, and answered.
#[test]
fn an_idle_connection_is_looked_at_before_it_is_used_again() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let first = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 1);
    side.say(answer(streams[0], b"1"));
    fake.result(first).unwrap();
    side.say(frame(PING, 0, 0, b"anybody?"));
    let second = add(&mut fake, &peer);
    assert_eq!(side.expect(&mut fake, PING).flags, ACK);
    let streams = side.requests(&mut fake, 1);
    side.say(answer(streams[0], b"2"));
    fake.result(second).unwrap();
    assert!(peer.try_accept().is_none());
}

/// A GOAWAY or an end that came while the socket was not watched: the transfer takes another connection, without
/// notice.
#[test]
fn an_idle_connection_that_died_unseen_is_replaced() {
    type End = fn(Side);
    let ends: [End; 3] = [
        |mut side| side.say(goaway(1, 0)),
        drop,
        |side| side.talk.reset(),
    ];
    for end in ends {
        let peer = Peer::new();
        let mut fake = engine(Limits::default());
        let first = add(&mut fake, &peer);
        let mut side = Side::accept(&peer, &mut fake, &[]);
        let streams = side.requests(&mut fake, 1);
        side.say(answer(streams[0], b"1"));
        fake.result(first).unwrap();
        end(side);
        let ids = [(); 3].map(|()| add(&mut fake, &peer));
        let mut side = Side::accept(&peer, &mut fake, &[]);
        let streams = side.requests(&mut fake, 3);
        streams
            .iter()
            .for_each(|stream| side.say(answer(*stream, b"2")));
        ids.into_iter()
            .for_each(|id| drop(fake.result(id).unwrap()));
        assert!(peer.try_accept().is_none());
    }
}

/// Each stream has its own clocks. A connection that was silent for as long gets no further streams.
#[test]
fn a_stall_on_a_silent_connection_moves_the_others_elsewhere() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let early = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    side.requests(&mut fake, 1);
    fake.elapse(29 * SECOND);
    let late = add(&mut fake, &peer);
    side.requests(&mut fake, 1);
    fake.elapse(SECOND);
    let error = fake.result(early).unwrap_err();
    assert!(matches!(error.fault(), Fault::Timeout { .. }), "{error}");
    let fresh = add(&mut fake, &peer);
    let mut other = Side::accept(&peer, &mut fake, &[]);
    let streams = other.requests(&mut fake, 1);
    other.say(answer(streams[0], b"alive"));
    fake.result(fresh).unwrap();
    // The late transfer is still on the old connection, which closes with it.
    // It gets more time, since its origin sends bytes to others.
    assert!(!side.talk.is_closed());
    fake.elapse(59 * SECOND);
    fake.result(late).unwrap_err();
    side.frames();
    assert!(side.talk.is_closed());
}

/// A stream that stalls while others receive: the stream is slow, not the connection.
#[test]
fn a_stall_beside_a_busy_stream_is_that_streams_own() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let silent = add(&mut fake, &peer);
    let busy = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 2);
    side.say(head(streams[1], "200", &[], 0));
    for count in 1..=30 * u64::from(PATIENCE) {
        side.say(data(streams[1], b"x", 0));
        fake.until("a byte", |fake| fake.received(busy) == count);
        fake.elapse(SECOND);
    }
    fake.result(silent).unwrap_err();
    assert_eq!(side.expect(&mut fake, RST_STREAM).stream, streams[0]);
    let next = add(&mut fake, &peer);
    let third = side.requests(&mut fake, 1);
    side.say(answer(third[0], b""));
    fake.result(next).unwrap();
    side.say(data(streams[1], b"", END_STREAM));
    fake.result(busy).unwrap();
}

/// A 503 on one stream holds the origin, as over HTTP/1.1.
#[test]
fn a_stream_answered_503_holds_its_origin() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let id = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 1);
    side.say(head(streams[0], "503", &[], END_STREAM));
    assert_eq!(fake.result(id).unwrap_err().status(), Some(503));
    let url = peer.url("/");
    fake.call(|multi, now| multi.hold(&url, now + SECOND, now))
        .unwrap();
    let other = add(&mut fake, &peer);
    fake.elapse(SECOND - Duration::from_millis(1));
    assert!(side.frames().iter().all(|frame| frame.kind != HEADERS));
    fake.elapse(Duration::from_millis(1));
    let streams = side.requests(&mut fake, 1);
    side.say(answer(streams[0], b""));
    fake.result(other).unwrap();
}

/// Transfers to an unknown origin wait for its first connection, but not for ever.
#[test]
fn patience_with_the_first_connection_has_an_end() {
    let peer = Peer::new();
    let mut fake: Fake<Vec<u8>> = Fake::new();
    let url = format!("https://{}/", peer.address());
    for _ in 0..3 {
        let mut easy = peer.easy("/");
        easy.url = url.parse().unwrap();
        fake.add(easy).unwrap();
    }
    let _first = peer.accept(&mut fake);
    fake.elapse(2 * SECOND - Duration::from_millis(1));
    assert!(peer.try_accept().is_none());
    fake.elapse(Duration::from_millis(1));
    let _others = [(); 2].map(|()| peer.accept(&mut fake));
}

/// The first connection fails: the other transfers do not wait for the next one.
#[test]
fn a_first_connection_that_fails_lets_the_others_open_theirs() {
    let peer = Peer::new();
    let mut fake: Fake<Vec<u8>> = Fake::new();
    let url = format!("https://{}/", peer.address());
    for _ in 0..3 {
        let mut easy = peer.easy("/");
        easy.url = url.parse().unwrap();
        fake.add(easy).unwrap();
    }
    peer.accept(&mut fake).reset();
    let _others = [(); 2].map(|()| peer.accept(&mut fake));
}

/// A peer that floods and does not read is not read from any more: the answers to it are bounded, and its bytes wait
/// until these were sent.
#[test]
fn what_must_be_answered_is_read_as_fast_as_the_answers_go() {
    const PINGS: usize = 20_000;
    let mut session = Session::new(Windows::default());
    let mut sent = 0;
    let mut most = 0;
    let mut send = |bytes: &[u8]| {
        most = most.max(bytes.len());
        sent += bytes.len().min(1000);
        Ok::<_, Fault>(bytes.len().min(1000))
    };
    session.transmit(&mut send).unwrap();
    let flood = frame(PING, 0, 0, b"flooding").repeat(PINGS);
    let bytes = [frames::settings(&[]), flood].concat();
    let length = bytes.len();
    session.receive(bytes.into(), 0..length);
    assert!(session.is_clogged() && session.has_output());
    assert!(session.transmit(send).unwrap());
    assert!(!session.is_clogged() && !session.has_output());
    assert!(sent > PINGS * 17, "{sent}");
    assert!(most < 128 * 1024, "{most}");
}

/// L5: a connection that takes no further streams closes after its last one and makes room for another, without an
/// event.
#[test]
fn l5_a_connection_that_allows_no_streams_any_more_makes_room_for_another() {
    let peer = Peer::new();
    let mut fake = engine(Limits {
        per_origin: 1,
        ..Limits::default()
    });
    let id = add(&mut fake, &peer);
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let stream = side.requests(&mut fake, 1)[0];
    side.say(frames::settings(&[max_streams(0)]));
    side.say(head(stream, "302", &[("location", "/b")], END_STREAM));
    let mut other = Side::accept(&peer, &mut fake, &[]);
    let stream = other.requests(&mut fake, 1)[0];
    other.say(answer(stream, b"elsewhere"));
    assert_eq!(fake.result(id).unwrap().received, 9);
}
