//! What the engine's functions were told, and whether that was allowed: pairing, no repetition, one timer for each
//! call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use gannet::multi::{Abort, Interest, SocketChange, TransferId};

use super::edges::Edges;

/// One call of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The socket function: a socket, and the interest in it.
    Socket(RawFd, Interest),
    /// The timer function.
    Timer(Option<Duration>),
}

/// A socket that was announced and not removed.
pub(crate) struct Announced {
    pub(crate) interest: Interest,
    pub(crate) transfer: TransferId,
    /// A duplicate, to poll.
    pub(crate) fd: OwnedFd,
    /// Which socket the number stood for when it was announced.
    identity: PathBuf,
}

/// The application's one timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// There is none, or the function was not called yet.
    Unset,
    At(Instant),
    /// It was set, and a timeout action has cleared it.
    Spent,
}

pub(crate) struct Ledger {
    pub(crate) now: Instant,
    pub(crate) sockets: BTreeMap<RawFd, Announced>,
    pub(crate) timer: Timer,
    /// Every call since the test last looked.
    pub(crate) log: Vec<Told>,
    /// Every number that a socket ever had.
    pub(crate) numbers: BTreeSet<RawFd>,
    /// The poll of the sockets, if it is edge-triggered.
    pub(super) edges: Option<Edges>,
    /// Hosts to look up.
    pub(crate) lookups: Vec<String>,
    /// Whether the socket function and the timer function fail.
    pub(crate) fails_sockets: bool,
    pub(crate) fails_timer: bool,
    /// What was assigned, as the last change of each socket showed it.
    pub(crate) shown: BTreeMap<RawFd, Option<&'static str>>,
    /// Assigned from inside the socket function, once.
    pub(crate) assigns: Option<&'static str>,
    /// The timer was set to zero: a second zero would be a repetition, at any time.
    is_at_once: bool,
    /// Whether this call has called the timer function already.
    timer_was_told: bool,
}

/// What a descriptor's number stands for: "socket:[4711]".
fn identity(socket: RawFd) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{socket}")).ok()
}

impl Ledger {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            now,
            sockets: BTreeMap::new(),
            timer: Timer::Unset,
            log: Vec::new(),
            numbers: BTreeSet::new(),
            edges: None,
            lookups: Vec::new(),
            fails_sockets: false,
            fails_timer: false,
            shown: BTreeMap::new(),
            assigns: None,
            is_at_once: false,
            timer_was_told: false,
        }
    }

    /// A call begins.
    pub(super) fn begin(&mut self) {
        self.timer_was_told = false;
    }

    /// The timer fired, or the application says so (T3).
    pub(super) fn forget_timer(&mut self) {
        if self.timer != Timer::Unset {
            self.timer = Timer::Spent;
        }
    }

    /// The socket function.
    pub(super) fn socket(&mut self, mut change: SocketChange<'_>) -> Result<(), Abort> {
        if thread::panicking() {
            return Ok(());
        }
        let (socket, interest) = (change.socket, change.interest);
        self.log.push(Told::Socket(socket, interest));
        let may = self.fails_timer || !self.timer_was_told;
        assert!(may, "T5: {interest:?} of {socket} after the timer function");
        let identity = identity(socket);
        assert!(
            identity.is_some(),
            "S4: {interest:?} of {socket}, which is closed"
        );
        let shown = change
            .assigned()
            .and_then(|data| data.downcast_ref::<&'static str>());
        self.shown.insert(socket, shown.copied());
        if let Some(data) = self.assigns.take() {
            change.assign(data);
        }
        let before = self.sockets.remove(&socket);
        if let (Some(edges), Some(before)) = (&mut self.edges, &before) {
            edges.forget(socket, &before.fd);
        }
        match (before, interest) {
            (None, Interest::Remove) => panic!("S4: {socket} is removed and was not announced"),
            (Some(before), _) if before.interest == interest => {
                panic!("S1: {socket} is announced as {interest:?} again")
            }
            (Some(before), _) if Some(&before.identity) != identity.as_ref() => {
                panic!("S4: {socket} was closed while announced, and is another now")
            }
            (Some(_), Interest::Remove) => {}
            (_, interest) => {
                let fd = change.as_fd().try_clone_to_owned().expect("a duplicate");
                if let Some(edges) = &mut self.edges {
                    edges.watch(socket, &fd, interest);
                }
                let announced = Announced {
                    interest,
                    transfer: change.transfer,
                    fd,
                    identity: identity.unwrap_or_default(),
                };
                self.sockets.insert(socket, announced);
                self.numbers.insert(socket);
            }
        }
        if self.fails_sockets {
            Err(Abort)
        } else {
            Ok(())
        }
    }

    /// The timer function.
    pub(super) fn timer(&mut self, timeout: Option<Duration>) -> Result<(), Abort> {
        if thread::panicking() {
            return Ok(());
        }
        self.log.push(Told::Timer(timeout));
        assert!(
            !self.timer_was_told,
            "T5: the timer function twice in a call"
        );
        self.timer_was_told = true;
        match (self.timer, timeout) {
            (Timer::Unset, None) => panic!("T2: no timer, told again"),
            (Timer::At(at), Some(timeout)) => {
                let is_same = if timeout.is_zero() {
                    self.is_at_once
                } else {
                    at == self.now + timeout
                };
                assert!(!is_same, "T2: the same expiry again: {timeout:?}");
            }
            _ => {}
        }
        self.is_at_once = timeout == Some(Duration::ZERO);
        self.timer = timeout.map_or(Timer::Unset, |timeout| Timer::At(self.now + timeout));
        if self.fails_timer {
            // A timer that could not be set is not set.
            self.timer = Timer::Unset;
            self.is_at_once = false;
            return Err(Abort);
        }
        Ok(())
    }

    /// No announced descriptor was closed, or belongs to another socket now.
    pub(super) fn check_descriptors(&self) {
        for (socket, announced) in &self.sockets {
            assert_eq!(
                identity(*socket).as_ref(),
                Some(&announced.identity),
                "S4: {socket} was closed while announced"
            );
        }
    }

    /// The timer function was told the engine's timeout (T2).
    pub(super) fn check_timer(&self, wanted: Option<Duration>) {
        let agrees = match (wanted, self.timer) {
            (None, Timer::Unset) => true,
            (Some(wanted), Timer::At(at)) => {
                at == self.now + wanted || (at <= self.now && wanted.is_zero())
            }
            _ => false,
        };
        assert!(
            agrees,
            "T2: the engine wants {wanted:?}, the timer is {:?} at {:?}",
            self.timer, self.now
        );
    }

    /// Whether the timer has expired.
    pub(crate) fn is_due(&self) -> bool {
        matches!(self.timer, Timer::At(at) if at <= self.now)
    }
}
