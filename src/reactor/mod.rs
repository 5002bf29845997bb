//! The only code that waits while transfers run: one poll for sockets, the timeout, signals, results of other
//! threads, and the list.
//!
//! [`run`] is libcurl's "typical usage" of the multi_socket interface, step by step. An [`Application`] decides what to
//! transfer.

mod application;
mod guard;
mod resolver;
mod signals;
mod waker;

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Events, Poll, Registry, Token};

use crate::error::MultiError;
use crate::multi::{Abort, Interest, Multi, Options, Ready, Sink, SocketChange, Target};

pub use application::{Application, Drive, Wake};
pub use resolver::Resolver;
use signals::Signals;
use waker::Waker;

/// The token of other threads. The token of a socket is its number.
const THREADS: Token = Token(usize::MAX);
/// The token of signals.
const SIGNALS: Token = Token(usize::MAX - 1);
/// The token of the application's input.
const INPUT: Token = Token(usize::MAX - 2);

/// The event loop of the crate. By default it leaves the signals of the process alone.
#[derive(Debug, Default)]
pub struct Reactor {
    catches_signals: bool,
    signals: Option<Signals>,
}

impl Reactor {
    /// A reactor that stops its application on SIGINT, SIGTERM and SIGHUP, and that ignores SIGXFSZ.
    ///
    /// Its handlers are installed when it drives an application, and stay until it is dropped, so that a repeated
    /// signal does not interrupt the work after a run. Signals that the process ignores stay ignored.
    pub fn catching_signals() -> Self {
        Self {
            catches_signals: true,
            signals: None,
        }
    }
}

impl Drive for Reactor {
    fn drive<S: Sink>(
        &mut self,
        app: &mut impl Application<S>,
        options: Options,
    ) -> io::Result<()> {
        self.signals = None;
        app.prepare();
        let poll = Poll::new()?;
        if self.catches_signals {
            let mut signals = Signals::watch(poll.registry(), SIGNALS)?;
            if options.tls.reads_files() {
                // A pipe may block.
                signals.guard(None);
            }
            self.signals = Some(signals);
        }
        let refusal = Refusal::default();
        let result = run_on(poll, self.signals.as_mut(), app, options, &refusal);
        result.map_err(|error| refusal.take().unwrap_or(error))
    }

    fn signal(&self) -> Option<i32> {
        self.signals.as_ref().and_then(Signals::last)
    }
}

/// The error of a socket that could not be watched, which aborted the multi.
type Refusal = Rc<Cell<Option<io::Error>>>;

/// Runs an application's transfers to their end.
///
/// # Errors
/// The poll cannot be made, or a socket cannot be watched by it.
pub fn run<S: Sink>(app: &mut impl Application<S>, options: Options) -> io::Result<()> {
    Reactor::default().drive(app, options)
}

fn run_on<S: Sink>(
    mut poll: Poll,
    mut signals: Option<&mut Signals>,
    app: &mut impl Application<S>,
    options: Options,
    refusal: &Refusal,
) -> io::Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut input = ListInput::default();
    let deadline = Rc::new(Cell::new(None));
    let clock = Rc::new(Cell::new(Instant::now()));

    // 1. Create a multi handle.
    let mut multi = Multi::new();
    multi.set_options(options);

    // 2. Set the socket callback.
    multi.set_socket_function(watching(poll.registry(), refusal)?);

    // 3. Set the timeout callback, to discover what timeout value to use when waiting for socket activities.
    let (timer, time) = (Rc::clone(&deadline), Rc::clone(&clock));
    multi.set_timer_function(move |timeout| {
        timer.set(timeout.and_then(|timeout| time.get().checked_add(timeout)));
        Ok(())
    });
    let waker = Waker::new(poll.registry().try_clone()?, THREADS);
    app.set_wake(waker.wake());
    let resolver = Rc::new(Resolver::waking(waker.wake()));
    let lookups = Rc::clone(&resolver);
    multi.set_resolve_function(move |host| lookups.look_up(host));

    app.start(&mut multi);
    loop {
        let now = clock.get();

        // 4. Add easy handles, in each round, up to the limits of the application.
        app.refill(&mut multi, now)?;
        if app.is_over(&multi) {
            return Ok(());
        }

        // 5. Provide some means to manage the sockets: the poll does, and also the list, signals and lookups.
        input.watch(poll.registry(), app.input())?;

        // 6. Wait for activity on any of the sockets, using the timeout value that the callback was told.
        let until = [deadline.get(), app.due()].into_iter().flatten().min();
        let until = waker.bound(until, now, resolver.has_threads() || app.has_threads());
        wait(&mut poll, &mut events, until, now)?;
        let now = Instant::now();
        clock.set(now);
        signals.iter_mut().for_each(|signals| signals.grow_old(now));

        // 7. When activity is detected, act on the sockets that had it. If the timeout expires, act on that.
        for event in &events {
            match event.token() {
                THREADS => {} // The waker's flag says so, too.
                SIGNALS => pass_signals(signals.as_deref_mut(), app),
                INPUT => {
                    input.ignore(poll.registry())?;
                    app.read_input();
                }
                Token(socket) => {
                    multi.socket_action(Target::Socket(socket as RawFd), ready(event), now)?;
                }
            }
            complete(app, &mut multi, now)?;
        }
        if waker.take_news() {
            woken(app, &mut multi, &resolver, now)?;
        }
        if deadline.get().is_some_and(|at| at <= now) {
            deadline.set(None);
            multi.socket_action(Target::Timeout, Ready::EMPTY, now)?;
            complete(app, &mut multi, now)?;
        }
        app.tick(&multi, now);

        // 8. Go back to step 6.
    }
}

/// Reports the pending signals to the application.
fn pass_signals<S: Sink>(signals: Option<&mut Signals>, app: &mut impl Application<S>) {
    if let Some(signals) = signals {
        signals.pending().for_each(|signal| app.signalled(signal));
    }
}

/// Handles the results of other threads.
fn woken<S: Sink>(
    app: &mut impl Application<S>,
    multi: &mut Multi<S>,
    resolver: &Resolver,
    now: Instant,
) -> Result<(), MultiError> {
    resolver.tell(multi, now)?;
    app.woken(multi, now)?;
    complete(app, multi, now)
}

/// Handles all messages of the info queue.
fn complete<S: Sink>(
    app: &mut impl Application<S>,
    multi: &mut Multi<S>,
    now: Instant,
) -> Result<(), MultiError> {
    while let Some(done) = multi.info_read() {
        app.completed(multi, done, now)?;
    }
    Ok(())
}

/// Waits for events. A signal that interrupts the wait is an event of the next one.
fn wait(
    poll: &mut Poll,
    events: &mut Events,
    until: Option<Instant>,
    now: Instant,
) -> io::Result<()> {
    match poll.poll(events, until.map(|at| at.saturating_duration_since(now))) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        result => result,
    }
}

/// The socket function: registers each interest with the poll, and records why that failed.
fn watching(
    registry: &Registry,
    refusal: &Refusal,
) -> io::Result<impl FnMut(SocketChange<'_>) -> Result<(), Abort> + use<>> {
    let (registry, refusal) = (registry.try_clone()?, Rc::clone(refusal));
    Ok(move |change: SocketChange<'_>| {
        watch(&registry, &change).map_err(|error| {
            refusal.set(Some(error));
            Abort
        })
    })
}

/// Registers the interest in a socket. A new registration also reports readiness from before.
fn watch(registry: &Registry, change: &SocketChange<'_>) -> io::Result<()> {
    let source = &mut SourceFd(&change.socket);
    let interest = match change.interest {
        Interest::In => mio::Interest::READABLE,
        Interest::Out => mio::Interest::WRITABLE,
        Interest::InOut => mio::Interest::READABLE | mio::Interest::WRITABLE,
        Interest::None | Interest::Remove => return registry.deregister(source),
    };
    let token = Token(change.socket as usize);
    let watched = registry.register(source, token, interest);
    let watched = watched.or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => registry.reregister(source, token, interest),
        _ => Err(error),
    });
    watched.map_err(unwatched)
}

/// The error for sockets that cannot be watched. The system's text for ENOSPC would name a disk.
fn unwatched(error: io::Error) -> io::Error {
    let limit = match error.kind() {
        io::ErrorKind::StorageFull => " (fs.epoll.max_user_watches)",
        _ => "",
    };
    io::Error::other(format!("the sockets cannot be watched: {error}{limit}"))
}

fn ready(event: &mio::event::Event) -> Ready {
    let flags = [
        (event.is_readable(), Ready::IN),
        (event.is_writable(), Ready::OUT),
        (event.is_error(), Ready::ERR),
    ];
    let set = flags.into_iter().filter(|(is_set, _)| *is_set);
    set.fold(Ready::EMPTY, |ready, (_, flag)| ready | flag)
}

/// The functions fail only if the poll cannot watch a socket; then the [`Refusal`] has the error.
impl From<MultiError> for io::Error {
    fn from(error: MultiError) -> Self {
        Self::other(error)
    }
}

/// The descriptor of a list that comes through a pipe. It is watched while the application waits for more of the list.
#[derive(Debug, Default)]
struct ListInput(Option<RawFd>);

impl ListInput {
    /// Watches `wanted`, or nothing. Readiness from before is reported too.
    fn watch(&mut self, registry: &Registry, wanted: Option<RawFd>) -> io::Result<()> {
        if self.0 == wanted {
            return Ok(());
        }
        self.ignore(registry)?;
        if let Some(descriptor) = wanted {
            let source = &mut SourceFd(&descriptor);
            let watched = registry.register(source, INPUT, mio::Interest::READABLE);
            watched.map_err(unwatched)?;
        }
        self.0 = wanted;
        Ok(())
    }

    /// Watches nothing: the application reads next, and may close the descriptor.
    fn ignore(&mut self, registry: &Registry) -> io::Result<()> {
        self.0.take().map_or(Ok(()), |descriptor| {
            registry.deregister(&mut SourceFd(&descriptor))
        })
    }
}
