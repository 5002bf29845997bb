//! The few system calls that the standard library lacks: files by name within an open folder, splice from sockets to
//! files, output that a slow reader cannot block, named outputs, signals, and the limit of open files.
//!
//! What differs by operating system is in `linux` and, in a portable way, in `unix`. Both have one face, `platform`.

mod destination;
#[doc(hidden)]
pub mod fault;
mod file;
mod file_system;
mod folder;
mod input;
mod limit;
#[cfg(all(target_os = "linux", not(gannet_portable)))]
mod linux;
mod moved;
mod output;
mod signal;
mod stop;
#[cfg(any(not(target_os = "linux"), gannet_portable))]
mod unix;

#[cfg(all(target_os = "linux", not(gannet_portable)))]
use linux as platform;
#[cfg(any(not(target_os = "linux"), gannet_portable))]
use unix as platform;

pub use destination::{
    Access, Destination, OutputFile, Patience, open_growing, open_stream, part_of,
};
pub use file::{
    boot, latest_stamp, note, noted, remove_note, set_len, sync, sync_data, write_all_at, write_at,
};
pub use folder::{Entry, Folder, Identity, is_being_written};
pub use input::{open_input, read_all};
pub use limit::{foreign_files, open_files, raise_open_files};
pub use moved::Moved;
pub use output::{stderr, stdout, write_all};
pub use platform::Pipe;
pub use signal::{Dispositions, end_by, set_cursor_hidden};
pub use stop::Stop;
