//! The request to stop a run: signal handlers make it, and whatever may block looks at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a run was asked to stop. A clone sees the request too.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The request that `flag` makes. A signal handler may set the flag.
    pub fn by(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// Whether the run was asked to stop, even if its event loop does not know it yet.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
