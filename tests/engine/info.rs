//! The info queue, I1 to I4; adding, removing and calling from inside, R1 to R4; error codes, C1 to C3.

use std::cell::RefCell;
use std::error::Error as _;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use gannet::MultiError;
use gannet::error::{Doing, Fault};
use gannet::multi::{Easy, Interest, Multi, Options, Ready, Target, TransferId};

use super::fake::Fake;
use super::peer::{Peer, Talk};

/// I1, I2: three transfers are answered in another order than they were added in; the queue is empty afterwards.
#[test]
fn i1_i2_messages_come_in_order_of_completion_and_once() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let ids: Vec<_> = ["/0", "/1", "/2"]
        .map(|path| fake.add(peer.easy(path)).unwrap())
        .to_vec();
    let mut talks: Vec<_> = ids
        .iter()
        .map(|_| peer.accept(&mut fake))
        .map(Some)
        .collect();
    let mut order = Vec::new();
    for at in [2, 0, 1] {
        let mut talk = talks[at].take().unwrap();
        let request = talk.request(&mut fake);
        order.push(ids[usize::from(request.as_bytes()[5] - b'0')]);
        talk.answer("done");
        let left = ids.len() - order.len();
        fake.until("its completion", |fake| fake.multi.running() == left);
    }
    assert_eq!(fake.read(), 3);
    assert_eq!(
        fake.done.iter().map(|done| done.id).collect::<Vec<_>>(),
        order
    );
    assert_eq!(fake.read(), 0);
}

/// A fake with two transfers that wait for one connection, the first of which has completed unread, and the id of each.
fn one_unread(peer: &Peer) -> (Fake<Vec<u8>>, Talk, [TransferId; 2]) {
    let mut options = Options::default();
    options.limits.per_origin = 1;
    let mut fake = Fake::with(options);
    let ids = [(); 2].map(|()| fake.add(peer.easy("/")).expect("a live multi"));
    let mut talk = peer.asked(&mut fake);
    talk.answer("first");
    talk.request(&mut fake);
    talk.head(100);
    (fake, talk, ids)
}

/// I3, from outside.
#[test]
fn i3_a_removed_transfers_unread_message_goes_with_it() {
    let peer = Peer::new();
    let (mut fake, _talk, [first, _]) = one_unread(&peer);
    fake.remove(first).unwrap();
    assert_eq!(fake.read(), 0);
}

/// I3, R4: from inside the socket function, which may read the queue.
#[test]
fn i3_r4_messages_can_be_read_inside_the_socket_function_but_no_removed_ones() {
    for is_removed in [false, true] {
        let peer = Peer::new();
        let (mut fake, _talk, [first, second]) = one_unread(&peer);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        if is_removed {
            fake.remove(first).unwrap();
        }
        fake.multi.set_socket_function(move |mut change| {
            while let Some(done) = change.info_read() {
                log.borrow_mut().push(done.id);
            }
            Ok(())
        });
        fake.pause(second).unwrap();
        fake.resume(second).unwrap();
        fake.kick().unwrap();
        let expected = if is_removed { vec![] } else { vec![first] };
        assert_eq!(*seen.borrow(), expected);
        assert!(fake.multi.info_read().is_none());
    }
}

/// I4.
#[test]
fn i4_a_completed_transfer_stays_until_it_is_removed() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    peer.asked(&mut fake).answer("kept");
    fake.result(id).unwrap();
    fake.elapse(Duration::from_secs(3600));
    assert_eq!(fake.multi.easy(id).unwrap().sink, b"kept");
    assert_eq!(fake.remove(id).unwrap().sink, b"kept");
    assert!(fake.multi.easy(id).is_none());
}

/// R1: an easy is moved in, and can be added again only after it was returned: then as another transfer.
#[test]
fn r1_an_easy_that_is_given_back_can_be_added_again() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let first = fake.add(peer.easy("/")).unwrap();
    let easy = fake.remove(first).unwrap();
    let second = fake.add(easy).unwrap();
    assert_ne!(first, second);
    peer.asked(&mut fake).answer("again");
    assert!(fake.result(second).is_ok());
}

/// R2, C1.
#[test]
fn r2_removing_what_is_not_there_is_bad_easy_handle() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    fake.remove(id).unwrap();
    fake.add(peer.easy("/")).unwrap();
    assert_eq!(fake.remove(id).unwrap_err(), MultiError::BadEasyHandle);
    assert_eq!(fake.pause(id), Err(MultiError::BadEasyHandle));
    assert_eq!(fake.resume(id), Err(MultiError::BadEasyHandle));
}

/// R3: in any state: the connection closes, and exactly one waiting transfer starts.
#[test]
fn r3_removing_in_mid_transfer_closes_its_connection_and_starts_one_that_waits() {
    let peer = Peer::new();
    let mut options = Options::default();
    options.limits.per_origin = 1;
    let mut fake = Fake::with(options);
    let ids = [(); 4].map(|()| fake.add(peer.easy("/")).unwrap());
    let is_dispatched = |fake: &Fake<Vec<u8>>| {
        ids.map(|id| fake.multi.progress(id).is_some_and(|p| p.is_dispatched))
    };
    let mut talk = peer.asked(&mut fake);
    talk.head(100);
    fake.settle();
    assert_eq!(is_dispatched(&fake), [true, false, false, false]);
    fake.remove(ids[0]).unwrap();
    assert!(talk.is_closed());
    assert_eq!(is_dispatched(&fake), [false, true, false, false]);
    peer.asked(&mut fake);
    // A waiting transfer has nothing that another could use.
    fake.remove(ids[2]).unwrap();
    assert_eq!(is_dispatched(&fake), [false, true, false, false]);
    fake.remove(ids[1]).unwrap();
    assert_eq!(is_dispatched(&fake), [false, false, false, true]);
}

/// R3: in each state, nothing of a removed transfer is left.
#[test]
fn r3_every_state_can_be_removed_from() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let added = fake.add(peer.easy("/")).unwrap();
    fake.remove(added).unwrap();
    let named = Easy::new("http://name.test/".parse().unwrap(), Vec::new());
    let mut late = peer.easy("/");
    late.delay = Some(Duration::from_secs(9));
    let mut slow = peer.easy("/");
    slow.max_recv_speed = Some(10);
    for easy in [named, late, slow] {
        let id = fake.add(easy).unwrap();
        fake.settle();
        if let Some(mut talk) = peer.try_accept() {
            talk.request(&mut fake);
            talk.answer("very slow to be read");
            fake.until("the limit", |fake| fake.ledger().sockets.is_empty());
        }
        fake.ledger_mut().lookups.clear();
        fake.remove(id).unwrap();
        assert_eq!((fake.multi.running(), fake.multi.sleeping()), (0, 0));
        assert_eq!(fake.multi.timeout(fake.now()), None);
        assert_eq!(fake.settle(), 0);
    }
}

/// R4: the functions are called while the engine is borrowed for the call, so none of them can call it: a
/// shared engine is already borrowed.
#[test]
fn r4_the_engine_cannot_be_called_from_inside_its_functions() {
    let peer = Peer::new();
    let multi = Rc::new(RefCell::new(Multi::new()));
    let tries = Rc::new(RefCell::new(Vec::new()));
    let (shared, log) = (Rc::downgrade(&multi), Rc::clone(&tries));
    let attempt = move || {
        let is_free = shared
            .upgrade()
            .is_some_and(|multi| multi.try_borrow_mut().is_ok());
        log.borrow_mut().push(is_free);
        Ok(())
    };
    let from_timer = attempt.clone();
    multi.borrow_mut().set_socket_function(move |_| attempt());
    multi.borrow_mut().set_timer_function(move |_| from_timer());
    let now = std::time::Instant::now();
    multi.borrow_mut().add(peer.easy("/")).unwrap();
    multi
        .borrow_mut()
        .socket_action(Target::Timeout, Ready::EMPTY, now)
        .unwrap();
    assert_eq!(*tries.borrow(), [false, false, false]);
}

/// R2: an id belongs to one multi, even though every multi begins with index 0.
#[test]
fn r2_an_id_of_another_multi_is_a_bad_handle() {
    let peer = Peer::new();
    let (mut one, mut other) = (Multi::new(), Multi::new());
    let now = std::time::Instant::now();
    let foreign = one.add(peer.easy("/one")).unwrap();
    other.add(peer.easy("/other")).unwrap();
    let bad = Err(MultiError::BadEasyHandle);
    assert_eq!(other.remove(foreign, now).map(drop), bad);
    assert_eq!(other.pause(foreign, now), bad);
    assert_eq!(other.resume(foreign), bad);
    assert_eq!(other.set_extra(foreign), bad);
    assert_eq!(other.replace(foreign, &mut peer.easy("/"), now), bad);
    assert!(other.easy(foreign).is_none() && other.sink_mut(foreign).is_none());
    assert_eq!(other.progress(foreign), None);
    assert_eq!(one.remove(foreign, now).unwrap().url, peer.url("/one"));
}

/// R1, S8: an easy that cannot be added is returned.
#[test]
fn r1_an_easy_that_is_refused_is_given_back() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/one")).unwrap();
    fake.kick().unwrap();
    fake.ledger_mut().fails_timer = true;
    let aborted = Err(MultiError::AbortedByCallback);
    // The timer function fails now, and then the multi is dead.
    for path in ["/two", "/three"] {
        assert_eq!(fake.add(peer.easy(path)), aborted);
        let refused = fake.multi.take_refused().expect("what was refused");
        assert_eq!(refused.url, peer.url(path));
        assert!(fake.multi.take_refused().is_none());
    }
    assert_eq!(fake.multi.transfers().count(), 1);
    fake.remove(id).unwrap();
}

/// C1: by number. What is left out is named where the errors are documented.
#[test]
fn c1_errors_have_the_numbers_of_curl_multi_codes() {
    let numbers = [
        (MultiError::BadEasyHandle, 2),
        (MultiError::InternalError, 4),
        (MultiError::BadSocket, 5),
        (MultiError::BadFunctionArgument, 10),
        (MultiError::AbortedByCallback, 11),
    ];
    for (error, number) in numbers {
        assert_eq!(error.code(), number, "{error}");
    }
    assert_eq!(MultiError::CALL_MULTI_PERFORM, -1);
}

/// C2: every call returns Ok, and every transfer fails.
#[test]
fn c2_an_ok_says_nothing_of_single_transfers() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let url = peer.url("/").to_string().replace("http:", "gopher:");
    let bad = fake
        .add(Easy::new(url.parse().unwrap(), Vec::new()))
        .unwrap();
    let cut = fake.add(peer.easy("/")).unwrap();
    assert_eq!(fake.kick(), Ok(1));
    drop(peer.asked(&mut fake));
    assert!(matches!(
        fake.result(bad).unwrap_err().fault(),
        Fault::UnsupportedScheme(_)
    ));
    assert!(matches!(
        fake.result(cut).unwrap_err().fault(),
        Fault::NoAnswer
    ));
}

/// C3: an error has its cause, the state of the transfer, the address, and whether to retry.
#[test]
fn c3_an_error_has_its_kind_source_activity_address_and_prospects() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let talk = peer.asked(&mut fake);
    talk.reset();
    let error = fake.result(id).unwrap_err();
    assert!(matches!(error.fault(), Fault::ConnectionLost(_)));
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(
        source.map(std::io::Error::kind),
        Some(ErrorKind::ConnectionReset)
    );
    assert_eq!(error.doing(), Doing::Receiving);
    assert_eq!(error.address(), Some(peer.address()));
    assert!(error.is_retryable());

    let id = fake.add(peer.easy("/")).unwrap();
    peer.asked(&mut fake)
        .say("HTTP/1.1 404 Gone Fishing\r\nContent-Length: 0\r\n\r\n");
    let error = fake.result(id).unwrap_err();
    assert_eq!((error.status(), error.is_retryable()), (Some(404), false));

    let dead = peer.address();
    drop(peer);
    let url = format!("http://{dead}/").parse().unwrap();
    let id = fake.add(Easy::new(url, Vec::new())).unwrap();
    let error = fake.result(id).unwrap_err();
    assert!(matches!(error.fault(), Fault::Connect(_)));
    assert_eq!(
        (error.doing(), error.address()),
        (Doing::Connecting, Some(dead))
    );
}

/// A transfer that never has a socket is never announced (R3, S4).
#[test]
fn r3_a_transfer_without_a_socket_leaves_without_a_word() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    fake.remove(id).unwrap();
    let told = fake.told();
    assert!(
        !told
            .iter()
            .any(|told| matches!(told, super::ledger::Told::Socket(_, Interest::Remove)))
    );
}
