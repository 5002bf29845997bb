//! Cookie files in Netscape's format, as browser extensions, curl and wget write them.

use super::{Cookie, is_sendable, scope};

/// The prefix of a line with a cookie that is hidden from scripts. The line is not a comment.
const HTTP_ONLY: &[u8] = b"#HttpOnly_";

/// An invalid line of a cookie file. The message quotes nothing of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
#[non_exhaustive]
pub struct BadLine {
    /// The number of the line, counted from 1.
    pub line: usize,
    what: &'static str,
}

/// Parses a cookie file. Each line is a cookie of seven fields separated by tabs: domain, whether it is also sent to
/// subdomains (`TRUE` or `FALSE`), path, whether it is sent over TLS only, expiry (seconds since 1970; 0 is never),
/// name, value. Blank lines and lines that begin with `#` are ignored.
///
/// ```
/// use gannet::http::read_cookies;
/// let (cookies, bad) = read_cookies(b"# mine\n.example.org\tTRUE\t/\tFALSE\t0\tid\t1234\nrubbish\n");
/// assert_eq!((cookies.len(), bad.len(), bad[0].line), (1, 1, 3));
/// ```
pub fn read_file(file: &[u8]) -> (Vec<Cookie>, Vec<BadLine>) {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let (mut cookies, mut bad) = (Vec::new(), Vec::new());
    for (at, line) in file.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (line, is_comment) = match line.strip_prefix(HTTP_ONLY) {
            Some(rest) => (rest, false),
            None => (line, line.starts_with(b"#")),
        };
        if is_comment || line.trim_ascii().is_empty() {
            continue;
        }
        match cookie(line) {
            Ok(cookie) => cookies.push(cookie),
            Err(what) => bad.push(BadLine { line: at + 1, what }),
        }
    }
    (cookies, bad)
}

fn cookie(line: &[u8]) -> Result<Cookie, &'static str> {
    let line = str::from_utf8(line).map_err(|_| "not UTF-8")?;
    let fields: Vec<_> = line.split('\t').collect();
    // Some editors remove a tab at the end of a line, so a line of six fields has an empty value.
    let (fields, value) = match *fields {
        [ref fields @ .., value] if fields.len() == 6 => (fields, value),
        ref fields if fields.len() == 6 => (fields, ""),
        _ => return Err("not seven fields separated by tabs"),
    };
    let &[domain, below, path, secure, expires, name] = fields else {
        return Err("not seven fields separated by tabs");
    };
    let domain = scope::canonical(domain).ok_or("its domain is not a valid host")?;
    let goes_below = truth(below).ok_or("its second field is neither TRUE nor FALSE")?;
    let is_secure = truth(secure).ok_or("its fourth field is neither TRUE nor FALSE")?;
    let path = if path.is_empty() { "/" } else { path };
    if !path.starts_with('/') {
        return Err("its path does not begin with a slash");
    }
    if name.is_empty() || name.contains('=') || !is_sendable(name) || !is_sendable(value) {
        return Err("its name or value cannot be sent");
    }
    Ok(Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        // A public suffix is no domain to share: such a cookie is for the host with that name only.
        is_host_only: !goes_below || scope::is_public(&domain),
        domain,
        path: path.to_owned(),
        is_secure,
        expires: time(expires).ok_or("its fifth field is not a time")?,
    })
}

fn truth(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("TRUE") => Some(true),
        _ if text.eq_ignore_ascii_case("FALSE") => Some(false),
        _ => None,
    }
}

/// The expiry of a cookie: `Some(None)` is never, `None` is invalid. Some tools write fractions, and -1 or nothing for
/// never.
#[expect(
    clippy::option_option,
    reason = "an invalid time is not the same as never"
)]
fn time(text: &str) -> Option<Option<i64>> {
    if ["", "0", "-1"].contains(&text) {
        return Some(None);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = [whole, fraction].concat();
    if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Some(whole.parse().unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(line: &str) -> Cookie {
        let (cookies, bad) = read_file(line.as_bytes());
        assert_eq!((cookies.len(), bad.len()), (1, 0), "{line:?} {bad:?}");
        cookies.into_iter().next().unwrap()
    }

    #[test]
    fn a_line_is_seven_fields() {
        let cookie = only(".Example.com\tTRUE\t/a\tTRUE\t2000000000\tid\tx=\"y z\"\n");
        let Cookie {
            name,
            value,
            domain,
            path,
            ..
        } = &cookie;
        assert_eq!(
            [name, value, domain, path],
            ["id", "x=\"y z\"", "example.com", "/a"]
        );
        assert!(cookie.is_secure && !cookie.is_host_only);
        assert_eq!(cookie.expires, Some(2_000_000_000));
    }

    #[test]
    fn the_second_field_says_whether_it_goes_below_its_domain() {
        for (domain, flag, is_host_only) in [
            ("example.com", "TRUE", false),
            (".example.com", "true", false),
            ("example.com", "FALSE", true),
            (".example.com", "False", true),
            // Below these are others' names.
            ("co.uk", "TRUE", true),
            ("localhost", "TRUE", true),
            ("127.0.0.1", "TRUE", false),
        ] {
            let cookie = only(&format!("{domain}\t{flag}\t/\tFALSE\t0\ta\tb"));
            assert_eq!(cookie.is_host_only, is_host_only, "{domain} {flag}");
        }
    }

    #[test]
    fn comments_and_blank_lines_are_passed_over_and_lines_end_in_any_way() {
        let file = "\u{feff}# Netscape HTTP Cookie File\r\n\r\n  \t\r\n#HttpOnly_a.example\tFALSE\t/\tFALSE\t0\ta\tb\r\n\
                    #.b.example\tTRUE\t/\tFALSE\t0\ta\tb\nc.example\tFALSE\t/\tFALSE\t0\ta\tb";
        let (cookies, bad) = read_file(file.as_bytes());
        let domains: Vec<_> = cookies.iter().map(|cookie| &*cookie.domain).collect();
        assert_eq!((domains, bad), (vec!["a.example", "c.example"], vec![]));
        assert_eq!(cookies[0].value, "b");
    }

    #[test]
    fn a_value_may_be_empty_with_or_without_its_tab() {
        assert_eq!(only("h\tFALSE\t/\tFALSE\t0\ta\t").value, "");
        assert_eq!(only("h\tFALSE\t/\tFALSE\t0\ta").value, "");
        assert_eq!(only("h\tFALSE\t\tFALSE\t0\ta\tb").path, "/");
    }

    #[test]
    fn a_time_is_seconds_and_its_lack_is_no_end() {
        for (text, expected) in [
            ("0", None),
            ("", None),
            ("-1", None),
            ("1", Some(1)),
            ("1700000000.875", Some(1_700_000_000)),
            ("99999999999999999999", Some(i64::MAX)),
        ] {
            assert_eq!(
                only(&format!("h\tFALSE\t/\tFALSE\t{text}\ta\tb")).expires,
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn bad_lines_are_told_by_number_and_not_repeated() {
        for line in [
            "hunter2",
            "h FALSE / FALSE 0 a hunter2",
            "h\tFALSE\t/\tFALSE\t0\ta\thunter2\tb",
            "h\tFALSE\t/\tFALSE\t0",
            "\tFALSE\t/\tFALSE\t0\ta\thunter2",
            "a b\tFALSE\t/\tFALSE\t0\ta\thunter2",
            "h\tmaybe\t/\tFALSE\t0\ta\thunter2",
            "h\tFALSE\tx\tFALSE\t0\ta\thunter2",
            "h\tFALSE\t/\t1\t0\ta\thunter2",
            "h\tFALSE\t/\tFALSE\tsoon\ta\thunter2",
            "h\tFALSE\t/\tFALSE\t-5\ta\thunter2",
            "h\tFALSE\t/\tFALSE\t.5\ta\thunter2",
            "h\tFALSE\t/\tFALSE\t0\t\thunter2",
            "h\tFALSE\t/\tFALSE\t0\ta=b\thunter2",
            "h\tFALSE\t/\tFALSE\t0\ta\thunter2;b",
            "h\tFALSE\t/\tFALSE\t0\ta\thunter2\rb",
            "h\tFALSE\t/\tFALSE\t0\ta\0\thunter2",
            " # h",
        ] {
            let file = format!("\n{line}\nh\tFALSE\t/\tFALSE\t0\ta\tb");
            let (cookies, bad) = read_file(file.as_bytes());
            assert_eq!((cookies.len(), bad.len()), (1, 1), "{line:?}");
            assert_eq!(bad[0].line, 2);
            assert!(!bad[0].to_string().contains("hunter2"), "{line:?}");
        }
        assert_eq!(read_file(b"h\tFALSE\t/\tFALSE\t0\ta\t\xff").1.len(), 1);
    }
}
