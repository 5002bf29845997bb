//! [`FileName`]: compares the names of outputs and lists, because one file can have many names.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gannet::internals::sys::{self, Destination};

/// The resolved name of a file, and its identity if it exists.
#[derive(Debug, Clone)]
pub(super) struct FileName {
    path: PathBuf,
    /// The device and inode of a regular file.
    file: Option<(u64, u64)>,
}

impl FileName {
    /// Resolves the name of an output. `-` is standard output.
    pub(super) fn of_output(path: &Path) -> Self {
        if path == Path::new("-") {
            return Self::at(path.to_owned(), None);
        }
        let at = match Destination::of(path) {
            Ok(Destination::File(at) | Destination::Stream(at)) => at,
            Ok(Destination::Stdout) | Err(_) => path.to_owned(),
        };
        Self::at(settled(&at), fs::metadata(path).ok())
    }

    /// Resolves the name of a list. `-` is standard input.
    pub(super) fn of_input(path: &Path) -> Self {
        if path == Path::new("-") {
            return Self::at(path.to_owned(), fs::metadata("/dev/stdin").ok());
        }
        Self::of_output(path)
    }

    /// The temporary file that is renamed to this output when it is complete.
    pub(super) fn temporary(&self) -> Self {
        let temporary = sys::part_of(&self.path);
        let found = fs::metadata(&temporary).ok();
        Self::at(temporary, found)
    }

    fn at(path: PathBuf, found: Option<Metadata>) -> Self {
        let file = found.filter(Metadata::is_file);
        Self {
            path,
            file: file.map(|file| (file.dev(), file.ino())),
        }
    }

    /// Whether both names lead to the same file.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.path == other.path || (self.file.is_some() && self.file == other.file)
    }

    /// Whether the file is a character device, which several outputs may share.
    pub(super) fn is_device(&self) -> bool {
        use std::os::unix::fs::FileTypeExt;
        fs::metadata(&self.path).is_ok_and(|found| found.file_type().is_char_device())
    }
}

/// The path with its folder resolved: without symbolic links and `..`. A missing folder is only made absolute.
fn settled(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}
