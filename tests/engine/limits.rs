//! How many connections and transfers there are at once, which transfers wait, and when clocks start: L1 to L4.

use std::time::Duration;

use gannet::error::{Fault, Timeout};
use gannet::multi::{Limits, Options, TransferId};

use super::fake::Fake;
use super::http2::{Side, engine};
use super::peer::{Peer, Talk};
use crate::server::frames::{SETTINGS, answer, max_streams};

fn limited(limits: Limits) -> Fake<Vec<u8>> {
    Fake::with(Options {
        limits,
        ..Options::default()
    })
}

fn add(fake: &mut Fake<Vec<u8>>, peer: &Peer) -> TransferId {
    fake.add(peer.easy("/")).expect("a live multi")
}

/// Every transfer is answered at once, each over a separate connection, in the order of adding.
fn answer_together(fake: &mut Fake<Vec<u8>>, peers: &[&Peer]) -> Vec<Talk> {
    let ids: Vec<_> = peers.iter().map(|peer| add(fake, peer)).collect();
    let mut talks: Vec<_> = peers.iter().map(|peer| peer.asked(fake)).collect();
    for (talk, id) in talks.iter_mut().zip(ids) {
        talk.answer("done");
        fake.result(id).expect("a whole answer");
    }
    talks
}

/// The number of these that were dispatched.
fn dispatched(fake: &Fake<Vec<u8>>, ids: &[TransferId]) -> usize {
    let is_dispatched = |id: &&TransferId| {
        fake.multi
            .progress(**id)
            .is_some_and(|progress| progress.is_dispatched)
    };
    ids.iter().filter(is_dispatched).count()
}

/// L1: of three connections that become idle one after the other, two are kept, the last two.
#[test]
fn l1_at_most_so_many_idle_connections_are_kept_and_the_longest_idle_goes_first() {
    let peers = [Peer::new(), Peer::new(), Peer::new()];
    let mut fake = limited(Limits {
        idle: 2,
        ..Limits::default()
    });
    let mut talks = answer_together(&mut fake, &[&peers[0], &peers[1], &peers[2]]);
    let closed: Vec<_> = talks.iter_mut().map(Talk::is_closed).collect();
    assert_eq!(closed, [true, false, false]);
}

/// L1: one that has been idle for so long that the server has probably closed it is not used.
#[test]
fn l1_a_connection_that_has_been_idle_for_two_minutes_is_not_used() {
    for (seconds, is_used) in [(117, true), (118, false)] {
        let peer = Peer::new();
        let mut fake = Fake::new();
        let mut talk = answer_together(&mut fake, &[&peer]).remove(0);
        fake.elapse(Duration::from_secs(seconds));
        let id = add(&mut fake, &peer);
        if !is_used {
            talk = peer.asked(&mut fake);
        } else {
            talk.request(&mut fake);
        }
        talk.answer("done");
        fake.result(id).expect("a whole answer");
    }
}

/// L1: with 0, none is kept.
#[test]
fn l1_no_idle_connection_is_kept_where_none_may_be() {
    let peer = Peer::new();
    let mut fake = limited(Limits {
        idle: 0,
        ..Limits::default()
    });
    let mut talks = answer_together(&mut fake, &[&peer]);
    assert!(talks[0].is_closed());
}

/// L2: for one origin; another origin does not wait for it.
#[test]
fn l2_connections_to_one_origin_are_capped() {
    let (busy, other) = (Peer::new(), Peer::new());
    let mut fake = limited(Limits {
        per_origin: 2,
        ..Limits::default()
    });
    let ids = [(); 5].map(|()| add(&mut fake, &busy));
    let apart = add(&mut fake, &other);
    let mut talks = [(); 2].map(|()| busy.asked(&mut fake));
    let mut elsewhere = other.asked(&mut fake);
    assert!(busy.try_accept().is_none());
    assert_eq!(dispatched(&fake, &ids), 2);
    elsewhere.answer("not held up");
    fake.result(apart).unwrap();
    talks[0].answer("done");
    talks[0].request(&mut fake);
    assert!(busy.try_accept().is_none());
}

/// L2: in all; an idle connection closes for one to another origin.
#[test]
fn l2_connections_in_all_are_capped_and_idle_ones_give_way() {
    let (first, second) = (Peer::new(), Peer::new());
    let mut fake = limited(Limits {
        connections: 1,
        ..Limits::default()
    });
    let one = add(&mut fake, &first);
    let two = add(&mut fake, &second);
    let mut talk = first.asked(&mut fake);
    assert!(second.try_accept().is_none());
    talk.answer("done");
    fake.result(one).unwrap();
    second.asked(&mut fake).answer("done");
    assert!(talk.is_closed());
    fake.result(two).unwrap();
}

/// L2: 0 is no limit.
#[test]
fn l2_without_limits_every_transfer_has_a_connection() {
    let peer = Peer::new();
    let mut fake = limited(Limits::default());
    let ids = [(); 20].map(|()| add(&mut fake, &peer));
    let talks = [(); 20].map(|()| peer.asked(&mut fake));
    assert_eq!((dispatched(&fake, &ids), talks.len()), (20, 20));
}

/// L2: an origin that answers 429 gets half as many connections, and one more after each successful round.
#[test]
fn l2_an_origin_that_asked_for_less_gets_less_and_then_more_again() {
    let peer = Peer::new();
    let mut fake = limited(Limits::default());
    let refused = [(); 4].map(|()| add(&mut fake, &peer));
    let mut talks: Vec<_> = refused.iter().map(|_| peer.asked(&mut fake)).collect();
    for (talk, id) in talks.iter_mut().zip(refused) {
        talk.say("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n");
        fake.result(id).expect_err("an error status");
    }
    let ids = [(); 20].map(|()| add(&mut fake, &peer));
    fake.elapse(Duration::from_millis(1));
    let mut at_once = Vec::new();
    let mut left = &ids[..];
    while !left.is_empty() {
        let under_way = dispatched(&fake, left);
        at_once.push(under_way);
        let mut asked = Vec::new();
        fake.until("the requests", |_| {
            talks.extend(std::iter::from_fn(|| peer.try_accept()));
            let came = (0..talks.len()).filter(|at| talks[*at].try_request().is_some());
            asked.extend(came);
            asked.len() == under_way
        });
        for at in asked {
            talks[at].answer("done");
        }
        for id in &left[..under_way] {
            fake.result(*id).expect("a whole answer");
        }
        left = &left[under_way..];
    }
    assert_eq!(
        at_once[..3],
        [2, 3, 15],
        "and then there is no cap any more"
    );
}

/// L3: for each freed slot one transfer starts, the one that has waited longest; with each of the limits.
#[test]
fn l3_each_freed_place_starts_exactly_one_first_come_first_served() {
    let caps = [
        Limits {
            transfers: 1,
            ..Limits::default()
        },
        Limits {
            connections: 1,
            ..Limits::default()
        },
        Limits {
            per_origin: 1,
            ..Limits::default()
        },
    ];
    for limits in caps {
        let peer = Peer::new();
        let mut fake = limited(limits);
        let ids = [(); 6].map(|()| add(&mut fake, &peer));
        let mut talk = peer.asked(&mut fake);
        for (at, id) in ids.into_iter().enumerate() {
            assert_eq!(dispatched(&fake, &ids[at..]), 1);
            assert_eq!(dispatched(&fake, &[id]), 1);
            talk.answer("done");
            fake.result(id).unwrap();
            if at < 5 {
                talk.request(&mut fake);
            }
        }
    }
}

/// L3, E2: a thousand waiting transfers have no socket and no timer, and a wake-up of the running one starts none of
/// them.
#[test]
fn l3_a_thousand_pending_transfers_cost_a_wake_up_nothing() {
    let peer = Peer::new();
    let mut fake = limited(Limits {
        transfers: 1,
        ..Limits::default()
    });
    let ids: Vec<_> = (0..1000).map(|_| add(&mut fake, &peer)).collect();
    let mut talk = peer.asked(&mut fake);
    talk.head(10);
    fake.settle();
    let before = fake.calls;
    for _ in 0..10 {
        let received = fake.received(ids[0]);
        talk.say("x");
        fake.until("a byte", |fake| {
            fake.received(ids[0]) > received || fake.multi.running() < 1000
        });
    }
    // One call for each byte, and after the last one another that starts the next transfer.
    let calls = fake.calls - before;
    assert!(calls <= 12, "{calls} calls");
    assert_eq!(fake.ledger().sockets.len(), 1);
    assert_eq!(dispatched(&fake, &ids[1..]), 1);
    assert_eq!(fake.elapse(Duration::from_secs(29)), 0);
}

/// L3: a transfer that fails, and one that is removed while it runs.
#[test]
fn l3_a_transfer_that_fails_or_is_removed_frees_its_place() {
    let peer = Peer::new();
    let mut fake = limited(Limits {
        per_origin: 1,
        ..Limits::default()
    });
    let ids = [(); 3].map(|()| add(&mut fake, &peer));
    peer.asked(&mut fake).reset();
    fake.result(ids[0]).unwrap_err();
    let _second = peer.asked(&mut fake);
    fake.remove(ids[1]).unwrap();
    peer.asked(&mut fake).answer("done");
    fake.result(ids[2]).unwrap();
}

/// L3: a transfer that reaches its time limit, in the middle of a body and before its response.
#[test]
fn l3_a_transfer_that_ends_by_its_clock_frees_its_place() {
    let (peer, seconds) = (Peer::new(), Duration::from_secs(5));
    let mut fake = limited(Limits {
        per_origin: 1,
        ..Limits::default()
    });
    let ids = [(); 3].map(|()| {
        let mut easy = peer.easy("/");
        easy.timeout = Some(seconds);
        fake.add(easy).expect("a live multi")
    });
    let mut first = peer.asked(&mut fake);
    first.head(10);
    fake.settle();
    fake.elapse(seconds);
    fake.result(ids[0]).unwrap_err();
    assert_eq!(dispatched(&fake, &ids[1..]), 1);
    let _second = peer.asked(&mut fake);
    fake.elapse(seconds);
    fake.result(ids[1]).unwrap_err();
    peer.asked(&mut fake).answer("done");
    fake.result(ids[2]).unwrap();
}

/// L2: the caps on connections hold for connections that carry several streams, of which each carries what it may.
#[test]
fn l2_connections_of_many_streams_are_capped() {
    for (connections, per_origin) in [(1, 0), (0, 1)] {
        let peer = Peer::new();
        let mut fake = engine(Limits {
            connections,
            per_origin,
            ..Limits::default()
        });
        let ids = [(); 3].map(|()| add(&mut fake, &peer));
        let mut side = Side::accept(&peer, &mut fake, &[max_streams(1)]);
        for id in ids {
            let stream = side.requests(&mut fake, 1)[0];
            assert_eq!(fake.ledger().sockets.len(), 1);
            assert!(peer.try_accept().is_none());
            side.say(answer(stream, b"done"));
            fake.result(id).unwrap();
        }
    }
}

/// L4: an hour in a queue does not count for a time limit, be it the queue of all transfers or of an origin.
#[test]
fn l4_the_clocks_start_when_a_transfer_is_dispatched() {
    for (transfers, per_origin) in [(1, 0), (0, 1)] {
        an_hour_in_the_queue(Limits {
            transfers,
            per_origin,
            ..Limits::default()
        });
    }
}

fn an_hour_in_the_queue(limits: Limits) {
    let peer = Peer::new();
    let mut fake = limited(limits);
    let mut easy = peer.easy("/");
    easy.stall_timeout = None;
    let first = fake.add(easy).expect("right");
    let second = Duration::from_secs(1);
    let mut easy = peer.easy("/");
    (easy.timeout, easy.connect_timeout, easy.stall_timeout) =
        (Some(second), Some(second), Some(second));
    let waits = fake.add(easy).expect("right");
    let mut talk = peer.asked(&mut fake);
    assert_eq!(fake.elapse(3600 * second), 0);
    talk.answer("at last");
    fake.result(first).expect("right");
    talk.request(&mut fake);
    fake.elapse(second - Duration::from_millis(1));
    assert_eq!(fake.multi.running(), 1);
    fake.elapse(Duration::from_millis(1));
    let error = fake.result(waits).expect_err("a limit");
    assert!(matches!(
        error.fault(),
        Fault::Timeout {
            kind: Timeout::Total,
            ..
        }
    ));
}

/// A transfer that gives up after a second without a byte.
fn impatient(fake: &mut Fake<Vec<u8>>, peer: &Peer) -> TransferId {
    let mut easy = peer.easy("/");
    easy.stall_timeout = Some(Duration::from_secs(1));
    fake.add(easy).expect("a live multi")
}

#[test]
fn a_slow_body_is_no_stall() {
    let peer = Peer::new();
    let mut fake = limited(Limits::default());
    let slow = impatient(&mut fake, &peer);
    let mut talk = peer.asked(&mut fake);
    talk.head(10);
    for count in 1..=10 {
        fake.elapse(Duration::from_millis(999));
        talk.say("x");
        fake.until("a byte", |fake| {
            fake.received(slow) == count || fake.multi.running() == 0
        });
    }
    fake.result(slow).unwrap();
}

/// With one connection for each transfer; `http2.rs` tests it with a shared one.
#[test]
fn a_transfer_that_is_starved_by_the_others_of_its_origin_is_no_stall() {
    let peer = Peer::new();
    let mut fake = limited(Limits::default());
    let starved = impatient(&mut fake, &peer);
    let mut silent = peer.asked(&mut fake);
    let fed = impatient(&mut fake, &peer);
    let mut talk = peer.asked(&mut fake);
    talk.head(8);
    // More than three times the limit, and less than four.
    for count in 1..=7 {
        talk.say("x");
        fake.until("a byte", |fake| fake.received(fed) == count);
        fake.elapse(Duration::from_millis(500));
    }
    silent.answer("at last");
    fake.result(starved).unwrap();
    talk.say("x");
    fake.result(fed).unwrap();
}

/// L3: a transfer that becomes extra does not count from then on, and its slot becomes free without an event.
#[test]
fn l3_a_place_that_becomes_free_by_set_extra_starts_one() {
    let peer = Peer::new();
    let mut fake = limited(Limits {
        transfers: 1,
        ..Limits::default()
    });
    let ids = [(); 3].map(|()| add(&mut fake, &peer));
    let _talk = peer.asked(&mut fake);
    fake.pause(ids[0]).unwrap();
    fake.settle();
    fake.call(|multi, _| multi.set_extra(ids[0])).unwrap();
    fake.settle();
    assert_eq!(dispatched(&fake, &ids), 2);
    // A second call frees nothing.
    fake.call(|multi, _| multi.set_extra(ids[0])).unwrap();
    fake.settle();
    assert_eq!(dispatched(&fake, &ids), 2);
}

/// L3: a waiting transfer that becomes extra is not counted at its start, nor subtracted at its end.
#[test]
fn l3_set_extra_on_one_that_waits_loses_no_place() {
    let peer = Peer::new();
    let mut fake = limited(Limits {
        transfers: 1,
        ..Limits::default()
    });
    let ids = [(); 4].map(|()| add(&mut fake, &peer));
    let mut talk = peer.asked(&mut fake);
    fake.settle();
    fake.call(|multi, _| multi.set_extra(ids[2])).unwrap();
    fake.kick().unwrap();
    assert_eq!(dispatched(&fake, &ids), 2, "it is not bounded any more");
    let mut other = peer.asked(&mut fake);
    talk.answer("one");
    other.answer("extra");
    fake.result(ids[0]).unwrap();
    fake.result(ids[2]).unwrap();
    fake.settle();
    assert_eq!(dispatched(&fake, &ids), 3, "one slot, one transfer");
    for id in [ids[1], ids[3]] {
        let mut asked = None;
        fake.until("the next request", |_| {
            asked = [&mut talk, &mut other]
                .into_iter()
                .position(|talk| talk.try_request().is_some());
            asked.is_some()
        });
        let talk = if asked == Some(0) {
            &mut talk
        } else {
            &mut other
        };
        talk.answer("in turn");
        fake.result(id).unwrap();
    }
}

/// L2: all connections are taken. The first waiting transfer must open one, and those behind it need not.
#[test]
fn l2_a_transfer_that_must_open_a_connection_does_not_hold_up_those_that_find_one() {
    let (full, wide) = (Peer::new(), Peer::new());
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let mut fake = engine(limits);
    add(&mut fake, &full);
    let mut side = Side::accept(&full, &mut fake, &[max_streams(1)]);
    let stream = side.requests(&mut fake, 1)[0];
    side.expect(&mut fake, SETTINGS);
    add(&mut fake, &wide);
    let mut other = Side::accept(&wide, &mut fake, &[]);
    other.requests(&mut fake, 1);
    let waits = add(&mut fake, &full);
    let shares = [(); 3].map(|()| add(&mut fake, &wide));
    fake.settle();
    assert_eq!(dispatched(&fake, &[waits]), 0);
    assert_eq!(dispatched(&fake, &shares), 3);
    other.requests(&mut fake, 3);
    side.say(answer(stream, b"room"));
    side.requests(&mut fake, 1);
    assert_eq!(dispatched(&fake, &[waits]), 1);
}

/// L4: an endless delay does not end, and does not let the transfer start at once.
#[test]
fn l4_a_delay_without_end_is_not_over_at_once() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let mut easy = peer.easy("/");
    easy.delay = Some(Duration::MAX);
    let id = fake.add(easy).unwrap();
    assert_eq!(fake.multi.sleeping(), 1);
    fake.elapse(10_000 * Duration::from_secs(3600));
    assert_eq!(dispatched(&fake, &[id]), 0);
    assert_eq!(fake.remove(id).unwrap().delay, Some(Duration::MAX));
    assert_eq!(fake.multi.sleeping(), 0);
}

/// The returned easy equals the added one, with its delay, which the next try waits for again.
#[test]
fn l4_an_easy_comes_back_with_its_delay_and_waits_again() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let second = Duration::from_secs(1);
    let mut easy = peer.easy("/");
    easy.delay = Some(second);
    let id = fake.add(easy).unwrap();
    fake.settle();
    let easy = fake.remove(id).unwrap();
    assert_eq!(easy.delay, Some(second));
    let id = fake.add(easy).unwrap();
    fake.elapse(second / 2);
    assert!(peer.try_accept().is_none());
    fake.elapse(second);
    let mut talk = peer.asked(&mut fake);
    talk.say("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
    // A redirect is followed without another delay.
    talk.request(&mut fake);
    talk.answer("done");
    fake.result(id).unwrap();
    assert_eq!(fake.remove(id).unwrap().delay, Some(second));
}

/// L6: a new connection that waits longer than the others did for its first byte makes the longest idle connection
/// close, and each further one after as long a time.
#[test]
fn l6_an_idle_connection_closes_where_a_new_one_gets_no_answer() {
    let peer = Peer::new();
    let mut fake = limited(Limits::default());
    let ids = [(); 4].map(|()| add(&mut fake, &peer));
    let mut talks = [(); 4].map(|()| peer.asked(&mut fake));
    for (talk, id) in talks[..3].iter_mut().zip(ids) {
        talk.answer("done");
        fake.result(id).expect("a whole answer");
    }
    let patience = Duration::from_millis(200);
    fake.elapse(patience - Duration::from_millis(1));
    assert!(!talks[..3].iter_mut().any(Talk::is_closed));
    fake.elapse(Duration::from_millis(1));
    let closed: Vec<_> = talks[..3].iter_mut().map(Talk::is_closed).collect();
    assert_eq!(closed, [true, false, false]);
    fake.elapse(patience);
    let closed: Vec<_> = talks[..3].iter_mut().map(Talk::is_closed).collect();
    assert_eq!(closed, [true, true, false]);
    talks[3].answer("late");
    fake.result(ids[3]).expect("a whole answer");
    fake.elapse(Duration::from_secs(10));
    assert!(!talks[2].is_closed());
    assert!(!talks[3].is_closed());
}

/// L6: what has begun to answer is served, however slow it is, and idle connections stay.
#[test]
fn l6_no_idle_connection_closes_for_a_slow_body() {
    let peer = Peer::new();
    let mut fake = limited(Limits::default());
    let ids = [(); 2].map(|()| add(&mut fake, &peer));
    let mut talks = [(); 2].map(|()| peer.asked(&mut fake));
    talks[0].head(100);
    talks[1].answer("done");
    fake.result(ids[1]).expect("a whole answer");
    fake.until("the head", |fake| fake.multi.progress(ids[0]).is_some());
    fake.elapse(Duration::from_secs(10));
    assert!(!talks[1].is_closed());
}
