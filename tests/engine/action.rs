//! What `socket_action` does, K1 to K8 (K6 is with the timer's errors), and E1: one edge is enough.

use std::cell::RefCell;
use std::io::Write;
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use gannet::error::{Fault, Timeout};
use gannet::http::Response;
use gannet::multi::{Easy, Limits, Ready, Sink, Target};

use super::fake::Fake;
use super::http2::{Side, engine};
use super::peer::Peer;
use crate::server::frames::answer;

/// A call reads about this many bytes for one transfer (2 MiB), and at most one buffer more.
const BUDGET: u64 = 2 << 20;
const BUFFER: u64 = 256 << 10;

/// K1: the right mask, no mask and a wrong mask have the same effect.
#[test]
fn k1_an_empty_mask_works_as_the_right_one() {
    for ready in [
        Ready::IN,
        Ready::EMPTY,
        Ready::OUT,
        Ready::ERR,
        Ready::IN | Ready::OUT | Ready::ERR,
    ] {
        let peer = Peer::new();
        let mut fake = Fake::new();
        let id = fake.add(peer.easy("/")).unwrap();
        let mut talk = peer.asked(&mut fake);
        let socket = fake.socket();
        talk.answer("done");
        assert_eq!(fake.ready(Duration::from_secs(10)).len(), 1);
        assert_eq!(fake.act(Target::Socket(socket), ready), Ok(0));
        assert!(fake.result(id).is_ok());
    }
}

/// K2.
#[test]
fn k2_an_unknown_or_stale_socket_is_no_error() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let talk = peer.asked(&mut fake);
    let stale = fake.socket();
    talk.reset();
    fake.result(id).unwrap_err();
    for socket in [stale, -1, 0, 2, 1_000_000, i32::MAX, i32::MIN] {
        assert_eq!(fake.act(Target::Socket(socket), Ready::IN), Ok(0));
    }
}

/// K3: a call for one socket also ends a transfer with an expired time limit, and starts a third one.
#[test]
fn k3_every_call_runs_expired_timers_and_runnable_transfers() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let mut easy = peer.easy("/");
    easy.timeout = Some(Duration::from_secs(5));
    let timed = fake.add(easy).unwrap();
    let _timed = peer.asked(&mut fake);
    fake.add(peer.easy("/")).unwrap();
    let _other = peer.asked(&mut fake);
    let sockets: Vec<_> = fake.ledger().sockets.keys().copied().collect();
    fake.add(peer.easy("/new")).unwrap();
    fake.ledger_mut().now += Duration::from_secs(5);
    // Both sockets get a call; the first call has done everything.
    assert_eq!(fake.act(Target::Socket(sockets[1]), Ready::EMPTY), Ok(2));
    assert_eq!(fake.ledger().sockets.len(), 2);
    let error = fake.result(timed).unwrap_err();
    assert!(matches!(
        error.fault(),
        Fault::Timeout {
            kind: Timeout::Total,
            ..
        }
    ));
    assert!(
        peer.accept(&mut fake)
            .request(&mut fake)
            .starts_with("GET /new ")
    );
}

/// K3: even if the application acts on an expiry late.
#[test]
fn k3_a_late_application_finds_every_expiry() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    for seconds in 1..=40 {
        let mut easy = peer.easy("/");
        easy.delay = Some(Duration::from_secs(seconds));
        easy.timeout = Some(Duration::from_secs(1));
        fake.add(easy).unwrap();
    }
    fake.settle();
    fake.ledger_mut().now += Duration::from_secs(3600);
    fake.settle();
    assert_eq!(fake.multi.sleeping(), 0);
    fake.ledger_mut().now += Duration::from_secs(3600);
    fake.settle();
    assert_eq!(fake.read(), 40);
}

/// K4, K5: the count includes every transfer that was added and has not completed: here the call is for another socket.
#[test]
fn k4_k5_running_counts_what_has_not_completed_whoever_it_is() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let mut easy = peer.easy("/");
    easy.timeout = Some(Duration::from_secs(5));
    let timed = fake.add(easy).unwrap();
    assert_eq!(fake.multi.running(), 1);
    let _timed = peer.asked(&mut fake);
    fake.add(peer.easy("/")).unwrap();
    let _silent = peer.asked(&mut fake);
    assert_eq!(fake.multi.running(), 2);
    let socket = fake.ledger().sockets.keys().copied().last().unwrap();
    fake.ledger_mut().now += Duration::from_secs(5);
    assert_eq!(fake.act(Target::Socket(socket), Ready::EMPTY), Ok(1));
    assert!(fake.result(timed).is_err());
    assert_eq!(fake.multi.running(), 1);
    fake.remove(timed).unwrap();
    assert_eq!(fake.multi.running(), 1);
}

/// A body that is sent as fast as it is received: its socket always has more.
#[derive(Clone, Default)]
struct Spring(Rc<RefCell<Flow>>);

#[derive(Default)]
struct Flow {
    tcp: Option<TcpStream>,
    /// Bytes that are not sent yet, and bytes that were received.
    left: usize,
    taken: u64,
}

impl Flow {
    fn pour(&mut self) {
        let Some(tcp) = &mut self.tcp else { return };
        let piece = [b'x'; 64 * 1024];
        while let Ok(sent @ 1..) = tcp.write(&piece[..self.left.min(piece.len())]) {
            self.left -= sent;
        }
    }
}

impl Sink for Spring {
    fn head(&mut self, _: &Response) -> Result<(), Fault> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut flow = self.0.borrow_mut();
        flow.taken += bytes.len() as u64;
        flow.pour();
        Ok(())
    }
}

/// A transfer with a body of `length` bytes that is being sent.
fn spring(fake: &mut Fake<Spring>, peer: &Peer, length: usize) -> Spring {
    let sink = well(fake, peer, length);
    sink.0.borrow_mut().pour();
    sink
}

/// A transfer with a body of `length` bytes that the server will send next.
fn well(fake: &mut Fake<Spring>, peer: &Peer, length: usize) -> Spring {
    let sink = Spring::default();
    fake.add(Easy::new(peer.url("/"), sink.clone()))
        .expect("a live multi");
    let mut talk = peer.asked(fake);
    talk.head(length);
    fake.settle();
    let mut flow = sink.0.borrow_mut();
    (flow.tcp, flow.left) = (Some(talk.tcp), length);
    drop(flow);
    sink
}

/// The bytes that each transfer has received.
fn taken(springs: &[Spring]) -> impl Iterator<Item = u64> {
    springs.iter().map(|spring| spring.0.borrow().taken)
}

/// K7, E1: after one event the socket is not named again; timeouts of zero bring the rest, one budget at a time.
#[test]
fn k7_e1_a_socket_that_never_runs_dry_yields_and_needs_no_second_event() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let length = 5 << 20;
    let sink = spring(&mut fake, &peer, length);
    let socket = fake.socket();
    assert_eq!(fake.ready(Duration::from_secs(10)).len(), 1);
    let mut running = fake.act(Target::Socket(socket), Ready::IN).unwrap();
    let mut turns = 1;
    let mut before = 0;
    while running > 0 {
        let taken = sink.0.borrow().taken;
        assert!(
            (BUDGET..=BUDGET + BUFFER).contains(&(taken - before)),
            "{taken} after {before}"
        );
        assert_eq!(fake.multi.timeout(fake.now()), Some(Duration::ZERO));
        before = taken;
        running = fake.kick().unwrap();
        turns += 1;
    }
    assert_eq!((turns, sink.0.borrow().taken), (3, length as u64));
}

/// K7: even with many such sockets, a call takes only a few budgets, and each transfer has its turn.
#[test]
fn k7_a_call_is_bounded_however_many_sockets_never_run_dry() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let springs = [(); 12].map(|()| well(&mut fake, &peer, 1 << 30));
    for spring in &springs {
        spring.0.borrow_mut().pour();
    }
    for (socket, ready) in fake.ready(Duration::from_secs(10)) {
        let before: u64 = taken(&springs).sum();
        fake.act(Target::Socket(socket), ready).unwrap();
        let came = taken(&springs).sum::<u64>() - before;
        assert!(came <= 2 * BUDGET + BUFFER, "{came} bytes in a call");
    }
    for _ in 0..5 * springs.len() {
        fake.kick().unwrap();
    }
    assert!(taken(&springs).all(|taken| taken > BUDGET));
}

/// K7: an application that must not be held up sets a smaller budget.
#[test]
fn k7_the_budget_of_a_call_can_be_set() {
    const SMALL: u64 = 256 << 10;
    let peer = Peer::new();
    let mut fake = Fake::new();
    let mut options = fake.multi.options().clone();
    options.call_budget = NonZeroUsize::new(SMALL as usize);
    fake.multi.set_options(options);
    let springs = [(); 6].map(|()| well(&mut fake, &peer, 1 << 30));
    for spring in &springs {
        spring.0.borrow_mut().pour();
    }
    fake.ready(Duration::from_secs(10));
    fake.multi.set_options(fake.multi.options().clone());
    let sockets: Vec<_> = fake.ledger().sockets.keys().copied().collect();
    for socket in sockets.into_iter().cycle().take(60) {
        let before: u64 = taken(&springs).sum();
        fake.act(Target::Socket(socket), Ready::IN).unwrap();
        let came = taken(&springs).sum::<u64>() - before;
        assert!(
            came > 0 && came <= SMALL + SMALL / 4,
            "{came} bytes in a call"
        );
    }
    assert!(taken(&springs).all(|taken| taken >= SMALL));
}

/// K3, K7: of a thousand timers that have expired, a call runs as many as leave some of its budget to a fast transfer.
#[test]
fn k3_k7_expired_timers_come_first_and_leave_some_for_the_rest() {
    const TIMERS: usize = 1000;
    let peer = Peer::new();
    let mut fake = Fake::new();
    for _ in 0..TIMERS {
        let mut easy = Easy::new(peer.url("/"), Spring::default());
        easy.delay = Some(Duration::from_secs(5));
        fake.add(easy).unwrap();
    }
    let fast = spring(&mut fake, &peer, 1 << 30);
    assert_eq!(fake.multi.sleeping(), TIMERS);
    fake.ledger_mut().now += Duration::from_secs(5);
    let mut calls = 0;
    while fake.multi.sleeping() > 0 {
        let (before, asleep) = (fast.0.borrow().taken, fake.multi.sleeping());
        for (socket, ready) in fake.ready(Duration::ZERO) {
            fake.act(Target::Socket(socket), ready).unwrap();
        }
        fake.kick().unwrap();
        let woken = asleep - fake.multi.sleeping();
        assert!(
            (1..=TIMERS / 3).contains(&woken),
            "{woken} timers in a call"
        );
        assert!(fast.0.borrow().taken > before, "starved");
        assert_eq!(fake.multi.timeout(fake.now()), Some(Duration::ZERO));
        calls += 1;
    }
    assert!(calls < 50, "{calls} calls");
}

/// K7: a socket that always has more leaves others their turn in every call.
#[test]
fn k7_one_fast_transfer_does_not_starve_the_rest() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let fast = spring(&mut fake, &peer, 1 << 30);
    let other = fake
        .add(Easy::new(peer.url("/"), Spring::default()))
        .unwrap();
    let mut talk = None;
    let mut is_answered = false;
    let mut kicks = 0;
    while !fake.done.iter().any(|done| done.id == other) {
        fake.kick().unwrap();
        talk = talk.or_else(|| peer.try_accept());
        if let Some(talk) = talk.as_mut().filter(|_| !is_answered) {
            is_answered = talk.try_request().is_some();
            if is_answered {
                talk.answer("in between");
            }
        }
        for (socket, ready) in fake.ready(Duration::ZERO) {
            fake.act(Target::Socket(socket), ready).unwrap();
        }
        fake.read();
        kicks += 1;
        assert!(kicks < 100, "starved");
    }
    assert!(fast.0.borrow().left > 0);
}

/// K8, K1: `socket` is `socket_action` with an empty mask.
#[test]
fn k8_socket_acts_without_a_mask() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let id = fake.add(peer.easy("/")).unwrap();
    let mut talk = peer.asked(&mut fake);
    let socket = fake.socket();
    talk.answer("done");
    assert_eq!(fake.ready(Duration::from_secs(10)).len(), 1);
    #[expect(deprecated, reason = "deprecated calls keep their promises too")]
    let running = fake.call(|multi, now| multi.socket(socket, now));
    assert_eq!(running, Ok(0));
    assert!(fake.result(id).is_ok());
}

/// K8: a socket that streams share is checked too.
#[test]
fn k8_socket_all_looks_at_sockets_that_are_shared() {
    let peer = Peer::new();
    let mut fake = engine(Limits::default());
    let ids = [(); 3].map(|()| fake.add(peer.easy("/")).unwrap());
    let mut side = Side::accept(&peer, &mut fake, &[]);
    let streams = side.requests(&mut fake, 3);
    let said: Vec<u8> = streams
        .iter()
        .flat_map(|stream| answer(*stream, b"done"))
        .collect();
    side.say(said);
    assert_eq!(fake.socket_all(), Ok(0));
    for id in ids {
        assert!(fake.result(id).is_ok());
    }
}

/// K8: no socket is named, and all of them are checked.
#[test]
fn k8_socket_all_looks_at_every_socket_and_transfer() {
    let peer = Peer::new();
    let mut fake = Fake::new();
    let ids = [(); 3].map(|()| fake.add(peer.easy("/")).unwrap());
    let mut talks = ids.map(|_| peer.asked(&mut fake));
    for talk in &mut talks {
        talk.answer("done");
    }
    assert_eq!(fake.socket_all(), Ok(0));
    for id in ids {
        assert!(fake.result(id).is_ok());
    }
}
