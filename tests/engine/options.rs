//! Options that change while transfers run: transfers that may run then do, and unchanged options keep their state.

use std::time::{Duration, Instant, SystemTime};

use gannet::http::Jar;
use gannet::multi::{Limits, Options, TransferId};

use super::fake::Fake;
use super::peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

fn is_dispatched(fake: &Fake<Vec<u8>>, id: TransferId) -> bool {
    let progress = fake.multi.progress(id);
    progress.is_some_and(|progress| progress.is_dispatched)
}

/// Changes one option, as an application does that keeps no copy of the options.
fn change(fake: &mut Fake<Vec<u8>>, change: impl FnOnce(&mut Options)) {
    let mut options = fake.multi.options().clone();
    change(&mut options);
    fake.call(|multi, _| multi.set_options(options));
}

/// An engine with one slot, which a paused transfer has, and another transfer that waits.
fn one_paused_and_one_that_waits(
    limits: Limits,
    peers: [&Peer; 2],
) -> (Fake<Vec<u8>>, [TransferId; 2]) {
    let mut fake = Fake::with(Options {
        limits,
        ..Options::default()
    });
    let ids = peers.map(|peer| fake.add(peer.easy("/")).expect("a live multi"));
    let _talk = peers[0].asked(&mut fake);
    fake.pause(ids[0]).expect("it is there");
    fake.settle();
    assert!(!is_dispatched(&fake, ids[1]));
    (fake, ids)
}

/// L3, T4: no event reports that there is a free slot now.
#[test]
fn l3_raised_limits_start_those_that_wait() {
    let (peer, other) = (Peer::new(), Peer::new());
    let limits = Limits::default;
    for (limits, second) in [
        (
            Limits {
                transfers: 1,
                ..limits()
            },
            &peer,
        ),
        (
            Limits {
                per_origin: 1,
                ..limits()
            },
            &peer,
        ),
        (
            Limits {
                connections: 1,
                ..limits()
            },
            &other,
        ),
    ] {
        let (mut fake, ids) = one_paused_and_one_that_waits(limits, [&peer, second]);
        fake.call(|multi, _| multi.set_options(Options::default()));
        assert_eq!(fake.multi.timeout(fake.now()), Some(Duration::ZERO));
        fake.settle();
        assert!(is_dispatched(&fake, ids[1]));
    }
}

/// T2: after a change that lets no transfer run, the timer function is not called.
#[test]
fn t2_options_that_change_nothing_announce_nothing() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    fake.add(peer.easy("/")).unwrap();
    peer.asked(&mut fake);
    fake.settle();
    fake.told();
    change(&mut fake, |options| options.limits.per_origin = 3);
    assert_eq!(fake.told(), []);
}

/// L1: idle connections beyond a new limit close without an event.
#[test]
fn l1_idle_connections_that_are_too_many_now_close() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.answer("kept");
    fake.result(id).unwrap();
    assert!(!talk.is_closed());
    change(&mut fake, |options| options.limits.idle = 0);
    fake.settle();
    assert!(talk.is_closed());
}

/// A transfer that waits for an old rate limit checks the new one.
#[test]
fn a_rate_limit_that_is_lifted_holds_up_no_transfer() {
    let peer = Peer::new();
    let mut fake = Fake::with(Options {
        max_recv_speed: Some(1),
        ..Options::default()
    });
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.answer(&"x".repeat(10_000));
    fake.settle();
    assert!(fake.ledger().sockets.is_empty(), "it waits for its turn");
    change(&mut fake, |options| options.max_recv_speed = None);
    assert_eq!(fake.result(id).unwrap().received, 10_000);
}

/// An unchanged rate limit is not restarted: that would give credit for each change of another option.
#[test]
fn a_rate_limit_goes_on_when_another_option_changes() {
    let peer = Peer::new();
    let mut fake = Fake::with(Options {
        max_recv_speed: Some(10_000),
        ..Options::default()
    });
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.head(100_000);
    talk.say(vec![b'x'; 100_000]);
    fake.settle();
    for turn in 0..50 {
        change(&mut fake, |options| options.limits.per_origin = turn);
        fake.settle();
    }
    let received = fake.received(id);
    assert!(received <= 3_000, "{received} bytes in no time");
}

#[test]
fn a_shorter_interval_between_starts_counts_at_once() {
    let peer = Peer::new();
    let mut fake = Fake::with(Options {
        start_interval: Some(3600 * SECOND),
        ..Options::default()
    });
    let ids = [(); 3].map(|()| fake.add(peer.easy("/")).unwrap());
    fake.settle();
    let started = |fake: &Fake<Vec<u8>>| ids.map(|id| is_dispatched(fake, id));
    assert_eq!(started(&fake), [true, false, false]);
    change(&mut fake, |options| options.start_interval = Some(SECOND));
    fake.elapse(SECOND);
    assert_eq!(started(&fake), [true, true, false]);
    change(&mut fake, |options| options.start_interval = None);
    fake.settle();
    assert_eq!(started(&fake), [true; 3]);
}

/// The application keeps a copy of the options from before there was a cookie.
#[test]
fn cookies_that_were_learned_outlive_a_change_of_another_option() {
    let peer = Peer::new();
    let mut options = Options {
        cookies: Some(Jar::new(Vec::new(), Instant::now(), SystemTime::now())),
        ..Options::default()
    };
    let mut fake = Fake::with(options.clone());
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    talk.say("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n");
    fake.result(id).unwrap();
    options.limits.per_origin = 3;
    fake.call(|multi, _| multi.set_options(options.clone()));
    let id = fake.add(peer.easy("/")).unwrap();
    assert!(talk.request(&mut fake).contains("Cookie: a=b"));
    talk.answer("");
    fake.result(id).unwrap();
    // Another jar replaces the jar, and no jar removes it.
    let others = [
        Some(Jar::new(Vec::new(), Instant::now(), SystemTime::now())),
        None,
    ];
    for jar in others {
        change(&mut fake, |options| options.cookies = jar);
        let id = fake.add(peer.easy("/")).unwrap();
        assert!(!talk.request(&mut fake).contains("Cookie"));
        talk.answer("");
        fake.result(id).unwrap();
    }
}
