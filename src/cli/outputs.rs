//! Which file the name of an output or a list leads to: one file has many names.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gannet::internals::sys::{self, Destination};

/// A file by its place, and by what it is where it is there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    file: Option<(u64, u64)>,
}

impl Place {
    /// The place that a name leads to. Standard input as a list is `-`, and so is standard output as an output.
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

    /// The place of a list, or of something else that is read.
    pub(super) fn of_input(path: &Path) -> Self {
        if path == Path::new("-") {
            return Self::at(path.to_owned(), fs::metadata("/dev/stdin").ok());
        }
        Self::of_output(path)
    }

    /// Where an output of this place stands until it is whole.
    pub(super) fn part(&self) -> Self {
        let part = sys::part_of(&self.path);
        let found = fs::metadata(&part).ok();
        Self::at(part, found)
    }

    fn at(path: PathBuf, found: Option<Metadata>) -> Self {
        let file = found.filter(Metadata::is_file);
        Self {
            path,
            file: file.map(|file| (file.dev(), file.ino())),
        }
    }

    /// Whether both are one file.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.path == other.path || (self.file.is_some() && self.file == other.file)
    }

    /// Whether a device is there, which takes from several what it gets.
    pub(super) fn is_device(&self) -> bool {
        use std::os::unix::fs::FileTypeExt;
        fs::metadata(&self.path).is_ok_and(|found| found.file_type().is_char_device())
    }
}

/// A path with no link and no `..` in its folder, as far as that is there.
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
