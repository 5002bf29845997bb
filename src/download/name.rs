//! Names of files that lists, URLs and servers choose, made safe. Pure: nothing here looks at the disk.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::Url;

/// The suffix of a part file.
pub const PART: &str = ".part";
/// The suffix of a state file.
pub const STATE: &str = ".part.gannet";
/// The suffix of the next state file, until it replaces the previous one. As long as [`STATE`].
pub const NEXT_STATE: &str = ".part~gannet";

/// The infix before these suffixes if `NAME.part` belongs to another program.
pub const ASIDE: &str = ".gannet";

/// The longest suffix of a base name, in bytes: [`STATE`] and a number of ten digits.
const RESERVED: usize = STATE.len() + 11;
/// The longest base name, in bytes: 255, the limit of most file systems, minus the longest suffix.
pub const LONGEST_NAME: usize = 255 - RESERVED;
/// The longest name that every file system accepts, in bytes: the smallest limit in use is eCryptfs's 143.
const SHORTEST_LIMIT: usize = 143;
/// The characters that FAT, NTFS and SMB refuse in a name, beside those that are never [`safe`].
const SPECIAL: [char; 8] = ['"', '*', ':', '<', '>', '?', '\\', '|'];
/// The longest relative path in a list, in bytes: a longer one is likely to be an attack.
const LONGEST_PATH: usize = 1024;
/// The longest extension, with its dot, that survives when a name is cut.
const LONGEST_EXTENSION: usize = 16;

/// The base name of a URL: its last path segment, decoded and made [`safe`]; `index.html` if that is empty, as in
/// wget. The query is not part of it. A segment that does not decode to UTF-8 stays encoded.
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

/// A segment of a URL's path, decoded and made safe.
pub(super) fn from_segment(segment: &str) -> String {
    match percent_decode_str(segment).decode_utf8() {
        Ok(name) => safe(&name),
        Err(_) => safe(segment),
    }
}

/// Makes a safe base name of any text. Slashes, control and bidi characters become `_`; trailing spaces are removed; it
/// is never empty, `.`, `..` or a state file of gannet's (`x.part.gannet` becomes `x.part_gannet`, so that a server
/// cannot plant one). It has at most [`LONGEST_NAME`] bytes, and keeps a short extension, such as `.tar.gz`. A leading
/// `~`, `-` or `.` stays: only shells give them a meaning. What only Windows refuses stays too, unless the file system
/// refuses it ([`Limits::fit`]).
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
    if !is_state(&name) {
        return name;
    }
    let (stem, extension) = name.split_at(name.len() - ".gannet".len());
    format!("{stem}_{}", &extension[1..])
}

/// The limits of names on a file system, as far as file systems differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest name, in bytes.
    pub longest: usize,
    /// It accepts `"`, `*`, `:`, `<`, `>`, `?`, `\` and `|`, which FAT, NTFS and SMB refuse. One that refuses them also
    /// has no trailing dots and no names of devices.
    pub takes_special: bool,
}

impl Limits {
    /// Whether some file system would refuse a component of a safe path: only then its limits need to be found.
    pub fn matter_to(path: &Path) -> bool {
        path.iter().any(Self::matter_to_name)
    }

    /// Whether some file system would refuse a safe base name.
    pub fn matter_to_name(name: &OsStr) -> bool {
        let bytes = name.as_encoded_bytes();
        bytes.len() + RESERVED > SHORTEST_LIMIT
            || bytes
                .iter()
                .any(|byte| SPECIAL.contains(&char::from(*byte)))
            || bytes.ends_with(b".")
            || name.to_str().is_some_and(is_device)
    }

    /// A text of all characters that some file system refuses, to test one.
    pub fn special_probe() -> String {
        SPECIAL.into_iter().collect()
    }

    /// The path with each component made to fit: `_` for each refused character and trailing dot, `_` before the name
    /// of a device (`_NUL.txt`), and the rest cut as [`safe`] does. A component that fits stays as it is.
    pub fn fit(self, path: &Path) -> PathBuf {
        path.iter()
            .map(|component| {
                let component = component.to_string_lossy();
                if self.refuse_component(&component).is_none() {
                    return component.into_owned();
                }
                let most = self.longest_base();
                let cut = safe_within(&component, most);
                if self.takes_special {
                    cut
                } else {
                    safe_within(&portable(&cut, most), most)
                }
            })
            .collect()
    }

    /// Why a path does not fit, as a message.
    pub fn refuse(self, path: &Path) -> Option<String> {
        path.iter()
            .find_map(|component| self.refuse_component(&component.to_string_lossy()))
    }

    fn refuse_component(self, component: &str) -> Option<String> {
        if !self.takes_special && component.contains(SPECIAL) {
            return Some(format!(
                "the file system takes none of {} in a name",
                Self::special_probe()
            ));
        }
        if !self.takes_special && component.ends_with('.') {
            return Some("the file system takes no name that ends in a dot".into());
        }
        if !self.takes_special && is_device(component) {
            return Some("the file system takes no name of a device, such as CON or NUL".into());
        }
        let most = self.longest_base();
        (component.len() > most).then(|| {
            format!("a part of the path is longer than {most} bytes, which is all that the file system has room for")
        })
    }

    /// The longest base name, in bytes.
    fn longest_base(self) -> usize {
        self.longest.saturating_sub(RESERVED).clamp(1, LONGEST_NAME)
    }
}

/// Parses the relative path of a row, which may have sub-folders and stays below the target folder. Empty components
/// and `.` are dropped.
///
/// # Errors
/// The fault of the path. Nothing is repaired: the row would not get the path in the list.
pub fn beneath(path: &str) -> Result<PathBuf, String> {
    if path.starts_with('/') {
        return Err("the path is absolute".into());
    }
    if path.len() > LONGEST_PATH {
        return Err(format!("the path is longer than {LONGEST_PATH} bytes"));
    }
    let components: Vec<&str> = path
        .split('/')
        .filter(|component| !matches!(*component, "" | "."))
        .collect();
    match components.first() {
        None => return Err("the path names nothing".into()),
        Some(&"~") => return Err("\"~\" does not stand for a home folder here".into()),
        Some(_) => {}
    }
    match components.iter().find_map(|component| fault(component)) {
        Some(fault) => Err(fault),
        None => Ok(components.iter().collect()),
    }
}

/// `name.1`, as wget and aria2 number the second file of one name.
pub fn numbered(name: &str, number: u64) -> String {
    format!("{name}.{number}")
}

/// Why a component of a path is not [`safe`].
fn fault(component: &str) -> Option<String> {
    let fault = if component == ".." {
        "the path has \"..\"".into()
    } else if component.chars().any(is_forbidden) {
        "the path has a control character".into()
    } else if component.len() > LONGEST_NAME {
        format!("a part of the path is longer than {LONGEST_NAME} bytes")
    } else if component.ends_with(' ') {
        "a part of the path ends in a space".into()
    } else if is_state(component) {
        format!("a part of the path ends in {STATE}, as gannet's own files do")
    } else {
        return None;
    };
    Some(fault)
}

/// Slashes, control characters (C0, DEL, C1), line separators, and bidi controls, which can show `exe.txt` for
/// `txt.exe`.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '/' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// The bytes of nearly all names: none is forbidden, or part of a forbidden character.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'/'
}

/// Whether a name is a device on some system, whatever its extension and case.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    let stem = stem.trim_end_matches(' ');
    let devices = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    if devices
        .iter()
        .any(|device| stem.eq_ignore_ascii_case(device))
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

/// Whether a name ends like a state file, in upper or lower case.
fn is_state(name: &str) -> bool {
    let stem = name.len().checked_sub(STATE.len());
    stem.is_some_and(|stem| name.as_bytes()[stem..].eq_ignore_ascii_case(STATE.as_bytes()))
}

/// A safe name of at most `most` bytes as file systems with the rules of Windows take it.
fn portable(name: &str, most: usize) -> String {
    let name = if is_device(name) {
        cut(&format!("_{name}"), most)
    } else {
        name.to_owned()
    };
    let stem = name.trim_end_matches('.');
    stem.replace(SPECIAL, "_") + &"_".repeat(name.len() - stem.len())
}

fn trim(name: &str) -> &str {
    name.trim_end_matches(' ')
}

/// Cuts a trimmed name to at most `most` bytes, and keeps a short extension; `_` if it is no name.
fn cut(name: &str, most: usize) -> String {
    let name = if name.len() <= most {
        name.to_owned()
    } else {
        let (stem, extension) = name.split_at(extension_start(name, LONGEST_EXTENSION.min(most)));
        let stem = start(stem, most - extension.len());
        trim(&format!("{stem}{extension}")).to_owned()
    };
    match &*name {
        "" | "." | ".." => "_".into(),
        _ => name,
    }
}

/// The start of a name's extension, which has at most `most` bytes with its dot: `.gz`, or `.tar.gz`.
fn extension_start(name: &str, most: usize) -> usize {
    let is_short = |dot: &usize| name.len() - dot <= most;
    let Some(last) = name.rfind('.').filter(is_short) else {
        return name.len();
    };
    let before = name[..last].rfind('.').filter(is_short);
    before
        .filter(|before| is_word(&name[before + 1..last]))
        .unwrap_or(last)
}

/// Whether a text can be the first half of a double extension, such as `tar`.
fn is_word(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The longest start of `text` within `most` bytes that ends between characters.
fn start(text: &str, most: usize) -> &str {
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
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
            ("http://h/a/..%5c", "..\\"),
            ("http://h/src/aux.c", "aux.c"),
            ("http://h/Vol.", "Vol."),
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
            (". . .", ". . ."),
            (".. ", "_"),
            ("a/b\\c", "a_b\\c"),
            ("a\u{202e}txt.exe", "a_txt.exe"),
            ("a\u{85}\u{7f}\u{2028}b", "a___b"),
            ("name. . ", "name. ."),
            ("con", "con"),
            ("Nul.tar.gz", "Nul.tar.gz"),
            (".bashrc", ".bashrc"),
            ("-rf", "-rf"),
            ("x.part.gannet", "x.part_gannet"),
            (".Part.GANNET ", ".Part_GANNET"),
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
        assert_eq!(safe(&".".repeat(300)), ".".repeat(LONGEST_NAME));
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
            ("a\\..\\b", "a\\..\\b"),
            ("drivers/aux.c", "drivers/aux.c"),
            ("a./b.", "a./b."),
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
            ("a\0b", "control"),
            ("a\u{202e}b", "control"),
            ("", "names nothing"),
            ("./.", "names nothing"),
            ("~/x", "home"),
            ("a /b", "space"),
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
    fn a_name_fits_the_file_system_that_it_lands_on() {
        let limits = Limits {
            longest: 143,
            takes_special: false,
        };
        let long = format!("{}.tar.gz", "x".repeat(200));
        for (path, fitted) in [
            ("a/b.txt", "a/b.txt"),
            ("a:b/c?.txt", "a_b/c_.txt"),
            ("\"*:<>?|\\", "________"),
            ("con/Nul.tar.gz", "_con/_Nul.tar.gz"),
            ("COM1 .txt", "_COM1 .txt"),
            ("lpt²", "_lpt²"),
            ("COM10/console", "COM10/console"),
            ("Vol./a..", "Vol_/a__"),
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
        for path in ["a:b", "aux.c", "Vol.", "a\\b"] {
            assert!(Limits::matter_to(Path::new(path)), "{path}");
            assert_eq!(roomy.fit(Path::new(path)), Path::new(path));
            assert_eq!(roomy.refuse(Path::new(path)), None);
        }
    }

    /// Text with many characters that are special in names.
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
            prop_assert!(!name.chars().any(is_forbidden) && !name.ends_with(' ') && !is_state(&name));
            let components: Vec<_> = Path::new(&name).components().collect();
            prop_assert!(matches!(components[..], [Component::Normal(component)] if component == name.as_str()));
        }

        #[test]
        fn a_fitted_name_is_taken_and_stays_as_it_is(text in text(), longest in 24_usize..300, takes_special in any::<bool>()) {
            let limits = Limits { longest, takes_special };
            let name = safe(&text);
            let fitted = limits.fit(Path::new(&name));
            prop_assert_eq!(limits.refuse(&fitted), None, "{:?}", fitted);
            prop_assert_eq!(safe(fitted.to_str().unwrap()), fitted.to_str().unwrap());
        }

        #[test]
        fn a_path_taken_goes_down_only(text in text()) {
            if let Ok(path) = beneath(&text) {
                for component in path.components() {
                    let Component::Normal(component) = component else { panic!("{component:?}") };
                    prop_assert_eq!(safe(component.to_str().unwrap()), component.to_str().unwrap());
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
    }
}
