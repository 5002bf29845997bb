//! The limit of open files and sockets, and how many the process has inherited.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::platform;

/// The assumed limit if the system sets none.
const UNLIMITED: u64 = 1 << 20;

/// A limit above which inherited descriptors do not matter.
const AMPLE: usize = 1 << 16;

/// How many descriptors are open beside the standard ones: a parent process may have left its own open. 0 without a
/// look if `limit` is so high that it does not matter.
pub fn foreign_files(limit: usize) -> usize {
    if limit >= AMPLE {
        return 0;
    }
    // The folder itself is open while it is read.
    std::fs::read_dir(platform::DESCRIPTORS).map_or(0, |open| open.count().saturating_sub(4))
}

/// Raises the soft limit of open files of this process to the hard limit. An application calls this, not the library.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum {
        // If the system refuses, the soft limit stays in force.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// The soft limit of open files.
pub fn open_files() -> usize {
    let open = getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED);
    usize::try_from(open.min(UNLIMITED)).unwrap_or(usize::MAX)
}
