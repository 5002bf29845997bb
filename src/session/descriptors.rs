//! How many files and sockets a run may have open, and what that leaves room for. Pure: the limit is an argument.

/// Descriptors that belong to no row, at most: the standard streams and copies of two of them, the
/// poll and two copies, signals and their guard, the waker, the splicing pipe, the list, the run's folder; and for
/// a moment a folder on the way to another, a file that is looked at, a lookup's socket.
const RESERVED: usize = 20;

/// A row that waits has its folder open, and its file twice while it waits for its digest.
const WAITING: usize = 3;

/// A row under way has a socket, a second one while addresses race, its file and its folder.
const RUNNING: usize = 4;

/// A row that sleeps until a retry has its file and its folder.
const SLEEPING: usize = 2;

/// Rows that may sleep until a retry, where descriptors are no concern.
const SLEEPERS: usize = 1024;

/// Folders kept open at most, beside the run's own.
const FOLDERS: usize = 16;

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// Rows under way at once, and as many that wait.
    pub(super) jobs: usize,
    /// Connections in all.
    pub(super) connections: usize,
    /// Rows that sleep until a retry.
    pub(super) sleepers: usize,
    /// Folders kept open for rows to come.
    pub(super) folders: usize,
}

impl Descriptors {
    /// Divides what `limit` leaves beside `foreign` descriptors that were open before the run, when
    /// `jobs` rows are wanted at once.
    pub(super) fn divide(limit: usize, foreign: usize, jobs: usize) -> Self {
        let free = limit.saturating_sub(RESERVED + foreign);
        let connections = (free / (RUNNING + WAITING + 1)).max(1);
        let jobs = jobs.min(connections);
        let rest = free.saturating_sub(jobs * (RUNNING + WAITING));
        let folders = FOLDERS.min(rest / 8);
        Self {
            jobs,
            connections,
            sleepers: ((rest - folders) / SLEEPING).clamp(1, SLEEPERS),
            folders,
        }
    }

    /// The most that can be open at once.
    #[cfg(test)]
    fn worst(self) -> usize {
        self.jobs * (RUNNING + WAITING) + self.sleepers * SLEEPING + self.folders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_enough_nobody_is_cut_short() {
        let divided = Descriptors::divide(1 << 20, 0, 256);
        assert_eq!((divided.jobs, divided.sleepers), (256, SLEEPERS));
        assert_eq!(divided.folders, FOLDERS);
        assert_eq!(Descriptors::divide(1024, 0, 16).jobs, 16);
    }

    #[test]
    fn no_limit_from_32_on_is_ever_exceeded() {
        for limit in 32..5000 {
            for jobs in [1, 2, 16, 100, 10_000] {
                let divided = Descriptors::divide(limit, 0, jobs);
                assert!(divided.jobs >= 1 && divided.sleepers >= 1);
                assert!(
                    divided.worst() <= limit - RESERVED,
                    "{limit} {jobs}: {divided:?}"
                );
            }
        }
    }

    #[test]
    fn what_others_left_open_is_not_there_to_be_used() {
        let (with, without) = (
            Descriptors::divide(140, 100, 16),
            Descriptors::divide(40, 0, 16),
        );
        assert_eq!(with, without);
        // What cannot be right is tried with the least.
        assert_eq!(Descriptors::divide(3, 50, 16).jobs, 1);
    }
}
