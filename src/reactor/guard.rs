//! The second signal ends the process at once, even if the run is stuck in a system call. A thread waits for it, since
//! the event loop itself may be stuck.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use signal_hook::iterator::{Handle, Signals};

use crate::sys;

/// A signal within this time after the first is a duplicate: timeout(1) signals a process and its group, terminals
/// signal the group, and shells the process.
const ECHO: Duration = Duration::from_millis(500);

/// Guards until it is dropped.
pub(super) struct Guard {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    /// Guards a run. `first` is when its first signal came, if one came.
    ///
    /// # Errors
    /// The thread cannot start, or there are no descriptors.
    pub(super) fn start(signals: &[i32], first: Option<Instant>) -> io::Result<Self> {
        let mut signals = Signals::new(signals)?;
        let handle = signals.handle();
        let mut insistence = Insistence { first };
        let thread = thread::Builder::new().name("signals".to_owned());
        let thread = thread.spawn(move || {
            for signal in signals.forever() {
                if insistence.signalled(Instant::now()) == Demand::End {
                    sys::end_by(signal);
                }
            }
        })?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // The thread returns nothing.
            let _ = thread.join();
        }
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// A stop in good order, which the event loop carries out.
    Stop,
    /// Nothing: it is a duplicate of the first signal.
    Echo,
    /// The end of the process at once.
    End,
}

/// Decides what each signal asks for.
#[derive(Debug, Default)]
struct Insistence {
    first: Option<Instant>,
}

impl Insistence {
    fn signalled(&mut self, now: Instant) -> Demand {
        match self.first {
            None => {
                self.first = Some(now);
                Demand::Stop
            }
            Some(first) if now < first + ECHO => Demand::Echo,
            Some(_) => Demand::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What signals at these times ask for, in milliseconds.
    fn demands(times: &[u64]) -> Vec<Demand> {
        let start = Instant::now();
        let mut insistence = Insistence::default();
        let at = |millis: &u64| start + Duration::from_millis(*millis);
        times
            .iter()
            .map(|millis| insistence.signalled(at(millis)))
            .collect()
    }

    #[test]
    fn what_comes_within_half_a_second_of_the_first_is_the_first_again() {
        use Demand::{Echo, End, Stop};
        assert_eq!(demands(&[0]), [Stop]);
        assert_eq!(demands(&[0, 0, 499]), [Stop, Echo, Echo]);
        assert_eq!(demands(&[0, 500]), [Stop, End]);
        // The half second is one of the first, and not of the last.
        assert_eq!(demands(&[0, 300, 600]), [Stop, Echo, End]);
    }

    #[test]
    fn a_first_signal_that_was_seen_before_the_guard_counts() {
        let now = Instant::now();
        let mut insistence = Insistence { first: Some(now) };
        assert_eq!(insistence.signalled(now + ECHO / 2), Demand::Echo);
        assert_eq!(insistence.signalled(now + ECHO), Demand::End);
    }
}
