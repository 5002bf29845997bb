//! The rules of lists, held through [`Rows`]: first by example, then over any input and any cut of it.

use proptest::prelude::*;

use super::*;

mod formats;

type Outcome = Result<Row, ListError>;

/// All that a list gives.
fn read(input: impl AsRef<[u8]>) -> Vec<Outcome> {
    read_pieces([input.as_ref()], None)
}

fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, base: Option<Url>) -> Vec<Outcome> {
    let mut rows = Rows::new("urls.txt", base);
    let mut all = Vec::new();
    for piece in pieces {
        rows.feed(piece);
        all.extend(std::iter::from_fn(|| rows.next_row()));
    }
    rows.finish();
    all.extend(std::iter::from_fn(|| rows.next_row()));
    assert!(rows.is_finished() && !rows.is_holding());
    all
}

/// The one row that a list gives.
fn row(input: &str) -> Row {
    let mut all = read(input);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0).unwrap()
}

/// What a list gives, a line each: `line url` or the error.
fn shown(input: impl AsRef<[u8]>) -> Vec<String> {
    let show = |outcome: Outcome| match outcome {
        Ok(row) => format!("{} {}", row.location.line, row.url),
        Err(error) => error.to_string(),
    };
    read(input).into_iter().map(show).collect()
}

#[test]
fn one_url_a_line_with_comments_blanks_crlf_and_a_bom() {
    let list =
        "\u{feff}# a comment\r\nhttp://h/a\r\n\r\n   \t\n# another\nhttps://h/b  \nexample.com/c";
    assert_eq!(
        shown(list),
        ["2 http://h/a", "6 https://h/b", "7 http://example.com/c"]
    );
    assert!(read("").is_empty());
    assert!(read("# only\n\n").is_empty());
}

#[test]
fn tabs_separate_the_mirrors_of_one_file() {
    let row = row("http://a/x\thttps://b/x\t\thttp://c/x\t\n");
    assert_eq!(row.url.as_str(), "http://a/x");
    assert_eq!(
        row.mirrors.iter().map(Url::as_str).collect::<Vec<_>>(),
        ["https://b/x", "http://c/x"]
    );
    assert_eq!(row.out, None);
}

#[test]
fn one_space_separates_a_destination() {
    assert_eq!(
        row("http://h/x sub/name.iso\n").out.as_deref(),
        Some("sub/name.iso")
    );
    assert_eq!(row("http://h/x   name  \n").out.as_deref(), Some("name"));
    assert_eq!(
        shown(
            "http://h/x a b\nhttp://h/x http://h/y\nhttp://h/x sub/\nhttp://a/x\tname\nhttp://a/x\thttp://b/x name\n"
        ),
        [
            "urls.txt:1: more than one word after the URL (write a space in a URL as %20; for a name with spaces use out=): \"http://h/x a b\"",
            "urls.txt:2: a URL instead of a file name (separate mirrors by tabs): \"http://h/x http://h/y\"",
            "urls.txt:3: names a folder, not a file: \"http://h/x sub/\"",
            "urls.txt:4: a mirror without a scheme (separate a file name by a space): \"http://a/x\\tname\"",
            "urls.txt:5: a file name beside mirrors (use out=): \"http://a/x\\thttp://b/x name\"",
        ]
    );
}

#[test]
fn a_blank_within_a_url_is_not_read_as_the_start_of_a_name() {
    for line in [
        "http://h/my file.zip",
        "http://h/a/my%20own file.tar.gz",
        "http://h/v1.2 Setup.exe",
        "http://h/track 01.mp3",
    ] {
        let all = shown(line);
        assert!(all[0].contains("write it as %20"), "{all:?}");
    }
    for line in [
        "http://h/x name",
        "http://h/x.zip my.zip",
        "http://h/get?id=1 a.zip",
        "http://h/ a.zip",
        "http://h/x sub/a.zip",
        "http://h/x v1.2",
    ] {
        assert!(row(line).out.is_some(), "{line}");
    }
}

#[test]
fn what_is_no_list_is_named_as_what_it_is() {
    for (list, part) in [
        ("http://h/a\rhttp://h/b\r", "end in CR alone"),
        ("[\n", "JSON array"),
        ("[{\"url\":\"http://h/a\"}]", "JSON array"),
        ("[\"http://h/a\"]", "JSON array"),
        ("\"http://h/a\"\n", "in quotes"),
        ("'http://h/a',\n", "in quotes"),
    ] {
        let all = shown(list);
        assert!(all[0].contains(part), "{list:?}: {all:?}");
    }
    let all = shown(b"\x1f\x8b\x08\0");
    assert!(all[0].contains("gzip"), "{all:?}");
    assert_eq!(row("[::1]/a").url.as_str(), "http://[::1]/a");
}

#[test]
fn indented_lines_set_options_of_the_url_above() {
    let row = row(
        "http://h/x\n  out=My name.iso\n\tdir = sub/dir\n\n# between\n header=A: b=c\n header=Empty:\n    \
                   user-agent=me/1\n # out=other\n referer=http://r/\n max-size=1.5K\n split=4\n",
    );
    assert_eq!(row.out.as_deref(), Some("My name.iso"));
    let options = RowOptions {
        dir: Some("sub/dir".into()),
        headers: vec!["A: b=c".into(), "Empty:".into()],
        user_agent: Some("me/1".into()),
        referer: Some("http://r/".into()),
        max_size: Some(1536),
        digests: Vec::new(),
        split: Some(Split::Most(NonZeroU32::new(4).unwrap())),
        size: None,
        pieces: None,
    };
    assert_eq!(row.options, Some(Box::new(options)));
    assert_eq!(row.location.to_string(), "urls.txt:1");
}

#[test]
fn digests_come_from_options_and_fragments() {
    let (md5, sha1) = (
        "900150983cd24fb0d6963f7d28e17f72",
        "a9993e364706816aba3e25717850c26c9cd0d89d",
    );
    let both = [format!("md5:{md5}"), format!("sha1:{sha1}")];
    for list in [
        format!("http://h/x\n checksum=md5={md5}\n checksum=sha-1={sha1}\n"),
        format!(
            "http://h/x#md5={md5}\n checksum=sha1:{sha1}\n checksum=sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n"
        ),
        format!("http://h/x#md5={md5}\thttp://i/x#sha1={sha1}&md5={md5}\n"),
        format!("http://h/x#sha1={sha1}&md5={md5} name\n"),
    ] {
        let row = row(&list);
        let mut digests: Vec<_> = row.digests().iter().map(ToString::to_string).collect();
        digests.sort();
        assert_eq!(digests, both, "{list}");
    }
    let other = "0".repeat(32);
    assert_eq!(
        shown(format!(
            "http://h/x#md5={md5}\thttp://i/x#md5={other}\nhttp://h/x#md5={md5}\n checksum=md5:{other}\nhttp://h/x#sha256=ab\n"
        )),
        [
            format!("urls.txt:1: two different md5 digests for one file: \"http://h/x#md5={md5}\\thttp://i/x#md5={}…\"", &other[..16]),
            format!("urls.txt:3: checksum= is not usable: two different md5 digests for one file (options of \"http://h/x#md5={md5}\")"),
            "urls.txt:4: the digest in the fragment: a sha256 digest is 64 hex digits: \"http://h/x#sha256=ab\"".to_owned(),
        ]
    );
}

#[test]
fn a_bare_url_carries_nothing_else() {
    let row = row("http://h/x\n");
    assert_eq!(
        (row.mirrors.capacity(), row.out, row.options),
        (0, None, None)
    );
}

#[test]
fn a_bad_option_makes_its_row_an_error_once() {
    let errors = shown(
        "http://me:pw@h/x\n out=a\n speed=11\n colour=red\n dir=b\nhttp://h/y\n checksum=sha-256=00\nhttp://h/z\n",
    );
    assert_eq!(
        errors,
        [
            "urls.txt:3: unknown option \"speed\" (options of \"http://***@h/x\")",
            "urls.txt:7: checksum= is not usable: a sha256 digest is 64 hex digits (options of \"http://h/y\")",
            "8 http://h/z",
        ]
    );
}

#[test]
fn every_fault_of_an_option_is_named() {
    for (option, fault) in [
        (
            "split=0",
            "split= is neither a number of at least 1 nor \"auto\"",
        ),
        ("out=", "out= has no value"),
        ("out=sub/", "out= names a folder, not a file"),
        ("out=a\tb", "out= has a control character"),
        ("out=a\n out=b", "out= is given twice"),
        ("dir=a\n dir=a", "dir= is given twice"),
        ("dir=", "dir= has no value"),
        ("header=NoColon", "header= is not \"Name: value\""),
        ("header=Bad name: x", "header= has a bad header name"),
        ("header=: x", "header= has a bad header name"),
        ("header=A: x\rB: y", "header= has a control character"),
        ("header=A: x\0", "header= has a control character"),
        ("user-agent=a\x1bb", "user-agent= has a control character"),
        ("max-size=big", "max-size= \"big\" is not a size"),
        ("http://h/other", "an indented URL"),
        ("http://h/other?a=b", "an indented URL"),
        ("word", "an option line without \"=\""),
        ("Out=x", "unknown option \"Out\""),
    ] {
        let errors = shown(format!("http://h/x\n {option}\n"));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(fault), "{option:?}: {}", errors[0]);
        assert!(!errors[0].contains(char::is_control));
    }
    assert!(shown(b"http://h/x\n out=\xff\n")[0].contains("not UTF-8"));
}

#[test]
fn a_header_keeps_tabs_within_its_value() {
    assert_eq!(
        row("http://h/x\n header=A: b\tc\n")
            .options
            .unwrap()
            .headers,
        ["A: b\tc"]
    );
}

#[test]
fn an_option_without_a_url_is_an_error_once() {
    assert_eq!(
        shown(" out=a\n dir=b\nhttp://h/x\n"),
        [
            "urls.txt:1: an indented option line without a URL above it",
            "3 http://h/x"
        ]
    );
}

#[test]
fn options_below_a_bad_url_go_down_with_it() {
    assert_eq!(
        shown("ftp://h/x\n out=a\nhttp://h/y\n"),
        [
            "urls.txt:1: only http and https URLs can be fetched: \"ftp://h/x\"",
            "3 http://h/y"
        ]
    );
}

#[test]
fn no_password_is_shown_even_when_torn_apart() {
    for line in [
        "http://me:sec ret@h/x",
        "http://me:sec\tret@h/x",
        "ftp://me:sec@h/x",
        "http://me:sec@h/x a b",
    ] {
        let errors = shown(line);
        assert!(
            errors[0].starts_with("urls.txt:1: ") && !errors[0].contains("sec"),
            "{errors:?}"
        );
    }
}

#[test]
fn a_line_over_64_kib_is_one_error_and_the_rest_goes_on() {
    let long = "x".repeat(10 << 20);
    let list = format!(
        "http://h/a\nhttp://h/{long}\n out=b\nhttp://h/c\n header=A: {long}\nhttp://h/d\n#{long}\n out=d\n"
    );
    let errors = shown(list);
    assert_eq!(errors[0], "1 http://h/a");
    assert_eq!(errors[1], "urls.txt:2: line is longer than 64 KiB");
    assert_eq!(
        errors[2],
        "urls.txt:5: line is longer than 64 KiB (options of \"http://h/c\")"
    );
    assert_eq!(errors[3..], ["6 http://h/d"]);
}

#[test]
fn binary_lines_are_an_error_each_and_bounded() {
    let errors = shown(b"\x7fELF\x02\x01\0\0\n\xff\xd8\0\0\nhttp://h/\0x\nhttp://h/a\n");
    assert_eq!(errors.len(), 4);
    assert_eq!(
        errors[0],
        "urls.txt:1: control character in the URL: \"\\u{7f}ELF\\u{2}\\u{1}\\0\\0\""
    );
    assert_eq!(
        errors[1],
        "urls.txt:2: the line is not UTF-8: \"\\xff\\xd8\\0\\0\""
    );
    assert_eq!(errors[3], "4 http://h/a");
    assert!(shown([1; 60_000])[0].len() < 200);
}

#[test]
fn utf16_is_one_error() {
    assert_eq!(
        shown(b"\xff\xfeh\0t\0\n\0 \0x\0\n\0"),
        ["urls.txt:1: the list is UTF-16 and must be UTF-8"]
    );
}

#[test]
fn a_base_resolves_relative_references() {
    let base = Url::parse("http://base/dir/").unwrap();
    let rows = read_pieces([&b"a.iso\tb/a.iso\n../c name\n"[..]], Some(base));
    let rows: Vec<Row> = rows.into_iter().map(Result::unwrap).collect();
    assert_eq!(rows[0].url.as_str(), "http://base/dir/a.iso");
    assert_eq!(rows[0].mirrors[0].as_str(), "http://base/dir/b/a.iso");
    assert_eq!(
        (rows[1].url.as_str(), rows[1].out.as_deref()),
        ("http://base/c", Some("name"))
    );
}

#[test]
fn standard_input_is_called_so() {
    let mut rows = Rows::new("-", None);
    rows.feed(b"nothing\n");
    rows.finish();
    let error = rows.next_row().unwrap().unwrap_err();
    assert!(error.to_string().starts_with("standard input:1: not a URL"));
}

#[test]
fn a_row_is_held_until_the_next_line_or_settle_shows_it_complete() {
    let mut rows = Rows::new("-", None);
    assert!(!rows.is_holding());
    rows.feed(b"http://h/a\n");
    assert!(rows.next_row().is_none());
    assert!(rows.is_holding());
    rows.settle();
    assert_eq!(rows.next_row().unwrap().unwrap().url.path(), "/a");
    assert!(rows.next_row().is_none());
    assert!(!rows.is_holding() && !rows.is_finished());

    rows.feed(b"http://h/b\nhttp://h/c");
    assert_eq!(rows.next_row(), None);
    rows.settle();
    assert_eq!(rows.next_row().unwrap().unwrap().url.path(), "/b");
    assert_eq!(rows.next_row(), None, "a line without its end is not read");
    rows.finish();
    assert_eq!(rows.next_row().unwrap().unwrap().url.path(), "/c");
    assert!(rows.is_finished());
}

#[test]
fn settling_waits_for_an_option_that_has_begun() {
    let mut rows = Rows::new("-", None);
    rows.feed(b"http://h/a\n  ou");
    rows.settle();
    assert_eq!(rows.next_row(), None);
    assert!(!rows.is_holding());
    rows.feed(b"t=name\n");
    assert_eq!(rows.next_row(), None);
    assert!(rows.is_holding());
    rows.settle();
    assert_eq!(
        rows.next_row().unwrap().unwrap().out.as_deref(),
        Some("name")
    );
}

#[test]
fn options_that_come_after_settling_are_an_error_once() {
    let mut rows = Rows::new("-", None);
    rows.feed(b"http://h/a\n");
    rows.settle();
    assert!(rows.next_row().unwrap().is_ok());
    rows.feed(b" out=x\n dir=y\n");
    rows.settle();
    let error = rows.next_row().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "standard input:2: the options arrived too late: write them together with their URL"
    );
    rows.feed(b" referer=z\nhttp://h/b\n");
    rows.finish();
    assert_eq!(rows.next_row().unwrap().unwrap().url.path(), "/b");
    assert!(rows.is_finished());
}

#[test]
fn bytes_after_the_end_are_ignored() {
    let mut rows = Rows::new("-", None);
    rows.finish();
    rows.feed(b"http://h/a\n");
    assert!(rows.next_row().is_none() && rows.is_finished());
}

/// Lines of every kind, and noise.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "http://h/a",
        "https://me:pw@h/b?c",
        "example.com/d e",
        "http://a/x\thttp://b/x",
        "nonsense",
        "ftp://h/x",
        "#note",
        "",
        "  ",
        "\t",
        " out=a",
        "\tdir=b",
        " header=A: b",
        " bad",
        " # note",
        " max-size=1K",
        "\u{feff}",
        "http://h/\0",
    ]);
    prop_oneof![
        8 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (0_usize..3, prop::sample::select(&b"h #\t"[..]))
            .prop_map(|(over, first)| [vec![first], vec![b'x'; lines::LONGEST_LINE - 2 + over]].concat()),
    ]
}

fn list() -> impl Strategy<Value = Vec<u8>> {
    (
        prop::collection::vec((line(), any::<bool>()), 0..30),
        prop::sample::select(vec!["", "\u{feff}"]),
    )
        .prop_map(|(lines, mark)| {
            let mut list = mark.as_bytes().to_vec();
            for (line, is_crlf) in lines {
                list.extend(line);
                list.extend(if is_crlf { &b"\r\n"[..] } else { b"\n" });
            }
            list.pop();
            list
        })
}

/// A list in pieces of the given lengths, over and over.
fn pieces<'a>(list: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = list;
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, left) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = left;
    }
    pieces
}

/// How many rows and errors the rules promise: one for each line that is not indented, blank or a comment, and one
/// for options above the first of them.
fn promised(list: &[u8]) -> usize {
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
    entries + orphans
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_cut_gives_the_same_rows_and_errors(list in list(), lengths in prop::collection::vec(1_usize..200, 1..8)) {
        prop_assert_eq!(read_pieces(pieces(&list, &lengths), None), read(&list));
    }

    #[test]
    fn a_slow_reader_gets_the_same_rows_and_errors(list in list(), lengths in prop::collection::vec(1_usize..200, 1..8)) {
        let mut rows = Rows::new("urls.txt", None);
        let mut slow = Vec::new();
        for piece in pieces(&list, &lengths) {
            rows.feed(piece);
            slow.extend(rows.next_row());
        }
        rows.finish();
        slow.extend(std::iter::from_fn(|| rows.next_row()));
        prop_assert_eq!(slow, read(&list));
    }

    #[test]
    fn nothing_is_lost(list in list()) {
        let all = read(&list);
        if !list.starts_with(b"\xff\xfe") && !list.starts_with(b"\xfe\xff") {
            prop_assert_eq!(all.len(), promised(&list));
        }
        let lines: Vec<u64> = all.iter().map(|outcome| match outcome {
            Ok(row) => row.location.line,
            Err(error) => error.location.line,
        }).collect();
        prop_assert!(lines.is_sorted_by(|a, b| a < b), "{:?}", lines);
    }

    #[test]
    fn any_bytes_give_rows_or_printable_errors(list: Vec<u8>, lengths in prop::collection::vec(1_usize..9, 1..4)) {
        for outcome in read_pieces(pieces(&list, &lengths), None) {
            if let Err(error) = outcome {
                prop_assert!(!excerpt::has_control(&error.to_string()));
                prop_assert!(error.message.len() < 1000);
            }
        }
    }

    #[test]
    fn settling_anywhere_loses_no_url(list in list(), lengths in prop::collection::vec(1_usize..200, 1..8)) {
        let mut rows = Rows::new("urls.txt", None);
        let mut settled = Vec::new();
        for piece in pieces(&list, &lengths) {
            rows.feed(piece);
            rows.settle();
            let is_holding = rows.is_holding();
            let before = settled.len();
            settled.extend(std::iter::from_fn(|| rows.next_row()));
            prop_assert!(!is_holding || settled.len() > before);
            prop_assert!(!rows.is_holding());
        }
        rows.finish();
        settled.extend(std::iter::from_fn(|| rows.next_row()));
        prop_assert!(rows.is_finished());
        let given = |url: &Url| settled.iter().flatten().filter(|row| row.url == *url).count();
        for row in read(&list).iter().flatten() {
            prop_assert!(given(&row.url) >= 1, "{}", row.url);
        }
    }
}
