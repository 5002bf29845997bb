//! The fuzz targets without a fuzzer: each runs its seeds, and a fixed number of mutations of them,
//! the same every time. A failure prints the input, which can be added as a seed.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use crate::fuzz::{TARGETS, Target};
use crate::harness::Random;

/// How often a target's seeds are mutated.
const MUTATIONS: u64 = 1_000;
/// Where the mutations begin; each next one adds one.
const FIRST: u64 = 0x6761_6e6e_6574;
/// The longest input that a mutation makes.
const LONGEST: usize = 1_024;
/// What is put in more often than any other byte: it means something to one parser or another.
const TELLING: &[u8] = b"\r\n\0 \t:;,=%\"'\\/.-@#?&*+019afx\x7f\x80\xff";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The seeds of a target in the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = root().join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = entries(&folder).map(|name| folder.join(name)).collect();
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).expect("a readable seed");
    paths.iter().map(read).collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries.map(|entry| {
        let name = entry.expect("a readable folder entry").file_name();
        name.into_string().expect("a name in UTF-8")
    })
}

/// Any part of the bytes, perhaps empty.
fn part<'a>(random: &mut Random, bytes: &'a [u8]) -> &'a [u8] {
    let start = random.below(bytes.len() + 1);
    let length = random.below(bytes.len() - start + 1);
    &bytes[start..start + length]
}

fn any_byte(random: &mut Random) -> u8 {
    match random.below(3) {
        0 => random.next() as u8,
        _ => TELLING[random.below(TELLING.len())],
    }
}

/// A seed with a few bytes changed, put in or taken out, or with a part of another seed in it.
fn mutation(seeds: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.insert(at, any_byte(&mut random)),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..bytes.len().min(at + 1 + random.below(8)))),
            3 => {
                let other = &seeds[random.below(seeds.len())];
                bytes.splice(at..at, part(&mut random, other).iter().copied());
            }
            4 => {
                let own = part(&mut random, &bytes).to_vec();
                bytes.splice(at..at, own);
            }
            _ => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte = any_byte(&mut random)),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

fn run((name, body): Target, bytes: &[u8], origin: &str) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| body(bytes)));
    assert!(
        outcome.is_ok(),
        "{name}, {origin}: b\"{}\"",
        bytes.escape_ascii()
    );
}

/// Runs the seeds of the target that has this name, and their mutations.
fn replay(name: &str) {
    let target = TARGETS.into_iter().find(|(other, _)| *other == name);
    let target = target.expect("a target of that name");
    let seeds = seeds(name);
    for bytes in &seeds {
        run(target, bytes, "a seed");
    }
    for seed in FIRST..FIRST + MUTATIONS {
        run(target, &mutation(&seeds, seed), &format!("mutation {seed}"));
    }
}

#[test]
fn connect_answer_keeps_its_promises() {
    replay("connect_answer");
}

#[test]
fn cookie_file_keeps_its_promises() {
    replay("cookie_file");
}

#[test]
fn digest_keeps_its_promises() {
    replay("digest");
}

#[test]
fn disposition_keeps_its_promises() {
    replay("disposition");
}

#[test]
fn encoding_keeps_its_promises() {
    replay("encoding");
}

#[test]
fn file_name_keeps_its_promises() {
    replay("file_name");
}

#[test]
fn header_field_keeps_its_promises() {
    replay("header_field");
}

#[test]
fn http1_answer_keeps_its_promises() {
    replay("http1_answer");
}

#[test]
fn http2_session_keeps_its_promises() {
    replay("http2_session");
}

#[test]
fn list_jsonl_keeps_its_promises() {
    replay("list_jsonl");
}

#[test]
fn list_metalink_keeps_its_promises() {
    replay("list_metalink");
}

#[test]
fn list_sums_keeps_its_promises() {
    replay("list_sums");
}

#[test]
fn list_urls_keeps_its_promises() {
    replay("list_urls");
}

#[test]
fn netrc_keeps_its_promises() {
    replay("netrc");
}

#[test]
fn proxy_keeps_its_promises() {
    replay("proxy");
}

#[test]
fn redirect_keeps_its_promises() {
    replay("redirect");
}

#[test]
fn response_words_keeps_its_promises() {
    replay("response_words");
}

#[test]
fn socks_answers_keeps_its_promises() {
    replay("socks_answers");
}

#[test]
fn set_cookie_keeps_its_promises() {
    replay("set_cookie");
}

#[test]
fn every_target_has_seeds_and_a_fuzzer() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("fuzz/Cargo.toml");
    let bins = manifest.split("[[bin]]").skip(1).map(|bin| {
        let name = bin.split('"').nth(1).expect("a name in quotes");
        let source = format!("fuzz_targets/{name}.rs");
        assert!(bin.contains(&source), "{name}: {source} is not its path");
        let text = fs::read_to_string(root().join("fuzz").join(source)).expect("its source");
        assert!(text.contains(&format!("targets::{name}::run")), "{name}");
        name.to_owned()
    });
    assert_eq!(bins.collect::<BTreeSet<_>>(), names, "in fuzz/Cargo.toml");
    let folders: BTreeSet<_> = entries(&root().join("fuzz/seeds")).collect();
    assert_eq!(folders, names, "in fuzz/seeds");
    for name in names {
        assert!(seeds(&name).len() >= 5, "{name}: a few seeds more");
    }
}
