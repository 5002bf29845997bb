//! What the server saw: requests in order, connections, and how many requests were under way at once.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longest that a test waits for something to be seen.
const LIMIT: Duration = Duration::from_secs(15);

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Which connection brought it; the first is 1.
    pub(crate) connection: usize,
    /// When its head was complete.
    pub(crate) at: Instant,
}

impl Request {
    /// The first header of this name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The target up to its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

#[derive(Default)]
pub(super) struct Log {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: Vec<Request>,
    pub(super) connections: usize,
    pub(super) in_flight: usize,
    pub(super) in_flight_max: usize,
    pub(super) stalled: usize,
    /// Bytes of bodies, in their framing.
    pub(super) sent: usize,
}

impl Log {
    /// Changes what was seen, and wakes the threads that wait for it.
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let result = change(&mut self.seen.lock().expect("log"));
        self.changed.notify_all();
        result
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().expect("log"))
    }

    /// Waits until `wanted` holds; panics with `what` when it does not come to be.
    pub(super) fn wait(&self, what: &str, wanted: impl Fn(&Seen) -> bool) {
        let seen = self.seen.lock().expect("log");
        let waited = self
            .changed
            .wait_timeout_while(seen, LIMIT, |seen| !wanted(seen));
        // The lock goes before the panic, so that the server's threads do not trip over it.
        let missed =
            waited.map(|(seen, waited)| waited.timed_out().then(|| format!("{:?}", seen.requests)));
        if let Some(requests) = missed.expect("log") {
            panic!("the server waited in vain for {what}; it saw {requests}");
        }
    }
}
