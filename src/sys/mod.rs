//! The few system calls that the standard library lacks: files by name within an open folder,
//! bytes moved from sockets to files, and the limit of open files.

mod file;
mod file_system;
mod folder;
mod limit;
mod output;
mod pipe;
mod signal;

pub use file::{boot, latest_stamp, note, noted, remove_note, sync, sync_data};
pub use folder::{Entry, Folder, Identity};
pub use limit::{foreign_files, raise_open_files};
pub use output::{stdout, stop_flag, write_all};
pub use pipe::{Moved, Pipe};
pub use signal::is_ignored;
