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
}

/// Wakes the reactor, from any thread: [`Application::woken`] is called.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The reactor's other half. None of its methods may wait.
pub trait Application<S: Sink> {
    /// Called once, before the first transfer is added.
    fn start(&mut self, multi: &mut Multi<S>);

    /// Called once, before anything else: how threads of the application's own wake the reactor.
    fn set_wake(&mut self, wake: Wake) {
        let _ = wake;
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
