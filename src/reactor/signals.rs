//! SIGINT, SIGTERM and SIGHUP as events of the poll, from the start of a run to its end. A signal that was ignored
//! when the process started stays ignored. SIGXFSZ is caught without effect.
//!
//! After a run the signals have the action from before. signal-hook leaves its handler installed, so the default
//! action is emulated; an application with handlers must set them before its first run.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{SigId, flag, low_level};

use super::guard::Guard;
use crate::sys::Dispositions;

/// The age at which a run starts its guard, so that a short run does not pay for a thread.
const YOUNG: Duration = Duration::from_millis(200);

/// The signals that stop a run.
pub(super) struct Signals {
    // Dropped first, so that the default action is restored before the other handlers are removed.
    _handlers: Handlers,
    events: signal_hook_mio::v1_0::Signals,
    stopping: Vec<i32>,
    /// The number of the last signal; 0 before the first.
    last: Arc<AtomicUsize>,
    started: Instant,
    guard: Guarding,
}

/// Whether a thread waits for a second signal.
enum Guarding {
    NotYet,
    By(#[expect(dead_code, reason = "guards until it is dropped")] Guard),
    /// No thread could start: a second signal has no effect.
    Impossible,
}

impl Signals {
    /// Registers signals with the poll of `registry`, as `token`. Their handlers set `stop`.
    ///
    /// # Errors
    /// The handlers cannot be set.
    pub(super) fn watch(
        registry: &Registry,
        token: Token,
        stop: &Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let dispositions = Dispositions::read();
        let mut handlers = Handlers::install(&dispositions)?;
        let last = Arc::new(AtomicUsize::new(0));
        let mut stopping = vec![SIGINT, SIGTERM, SIGHUP];
        stopping.retain(|signal| !dispositions.is_ignored(*signal));
        for signal in stopping.iter().copied() {
            handlers.add(flag::register(signal, Arc::clone(stop))?);
            let number = usize::try_from(signal).unwrap_or_default();
            handlers.add(flag::register_usize(signal, Arc::clone(&last), number)?);
        }
        if !dispositions.is_ignored(SIGXFSZ) {
            // A file at its size limit is an error of write(2), not the end of the process.
            handlers.add(flag::register(SIGXFSZ, Arc::default())?);
        }
        let mut events = signal_hook_mio::v1_0::Signals::new(&stopping)?;
        let watched = registry.register(&mut events, token, Interest::READABLE);
        watched.map_err(super::poll::unwatched)?;
        Ok(Self {
            _handlers: handlers,
            events,
            stopping,
            last,
            started: Instant::now(),
            guard: Guarding::NotYet,
        })
    }

    /// The numbers of the signals since the last call.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = i32> {
        if self.last().is_some() {
            self.guard(Some(Instant::now()));
        }
        self.events.pending()
    }

    /// The number of the last signal, even if [`Signals::pending`] did not return it.
    pub(super) fn last(&self) -> Option<i32> {
        let last = i32::try_from(self.last.load(Ordering::SeqCst));
        last.ok().filter(|signal| *signal > 0)
    }

    /// Starts the guard of a run that is not short any more: it may be stuck where it sees no signal.
    pub(super) fn grow_old(&mut self, now: Instant) {
        if matches!(self.guard, Guarding::NotYet) && now >= self.started + YOUNG {
            self.guard(None);
        }
    }

    /// Starts a thread that waits for a second signal. `first` is when the first one was seen.
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

/// The state that all runs of the process share.
struct Process {
    /// Runs under way.
    runs: usize,
    /// Signals with a default action that is emulated while no run is under way.
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
    /// Counts the run. Signals have no default action until the last run has ended.
    fn install(dispositions: &Dispositions) -> io::Result<Self> {
        let process = &mut *PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        if process.runs == 0 {
            process.is_idle.store(false, Ordering::SeqCst);
        }
        process.runs += 1;
        let handlers = Self(Vec::new());
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGXFSZ] {
            if !process.emulated.contains(&signal) && dispositions.is_default(signal) {
                // This is the first handler of the signal. It is never removed.
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
