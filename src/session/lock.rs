//! The lock file: what was fetched from where, so that another run can insist on the same.
//!
//! Several processes may note what they fetch in one file, the shards of a list for example: at its end
//! each reads the file, adds its own and replaces it, while it holds the lock on `FILE.part`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use super::job::Job;
use super::places::Misplaced;
use super::plan::{Output, Plan};
use super::report::Landing;
use crate::download::name;
use crate::error::Fault;
use crate::http::Digest;
use crate::http::digest::Algorithm;
use crate::list::Row;
use crate::sys::{Access, Destination, OutputFile, Patience};

/// The version of the file's schema.
const VERSION: u32 = 1;

/// What a lock file holds.
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
    /// Without credentials and fragment.
    url: String,
    /// Relative to the target folder.
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
    /// Gives a row that names no file the name of this one; false where it names another.
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
            // It has no place at all, and hears of that elsewhere.
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

/// What a URL is known by: the file may be seen by others, so no credentials stand in it, and a
/// fragment is not asked for.
fn key(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    // Neither can fail: a URL that is fetched has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// A lock file, and what this run adds to it.
#[derive(Debug)]
pub(super) struct Lock {
    /// As it was typed.
    path: PathBuf,
    /// Nothing may differ from it.
    is_binding: bool,
    /// By URL.
    entries: BTreeMap<String, Known>,
}

/// What is known of a URL: a file, or several where a list has it more than once.
#[derive(Debug, Default)]
struct Known {
    /// With the number of each one's row, and in the order of their rows.
    files: Vec<(u64, Entry)>,
    /// The places of those that rows are held to already.
    taken: BTreeSet<usize>,
    /// They were fetched by this run.
    is_new: bool,
    /// What an earlier run knew, once this one has fetched them anew.
    old: Vec<Entry>,
}

impl Known {
    /// The file that the next row is held to: one that has the name it asks for, and that no row
    /// before it was held to if there is such a one. It gets that file's name.
    fn next(&mut self, row: &mut Row, plan: &Plan) -> Result<&Entry, Option<&Entry>> {
        let all = 0..self.files.len();
        let free = all.clone().filter(|place| !self.taken.contains(place));
        let place = free
            .chain(all.clone())
            .find(|place| self.files[*place].1.names(row, plan));
        let Some(place) = place else {
            return Err(self.files.first().map(|(_, entry)| entry));
        };
        self.taken.insert(place);
        Ok(&self.files[place].1)
    }

    /// The file of a row was fetched: what an earlier run knew counts no more.
    fn add(&mut self, number: u64, entry: Entry) {
        if !std::mem::replace(&mut self.is_new, true) {
            let old = std::mem::take(&mut self.files);
            self.old = old.into_iter().map(|(_, entry)| entry).collect();
        }
        let place = self.files.partition_point(|(other, _)| *other < number);
        self.files.insert(place, (number, entry));
    }

    /// Takes the place of what is in the file by now, but for what another process has added under other names.
    fn replace(&self, others: &mut Self) {
        let is_own = |other: &Entry| self.files.iter().any(|(_, own)| own.out == other.out);
        others
            .files
            .retain(|(_, other)| !self.old.contains(other) && !is_own(other));
        others.files.extend(self.files.iter().cloned());
    }
}

impl Lock {
    /// Adds the complete file of a job, unless the run may fetch only what the lock file has.
    pub(super) fn add(&mut self, job: &Job, root: &Path) {
        if self.is_binding {
            return;
        }
        let (Some(url), Some(found)) = (&job.url, job.download.found()) else {
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

    /// Writes what the run fetched, unless it may fetch only what the lock file has.
    ///
    /// # Errors
    /// The path, and what the system says.
    pub(super) fn finish(&self, syncs: bool) -> Result<(), (PathBuf, io::Error)> {
        if self.is_binding {
            return Ok(());
        }
        self.save(syncs).map_err(|error| (self.path.clone(), error))
    }

    pub(super) fn open(path: &Path, is_binding: bool) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            is_binding,
            entries: read(path, is_binding)?,
        })
    }

    /// Holds a row to its entry: its digest, its size and its name.
    pub(super) fn bind(&mut self, row: &mut Row, plan: &Plan) -> Result<(), Misplaced> {
        if !self.is_binding {
            return Ok(());
        }
        let refuse = |why: String| Misplaced::Fault(Fault::NoDigest(why));
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

    /// Adds what this run has fetched to the file as it is by now, in one step.
    fn save(&self, syncs: bool) -> io::Result<()> {
        let output = OutputFile::create(&self.path, Access::Usual, Patience::Wait)?;
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

/// What a lock file holds, by URL; one that is not there yet holds nothing.
fn read(path: &Path, must_be_there: bool) -> io::Result<BTreeMap<String, Known>> {
    // A pipe would be waited for, and cannot be read again.
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
    let invalid = |why: String| io::Error::new(ErrorKind::InvalidData, why);
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
