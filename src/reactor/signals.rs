//! SIGINT, SIGTERM and SIGHUP as events of the poll: the second one ends the process at once,
//! wherever it is. SIGXFSZ is caught and forgotten.

use std::fmt;
use std::io;
use std::sync::Arc;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use crate::sys;

/// The signals that stop a run.
pub struct Signals(signal_hook_mio::v1_0::Signals);

impl Signals {
    /// Has the poll of `registry` report signals as `token`.
    ///
    /// # Errors
    /// The handlers cannot be set.
    pub fn watch(registry: &Registry, token: Token) -> io::Result<Self> {
        let has_come = sys::stop_flag();
        let mut stopping = vec![SIGINT, SIGTERM];
        // Who ignores it, as nohup does, wants the run to outlive its terminal.
        if !sys::is_ignored(SIGHUP) {
            stopping.push(SIGHUP);
        }
        for signal in stopping.iter().copied() {
            // In this order: the first signal finds the flag unset, and sets it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&has_come))?;
            flag::register(signal, Arc::clone(&has_come))?;
        }
        // A file that may not grow any more is an error of its write, not the end of the process.
        flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = signal_hook_mio::v1_0::Signals::new(&stopping)?;
        registry.register(&mut signals, token, Interest::READABLE)?;
        Ok(Self(signals))
    }

    /// The signals that have come since the last call, by number.
    pub fn pending(&mut self) -> impl Iterator<Item = i32> {
        self.0.pending()
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}
