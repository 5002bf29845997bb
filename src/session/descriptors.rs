//! Divides the limit of open files among the rows, connections and folders of a run. Pure: the limit is an argument.

/// The most descriptors that belong to no row: the standard streams and copies of two of them, the poll and two copies,
/// signals and their guard, the waker, the splicing pipe, the list, the run's folder; and for short times a folder on
/// the path to another, a file that is examined, the socket of a lookup.
const RESERVED: usize = 20;

/// Descriptors of a row that waits for a slot or for its digest: its folder, and its file up to twice.
const WAITING: usize = 3;

/// Descriptors of a row under way: a socket, a second one while addresses race, its file and its folder.
const RUNNING: usize = 4;

/// Descriptors of a row in backoff: its file and its folder.
const SLEEPING: usize = 2;

/// The most rows in backoff, however many descriptors are free: many rows may meet one sick server, and those behind
/// them are for others. Each takes about a KiB of memory.
const SLEEPERS: usize = 1 << 16;

/// The most folders that stay open, beside the run's base folder.
const FOLDERS: usize = 16;

/// The limits of a run that follow from its descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// The most rows under way at once; as many more may wait.
    pub(super) jobs: usize,
    /// The most connections of the run.
    pub(super) connections: usize,
    /// The most rows in backoff.
    pub(super) sleepers: usize,
    /// The most folders that stay open for later rows.
    pub(super) folders: usize,
}

impl Descriptors {
    /// Divides `limit` less the `foreign` descriptors that were open before the run. `jobs` is the requested number
    /// of rows at once.
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

    /// The most descriptors of rows and folders that can be open at once.
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
        // An impossible limit gives the smallest values.
        assert_eq!(Descriptors::divide(3, 50, 16).jobs, 1);
    }
}
