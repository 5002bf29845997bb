//! The event loop: libcurl's "typical usage" of the multi_socket interface, step by step.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::poller::{Event, Poller};
use super::{Application, load_certificates};
use crate::error::MultiError;
use crate::multi::{Abort, Multi, Options, Ready, Sink, SocketChange, Target};

/// Runs an application's transfers to their end, with `poller` to wait.
///
/// # Errors
/// The poller cannot wait, or cannot watch a socket.
pub fn run_on<S: Sink>(
    poller: &mut impl Poller,
    app: &mut impl Application<S>,
    options: Options,
) -> io::Result<()> {
    let refusal = Refusal::default();
    let result = take_steps(poller, app, options, &refusal);
    result.map_err(|error| refusal.take().unwrap_or(error))
}

/// The eight steps.
fn take_steps<S: Sink>(
    poller: &mut impl Poller,
    app: &mut impl Application<S>,
    options: Options,
    refusal: &Refusal,
) -> io::Result<()> {
    // 1. Create a multi handle.
    let mut multi = Multi::new();
    multi.set_options(options);

    // 2. Set the socket callback.
    multi.set_socket_function(recording(poller.socket_function()?, refusal));

    // 3. Set the timeout callback, to discover what timeout value to use when waiting for socket activities.
    let timer = Timer::new(poller.now());
    multi.set_timer_function(timer.function());
    multi.set_resolve_function(poller.resolve_function());
    multi.set_certificate_function(load_certificates);
    if let Some(dial) = poller.dial_function() {
        multi.set_dial_function(dial);
    }
    app.set_wake(poller.wake());

    app.start(&mut multi);
    loop {
        // 4. Add easy handles, in each round, up to the limits of the application.
        app.refill(&mut multi, poller.now())?;
        if app.is_over(&multi) {
            return Ok(());
        }

        // 5. Provide some means to manage the sockets: the poller does, and also the list, signals and lookups.
        poller.watch_input(app.input())?;

        // 6. Wait for activity on any of the sockets, using the timeout value that the callback was told.
        let until = [timer.due(), app.due()].into_iter().flatten().min();
        poller.wait(until, app.has_threads())?;
        let now = poller.now();
        timer.set_time(now);

        // 7. When activity is detected, act on the sockets that had it. If the timeout expires, act on that.
        while let Some(event) = poller.next_event() {
            act(event, app, &mut multi, now)?;
            complete(app, &mut multi, now)?;
        }
        if timer.take_expired() {
            multi.socket_action(Target::Timeout, Ready::EMPTY, now)?;
            complete(app, &mut multi, now)?;
        }
        app.tick(&multi, now);

        // 8. Go back to step 6.
    }
}

/// Acts on what a wait has brought.
fn act<S: Sink>(
    event: Event,
    app: &mut impl Application<S>,
    multi: &mut Multi<S>,
    now: Instant,
) -> Result<(), MultiError> {
    match event {
        Event::Socket(socket, ready) => multi
            .socket_action(Target::Socket(socket), ready, now)
            .map(drop),
        Event::Resolved(host, addresses) => multi.resolved(&host, addresses, now),
        Event::Woken => app.woken(multi, now),
        Event::Input => {
            app.read_input();
            Ok(())
        }
        Event::Signal(signal) => {
            app.signalled(signal);
            Ok(())
        }
    }
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

/// The timeout that the engine has announced, as a time.
#[derive(Debug, Clone)]
struct Timer {
    due: Rc<Cell<Option<Instant>>>,
    now: Rc<Cell<Instant>>,
}

impl Timer {
    fn new(now: Instant) -> Self {
        Self {
            due: Rc::default(),
            now: Rc::new(Cell::new(now)),
        }
    }

    /// The timeout callback.
    fn function(&self) -> impl FnMut(Option<Duration>) -> Result<(), Abort> + use<> {
        let Self { due, now } = self.clone();
        move |timeout| {
            due.set(timeout.and_then(|timeout| now.get().checked_add(timeout)));
            Ok(())
        }
    }

    fn due(&self) -> Option<Instant> {
        self.due.get()
    }

    fn set_time(&self, now: Instant) {
        self.now.set(now);
    }

    /// Whether the timeout has expired. It expires once.
    fn take_expired(&self) -> bool {
        let has_expired = self.due.get().is_some_and(|due| due <= self.now.get());
        if has_expired {
            self.due.set(None);
        }
        has_expired
    }
}

/// The error of a socket that could not be watched, which aborted the multi.
type Refusal = Rc<Cell<Option<io::Error>>>;

/// The socket callback: watches sockets by a function of the poller, and records why that failed.
fn recording(
    mut watch: impl FnMut(&SocketChange<'_>) -> io::Result<()> + 'static,
    refusal: &Refusal,
) -> impl FnMut(SocketChange<'_>) -> Result<(), Abort> + 'static {
    let refusal = Rc::clone(refusal);
    move |change| {
        watch(&change).map_err(|error| {
            refusal.set(Some(error));
            Abort
        })
    }
}
