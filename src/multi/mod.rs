//! Many transfers over shared connections, none of them waited for: an engine with the contract of
//! libcurl's multi_socket interface.
//!
//! The engine owns its sockets and reads and writes them; it never waits and never reads a clock.
//! The application waits, on any event loop, for the sockets and the one timeout that it is told
//! of, and hands in the time:
//!
//! ```no_run
//! use std::time::Instant;
//! use gannet::multi::{Easy, Multi, Ready, Target};
//!
//! let mut multi = Multi::new();
//! multi.set_socket_function(|change| { /* register, reregister or deregister change.socket */ Ok(()) });
//! multi.set_timer_function(|timeout| { /* set or clear the one timer */ Ok(()) });
//! multi.add(Easy::new("http://127.0.0.1/file".parse()?, Vec::new()))?;
//! multi.socket_action(Target::Timeout, Ready::EMPTY, Instant::now())?; // kick-start, and whenever the timeout expires
//! // … wait; then, for each socket with activity:
//! # let socket = 0;
//! multi.socket_action(Target::Socket(socket), Ready::IN, Instant::now())?;
//! while let Some(done) = multi.info_read() {
//!     let easy = multi.remove(done.id, Instant::now())?;
//!     println!("{}: {:?}", easy.url, done.result);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Multi`] is the face; the states of a transfer are drawn in `transfer/mod.rs`. An `Ok` from a
//! call says nothing of single transfers: their results come from the info queue alone.

mod alarm;
mod connection;
mod connections;
mod drive;
mod easy;
mod info;
mod interest;
mod lookup;
mod narrow;
mod options;
mod origins;
mod pace;
mod pool;
mod queue;
mod rate;
mod reach;
mod ready;
mod route;
mod shared;
mod sink;
mod stream_load;
mod timers;
mod trace;
mod transfer;

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use slab::Slab;
use url::Url;

use alarm::Alarm;
use connection::Dial;
use connections::{ConnectionKey, Connections};
use info::Messages;
use interest::Sockets;
use lookup::Lookups;
use pool::Pool;
use queue::Turn;
use rate::Rate;
use trace::Tracer;
use transfer::{Splicer, State, Transfer};

use crate::conn::{Config, Scratch};
use crate::error::MultiError;
use crate::http::Origin;

pub use crate::conn::{Identity, Interest, TlsOptions, TlsVersion, TrustRoots, Wire};
pub use crate::http2::Windows;
pub use easy::{Easy, PATIENCE};
pub use info::{Done, Outcome, Progress, TransferId};
pub use interest::{Abort, SocketChange};
pub use lookup::{Addresses, Family};
pub use options::{Options, Protocol};
pub use pool::Limits;
pub use ready::{Ready, Target};
pub use sink::Sink;
pub use timers::Timers;
pub use trace::{Detail, Trace};

/// Many transfers, driven by an event loop that is not its own. See the [module](self) for how.
#[derive(Debug)]
pub struct Multi<S: Sink> {
    options: Options,
    transfers: Slab<Transfer<S>>,
    connections: Connections,
    pool: Pool,
    sockets: Sockets,
    alarm: Alarm,
    timers: Timers,
    lookups: Lookups,
    tracer: Tracer,
    dial: Option<Dial>,
    /// Who has something to do at once. An entry counts only while its transfer says so too.
    runnable: VecDeque<TransferId>,
    /// Who spent its budget in this call, and goes on in the next.
    yielded: Vec<TransferId>,
    /// Connections of HTTP/2 that have more to be received, and those that have become so in this call.
    runnable_connections: Vec<ConnectionKey>,
    yielded_connections: Vec<ConnectionKey>,
    /// Connections of HTTP/2 that have something to send at the end of this call.
    unsent: Vec<ConnectionKey>,
    /// The info queue.
    messages: Messages,
    /// Transfers that have not completed, and those of them that wait until their delay is over.
    running: usize,
    sleeping: usize,
    /// A function has failed: nothing runs until every transfer is removed.
    is_dead: bool,
    /// What the last call of `add` that failed was given.
    refused: Option<Easy<S>>,
    scratch: Scratch,
    splicer: Splicer,
    /// Made when the first https URL comes up.
    tls_config: Option<Config>,
    /// The limit of all transfers together.
    rate: Option<Rate>,
    /// Calls so far: what became idle in this one has not been out of sight.
    calls: u64,
    /// Bytes that this call may still receive for those of one kind.
    budget: usize,
}

impl<S: Sink> Default for Multi<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Sink> Multi<S> {
    /// An engine with nothing to do.
    pub fn new() -> Self {
        Self {
            options: Options::default(),
            transfers: Slab::new(),
            connections: Connections::default(),
            pool: Pool::default(),
            sockets: Sockets::default(),
            alarm: Alarm::default(),
            timers: Timers::new(),
            lookups: Lookups::default(),
            tracer: Tracer::default(),
            dial: None,
            runnable: VecDeque::new(),
            yielded: Vec::new(),
            runnable_connections: Vec::new(),
            yielded_connections: Vec::new(),
            unsent: Vec::new(),
            messages: Messages::default(),
            running: 0,
            sleeping: 0,
            is_dead: false,
            refused: None,
            scratch: Scratch::default(),
            splicer: Splicer::default(),
            tls_config: None,
            rate: None,
            calls: 0,
            budget: 0,
        }
    }

    /// Sets what holds for all transfers. Connections that are open stay as they are. What is the
    /// same as before goes on as it was: a rate limit, the certificates that were loaded, and the
    /// cookies that were learned, if the [`Jar`](crate::http::cookie::Jar) is the one that was given
    /// before, or a clone of it.
    ///
    /// Where more may run than before, a timeout of zero says so.
    pub fn set_options(&mut self, mut options: Options) {
        self.pool.origins.set_stand_ins(options.stand_ins.clone());
        self.pool
            .set_start_interval(options.start_interval.unwrap_or_default());
        self.pool
            .set_limits(options.limits.clone(), options.protocol);
        self.pool.origins.set_proxies(options.proxies.clone());
        if options.max_recv_speed != self.options.max_recv_speed {
            self.set_rate(options.max_recv_speed.map(Rate::new));
        }
        if options.tls != self.options.tls {
            self.tls_config = None;
        }
        if let (Some(new), Some(living)) = (&mut options.cookies, self.options.cookies.take())
            && new.is_clone_of(&living)
        {
            *new = living;
        }
        self.options = options;
        // What the timer function says here cannot end this call. The next one finds the multi dead.
        let _ = self.announce_if_stirred();
    }

    /// The options in force, with the cookies learned so far. To change one, clone these, change it and set them.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Sets the function that is told what is wanted of each socket: only changes, at the end of each call, and before
    /// a socket is closed. Sockets that are open already are announced by the next call.
    ///
    /// An error from it aborts the multi; see [`MultiError::AbortedByCallback`].
    pub fn set_socket_function(
        &mut self,
        function: impl FnMut(SocketChange<'_>) -> Result<(), Abort> + 'static,
    ) {
        self.sockets.set_function(Box::new(function));
    }

    /// Sets the function that is told of the one, single-shot timeout: how long to wait at most before
    /// [`Target::Timeout`] is due. Zero is at once, but not from inside the function; `None` is no timer.
    ///
    /// An error from it aborts the multi.
    pub fn set_timer_function(
        &mut self,
        function: impl FnMut(Option<Duration>) -> Result<(), Abort> + 'static,
    ) {
        self.alarm.set_function(Box::new(function));
    }

    /// Sets the function that is asked to look a host name up, once however many wait for it. The answer goes to
    /// [`Multi::resolved`], at any time later. Without it only addresses and overridden names can be reached.
    pub fn set_resolve_function(&mut self, function: impl FnMut(&str) + 'static) {
        self.lookups.set_function(Box::new(function));
    }

    /// Sets the function that makes connections, in the place of the kernel's TCP. It is called for
    /// each attempt, with the address that is tried, and must not wait.
    pub fn set_dial_function(
        &mut self,
        function: impl FnMut(SocketAddr) -> io::Result<Rc<dyn Wire>> + 'static,
    ) {
        self.dial = Some(Dial(Box::new(function)));
    }

    /// Sets the function that is told what transfers do, in so much detail: for logs. Nothing is formatted without it.
    pub fn set_trace_function(
        &mut self,
        detail: Detail,
        function: impl FnMut(TransferId, Trace) + 'static,
    ) {
        self.tracer.set_function(detail, Box::new(function));
    }

    /// Adds a transfer. It starts with the next call of [`Multi::socket_action`]; a timeout of zero says so.
    ///
    /// # Errors
    /// [`MultiError::AbortedByCallback`] while the multi is dead, or when the timer function kills
    /// it now. The transfer is not in the multi then, and [`Multi::take_refused`] gives the easy back.
    pub fn add(&mut self, easy: Easy<S>) -> Result<TransferId, MultiError> {
        if self.is_dead {
            self.refused = Some(easy);
            return Err(MultiError::AbortedByCallback);
        }
        let entry = self.transfers.vacant_entry();
        let Ok(index) = u32::try_from(entry.key()) else {
            self.refused = Some(easy);
            return Err(MultiError::InternalError);
        };
        let id = TransferId::next(index);
        let transfer = entry.insert(Transfer::new(id, easy));
        self.sleeping += usize::from(transfer.state == State::Delayed);
        self.running += 1;
        self.make_runnable(id);
        if let Err(error) = self.announce_runnable() {
            self.refused = Some(self.take_out(id));
            return Err(error);
        }
        Ok(id)
    }

    /// Gives back the easy of the last [`Multi::add`] that failed, once.
    pub fn take_refused(&mut self) -> Option<Easy<S>> {
        self.refused.take()
    }

    /// Removes a transfer, completed or not, and gives its easy back. One in mid-transfer ends: its connection
    /// closes, or its stream is reset where others share the connection.
    /// An unread message goes with it.
    ///
    /// # Errors
    /// [`MultiError::BadEasyHandle`]: no such transfer.
    pub fn remove(&mut self, id: TransferId, now: Instant) -> Result<Easy<S>, MultiError> {
        if !self.has(id) {
            return Err(MultiError::BadEasyHandle);
        }
        if self.transfer(id).state != State::Done {
            self.let_go(id);
            self.running -= 1;
        }
        let easy = self.take_out(id);
        // What a function says here cannot end this call: the transfer is gone already. The next
        // call finds the multi dead.
        let _ = self.guarded(|multi| multi.conclude(now));
        Ok(easy)
    }

    /// Acts on a socket's activity, or on the timeout's expiry; runs also whatever else is due.
    /// Gives how many transfers are still running.
    ///
    /// `ready` is a hint: an empty one works as the right one would. A socket that is not the
    /// engine's any more is no error.
    ///
    /// # Errors
    /// [`MultiError::AbortedByCallback`]: the multi is dead; every transfer completes with that
    /// result, and the multi lives again once all are removed.
    ///
    /// # Panics
    /// As a sink or a function does that is called from here. The multi is dead then too.
    pub fn socket_action(
        &mut self,
        target: Target,
        ready: Ready,
        now: Instant,
    ) -> Result<usize, MultiError> {
        let _ = ready;
        if self.is_dead {
            return Err(MultiError::AbortedByCallback);
        }
        self.guarded(|multi| multi.act(target, now))?;
        Ok(self.running)
    }

    /// Looks at every socket and transfer anew. There should not be any reason to use this function.
    ///
    /// # Errors
    /// As [`Multi::socket_action`].
    #[deprecated = "call `socket_action` for the sockets that had activity"]
    pub fn socket_all(&mut self, now: Instant) -> Result<usize, MultiError> {
        for id in self.live() {
            self.make_runnable(id);
            // What has come for a stream is received for the whole connection.
            self.runnable_connections.extend(self.shared_by(id));
        }
        self.runnable_connections.dedup();
        self.socket_action(Target::Timeout, Ready::EMPTY, now)
    }

    /// `socket_action` with an empty mask.
    ///
    /// # Errors
    /// As [`Multi::socket_action`].
    #[deprecated = "call `socket_action`, and say what is ready"]
    pub fn socket(&mut self, socket: RawFd, now: Instant) -> Result<usize, MultiError> {
        self.socket_action(Target::Socket(socket), Ready::EMPTY, now)
    }

    /// How long to wait at most, as the timer function would be told; for applications that poll it instead.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        self.expiry().map(|expiry| expiry.from(now))
    }

    /// Assigns data to a socket that was announced: the socket function is shown it from then on, the removal included.
    ///
    /// # Errors
    /// [`MultiError::BadSocket`]: no such socket is announced.
    pub fn assign(&mut self, socket: RawFd, data: impl Any) -> Result<(), MultiError> {
        if self.sockets.assign(socket, Box::new(data)) {
            Ok(())
        } else {
            Err(MultiError::BadSocket)
        }
    }

    /// The next completed transfer, in the order of completion. It stays added until it is removed.
    pub fn info_read(&mut self) -> Option<Done> {
        self.messages.pop()
    }

    /// How many transfers were added and have not completed.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many of the running transfers cannot start before a certain time: until their delay is over, their
    /// origin is held no longer, or another has found out whether it can be reached.
    pub fn sleeping(&self) -> usize {
        self.sleeping + self.pool.asleep()
    }

    /// Every transfer that was added and not removed, in no order.
    pub fn transfers(&self) -> impl Iterator<Item = (TransferId, &Easy<S>, Progress)> {
        self.transfers.iter().map(|(_, transfer)| {
            (
                transfer.id,
                &transfer.easy,
                self.progress(transfer.id).unwrap_or_default(),
            )
        })
    }

    /// How far a transfer has come.
    pub fn progress(&self, id: TransferId) -> Option<Progress> {
        let transfer = self
            .transfers
            .get(id.index as usize)
            .filter(|transfer| transfer.id == id)?;
        let connection = transfer
            .connection
            .and_then(|key| self.connections.get(key));
        Some(Progress {
            received: transfer.received,
            expected: connection.and_then(|connection| connection.expected(transfer.slot)),
            is_dispatched: transfer.clocks.dispatched.is_some(),
        })
    }

    /// A transfer's easy, while it is added.
    pub fn easy(&self, id: TransferId) -> Option<&Easy<S>> {
        self.transfers
            .get(id.index as usize)
            .filter(|transfer| transfer.id == id)
            .map(|transfer| &transfer.easy)
    }

    /// A transfer's URL and its sink, between two calls; what the sink is told of may not be taken from it.
    pub fn sink_mut(&mut self, id: TransferId) -> Option<(&Url, &mut S)> {
        self.transfers
            .get_mut(id.index as usize)
            .filter(|transfer| transfer.id == id)
            .map(|transfer| (&transfer.easy.url, &mut transfer.easy.sink))
    }

    /// Counts a transfer as extra from here on: see [`Easy::is_extra`]. The place that this frees is
    /// given to another at once. One that waits is first in turn in the next call.
    ///
    /// # Errors
    /// [`MultiError::BadEasyHandle`]: no such transfer. [`MultiError::AbortedByCallback`] as for
    /// [`Multi::socket_action`].
    pub fn set_extra(&mut self, id: TransferId) -> Result<(), MultiError> {
        if !self.has(id) {
            return Err(MultiError::BadEasyHandle);
        }
        let transfer = &mut self.transfers[id.index as usize];
        let was_extra = std::mem::replace(&mut transfer.easy.is_extra, true);
        if was_extra || transfer.state == State::Done {
            return Ok(());
        }
        if transfer.clocks.dispatched.is_some() {
            self.pool.complete();
            self.pool.stir();
        }
        if let Some((key, turn)) = transfer.origin.zip(transfer.turn) {
            let sooner = Turn {
                is_new: false,
                ..turn
            };
            transfer.turn = Some(sooner);
            let waiter = transfer.waiter();
            self.pool.change_turn(key, turn, sooner, waiter);
        }
        self.announce_if_stirred()
    }

    /// Gives a transfer that [only connects](Easy::is_connect_only) something to fetch from the
    /// same origin: it goes on with `easy`, over the connection that it has or is opening, and is
    /// as [extra](Easy::is_extra) as it was. The easy that it had is in the place of the new one
    /// then. On an error nothing has changed.
    ///
    /// # Errors
    /// [`MultiError::BadEasyHandle`]: no such transfer. [`MultiError::BadFunctionArgument`]: it has
    /// completed, does not only connect, or connects to another origin.
    /// [`MultiError::AbortedByCallback`] as for [`Multi::socket_action`].
    pub fn replace(
        &mut self,
        id: TransferId,
        easy: &mut Easy<S>,
        now: Instant,
    ) -> Result<(), MultiError> {
        if self.is_dead {
            return Err(MultiError::AbortedByCallback);
        }
        if !self.has(id) {
            return Err(MultiError::BadEasyHandle);
        }
        let transfer = &mut self.transfers[id.index as usize];
        let is_vacant = transfer.state != State::Done && transfer.easy.is_connect_only;
        if !is_vacant || Origin::of(&transfer.easy.url).ok() != Origin::of(&easy.url).ok() {
            return Err(MultiError::BadFunctionArgument);
        }
        easy.is_extra = transfer.easy.is_extra;
        std::mem::swap(&mut transfer.easy, easy);
        transfer.rate = transfer.easy.max_recv_speed.map(Rate::new);
        transfer.clocks.dispatched = transfer.clocks.dispatched.and(Some(now));
        if let Some((key, turn)) = transfer.origin.zip(transfer.turn) {
            let sooner = Turn {
                is_connect_only: transfer.easy.is_connect_only,
                ..turn
            };
            transfer.turn = Some(sooner);
            let waiter = transfer.waiter();
            self.pool.change_turn(key, turn, sooner, waiter);
        }
        self.make_runnable(id);
        self.after(id);
        self.announce_runnable()
    }

    /// Keeps so many of the [transfers](Limits::transfers) that may run at once for what the
    /// application does with extra ones.
    ///
    /// # Errors
    /// [`MultiError::AbortedByCallback`] as for [`Multi::socket_action`].
    pub fn reserve(&mut self, places: usize, now: Instant) -> Result<(), MultiError> {
        self.pool.reserve(places);
        self.guarded(|multi| multi.conclude(now))
    }

    /// Starts no transfer to a URL's origin before a time: the server asked to be left alone. Those under way go on.
    ///
    /// # Errors
    /// [`MultiError::BadFunctionArgument`]: the URL has no origin. [`MultiError::AbortedByCallback`] as for
    /// [`Multi::socket_action`].
    pub fn hold(&mut self, url: &Url, until: Instant, now: Instant) -> Result<(), MultiError> {
        let key = self
            .pool
            .enter(url)
            .map_err(|_| MultiError::BadFunctionArgument)?;
        self.pool.hold(key, until);
        self.pool.leave(key);
        self.guarded(|multi| multi.conclude(now))
    }

    /// Holds a transfer that is receiving: it gives its socket up, and the clock of stalls stands still.
    ///
    /// # Errors
    /// [`MultiError::BadEasyHandle`]: no such transfer. [`MultiError::AbortedByCallback`] as for
    /// [`Multi::socket_action`].
    pub fn pause(&mut self, id: TransferId, now: Instant) -> Result<(), MultiError> {
        self.set_paused(id, true)?;
        self.guarded(|multi| {
            multi.drive(id, now);
            multi.conclude(now)
        })
    }

    /// Lets a held transfer go on.
    ///
    /// # Errors
    /// As [`Multi::pause`].
    pub fn resume(&mut self, id: TransferId) -> Result<(), MultiError> {
        let was_paused = self.set_paused(id, false)?;
        if self.is_dead {
            return Err(MultiError::AbortedByCallback);
        }
        if !was_paused || self.transfer(id).state == State::Done {
            return Ok(());
        }
        self.make_runnable(id);
        self.announce_runnable()
    }

    /// Tells the engine what a lookup came to, which it asked for through the resolve function.
    ///
    /// # Errors
    /// [`MultiError::AbortedByCallback`] when the timer function kills the multi.
    pub fn resolved(
        &mut self,
        host: &str,
        addresses: Addresses,
        now: Instant,
    ) -> Result<(), MultiError> {
        for id in self.lookups.resolved(host, addresses, now) {
            if self.has(id) && self.transfer(id).state == State::Resolve {
                self.make_runnable(id);
            }
        }
        if self.is_dead {
            return Err(MultiError::AbortedByCallback);
        }
        if self.runnable.is_empty() {
            Ok(())
        } else {
            self.announce_runnable()
        }
    }
}

/// Announces the removal of every socket before it closes.
impl<S: Sink> Drop for Multi<S> {
    fn drop(&mut self) {
        for (_, connection) in self.connections.iter() {
            for socket in connection.sockets() {
                self.sockets.close(socket, &mut self.messages);
            }
        }
    }
}
