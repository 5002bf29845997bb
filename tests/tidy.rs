//! Holds the code to ARCHITECTURE.md: layers, what may be used where, lengths, docs, no loose ends.
//!
//! Each complaint names the file and the line. A rule that turns out wrong is changed here, with ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs};

use source::Source;

mod contract;
mod face;
mod limits;
mod source;

const LONGEST_FUNCTION: usize = 80;
const LONGEST_FILE: usize = 1000;
const LONGEST_LINE: usize = 120;

/// Each layer, and the layers it may import beside itself, `sys` and `error`.
const LAYERS: [(&str, &[&str]); 14] = [
    ("main", &["cli", "session"]),
    (
        "cli",
        &[
            "session", "list", "download", "reactor", "multi", "conn", "http",
        ],
    ),
    (
        "session",
        &[
            "list", "download", "reactor", "multi", "conn", "http1", "http2", "http",
        ],
    ),
    ("list", &["http"]),
    ("download", &["multi", "conn", "http1", "http2", "http"]),
    ("reactor", &["multi", "conn", "http1", "http2", "http"]),
    ("multi", &["conn", "http1", "http2", "socks", "http"]),
    ("conn", &["http1", "http2", "socks", "http"]),
    ("http1", &["http"]),
    ("http2", &["http"]),
    ("socks", &["http"]),
    ("http", &[]),
    ("sys", &[]),
    ("error", &[]),
];

/// What only some layers may use: the end of a path or its beginning, the layers that may not, and why.
const FORBIDDEN: [(&str, &[&str], &str); 16] = [
    ("Instant::now", BELOW_THE_CLOCK, "the clock is an argument"),
    (
        "SystemTime::now",
        BELOW_THE_CLOCK,
        "the clock is an argument",
    ),
    (
        "thread::sleep",
        EVERYONE,
        "only the reactor waits, and it polls",
    ),
    ("mio::Poll", ALL_BUT_REACTOR, "only the reactor polls"),
    ("std::fs", &["multi", "conn"], "mechanism knows no files"),
    (
        "rustls_native_certs",
        BELOW_THE_REACTOR,
        "the application loads certificates",
    ),
    (
        "rustls_pki_types::pem",
        BELOW_THE_REACTOR,
        "the application loads certificates",
    ),
    ("std::io::stdout", THE_LIBRARY, "the library does not print"),
    ("std::io::stderr", THE_LIBRARY, "the library does not print"),
    ("std::fs", PURE, "protocols and policy touch no file"),
    (
        "std::net::TcpStream",
        PURE,
        "protocols and policy touch no socket",
    ),
    (
        "std::net::UdpSocket",
        PURE,
        "protocols and policy touch no socket",
    ),
    ("std::thread", PURE, "protocols and policy start no thread"),
    ("mio", PURE, "protocols and policy touch no socket"),
    ("multi::Multi", PURE, "protocols and policy drive no engine"),
    (
        "multi::TransferId",
        PURE,
        "protocols and policy drive no engine",
    ),
];

const MACROS: [&str; 5] = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];

const EVERYONE: &[&str] = &[
    "main", "cli", "session", "list", "download", "reactor", "multi", "conn", "http1", "http2",
    "socks", "http", "sys", "error",
];
const THE_LIBRARY: &[&str] = &[
    "session", "list", "download", "reactor", "multi", "conn", "http1", "http2", "socks", "http",
    "sys", "error",
];
const BELOW_THE_CLOCK: &[&str] = &[
    "main", "cli", "list", "download", "multi", "conn", "http1", "http2", "socks", "http", "sys",
    "error",
];
const BELOW_THE_REACTOR: &[&str] = &["multi", "conn", "http1", "http2", "socks", "http", "error"];
const ALL_BUT_REACTOR: &[&str] = &[
    "main", "cli", "session", "list", "download", "multi", "conn", "http1", "http2", "socks",
    "http", "sys", "error",
];
/// State machines without I/O. A file of a layer is named with its folder; a folder of a layer stands for its files.
const PURE: &[&str] = &[
    "http1",
    "http2",
    "socks",
    "http",
    "download/division",
    "download/fragment",
    "download/range",
    "download/ranges",
    "download/retry",
    "download/state",
    "download/validators",
];

/// A source file. The layer it belongs to is its first folder below `src/`.
struct File {
    /// Under the project's root, with `/`.
    path: String,
    text: String,
    source: Source,
}

impl File {
    fn is_test(&self) -> bool {
        !self.path.starts_with("src/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// `src/multi/easy.rs` as `multi/easy`, `src/multi/mod.rs` as `multi`.
    fn module(&self) -> &str {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inner.strip_suffix("/mod").unwrap_or(inner)
    }

    fn layer(&self) -> &str {
        self.module().split('/').next().unwrap_or_default()
    }

    /// What a path that starts at the top, of the library or of the program, names below it.
    fn below_top<'a>(&self, path: &'a str) -> Option<&'a str> {
        if let Some(rest) = path
            .strip_prefix("crate::")
            .or_else(|| path.strip_prefix("gannet::"))
        {
            return Some(rest.strip_prefix("internals::").unwrap_or(rest));
        }
        let rest = path.trim_start_matches("super::");
        let supers = (path.len() - rest.len()) / "super::".len();
        (supers >= self.module().split('/').count()).then_some(rest)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project; what builds and git leave behind is none of it.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.expect("a readable folder entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !["target", ".git", "corpus", "artifacts"].contains(&name.as_str()) {
                walk(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Path under the root and text of every text file.
fn texts() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    walk(&root(), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path
            .strip_prefix(root())
            .expect("walked from the root")
            .to_string_lossy()
            .replace('\\', "/");
        fs::read_to_string(&path).ok().map(|text| (name, text))
    };
    paths.into_iter().filter_map(read).collect()
}

/// Every file of Rust, read once for all rules.
fn rust_files() -> &'static [File] {
    static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
        let rust = texts()
            .into_iter()
            .filter(|(path, _)| path.ends_with(".rs"));
        rust.map(|(path, text)| File {
            source: Source::new(&text),
            path,
            text,
        })
        .collect()
    });
    &FILES
}

/// The files that keep the rules of the layers.
fn layered_files() -> impl Iterator<Item = &'static File> {
    let files = rust_files().iter();
    files.filter(|file| !file.is_test() && file.path != "src/lib.rs")
}

/// Names that the library's root re-exports, and the layer each comes from.
fn exports() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap_or_default();
    let face = text.split("mod internals").next().unwrap_or_default();
    let paths = Source::new(face).paths().into_iter();
    paths
        .filter_map(|(_, path)| {
            let (layer, rest) = path.trim_start_matches("crate::").split_once("::")?;
            Some((rest.rsplit("::").next()?.to_string(), layer.to_string()))
        })
        .collect()
}

fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_file_opens_by_saying_what_it_owns() {
    let silent = rust_files()
        .iter()
        .filter(|file| !file.text.starts_with("//!"));
    report(
        &silent
            .map(|file| format!("{}:1: does not open with //!", file.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_layer_imports_what_stands_above_it() {
    let exports = exports();
    let mut complaints = Vec::new();
    for file in layered_files() {
        let layer = file.layer();
        let Some((_, may_use)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            complaints.push(format!("{}:1: '{layer}' is not in LAYERS", file.path));
            continue;
        };
        for (line, path) in file.source.paths() {
            let Some(rest) = file.below_top(&path) else {
                continue;
            };
            let used = rest.split("::").next().unwrap_or_default();
            let used = exports.get(used).map_or(used, String::as_str);
            let is_layer = LAYERS.iter().any(|(name, _)| *name == used);
            let may = used == layer || ["sys", "error"].contains(&used) || may_use.contains(&used);
            if is_layer && !may {
                complaints.push(format!(
                    "{}:{line}: {layer} may not use {used} ({path})",
                    file.path
                ));
            }
        }
    }
    report(&complaints);
}

#[test]
fn what_only_some_layers_may_use_is_used_by_no_other() {
    let mut complaints = Vec::new();
    for file in layered_files() {
        let is_in = |layers: &[&str]| {
            layers.iter().any(|layer| {
                let below = file.module().strip_prefix(layer);
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        for (line, path) in file.source.paths() {
            for (wanted, layers, why) in FORBIDDEN {
                let begins = path == wanted || path.starts_with(&format!("{wanted}::"));
                let ends = path.ends_with(&format!("::{wanted}"));
                if (begins || ends) && is_in(layers) {
                    complaints.push(format!("{}:{line}: {path}: {why}", file.path));
                }
            }
        }
        for name in MACROS.into_iter().filter(|_| is_in(THE_LIBRARY)) {
            for line in file.source.lines_with(name) {
                complaints.push(format!(
                    "{}:{line}: {name} the library does not print",
                    file.path
                ));
            }
        }
    }
    report(&complaints);
}

#[test]
fn functions_and_files_stay_short() {
    let mut complaints = Vec::new();
    for file in rust_files() {
        let lines = file.source.code_lines();
        if lines > LONGEST_FILE && !file.is_test() {
            complaints.push(format!(
                "{}:1: {lines} lines of code, at most {LONGEST_FILE}",
                file.path
            ));
        }
        for function in file
            .source
            .functions()
            .into_iter()
            .filter(|f| f.lines > LONGEST_FUNCTION)
        {
            let (name, line, lines) = (function.name, function.line, function.lines);
            complaints.push(format!(
                "{}:{line}: {name}: {lines} lines, at most {LONGEST_FUNCTION}",
                file.path
            ));
        }
    }
    report(&complaints);
}

/// Files that classify faults and ends. Clippy refuses a wildcard in their matches, so that a new variant must be
/// classified.
const CLASSIFYING: [&str; 9] = [
    "src/cli/exit.rs",
    "src/cli/record.rs",
    "src/download/division/mod.rs",
    "src/download/retry.rs",
    "src/error.rs",
    "src/session/ending.rs",
    "src/session/file.rs",
    "src/session/ledger.rs",
    "src/session/reporting.rs",
];

#[test]
fn what_is_classified_has_no_wildcard() {
    let mut complaints = Vec::new();
    for path in CLASSIFYING {
        let text = fs::read_to_string(root().join(path)).unwrap_or_default();
        let attribute = "#![warn(clippy::wildcard_enum_match_arm)]";
        if !text.lines().any(|line| line == attribute) {
            complaints.push(format!("{path}: without {attribute}"));
        }
    }
    report(&complaints);
}

#[test]
fn prose_and_comments_are_of_readable_width() {
    let mut complaints = Vec::new();
    for (path, text) in texts() {
        let mut is_code = false;
        for (at, line) in text.lines().enumerate() {
            is_code ^= line.starts_with("```");
            let is_prose = match path.rsplit('.').next() {
                Some("rs") => line.trim_start().starts_with("//"),
                Some("md") => !is_code && !line.starts_with('|') && !line.starts_with("    "),
                _ => false,
            };
            if is_prose && line.chars().count() > LONGEST_LINE {
                complaints.push(format!(
                    "{path}:{}: more than {LONGEST_LINE} columns",
                    at + 1
                ));
            }
        }
    }
    report(&complaints);
}

#[test]
fn the_library_names_no_flag_of_the_program() {
    let files = rust_files().iter();
    let library = files.filter(|file| {
        file.path.starts_with("src/") && !file.is_test() && !file.path.starts_with("src/cli/")
    });
    let mut complaints = Vec::new();
    for file in library {
        let lines = file.text.lines().enumerate();
        let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (at, line) in code {
            let mut pieces = line.split("--").peekable();
            while let Some(before) = pieces.next() {
                let is_word = before.ends_with(|c: char| c.is_alphanumeric());
                let after = pieces.peek().copied().unwrap_or_default();
                if !is_word && after.starts_with(|c: char| c.is_ascii_lowercase()) {
                    complaints.push(format!("{}:{}: a flag in a message", file.path, at + 1));
                }
            }
        }
    }
    report(&complaints);
}

#[test]
fn only_the_system_calls_know_operating_systems() {
    let mut complaints = Vec::new();
    for file in layered_files().filter(|file| file.layer() != "sys") {
        for mark in ["target_os", "os::linux", "libc::", "gannet_portable"] {
            let found = file.source.lines_with(mark).into_iter();
            complaints.extend(found.map(|line| format!("{}:{line}: {mark}", file.path)));
        }
    }
    report(&complaints);
}

#[test]
fn nothing_is_left_for_later_or_waved_through() {
    // Written in halves, so that this file does not complain of itself.
    let loose = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
        concat!("HA", "CK"),
    ];
    let waved = [concat!("#[al", "low("), concat!("#![al", "low(")];
    let mut complaints = Vec::new();
    for file in rust_files() {
        for (at, line) in file.text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            let left = words.find(|word| loose.contains(word));
            let waved = waved.into_iter().find(|mark| line.contains(mark));
            if let Some(found) = left.or(waved) {
                complaints.push(format!("{}:{}: {found}", file.path, at + 1));
            }
        }
    }
    report(&complaints);
}

#[test]
fn every_test_that_the_table_of_faults_names_exists() {
    let text = fs::read_to_string(root().join("tests/README.md")).expect("the file");
    let (_, table) = text.split_once("\n## Faults").expect("the table");
    let names = table.lines().filter(|line| line.starts_with('|'));
    let names = names.flat_map(|line| line.split('`').skip(1).step_by(2));
    let code: String = rust_files().iter().map(|file| file.text.as_str()).collect();
    let missing = names.filter(|name| !code.contains(&format!("fn {name}")));
    let complaints: Vec<_> = missing
        .map(|name| format!("tests/README.md: there is no test {name}"))
        .collect();
    report(&complaints);
}

#[test]
fn the_architecture_has_a_row_for_each_source_file_and_no_other() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map");
    let mut folder = String::new();
    let mut mapped = BTreeSet::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let named = heading.split('`').nth(1).unwrap_or_default();
            folder = named.to_owned();
        } else if let Some(row) = line.strip_prefix("| `")
            && folder.starts_with("src/")
        {
            let names = row.split('|').next().unwrap_or_default().split('`');
            let files = names.filter(|name| name.ends_with(".rs"));
            mapped.extend(files.map(|name| format!("{folder}{name}")));
        }
    }
    let files = rust_files().iter().filter(|file| !file.is_test());
    let found: BTreeSet<_> = files.map(|file| file.path.clone()).collect();
    let lost = mapped.difference(&found);
    let lost = lost.map(|path| format!("ARCHITECTURE.md: there is no {path}"));
    let new = found.difference(&mapped);
    let new = new.map(|path| format!("ARCHITECTURE.md: no row has {path}"));
    report(&lost.chain(new).collect::<Vec<_>>());
}

#[test]
fn no_file_refers_to_the_machine_it_was_written_on() {
    // Written in halves, so that this file does not complain of itself.
    let shared = concat!("../sh", "ared");
    let machine = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    let mut complaints = Vec::new();
    for (path, text) in texts() {
        for (at, line) in text.lines().enumerate() {
            let place = machine.into_iter().find(|place| line.contains(place));
            let outside = line.contains(shared).then_some(shared);
            if let Some(found) = place.or(outside) {
                complaints.push(format!("{path}:{}: {found}", at + 1));
            }
        }
    }
    report(&complaints);
}

/// The fuzz targets are a package of their own, built with `--locked`: its lock must have what the library needs, and
/// nothing that only the program needs.
#[test]
fn the_lock_of_the_fuzz_targets_has_every_dependency() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap_or_default();
    let (manifest, lock) = (read("Cargo.toml"), read("fuzz/Cargo.lock"));
    let (_, dependencies) = manifest.split_once("[dependencies]").expect("dependencies");
    let lines = dependencies
        .lines()
        .take_while(|line| !line.starts_with('['));
    let mut wrong = Vec::new();
    for (name, how) in lines.filter_map(|line| line.split_once('=')) {
        let is_locked = lock.contains(&format!("name = \"{}\"\n", name.trim()));
        match (is_locked, how.contains("optional = true")) {
            (true, true) => wrong.push(format!("fuzz/Cargo.lock: {name} is too much")),
            (false, false) => wrong.push(format!("fuzz/Cargo.lock: {name} is missing")),
            (true, false) | (false, true) => {}
        }
    }
    report(&wrong);
}
