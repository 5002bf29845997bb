//! The dispositions of signals before handlers are installed, and the end of a process by a signal.

use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::low_level;

use super::platform;

/// What the process does with each signal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dispositions {
    ignored: u64,
    caught: u64,
}

impl Dispositions {
    /// The current dispositions. If the system does not say, all are the default ones.
    pub fn read() -> Self {
        let [ignored, caught] = platform::signal_masks();
        Self { ignored, caught }
    }

    /// Whether a signal is ignored: nohup ignores SIGHUP, and a shell without job control ignores SIGINT for
    /// background processes.
    pub fn is_ignored(&self, signal: i32) -> bool {
        has(self.ignored, signal)
    }

    /// Whether a signal has its default action.
    pub fn is_default(&self, signal: i32) -> bool {
        !has(self.ignored | self.caught, signal)
    }
}

/// The escape sequence that shows the cursor again (DECTCEM).
const SHOW_CURSOR: &[u8] = b"\x1b[?25h";

static IS_CURSOR_HIDDEN: AtomicBool = AtomicBool::new(false);

/// Records whether the cursor of the terminal at standard error is hidden: [`end_by`] shows it again.
pub fn set_cursor_hidden(is_hidden: bool) {
    IS_CURSOR_HIDDEN.store(is_hidden, Ordering::SeqCst);
}

/// Ends the process by a signal, as if it had no handler: shells and other parents see the cause. The first process of
/// a PID namespace ignores such signals, and exits with 128 plus the number.
pub fn end_by(signal: i32) -> ! {
    if IS_CURSOR_HIDDEN.load(Ordering::SeqCst)
        && let Ok(terminal) = super::stderr()
    {
        let _ = rustix::io::write(terminal, SHOW_CURSOR);
    }
    if std::process::id() != 1 {
        // Fails for an unknown signal.
        let _ = low_level::emulate_default_handler(signal);
    }
    low_level::exit(128 + signal)
}

fn has(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_is_the_lowest_bit() {
        let dispositions = Dispositions {
            ignored: 0x1001,
            caught: 2,
        };
        let of = |signal| {
            (
                dispositions.is_ignored(signal),
                dispositions.is_default(signal),
            )
        };
        assert_eq!(
            [of(1), of(2), of(3), of(13)],
            [(true, false), (false, false), (false, true), (true, false)]
        );
    }
}
