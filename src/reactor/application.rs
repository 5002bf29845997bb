//! What the reactor runs: where transfers come from, and what becomes of them; and who may run it instead.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use crate::error::MultiError;
use crate::multi::{Done, Multi, Options, Sink};

/// Whoever runs applications to their end: waits for what their transfers wait for, and tells them the time.
pub trait Drive {
    /// Runs an application's transfers to their end.
    ///
    /// # Errors
    /// It cannot wait, or cannot watch a socket.
    fn drive<S: Sink>(&mut self, app: &mut impl Application<S>, options: Options)
    -> io::Result<()>;

    /// The signal that came last since the drive began, by number, told to the application or not.
    fn signal(&self) -> Option<i32> {
        None
    }
}

/// Wakes the reactor, from any thread, its own among them: [`Application::woken`] is called.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The reactor's other half. None of its methods may wait.
pub trait Application<S: Sink> {
    /// Called once, before anything else: signals are not caught yet, and end the process. What may take long without
    /// a wait is done here.
    fn prepare(&mut self) {}

    /// Called once, before the first transfer is added.
    fn start(&mut self, multi: &mut Multi<S>);

    /// Called once, before the start: how threads of the application's own wake the reactor.
    fn set_wake(&mut self, wake: Wake) {
        let _ = wake;
    }

    /// Whether threads of the application's own have been started that may wake the reactor.
    fn has_threads(&self) -> bool {
        false
    }

    /// Adds transfers, as many as there is room for. Called before every wait.
    ///
    /// # Errors
    /// What [`Multi::add`] says.
    fn refill(&mut self, multi: &mut Multi<S>, now: Instant) -> Result<(), MultiError>;

    /// Whether everything is done that there was to do.
    fn is_over(&self, multi: &Multi<S>) -> bool;

    /// A transfer has completed: read from the info queue, not yet removed.
    ///
    /// # Errors
    /// What [`Multi::remove`] and [`Multi::add`] say.
    fn completed(
        &mut self,
        multi: &mut Multi<S>,
        done: Done,
        now: Instant,
    ) -> Result<(), MultiError>;

    /// Somebody woke the reactor.
    ///
    /// # Errors
    /// What [`Multi::add`] says.
    fn woken(&mut self, multi: &mut Multi<S>, now: Instant) -> Result<(), MultiError> {
        let _ = (multi, now);
        Ok(())
    }

    /// A descriptor that the application waits to read from, beside the sockets.
    fn input(&self) -> Option<RawFd>;

    /// That descriptor is readable, or at its end: one read will not wait.
    fn read_input(&mut self);

    /// A time at which [`Application::tick`] is due, if there is one.
    fn due(&self) -> Option<Instant>;

    /// Called after every wait.
    fn tick(&mut self, multi: &Multi<S>, now: Instant);

    /// A signal came that ends the run: SIGINT, SIGTERM or SIGHUP, by number.
    fn signalled(&mut self, signal: i32);
}
