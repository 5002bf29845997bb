//! Idleness: a waiting transfer causes no calls (E2), and something wakes each waiting transfer (E3), also after
//! pauses and rate limits.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use gannet::error::{Fault, Timeout};
use gannet::multi::{Easy, Options, Target};

use super::fake::Fake;
use super::ledger::Timer;
use super::peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

/// E2: calls of the engine are counted over ten seconds without any event. Virtual time shows them all:
/// between them the loop would sleep.
#[test]
fn e2_waiting_transfers_cost_nothing() {
    let peer = Peer::new();
    let mut options = Options::default();
    options.limits.per_origin = 3;
    let mut fake = Fake::with(options);
    let paused = fake.add(peer.easy("/paused")).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.head(100);
    talk.say("some of it");
    fake.until("some of it", |fake| fake.received(paused) == 10);
    fake.pause(paused).unwrap();
    talk.say("more of it");
    fake.add(peer.easy("/silent")).unwrap();
    let _silent = peer.asked(&mut fake);
    let mut retried = peer.easy("/retried");
    retried.delay = Some(60 * SECOND);
    fake.add(retried).unwrap();
    fake.add(Easy::new("http://name.test/".parse().unwrap(), Vec::new()))
        .unwrap();
    fake.settle();
    for _ in 0..100 {
        fake.add(peer.easy("/pending")).unwrap();
    }
    let _third = peer.asked(&mut fake);
    assert_eq!(fake.elapse(9 * SECOND), 0);
    assert_eq!(fake.multi.running(), 104);
}

/// E2: the processor time of an application that waits with poll(2) for a second.
#[test]
fn e2_a_second_of_waiting_takes_no_processor_time() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let ids = [(); 20].map(|()| fake.add(peer.easy("/")).expect("a live multi"));
    let mut talks = Vec::new();
    for id in ids {
        let mut talk = peer.asked(&mut fake);
        talk.head(1000);
        talk.say("some of it");
        talks.push(talk);
        if talks.len() % 2 == 0 {
            fake.pause(id).unwrap();
        }
    }
    let mut delayed = peer.easy("/delayed");
    delayed.delay = Some(60 * SECOND);
    fake.add(delayed).unwrap();
    fake.settle();
    let (start, before) = (Instant::now(), processor_time());
    while start.elapsed() < SECOND {
        for (socket, ready) in fake.ready(SECOND.saturating_sub(start.elapsed())) {
            fake.act(Target::Socket(socket), ready).unwrap();
        }
        fake.settle();
    }
    let spent = processor_time() - before;
    assert!(spent < SECOND / 10, "{spent:?}");
}

/// The processor time of this thread so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.expect("the clock").into()
}

/// E2: a transfer with a limit of 1,000 bytes per second is woken ten times a second, not for each byte that comes.
#[test]
fn e2_a_rate_limited_transfer_is_woken_for_its_grants_only() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let mut easy = peer.easy("/");
    easy.max_recv_speed = Some(1000);
    let id = fake.add(easy).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.head(8000);
    talk.say("x".repeat(8000));
    fake.until("the limit", |fake| fake.ledger().sockets.is_empty());
    let before = fake.received(id);
    let calls = fake.elapse(5 * SECOND);
    let received = fake.received(id) - before;
    assert!((4500..=5500).contains(&received), "{received} bytes");
    assert!(calls <= 5 * 11 * 2, "{calls} calls");
    fake.elapse(5 * SECOND);
    fake.result(id).unwrap();
}

/// E2: a discarded body causes no busy loop while its transfer is paused.
#[test]
fn e2_a_paused_redirect_is_no_busy_loop() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.say("HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 50\r\n\r\nsome");
    let is_draining = |fake: &mut Fake<_>| matches!(fake.ledger().timer, Timer::At(at) if at <= fake.now() + SECOND);
    fake.until("the head", is_draining);
    fake.pause(id).unwrap();
    let calls = fake.elapse(10 * SECOND);
    assert!(calls <= 5, "{calls} calls");
    fake.resume(id).unwrap();
    let mut talk = peer.accept(&mut fake);
    assert!(talk.request(&mut fake).starts_with("GET /next "));
    talk.answer("done");
    fake.result(id).unwrap();
}

/// E2: a rate limit does not make the engine wait for a discarded body.
#[test]
fn e2_a_rate_limited_redirect_is_followed_without_its_body() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let mut easy = peer.easy("/");
    easy.max_recv_speed = Some(1000);
    let id = fake.add(easy).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.say("HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 50000\r\n\r\n");
    talk.say("x".repeat(50000));
    fake.elapse(2 * SECOND);
    let mut talk = peer.accept(&mut fake);
    assert!(talk.request(&mut fake).starts_with("GET /next "));
    talk.answer("done");
    fake.elapse(SECOND);
    fake.result(id).unwrap();
}

/// E3: the stall timeout does not run while a transfer is paused, and starts again from zero afterwards.
#[test]
fn e3_a_resumed_transfer_can_stall_again() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.head(100);
    fake.settle();
    fake.pause(id).unwrap();
    assert_eq!(fake.elapse(3600 * SECOND), 0);
    fake.resume(id).unwrap();
    fake.elapse(29 * SECOND);
    assert_eq!(fake.multi.running(), 1);
    fake.elapse(SECOND);
    let error = fake.result(id).unwrap_err();
    assert!(matches!(
        error.fault(),
        Fault::Timeout {
            kind: Timeout::Stall,
            ..
        }
    ));
}

/// E3: a transfer that is paused before its request was sent connects and sends, and stops before the response.
#[test]
fn e3_a_transfer_that_is_held_from_the_start_stops_before_its_answer() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    fake.pause(id).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.answer("waits");
    assert_eq!(fake.elapse(60 * SECOND), 0, "{:?}", fake.told());
    fake.resume(id).unwrap();
    assert_eq!(fake.result(id).unwrap().received, 5);
}

/// E3: the connect timeout ends a lookup that hangs; an answer wakes the transfers that wait for it.
#[test]
fn e3_a_lookup_is_waited_for_no_longer_than_a_connection() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let url = format!("http://name.test:{}/", peer.address().port());
    let easy = || Easy::new(url.parse().unwrap(), Vec::new());
    let lost = fake.add(easy()).unwrap();
    fake.settle();
    assert_eq!(fake.ledger().lookups, ["name.test"]);
    fake.elapse(10 * SECOND);
    let error = fake.result(lost).unwrap_err();
    assert!(matches!(
        error.fault(),
        Fault::Timeout {
            kind: Timeout::Lookup,
            ..
        }
    ));
    let found = fake.add(easy()).unwrap();
    fake.settle();
    fake.answer_lookups();
    peer.asked(&mut fake).answer("found");
    assert!(fake.result(found).is_ok());
}

/// E1: a level-triggered loop names a socket again and again, an edge-triggered one only once; both have the same
/// result. Here each piece is reported once, with an empty mask.
#[test]
fn e1_each_piece_needs_one_event_under_edge_and_level_alike() {
    for repeats in [1, 3] {
        let peer = Peer::new();
        let mut fake = Fake::new();
        let id = fake.add(peer.easy("/")).unwrap();
        let mut talk = peer.asked(&mut fake);
        let socket = fake.socket();
        talk.head(40);
        for at in 1..=4 {
            talk.say("0123456789");
            assert_eq!(fake.ready(10 * SECOND).len(), 1);
            for _ in 0..repeats {
                fake.act(Target::Socket(socket), Default::default())
                    .unwrap();
            }
            assert!(at == 4 || fake.received(id) == at * 10);
        }
        assert_eq!(fake.result(id).unwrap().received, 40);
    }
}
