//! What the socket function is told, S1 to S7, and data that is assigned to sockets, A1 to A4.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gannet::multi::{Easy, Interest, Options, Ready, Target};
use gannet::{MultiError, error::Fault, http::Field};

use super::fake::Fake;
use super::ledger::Told;
use super::peer::{Peer, Wall};

/// The calls of the socket function, without the numbers.
fn interests(fake: &Fake<Vec<u8>>) -> Vec<Interest> {
    let of_sockets = |told| match told {
        Told::Socket(_, interest) => Some(interest),
        Told::Timer(_) => None,
    };
    fake.told().into_iter().filter_map(of_sockets).collect()
}

/// Adds a transfer without waiting for its connection, which on loopback is mostly established at once.
fn connected(fake: &Fake<Vec<u8>>) -> Vec<Interest> {
    let mut interests = interests(fake);
    interests.retain(|interest| *interest != Interest::Out);
    interests
}

/// S1: pieces of a response do not change the interest, so the function is not called.
/// S2: registered for reading, removed. On loopback a connection is established at once, or a little later.
#[test]
fn what_a_server_said_before_it_would_take_no_more_is_its_answer() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let mut easy = peer.easy("/");
    let long = format!("X: {}", "x".repeat(16 << 20));
    easy.headers = [Field::parse(&long).expect("a field")].into();
    let id = fake.add(easy).expect("added");
    let mut talk = peer.accept(&mut fake);
    fake.settle();
    talk.say("HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n");
    // Unread bytes turn its close into a reset.
    drop(talk);
    fake.until("an end", |fake| fake.read() > 0);
    let error = fake.result(id).expect_err("an error status");
    assert_eq!(error.status(), Some(431), "{error}");
}

#[test]
fn s1_s2_only_changes_are_told() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.head(30);
    for _ in 0..3 {
        let before = fake.received(id);
        talk.say("0123456789");
        fake.until("ten bytes", |fake| {
            fake.received(id) == before + 10 || fake.multi.running() == 0
        });
    }
    assert!(fake.result(id).is_ok());
    assert_eq!(connected(&fake), [Interest::In, Interest::Remove]);
}

/// S1: with a second transfer over the same connection the socket is watched again; if it follows in the same call, the
/// interest does not change.
#[test]
fn s1_a_reused_socket_that_is_wanted_as_before_is_no_news() {
    let peer = Peer::new();
    let mut options = Options::default();
    options.limits.per_origin = 1;
    let mut fake = Fake::with(options);
    fake.add(peer.easy("/1")).unwrap();
    let second = fake.add(peer.easy("/2")).unwrap();
    let mut talk = peer.asked(&mut fake);
    fake.told();
    talk.answer("one");
    assert!(talk.request(&mut fake).starts_with("GET /2 "));
    assert_eq!(interests(&fake), []);
    talk.answer("two");
    assert!(fake.result(second).unwrap().is_reused);
    assert_eq!(interests(&fake), [Interest::Remove]);
}

/// One port on three addresses: two of them never answer, the third is a peer.
fn two_walls_and_a_peer() -> (Wall, Wall, Peer) {
    let on = |host, port| SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), port));
    for _ in 0..20 {
        let first = Wall::on(on(1, 0)).expect("a free port");
        let port = first.address.port();
        if let (Ok(second), Ok(peer)) = (Wall::on(on(2, port)), Peer::on(on(3, port))) {
            return (first, second, peer);
        }
    }
    panic!("no port is free on three addresses");
}

/// S3: addresses that race have a socket each. (Several users of one socket come with HTTP/2.)
/// S2: each waits to be writable. S4: the losers are removed, then closed.
#[test]
fn s3_a_transfer_has_several_sockets_while_addresses_race() {
    let (first, second, peer) = two_walls_and_a_peer();
    let (port, pace) = (peer.address().port(), Duration::from_millis(250));
    let addresses = vec![first.address.ip(), second.address.ip(), peer.address().ip()];
    let mut fake = Fake::with(Options {
        overrides: HashMap::from([(("race.test".to_owned(), port), addresses)]),
        ..Options::default()
    });
    let url = format!("http://race.test:{port}/");
    let id = fake
        .add(Easy::new(url.parse().unwrap(), Vec::new()))
        .unwrap();
    fake.settle();
    assert_eq!(interests(&fake), [Interest::Out]);
    fake.elapse(pace);
    assert_eq!(interests(&fake), [Interest::Out]);
    let users: Vec<_> = fake
        .ledger()
        .sockets
        .values()
        .map(|socket| socket.transfer)
        .collect();
    assert_eq!(users, [id, id]);
    fake.elapse(pace);
    let mut talk = peer.asked(&mut fake);
    let told = interests(&fake);
    assert_eq!(
        told.iter()
            .filter(|interest| **interest == Interest::Remove)
            .count(),
        2
    );
    assert_eq!(fake.ledger().sockets.len(), 1);
    talk.answer("quick");
    assert_eq!(fake.result(id).unwrap().address, Some(peer.address()));
}

/// S4: a socket that breaks is removed while it is open; the number may come back at once, as new.
#[test]
fn s4_a_socket_is_removed_before_it_is_closed_and_its_number_comes_back_as_new() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    for _ in 0..4 {
        let id = fake.add(peer.easy("/")).unwrap();
        peer.asked(&mut fake).reset();
        assert!(matches!(
            fake.result(id).unwrap_err().fault(),
            Fault::ConnectionLost(_)
        ));
        assert_eq!(connected(&fake), [Interest::In, Interest::Remove]);
    }
}

/// S5: a removed socket is not closed.
#[test]
fn s5_a_paused_transfer_gives_its_socket_up_and_takes_it_back() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    let socket = fake.socket();
    fake.told();
    fake.pause(id).unwrap();
    assert_eq!(interests(&fake), [Interest::Remove]);
    talk.answer("patience");
    fake.settle();
    assert!(!talk.is_closed());
    assert_eq!(fake.received(id), 0);
    fake.resume(id).unwrap();
    assert!(fake.result(id).is_ok());
    let told = fake
        .told()
        .into_iter()
        .filter(|told| matches!(told, Told::Socket(..)));
    assert_eq!(told.collect::<Vec<_>>(), []);
    assert!(fake.act(Target::Socket(socket), Ready::IN).is_ok());
}

/// S5: a transfer that waits for a rate limit.
#[test]
fn s5_a_rate_limited_transfer_gives_its_socket_up_and_takes_it_back() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let mut easy = peer.easy("/");
    easy.max_recv_speed = Some(1000);
    let id = fake.add(easy).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.answer(&"x".repeat(2000));
    fake.until("the limit", |fake| fake.ledger().sockets.is_empty());
    assert!(!talk.is_closed());
    let received = fake.received(id);
    fake.elapse(Duration::from_millis(500));
    assert!(fake.received(id) > received);
    fake.elapse(Duration::from_secs(2));
    assert_eq!(fake.result(id).unwrap().received, 2000);
}

/// S6.
#[test]
fn s6_removals_are_told_from_remove_and_from_drop() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let first = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    fake.told();
    fake.remove(first).unwrap();
    assert_eq!(interests(&fake), [Interest::Remove]);
    assert!(talk.is_closed());
    fake.add(peer.easy("/")).unwrap();
    peer.asked(&mut fake);
    fake.told();
    let ledger = fake.into_ledger();
    assert!(ledger.borrow().sockets.is_empty());
    assert!(matches!(
        ledger.borrow().log[..],
        [Told::Socket(_, Interest::Remove)]
    ));
}

/// S7.
#[test]
fn s7_a_function_that_is_set_late_is_told_of_what_is_open() {
    let peer = Peer::new();
    let mut fake = Fake::deaf();
    let now = fake.now();
    let id = fake.multi.add(peer.easy("/")).unwrap();
    fake.multi
        .socket_action(Target::Timeout, Ready::EMPTY, now)
        .unwrap();
    fake.listen();
    assert_eq!(fake.told(), []);
    fake.kick().unwrap();
    assert!(matches!(
        interests(&fake)[..],
        [Interest::In | Interest::Out]
    ));
    peer.asked(&mut fake).answer("late");
    assert!(fake.result(id).is_ok());
}

/// A1: idle connections' sockets are not announced, so they are unknown too.
#[test]
fn a1_assigning_to_an_unknown_socket_is_bad_socket() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    let socket = fake.socket();
    fake.call(|multi, _| multi.assign(socket, "known")).unwrap();
    talk.answer("done");
    fake.result(id).unwrap();
    for unknown in [-1, 0, socket, i32::MAX] {
        let result = fake.call(|multi, _| multi.assign(unknown, "unknown"));
        assert_eq!(result, Err(MultiError::BadSocket));
    }
}

/// A2, A3: empty at first; then the last data, up to the removal, which still shows it.
#[test]
fn a2_a3_the_last_value_wins_and_is_dropped_at_remove_which_shows_it() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let first = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    let socket = fake.socket();
    let shown = |fake: &Fake<_>| fake.ledger().shown[&socket];
    assert_eq!(shown(&fake), None);
    fake.call(|multi, _| multi.assign(socket, "first")).unwrap();
    fake.call(|multi, _| multi.assign(socket, "second"))
        .unwrap();
    talk.answer("one");
    fake.result(first).unwrap();
    assert_eq!(shown(&fake), Some("second"));
    let second = fake.add(peer.easy("/")).unwrap();
    talk.request(&mut fake);
    assert_eq!((fake.socket(), shown(&fake)), (socket, None));
    talk.answer("two");
    fake.result(second).unwrap();
}

/// A4.
#[test]
fn a4_assigning_works_from_inside_the_socket_function() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    fake.ledger_mut().assigns = Some("from inside");
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    let socket = fake.socket();
    talk.answer("done");
    fake.result(id).unwrap();
    assert_eq!(fake.ledger().shown[&socket], Some("from inside"));
}
