//! The few system calls that the standard library lacks: files by name within an open folder, splice from sockets to
//! files, output that a slow reader cannot block, named outputs, signals, and the limit of open files.

mod destination;
#[doc(hidden)]
pub mod fault;
mod file;
mod file_system;
mod folder;
mod input;
mod limit;
mod output;
mod pipe;
mod signal;
mod stop;

pub use destination::{
    Access, Destination, OutputFile, Patience, open_growing, open_stream, part_of,
};
pub use file::{
    boot, latest_stamp, note, noted, remove_note, set_len, sync, sync_data, write_all_at, write_at,
};
pub use folder::{Entry, Folder, Identity, is_being_written};
pub use input::{open_input, read_all};
pub use limit::{foreign_files, open_files, raise_open_files};
pub use output::{stderr, stdout, write_all};
pub use pipe::{Moved, Pipe};
pub use signal::{Dispositions, end_by, set_cursor_hidden};
pub use stop::Stop;
