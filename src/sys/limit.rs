//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the limit is taken for where the system sets none.
const UNLIMITED: u64 = 1 << 20;

/// Raises the soft limit of open files to the hard one, and gives what holds then.
pub fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum {
        // Where it may not be raised, the soft limit is what there is to live with.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let open = getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED);
    usize::try_from(open.min(UNLIMITED)).unwrap_or(usize::MAX)
}
