//! Names that strangers choose (`download::name`): none leaves its folder, whichever way it comes, none is changed by
//! being made safe again, and no two rows share a file.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Component, Path};

use gannet::internals::download::Names;
use gannet::internals::download::name::{
    LONGEST_NAME, PART, STATE, beneath, from_url, numbered, safe,
};
use url::Url;

/// The longest name that file systems take, in bytes.
const LONGEST_ENTRY: usize = 255;
/// How many rows are given names at once.
const ROWS: usize = 40;

/// Takes a name, a path or a URL; its lines are also taken as the names of a batch.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert_safe(&safe(&text));
    if let Ok(path) = beneath(&text) {
        assert_beneath(&path);
    }
    for url in [format!("http://h/{text}"), text.to_string()] {
        if let Ok(url) = Url::parse(&url) {
            assert_safe(&from_url(&url));
        }
    }
    assert_apart(text.lines().take(ROWS));
}

/// One component of a path, that any file system takes with what gannet puts behind it.
pub(super) fn assert_safe(name: &str) {
    assert_eq!(safe(name), name);
    assert!((1..=LONGEST_NAME).contains(&name.len()), "{name:?}");
    assert!(!name.contains(['/', '\0']) && !name.contains(char::is_control));
    let mut components = Path::new(name).components();
    assert_eq!(components.next(), Some(Component::Normal(name.as_ref())));
    assert_eq!(components.next(), None);
    let longest = numbered(name, 9_999_999_999) + STATE;
    assert!(longest.len() <= LONGEST_ENTRY, "{longest:?}");
}

fn assert_beneath(path: &Path) {
    assert!(path.components().next().is_some());
    for component in path.components() {
        let Component::Normal(part) = component else {
            panic!("{component:?} in {path:?}");
        };
        assert_safe(part.to_str().expect("it came from text"));
    }
    let again = path.to_str().map(beneath);
    assert_eq!(again, Some(Ok(path.to_owned())));
}

/// Every row gets a file, with its companions, that is no other row's.
fn assert_apart<'a>(rows: impl Iterator<Item = &'a str>) {
    let mut names = Names::default();
    let mut files = HashSet::new();
    for row in rows {
        let (folder, name) = (Path::new(""), OsString::from(safe(row)));
        let taken = if names.claim(folder, &name) {
            name
        } else {
            names.next_free(folder, &name, |_| false)
        };
        for suffix in ["", PART, STATE] {
            let file = format!("{}{suffix}", taken.display());
            assert!(files.insert(file), "{taken:?}{suffix} twice");
        }
    }
}
