//! The lock file: URL, size and digest of each file, so that a later run can require exactly these files.
//!
//! Several processes, for example the shards of a list, may write one lock file: at its end, each process reads the
//! file, adds its own entries and replaces it, while it holds the advisory lock on `FILE.part`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use super::job::Job;
use super::plan::{Output, Plan};
use super::report::Landing;
use super::targets::Misplaced;
use crate::download::name;
use crate::error::Fault;
use crate::http::Digest;
use crate::http::digest::Algorithm;
use crate::list::Row;
use crate::sys::{Access, Destination, OutputFile, Patience, Stop};

/// The version of the file's schema.
const VERSION: u32 = 1;

/// The content of a lock file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    files: Vec<Entry>,
}

/// One file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The URL without credentials and fragment.
    url: String,
    /// The path relative to the target folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<String>,
    /// In bytes.
    size: u64,
    /// In hex.
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

impl Entry {
    /// Gives this entry's name to a row that names no file. Returns false if the row names another file.
    fn names(&self, row: &mut Row, plan: &Plan) -> bool {
        let own = self.out.as_deref().map(Path::new);
        match &plan.output {
            Output::Stdout | Output::Stream(_) => return true,
            Output::File(path) => {
                let path = plan.dir.join(path);
                return path.strip_prefix(&plan.dir).ok() == own;
            }
            Output::ByName => {}
        }
        let options = row.options.as_ref();
        let dir = options.and_then(|options| options.dir.as_deref());
        let Ok(dir) = dir.map_or(Ok(PathBuf::new()), name::beneath) else {
            // The row gets no target: the decision about its target reports the reason.
            return true;
        };
        let Some(out) = &row.out else {
            let rest = own.and_then(|own| own.strip_prefix(&dir).ok()?.to_str());
            row.out = rest.map(str::to_owned);
            return rest.is_some() || own.is_none();
        };
        name::beneath(out).is_ok_and(|out| Some(&*dir.join(out)) == own)
    }
}

/// The key of a URL in the lock file: without credentials, because other people may read the file, and without the
/// fragment, which no request contains.
fn key(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    // Neither can fail: a URL that is fetched has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// The lock file of a run, with the entries that the run adds.
#[derive(Debug)]
pub(super) struct Lock {
    /// As given on the command line.
    path: PathBuf,
    /// `--locked`: every file must match its entry, and the lock file is not written.
    is_binding: bool,
    /// The entries by the keys of their URLs.
    entries: BTreeMap<String, Known>,
    stop: Stop,
}

/// The entries of a URL: several if a list contains the URL more than once.
#[derive(Debug, Default)]
struct Known {
    /// The entries with the numbers of their rows, in that order. The number is 0 for entries read from the file.
    files: Vec<(u64, Entry)>,
    /// The indexes of the entries that are assigned to rows.
    taken: BTreeSet<usize>,
    /// `files` holds files of this run, which fetched or verified them.
    is_new: bool,
    /// The entries of earlier runs, once `is_new` is set.
    old: Vec<Entry>,
}

impl Known {
    /// Assigns an entry to the next row: one with a name that fits the row, and if possible one that no earlier row
    /// has. The row gets its name.
    fn next(&mut self, row: &mut Row, plan: &Plan) -> Result<&Entry, Option<&Entry>> {
        let all = 0..self.files.len();
        let free = all.clone().filter(|index| !self.taken.contains(index));
        let index = free
            .chain(all.clone())
            .find(|index| self.files[*index].1.names(row, plan));
        let Some(index) = index else {
            return Err(self.files.first().map(|(_, entry)| entry));
        };
        self.taken.insert(index);
        Ok(&self.files[index].1)
    }

    /// Adds the entry of a file of this run. The first one replaces the entries of earlier runs.
    fn add(&mut self, number: u64, entry: Entry) {
        if !std::mem::replace(&mut self.is_new, true) {
            let old = std::mem::take(&mut self.files);
            self.old = old.into_iter().map(|(_, entry)| entry).collect();
        }
        let index = self.files.partition_point(|(other, _)| *other < number);
        self.files.insert(index, (number, entry));
    }

    /// Replaces the present entries of the file, except those that another process has added under other names.
    fn replace(&self, others: &mut Self) {
        others
            .files
            .retain(|(_, other)| !self.old.contains(other) && !self.has_name_of(other));
        others.files.extend(self.files.iter().cloned());
    }

    /// Whether one of the entries has the name of another one.
    fn has_name_of(&self, other: &Entry) -> bool {
        self.files.iter().any(|(_, own)| own.out == other.out)
    }
}

impl Lock {
    /// Adds the entry of a complete file, unless the run is `--locked`.
    pub(super) fn add(&mut self, job: &Job, root: &Path) {
        if self.is_binding {
            return;
        }
        let (Some(url), Some(found)) = (&job.url, job.file.download.found()) else {
            return;
        };
        let (size, sha256, etag) = found;
        let out = match job.landing() {
            Landing::File(folder, name) => folder
                .join(name)
                .strip_prefix(root)
                .ok()
                .and_then(Path::to_str)
                .map(str::to_owned),
            Landing::Stdout | Landing::Nowhere => None,
        };
        let entry = Entry {
            url: key(url),
            out,
            size,
            sha256: hex(&sha256),
            etag,
        };
        let known = self.entries.entry(entry.url.clone()).or_default();
        known.add(job.number, entry);
    }

    /// Writes the lock file, unless the run is `--locked`.
    ///
    /// # Errors
    /// The path of the lock file, and the error of the system.
    pub(super) fn finish(&self, syncs: bool) -> Result<(), (PathBuf, io::Error)> {
        if self.is_binding {
            return Ok(());
        }
        self.save(syncs).map_err(|error| (self.path.clone(), error))
    }

    pub(super) fn open(path: &Path, is_binding: bool, stop: &Stop) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            is_binding,
            entries: read(path, is_binding)?,
            stop: stop.clone(),
        })
    }

    /// With `--locked`, applies the digest, the size and the name of its entry to a row. Fails if they conflict.
    pub(super) fn bind(&mut self, row: &mut Row, plan: &Plan) -> Result<(), Misplaced> {
        if !self.is_binding {
            return Ok(());
        }
        let path = self.path.display();
        let Some(known) = self.entries.get_mut(&key(&row.url)) else {
            return Err(refuse(format!("it is not in {path}")));
        };
        let entry = known.next(row, plan).map_err(|other| {
            let out = other.and_then(|other| other.out.as_deref());
            let out = out.unwrap_or_default().escape_debug();
            refuse(format!("{path} has it as '{out}'"))
        })?;
        let digest = format!("sha256:{}", entry.sha256).parse();
        let digest = digest.and_then(|digest| row.expect_all(&[digest]));
        digest.map_err(|why| refuse(format!("{path}: {why}")))?;
        let options = row.options.get_or_insert_default();
        match options.size {
            Some(size) if size != entry.size => Err(refuse(format!(
                "{path} has {} bytes, not {size}",
                entry.size
            ))),
            _ => {
                options.size = Some(entry.size);
                Ok(())
            }
        }
    }

    /// Merges the entries of this run into the present file and replaces it atomically.
    fn save(&self, syncs: bool) -> io::Result<()> {
        let output = OutputFile::create(&self.path, Access::Usual, Patience::Wait, &self.stop)?;
        let mut entries = read(&self.path, false)?;
        for (url, own) in self.entries.iter().filter(|(_, known)| known.is_new) {
            let others = entries.entry(url.clone()).or_default();
            own.replace(others);
        }
        let files = entries.into_values().flat_map(|known| known.files);
        let document = Document {
            version: VERSION,
            files: files.map(|(_, entry)| entry).collect(),
        };
        let mut text = serde_json::to_vec_pretty(&document).map_err(io::Error::other)?;
        text.push(b'\n');
        write_all(output, &text, syncs)
    }
}

fn write_all(mut output: OutputFile, text: &[u8], syncs: bool) -> io::Result<()> {
    output.write_all(text)?;
    output.commit(syncs)
}

/// Reads a lock file into entries by URL. A missing file has no entries, unless `must_be_there`.
fn read(path: &Path, must_be_there: bool) -> io::Result<BTreeMap<String, Known>> {
    // Opening a pipe could block, and a pipe cannot be read twice.
    if !matches!(Destination::of(path)?, Destination::File(_)) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"));
    }
    let text = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !must_be_there => None,
        result => Some(result?),
    };
    let files = text.map_or(Ok(Vec::new()), |text| parse(&text))?;
    let mut entries = BTreeMap::<_, Known>::new();
    for entry in files {
        let known = entries.entry(entry.url.clone()).or_default();
        known.files.push((0, entry));
    }
    Ok(entries)
}

fn parse(text: &[u8]) -> io::Result<Vec<Entry>> {
    let document: Document = serde_json::from_slice(text)
        .map_err(|fault| invalid(format!("not a lock file (line {})", fault.line())))?;
    if document.version != VERSION {
        return Err(invalid(format!(
            "version {} is not known",
            document.version
        )));
    }
    Ok(document.files)
}

/// The fault of a row that conflicts with the lock file.
fn refuse(why: String) -> Misplaced {
    Misplaced::Fault(Fault::NoDigest(why))
}

/// The error of a file that is no lock file of this version.
fn invalid(why: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn hex(digest: &Digest) -> String {
    debug_assert_eq!(digest.algorithm(), Algorithm::Sha256);
    let text = digest.to_string();
    text.split_once(':')
        .map(|(_, hex)| hex.to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_lock_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"version":2,"files":[]}"#,
            r#"{"version":1,"files":[{}]}"#,
            r#"{"version":1,"files":[],"more":1}"#,
            "\u{0}",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(br#"{"version":1,"files":[]}"#).unwrap().is_empty());
    }
}
