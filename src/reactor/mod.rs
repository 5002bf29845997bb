//! The only code that waits while transfers run: one event loop, over a poller that waits for sockets, the timeout,
//! signals, results of other threads, and the list. An [`Application`] decides what to transfer.

mod application;
mod certificates;
pub(crate) mod event_loop;
mod guard;
mod poll;
pub(crate) mod poller;
mod resolver;
mod signals;
mod waker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::Poll;

use crate::error::MultiError;
use crate::multi::{Options, Sink};

pub use application::{Application, Drive, Wake};
pub use certificates::load_certificates;
use event_loop::run_on;
use poll::{MioPoller, SIGNALS};
pub use resolver::Resolver;
use signals::Signals;

/// The event loop of the crate on mio's poll. By default it leaves the signals of the process alone.
#[derive(Debug, Default)]
pub struct Reactor {
    catches_signals: bool,
    signals: Option<Signals>,
    /// Set by the handlers of the signals.
    stop: Arc<AtomicBool>,
}

impl Reactor {
    /// A reactor that stops its application on SIGINT, SIGTERM and SIGHUP, and that ignores SIGXFSZ.
    ///
    /// Its handlers are installed when it drives an application, and stay until it is dropped, so that a repeated
    /// signal does not interrupt the work after a run. Signals that the process ignores stay ignored.
    pub fn catching_signals() -> Self {
        Self {
            catches_signals: true,
            ..Self::default()
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
        self.stop.store(false, Ordering::SeqCst);
        app.prepare();
        let poll = Poll::new()?;
        if self.catches_signals {
            let mut signals = Signals::watch(poll.registry(), SIGNALS, &self.stop)?;
            if options.tls.reads_files() {
                // A pipe may block.
                signals.guard(None);
            }
            self.signals = Some(signals);
        }
        let mut poller = MioPoller::new(poll, self.signals.as_mut())?;
        run_on(&mut poller, app, options)
    }

    fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    fn signal(&self) -> Option<i32> {
        self.signals.as_ref().and_then(Signals::last)
    }
}

/// Runs an application's transfers to their end.
///
/// # Errors
/// The poll cannot be made, or a socket cannot be watched by it.
pub fn run<S: Sink>(app: &mut impl Application<S>, options: Options) -> io::Result<()> {
    Reactor::default().drive(app, options)
}

/// The functions fail only if the poller cannot watch a socket; then the event loop has the error.
impl From<MultiError> for io::Error {
    fn from(error: MultiError) -> Self {
        Self::other(error)
    }
}
