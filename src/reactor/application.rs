//! What the reactor runs: an application, which adds transfers and handles their completion; and the interface of event
//! loops that can run one.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::error::MultiError;
use crate::multi::{Done, Multi, Options, Sink};

/// An event loop that runs applications to their end: it waits for sockets and times, and passes the time on.
pub trait Drive {
    /// Runs an application's transfers to their end.
    ///
    /// # Errors
    /// The loop cannot wait, or cannot watch a socket.
    fn drive<S: Sink>(&mut self, app: &mut impl Application<S>, options: Options)
    -> io::Result<()>;

    /// The flag that is set as soon as a signal asks the application to stop, even while the loop is busy. What may
    /// block looks at it.
    fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::default()
    }

    /// The number of the last signal since the drive began, even if the application was not told of it.
    fn signal(&self) -> Option<i32> {
        None
    }
}

/// Wakes the reactor from any thread, also from its own, which then calls [`Application::woken`].
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The reactor's other half. None of its methods may wait.
pub trait Application<S: Sink> {
    /// Called once, before anything else: signals still end the process. Work that takes long without waiting belongs
    /// here.
    fn prepare(&mut self) {}

    /// Called once, before the first transfer is added.
    fn start(&mut self, multi: &mut Multi<S>);

    /// Called once, before the start: with this, the application's threads wake the reactor.
    fn set_wake(&mut self, wake: Wake) {
        let _ = wake;
    }

    /// Whether the application has started threads that may wake the reactor.
    fn has_threads(&self) -> bool {
        false
    }

    /// Adds transfers, up to the limits of the application. Called before every wait.
    ///
    /// # Errors
    /// As [`Multi::add`].
    fn refill(&mut self, multi: &mut Multi<S>, now: Instant) -> Result<(), MultiError>;

    /// Whether the run is over.
    fn is_over(&self, multi: &Multi<S>) -> bool;

    /// A transfer has completed. It is still added.
    ///
    /// # Errors
    /// As [`Multi::remove`] and [`Multi::add`].
    fn completed(
        &mut self,
        multi: &mut Multi<S>,
        done: Done,
        now: Instant,
    ) -> Result<(), MultiError>;

    /// The reactor was woken through [`Wake`].
    ///
    /// # Errors
    /// As [`Multi::add`].
    fn woken(&mut self, multi: &mut Multi<S>, now: Instant) -> Result<(), MultiError> {
        let _ = (multi, now);
        Ok(())
    }

    /// A descriptor that the application waits to read from, in addition to the sockets.
    fn input(&self) -> Option<RawFd>;

    /// The descriptor is readable, or at its end: one read does not wait.
    fn read_input(&mut self);

    /// A time at which [`Application::tick`] is due, if there is one.
    fn due(&self) -> Option<Instant>;

    /// Called after every wait.
    fn tick(&mut self, multi: &Multi<S>, now: Instant);

    /// A signal that ends the run came: the number of SIGINT, SIGTERM or SIGHUP.
    fn signalled(&mut self, signal: i32);
}
