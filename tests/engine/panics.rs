//! S8 for a sink or a function that panics: the multi is dead until all transfers are removed, and consistent.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use gannet::MultiError;
use gannet::error::Fault;
use gannet::http::Response;
use gannet::multi::{Easy, Multi, Options, Protocol, Ready, Sink, Target};

use super::fake::Fake;
use super::peer::{Peer, Talk};
use crate::server::frames::{answer, max_streams, settings};

/// A sink that panics while a flag is set.
#[derive(Debug, Clone, Default)]
struct Bomb(Rc<Cell<Armed>>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Armed {
    #[default]
    No,
    Head,
    Write,
    Wanted,
}

impl Bomb {
    fn pass(&self, at: Armed) {
        assert!(self.0.get() != at, "the sink panics at {at:?}");
    }
}

impl Sink for Bomb {
    fn head(&mut self, _: &Response) -> Result<(), Fault> {
        self.pass(Armed::Head);
        Ok(())
    }

    fn wanted(&self) -> Option<u64> {
        self.pass(Armed::Wanted);
        None
    }

    fn write(&mut self, _: &[u8]) -> Result<(), Fault> {
        self.pass(Armed::Write);
        Ok(())
    }
}

/// Everything that S8 requires of a dead multi, and that it lives again.
fn is_dead_and_lives_again(fake: &mut Fake<Bomb>, bomb: &Bomb, added: usize) {
    let aborted = Err(MultiError::AbortedByCallback);
    let peer = Peer::new();
    bomb.0.set(Armed::No);
    assert!(fake.ledger().sockets.is_empty(), "every socket was removed");
    assert_eq!(fake.multi.timeout(fake.now()), None);
    assert_eq!((fake.multi.running(), fake.multi.sleeping()), (0, 0));
    assert_eq!(fake.kick(), aborted);
    assert_eq!(fake.act(Target::Socket(3), Ready::IN), aborted);
    let easy = Easy::new(peer.url("/refused"), bomb.clone());
    assert_eq!(fake.add(easy).map(drop), aborted.map(drop));
    fake.read();
    let done = std::mem::take(&mut fake.done);
    assert_eq!(done.len(), added);
    for done in done {
        assert!(matches!(
            done.result.expect_err("aborted").fault(),
            Fault::Aborted
        ));
        fake.remove(done.id).expect("it is there");
    }
    let id = fake
        .add(Easy::new(peer.url("/"), bomb.clone()))
        .expect("a live multi");
    let mut talk = peer.accept(fake);
    fake.settle();
    answer_one(fake, &mut talk);
    fake.result(id).expect("a whole answer");
}

/// Answers the first request in either protocol, without looking at it.
fn answer_one(fake: &Fake<Bomb>, talk: &mut Talk) {
    if fake.multi.options().protocol == Protocol::Http2 {
        talk.say([settings(&[max_streams(100)]), answer(1, b"bytes")].concat());
    } else {
        talk.answer("bytes");
    }
}

#[test]
fn s8_a_sink_that_panics_leaves_the_multi_dead_and_whole() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for armed in [Armed::Head, Armed::Write, Armed::Wanted] {
            let peer = Peer::new();
            let mut fake: Fake<Bomb> = Fake::with(Options {
                protocol,
                ..Options::default()
            });
            let bomb = Bomb::default();
            for path in ["/", "/second", "/third"] {
                fake.add(Easy::new(peer.url(path), bomb.clone())).unwrap();
            }
            let mut sleeper = Easy::new(peer.url("/later"), bomb.clone());
            sleeper.delay = Some(Duration::from_secs(5));
            fake.add(sleeper).unwrap();
            let mut talk = peer.accept(&mut fake);
            fake.settle();
            bomb.0.set(armed);
            answer_one(&fake, &mut talk);
            let panics = || fake.until("a panic", |_| false);
            catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
            is_dead_and_lives_again(&mut fake, &bomb, 4);
        }
    }
}

/// The functions panic each time they are called, in the abort too.
#[test]
fn s8_a_function_that_panics_again_and_again_leaves_the_multi_dead_and_whole() {
    let peer = Peer::new();
    let now = Instant::now();
    let mut multi: Multi<Vec<u8>> = Multi::new();
    let panics = Rc::new(Cell::new(true));
    let is_armed = Rc::clone(&panics);
    multi.set_socket_function(move |_| {
        assert!(!is_armed.get(), "the socket function panics");
        Ok(())
    });
    let ids = ["/one", "/two"].map(|path| multi.add(peer.easy(path)).unwrap());
    let act = |multi: &mut Multi<Vec<u8>>| multi.socket_action(Target::Timeout, Ready::EMPTY, now);
    assert!(catch_unwind(AssertUnwindSafe(|| act(&mut multi))).is_err());
    assert_eq!(act(&mut multi), Err(MultiError::AbortedByCallback));
    assert_eq!(multi.running(), 0);
    for id in ids {
        multi.remove(id, now).unwrap();
    }
    panics.set(false);
    multi.add(peer.easy("/again")).unwrap();
    assert_eq!(act(&mut multi), Ok(1));
}
