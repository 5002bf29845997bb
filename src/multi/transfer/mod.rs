//! One transfer and the states it passes through. Each state is one method of [`Multi`](super::Multi).
//!
//! ```text
//!  Delayed           an idle connection to the origin
//!   ▲    │       ┌─────────────────────────────────────────────┐
//!   │    ▼       │                                             ▼
//! add ─► Init ─► Pending ─► Resolve ─► Connect ─► Handshake ─► Send ─► Receive ─► Done
//!          ▲     ▲                                                     │ │ │ ▲
//!          │     └─────────── the connection was found dead ───────────┘ │ │ │
//!          └───────────────── a redirect ────────────────────────────────┘ ▼ │ its rate
//!                                                                         Limited
//!
//!     start.rs                connect.rs                  exchange.rs, stream.rs   finish.rs
//! ```
//!
//! A transfer that only connects leaves Send for StandBy, and comes back when it is given something to fetch.
//!
//! An error leads from any state to Done. `request.rs` has what is sent, `answer.rs` what becomes of what is received,
//! `splice.rs` the short way to a file, `clocks.rs` the times.
//!
//! A transfer that waits is woken by its socket, by its time, by a free place, or by an answer of
//! the resolver; one that stopped at its budget is runnable; one that is paused waits for the
//! application. There is no other way to sleep.

mod answer;
mod clocks;
mod connect;
mod exchange;
mod finish;
mod request;
mod splice;
mod stack;
mod start;
mod stream;

use std::net::SocketAddr;
use std::time::Instant;

use url::Url;

pub(super) use clocks::Clocks;
pub(super) use request::Prepared;
pub(super) use splice::Splicer;

use super::connections::ConnectionKey;
use super::easy::Easy;
use super::info::TransferId;
use super::origins::OriginKey;
use super::queue::{Place, Turn, Waiter};
use crate::error::{Doing, Fault};

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Waits for its time: a retry.
    Delayed,
    /// Has just been added.
    Init,
    /// Waits for a place.
    Pending,
    /// Waits for its host's addresses.
    Resolve,
    /// Waits for a TCP connection.
    Connect,
    /// Waits for the layers above TCP.
    Handshake,
    /// Is connected, and has nothing to fetch yet.
    StandBy,
    /// Sends its request.
    Send,
    /// Receives its answer.
    Receive,
    /// May not receive for a while, by a rate limit.
    Limited,
    /// Has completed, and waits to be removed.
    Done,
}

impl State {
    /// The same in the words of an error.
    pub(super) fn doing(self) -> Doing {
        match self {
            Self::Init => Doing::Starting,
            Self::Delayed | Self::Pending | Self::StandBy | Self::Done => Doing::Waiting,
            Self::Resolve => Doing::Resolving,
            Self::Connect => Doing::Connecting,
            Self::Handshake => Doing::Handshaking,
            Self::Send => Doing::Sending,
            Self::Receive | Self::Limited => Doing::Receiving,
        }
    }
}

/// What a state's method says to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Go on in this state at once.
    Go(State),
    /// Sleep until something wakes the transfer.
    Wait,
    /// Let others run first, then go on.
    Yield,
    /// The answer is whole.
    Complete,
}

/// What becomes of the body under way.
#[derive(Debug, Default)]
pub(super) enum Delivery {
    /// It goes to the sink.
    #[default]
    Sink,
    /// It is read and thrown away, to keep the connection: this many bytes of it at most, until the transfer's wake.
    Drain(u64, After),
}

/// What follows a body that is thrown away.
#[derive(Debug)]
pub(super) enum After {
    /// The redirect is followed.
    Redirect(Box<Url>),
    /// The transfer fails.
    Fail(Fault),
}

/// A transfer in a multi.
#[derive(Debug)]
pub(super) struct Transfer<S> {
    pub(super) id: TransferId,
    pub(super) easy: Easy<S>,
    pub(super) state: State,
    /// Where redirects have led; the easy's URL before the first.
    pub(super) redirected: Option<Url>,
    pub(super) redirects: u32,
    /// A redirect has led away from https.
    pub(super) was_tls: bool,
    /// The key of the origin it holds in the pool.
    pub(super) origin: Option<OriginKey>,
    /// Its place in the queue while it is pending, and what it got there.
    pub(super) turn: Option<Turn>,
    pub(super) place: Option<Place>,
    pub(super) connection: Option<ConnectionKey>,
    /// Its slot, where the connection is one of HTTP/2.
    pub(super) slot: usize,
    /// The last address tried.
    pub(super) address: Option<SocketAddr>,
    /// How many of the origin's addresses its proxy could not connect to.
    pub(super) refused: usize,
    /// The last connection was found dead: take a new one.
    pub(super) needs_fresh: bool,
    /// Its stream is not listened to just now.
    pub(super) is_resting: bool,
    /// Its body has turned out to be long.
    pub(super) is_bulky: bool,
    pub(super) delivery: Delivery,
    pub(super) received: u64,
    pub(super) clocks: Clocks,
    /// Bytes that it may still receive under each limit: its own, and that of all.
    pub(super) grants: [u64; 2],
    pub(super) rate: Option<super::rate::Rate>,
    /// The number of its message, once it has completed.
    pub(super) message: Option<u64>,
    pub(super) is_paused: bool,
    pub(super) is_runnable: bool,
}

impl<S> Transfer<S> {
    pub(super) fn new(id: TransferId, easy: Easy<S>) -> Self {
        let rate = easy.max_recv_speed.map(super::rate::Rate::new);
        let state = match easy.delay {
            Some(_) => State::Delayed,
            None => State::Init,
        };
        Self {
            id,
            easy,
            state,
            redirected: None,
            redirects: 0,
            was_tls: false,
            origin: None,
            turn: None,
            place: None,
            connection: None,
            slot: 0,
            address: None,
            refused: 0,
            needs_fresh: false,
            is_resting: false,
            is_bulky: false,
            delivery: Delivery::Sink,
            received: 0,
            clocks: Clocks::default(),
            grants: [0; 2],
            rate,
            message: None,
            is_paused: false,
            is_runnable: false,
        }
    }

    /// Completes the transfer without giving anything back of what it holds: all of that is gone.
    pub(super) fn forget(&mut self) {
        self.state = State::Done;
        self.origin = None;
        self.turn = None;
        self.place = None;
        self.connection = None;
        self.is_resting = false;
        self.is_bulky = false;
        self.delivery = Delivery::Sink;
        self.clocks = Clocks::over(self.clocks.dispatched);
        self.grants = [0; 2];
        self.is_runnable = false;
    }

    /// What the queue of its origin holds of it.
    pub(super) fn waiter(&self) -> Waiter {
        Waiter {
            id: self.id,
            is_apart: self.easy.is_extra,
        }
    }

    /// The URL being fetched now.
    pub(super) fn url(&self) -> &Url {
        self.redirected.as_ref().unwrap_or(&self.easy.url)
    }

    /// Whether a body that nobody wants has taken as long, or is as long, as it may.
    pub(super) fn has_drained_enough(&self, now: Instant) -> bool {
        match self.delivery {
            Delivery::Drain(room, _) => room == 0 || self.clocks.wake.is_some_and(|at| at <= now),
            Delivery::Sink => false,
        }
    }
}
