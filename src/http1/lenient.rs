//! Parses heads that break the grammar, line by line. It accepts what curl and browsers accept; where another reader
//! might find other fields, the result is [`Certainty::Doubtful`].

use std::borrow::Cow;

use super::MAX_HEADERS;
use super::head::Certainty;
use crate::error::Malformed;
use crate::http::grammar::{is_token, trim};
use crate::http::{Headers, Response, Version};

/// Parses a head that ends with its empty line.
///
/// Folded lines are joined by a space (RFC 9112 §5.2); directly after the status line they are dropped (§2.2).
/// A bare CR becomes a space (§2.2). Whitespace before a colon is dropped (§5.1). Lines without a colon or with a
/// bad name are dropped. NUL is refused; other control characters stay (RFC 9110 §5.5), and make a number or a coding
/// invalid that contains them.
pub(super) fn read(head: &[u8], response: &mut Response) -> Result<Certainty, Malformed> {
    if head.contains(&0) {
        return Err(Malformed::Head);
    }
    let head = without_bare_cr(head);
    let mut certainty = match head {
        Cow::Borrowed(_) => Certainty::Sure,
        Cow::Owned(_) => Certainty::Doubtful,
    };
    let mut lines = head.split(|&byte| byte == b'\n').map(without_cr);
    response.clear();
    (response.version, response.status) = status_line(lines.next().unwrap_or_default())?;

    let mut can_fold = false;
    for (count, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
        if count == MAX_HEADERS {
            return Err(Malformed::TooManyHeaders);
        }
        if matches!(line, [b' ' | b'\t', ..]) && can_fold {
            response.headers.fold(trim(line));
            continue;
        }
        let (is_kept, line_certainty) = field_line(line, &mut response.headers);
        can_fold = is_kept;
        if line_certainty == Certainty::Doubtful {
            certainty = Certainty::Doubtful;
        }
    }
    Ok(certainty)
}

/// Adds the field of a line, if the line has one. Returns whether it did.
fn field_line(line: &[u8], headers: &mut Headers) -> (bool, Certainty) {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return (false, Certainty::Doubtful);
    };
    let given = &line[..colon];
    let name = given.trim_ascii_end();
    if !is_token(name) {
        return (false, Certainty::Doubtful);
    }
    headers.push(name, trim(&line[colon + 1..]));
    if name.len() < given.len() {
        return (true, Certainty::Doubtful);
    }
    (true, Certainty::Sure)
}

/// The version and the status of a status line: `HTTP/1.`, a digit, whitespace, three digits, and anything after
/// whitespace (RFC 9112 §4). Later versions of HTTP/1 count as 1.1 (RFC 9110 §2.5), statuses up to 999 as final ones.
fn status_line(line: &[u8]) -> Result<(Version, u16), Malformed> {
    let (version, rest) = match line.strip_prefix(b"HTTP/1.") {
        Some([b'0', rest @ ..]) => (Version::Http10, rest),
        Some([b'1'..=b'9', rest @ ..]) => (Version::Http11, rest),
        _ => return Err(Malformed::NotHttp),
    };
    let (b"" | [b' ' | b'\t', ..]) = rest else {
        return Err(Malformed::Head);
    };
    let rest = trim(rest);
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    match rest[..end.unwrap_or(rest.len())] {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            let status = [a, b, c]
                .into_iter()
                .fold(0, |status, digit| status * 10 + u16::from(digit & 0x0f));
            Ok((version, status))
        }
        _ => Err(Malformed::Head),
    }
}

/// A line without the CR of its CRLF.
fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The head with a space instead of each bare CR; borrowed if it has none.
fn without_bare_cr(head: &[u8]) -> Cow<'_, [u8]> {
    if !head.windows(2).any(is_bare_cr) {
        return Cow::Borrowed(head);
    }
    let mut repaired = head.to_vec();
    for at in 1..repaired.len() {
        if is_bare_cr(&repaired[at - 1..=at]) {
            repaired[at - 1] = b' ';
        }
    }
    Cow::Owned(repaired)
}

/// Whether the first of two bytes is a CR that does not end a line.
fn is_bare_cr(pair: &[u8]) -> bool {
    pair[0] == b'\r' && pair[1] != b'\n'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The fields that a head with these lines is read as, and how sure that is.
    fn fields(lines: &str) -> Result<(Vec<(String, String)>, Certainty), Malformed> {
        let mut response = Response::default();
        let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        let certainty = read(head.as_bytes(), &mut response)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = response.headers.iter();
        let fields = fields.map(|(name, value)| (text(name), text(value)));
        Ok((fields.collect(), certainty))
    }

    #[track_caller]
    fn reads(lines: &str, expected: &[(&str, &str)], certainty: Certainty) {
        let expected: Vec<_> = expected
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(fields(lines), Ok((expected, certainty)), "{lines:?}");
    }

    fn status(line: &str) -> Result<(Version, u16), Malformed> {
        let mut response = Response::default();
        read(format!("{line}\r\n\r\n").as_bytes(), &mut response)?;
        Ok((response.version, response.status))
    }

    #[test]
    fn a_status_line_may_lack_its_reason_and_be_of_any_http_1() {
        for line in [
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200 ",
            "HTTP/1.1 200",
            "HTTP/1.1  200",
            "HTTP/1.1\t200\tOK",
            "HTTP/1.2 200",
            "HTTP/1.9 200 OK",
            "HTTP/1.1 200 caf\u{e9}",
            "HTTP/1.1 200 \u{1}",
            "HTTP/1.1 200 OK \r",
        ] {
            assert_eq!(status(line), Ok((Version::Http11, 200)), "{line:?}");
        }
        assert_eq!(status("HTTP/1.0 404 Not Found"), Ok((Version::Http10, 404)));
        assert_eq!(status("HTTP/1.1 999 Blocked"), Ok((Version::Http11, 999)));
        assert_eq!(status("HTTP/1.1 600"), Ok((Version::Http11, 600)));
    }

    #[test]
    fn a_status_is_three_digits_from_100() {
        for line in [
            "HTTP/1.1",
            "HTTP/1.1 ",
            "HTTP/1.1 OK",
            "HTTP/1.1 20",
            "HTTP/1.1 2000",
            "HTTP/1.1 200OK",
            "HTTP/1.1 099",
            "HTTP/1.1 000",
            "HTTP/1.1 -20",
            "HTTP/1.1 2 0",
            "HTTP/1.10 200",
            "HTTP/1.1x200",
            "HTTP/1.1 20\u{660}",
        ] {
            assert_eq!(status(line), Err(Malformed::Head), "{line:?}");
        }
    }

    #[test]
    fn a_folded_line_continues_the_one_before() {
        reads(
            "A: b\r\n c\r\n\t d \r\n",
            &[("A", "b c d")],
            Certainty::Sure,
        );
        reads(
            "A:\r\n b: c\r\nD: e\r\n",
            &[("A", "b: c"), ("D", "e")],
            Certainty::Sure,
        );
        reads("A: b\r\n \r\n c\r\n", &[("A", "b c")], Certainty::Sure);
        // Behind the status line, or a line that was dropped, there is nothing to continue.
        reads(" A: b\r\nC: d\r\n", &[("C", "d")], Certainty::Doubtful);
        reads(
            "junk\r\n A: b\r\nC: d\r\n",
            &[("C", "d")],
            Certainty::Doubtful,
        );
    }

    #[test]
    fn lines_that_are_no_fields_are_dropped_and_leave_a_doubt() {
        for junk in [
            "no colon",
            ": x",
            "A B: c",
            "A(: b",
            "\u{e9}: x",
            "A\u{1}: x",
        ] {
            reads(
                &format!("{junk}\r\nC: d\r\n"),
                &[("C", "d")],
                Certainty::Doubtful,
            );
        }
    }

    #[test]
    fn whitespace_before_the_colon_is_dropped_and_leaves_a_doubt() {
        reads(
            "A : b\r\nC\t :d\r\n",
            &[("A", "b"), ("C", "d")],
            Certainty::Doubtful,
        );
    }

    #[test]
    fn a_bare_cr_is_a_space_and_leaves_a_doubt() {
        reads("A: b\rc\r\n", &[("A", "b c")], Certainty::Doubtful);
        reads(
            "A: b\r\r\nC: d\r\n",
            &[("A", "b"), ("C", "d")],
            Certainty::Doubtful,
        );
        // It begins no line: the text behind it never becomes another field.
        reads(
            "A: b\rContent-Length: 5\r\n",
            &[("A", "b Content-Length: 5")],
            Certainty::Doubtful,
        );
    }

    #[test]
    fn nul_is_refused_wherever_it_stands() {
        for lines in ["A: b\0\r\n", "A\0: b\r\n", "junk\0\r\n", "A: b\r\n \0\r\n"] {
            assert_eq!(fields(lines), Err(Malformed::Head), "{lines:?}");
        }
        assert_eq!(status("HTTP/1.1 200 \0"), Err(Malformed::Head));
    }

    #[test]
    fn other_control_characters_stay_in_a_value() {
        reads("A: b\u{1}c\r\n", &[("A", "b\u{1}c")], Certainty::Sure);
    }

    #[test]
    fn dropped_and_folded_lines_count_too() {
        assert!(fields(&"junk\r\n".repeat(MAX_HEADERS)).is_ok());
        assert_eq!(
            fields(&"junk\r\n".repeat(MAX_HEADERS + 1)),
            Err(Malformed::TooManyHeaders)
        );
        let folded = format!("A: b\r\n{}", " c\r\n".repeat(MAX_HEADERS));
        assert_eq!(fields(&folded), Err(Malformed::TooManyHeaders));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(head in proptest::collection::vec(any::<u8>(), 0..99)) {
            let mut response = Response::default();
            let _ = read(&head, &mut response);
            let _ = read(&[b"HTTP/1.1 200\r\n", &head[..], b"\r\n\r\n"].concat(), &mut response);
        }
    }
}
