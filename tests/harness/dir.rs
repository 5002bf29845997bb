//! A folder for one test, removed at its end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use gannet::internals::sys;
use tempfile::TempDir;

use super::sandbox::succeeds;
use super::{Gannet, Output};

pub(crate) struct Dir(TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("gannet-test-")
                .tempdir()
                .expect("a temporary folder"),
        )
    }

    /// In memory, where the system has a place for that: for tests that make many files and never start the program.
    pub(crate) fn in_memory() -> Self {
        let mut builder = tempfile::Builder::new();
        let made = builder.prefix("gannet-test-").tempdir_in("/dev/shm");
        made.map_or_else(|_| Self::new(), Self)
    }

    /// The program, to be run in this folder.
    pub(crate) fn gannet(&self) -> Gannet {
        Gannet::new(self.path())
    }

    /// Fetches a URL into this folder, with these flags. Another try follows after a millisecond.
    pub(crate) fn fetch(&self, flags: &str, url: impl AsRef<OsStr>) -> Output {
        let gannet = self.gannet().flags("--retry-delay 1ms");
        gannet.flags(flags).arg(url).run()
    }

    /// Fetches the rows of a list from standard input, as [`fetch`](Self::fetch) does one URL.
    pub(crate) fn fetch_list(&self, flags: &str, list: impl AsRef<[u8]>) -> Output {
        let gannet = self.gannet().flags("--retry-delay 1ms -i -");
        gannet.flags(flags).input(list).run()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.join(name).exists()
    }

    pub(crate) fn make_dir(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    pub(crate) fn read(&self, name: impl AsRef<OsStr>) -> Vec<u8> {
        let path = self.join(name.as_ref());
        fs::read(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; the folder has {:?}",
                path.display(),
                self.names()
            )
        })
    }

    /// Makes a named pipe.
    pub(crate) fn mkfifo(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        assert!(succeeds(Command::new("mkfifo").arg(&path)), "{path:?}");
        path
    }

    /// Writes what gannet notes with a file (`user.gannet`): `part` or `output`, and a line end.
    pub(crate) fn note(&self, name: &str, note: &[u8]) {
        let file = File::open(self.join(name)).expect("a file");
        assert!(sys::note(&file, note), "no attributes here");
    }

    /// All files below, relative to the folder, sorted; a folder counts only for what is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)
                .expect("a folder")
                .map(|entry| entry.expect("an entry"))
            {
                if entry.file_type().expect("a type").is_dir() {
                    folders.push(entry.path());
                } else {
                    let path = entry.path();
                    let name = path.strip_prefix(self.path()).expect("below");
                    names.push(name.to_string_lossy().into_owned());
                }
            }
        }
        names.sort();
        names
    }

    /// Waits until a file has `size` bytes.
    #[track_caller]
    pub(crate) fn wait_for_size(&self, name: &str, size: usize) {
        let since = Instant::now();
        while fs::metadata(self.join(name)).map_or(0, |found| found.len()) < size as u64 {
            assert!(
                since.elapsed() < Duration::from_secs(20),
                "{name} does not grow to {size} bytes; the folder has {:?}",
                self.names()
            );
            thread::yield_now();
        }
    }

    /// Asserts that a file is there with these bytes, and says where they part.
    #[track_caller]
    pub(crate) fn assert_file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let (found, wanted) = (self.read(name), bytes.as_ref());
        if found == wanted {
            return;
        }
        let common = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        panic!(
            "{name} has {} bytes instead of {}, the same up to byte {common}",
            found.len(),
            wanted.len()
        );
    }

    /// Asserts that these files are there, and no other.
    #[track_caller]
    pub(crate) fn assert_names(&self, wanted: &[&str]) {
        assert_eq!(
            self.names(),
            wanted,
            "the files below {}",
            self.path().display()
        );
    }
}
