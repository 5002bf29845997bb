//! SIGINT, SIGTERM and SIGHUP as events of the poll, from the start of a run to its end. A signal that was ignored
//! when the process started stays ignored. SIGXFSZ is caught and forgotten.
//!
//! After a run the signals do what they did before. signal-hook leaves its handler installed, so the default action
//! is emulated; an application with handlers of its own sets them before its first run.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{SigId, flag, low_level};

use super::guard::Guard;
use crate::sys::{self, Dispositions};

/// How old a run is when its guard starts: a short run does not pay for a thread.
const YOUNG: Duration = Duration::from_millis(200);

/// The signals that stop a run.
pub(super) struct Signals {
    // Dropped first: the default action holds again before the other handlers go.
    _handlers: Handlers,
    events: signal_hook_mio::v1_0::Signals,
    stopping: Vec<i32>,
    /// The number of the last one; 0 before the first.
    last: Arc<AtomicUsize>,
    started: Instant,
    guard: Guarding,
}

/// Whether a second signal is waited for.
enum Guarding {
    NotYet,
    By(#[expect(dead_code, reason = "guards until it is dropped")] Guard),
    /// There is no thread for it: a second signal changes nothing.
    Impossible,
}

impl Signals {
    /// Has the poll of `registry` report signals as `token`.
    ///
    /// # Errors
    /// The handlers cannot be set.
    pub(super) fn watch(registry: &Registry, token: Token) -> io::Result<Self> {
        let dispositions = Dispositions::read();
        let mut handlers = Handlers::install(&dispositions)?;
        let last = Arc::new(AtomicUsize::new(0));
        let mut stopping = vec![SIGINT, SIGTERM, SIGHUP];
        stopping.retain(|signal| !dispositions.is_ignored(*signal));
        for signal in stopping.iter().copied() {
            handlers.add(flag::register(signal, sys::stop_flag())?);
            let number = usize::try_from(signal).unwrap_or_default();
            handlers.add(flag::register_usize(signal, Arc::clone(&last), number)?);
        }
        if !dispositions.is_ignored(SIGXFSZ) {
            // A file that may not grow any more is an error of its write, not the end of the process.
            handlers.add(flag::register(SIGXFSZ, Arc::default())?);
        }
        let mut events = signal_hook_mio::v1_0::Signals::new(&stopping)?;
        let watched = registry.register(&mut events, token, Interest::READABLE);
        watched.map_err(super::unwatched)?;
        Ok(Self {
            _handlers: handlers,
            events,
            stopping,
            last,
            started: Instant::now(),
            guard: Guarding::NotYet,
        })
    }

    /// The signals that have come since the last call, by number.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = i32> {
        if self.last().is_some() {
            self.guard(Some(Instant::now()));
        }
        self.events.pending()
    }

    /// The signal that came last, by number, whether it was told by [`Signals::pending`] or not.
    pub(super) fn last(&self) -> Option<i32> {
        let last = i32::try_from(self.last.load(Ordering::SeqCst));
        last.ok().filter(|signal| *signal > 0)
    }

    /// From some age on a run may be stuck where it sees no signal: a second one ends it.
    pub(super) fn grow_old(&mut self, now: Instant) {
        if matches!(self.guard, Guarding::NotYet) && now >= self.started + YOUNG {
            self.guard(None);
        }
    }

    /// Waits for a second signal, on another thread; `first` is when the first was seen.
    pub(super) fn guard(&mut self, first: Option<Instant>) {
        if matches!(self.guard, Guarding::NotYet) {
            self.guard =
                Guard::start(&self.stopping, first).map_or(Guarding::Impossible, Guarding::By);
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}

/// What all runs of the process share.
struct Process {
    /// Runs under way.
    runs: usize,
    /// Signals whose default action is emulated while there is none.
    emulated: Vec<i32>,
    is_idle: Arc<AtomicBool>,
}

static PROCESS: LazyLock<Mutex<Process>> = LazyLock::new(|| {
    Mutex::new(Process {
        runs: 0,
        emulated: Vec::new(),
        is_idle: Arc::new(AtomicBool::new(true)),
    })
});

/// The handlers of one run.
struct Handlers(Vec<SigId>);

impl Handlers {
    /// Counts the run. The default action of signals is kept from happening until the last run has ended.
    fn install(dispositions: &Dispositions) -> io::Result<Self> {
        let process = &mut *PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        if process.runs == 0 {
            sys::stop_flag().store(false, Ordering::SeqCst);
            process.is_idle.store(false, Ordering::SeqCst);
        }
        process.runs += 1;
        let handlers = Self(Vec::new());
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGXFSZ] {
            if !process.emulated.contains(&signal) && dispositions.is_default(signal) {
                // The first handler of the signal, and never unregistered.
                flag::register_conditional_default(signal, Arc::clone(&process.is_idle))?;
                process.emulated.push(signal);
            }
        }
        Ok(handlers)
    }

    fn add(&mut self, handler: SigId) {
        self.0.push(handler);
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        let process = &mut *PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        process.runs -= 1;
        if process.runs == 0 {
            process.is_idle.store(true, Ordering::SeqCst);
        }
        for handler in self.0.drain(..) {
            low_level::unregister(handler);
        }
    }
}
