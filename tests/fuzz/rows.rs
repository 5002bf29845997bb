//! What holds for lists of every format: any cut gives the same rows, every row can be fetched,
//! every error can be printed.

use std::iter;

use gannet::http::{Credentials, Expected, Field, Origin, masked};
use gannet::internals::list::bad_row;
use gannet::list::{Format, ListError, Location, Row, RowOptions, Rows, parse_url};
use url::Url;

use super::pieces;

/// Longer than this, in bytes, no message is.
const LONGEST_MESSAGE: usize = 1000;

pub(super) type Outcome = Result<Row, ListError>;

/// Takes a list, in a format and in the one that it seems to be in.
pub(super) fn hold(format: Format, list: &[u8]) {
    let base = Url::parse("https://base.example/dir/list.txt?q").expect("a URL");
    for format in [format, Format::Auto] {
        for base in [None, Some(base.clone())] {
            let all = read(format, &pieces::whole(list), base.clone());
            all.iter().for_each(assert_fit);
            assert_written(&all, base.as_ref());
            for pieces in [pieces::single(list), pieces::some(list, 1)] {
                assert_eq!(read(format, &pieces, base.clone()), all);
            }
        }
    }
}

/// All that a list gives.
pub(super) fn read(format: Format, pieces: &[&[u8]], base: Option<Url>) -> Vec<Outcome> {
    let mut rows = Rows::in_format(format, "urls.txt", base.into());
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

/// Written as a list and read again, each row is the same row, and each error is one error.
pub(super) fn assert_written(all: &[Outcome], base: Option<&Url>) {
    let line = |outcome: &Outcome| match outcome {
        Ok(row) => row.to_string(),
        Err(error) => {
            let text = error.text.clone();
            let text = text.unwrap_or_else(|| bad_row(&error.to_string()));
            format!("{text}\n")
        }
    };
    let written: String = all.iter().map(line).collect();
    let again = read(Format::Auto, &[written.as_bytes()], base.cloned());
    assert_eq!(again.len(), all.len(), "{written:?}");
    for (was, is) in all.iter().zip(again) {
        match (was, is) {
            (Ok(was), Ok(is)) => assert_eq!(bare(was.clone()), bare(is), "{written:?}"),
            (Err(_), Err(_)) => {}
            (was, is) => panic!("{was:?} is read as {is:?} in {written:?}"),
        }
    }
}

/// A row but for where it stands, and for blanks that mean nothing or are marked as meant.
fn bare(mut row: Row) -> Row {
    row.location = Location::typed(1);
    let plain = |path: &mut Option<String>| {
        if let Some(path) = path {
            let inner = path
                .strip_prefix("./")
                .and_then(|path| path.strip_suffix("/."));
            if let Some(inner) = inner.map(str::to_owned) {
                *path = inner;
            }
        }
    };
    plain(&mut row.out);
    if let Some(options) = &mut row.options {
        plain(&mut options.dir);
        for header in &mut options.headers {
            *header = header.trim_end_matches([' ', '\t']).to_owned();
        }
    }
    // Where nothing is set, it does not matter that something could be.
    row.options = row
        .options
        .filter(|options| **options != RowOptions::default());
    row
}

/// A row can be acted on, and an error printed, as they are.
pub(super) fn assert_fit(outcome: &Outcome) {
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
    if let Some(pieces) = &options.pieces {
        assert!(pieces.count() > 0);
        assert!(options.size.is_none_or(|size| pieces.fit(size)));
    }
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
    let shown = masked(url);
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
