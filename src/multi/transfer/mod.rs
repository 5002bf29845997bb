//! One transfer and the states it passes through. A state is a function that borrows its transfer and the
//! [`Context`], and says what to do next.
//!
//! ```text
//!  Delayed                     ┌───── an idle connection, or a stream ──────┐
//!   ▲    │                     │                                            │
//!   │    ▼                     │                                            ▼
//! add ─► Init ─► Pending ─► Assigned ─► Resolve ─► Connect ─► Handshake ─► Send ─► Receive ─► Done
//!         ▲       ▲                                                                │ │ │ ▲
//!         │       └───────── the connection was dead, or took no requests ─────────┘ │ │ │
//!         └─────────────────────────────── a redirect ───────────────────────────────┘ ▼ │ its rate
//!                                                                                    Limited
//!
//!     start.rs                              connect.rs                    exchange.rs, finish.rs
//! ```
//!
//! A transfer that only connects leaves Send for StandBy, and returns when [`Multi::replace`](super::Multi::replace)
//! gives it something to fetch. One that gets a stream is in Joining while its connection receives what came before.
//! An error leads from any state to Done.
//!
//! `request.rs` makes what is sent, `response.rs` handles what is received, `recover.rs` repeats requests that a
//! connection could not carry, `splice.rs` moves bodies to files, `clocks.rs` has the time limits.
//!
//! A waiting transfer is woken by its socket, its timer, a free slot or an answer of the resolver; one that used up
//! its budget is runnable; a paused one waits for the application. There is no other way to sleep.

mod clocks;
mod connect;
mod exchange;
mod finish;
mod recover;
mod request;
mod response;
pub(super) mod splice;
mod stack;
mod start;

use std::net::SocketAddr;
use std::time::Instant;

use url::Url;

pub(super) use clocks::{Clocks, timeout_kind};
pub(super) use finish::{complete, complete_since, fail, release_all};
pub(super) use recover::take_idle;
pub(super) use request::{NextRequest, Prepared};
pub(super) use response::Reader;
pub(super) use splice::Splicer;
pub(super) use start::join;

use super::Sink;
use super::connection::Connection;
use super::connections::{ConnectionKey, Connections};
use super::context::Context;
use super::easy::Easy;
use super::events::Subject;
use super::info::TransferId;
use super::origins::OriginKey;
use super::queue::{Slot, Turn, Waiter};
use super::rate::Allowance;
use crate::conn::Endpoint;
use crate::error::{Doing, Fault};
use crate::http::Jar;
use crate::http::challenge::{Challenges, DigestLogin};

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Waits until its delay is over.
    Delayed,
    /// Was added, or follows a redirect.
    Init,
    /// Waits in the queue of its origin.
    Pending {
        /// Its entry in the queue.
        turn: Turn,
        /// Its last connection was dead: it takes no idle one.
        needs_fresh: bool,
    },
    /// Was assigned a slot, which it takes when it runs.
    Assigned {
        slot: Slot,
        /// As in `Pending`.
        needs_fresh: bool,
    },
    /// Waits, with its stream, until its connection has received what came while it was not watched. This ends within
    /// the call.
    Joining,
    /// Waits for the addresses of its host, with the right to open a connection.
    Resolve,
    /// Waits for a TCP connection.
    Connect,
    /// Waits for the layers above TCP.
    Handshake,
    /// Is connected, and has nothing to fetch yet.
    StandBy,
    /// Sends its request.
    Send,
    /// Receives its response.
    Receive,
    /// Receives nothing for a while, because of a rate limit.
    Limited,
    /// Completed; waits until it is removed.
    Done {
        /// The number of its message in the info queue.
        message: u64,
    },
}

impl State {
    /// The state as an error names it.
    pub(super) fn doing(self) -> Doing {
        match self {
            Self::Init => Doing::Starting,
            Self::Delayed
            | Self::Pending { .. }
            | Self::Assigned { .. }
            | Self::Joining
            | Self::StandBy
            | Self::Done { .. } => Doing::Waiting,
            Self::Resolve => Doing::Resolving,
            Self::Connect => Doing::Connecting,
            Self::Handshake => Doing::Handshaking,
            Self::Send => Doing::Sending,
            Self::Receive | Self::Limited => Doing::Receiving,
        }
    }
}

/// What a state decides to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Go on in this state at once.
    Go(State),
    /// Receive what came over this multiplexed connection while it was not watched, then [`join`] it. The transfer is
    /// `Joining` meanwhile.
    CatchUp(ConnectionKey),
    /// Sleep until something wakes the transfer.
    Wait,
    /// Let others run first, then go on.
    Yield,
    /// The transfer has completed.
    Complete,
}

/// Runs the state that a transfer is in.
pub(super) fn step<S: Sink>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) -> Result<Step, Fault> {
    match transfer.state {
        State::Delayed => Ok(start::delayed(transfer, context, now)),
        State::Init => start::init(transfer, context),
        State::Pending { .. } | State::Joining => Ok(Step::Wait),
        State::Assigned { slot, needs_fresh } => {
            Ok(start::take_slot(transfer, context, slot, needs_fresh, now))
        }
        State::Resolve => connect::resolve(transfer, context, now),
        State::Connect => connect::connect(transfer, context, now),
        State::Handshake => connect::handshake(transfer, context, now),
        State::StandBy => Ok(connect::stand_by(transfer, context)),
        State::Send => exchange::send(transfer, context, now),
        State::Receive => exchange::receive(transfer, context, now),
        State::Limited => exchange::limited(transfer, context, now),
        State::Done { .. } => Ok(Step::Complete),
    }
}

/// What happens to the body that is received.
#[derive(Debug, Default)]
pub(super) enum Delivery {
    /// The sink takes it.
    #[default]
    Sink,
    /// It is read and discarded, to keep the connection: at most this many bytes more, until the transfer's wake time.
    Drain(u64, After),
}

/// What follows a body that is discarded.
#[derive(Debug)]
pub(super) enum After {
    /// The redirect is followed.
    Redirect(Box<Url>),
    /// The transfer fails.
    Fail(Fault),
}

/// A transfer's use of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) key: ConnectionKey,
    /// The token of the transfer's stream on the connection; 0 on a serial connection.
    pub(super) stream: usize,
    /// Its stream takes nothing now.
    pub(super) is_resting: bool,
    /// Its body is a long one.
    pub(super) is_bulky: bool,
}

impl Link {
    pub(super) fn new(key: ConnectionKey, stream: usize) -> Self {
        Self {
            key,
            stream,
            is_resting: false,
            is_bulky: false,
        }
    }
}

/// The redirects that a transfer followed.
#[derive(Debug, Default)]
pub(super) struct Redirects {
    /// Where the last one led.
    pub(super) url: Option<Url>,
    pub(super) count: u32,
    /// One of them led away from an https URL.
    pub(super) has_left_tls: bool,
    /// Paths are sent as they were typed, or as a Location has them.
    pub(super) are_paths_typed: bool,
}

/// A transfer in a multi.
#[derive(Debug)]
pub(super) struct Transfer<S> {
    pub(super) id: TransferId,
    pub(super) easy: Easy<S>,
    pub(super) state: State,
    pub(super) redirects: Redirects,
    /// The origin, with a record that it uses.
    pub(super) origin: Option<OriginKey>,
    /// The connection that it uses, which is open.
    pub(super) link: Option<Link>,
    /// The endpoint that was tried last.
    pub(super) endpoint: Option<Endpoint>,
    /// How many of the origin's addresses its proxy could not connect to.
    pub(super) refused: usize,
    pub(super) delivery: Delivery,
    /// Bytes of the body.
    pub(super) received: u64,
    pub(super) clocks: Clocks,
    pub(super) allowance: Allowance,
    pub(super) is_paused: bool,
    /// The sink has accepted a head, and no event tells it yet.
    pub(super) has_new_head: bool,
    pub(super) logins: Box<Logins>,
    /// The cookies that its redirects set.
    pub(super) jar: Option<Box<Jar>>,
}

/// The Digest authentication of a transfer.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// The challenges of the last response.
    pub(super) challenges: Challenges,
    /// The answer to the origin.
    pub(super) origin: Option<DigestLogin>,
    /// The answer to the proxy that makes the requests.
    pub(super) proxy: Option<DigestLogin>,
    /// How many tunnels were asked for because of a challenge.
    pub(super) tunnels: u8,
}

impl<S> Transfer<S> {
    pub(super) fn new(id: TransferId, easy: Easy<S>, are_paths_typed: bool) -> Self {
        let allowance = Allowance::new(easy.max_recv_speed);
        let state = match easy.delay {
            Some(_) => State::Delayed,
            None => State::Init,
        };
        Self {
            id,
            easy,
            state,
            redirects: Redirects {
                are_paths_typed,
                ..Redirects::default()
            },
            origin: None,
            link: None,
            endpoint: None,
            refused: 0,
            delivery: Delivery::Sink,
            received: 0,
            clocks: Clocks::default(),
            allowance,
            is_paused: false,
            has_new_head: false,
            logins: Box::default(),
            jar: None,
        }
    }

    /// Completes the transfer without returning anything that it holds: all of that was forgotten.
    pub(super) fn forget(&mut self, message: u64) {
        self.state = State::Done { message };
        self.origin = None;
        self.link = None;
        self.delivery = Delivery::Sink;
        self.clocks = Clocks::over(self.clocks.dispatched);
        self.allowance.forget_grants();
    }

    /// The transfer as the subject of events.
    pub(super) fn subject(&self) -> Subject {
        Subject {
            id: self.id,
            mask: self.easy.events,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done { .. })
    }

    /// Takes the transfer out of the queue: it was assigned a slot.
    pub(super) fn assign(&mut self, slot: Slot) {
        let needs_fresh = matches!(
            self.state,
            State::Pending {
                needs_fresh: true,
                ..
            }
        );
        self.state = State::Assigned { slot, needs_fresh };
    }

    /// What the queue of its origin holds of it.
    pub(super) fn waiter(&self) -> Waiter {
        Waiter {
            id: self.id,
            is_apart: self.easy.is_extra,
        }
    }

    /// Moves the transfer to another turn, if it waits in the queue of its origin.
    pub(super) fn change_turn(&mut self, context: &mut Context, change: impl FnOnce(Turn) -> Turn) {
        let waiter = self.waiter();
        if let (State::Pending { turn, .. }, Some(key)) = (&mut self.state, self.origin) {
            let before = *turn;
            *turn = change(before);
            context.pool.change_turn(key, before, *turn, waiter);
        }
    }

    /// The connection that it uses.
    pub(super) fn connection<'c>(&self, connections: &'c Connections) -> Option<&'c Connection> {
        connections.get(self.link?.key)
    }

    /// The address that was tried last.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().and_then(Endpoint::inet)
    }

    /// The URL that is being fetched.
    pub(super) fn url(&self) -> &Url {
        self.redirects.url.as_ref().unwrap_or(&self.easy.url)
    }

    /// Whether a discarded body has reached its limit of bytes or time.
    pub(super) fn has_drained_enough(&self, now: Instant) -> bool {
        match self.delivery {
            Delivery::Drain(room, _) => room == 0 || self.clocks.wake.is_some_and(|at| at <= now),
            Delivery::Sink => false,
        }
    }
}
