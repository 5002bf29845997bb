//! A loop in virtual time. Every call of the engine goes through it, and after every call it asserts the invariants:
//! pairing, timers, progress, no busy loop. Only readiness is real: a poll(2) of the sockets that were announced.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gannet::multi::{
    Done, Easy, Event, EventKind, Interest, Multi, Options, Outcome, Ready, Sink, Target,
    TransferId,
};
use gannet::reactor::load_certificates;
use gannet::{Error, MultiError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::edges::Edges;
use super::ledger::{Ledger, Timer, Told};

/// The longest real time that a test waits for its peer.
const LIMIT: Duration = Duration::from_secs(10);
/// The number of rounds without passing time after which the loop counts as busy.
const BUSY: usize = 2000;

pub(crate) struct Fake<S: Sink> {
    pub(crate) multi: Multi<S>,
    ledger: Rc<RefCell<Ledger>>,
    /// Messages that were read.
    pub(crate) done: Vec<Done>,
    /// Events that were read.
    pub(crate) events: Vec<Event>,
    reported: BTreeSet<TransferId>,
    paused: BTreeSet<TransferId>,
    is_dead: bool,
    /// Calls of the engine so far.
    pub(crate) calls: usize,
}

impl<S: Sink> Fake<S> {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let mut fake = Self::deaf();
        fake.multi.set_options(options);
        fake.multi.set_certificate_function(load_certificates);
        fake.listen();
        fake
    }

    /// A fake with an edge-triggered loop, regardless of [`deaf`](Self::deaf).
    pub(crate) fn edge_triggered(options: Options) -> Self {
        let mut fake = Self::deaf();
        fake.ledger_mut().edges = Some(Edges::new());
        fake.multi.set_options(options);
        fake.listen();
        fake
    }

    /// A fake without functions. Its loop is level-triggered, unless GANNET_EDGE is set.
    pub(crate) fn deaf() -> Self {
        let mut ledger = Ledger::new(Instant::now());
        ledger.edges = std::env::var_os("GANNET_EDGE").map(|_| Edges::new());
        Self {
            multi: Multi::new(),
            ledger: Rc::new(RefCell::new(ledger)),
            done: Vec::new(),
            events: Vec::new(),
            reported: BTreeSet::new(),
            paused: BTreeSet::new(),
            is_dead: false,
            calls: 0,
        }
    }

    /// Sets the functions.
    pub(crate) fn listen(&mut self) {
        let ledger = Rc::clone(&self.ledger);
        self.multi
            .set_socket_function(move |change| ledger.borrow_mut().socket(change));
        let ledger = Rc::clone(&self.ledger);
        self.multi
            .set_timer_function(move |timeout| ledger.borrow_mut().timer(timeout));
        let ledger = Rc::clone(&self.ledger);
        self.multi
            .set_resolve_function(move |host| ledger.borrow_mut().lookups.push(host.to_owned()));
    }

    pub(crate) fn ledger(&self) -> Ref<'_, Ledger> {
        self.ledger.borrow()
    }

    pub(crate) fn ledger_mut(&self) -> RefMut<'_, Ledger> {
        self.ledger.borrow_mut()
    }

    /// Drops the engine; the ledger of its functions stays.
    pub(crate) fn into_ledger(self) -> Rc<RefCell<Ledger>> {
        Rc::clone(&self.ledger)
    }

    pub(crate) fn now(&self) -> Instant {
        self.ledger().now
    }

    /// What the functions were told since the last call of this.
    pub(crate) fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.ledger_mut().log)
    }

    /// Calls the engine, and checks everything afterwards.
    pub(crate) fn call<T>(&mut self, act: impl FnOnce(&mut Multi<S>, Instant) -> T) -> T {
        let now = self.now();
        self.ledger_mut().begin();
        self.calls += 1;
        let result = act(&mut self.multi, now);
        self.check();
        result
    }

    /// Makes a call that returns whether the multi is dead.
    fn call_live<T>(
        &mut self,
        act: impl FnOnce(&mut Multi<S>, Instant) -> Result<T, MultiError>,
    ) -> Result<T, MultiError> {
        let now = self.now();
        self.ledger_mut().begin();
        self.calls += 1;
        let result = act(&mut self.multi, now);
        self.is_dead |= matches!(result, Err(MultiError::AbortedByCallback));
        self.is_dead &= self.multi.transfers().next().is_some();
        self.check();
        result
    }

    pub(crate) fn add(&mut self, easy: Easy<S>) -> Result<TransferId, MultiError> {
        self.call_live(|multi, _| multi.add(easy))
    }

    pub(crate) fn remove(&mut self, id: TransferId) -> Result<Easy<S>, MultiError> {
        let is_last = self.multi.transfers().count() == 1 && self.multi.easy(id).is_some();
        self.is_dead &= !is_last;
        self.paused.remove(&id);
        self.call(|multi, now| multi.remove(id, now))
    }

    pub(crate) fn pause(&mut self, id: TransferId) -> Result<(), MultiError> {
        self.paused.insert(id);
        self.call_live(|multi, now| multi.pause(id, now))
    }

    pub(crate) fn resume(&mut self, id: TransferId) -> Result<(), MultiError> {
        self.paused.remove(&id);
        self.call_live(|multi, _| multi.resume(id))
    }

    pub(crate) fn socket_all(&mut self) -> Result<usize, MultiError> {
        self.ledger_mut().forget_timer();
        #[expect(deprecated, reason = "deprecated calls keep their promises too")]
        self.call_live(|multi, now| multi.socket_all(now))
    }

    pub(crate) fn act(&mut self, target: Target, ready: Ready) -> Result<usize, MultiError> {
        match target {
            Target::Timeout => self.ledger_mut().forget_timer(),
            Target::Socket(socket) => {
                if let Some(edges) = &mut self.ledger_mut().edges {
                    edges.take(socket);
                }
            }
        }
        self.call_live(|multi, now| multi.socket_action(target, ready, now))
    }

    pub(crate) fn kick(&mut self) -> Result<usize, MultiError> {
        self.act(Target::Timeout, Ready::EMPTY)
    }

    /// Answers every lookup with loopback.
    pub(crate) fn answer_lookups(&mut self) {
        let hosts = std::mem::take(&mut self.ledger_mut().lookups);
        for host in hosts {
            let found = Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
            let _ = self.call_live(|multi, now| multi.resolved(&host, found, now));
        }
    }

    /// The invariants.
    fn check(&self) {
        let running = self.multi.running();
        let ledger = self.ledger.borrow();
        ledger.check_descriptors();
        if self.is_dead {
            assert_eq!(running, 0, "S8: a dead multi has completed everything");
            return;
        }
        ledger.check_timer(self.multi.timeout(ledger.now));
        let is_watched = !ledger.sockets.is_empty() || ledger.timer != Timer::Unset;
        let stands_by = |easy: &Easy<S>| easy.is_connect_only;
        let is_owed = !ledger.lookups.is_empty()
            || !self.paused.is_empty()
            || self.multi.transfers().any(|(_, easy, _)| stands_by(easy));
        assert!(
            running == 0 || is_watched || is_owed,
            "E3: {running} transfers run, and nothing would wake them"
        );
    }

    /// Sockets that are ready for the announced interest, after at most `wait`.
    pub(crate) fn ready(&self, wait: Duration) -> Vec<(RawFd, Ready)> {
        if let Some(edges) = &mut self.ledger_mut().edges {
            return edges.ready(wait);
        }
        let ledger = self.ledger();
        let mut polled: Vec<_> = ledger
            .sockets
            .values()
            .map(|announced| PollFd::new(&announced.fd, flags(announced.interest)))
            .collect();
        let wait = Timespec::try_from(wait).expect("a short time");
        poll(&mut polled, Some(&wait)).expect("poll");
        let numbers = ledger.sockets.keys().zip(&polled);
        let active = numbers.filter(|(_, polled)| !polled.revents().is_empty());
        active
            .map(|(socket, polled)| (*socket, mask(polled.revents())))
            .collect()
    }

    /// Acts until nothing is due and nothing is ready. Returns the number of rounds.
    pub(crate) fn settle(&mut self) -> usize {
        for turn in 0..BUSY {
            if self.ledger().is_due() {
                self.kick().expect("a live multi");
                continue;
            }
            let ready = self.ready(Duration::ZERO);
            if ready.is_empty() {
                return turn;
            }
            for (socket, ready) in ready {
                self.act(Target::Socket(socket), ready)
                    .expect("a live multi");
            }
        }
        panic!("E2: a busy loop: {:?}", self.told().last_chunk::<8>());
    }

    /// Acts until `is_met`; real time passes while the peer is at work, virtual time does not.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut is_met: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        loop {
            self.settle();
            if is_met(self) {
                return;
            }
            assert!(start.elapsed() < LIMIT, "waited in vain for {what}");
            let _ = self.ready(Duration::from_millis(1));
        }
    }

    /// Lets virtual time pass, from one expiry to the next. Returns the number of calls.
    pub(crate) fn elapse(&mut self, time: Duration) -> usize {
        let calls = self.calls;
        let end = self.now() + time;
        loop {
            self.settle();
            let timer = self.ledger().timer;
            match timer {
                Timer::At(at) if at <= end => self.ledger_mut().now = at,
                _ => break,
            }
        }
        self.ledger_mut().now = end;
        self.calls - calls
    }

    /// Reads the events, then the info queue. No transfer may report twice (I2), none that was removed may report at
    /// all (I3, V3), and none reports an event that its mask lacks (V1).
    pub(crate) fn read(&mut self) -> usize {
        while let Some(event) = self.multi.event_read() {
            let easy = self.multi.easy(event.id);
            let mask = easy.expect("V3: an event of a removed transfer").events;
            let is_asked_for = match event.kind {
                EventKind::Head => mask.head,
                _ => mask.traces.is_some(),
            };
            assert!(is_asked_for, "V1: {event:?} was not asked for");
            self.events.push(event);
        }
        let before = self.done.len();
        while let Some(done) = self.multi.info_read() {
            assert!(self.reported.insert(done.id), "I2: a second message");
            assert!(
                self.multi.easy(done.id).is_some(),
                "I3: a message of a removed transfer"
            );
            self.paused.remove(&done.id);
            self.done.push(done);
        }
        self.done.len() - before
    }

    /// Waits for the result of a transfer.
    #[track_caller]
    pub(crate) fn result(&mut self, id: TransferId) -> Result<Outcome, Error> {
        self.until("the end of a transfer", |fake| {
            fake.read();
            fake.done.iter().any(|done| done.id == id)
        });
        let at = self.done.iter().position(|done| done.id == id);
        self.done.remove(at.expect("it has come")).result
    }

    /// The one socket that is announced.
    #[track_caller]
    pub(crate) fn socket(&self) -> RawFd {
        let ledger = self.ledger();
        assert_eq!(ledger.sockets.len(), 1, "one socket is announced");
        ledger.sockets.keys().copied().next().expect("one")
    }

    pub(crate) fn received(&self, id: TransferId) -> u64 {
        self.multi
            .progress(id)
            .map_or(0, |progress| progress.received)
    }
}

/// Dropping the engine is a call too.
impl<S: Sink> Drop for Fake<S> {
    fn drop(&mut self) {
        self.ledger_mut().begin();
    }
}

fn flags(interest: Interest) -> PollFlags {
    match interest {
        Interest::In => PollFlags::IN,
        Interest::Out => PollFlags::OUT,
        Interest::InOut => PollFlags::IN | PollFlags::OUT,
        Interest::None | Interest::Remove => PollFlags::empty(),
    }
}

fn mask(events: PollFlags) -> Ready {
    let flags = [
        (PollFlags::IN | PollFlags::HUP, Ready::IN),
        (PollFlags::OUT, Ready::OUT),
        (PollFlags::ERR, Ready::ERR),
    ];
    let set = flags.iter().filter(|(any, _)| events.intersects(*any));
    set.fold(Ready::EMPTY, |ready, (_, flag)| ready | *flag)
}
