//! When the states of incomplete files are saved: at intervals while transfers run, and at the end of the run.

use std::time::{Duration, Instant};

use url::Url;

use crate::download::Download;

/// The interval at which incomplete files are checked. A large one without a state gets its first one then.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Every state is saved at one check of this many: a kill costs at most one second of work.
const CHECKS_PER_SAVE: u32 = 4;

/// The schedule of saves.
#[derive(Debug, Default)]
pub(super) struct Saves {
    /// The next check; none while no transfer runs.
    next: Option<Instant>,
    /// Checks so far.
    checks: u32,
}

/// What is saved at a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Save {
    /// The states of large files that have none yet.
    First,
    /// All states.
    All,
    /// All states, for the last time: no transfer of this run continues the files.
    Last,
}

impl Saves {
    /// What is saved now, if anything. `is_idle`: no transfer runs, so that nothing changes until the next call.
    pub(super) fn check(&mut self, now: Instant, is_idle: bool, is_stopped: bool) -> Option<Save> {
        if !is_stopped && self.next.is_some_and(|next| now < next) {
            return None;
        }
        let is_due = self.next.is_some();
        self.next = if is_idle {
            None
        } else {
            now.checked_add(CHECK_EVERY)
        };
        if is_stopped {
            return Some(Save::Last);
        }
        if !is_due {
            return None;
        }
        self.checks = self.checks.wrapping_add(1);
        Some(if self.checks.is_multiple_of(CHECKS_PER_SAVE) {
            Save::All
        } else {
            Save::First
        })
    }

    /// The time of the next check.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }
}

impl Save {
    /// Saves the state of one file, if this save is for it.
    pub(super) fn apply(self, download: &mut Download, url: &Url) {
        match self {
            Self::Last => download.leave(url),
            Self::All => download.save(url),
            Self::First if download.lacks_state() => download.save(url),
            Self::First => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_states_are_saved_each_second_while_transfers_run() {
        let (mut saves, start) = (Saves::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(
            saves.check(at(0), false, false),
            None,
            "nothing was written yet"
        );
        assert_eq!(saves.due(), Some(at(250)));
        assert_eq!(saves.check(at(249), false, false), None);
        let checks = [250, 500, 750, 1000].map(|millis| saves.check(at(millis), false, false));
        let first = Some(Save::First);
        assert_eq!(checks, [first, first, first, Some(Save::All)]);
        assert_eq!(
            saves.check(at(1001), false, true),
            Some(Save::Last),
            "at once"
        );
    }

    #[test]
    fn an_idle_run_saves_once_and_then_waits() {
        let (mut saves, start) = (Saves::default(), Instant::now());
        saves.check(start, false, false);
        let later = start + Duration::from_secs(9);
        assert_eq!(saves.check(later, true, false), Some(Save::First));
        assert_eq!((saves.due(), saves.check(later, true, false)), (None, None));
    }
}
