//! Lists of URLs (`list::Rows`): any cut gives the same rows, no line is lost, every row can be fetched, and every error
//! can be printed.

use std::iter;

use gannet::http::{Credentials, Expected, Field, Origin, auth};
use gannet::list::{ListError, Row, Rows, parse_url};
use url::Url;

use super::pieces;

/// Longer than this, in bytes, no message is.
const LONGEST_MESSAGE: usize = 1000;

type Outcome = Result<Row, ListError>;

/// Takes a list.
pub fn run(list: &[u8]) {
    let base = Url::parse("https://base.example/dir/list.txt?q").expect("a URL");
    for base in [None, Some(base)] {
        let all = read(&pieces::whole(list), base.clone());
        assert_complete(&all, list);
        all.iter().for_each(assert_fit);
        for pieces in [pieces::single(list), pieces::some(list, 1)] {
            assert_eq!(read(&pieces, base.clone()), all);
            assert_eq!(read_slowly(&pieces, base.clone()), all);
        }
        assert_settled(&pieces::some(list, 2), base, &all);
    }
}

/// All that a list gives.
fn read(pieces: &[&[u8]], base: Option<Url>) -> Vec<Outcome> {
    let mut rows = Rows::new("urls.txt", base);
    let mut all = Vec::new();
    for piece in pieces {
        rows.feed(piece);
        all.extend(iter::from_fn(|| rows.next_row()));
    }
    rows.finish();
    all.extend(iter::from_fn(|| rows.next_row()));
    assert!(rows.is_finished() && !rows.is_holding());
    all
}

/// The same, one row asked for at a time.
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

/// A list that pauses after every piece loses no URL, though options may come too late.
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
        let is_same = |given: &Row| given.url == row.url && given.place == row.place;
        let times = settled.iter().flatten().filter(|given| is_same(given));
        assert_eq!(times.count(), 1, "{}", row.place);
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
        Ok(row) => row.place.line,
        Err(error) => error.place.line,
    }
}

/// A row can be acted on, and an error printed, as they are.
fn assert_fit(outcome: &Outcome) {
    let row = match outcome {
        Ok(row) => row,
        Err(error) => {
            assert!(!error.message.contains(char::is_control), "{error:?}");
            assert!(error.message.len() < LONGEST_MESSAGE, "{error:?}");
            return;
        }
    };
    for url in iter::once(&row.url).chain(&row.mirrors) {
        assert!(Origin::of(url).is_ok(), "{url}");
        assert_eq!(parse_url(url.as_str(), None).as_ref(), Ok(url));
        assert_masked(url);
    }
    assert_ne!(row.out.as_deref(), Some(""));
    assert!(row.out.as_deref().is_none_or(is_plain));
    let mut algorithms: Vec<_> = row.digests().iter().map(Expected::algorithm).collect();
    algorithms.sort_unstable();
    assert!(algorithms.is_sorted_by(|a, b| a < b), "{algorithms:?}");
    let Some(options) = &row.options else { return };
    assert_ne!(options.dir.as_deref(), Some(""));
    for text in [&options.dir, &options.user_agent, &options.referer] {
        assert!(text.as_deref().is_none_or(is_plain));
    }
    for header in &options.headers {
        assert!(Field::parse(header).is_ok(), "{header:?}");
    }
}

/// What is shown of a URL has no userinfo, and is a URL still.
fn assert_masked(url: &Url) {
    let shown = auth::masked(url);
    let mut bare = url.clone();
    if Credentials::from_url(url).is_some() {
        assert_eq!(bare.set_username("***"), Ok(()));
        assert_eq!(bare.set_password(None), Ok(()));
    }
    let again = Url::parse(&shown).expect("what is shown is a URL");
    assert_eq!(Origin::of(&again).ok(), Origin::of(url).ok());
    assert_eq!(again.username(), bare.username());
    assert_eq!(again.password(), bare.password());
}

fn is_plain(text: &str) -> bool {
    !text.contains(char::is_control)
}
