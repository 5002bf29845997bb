//! Many transfers over shared connections, without blocking: an engine with the contract of libcurl's multi_socket
//! interface.
//!
//! The engine owns its sockets, and reads and writes them; it never waits and never reads a clock. The application
//! waits, with any event loop, for the sockets and the one timeout that the engine announces, and passes the time:
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
//! [`Multi`] is the interface; `transfer/mod.rs` draws the states of a transfer. An `Ok` from a call says nothing about
//! single transfers: only the info queue has their results.

mod alarm;
mod breaker;
mod connection;
mod connections;
mod context;
pub(crate) mod easy;
mod engine;
mod events;
mod exchanges;
mod info;
mod interest;
mod lookup;
mod multiplexed;
mod network;
mod options;
mod origins;
mod pace;
mod pool;
mod queue;
mod rate;
mod ready;
mod route;
mod schedule;
mod serial;
mod sink;
mod stream_load;
mod throttle;
pub(crate) mod timers;
mod trace;
mod transfer;
mod unanswered;

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use alarm::{Alarm, Expiry};
use engine::Engine;
use queue::Turn;
use rate::Rate;
use transfer::{State, Transfer};

use crate::error::{Fault, MultiError};
use crate::http::{Origin, Proxies};

pub use crate::conn::{Certificates, Identity, Interest, TlsOptions, TlsVersion, TrustRoots, Wire};
pub use crate::http2::Windows;
pub use easy::Easy;
pub(crate) use easy::PATIENCE;
pub use events::{Event, EventKind, EventMask};
pub use info::{Done, Outcome, Progress, TransferId};
pub use interest::{Abort, SocketChange};
pub use lookup::{Addresses, Family};
pub use options::{Options, Protocol};
pub use pool::Limits;
pub use ready::{Ready, Target};
pub use sink::Sink;
pub use trace::{Detail, Trace};

/// Many transfers, driven by an event loop of the application. See the [module](self) for how.
#[derive(Debug)]
pub struct Multi<S: Sink> {
    engine: Engine<S>,
    /// The timeout that the application was told.
    alarm: Alarm,
    /// A function has failed: nothing runs until every transfer is removed.
    is_dead: bool,
    /// The easy of the last call of `add` that failed.
    refused: Option<Easy<S>>,
}

impl<S: Sink> Default for Multi<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Sink> Multi<S> {
    /// A multi without transfers.
    pub fn new() -> Self {
        Self {
            engine: Engine::default(),
            alarm: Alarm::default(),
            is_dead: false,
            refused: None,
        }
    }

    /// Sets the options of all transfers. Open connections do not change. Options that are equal to the previous ones
    /// keep their state: a rate limit, loaded certificates, and learned cookies, if the
    /// [`Jar`](crate::http::cookie::Jar) is the previous one or a clone of it.
    ///
    /// If more may run than before, a timeout of zero is announced.
    pub fn set_options(&mut self, mut options: Options) {
        let context = &mut self.engine.context;
        let (pool, before) = (&mut context.pool, &mut context.options);
        context.network.interface.clone_from(&options.interface);
        context.network.unix_socket = options.unix_socket.as_deref().map(Arc::from);
        let (proxies, stand_ins) = match options.unix_socket {
            Some(_) => (Proxies::default(), Vec::new()),
            None => (options.proxies.clone(), options.stand_ins.clone()),
        };
        pool.origins.set_proxies(proxies);
        pool.origins.set_stand_ins(stand_ins);
        pool.set_start_interval(options.start_interval.unwrap_or_default());
        pool.set_limits(options.limits.clone(), options.protocol);
        context.schedule.set_call_budget(options.call_budget);
        if options.tls != before.tls {
            context.network.forget_tls();
        }
        if let (Some(new), Some(living)) = (&mut options.cookies, before.cookies.take())
            && new.is_clone_of(&living)
        {
            *new = living;
        }
        let max_recv_speed = options.max_recv_speed;
        let before = std::mem::replace(before, options);
        if max_recv_speed != before.max_recv_speed {
            self.engine.set_rate(max_recv_speed.map(Rate::new));
        }
        // An error of the timer function cannot end this call. The next call finds the multi dead.
        let _ = self.announce_if_runnable();
    }

    /// The current options, with the cookies learned so far. To change one, clone these, change the clone and set it.
    pub fn options(&self) -> &Options {
        &self.engine.context.options
    }

    /// Sets the function that is told the interest in each socket: only changes, at the end of each call, and before a
    /// socket closes. The next call announces sockets that are open already.
    ///
    /// An error from it aborts the multi; see [`MultiError::AbortedByCallback`].
    pub fn set_socket_function(
        &mut self,
        function: impl FnMut(SocketChange<'_>) -> Result<(), Abort> + 'static,
    ) {
        self.engine
            .context
            .network
            .sockets
            .set_function(Box::new(function));
    }

    /// Sets the function that is told the one, single-shot timeout: the longest time to wait before
    /// [`Target::Timeout`] is due. Zero means at once, but not from inside the function; `None` means no timer.
    ///
    /// An error from it aborts the multi.
    ///
    /// Neither function can call the multi, since the multi is borrowed while it calls them:
    ///
    /// ```compile_fail
    /// # use gannet::multi::Multi;
    /// let mut multi = Multi::<Vec<u8>>::new();
    /// multi.set_timer_function(|_| {
    ///     assert_eq!(multi.running(), 0);
    ///     Ok(())
    /// });
    /// ```
    pub fn set_timer_function(
        &mut self,
        function: impl FnMut(Option<Duration>) -> Result<(), Abort> + 'static,
    ) {
        self.alarm.set_function(Box::new(function));
    }

    /// Sets the function that looks host names up. It is called once for a name, whatever the number of transfers that
    /// wait for it, and its answer goes to [`Multi::resolved`], at any later time. Without it, only addresses and
    /// overridden names can be reached.
    pub fn set_resolve_function(&mut self, function: impl FnMut(&str) + 'static) {
        self.engine.context.lookups.set_function(Box::new(function));
    }

    /// Sets the function that makes connections, instead of the kernel's TCP. It is called for each attempt, with the
    /// address, and must not wait.
    pub fn set_dial_function(
        &mut self,
        function: impl FnMut(SocketAddr) -> io::Result<Rc<dyn Wire>> + 'static,
    ) {
        let network = &mut self.engine.context.network;
        network.set_dial_function(Box::new(function));
    }

    /// Sets the function that loads the certificates which the options name. It is called when the first TLS connection
    /// is made, and again after the options changed; it may read files. Without it, a connection is only made where no
    /// certificate is needed ([`TlsOptions::insecure`]).
    ///
    /// [`load_certificates`](crate::reactor::load_certificates) is such a function.
    pub fn set_certificate_function(
        &mut self,
        function: impl FnMut(&TlsOptions) -> Result<Certificates, Fault> + 'static,
    ) {
        let network = &mut self.engine.context.network;
        network.set_certificate_function(Box::new(function));
    }

    /// Adds a transfer. It starts with the next call of [`Multi::socket_action`]; a timeout of zero is announced.
    ///
    /// # Errors
    /// [`MultiError::AbortedByCallback`] while the multi is dead, or if the timer function aborts it now. The transfer
    /// is not added then, and [`Multi::take_refused`] returns the easy.
    pub fn add(&mut self, easy: Easy<S>) -> Result<TransferId, MultiError> {
        if self.is_dead {
            self.refused = Some(easy);
            return Err(MultiError::AbortedByCallback);
        }
        let Some(id) = self.engine.next_id() else {
            self.refused = Some(easy);
            return Err(MultiError::InternalError);
        };
        self.engine.add(id, easy);
        if let Err(error) = self.announce_runnable() {
            self.refused = Some(self.take_out(id));
            return Err(error);
        }
        Ok(id)
    }

    /// Returns the easy of the last [`Multi::add`] that failed, once.
    pub fn take_refused(&mut self) -> Option<Easy<S>> {
        self.refused.take()
    }

    /// Removes a transfer, complete or not, and returns its easy. If it is not complete, it ends: its connection
    /// closes, or its stream is reset if others share the connection. Its unread message is removed too.
    ///
    /// # Errors
    /// [`MultiError::BadEasyHandle`]: no such transfer.
    pub fn remove(&mut self, id: TransferId, now: Instant) -> Result<Easy<S>, MultiError> {
        if self.engine.get(id).is_none() {
            return Err(MultiError::BadEasyHandle);
        }
        let easy = self.engine.remove(id, now);
        self.revive_if_empty();
        // An error of a function cannot end this call, since the transfer is removed already. The next call finds the
        // multi dead.
        let _ = self.guarded(|multi| multi.conclude(now));
        Ok(easy)
    }

    /// Acts on the activity of a socket, or on the expiry of the timeout, and runs whatever else is due. Returns how
    /// many transfers are still running.
    ///
    /// `ready` is a hint: an empty one works as well. A socket that the engine has closed is no error.
    ///
    /// # Errors
    /// [`MultiError::AbortedByCallback`]: the multi is dead. Every transfer completes with that result, and the multi
    /// lives again after all are removed.
    ///
    /// # Panics
    /// If a sink or a function panics that is called from here. The multi is dead then too.
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
        Ok(self.running())
    }

    /// Checks every socket and transfer. There should not be any reason to use this function.
    ///
    /// # Errors
    /// As [`Multi::socket_action`].
    #[deprecated = "call `socket_action` for the sockets that had activity"]
    pub fn socket_all(&mut self, now: Instant) -> Result<usize, MultiError> {
        self.engine.run_all();
        self.socket_action(Target::Timeout, Ready::EMPTY, now)
    }

    /// Calls `socket_action` with an empty mask.
    ///
    /// # Errors
    /// As [`Multi::socket_action`].
    #[deprecated = "call `socket_action`, and say what is ready"]
    pub fn socket(&mut self, socket: RawFd, now: Instant) -> Result<usize, MultiError> {
        self.socket_action(Target::Socket(socket), Ready::EMPTY, now)
    }

    /// The longest time to wait, as the timer function is told; for applications that ask for it instead.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        let expiry = if self.is_dead {
            None
        } else {
            self.engine.expiry()
        };
        expiry.map(|expiry| expiry.from(now))
    }

    /// Assigns data to an announced socket: the socket function gets it from then on, with the removal too.
    ///
    /// # Errors
    /// [`MultiError::BadSocket`]: no such socket is announced.
    pub fn assign(&mut self, socket: RawFd, data: impl Any) -> Result<(), MultiError> {
        let sockets = &mut self.engine.context.network.sockets;
        if sockets.assign(socket, Box::new(data)) {
            Ok(())
        } else {
            Err(MultiError::BadSocket)
        }
    }

    /// The next completed transfer, in the order of completion. It is added until it is removed.
    pub fn info_read(&mut self) -> Option<Done> {
        self.engine.context.messages.pop()
    }

    /// The next event that the [mask](Easy::events) of its transfer has, in the order in which they happened. Those of
    /// a removed transfer are dropped.
    pub fn event_read(&mut self) -> Option<Event> {
        loop {
            let event = self.engine.context.events.pop()?;
            if self.engine.get(event.id).is_some() {
                return Some(event);
            }
        }
    }

    /// The number of transfers that were added and have not completed.
    pub fn running(&self) -> usize {
        self.engine.context.running
    }

    /// The number of running transfers that cannot start now: their delay or a hold of their origin is not over, the
    /// origin is throttled, or another transfer is testing whether it can be reached.
    pub fn sleeping(&self) -> usize {
        let context = &self.engine.context;
        context.sleeping + context.pool.asleep()
    }

    /// Every transfer that is added, in no order.
    pub fn transfers(&self) -> impl Iterator<Item = (TransferId, &Easy<S>, Progress)> {
        let transfers = self.engine.transfers.iter();
        transfers.map(|(_, transfer)| {
            let progress = self.progress(transfer.id).unwrap_or_default();
            (transfer.id, &transfer.easy, progress)
        })
    }

    /// How far a transfer has come.
    pub fn progress(&self, id: TransferId) -> Option<Progress> {
        let transfer = self.engine.get(id)?;
        let connection = transfer.connection(&self.engine.context.network.connections);
        let expected = transfer
            .link
            .zip(connection)
            .and_then(|(link, connection)| {
                let exchanges = &connection.exchanges;
                exchanges.expected(link.stream)
            });
        Some(Progress {
            received: transfer.received,
            expected,
            is_dispatched: transfer.clocks.dispatched.is_some(),
        })
    }

    /// A transfer's easy, while it is added.
    pub fn easy(&self, id: TransferId) -> Option<&Easy<S>> {
        Some(&self.engine.get(id)?.easy)
    }

    /// A transfer's URL and its sink, between two calls. What the sink was told must stay true.
    pub fn sink_mut(&mut self, id: TransferId) -> Option<(&Url, &mut S)> {
        let easy = &mut self.engine.get_mut(id)?.easy;
        Some((&easy.url, &mut easy.sink))
    }

    /// Makes a transfer extra: see [`Easy::is_extra`]. The slot that this frees goes to another transfer in the next
    /// call. If the transfer waits, it comes first in the next call.
    ///
    /// # Errors
    /// [`MultiError::BadEasyHandle`]: no such transfer. [`MultiError::AbortedByCallback`] as for
    /// [`Multi::socket_action`].
    pub fn set_extra(&mut self, id: TransferId) -> Result<(), MultiError> {
        let Some(transfer) = self.engine.get_mut(id) else {
            return Err(MultiError::BadEasyHandle);
        };
        let was_extra = std::mem::replace(&mut transfer.easy.is_extra, true);
        if was_extra || transfer.is_done() {
            return Ok(());
        }
        let context = &mut self.engine.context;
        let transfer = &mut self.engine.transfers[id.index as usize];
        if transfer.clocks.dispatched.is_some() {
            context.pool.complete();
            context.pool.note_free_slots();
        }
        transfer.change_turn(context, |turn| Turn {
            is_new: false,
            ..turn
        });
        self.announce_if_runnable()
    }

    /// Gives a transfer that [only connects](Easy::is_connect_only) something to fetch from the same origin: it
    /// continues with `easy`, over the connection that it has or opens, and it stays [extra](Easy::is_extra) or not.
    /// `easy` then holds its previous easy. On an error nothing changes.
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
        let Some(transfer) = self.engine.get_mut(id) else {
            return Err(MultiError::BadEasyHandle);
        };
        let is_vacant = !transfer.is_done() && transfer.easy.is_connect_only;
        if !is_vacant || Origin::of(&transfer.easy.url).ok() != Origin::of(&easy.url).ok() {
            return Err(MultiError::BadFunctionArgument);
        }
        easy.is_extra = transfer.easy.is_extra;
        std::mem::swap(&mut transfer.easy, easy);
        let context = &mut self.engine.context;
        let transfer = &mut self.engine.transfers[id.index as usize];
        transfer.allowance.set_limit(transfer.easy.max_recv_speed);
        transfer.clocks.dispatched = transfer.clocks.dispatched.and(Some(now));
        let is_connect_only = transfer.easy.is_connect_only;
        transfer.change_turn(context, |turn| Turn {
            is_connect_only,
            ..turn
        });
        context.schedule.push(id);
        self.engine.set_timer(id);
        self.announce_runnable()
    }

    /// Reserves some of the [transfers](Limits::transfers) that may run at once for extra ones.
    ///
    /// # Errors
    /// [`MultiError::AbortedByCallback`] as for [`Multi::socket_action`].
    pub fn reserve(&mut self, slots: usize, now: Instant) -> Result<(), MultiError> {
        self.engine.context.pool.reserve(slots);
        self.guarded(|multi| multi.conclude(now))
    }

    /// Starts no transfer to a URL's origin before a time, because the server asked for a pause. Running ones continue.
    ///
    /// # Errors
    /// [`MultiError::BadFunctionArgument`]: the URL has no origin. [`MultiError::AbortedByCallback`] as for
    /// [`Multi::socket_action`].
    pub fn hold(&mut self, url: &Url, until: Instant, now: Instant) -> Result<(), MultiError> {
        let pool = &mut self.engine.context.pool;
        let key = pool
            .enter(url)
            .map_err(|_| MultiError::BadFunctionArgument)?;
        pool.hold(key, until);
        pool.leave(key);
        self.guarded(|multi| multi.conclude(now))
    }

    /// Pauses a transfer that is receiving: its socket is not watched, and its stall timeout does not run.
    ///
    /// # Errors
    /// [`MultiError::BadEasyHandle`]: no such transfer. [`MultiError::AbortedByCallback`] as for
    /// [`Multi::socket_action`].
    pub fn pause(&mut self, id: TransferId, now: Instant) -> Result<(), MultiError> {
        self.set_paused(id, true)?;
        self.guarded(|multi| {
            multi.engine.drive(id, now);
            multi.conclude(now)
        })
    }

    /// Lets a paused transfer continue.
    ///
    /// # Errors
    /// As [`Multi::pause`].
    pub fn resume(&mut self, id: TransferId) -> Result<(), MultiError> {
        let was_paused = self.set_paused(id, false)?;
        if self.is_dead {
            return Err(MultiError::AbortedByCallback);
        }
        let is_done = self.engine.get(id).is_none_or(Transfer::is_done);
        if !was_paused || is_done {
            return Ok(());
        }
        self.engine.context.schedule.push(id);
        self.announce_runnable()
    }

    /// Tells the engine the result of a lookup, which it requested through the resolve function.
    ///
    /// # Errors
    /// [`MultiError::AbortedByCallback`] if the timer function aborts the multi.
    pub fn resolved(
        &mut self,
        host: &str,
        addresses: Addresses,
        now: Instant,
    ) -> Result<(), MultiError> {
        let context = &mut self.engine.context;
        for id in context.lookups.resolved(host, addresses, now) {
            let transfer = self.engine.transfers.get(id.index as usize);
            if transfer.is_some_and(|t| t.id == id && matches!(t.state, State::Resolve)) {
                context.schedule.push(id);
            }
        }
        if self.is_dead {
            return Err(MultiError::AbortedByCallback);
        }
        if context.schedule.has_runnable() {
            self.announce_runnable()
        } else {
            Ok(())
        }
    }

    /// One call: runs the transfers of the target, and whatever else is due.
    fn act(&mut self, target: Target, now: Instant) -> Result<(), MultiError> {
        self.engine.context.schedule.begin_call();
        match target {
            Target::Timeout => self.alarm.forget(),
            Target::Socket(socket) => {
                let sockets = &self.engine.context.network.sockets;
                if let Some(key) = sockets.connection(socket) {
                    self.engine.drive_user(key, now);
                }
            }
        }
        self.engine.run_due(now);
        self.conclude(now)
    }

    /// The end of every call: tells the functions what has changed, the timer function last.
    fn conclude(&mut self, now: Instant) -> Result<(), MultiError> {
        self.engine.context.transmit_all();
        if !self.is_dead {
            // A connection may have closed, or carry more now, without an event that says so.
            self.engine.assign_slots(now);
        }
        let context = &mut self.engine.context;
        if context.network.sockets.flush(&mut context.messages) {
            self.abort();
        }
        if self.is_dead {
            return Err(MultiError::AbortedByCallback);
        }
        self.engine.forget_closed();
        if self.alarm.evaluate(self.engine.expiry(), now).is_err() {
            self.abort();
            return Err(MultiError::AbortedByCallback);
        }
        Ok(())
    }

    /// Tells the timer function that the next call has something to do.
    fn announce_runnable(&mut self) -> Result<(), MultiError> {
        self.guarded(|multi| {
            if multi.alarm.announce_now().is_err() {
                multi.abort();
                return Err(MultiError::AbortedByCallback);
            }
            Ok(())
        })
    }

    /// Tells the timer function that the next call has something to do, if it has.
    fn announce_if_runnable(&mut self) -> Result<(), MultiError> {
        if self.is_dead || self.engine.expiry() != Some(Expiry::Now) {
            return Ok(());
        }
        self.announce_runnable()
    }

    /// Makes a call that may reach the application's functions and sinks. If one panics, the multi is dead, as after an
    /// error of one, and not half-way through something.
    fn guarded<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> T {
        let result = panic::catch_unwind(AssertUnwindSafe(|| call(self)));
        result.unwrap_or_else(|cause| {
            // The socket function may panic again; each time there is one socket less to announce.
            while panic::catch_unwind(AssertUnwindSafe(|| self.abort())).is_err() {}
            panic::resume_unwind(cause)
        })
    }

    /// Completes every transfer with the abort, and closes every connection. The multi is dead until all transfers are
    /// removed. The call may have stopped anywhere, so nothing is undone step by step: everything is forgotten at once.
    fn abort(&mut self) {
        self.engine.abort_transfers();
        self.is_dead = !self.engine.transfers.is_empty();
        self.alarm.forget();
        self.engine.context.clear();
    }

    fn take_out(&mut self, id: TransferId) -> Easy<S> {
        let easy = self.engine.take_out(id);
        self.revive_if_empty();
        easy
    }

    /// A dead multi lives again once all transfers are removed.
    fn revive_if_empty(&mut self) {
        self.is_dead &= !self.engine.transfers.is_empty();
    }

    /// Pauses a transfer or lets it go on. Returns whether it was paused before.
    fn set_paused(&mut self, id: TransferId, is_paused: bool) -> Result<bool, MultiError> {
        let transfer = self.engine.get_mut(id);
        let transfer = transfer.ok_or(MultiError::BadEasyHandle)?;
        Ok(std::mem::replace(&mut transfer.is_paused, is_paused))
    }
}

/// Announces the removal of every socket before it closes.
impl<S: Sink> Drop for Multi<S> {
    fn drop(&mut self) {
        let context = &mut self.engine.context;
        for (_, connection) in context.network.connections.iter() {
            for socket in connection.sockets() {
                let sockets = &mut context.network.sockets;
                sockets.close(socket, &mut context.messages);
            }
        }
    }
}
