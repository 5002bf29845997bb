//! Limits that may only fall: large types, and habits of code and language that CONTRIBUTING.md advises against.
//!
//! `tests/tidy/limits.txt` has the limit of each rule, for `src/` without its tests and for everything else. After a
//! change that breaks a rule in fewer places, `BLESS=1 cargo test tidy` lowers its limit; nothing raises one.

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use super::{File, report, root, rust_files};

const LIMITS: &str = "tests/tidy/limits.txt";

const MOST_FIELDS: usize = 16;
const MOST_BOOLS: usize = 3;

/// What is typed or configured is a list of settings, and may have any number of fields.
const SETTINGS: [&str; 6] = ["Options", "Plan", "Flags", "Config", "Request", "Easy"];

/// Words for people, in comments of a program that has none.
const PEOPLE: [&str; 9] = [
    "who",
    "whom",
    "whose",
    "whoever",
    "whomever",
    "nobody",
    "somebody",
    "anybody",
    "everybody",
];

/// Phrases that hide which thing or how many are meant.
const VAGUE: [&str; 8] = [
    "is to be",
    "are to be",
    "what is there",
    "of its own",
    "so many",
    "is wanted",
    "are wanted",
    "is to have",
];

/// Types that may have inherent methods outside the file that defines them, and why. The limits count those files.
const SPREAD: [(&str, &str); 2] = [
    (
        "Part",
        "how a body resumes and how it is divided are a file each",
    ),
    (
        "Session",
        "each event of a run is a file, and all of them need the whole run",
    ),
];

fn may_be_spread(name: &str) -> bool {
    SPREAD.iter().any(|(known, _)| *known == name)
}

/// Each rule by its name, and the places that break it.
type Broken = BTreeMap<String, Vec<String>>;

fn has_words(text: &str, phrase: &str) -> usize {
    let text = text.to_lowercase();
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let found = text.match_indices(phrase).filter(|(at, _)| {
        let (before, after) = (&text[..*at], &text[at + phrase.len()..]);
        !is_word(before.chars().next_back()) && !is_word(after.chars().next())
    });
    found.count()
}

/// Whether a comment line opens with this word and a lower-case one behind it.
fn opens(text: &str, word: &str) -> bool {
    let rest = text.strip_prefix(word);
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// `let name = |…|`: a closure with a name, which could be a function.
fn is_named_closure(line: &str) -> bool {
    let Some(binding) = line.trim_start().strip_prefix("let ") else {
        return false;
    };
    let binding = binding.strip_prefix("mut ").unwrap_or(binding);
    let Some((name, value)) = binding.split_once(" = ") else {
        return false;
    };
    let value = value.strip_prefix("move ").unwrap_or(value);
    value.starts_with('|') && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// `(a, b): (A, B)`: a parameter that is a tuple, which could be a struct.
fn is_tuple_parameter(line: &str) -> bool {
    let Some((names, _)) = line.trim_start().split_once("): (") else {
        return false;
    };
    let is_name = |name: &str| {
        let name = name.strip_prefix("mut ").unwrap_or(name);
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let names = names
        .strip_prefix('(')
        .and_then(|names| names.split_once(", "));
    names.is_some_and(|(first, second)| is_name(first) && is_name(second))
}

fn look_at_comments(file: &File, broken: &mut dyn FnMut(&str, usize, &str)) {
    for (line, text) in file.source.comments() {
        let people: usize = PEOPLE.iter().map(|word| has_words(text, word)).sum();
        let vague: usize = VAGUE.iter().map(|phrase| has_words(text, phrase)).sum();
        (0..people).for_each(|_| broken("people-words", line, text));
        (0..vague).for_each(|_| broken("vague phrases", line, text));
        if opens(text, "Has ") {
            broken("\"Has X done\"", line, text);
        }
        if text.starts_with("The same") {
            broken("\"The same\"", line, text);
        }
    }
}

fn look_at_code(file: &File, broken: &mut dyn FnMut(&str, usize, &str)) {
    for (at, line) in file.source.text().lines().enumerate() {
        let filters = line.matches(".filter(|_|").count();
        (0..filters).for_each(|_| broken("filters that ignore their value", at + 1, line.trim()));
        if is_named_closure(line) {
            broken("named closures", at + 1, line.trim());
        }
        if is_tuple_parameter(line) {
            broken("tuple parameters", at + 1, line.trim());
        }
    }
    for found in file.source.structs() {
        let name = found.name.as_str();
        if SETTINGS.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        if found.fields > MOST_FIELDS {
            broken(
                "large structs",
                found.line,
                &format!("{name} has {} fields", found.fields),
            );
        }
        if found.bools > MOST_BOOLS {
            broken(
                "structs of flags",
                found.line,
                &format!("{name} has {} bools", found.bools),
            );
        }
    }
}

/// The places that break each rule, in the program and in everything else.
fn broken_rules() -> Broken {
    let mut all = Broken::new();
    for file in rust_files() {
        let part = if file.is_test() { "tests" } else { "src" };
        let mut broken = |rule: &str, line: usize, what: &str| {
            let places = all.entry(format!("{part}: {rule}")).or_default();
            places.push(format!("{}:{line}: {what}", file.path));
        };
        look_at_comments(file, &mut broken);
        look_at_code(file, &mut broken);
    }
    let elsewhere = all
        .entry("src: files of methods elsewhere".to_owned())
        .or_default();
    for (name, files) in spread() {
        elsewhere.extend(
            files
                .into_iter()
                .map(|file| format!("{file}:1: methods of {name}")),
        );
    }
    all
}

#[test]
fn no_rule_is_broken_more_often_than_before() {
    let text = fs::read_to_string(root().join(LIMITS)).expect("the limits");
    let limits = text.lines().filter_map(|line| {
        let (rule, limit) = line.rsplit_once(' ')?;
        Some((rule, limit.parse::<usize>().ok()?))
    });
    let limits: BTreeMap<_, _> = limits.collect();
    let mut broken = broken_rules();
    let mut complaints = Vec::new();
    let mut lowered = String::new();
    for (rule, limit) in limits {
        let places = broken.remove(rule).unwrap_or_default();
        lowered.push_str(&format!("{rule} {}\n", limit.min(places.len())));
        if places.len() > limit {
            complaints.push(format!("{rule}: {}, at most {limit}:", places.len()));
            complaints.extend(places);
        }
    }
    let unlimited = broken.into_iter().filter(|(_, places)| !places.is_empty());
    complaints.extend(unlimited.map(|(rule, places)| {
        format!(
            "{rule}: {} has no limit, and is broken by {}",
            LIMITS,
            places.join("\n")
        )
    }));
    if env::var_os("BLESS").is_some() {
        fs::write(root().join(LIMITS), lowered).expect("the limits can be written");
    }
    report(&complaints);
}

/// Each type with inherent methods outside the file that defines it, and those files. Several types of one name have
/// their methods where they are defined.
fn spread() -> BTreeMap<String, BTreeSet<&'static str>> {
    let files = rust_files().iter().filter(|file| !file.is_test());
    let mut homes: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut spread: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        for name in file.source.types() {
            homes.entry(name).or_default().insert(&file.path);
        }
        for name in file.source.inherent_impls() {
            spread.entry(name).or_default().insert(&file.path);
        }
    }
    for (name, files) in &mut spread {
        let homes = homes.get(name).cloned().unwrap_or_default();
        files.retain(|file| !homes.contains(file));
    }
    spread.retain(|_, files| !files.is_empty());
    spread
}

#[test]
fn inherent_methods_of_a_type_stand_in_its_file() {
    let spread = spread();
    let mut complaints = Vec::new();
    for (name, files) in spread.iter().filter(|(name, _)| !may_be_spread(name)) {
        let files: Vec<_> = files.iter().copied().collect();
        complaints.push(format!("{name} has methods in {}", files.join(" ")));
    }
    for (name, reason) in SPREAD
        .iter()
        .filter(|(name, _)| !spread.contains_key(*name))
    {
        complaints.push(format!("{name} needs no exception any more ({reason})"));
    }
    report(&complaints);
}

#[test]
fn rules_see_what_breaks_them_and_nothing_else() {
    assert_eq!(has_words("Who knows whose: nobody_else", "who"), 1);
    assert_eq!(has_words("so many, and So Many.", "so many"), 2);
    assert!(opens("Has the sink write", "Has "));
    assert!(!opens("Has HTTP/2", "Has ") && !opens("It Has a", "Has "));
    assert!(is_named_closure("    let mut next = move |a| a;"));
    assert!(!is_named_closure("let x = a | b;") && !is_named_closure("let x = a.map(|b| b);"));
    assert!(is_tuple_parameter("    (name, mut body): (&str, Body),"));
    assert!(!is_tuple_parameter("let (a, b): (u8, u8) = c;"));
}
