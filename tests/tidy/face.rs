//! The public face of the library: every path that the documentation shows, compared with `tests/tidy/face.txt`.
//!
//! `BLESS=1 cargo test tidy` writes the list anew. A path is an item at the top of a public module; methods, fields
//! and variants are not counted, and `#[doc(hidden)]` modules are left out.

use std::{env, fs};

use super::source::Source;
use super::{report, root};

const LIST: &str = "tests/tidy/face.txt";
const MOST_PATHS: usize = 110;

/// Adds the paths of the module in `file`, and those of its public modules. Complains of a glob: its names are
/// in another file, so nothing here can count them.
fn collect(module: &str, file: &str, paths: &mut Vec<String>, complaints: &mut Vec<String>) {
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    for (line, item) in Source::new(&text).public_items() {
        let path = if module.is_empty() {
            item.name.clone()
        } else {
            format!("{module}::{}", item.name)
        };
        match item.kind.as_str() {
            "use" if item.name == "*" => {
                complaints.push(format!("{file}:{line}: a glob in the public face"));
            }
            "mod" => {
                let folder = file.trim_end_matches("lib.rs").trim_end_matches("mod.rs");
                let files = [
                    format!("{folder}{}/mod.rs", item.name),
                    format!("{folder}{}.rs", item.name),
                ];
                match files.iter().find(|file| root().join(file).exists()) {
                    Some(file) => collect(&path, file, paths, complaints),
                    None => {
                        complaints.push(format!("{file}:{line}: no file has the module {path}"))
                    }
                }
            }
            _ => paths.push(path),
        }
    }
}

#[test]
fn the_public_face_is_the_listed_one() {
    let (mut paths, mut complaints) = (Vec::new(), Vec::new());
    collect("", "src/lib.rs", &mut paths, &mut complaints);
    paths.sort();
    let found: String = paths.iter().map(|path| format!("{path}\n")).collect();
    if env::var_os("BLESS").is_some() {
        fs::write(root().join(LIST), &found).expect("the list can be written");
    }
    let listed = fs::read_to_string(root().join(LIST)).unwrap_or_default();
    let is_listed = |path: &&String| !listed.lines().any(|line| line == path.as_str());
    let new = paths.iter().filter(is_listed);
    complaints.extend(new.map(|path| format!("{path} is public, and {LIST} does not have it")));
    let lost = listed
        .lines()
        .filter(|line| !paths.iter().any(|path| path == line));
    complaints.extend(lost.map(|path| format!("{LIST}: {path} is not public")));
    if paths.len() > MOST_PATHS {
        complaints.push(format!(
            "{} public paths, at most {MOST_PATHS}",
            paths.len()
        ));
    }
    report(&complaints);
}
