//! Compares `tests/engine/CONTRACT.md` with the tests: each statement has a test, and stands beside every test that is
//! named for it.

use std::collections::BTreeSet;
use std::fs;

use super::{report, root, rust_files};

const CONTRACT: &str = "tests/engine/CONTRACT.md";

/// The statements at the head of a test's name, in lower case: `k7` and `e1` of `k7_e1_a_socket_…`.
fn statements(name: &str) -> impl Iterator<Item = &str> {
    name.split('_').take_while(|word| {
        let mut letters = word.chars();
        letters
            .next()
            .is_some_and(|letter| "satkcivrle".contains(letter))
            && word.len() > 1
            && letters.all(|letter| letter.is_ascii_digit())
    })
}

#[test]
fn every_statement_of_the_contract_stands_beside_its_tests() {
    let text = fs::read_to_string(root().join(CONTRACT)).expect("the contract");
    let mut listed = BTreeSet::new();
    let mut complaints = Vec::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("| ")) {
        let statement = row.split(' ').next().unwrap_or_default().to_lowercase();
        if statements(&statement).next().is_none() {
            continue;
        }
        let tests = row.rsplit("| ").next().unwrap_or_default();
        let tests: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            complaints.push(format!("{CONTRACT}: {statement} has no test"));
        }
        listed.extend(
            tests
                .iter()
                .map(|test| (statement.clone(), (*test).to_owned())),
        );
    }
    assert!(!listed.is_empty(), "{CONTRACT} has no statement");
    let mut named = BTreeSet::new();
    let files = rust_files().iter();
    for file in files.filter(|file| file.path.starts_with("tests/engine/")) {
        for function in file.source.functions() {
            let of_it = statements(&function.name);
            named.extend(of_it.map(|statement| (statement.to_owned(), function.name.clone())));
        }
    }
    let lost = listed.difference(&named);
    complaints.extend(
        lost.map(|(statement, test)| format!("{CONTRACT}: {statement}: there is no test {test}")),
    );
    let new = named.difference(&listed);
    complaints.extend(
        new.map(|(statement, test)| format!("{CONTRACT}: {statement} does not name {test}")),
    );
    report(&complaints);
}
