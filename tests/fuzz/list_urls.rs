//! Lists of URLs (`list::Rows`): any cut gives the same rows, no line is lost, every row can be
//! fetched, and every error can be printed.

use std::iter;

use gannet::list::{Format, Row, Rows};
use url::Url;

use super::pieces;
use super::rows::{self, Outcome};

/// Takes a list.
pub fn run(list: &[u8]) {
    let base = Url::parse("https://base.example/dir/list.txt?q").expect("a URL");
    for base in [None, Some(base)] {
        let all = read(&pieces::whole(list), base.clone());
        assert_complete(&all, list);
        all.iter().for_each(rows::assert_fit);
        rows::assert_written(&all, base.as_ref());
        for pieces in [pieces::single(list), pieces::some(list, 1)] {
            assert_eq!(read(&pieces, base.clone()), all);
            assert_eq!(read_slowly(&pieces, base.clone()), all);
        }
        assert_settled(&pieces::some(list, 2), base, &all);
    }
}

/// All that a list gives.
fn read(pieces: &[&[u8]], base: Option<Url>) -> Vec<Outcome> {
    rows::read(Format::Urls, pieces, base)
}

/// Reads a list as [`read`] does, and asks for one row after each piece.
fn read_slowly(pieces: &[&[u8]], base: Option<Url>) -> Vec<Outcome> {
    let mut rows = Rows::new("urls.txt", base);
    let mut all = Vec::new();
    for piece in pieces {
        rows.feed(piece);
        all.extend(rows.next_row());
    }
    rows.finish();
    all.extend(iter::from_fn(|| rows.next_row()));
    all
}

/// A list that pauses after every piece loses no URL, though options may come too late. A row of which some digests of
/// pieces come too late is an error.
fn assert_settled(pieces: &[&[u8]], base: Option<Url>, all: &[Outcome]) {
    let mut rows = Rows::new("urls.txt", base);
    let mut settled = Vec::new();
    for piece in pieces {
        rows.feed(piece);
        rows.settle();
        settled.extend(iter::from_fn(|| rows.next_row()));
        assert!(!rows.is_holding());
    }
    rows.finish();
    settled.extend(iter::from_fn(|| rows.next_row()));
    assert!(rows.is_finished());
    for row in all.iter().flatten() {
        let is_same = |given: &Row| given.url == row.url && given.location == row.location;
        let times = settled.iter().flatten().filter(|given| is_same(given));
        let options = row.options.as_ref();
        let has_pieces = options.is_some_and(|options| options.pieces.is_some());
        let is_error = has_pieces && settled.iter().any(Result::is_err);
        assert!(times.count() == 1 || is_error, "{}", row.location);
    }
}

/// Each line that is not indented, blank or a comment gives a row or an error, and so do options above the first.
fn assert_complete(all: &[Outcome], list: &[u8]) {
    let lines: Vec<u64> = all.iter().map(line).collect();
    assert!(lines.is_sorted_by(|a, b| a < b), "{lines:?}");
    if list.starts_with(b"\xff\xfe") || list.starts_with(b"\xfe\xff") {
        assert_eq!(lines, [1]);
        return;
    }
    let list = list.strip_prefix("\u{feff}".as_bytes()).unwrap_or(list);
    let (mut entries, mut orphans) = (0, 0);
    for line in list.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.iter().find(|byte| !b" \t".contains(byte)) {
            None | Some(b'#') => {}
            Some(_) if !b" \t".contains(&line[0]) => entries += 1,
            Some(_) if entries == 0 => orphans = 1,
            Some(_) => {}
        }
    }
    assert_eq!(all.len(), entries + orphans);
}

fn line(outcome: &Outcome) -> u64 {
    match outcome {
        Ok(row) => row.location.line,
        Err(error) => error.location.line,
    }
}
