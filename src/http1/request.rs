//! The head of a request (RFC 9112 §3 and §5). Each part is checked, so that no part can be read as another.

use crate::http::grammar::{is_token, is_value_byte};
use crate::http::{Form, Method, Target, Unsendable};

/// Appends a request's head to `out`: request line, fields in their order, empty line.
///
/// # Errors
///
/// [`Unsendable`] if the target or a field would end its line. `out` is unchanged then.
pub fn encode<'a>(
    out: &mut Vec<u8>,
    method: Method,
    target: &str,
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Unsendable> {
    let start = out.len();
    let result = append(out, method, target, fields);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn append<'a>(
    out: &mut Vec<u8>,
    method: Method,
    target: &str,
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Unsendable> {
    append_line(out, method.as_str(), target)?;
    encode_fields(out, fields)
}

/// Appends only the request line; [`encode_fields`] must follow.
///
/// # Errors
///
/// [`Unsendable::Target`]. `out` is unchanged then.
pub fn encode_line(
    out: &mut Vec<u8>,
    method: Method,
    target: Target<'_>,
    form: Form,
) -> Result<(), Unsendable> {
    append_line(out, method.as_str(), &target.form(form))
}

/// Appends the request line of any method.
pub(super) fn append_line(out: &mut Vec<u8>, method: &str, target: &str) -> Result<(), Unsendable> {
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Unsendable::Target);
    }
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

/// Appends the fields in their order, and the empty line. Many requests to one origin share the result.
///
/// # Errors
///
/// [`Unsendable`]. The caller must then discard what was appended.
pub fn encode_fields<'a>(
    out: &mut Vec<u8>,
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Unsendable> {
    for (name, value) in fields {
        if !is_token(name.as_bytes()) {
            return Err(Unsendable::Name);
        }
        if !value.bytes().all(is_value_byte) {
            return Err(Unsendable::Value);
        }
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(target: &str, fields: &[(&str, &str)]) -> Result<String, Unsendable> {
        let mut out = b"before".to_vec();
        let result = encode(&mut out, Method::Head, target, fields.iter().copied());
        let text = String::from_utf8(out).unwrap();
        match result {
            Ok(()) => Ok(text.strip_prefix("before").unwrap().to_owned()),
            Err(error) => {
                assert_eq!(text, "before");
                Err(error)
            }
        }
    }

    #[test]
    fn a_head_is_a_request_line_fields_and_an_empty_line() {
        assert_eq!(
            encoded(
                "/a?b=c%20d",
                &[("Host", "h"), ("X-Empty", ""), ("X", "é\t1")]
            )
            .unwrap(),
            "HEAD /a?b=c%20d HTTP/1.1\r\nHost: h\r\nX-Empty: \r\nX: é\t1\r\n\r\n"
        );
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        for target in [
            "",
            "/ ",
            "/a b",
            "/\r\nX: y",
            "/\n",
            "/\r",
            "/\0",
            "/\t",
            "/é",
            "/\x7f",
        ] {
            assert_eq!(encoded(target, &[]), Err(Unsendable::Target), "{target:?}");
        }
        for name in ["", "a b", "a:", "a\r\nb", "a\0", "é", " a", "a\n"] {
            assert_eq!(
                encoded("/", &[(name, "")]),
                Err(Unsendable::Name),
                "{name:?}"
            );
        }
        for value in ["\r\nX: y", "a\nb", "a\rb", "\0", "\x7f", "\x0b"] {
            let fields = [("Host", "h"), ("X", value)];
            assert_eq!(encoded("/", &fields), Err(Unsendable::Value), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_has_as_many_lines_as_fields(
            target in "/[ -~\r\n]{0,9}",
            fields in proptest::collection::vec(("[!-~]{1,5}", "[ -~é\r\n\0]{0,9}"), 0..5),
        ) {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
            if let Ok(text) = encoded(&target, &fields) {
                prop_assert_eq!(text.matches("\r\n").count(), fields.len() + 2);
                prop_assert_eq!(text.matches(['\r', '\n', '\0']).count(), 2 * (fields.len() + 2));
                prop_assert!(text.ends_with("\r\n\r\n"));
            }
        }
    }
}
