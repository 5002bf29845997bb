//! The rules of the other formats, and of telling them apart, held through [`Rows`].

use super::*;

const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

/// What a list gives in a format, a line each: `line url` with what else the row has, or the error.
fn shown(format: Format, base: Option<&str>, input: impl AsRef<[u8]>) -> Vec<String> {
    let base = base.map(|base| Url::parse(base).unwrap());
    let mut rows = Rows::in_format(format, "list", base.into());
    rows.feed(input.as_ref());
    rows.finish();
    let all = std::iter::from_fn(|| rows.next_row()).map(|outcome| match outcome {
        Ok(row) => show(&row),
        Err(error) => error.to_string(),
    });
    let all = all.collect();
    assert!(rows.is_finished());
    all
}

fn show(row: &Row) -> String {
    let mut text = format!("{} {}", row.location.line, row.url);
    row.mirrors
        .iter()
        .for_each(|mirror| text.push_str(&format!(" | {mirror}")));
    if let Some(out) = &row.out {
        text.push_str(&format!(" -> {out}"));
    }
    row.digests()
        .iter()
        .for_each(|digest| text.push_str(&format!(" {digest}")));
    if let Some(options) = &row.options {
        let dir = options.dir.iter().map(|dir| format!(" dir={dir}"));
        let size = options.size.iter().map(|size| format!(" size={size}"));
        let headers = options.headers.iter().map(|header| format!(" [{header}]"));
        let pieces = options.pieces.iter().map(|pieces| {
            let (count, algorithm) = (pieces.count(), pieces.algorithm());
            format!(" {count}*{} {algorithm}", pieces.length())
        });
        text.extend(dir.chain(size).chain(headers).chain(pieces));
    }
    text
}

#[test]
fn jsonl_has_an_object_a_line() {
    let everything = format!(
        r#"{{"url": "http://h/a", "mirrors": ["http://i/a"], "out": "x", "dir": "y", "checksum": "md5:{MD5}", "headers": {{"A": "b", "C": ["d", "e"]}}, "size": 7}}"#
    );
    assert_eq!(
        shown(
            Format::Jsonl,
            Some("http://base/dir/"),
            format!("{everything}\r\n\n{{\"url\":\"rel/b\",\"out\":null}}")
        ),
        [
            format!("1 http://h/a | http://i/a -> x md5:{MD5} dir=y size=7 [A: b] [C: d] [C: e]"),
            "3 http://base/dir/rel/b".to_owned(),
        ]
    );
}

#[test]
fn what_is_wrong_with_an_object_is_said() {
    let lines = [
        (
            r#"{"url":"http://h/a","speed":11}"#,
            r#"unknown key "speed""#,
        ),
        (r#"{"out":"a"}"#, r#"no "url""#),
        (r#"{"url":1}"#, r#""url" is not a string"#),
        (r#"{"url":"ftp://h/a"}"#, "only http and https"),
        (
            r#"{"url":"http://h/a","size":-1}"#,
            r#""size" is not a number of bytes"#,
        ),
        (
            r#"{"url":"http://h/a","size":"10 M"}"#,
            r#""size" "10 M" is not a size"#,
        ),
        (r#"{"url":"http://h/a","size":1.5}"#, r#""size" is not"#),
        (
            r#"{"url":"http://h/a","out":"x/"}"#,
            r#""out" names a folder"#,
        ),
        (r#"{"url":"http://h/a","out":""}"#, r#""out" has no value"#),
        (
            r#"{"url":"http://h/a","checksum":"md5:0"}"#,
            "32 hex digits",
        ),
        (
            r#"{"url":"http://h/a","headers":{"A b":"c"}}"#,
            "bad header name",
        ),
        (
            r#"{"url":"http://h/a","headers":{"A":"b\nC: d"}}"#,
            "control character",
        ),
        (r#"{"url":"http://h/a","headers":[]}"#, "is not an object"),
        (
            r#"{"url":"http://h/a","mirrors":[1]}"#,
            r#""mirrors" is not a string"#,
        ),
        (r#"{"url":"http://h/a"} x"#, "not JSON (column 22)"),
        ("[]", "not a JSON object"),
        ("http://h/a", "not JSON"),
    ];
    for (line, part) in lines {
        let all = shown(
            Format::Jsonl,
            None,
            format!("{line}\n{{\"url\":\"http://h/b\"}}"),
        );
        assert_eq!(all.len(), 2, "{line}");
        assert!(
            all[0].starts_with("list:1: ") && all[0].contains(part),
            "{}",
            all[0]
        );
        assert_eq!(all[1], "2 http://h/b");
    }
    let secret = shown(
        Format::Jsonl,
        None,
        r#"{"url":"http://me:secret@h:99999/"}"#,
    );
    assert!(!secret[0].contains("secret"), "{secret:?}");
}

#[test]
fn sums_are_names_below_the_base_and_keep_their_folders() {
    let list = format!(
        "# comment\n{MD5}  a b?.txt\n{MD5} *./dir/\u{fc}#%41\nMD5 (c:d) = {MD5}\n{MD5}  https://i/x\n"
    );
    assert_eq!(
        shown(Format::Sums, Some("http://h/pub/SHA256SUMS"), list),
        [
            format!("2 http://h/pub/a%20b%3F.txt -> a b?.txt md5:{MD5}"),
            format!("3 http://h/pub/dir/%C3%BC%23%2541 -> dir/\u{fc}#%41 md5:{MD5}"),
            format!("4 http://h/pub/c:d -> c:d md5:{MD5}"),
            format!("5 https://i/x md5:{MD5}"),
        ]
    );
}

#[test]
fn what_is_wrong_with_an_entry_is_said() {
    let faults = shown(
        Format::Sums,
        Some("http://h/"),
        format!(
            "{MD5}\n{MD5}  /etc/x\n{MD5}  d/\n00  a\nBLAKE2b (a) = 00\n\\{MD5}  a\\n\n{MD5}  \n"
        ),
    );
    let parts = [
        "not a digest and a name",
        "an absolute path",
        "no file name",
        "no digest has this number of digits",
        "unknown algorithm 'BLAKE2b'",
        "a control character in the name",
        "a digest without a name",
    ];
    assert_eq!(faults.len(), parts.len(), "{faults:?}");
    for (line, (fault, part)) in faults.iter().zip(parts).enumerate() {
        assert!(
            fault.starts_with(&format!("list:{}: {part}", line + 1)),
            "{fault}"
        );
    }
    let without_base = shown(Format::Sums, None, format!("{MD5}  a\n"));
    assert!(without_base[0].contains("base URL"), "{without_base:?}");
}

#[test]
fn a_metalink_has_files_with_mirrors_in_turn_and_the_strongest_digest() {
    let document = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <file name="dir/example.ext">
    <size>7</size>
    <hash type="md5">{MD5}</hash>
    <hash type="sha-1">a9993e364706816aba3e25717850c26c9cd0d89d</hash>
    <hash type="whirlpool">00</hash>
    <pieces length="4" type="md5"><hash>{other}</hash><hash>{other}</hash></pieces>
    <pieces length="7" type="sha-1"><hash> {other}00000000 </hash></pieces>
    <pieces length="1" type="whirlpool"><hash>00</hash></pieces>
    <url location="de" priority="20">http://h/late</url>
    <url>http://h/last</url>
    <url priority="1">ftp://h/not</url>
    <url location="fr" priority="1">  http://h/first?a&amp;b&#x3D;c </url>
    <url priority="20"><![CDATA[http://h/later]]></url>
    <metaurl mediatype="torrent" priority="1">http://h/torrent</metaurl>
  </file>
  <file name="two"><url>https://i/two</url></file>
</metalink>"#,
        other = "0".repeat(32)
    );
    assert_eq!(
        shown(Format::Metalink, None, document),
        [
            "4 http://h/first?a&b=c | http://h/late | http://h/later | http://h/last -> dir/example.ext sha1:a9993e364706816aba3e25717850c26c9cd0d89d size=7 1*7 sha1",
            "19 https://i/two -> two",
        ]
    );
}

#[test]
fn a_metalink_of_version_3_is_understood() {
    let document = format!(
        r#"<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="a"><size>3</size>
        <verification><hash type="md5">{MD5}</hash><pieces length="2" type="md5"><hash piece="0">{MD5}</hash><hash piece="1">{MD5}</hash></pieces></verification>
        <resources><url type="http" preference="10">http://h/a</url><url type="http" preference="100">http://i/a</url></resources>
        </file></files></metalink>"#
    );
    assert_eq!(
        shown(Format::Metalink, None, document),
        [format!(
            "1 http://i/a | http://h/a -> a md5:{MD5} size=3 2*2 md5"
        )]
    );
}

#[test]
fn a_file_that_cannot_be_used_does_not_spoil_the_others() {
    let document = "<metalink>\n<file><url>http://h/a</url></file>\n<file name='b'></file>\n\
        <file name='c'><hash type='md5'>0</hash><url>http://h/c</url></file>\n\
        <file name='d'><size>x</size><url>http://h/d</url></file>\n<file name='e'><url>http://</url></file>\n\
        <file name='f'><url>http://h/f</url></file>\n\
        <file name='g'><pieces length='0' type='md5'></pieces><url>http://h/g</url></file>\n\
        <file name='h'><pieces length='1' type='md5'></pieces><url>http://h/h</url></file>\n\
        <file name='i'><pieces length='1' type='md5'><hash>0</hash></pieces><url>http://h/i</url></file>\n\
        <file name='j'><size>3</size><pieces length='1' type='md5'><hash piece='1'>900150983cd24fb0d6963f7d28e17f72</hash></pieces></file></metalink>";
    let all = shown(Format::Metalink, None, document);
    let parts = [
        "list:2: <file> without a name",
        "list:3: no http or https URL for \"b\"",
        "list:4: <hash>: a md5 digest is 32 hex digits",
        "list:5: <size> is \"x\"",
        "list:6: <url>: no host",
        "7 http://h/f",
        "list:8: <pieces> without a length",
        "list:9: 0 <pieces> of 1 bytes",
        "list:10: <hash> of a piece: a md5 digest is 32 hex digits",
        "list:11: <pieces> are out of order",
    ];
    assert_eq!(all.len(), parts.len(), "{all:?}");
    for (shown, part) in all.iter().zip(parts) {
        assert!(shown.starts_with(part), "{shown}");
    }
}

#[test]
fn a_torn_byte_order_mark_is_no_mark_however_the_list_is_cut() {
    let list: &[&[u8]] = &[b"\xEF", b"\r\n ", b"<metalink/>"];
    let whole = shown(Format::Auto, None, list.concat());
    let mut rows = Rows::in_format(Format::Auto, "list", None.into());
    let mut cut = Vec::new();
    for piece in list {
        rows.feed(piece);
        cut.extend(std::iter::from_fn(|| rows.next_row()));
    }
    rows.finish();
    cut.extend(std::iter::from_fn(|| rows.next_row()));
    let cut: Vec<_> = cut
        .into_iter()
        .map(|row| row.unwrap_err().to_string())
        .collect();
    assert_eq!(cut, whole);
    assert!(
        whole[0].starts_with("list:1: the line is not UTF-8"),
        "{whole:?}"
    );
    assert!(shown(Format::Auto, None, b"\xEF\xBB\xBF\n <metalink></metalink>").is_empty());
}

#[test]
fn a_hostile_document_is_one_fault() {
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>\n<metalink><file name='x'><url>http://h/&b;</url></file></metalink>";
    let cases: [(Vec<u8>, &str); 10] = [
        (bomb.into(), "list:2: a reference to an entity"),
        (
            "<metalink>".repeat(1000).into(),
            "list:1: the elements are nested too deeply",
        ),
        (
            "<metalink><file name='a'>".into(),
            "list:1: the document ends",
        ),
        ("<metalink></file>".into(), "list:1: not XML"),
        (
            "<rss></rss>".into(),
            "list:1: not a metalink: the root element is \"rss\"",
        ),
        (
            "<html></html>".into(),
            "list:1: not a metalink but a web page",
        ),
        (
            "<!DOCTYPE html>\n<title>x</title>".into(),
            "list:1: not a metalink but a web page",
        ),
        ("<metalink>\u{0}\n<".into(), "list:2: not XML"),
        (
            [b"<metalink>".to_vec(), vec![0xff; 9]].concat(),
            "list:1: not XML",
        ),
        (
            [b"<metalink>".to_vec(), vec![b' '; 17 << 20]].concat(),
            "list:1: the metalink is larger than 16 MiB",
        ),
    ];
    for (document, part) in cases {
        let all = shown(Format::Auto, None, document);
        assert_eq!(all.len(), 1, "{part}: {all:?}");
        assert!(all[0].starts_with(part), "{part}: {all:?}");
    }
    // What has no element at all is no empty list.
    let all = shown(Format::Metalink, None, "http://h/a\n");
    assert_eq!(all, ["list:2: not a metalink: it has no element"]);
    for blank in ["", " \n", "<metalink/>"] {
        assert_eq!(shown(Format::Metalink, None, blank), [""; 0]);
    }
    let long = format!(
        "<metalink><file name='a'><url>http://h/{}</url></file></metalink>",
        "x".repeat(1 << 20)
    );
    assert!(shown(Format::Metalink, None, long)[0].contains("longer than 64 KiB"));
}

#[test]
fn the_beginning_tells_the_format() {
    for (list, first) in [
        ("http://h/a\n".to_owned(), "1 http://h/a"),
        (
            "\u{feff}\r\n# x\n{\"url\":\"http://h/a\"}\n".to_owned(),
            "3 http://h/a",
        ),
        (format!("\n{MD5}  a\n"), "2 http://base/a -> a md5:"),
        (format!("MD5 (a) = {MD5}\n"), "1 http://base/a -> a md5:"),
        (
            "\u{feff}\n <metalink><file name='a'>\n<url>http://h/a</url></file></metalink>"
                .to_owned(),
            "2 http://h/a -> a",
        ),
        (format!("{MD5}\n"), "1 http://base/9001"),
        ("   http://h/a\n".to_owned(), "list:1: an indented"),
    ] {
        let all = shown(Format::Auto, Some("http://base/"), &list);
        assert_eq!(all.len(), 1, "{list:?}: {all:?}");
        assert!(all[0].starts_with(first), "{list:?}: {all:?}");
    }
    // A first line that is too long tells it too.
    let long = "x".repeat(100_000);
    for list in [
        format!("{{\"url\":\"{long}\"}}\n{{\"url\":\"http://h/a\"}}\n"),
        format!("http://h/{long}\nhttp://h/a\n"),
    ] {
        let all = shown(Format::Auto, None, &list);
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(
            all[0].contains("64 KiB") && all[1] == "2 http://h/a",
            "{all:?}"
        );
    }
    assert_eq!(
        shown(Format::Auto, None, format!("#{long}\nhttp://h/a")).len(),
        1
    );
    for blank in ["", "\n \r\n", "\u{feff}", "# comment\n"] {
        assert!(shown(Format::Auto, None, blank).is_empty(), "{blank:?}");
    }
}

#[test]
fn a_line_that_never_ends_costs_no_memory() {
    for format in [Format::Auto, Format::Jsonl, Format::Sums] {
        let mut rows = Rows::in_format(format, "list", None.into());
        let mut errors = Vec::new();
        for _ in 0..200 {
            rows.feed(&[b'x'; 100_000]);
            errors.extend(std::iter::from_fn(|| rows.next_row()));
        }
        rows.finish();
        errors.extend(std::iter::from_fn(|| rows.next_row()));
        assert_eq!(errors.len(), 1);
        assert!(errors[0].as_ref().unwrap_err().message.contains("64 KiB"));
    }
}
