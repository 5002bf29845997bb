//! The names taken in one run, so that no two rows write the same file. Pure but for the file that remembers many
//! names; the caller says whether a file exists.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher, RandomState};
use std::path::Path;

use super::name::{NEXT_STATE, PART, STATE, numbered};
use super::spill::Spill;

/// The names taken in one run.
///
/// Taking `x` takes `x.part` and `x.part.gannet` with it. A name costs one 64-bit keyed hash, or two if it has
/// capitals. If two hashes agree, the second file is numbered without need, and nothing is lost. A name is given as its
/// folder, relative to one root, and its last component. Where the file system folds case, call
/// [`fold_case`](Self::fold_case): `A` and `a` are then one name.
///
/// ```
/// use std::ffi::OsStr;
/// use std::path::Path;
/// use gannet::internals::download::Names;
///
/// let mut names = Names::default();
/// let (folder, name) = (Path::new(""), OsStr::new("a.iso"));
/// assert!(names.claim(folder, name));
/// assert!(!names.claim(folder, name));
/// assert_eq!(names.next_free(folder, name, |_| false), "a.iso.1");
/// ```
#[derive(Debug, Default)]
pub struct Names {
    keys: RandomState,
    count: u64,
    taken: HashSet<u64, BuildHasherDefault<Hashed>>,
    /// Takes further hashes, if there are many names.
    spill: Option<Spill>,
    /// The number to try next for a name that several rows asked for.
    next: HashMap<u64, u64>,
    /// Some name could be the partial file of another.
    has_suffixed: bool,
    /// Some name has capitals.
    has_capitals: bool,
    /// Names that differ in case alone are one name.
    folds_case: bool,
}

/// Takes the hash of a name as it is: hashing it again would add nothing.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        // Never called by a set of `u64`; right for one of anything else.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The most numbers in [`Names::next`]; then those are dropped that are cheap to find again.
const NEXT_NUMBERS: usize = 50_000;

/// A numbered name up to this number is found again quickly without an entry in [`Names::next`].
const CHEAP: u64 = 100;

impl Names {
    /// Takes a name for a row. False if the name, or a file that goes with it, belongs to another row.
    pub fn claim(&mut self, folder: &Path, name: &OsStr) -> bool {
        let bytes = name.as_encoded_bytes();
        let hasher = self.folder(folder);
        let own = key(&hasher, bytes, "");
        // Of the pairs of {x, x.part, x.part.gannet…} and {y, y.part, y.part.gannet…}, only x = y,
        // x.… = y and x = y.… can be equal, because no suffix ends in another. If no name ends in one of
        // these suffixes, only the name itself can collide.
        let suffixes = [PART, STATE, NEXT_STATE];
        self.has_suffixed |= suffixes
            .iter()
            .any(|suffix| bytes.ends_with(suffix.as_bytes()));
        let is_taken = self.has(own)
            || self.has_suffixed
                && suffixes.iter().any(|suffix| {
                    let owner = bytes.strip_suffix(suffix.as_bytes());
                    self.has(key(&hasher, bytes, suffix))
                        || owner.is_some_and(|owner| self.has(key(&hasher, owner, "")))
                })
            || self.folds_case && self.differs_in_case(folder, name);
        if is_taken {
            return false;
        }
        self.take(own);
        if !is_lower(folder, name)
            && let Some((folder, name)) = lower(folder, name)
        {
            let key = self.folded_key(Path::new(&folder), OsStr::new(&name));
            self.has_capitals = true;
            if !self.has(key) {
                self.take(key);
            }
        }
        self.count += 1;
        true
    }

    /// Whether another name was taken that differs from this one in case alone.
    pub fn differs_in_case(&self, folder: &Path, name: &OsStr) -> bool {
        if is_lower(folder, name) {
            return self.has_capitals && self.has(self.folded_key(folder, name));
        }
        let Some((folder, name)) = lower(folder, name) else {
            return self.has_capitals && self.has(self.folded_key(folder, name));
        };
        let folder = Path::new(&folder);
        self.has(self.folded_key(folder, OsStr::new(&name)))
            || self.has(key(&self.folder(folder), name.as_bytes(), ""))
    }

    /// Treats names that differ in case alone as one name from now on, as the file system does.
    pub fn fold_case(&mut self) {
        self.folds_case = true;
    }

    /// Whether names that differ in case alone are one name.
    pub fn folds_case(&self) -> bool {
        self.folds_case
    }

    /// Stores further names in an empty file, open for reading and writing, instead of in memory. If
    /// the file cannot be written, they stay in memory.
    pub fn spill_into(&mut self, file: File) {
        self.spill.get_or_insert_with(|| Spill::new(file));
    }

    /// The number of names taken.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether no name is taken.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes the first free `name.N`, N from 1. `exists` tells whether a candidate is on the disk; it must say no in
    /// the end. Numbers once found taken are not tried again, so that many rows of one name stay cheap.
    pub fn next_free(
        &mut self,
        folder: &Path,
        name: &OsStr,
        mut exists: impl FnMut(&OsStr) -> bool,
    ) -> OsString {
        let key = key(&self.folder(folder), name.as_encoded_bytes(), "");
        let mut number = self.next.get(&key).copied().unwrap_or(1);
        loop {
            let mut candidate = name.to_owned();
            candidate.push(numbered("", number));
            number += 1;
            if !exists(&candidate) && self.claim(folder, &candidate) {
                if self.next.len() >= NEXT_NUMBERS {
                    self.next.retain(|_, number| *number > CHEAP);
                }
                self.next.insert(key, number);
                return candidate;
            }
        }
    }

    /// A hash that the file cannot tell counts as free: a complete body never replaces a file that came after its row
    /// began.
    fn has(&self, key: u64) -> bool {
        self.taken.contains(&key)
            || self
                .spill
                .as_ref()
                .is_some_and(|spill| spill.contains(key).unwrap_or(false))
    }

    fn take(&mut self, key: u64) {
        let is_spilt = self
            .spill
            .as_mut()
            .is_some_and(|spill| spill.insert(key).is_ok());
        if !is_spilt {
            self.taken.insert(key);
        }
    }

    /// A hasher that has taken in a folder.
    fn folder(&self, folder: &Path) -> DefaultHasher {
        let mut hasher = self.keys.build_hasher();
        if !folder.as_os_str().is_empty() {
            folder.hash(&mut hasher);
        }
        hasher
    }

    /// The hash shared by all names that are this one in lower case, other than the hash of the name itself.
    fn folded_key(&self, folder: &Path, name: &OsStr) -> u64 {
        self.keys.hash_one(("in any case", folder, name))
    }
}

/// The hash of `name` and `suffix` in a folder.
fn key(folder: &DefaultHasher, name: &[u8], suffix: &str) -> u64 {
    let mut hasher = folder.clone();
    hasher.write(name);
    hasher.write(suffix.as_bytes());
    // No byte of UTF-8: a folder that ends like a name is told from it.
    hasher.write_u8(0xff);
    hasher.finish()
}

/// Whether a name is the same in lower case, as most are.
fn is_lower(folder: &Path, name: &OsStr) -> bool {
    [folder.as_os_str(), name].iter().all(|component| {
        // No early end: the compiler makes this a few vector instructions.
        !component
            .as_encoded_bytes()
            .iter()
            .fold(false, |any, byte| {
                any | !byte.is_ascii() | byte.is_ascii_uppercase()
            })
    })
}

/// A name in lower case, if that differs.
fn lower(folder: &Path, name: &OsStr) -> Option<(String, String)> {
    let lower =
        [folder.as_os_str(), name].map(|component| component.to_string_lossy().to_lowercase());
    let differs = lower[0].as_bytes() != folder.as_os_str().as_encoded_bytes()
        || lower[1].as_bytes() != name.as_encoded_bytes();
    let [folder, name] = lower;
    differs.then_some((folder, name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The folder and the name of a path.
    fn split(path: &str) -> (&Path, &OsStr) {
        let path = Path::new(path);
        (path.parent().unwrap(), path.file_name().unwrap())
    }

    impl Names {
        fn claims(&mut self, path: &str) -> bool {
            let (folder, name) = split(path);
            self.claim(folder, name)
        }

        fn knows_in_another_case(&self, path: &str) -> bool {
            let (folder, name) = split(path);
            self.differs_in_case(folder, name)
        }

        fn numbers(&mut self, path: &str, exists: impl FnMut(&OsStr) -> bool) -> OsString {
            let (folder, name) = split(path);
            self.next_free(folder, name, exists)
        }
    }

    #[test]
    fn a_name_is_taken_with_its_partial_files() {
        for suffix in ["", PART, STATE, NEXT_STATE] {
            let other = format!("d/x{suffix}");
            let (mut names, mut reversed) = (Names::default(), Names::default());
            assert!(names.claims("d/x") && !names.claims(&other), "{other}");
            assert!(
                reversed.claims(&other) && !reversed.claims("d/x"),
                "{other}"
            );
        }
        let mut names = Names::default();
        for free in ["d/x", "d/y", "e/x", "x", "dx", "d/x.parts", "d/x.gannet"] {
            assert!(names.claims(free), "{free}");
        }
        assert!(!names.claims("d//./x"), "one file, written in another way");
    }

    #[test]
    fn rows_of_one_name_are_numbered() {
        let mut names = Names::default();
        assert!(names.claims("d/x"));
        assert!(names.claims("d/x.3"));
        let mut next = || names.numbers("d/x", |candidate| candidate == "x.1");
        assert_eq!(next(), "x.2");
        assert_eq!(next(), "x.4");
    }

    #[test]
    fn names_that_differ_in_case_are_one_name_where_that_is_said() {
        for (first, second) in [
            ("Readme", "README"),
            ("README", "readme"),
            ("readme", "ReadMe"),
            ("d/Ä", "D/ä"),
            ("D/x", "d/x"),
        ] {
            let mut names = Names::default();
            assert!(names.claims(first));
            assert!(names.knows_in_another_case(second), "{second}");
            assert!(!names.knows_in_another_case("other"));
            let mut folding = Names::default();
            folding.fold_case();
            assert!(folding.claims(first) && !folding.claims(second));
            let free = folding.numbers(second, |_| false);
            assert_eq!(
                free.to_str(),
                Some(&*numbered(split(second).1.to_str().unwrap(), 1))
            );
            assert!(names.claims(second), "two names elsewhere");
        }
    }

    #[test]
    fn names_in_a_file_are_remembered_as_those_in_memory() {
        let mut names = Names::default();
        for n in 0..2000 {
            if n == 1000 {
                names.spill_into(tempfile::tempfile().unwrap());
            }
            assert!(names.claims(&format!("D/file-{n}")));
        }
        assert_eq!(names.len(), 2000);
        assert!(names.taken.len() <= 2000, "{}", names.taken.len());
        for n in 0..2000 {
            let path = format!("D/file-{n}");
            assert!(!names.claims(&path), "{path}");
            assert!(names.knows_in_another_case(&path.to_lowercase()));
        }
        let read_only = tempfile::NamedTempFile::new().unwrap();
        let mut names = Names::default();
        names.spill_into(File::open(read_only.path()).unwrap());
        assert!(names.claims("a") && !names.claims("a"));
    }

    #[test]
    fn many_rows_of_one_name_are_not_quadratic() {
        let mut names = Names::default();
        let mut asked = 0;
        for _ in 0..10_000 {
            names.numbers("x", |_| {
                asked += 1;
                asked <= 100
            });
        }
        assert_eq!(asked, 10_100);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn no_two_rows_share_a_file(rows in prop::collection::vec("[xy](\\.part|\\.part\\.gannet|\\.1|\\.2){0,2}", 1..20)) {
            let mut names = Names::default();
            let mut files = HashSet::new();
            for row in &rows {
                let taken = if names.claims(row) { row.into() } else { names.numbers(row, |_| false) };
                for suffix in ["", PART, STATE, NEXT_STATE] {
                    let file = format!("{}{suffix}", taken.display());
                    prop_assert!(files.insert(file.clone()), "{} twice in {:?}", file, rows);
                }
            }
        }
    }
}
