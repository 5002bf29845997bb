//! Names of files that strangers choose, made safe, and the names taken in one batch. Pure but for the file in which a
//! batch remembers many names: whether a file exists is asked of the caller.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::Url;

use super::spill::Spill;

/// What is put behind a name while its body is incomplete.
pub const PART: &str = ".part";
/// What is put behind a name for the state of its incomplete body.
pub const STATE: &str = ".part.gannet";
/// What is put behind a name for the next state, until it takes the place of the one before. As long as [`STATE`].
pub const NEXT_STATE: &str = ".part~gannet";

/// What is put between a name and these where `NAME.part` belongs to another program.
pub const ASIDE: &str = ".gannet";

/// What goes behind a base name at most, in bytes: [`STATE`] and a number of ten digits.
const RESERVED: usize = STATE.len() + 11;
/// The longest base name, in bytes: 255, which most file systems take, less what goes behind it.
pub const LONGEST_NAME: usize = 255 - RESERVED;
/// The longest name that every file system takes, in bytes: 143 of eCryptfs are the fewest that are in use.
const SHORTEST_LIMIT: usize = 143;
/// What FAT, NTFS and SMB refuse in a name, beside what is never [`safe`].
const SPECIAL: [char; 7] = ['"', '*', ':', '<', '>', '?', '|'];
/// The longest relative path that a list may ask for, in bytes: deeper trees are mischief.
const LONGEST_PATH: usize = 1024;
/// The longest extension, with its dot, that survives when a name is cut.
const LONGEST_EXTENSION: usize = 16;

/// The base name that a URL asks for: its last path segment, decoded and made [`safe`]; `index.html` where there is
/// none, as in wget. The query is not part of it. A segment that does not decode to UTF-8 stays encoded.
///
/// ```
/// use gannet::internals::download::name::from_url;
///
/// let url = url::Url::parse("https://example.com/pub/a%20b.iso?mirror=2")?;
/// assert_eq!(from_url(&url), "a b.iso");
/// # Ok::<(), url::ParseError>(())
/// ```
pub fn from_url(url: &Url) -> String {
    match url
        .path_segments()
        .and_then(|mut segments| segments.next_back())
    {
        None | Some("") => "index.html".into(),
        Some(segment) => from_segment(segment),
    }
}

/// A part of a URL's path, decoded and made safe.
pub(super) fn from_segment(segment: &str) -> String {
    match percent_decode_str(segment).decode_utf8() {
        Ok(name) => safe(&name),
        Err(_) => safe(segment),
    }
}

/// One safe base name out of any text: no separators, no control or bidi characters (each becomes `_`), no trailing
/// dots or spaces, never empty, `.`, `..`, a device (`NUL.txt` becomes `_NUL.txt`) or a state of ours
/// (`x.part.gannet` becomes `x.part_gannet`, lest a server plants one), at most [`LONGEST_NAME`] bytes
/// with a short extension kept, `.tar.gz` too. A leading `~`, `-` or `.` stays: only shells give them a meaning.
pub fn safe(name: &str) -> String {
    safe_within(name, LONGEST_NAME)
}

/// A [`safe`] base name of at most `most` bytes.
fn safe_within(name: &str, most: usize) -> String {
    let replaced: Cow<'_, str> = if name.bytes().all(is_plain) {
        name.into()
    } else {
        name.chars()
            .map(|c| if is_forbidden(c) { '_' } else { c })
            .collect()
    };
    let name = cut(trim(&replaced), most);
    let name = if is_device(&name) {
        cut(&format!("_{name}"), most)
    } else {
        name
    };
    if !is_state(&name) {
        return name;
    }
    let (stem, extension) = name.split_at(name.len() - ".gannet".len());
    format!("{stem}_{}", &extension[1..])
}

/// What a file system takes of names, as far as file systems differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest name, in bytes.
    pub longest: usize,
    /// It takes `"`, `*`, `:`, `<`, `>`, `?` and `|`, which FAT, NTFS and SMB refuse.
    pub takes_special: bool,
}

impl Limits {
    /// Whether some file system would refuse a part of a path that is safe: only then is it worth asking for its
    /// limits.
    pub fn matter_to(path: &Path) -> bool {
        path.iter().any(|part| {
            let bytes = part.as_encoded_bytes();
            bytes.len() + RESERVED > SHORTEST_LIMIT
                || bytes
                    .iter()
                    .any(|byte| SPECIAL.contains(&char::from(*byte)))
        })
    }

    /// A name in which all that these limits refuse stands, to find them.
    pub fn special_probe() -> String {
        SPECIAL.into_iter().collect()
    }

    /// The path with each part made to fit: `_` for each character that is refused, and the rest cut as [`safe`] does.
    /// One that fits stays as it is.
    pub fn fit(self, path: &Path) -> PathBuf {
        path.iter()
            .map(|part| {
                let part = part.to_string_lossy();
                if self.refuse_part(&part).is_none() {
                    return part.into_owned();
                }
                let replaced = if self.takes_special {
                    part.into_owned()
                } else {
                    part.replace(SPECIAL, "_")
                };
                safe_within(&replaced, self.longest_base())
            })
            .collect()
    }

    /// Why a path does not fit, fit to print.
    pub fn refuse(self, path: &Path) -> Option<String> {
        path.iter()
            .find_map(|part| self.refuse_part(&part.to_string_lossy()))
    }

    fn refuse_part(self, part: &str) -> Option<String> {
        if !self.takes_special && part.contains(SPECIAL) {
            return Some(format!(
                "the file system takes none of {} in a name",
                Self::special_probe()
            ));
        }
        let most = self.longest_base();
        (part.len() > most).then(|| {
            format!("a part of the path is longer than {most} bytes, which is all that the file system has room for")
        })
    }

    /// The longest base name, in bytes.
    fn longest_base(self) -> usize {
        self.longest.saturating_sub(RESERVED).clamp(1, LONGEST_NAME)
    }
}

/// A relative path that a row of a list asks for, perhaps with sub-folders, that stays beneath the target folder.
/// Empty parts and `.` are dropped.
///
/// # Errors
/// What is wrong with the path. Nothing is repaired: the row would not get what it asked for.
pub fn beneath(path: &str) -> Result<PathBuf, String> {
    if path.starts_with('/') {
        return Err("the path is absolute".into());
    }
    if path.len() > LONGEST_PATH {
        return Err(format!("the path is longer than {LONGEST_PATH} bytes"));
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    match parts.first() {
        None => return Err("the path names nothing".into()),
        Some(&"~") => return Err("\"~\" does not stand for a home folder here".into()),
        Some(_) => {}
    }
    match parts.iter().find_map(|part| fault(part)) {
        Some(fault) => Err(fault),
        None => Ok(parts.iter().collect()),
    }
}

/// `name.1`, as wget and aria2 number the second file of one name.
pub fn numbered(name: &str, number: u64) -> String {
    format!("{name}.{number}")
}

/// Why a part of a path is not [`safe`] as it stands.
fn fault(part: &str) -> Option<String> {
    let fault = if part == ".." {
        "the path has \"..\"".into()
    } else if part.contains('\\') {
        "the path has a backslash".into()
    } else if part.chars().any(is_forbidden) {
        "the path has a control character".into()
    } else if part.len() > LONGEST_NAME {
        format!("a part of the path is longer than {LONGEST_NAME} bytes")
    } else if part.ends_with(['.', ' ']) {
        "a part of the path ends in a dot or a space".into()
    } else if is_device(part) {
        "a part of the path is a reserved device name".into()
    } else if is_state(part) {
        format!("a part of the path ends in {STATE}, as gannet's own files do")
    } else {
        return None;
    };
    Some(fault)
}

/// Separators, control characters (C0, DEL, C1), what breaks a line, and what turns the reading direction, so that
/// `exe.txt` cannot be shown for `txt.exe`.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '/' | '\\' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// What nearly all names consist of: no such byte is forbidden, nor part of a character that is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'/' | b'\\')
}

/// Device names that some systems see behind any extension and in any case.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    let stem = stem.trim_end_matches(' ');
    let is = |device: &&str| stem.eq_ignore_ascii_case(device);
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
        .iter()
        .any(is)
    {
        return true;
    }
    let has_number =
        |port: &str| port.eq_ignore_ascii_case("COM") || port.eq_ignore_ascii_case("LPT");
    let number = stem
        .split_at_checked(3)
        .filter(|(port, _)| has_number(port));
    let mut digits = number.map_or("", |(_, number)| number).chars();
    matches!(
        (digits.next(), digits.next()),
        (Some('0'..='9' | '¹' | '²' | '³'), None)
    )
}

/// Whether a name is that of a state file, in any case.
fn is_state(name: &str) -> bool {
    let stem = name.len().checked_sub(STATE.len());
    stem.is_some_and(|stem| name.as_bytes()[stem..].eq_ignore_ascii_case(STATE.as_bytes()))
}

fn trim(name: &str) -> &str {
    name.trim_end_matches(['.', ' '])
}

/// At most so many bytes of a trimmed name, a short extension kept; `_` for nothing.
fn cut(name: &str, most: usize) -> String {
    if name.is_empty() {
        return "_".into();
    }
    if name.len() <= most {
        return name.into();
    }
    let (stem, extension) = name.split_at(extension_start(name, LONGEST_EXTENSION.min(most)));
    let stem = start(stem, most - extension.len());
    match trim(&format!("{stem}{extension}")) {
        "" => "_".into(),
        name => name.into(),
    }
}

/// Where the extension of a name begins that is at most so many bytes long, with its dot: `.gz`, and `.tar.gz`.
fn extension_start(name: &str, most: usize) -> usize {
    let is_short = |dot: &usize| name.len() - dot <= most;
    let Some(last) = name.rfind('.').filter(is_short) else {
        return name.len();
    };
    let is_word = |text: &str| {
        (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    let before = name[..last].rfind('.').filter(is_short);
    before
        .filter(|before| is_word(&name[before + 1..last]))
        .unwrap_or(last)
}

/// The longest start of `text` within `most` bytes that ends between characters.
fn start(text: &str, most: usize) -> &str {
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// The names taken in one batch, so that no two rows write the same file.
///
/// Taking `x` takes `x.part` and `x.part.gannet` with it. A name costs one 64-bit keyed hash, or two if it has
/// capitals; should two ever agree, the second file is numbered without need, and nothing is lost. Paths are compared
/// as written (`a//b` is `a/b`), so give them all from one root. Where the file system folds case, say so, and `A`
/// and `a` count as one.
///
/// ```
/// use std::path::Path;
/// use gannet::internals::download::name::Names;
///
/// let mut names = Names::default();
/// assert!(names.claim(Path::new("a.iso")));
/// assert!(!names.claim(Path::new("a.iso")));
/// assert_eq!(names.next_free(Path::new("a.iso"), |_| false), Path::new("a.iso.1"));
/// ```
#[derive(Debug, Default)]
pub struct Names {
    keys: RandomState,
    count: u64,
    taken: HashSet<u64>,
    /// Takes the keys to come, where there are many.
    spill: Option<Spill>,
    /// The number to try next for a name that was asked for more than once.
    next: HashMap<u64, u64>,
    /// A name was asked for that could be the partial file of another.
    has_suffixed: bool,
    /// A name was taken that is another in lower case.
    has_capitals: bool,
    /// Names that differ in case alone are one.
    folds_case: bool,
    /// A name with its suffix, while it is hashed.
    scratch: Vec<u8>,
}

/// Numbers to try next that are remembered, before those are forgotten that are found again soon.
const NEXT_NUMBERS: usize = 50_000;

impl Names {
    /// Takes a path for a row; false when it, or a file that goes with it, belongs to another row.
    pub fn claim(&mut self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let folder = self.folder(path);
        let own = self.key(&folder, name, "");
        // Of the pairs of {x, x.part, x.part.gannet…} and {y, y.part, y.part.gannet…}, only x = y,
        // x.… = y and x = y.… can be equal: no two suffixes end alike. Where no name has a suffix
        // of ours, nothing but the name itself can be in the way.
        let suffixes = [PART, STATE, NEXT_STATE];
        self.has_suffixed |= suffixes
            .iter()
            .any(|suffix| name.ends_with(suffix.as_bytes()));
        let is_taken = self.has(own)
            || self.has_suffixed
                && suffixes.iter().any(|suffix| {
                    let owner = name.strip_suffix(suffix.as_bytes());
                    self.is_taken(&folder, name, suffix)
                        || owner.is_some_and(|owner| self.is_taken(&folder, owner, ""))
                })
            || self.folds_case && self.differs_in_case(path);
        if is_taken {
            return false;
        }
        self.take(own);
        if let Some(lower) = in_lower_case(path) {
            let key = self.folded_key(Path::new(&lower));
            self.has_capitals = true;
            if !self.has(key) {
                self.take(key);
            }
        }
        self.count += 1;
        true
    }

    /// Whether another path was taken that differs from this one in case alone.
    pub fn differs_in_case(&mut self, path: &Path) -> bool {
        let Some(lower) = in_lower_case(path) else {
            return self.has_capitals && self.has(self.folded_key(path));
        };
        let lower = Path::new(&lower);
        if self.has(self.folded_key(lower)) {
            return true;
        }
        let folder = self.folder(lower);
        let name = lower.file_name().unwrap_or_default().as_encoded_bytes();
        self.is_taken(&folder, name, "")
    }

    /// Treats names that differ in case alone as one from now on, as the file system does.
    pub fn fold_case(&mut self) {
        self.folds_case = true;
    }

    /// Whether they count as one.
    pub fn folds_case(&self) -> bool {
        self.folds_case
    }

    /// Stores further names in an empty file, open for reading and writing, instead of in memory. Where
    /// that cannot be written, they are kept in memory.
    pub fn spill_into(&mut self, file: File) {
        self.spill.get_or_insert_with(|| Spill::new(file));
    }

    /// How many names are taken.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether no name is taken.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes the first free `path.N`, N from 1. `exists` tells whether a candidate is on the disk; it must say no in
    /// the end. Numbers once found taken are not tried again, so that many rows of one name stay cheap.
    pub fn next_free(&mut self, path: &Path, mut exists: impl FnMut(&Path) -> bool) -> PathBuf {
        let name = path.file_name().unwrap_or_default();
        let key = self.key(&self.folder(path), name.as_encoded_bytes(), "");
        let mut number = self.next.get(&key).copied().unwrap_or(1);
        loop {
            let mut candidate = name.to_owned();
            candidate.push(numbered("", number));
            let candidate = path.with_file_name(candidate);
            number += 1;
            if !exists(&candidate) && self.claim(&candidate) {
                if self.next.len() >= NEXT_NUMBERS {
                    // Few numbers are found again at once.
                    self.next.retain(|_, number| *number > 100);
                }
                self.next.insert(key, number);
                return candidate;
            }
        }
    }

    fn is_taken(&mut self, folder: &DefaultHasher, name: &[u8], suffix: &str) -> bool {
        let key = self.key(folder, name, suffix);
        self.has(key)
    }

    /// What the file does not tell is taken for free: a body that is complete replaces no file that came since its
    /// row began.
    fn has(&self, key: u64) -> bool {
        let spilt = |spill: &Spill| spill.contains(key).unwrap_or(false);
        self.taken.contains(&key) || self.spill.as_ref().is_some_and(spilt)
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

    /// A hasher that has taken in the folder of `path`.
    fn folder(&self, path: &Path) -> DefaultHasher {
        let mut hasher = self.keys.build_hasher();
        path.parent().hash(&mut hasher);
        hasher
    }

    /// The hash of `name` and `suffix` in a folder.
    fn key(&mut self, folder: &DefaultHasher, name: &[u8], suffix: &str) -> u64 {
        self.scratch.clear();
        self.scratch.extend_from_slice(name);
        self.scratch.extend_from_slice(suffix.as_bytes());
        let mut hasher = folder.clone();
        self.scratch.hash(&mut hasher);
        hasher.finish()
    }

    /// The hash of all paths that are `lower` in lower case, other than that of `lower` itself.
    fn folded_key(&self, lower: &Path) -> u64 {
        self.keys.hash_one(("in any case", lower))
    }
}

/// A path in lower case, if that is another.
fn in_lower_case(path: &Path) -> Option<String> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_lower = |byte: &u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if bytes.iter().all(is_lower) {
        return None;
    }
    let lower = path.to_string_lossy().to_lowercase();
    (lower.as_bytes() != bytes).then_some(lower)
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    fn named(url: &str) -> String {
        from_url(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_url_names_its_file_by_the_last_segment() {
        for (url, name) in [
            ("http://h/a/b.iso?x=/y#z", "b.iso"),
            ("http://h", "index.html"),
            ("http://h/", "index.html"),
            ("http://h/dir/?file=x", "index.html"),
            ("http://h/a%20b+c.txt", "a b+c.txt"),
            ("http://h/%C3%BC.txt", "ü.txt"),
            ("http://h/%E9t%E9.txt", "%E9t%E9.txt"),
            ("http://h/~user", "~user"),
            ("http://h/..%2f..%2fetc%2fpasswd", ".._.._etc_passwd"),
            ("http://h/a%00b%0a%1b", "a_b__"),
            ("http://h/%20", "_"),
            ("http://h/a/..%5c", ".._"),
        ] {
            assert_eq!(named(url), name, "{url}");
        }
    }

    #[test]
    fn unsafe_names_are_made_safe() {
        for (name, made) in [
            ("", "_"),
            (".", "_"),
            ("..", "_"),
            (". . .", "_"),
            ("a/b\\c", "a_b_c"),
            ("a\u{202e}txt.exe", "a_txt.exe"),
            ("a\u{85}\u{7f}\u{2028}b", "a___b"),
            ("name. . ", "name"),
            ("con", "_con"),
            ("Nul.tar.gz", "_Nul.tar.gz"),
            ("COM1 .txt", "_COM1 .txt"),
            ("lpt²", "_lpt²"),
            ("COM10", "COM10"),
            ("console", "console"),
            (".bashrc", ".bashrc"),
            ("-rf", "-rf"),
            ("x.part.gannet", "x.part_gannet"),
            (".Part.GANNET.", ".Part_GANNET"),
            ("x.gannet", "x.gannet"),
        ] {
            assert_eq!(safe(name), made, "{name:?}");
        }
    }

    #[test]
    fn long_names_are_cut_and_keep_a_short_extension() {
        let cut = safe(&format!("{}.tar", "ü".repeat(200)));
        assert_eq!(cut, format!("{}.tar", "ü".repeat(114)));
        let cut = safe(&format!("{}.tar.gz", "x".repeat(300)));
        assert_eq!(cut, format!("{}.tar.gz", "x".repeat(LONGEST_NAME - 7)));
        assert_eq!(safe(&"x".repeat(300)), "x".repeat(LONGEST_NAME));
        assert_eq!(safe(&format!("a.{}", "x".repeat(300))).len(), LONGEST_NAME);
        assert_eq!(
            safe(&format!("nul.{}", "x".repeat(300))).len(),
            LONGEST_NAME
        );
        assert_eq!(
            safe(&format!("nul{}x.txt", " ".repeat(300))).len(),
            LONGEST_NAME
        );
        assert_eq!(
            safe(&format!("{}x", ".".repeat(300))),
            format!("{}.x", ".".repeat(LONGEST_NAME - 2))
        );
        assert_eq!(
            safe(&format!("{}xxxxxxxxxxxxxxxxxxxx", " ".repeat(300))),
            "_"
        );
        assert_eq!(LONGEST_NAME, 232);
    }

    #[test]
    fn a_path_beneath_the_folder_is_taken() {
        for (path, taken) in [
            ("a", "a"),
            ("a/b/c.iso", "a/b/c.iso"),
            ("./a//b/./c/", "a/b/c"),
            ("~a/..b", "~a/..b"),
            ("-", "-"),
        ] {
            assert_eq!(beneath(path).unwrap(), Path::new(taken), "{path}");
        }
    }

    #[test]
    fn a_path_that_leaves_the_folder_is_refused_with_its_fault() {
        let long = "x".repeat(LONGEST_NAME + 1);
        let deep = "a/".repeat(600);
        for (path, fault) in [
            ("/etc/passwd", "absolute"),
            ("//a", "absolute"),
            ("..", "\"..\""),
            ("a/../../b", "\"..\""),
            ("a\\..\\b", "backslash"),
            ("a\0b", "control"),
            ("a\u{202e}b", "control"),
            ("", "names nothing"),
            ("./.", "names nothing"),
            ("~/x", "home"),
            ("a/aux.txt", "device"),
            ("a./b", "dot"),
            ("a/x.part.gannet", "gannet's own"),
            (&long, "longer than 232"),
            (&deep, "longer than 1024"),
        ] {
            assert!(
                beneath(path).unwrap_err().contains(fault),
                "{path}: {:?}",
                beneath(path)
            );
        }
    }

    #[test]
    fn a_name_is_taken_with_its_partial_files() {
        for suffix in ["", PART, STATE, NEXT_STATE] {
            let other = format!("d/x{suffix}");
            let (mut names, mut reversed) = (Names::default(), Names::default());
            assert!(
                names.claim(Path::new("d/x")) && !names.claim(Path::new(&other)),
                "{other}"
            );
            assert!(
                reversed.claim(Path::new(&other)) && !reversed.claim(Path::new("d/x")),
                "{other}"
            );
        }
        let mut names = Names::default();
        for free in ["d/x", "d/y", "e/x", "x", "d/x.parts", "d/x.gannet"] {
            assert!(names.claim(Path::new(free)), "{free}");
        }
        assert!(
            !names.claim(Path::new("d//./x")),
            "one file, written in another way"
        );
    }

    #[test]
    fn rows_of_one_name_are_numbered() {
        let mut names = Names::default();
        let path = Path::new("d/x");
        assert!(names.claim(path));
        assert!(names.claim(Path::new("d/x.3")));
        let mut next = || names.next_free(path, |candidate| candidate == Path::new("d/x.1"));
        assert_eq!(next(), Path::new("d/x.2"));
        assert_eq!(next(), Path::new("d/x.4"));
        assert_eq!(
            names.next_free(Path::new(".."), |_| false),
            Path::new("../.1")
        );
        assert_eq!(numbered("x", 7), "x.7");
    }

    #[test]
    fn names_that_differ_in_case_are_one_where_that_is_said() {
        for (first, second) in [
            ("Readme", "README"),
            ("README", "readme"),
            ("readme", "ReadMe"),
            ("d/Ä", "D/ä"),
        ] {
            let mut names = Names::default();
            assert!(names.claim(Path::new(first)));
            assert!(names.differs_in_case(Path::new(second)), "{second}");
            assert!(!names.differs_in_case(Path::new("other")));
            let mut folding = Names::default();
            folding.fold_case();
            assert!(folding.claim(Path::new(first)) && !folding.claim(Path::new(second)));
            let free = folding.next_free(Path::new(second), |_| false);
            assert_eq!(free, Path::new(&numbered(second, 1)));
            assert!(names.claim(Path::new(second)), "two names elsewhere");
        }
    }

    #[test]
    fn names_in_a_file_are_remembered_as_those_in_memory() {
        let mut names = Names::default();
        for n in 0..2000 {
            if n == 1000 {
                names.spill_into(tempfile::tempfile().unwrap());
            }
            assert!(names.claim(Path::new(&format!("D/file-{n}"))));
        }
        assert_eq!(names.len(), 2000);
        assert!(names.taken.len() <= 2000, "{}", names.taken.len());
        for n in 0..2000 {
            let path = format!("D/file-{n}");
            assert!(!names.claim(Path::new(&path)), "{path}");
            assert!(names.differs_in_case(Path::new(&path.to_lowercase())));
        }
        let read_only = tempfile::NamedTempFile::new().unwrap();
        let mut names = Names::default();
        names.spill_into(File::open(read_only.path()).unwrap());
        assert!(names.claim(Path::new("a")) && !names.claim(Path::new("a")));
    }

    #[test]
    fn a_name_fits_the_file_system_that_it_lands_on() {
        let limits = Limits {
            longest: 143,
            takes_special: false,
        };
        let long = format!("{}.tar.gz", "x".repeat(200));
        for (path, fitted) in [
            ("a/b.txt", "a/b.txt"),
            ("a:b/c?.txt", "a_b/c_.txt"),
            ("\"*:<>?|", "_______"),
            (&*long, &*format!("{}.tar.gz", "x".repeat(113))),
        ] {
            assert_eq!(limits.fit(Path::new(path)), Path::new(fitted), "{path}");
            assert_eq!(limits.refuse(Path::new(path)).is_some(), path != fitted);
            assert_eq!(limits.fit(Path::new(fitted)), Path::new(fitted));
        }
        assert!(Limits::matter_to(Path::new("a/b:c")) && Limits::matter_to(Path::new(&long)));
        assert!(!Limits::matter_to(Path::new("a/b.c")));
        let roomy = Limits {
            longest: 255,
            takes_special: true,
        };
        assert_eq!(roomy.fit(Path::new("a:b")), Path::new("a:b"));
    }

    #[test]
    fn many_rows_of_one_name_are_not_quadratic() {
        let mut names = Names::default();
        let mut asked = 0;
        for _ in 0..10_000 {
            names.next_free(Path::new("x"), |_| {
                asked += 1;
                asked <= 100
            });
        }
        assert_eq!(asked, 10_100);
    }

    /// Text rich in what matters to names.
    fn text() -> impl Strategy<Value = String> {
        let alphabet = vec![
            '.', ' ', '/', '\\', '\0', '\n', '\u{202e}', 'a', 'ü', '名', '~', '-', '_', '1', 'C',
            'O', 'N', 'm',
        ];
        let rich = prop::collection::vec(prop::sample::select(alphabet), 0..400);
        prop_oneof![
            rich.prop_map(String::from_iter),
            (rich_device(), " {0,300}", ".{0,20}").prop_map(|(a, b, c)| format!("{a}{b}{c}")),
            (
                ".{0,3}|x{210,230}",
                "\\.part\\.gannet[. ]?x{0,12}|\\.part.{0,20}\\.gannet"
            )
                .prop_map(|(a, b)| a + &b),
            any::<String>(),
        ]
    }

    fn rich_device() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["con", "NUL", "com1", "Lpt³", "conin$", "aux"])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn a_safe_name_is_one_component_and_stays_as_it_is(text in text()) {
            let name = safe(&text);
            prop_assert_eq!(safe(&name), name.clone());
            prop_assert!((1..=LONGEST_NAME).contains(&name.len()));
            prop_assert!(!name.chars().any(is_forbidden) && !name.ends_with(['.', ' ']) && !is_device(&name) && !is_state(&name));
            let components: Vec<_> = Path::new(&name).components().collect();
            prop_assert!(matches!(components[..], [Component::Normal(part)] if part == name.as_str()));
        }

        #[test]
        fn a_path_taken_goes_down_only(text in text()) {
            if let Ok(path) = beneath(&text) {
                for component in path.components() {
                    let Component::Normal(part) = component else { panic!("{component:?}") };
                    prop_assert_eq!(safe(part.to_str().unwrap()), part.to_str().unwrap());
                }
            }
        }

        #[test]
        fn any_url_names_a_safe_file(path in "(%[0-9a-f]{2}|[ -~]){0,40}") {
            if let Ok(url) = Url::parse(&format!("http://h/{path}")) {
                let name = from_url(&url);
                prop_assert_eq!(safe(&name), name);
            }
        }

        #[test]
        fn no_two_rows_share_a_file(rows in prop::collection::vec("[xy](\\.part|\\.part\\.gannet|\\.1|\\.2){0,2}", 1..20)) {
            let mut names = Names::default();
            let mut files = HashSet::new();
            for row in &rows {
                let path = Path::new(row);
                let taken = if names.claim(path) { path.to_owned() } else { names.next_free(path, |_| false) };
                for suffix in ["", PART, STATE, NEXT_STATE] {
                    let file = format!("{}{suffix}", taken.display());
                    prop_assert!(files.insert(file.clone()), "{} twice in {:?}", file, rows);
                }
            }
        }
    }
}
