//! Content-Disposition: the file name that a server suggests (RFC 6266). It is not sanitised here.

use percent_encoding::percent_decode;

use super::grammar::trim;

/// The file name in a Content-Disposition, as sent; `None` if there is none or it is empty.
///
/// A valid `filename*` (RFC 8187: UTF-8 or ISO-8859-1) takes precedence over `filename`; of repeated parameters the
/// first counts. Accepts the invalid values that real servers send: unquoted with spaces, in single quotes, without a
/// closing quote, in raw UTF-8 or Latin-1, percent-encoded as in a URL, without a disposition type. Of a path of
/// Windows, with a drive or from the root, what follows the last backslash is the name, whether its backslashes are
/// escaped or not.
///
/// ```
/// use gannet::internals::http::disposition::file_name;
/// let value = br#"attachment; filename="EURO.txt"; filename*=utf-8''%e2%82%ac.txt"#;
/// assert_eq!(file_name(value).as_deref(), Some("€.txt"));
/// ```
pub fn file_name(value: &[u8]) -> Option<String> {
    let mut plain = None;
    let mut extended = None;
    let mut rest = value;
    while !rest.is_empty() {
        let parameter;
        (parameter, rest) = next_parameter(rest);
        let Some((name, value)) = parameter else {
            continue;
        };
        if plain.is_none() && name.eq_ignore_ascii_case(b"filename") {
            plain = Some(value);
        } else if extended.is_none() && name.eq_ignore_ascii_case(b"filename*") {
            extended = decode_extended(&value);
        }
    }
    let name = extended.or_else(|| plain.map(decode_raw))?;
    let name = if is_windows_path(name.as_bytes()) {
        last_component(&name).to_owned()
    } else {
        name
    };
    (!name.is_empty()).then_some(name)
}

/// Whether a name is an absolute path of Windows: with a drive, or of a share.
fn is_windows_path(name: &[u8]) -> bool {
    name.starts_with(b"\\") || has_drive(name)
}

/// Whether a path begins with a drive and a backslash.
fn has_drive(path: &[u8]) -> bool {
    matches!(path, [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic())
}

/// What follows the last backslash, apart from those at the end.
fn last_component(path: &str) -> &str {
    let path = path.trim_end_matches('\\');
    path.rsplit('\\').next().unwrap_or(path)
}

/// The name of a parameter, and its value without quotes.
type Parameter<'a> = (&'a [u8], Vec<u8>);

/// The first parameter (`None` for a disposition type), and the bytes after its semicolon.
fn next_parameter(bytes: &[u8]) -> (Option<Parameter<'_>>, &[u8]) {
    let end = bytes.iter().position(|byte| matches!(byte, b'=' | b';'));
    let end = end.unwrap_or(bytes.len());
    let name = trim(&bytes[..end]);
    let Some(b'=') = bytes.get(end) else {
        return (None, bytes.get(end + 1..).unwrap_or_default());
    };
    let value = trim(&bytes[end + 1..]);
    let (value, after) = if let [b'"', quoted @ ..] = value {
        // A single backslash escapes what follows.
        if quoted.starts_with(b"\\\\") || has_drive(quoted) {
            let end = quoted.iter().position(|&byte| byte == b'"');
            let (path, after) = quoted.split_at(end.unwrap_or(quoted.len()));
            (path.to_vec(), after)
        } else {
            unquote(quoted)
        }
    } else {
        let end = value.iter().position(|&byte| byte == b';');
        let (value, after) = value.split_at(end.unwrap_or(value.len()));
        let value = trim(value);
        let value = match value.strip_prefix(b"'") {
            // Not a quoted string, but meant as one, whether it is closed or not.
            Some(inner) if name.eq_ignore_ascii_case(b"filename") => {
                inner.strip_suffix(b"'").unwrap_or(inner)
            }
            _ => value,
        };
        (value.to_vec(), after)
    };
    let semicolon = after.iter().position(|&byte| byte == b';');
    let rest = semicolon.map_or(&[][..], |at| &after[at + 1..]);
    (Some((name, value)), rest)
}

/// Unescapes a quoted string from after its opening quote (RFC 9110 §5.6.4); also the bytes after its closing quote.
fn unquote(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match rest {
            [] | [b'\\'] => return (text, &[]),
            [b'"', after @ ..] => return (text, after),
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                text.push(*byte);
                rest = after;
            }
        }
    }
}

/// Decodes `charset'language'percent-encoded` (RFC 8187 §3.2.1); `None` if the charset is unknown.
fn decode_extended(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let charset = trim(parts.next()?);
    let _language = parts.next()?;
    let bytes: Vec<u8> = percent_decode(parts.next()?).collect();
    let text = if charset.eq_ignore_ascii_case(b"utf-8") {
        String::from_utf8(bytes).ok()?
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        latin1(&bytes)
    } else {
        return None;
    };
    (!text.is_empty()).then_some(text)
}

/// Decodes UTF-8, percent-encoded or not, or else Latin-1, in which any bytes are valid.
fn decode_raw(bytes: Vec<u8>) -> String {
    let name = String::from_utf8(bytes).unwrap_or_else(|error| latin1(error.as_bytes()));
    match percent_decode(name.as_bytes()).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => name,
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn names(cases: &[(&[u8], Option<&str>)]) {
        for (value, expected) in cases {
            let shown = String::from_utf8_lossy(value);
            assert_eq!(file_name(value).as_deref(), *expected, "{shown}");
        }
    }

    #[test]
    fn a_file_name_is_a_token_or_quoted() {
        names(&[
            (b"attachment; filename=a.txt", Some("a.txt")),
            (b"attachment; filename=\"a b.txt\"", Some("a b.txt")),
            (b"INLINE ;FILENAME = \"a.txt\" ; x=y", Some("a.txt")),
            (
                b"attachment; filename=\"a;b=c.txt\"; x=\"y\"",
                Some("a;b=c.txt"),
            ),
            (
                br#"attachment; filename="a\"b\\c.txt""#,
                Some("a\"b\\c.txt"),
            ),
            (br#"attachment; filename="f\oo.html""#, Some("foo.html")),
            (b"attachment; filename='a b.txt'; x=y", Some("a b.txt")),
            (b"attachment; filename='a.txt", Some("a.txt")),
            (b"attachment; filename='", None),
            (b"attachment; filename=it's.txt", Some("it's.txt")),
            (b"attachment; filename=\"'a'\"", Some("'a'")),
            (
                b"attachment; x=\"; filename=no\"; filename=yes",
                Some("yes"),
            ),
        ]);
    }

    #[test]
    fn a_percent_encoded_name_is_decoded_if_it_is_utf_8() {
        names(&[
            (b"attachment; filename=\"%41.txt\"", Some("A.txt")),
            (
                "attachment; filename=%E3%83%86.txt".as_bytes(),
                Some("テ.txt"),
            ),
            (b"attachment; filename=%2e%2e%2fa", Some("../a")),
            (b"attachment; filename=\"100%.txt\"", Some("100%.txt")),
            (b"attachment; filename=%E9.txt", Some("%E9.txt")),
            (b"attachment; filename*=UTF-8''%2541", Some("%41")),
        ]);
    }

    #[test]
    fn a_path_of_windows_ends_in_its_name() {
        names(&[
            (
                br#"attachment; filename="C:\Users\me\x.pdf""#,
                Some("x.pdf"),
            ),
            (
                br#"attachment; filename="C:\\Users\\x.pdf"; a=b"#,
                Some("x.pdf"),
            ),
            (
                br#"attachment; filename="\\server\share\x.pdf""#,
                Some("x.pdf"),
            ),
            (br"attachment; filename=d:\x y.pdf", Some("x y.pdf")),
            (br#"attachment; filename="C:\dir\""#, Some("dir")),
            (
                br#"attachment; filename="C:\"; filename*=UTF-8''a"#,
                Some("a"),
            ),
            (br"attachment; filename*=UTF-8''C:%5Cx", Some("x")),
            (br#"attachment; filename="a:b\"c""#, Some("a:b\"c")),
        ]);
    }

    #[test]
    fn the_extended_form_goes_first_if_it_can_be_read() {
        names(&[
            (
                b"attachment; filename=b; filename*=UTF-8''a%20%e2%82%ac",
                Some("a €"),
            ),
            (b"attachment; filename*=utf-8'en'a; filename=b", Some("a")),
            (
                b"attachment; filename*=iso-8859-1''%A3.txt; filename=b",
                Some("£.txt"),
            ),
            (b"attachment; filename*=\"UTF-8''a%20b\"", Some("a b")),
            (b"attachment; filename* = UTF-8''it's", Some("it's")),
            (b"attachment; filename*=UTF-8''%FF; filename=b", Some("b")),
            (b"attachment; filename*=koi8-r''%C1; filename=b", Some("b")),
            (b"attachment; filename*=nothing; filename=b", Some("b")),
            (b"attachment; filename*=UTF-8''; filename=b", Some("b")),
            (b"attachment; filename*=UTF-8''100%", Some("100%")),
            (
                b"attachment; filename*0=a; filename*1=b; filename=c",
                Some("c"),
            ),
        ]);
    }

    #[test]
    fn sloppy_values_are_read_as_they_were_meant() {
        names(&[
            (
                b"attachment; filename=my file.txt; size=5",
                Some("my file.txt"),
            ),
            (b"attachment; filename=\"cut", Some("cut")),
            (b"attachment; filename=\"cut\\", Some("cut")),
            (b"filename=a.txt", Some("a.txt")),
            (b"attachment;;; filename=a.txt;", Some("a.txt")),
            (b"attachment; filename=\"a\"junk; filename=b", Some("a")),
            (b"attachment; filename=a; filename=b", Some("a")),
            ("attachment; filename=\"é.txt\"".as_bytes(), Some("é.txt")),
            (b"attachment; filename=\xe9.txt", Some("é.txt")),
            (
                b"attachment; filename=../../etc/passwd",
                Some("../../etc/passwd"),
            ),
        ]);
    }

    #[test]
    fn no_name_is_no_name() {
        names(&[
            (b"", None),
            (b"attachment", None),
            (b";=;\"", None),
            (b"attachment; filename", None),
            (b"attachment; filename=", None),
            (b"attachment; filename=; x=y", None),
            (b"attachment; filename=\"\"", None),
            (b"attachment; xfilename=a", None),
            (b"filename", None),
        ]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_ne!(file_name(&value), Some(String::new()));
        }

        #[test]
        fn any_name_survives_quoting(name in "\\PC{1,20}") {
            prop_assume!(!name.contains('%') && !is_windows_path(name.as_bytes()));
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            let value = format!("attachment; filename=\"{quoted}\"; size=1");
            prop_assert_eq!(file_name(value.as_bytes()), Some(name));
        }
    }
}
