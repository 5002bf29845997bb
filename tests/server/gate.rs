//! A gate between a test and its server: an answer waits at it until the test opens it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Longest that anything here waits: a test that went wrong ends, and says so.
const LIMIT: Duration = Duration::from_secs(30);

/// Shut at first; clones are the same gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_open: bool,
    tickets: usize,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Lets everyone through from now on.
    pub(crate) fn open(&self) {
        self.0.state.lock().expect("gate").is_open = true;
        self.0.changed.notify_all();
    }

    /// Lets one through.
    pub(crate) fn let_one_through(&self) {
        self.0.state.lock().expect("gate").tickets += 1;
        self.0.changed.notify_one();
    }

    /// Waits until the gate lets this caller through.
    pub(super) fn pass(&self) {
        let state = self.0.state.lock().expect("gate");
        let (mut state, _) = self
            .0
            .changed
            .wait_timeout_while(state, LIMIT, |state| !state.is_open && state.tickets == 0)
            .expect("gate");
        if !state.is_open {
            state.tickets = state.tickets.saturating_sub(1);
        }
    }

    /// Waits for as long as `pause`, or until the gate opens: the beat of a slow sender.
    pub(super) fn pause(&self, pause: Duration) {
        let state = self.0.state.lock().expect("gate");
        drop(
            self.0
                .changed
                .wait_timeout_while(state, pause, |state| !state.is_open)
                .expect("gate"),
        );
    }
}
