//! What the timer function is told, T1 to T6, and what an error from either function does: S8, T6, K6.

use std::time::Duration;

use gannet::error::Fault;
use gannet::multi::{Interest, Ready, Target};
use gannet::{Error, MultiError};

use super::fake::Fake;
use super::ledger::{Timer, Told};
use super::peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

fn timers(fake: &Fake<Vec<u8>>) -> Vec<Option<Duration>> {
    let of_timer = |told| match told {
        Told::Timer(timeout) => Some(timeout),
        Told::Socket(..) => None,
    };
    fake.told().into_iter().filter_map(of_timer).collect()
}

/// T1: one timer for all: an earlier expiry replaces the later one from before.
#[test]
fn t1_a_new_timeout_replaces_the_old() {
    let mut fake = Fake::new();
    for seconds in [30, 10, 20] {
        let mut easy = Peer::new().easy("/");
        easy.delay = Some(seconds * SECOND);
        fake.add(easy).unwrap();
        fake.kick().unwrap();
    }
    let expected = [0, 30, 0, 10, 0, 10].map(|seconds| Some(seconds * SECOND));
    assert_eq!(timers(&fake), expected);
}

/// T2: the function is told a new timeout, a different one, and none; the ledger checks the rest.
#[test]
fn t2_only_changes_of_the_expiry_are_told_and_none_once() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    assert_eq!(timers(&fake), [Some(Duration::ZERO)]);
    fake.add(peer.easy("/"))
        .map(|id| fake.remove(id))
        .unwrap()
        .unwrap();
    assert_eq!(timers(&fake), []);
    let mut talk = peer.asked(&mut fake);
    assert_eq!(timers(&fake).last(), Some(&Some(30 * SECOND)));
    let socket = fake.socket();
    for _ in 0..3 {
        fake.act(Target::Socket(socket), Ready::EMPTY).unwrap();
    }
    assert_eq!(timers(&fake), []);
    talk.answer("done");
    fake.result(id).unwrap();
    assert_eq!(timers(&fake), [None]);
    fake.remove(id).unwrap();
    fake.kick().unwrap();
    fake.kick().unwrap();
    assert_eq!(timers(&fake), []);
}

/// T2: a timeout of zero without a reason any more is replaced.
#[test]
fn t2_what_was_runnable_and_is_gone_leaves_no_timeout() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    fake.remove(id).unwrap();
    assert_eq!(timers(&fake), [Some(Duration::ZERO), None]);
    assert_eq!(fake.multi.timeout(fake.now()), None);
}

/// T2: an answer without a waiting transfer, and the resumption of a transfer that was not paused, have no effect.
#[test]
fn t2_what_wakes_no_transfer_is_no_timeout() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    fake.told();
    fake.call(|multi, now| multi.resolved("unused.test", Ok(Vec::new()), now))
        .unwrap();
    assert_eq!(timers(&fake), []);
    talk.answer("done");
    fake.result(id).unwrap();
    fake.told();
    fake.resume(id).unwrap();
    assert_eq!(timers(&fake), []);
}

/// T3.
#[test]
fn t3_a_kick_that_came_too_early_has_the_timeout_told_anew() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    fake.add(peer.easy("/")).unwrap();
    peer.asked(&mut fake);
    fake.told();
    fake.kick().unwrap();
    assert_eq!(timers(&fake), [Some(30 * SECOND)]);
    fake.ledger_mut().now += SECOND;
    fake.kick().unwrap();
    assert_eq!(timers(&fake), [Some(29 * SECOND)]);
}

/// T4.
#[test]
fn t4_a_runnable_transfer_means_a_timeout_of_zero() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    assert_eq!(fake.multi.timeout(fake.now()), Some(Duration::ZERO));
    peer.asked(&mut fake);
    fake.pause(id).unwrap();
    fake.told();
    fake.resume(id).unwrap();
    assert_eq!(timers(&fake), [Some(Duration::ZERO)]);
}

/// T5: within a call the timer function comes last, and once. The ledger checks that for every call; this one calls
/// both functions.
#[test]
fn t5_the_timer_is_evaluated_last() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    fake.told();
    talk.answer("done");
    fake.result(id).unwrap();
    let told = fake.told();
    assert!(
        matches!(
            told[..],
            [Told::Socket(_, Interest::Remove), Told::Timer(None)]
        ),
        "{told:?}"
    );
}

fn is_aborted(error: &Error) -> bool {
    matches!(error.fault(), Fault::Aborted)
}

/// What is true of a dead multi, and after it lives again.
fn everything_ends_and_begins_anew(mut fake: Fake<Vec<u8>>, peer: &Peer, added: usize) {
    let aborted = MultiError::AbortedByCallback;
    fake.ledger_mut().fails_sockets = false;
    fake.ledger_mut().fails_timer = false;
    fake.ledger_mut().log.clear();
    assert!(fake.ledger().sockets.is_empty());
    assert_eq!(fake.multi.running(), 0);
    assert_eq!(fake.multi.timeout(fake.now()), None);
    assert_eq!(fake.add(peer.easy("/")), Err(aborted));
    assert_eq!(fake.kick(), Err(aborted));
    assert_eq!(fake.act(Target::Socket(0), Ready::IN), Err(aborted));
    fake.read();
    let done = std::mem::take(&mut fake.done);
    assert_eq!(done.len(), added);
    for done in done {
        assert!(is_aborted(&done.result.expect_err("aborted")));
        assert_eq!(fake.pause(done.id), Err(aborted));
        assert_eq!(fake.resume(done.id), Err(aborted));
        assert_eq!(timers(&fake), []);
        fake.remove(done.id).expect("it is there");
    }
    // Now that it lives again, it may replace a timeout from before.
    assert!(matches!(timers(&fake)[..], [] | [None]));
    assert_eq!(fake.ledger().timer, Timer::Unset);
    let id = fake.add(peer.easy("/")).expect("a live multi");
    peer.asked(&mut fake).answer("alive");
    assert!(fake.result(id).is_ok());
}

/// S8, K6: the call returns the error, every transfer completes with that result, nothing works until all are
/// removed, and then everything does.
#[test]
fn s8_k6_an_error_from_the_socket_function_aborts_everything() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    for _ in 0..3 {
        fake.add(peer.easy("/")).unwrap();
    }
    let mut talk = peer.asked(&mut fake);
    fake.ledger_mut().fails_sockets = true;
    talk.answer("done");
    let mut result = Ok(0);
    while result.is_ok() {
        let ready = fake.ready(SECOND);
        assert!(!ready.is_empty());
        result = fake.act(Target::Socket(ready[0].0), ready[0].1);
    }
    assert_eq!(result, Err(MultiError::AbortedByCallback));
    // The answered transfer had completed before the function failed.
    fake.read();
    let is_done = fake
        .done
        .iter()
        .position(|done| done.result.is_ok())
        .unwrap();
    let id = fake.done.remove(is_done).id;
    fake.remove(id).unwrap();
    while peer.try_accept().is_some() {}
    everything_ends_and_begins_anew(fake, &peer, 2);
}

/// S8: errors that come before any response.
#[test]
fn s8_an_error_at_the_first_announcement_aborts_too() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    for _ in 0..3 {
        fake.add(peer.easy("/")).unwrap();
    }
    fake.ledger_mut().fails_sockets = true;
    assert_eq!(fake.kick(), Err(MultiError::AbortedByCallback));
    while peer.try_accept().is_some() {}
    everything_ends_and_begins_anew(fake, &peer, 3);
}

/// S8, S6: an error that comes from within `remove`, which still returns the easy.
#[test]
fn s8_an_error_from_within_remove_is_found_by_the_next_call() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let first = fake.add(peer.easy("/")).unwrap();
    fake.add(peer.easy("/")).unwrap();
    peer.asked(&mut fake);
    fake.ledger_mut().fails_sockets = true;
    let now = fake.now();
    fake.ledger_mut().begin();
    assert!(fake.multi.remove(first, now).is_ok());
    assert_eq!(fake.kick(), Err(MultiError::AbortedByCallback));
    while peer.try_accept().is_some() {}
    everything_ends_and_begins_anew(fake, &peer, 1);
}

/// T6: from `socket_action`, and from `add`, which then does not add the transfer.
#[test]
fn t6_an_error_from_the_timer_function_aborts_as_one_from_the_socket_function() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    fake.add(peer.easy("/")).unwrap();
    fake.ledger_mut().fails_timer = true;
    assert_eq!(fake.kick(), Err(MultiError::AbortedByCallback));
    while peer.try_accept().is_some() {}
    everything_ends_and_begins_anew(fake, &peer, 1);

    let mut fake = Fake::new();
    fake.ledger_mut().fails_timer = true;
    assert_eq!(fake.add(peer.easy("/")), Err(MultiError::AbortedByCallback));
    assert_eq!(fake.multi.running(), 0);
    assert_eq!(fake.multi.transfers().count(), 0);
    assert!(fake.multi.info_read().is_none());
    fake.ledger_mut().fails_timer = false;
    assert!(fake.add(peer.easy("/")).is_ok());
}
