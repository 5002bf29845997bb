//! Quotes input in error messages: one short line, with control characters escaped and userinfo masked.

use url::{Position, Url};

/// The most characters of input in a message.
const LONGEST: usize = 80;

/// `input` in quotes, escaped and shortened. Everything that could be userinfo is masked: in an invalid URL the end of
/// the password is unknown, so the text up to the last `@` is replaced.
pub(super) fn quote(input: &[u8]) -> String {
    let Some(at) = input.iter().rposition(|&byte| byte == b'@') else {
        return quote_parts(&[input]);
    };
    quote_parts(&[&input[..scheme_length(input)], b"***", &input[at..]])
}

/// A valid URL in quotes, shortened, with its userinfo masked.
pub(super) fn quote_url(url: &Url) -> String {
    let has_userinfo = !url.username().is_empty() || url.password().is_some();
    if !has_userinfo {
        return quote_parts(&[url.as_str().as_bytes()]);
    }
    quote_parts(&[
        url[..Position::BeforeUsername].as_bytes(),
        b"***@",
        url[Position::BeforeHost..].as_bytes(),
    ])
}

/// Whether the text has a control character (C0, DEL or C1).
pub(super) fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        text.bytes()
            .fold(false, |found, byte| found | byte.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}

/// The length of `scheme://` at the start (RFC 3986 §3.1); 0 without a scheme.
fn scheme_length(input: &[u8]) -> usize {
    let name = input
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        .count();
    if name > 0 && input[name..].starts_with(b"://") {
        name + 3
    } else {
        0
    }
}

fn quote_parts(parts: &[&[u8]]) -> String {
    let mut quoted = String::from("\"");
    let mut room = LONGEST;
    for chunk in parts.iter().flat_map(|part| part.utf8_chunks()) {
        let characters = chunk.valid().chars().map(escape);
        let stray = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
        for shown in characters.chain(stray) {
            let width = shown.chars().count();
            if width > room {
                quoted.push_str("…\"");
                return quoted;
            }
            room -= width;
            quoted.push_str(&shown);
        }
    }
    quoted.push('"');
    quoted
}

/// One character as it is shown. `escape_debug` escapes all unprintable characters, bidirectional controls included.
fn escape(character: char) -> String {
    if character == '\'' {
        "'".into()
    } else {
        character.escape_debug().to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_and_stray_bytes_are_escaped() {
        assert_eq!(
            quote(b"a\x1b[31m\0\t\xff'\""),
            r#""a\u{1b}[31m\0\t\xff'\"""#
        );
        assert_eq!(
            quote("x\u{202e}y\u{85}\u{2028}".as_bytes()),
            r#""x\u{202e}y\u{85}\u{2028}""#
        );
    }

    #[test]
    fn a_long_input_is_cut() {
        let quoted = quote(&[b'x'; 1000]);
        assert_eq!(quoted, format!("\"{}…\"", "x".repeat(LONGEST)));
        assert_eq!(
            quote(&[b'x'; LONGEST]),
            format!("\"{}\"", "x".repeat(LONGEST))
        );
    }

    #[test]
    fn userinfo_is_masked_even_in_broken_urls() {
        for (input, shown) in [
            ("http://me:secret@host/x", "http://***@host/x"),
            ("http://me:sec/ret@host/x", "http://***@host/x"),
            ("http://me:sec@ret?#@host/x", "http://***@host/x"),
            ("me:secret@host/x", "***@host/x"),
            ("me:se://cret@host/x", "***@host/x"),
            ("http:/me:secret@host/x", "***@host/x"),
        ] {
            assert_eq!(quote(input.as_bytes()), format!("\"{shown}\""));
        }
    }

    #[test]
    fn a_good_url_loses_its_userinfo_only() {
        for (input, shown) in [
            ("http://me:secret@host/@scope/x", "http://***@host/@scope/x"),
            ("http://token@host/x", "http://***@host/x"),
            ("http://host/@scope/x", "http://host/@scope/x"),
        ] {
            assert_eq!(
                quote_url(&Url::parse(input).unwrap()),
                format!("\"{shown}\"")
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_shown_on_one_short_printable_line(input: Vec<u8>) {
            let quoted = quote(&input);
            prop_assert!(!has_control(&quoted));
            prop_assert!(quoted.chars().count() <= LONGEST + 3);
        }

        #[test]
        fn no_password_is_shown(before in ".{0,8}", password in "[A-Z]{6}", after in ".{0,8}") {
            let input = format!("http://me:{before}{password}{after}@host/file");
            prop_assert!(!quote(input.as_bytes()).contains(&password));
        }
    }
}
