//! How other threads interrupt a wait of the reactor: a flag, and a waker that makes the poll return. Without a waker
//! (no eventfd, no descriptor) the reactor checks the flag ten times a second, so that results are late but never
//! lost.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::Wake;

/// The interval at which the flag is checked without a waker.
const LOOK: Duration = Duration::from_millis(100);

/// The reactor's side.
#[derive(Debug)]
pub(super) struct Waker {
    registry: Registry,
    token: Token,
    shared: Arc<WakerState>,
}

#[derive(Debug, Default)]
struct WakerState {
    has_news: AtomicBool,
    /// Created once, since mio allows no second attempt. `None` if that failed.
    waker: OnceLock<Option<mio::Waker>>,
}

impl Waker {
    pub(super) fn new(registry: Registry, token: Token) -> Self {
        Self {
            registry,
            token,
            shared: Arc::default(),
        }
    }

    /// The function that other threads call.
    pub(super) fn wake(&self) -> Wake {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || shared.wake())
    }

    /// Until when a wait may last. Creates the waker when there are threads for the first time.
    pub(super) fn bound(
        &self,
        until: Option<Instant>,
        now: Instant,
        has_threads: bool,
    ) -> Option<Instant> {
        let waker = &self.shared.waker;
        let is_blind = has_threads
            && waker
                .get_or_init(|| mio::Waker::new(&self.registry, self.token).ok())
                .is_none();
        // A thread that found no waker has set the flag before: see `WakerState::wake`.
        fence(Ordering::SeqCst);
        if self.shared.has_news.load(Ordering::SeqCst) {
            Some(now)
        } else if is_blind {
            Some(until.map_or(now + LOOK, |at| at.min(now + LOOK)))
        } else {
            until
        }
    }

    /// Whether another thread has called since the last call.
    pub(super) fn take_news(&self) -> bool {
        // In most rounds of the loop there was no call, and a load is cheaper than a swap.
        self.shared.has_news.load(Ordering::Relaxed)
            && self.shared.has_news.swap(false, Ordering::SeqCst)
    }
}

impl WakerState {
    fn wake(&self) {
        self.has_news.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if let Some(Some(waker)) = self.waker.get() {
            // If the descriptor fails, the flag is seen when the wait ends.
            let _ = waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use mio::{Events, Poll};

    use super::*;

    fn waits(poll: &mut Poll, until: Option<Instant>) {
        let mut events = Events::with_capacity(1);
        let timeout = until.map(|at| at.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, timeout).unwrap();
    }

    #[test]
    fn a_call_from_another_thread_ends_a_wait_without_an_end() {
        let mut poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry().try_clone().unwrap(), Token(7));
        assert_eq!(waker.bound(None, Instant::now(), true), None);
        let wake = waker.wake();
        let thread = thread::spawn(move || wake());
        while !waker.take_news() {
            waits(&mut poll, waker.bound(None, Instant::now(), true));
        }
        thread.join().unwrap();
        assert!(!waker.take_news());
    }

    #[test]
    fn without_the_means_the_flag_is_looked_at_again_and_again() {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry().try_clone().unwrap(), Token(7));
        waker.shared.waker.set(None).unwrap();
        let (now, soon) = (Instant::now(), Duration::from_millis(1));
        assert_eq!(waker.bound(None, now, true), Some(now + LOOK));
        assert_eq!(waker.bound(Some(now + soon), now, true), Some(now + soon));
        waker.wake()();
        assert_eq!(waker.bound(None, now, true), Some(now));
    }

    #[test]
    fn a_call_before_the_means_are_made_is_not_lost() {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry().try_clone().unwrap(), Token(7));
        waker.wake()();
        let now = Instant::now();
        assert_eq!(waker.bound(None, now, true), Some(now));
        assert!(waker.take_news());
    }
}
