//! The `sums` format: one digest and name on each line, plain or tagged, as `sha256sum`, similar tools and `openssl
//! dgst` write them.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::excerpt::{has_control, quote};
use super::lines::Line;
use super::reference::References;
use super::{ListError, Location, Row, read_alone};
use crate::http::Expected;
use crate::http::digest::untagged;

/// The bytes to percent-encode in the path of a URL: all except those of RFC 3986 §3.3 and the slash.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The parser of one list.
#[derive(Debug)]
pub(super) struct Sums {
    source: Arc<str>,
    references: References,
}

impl Sums {
    pub(super) fn new(source: Arc<str>, references: References) -> Self {
        Self { source, references }
    }

    /// Parses one line. Blank lines and comments are skipped.
    pub(super) fn read(&self, number: u64, line: &Line<'_>) -> Option<Result<Row, ListError>> {
        let location = Location {
            source: Arc::clone(&self.source),
            line: number,
        };
        read_alone(location, line, |text, location| {
            self.row(text, location)
                .map_err(|fault| format!("{fault}: {}", quote(text)))
        })
    }

    fn row(&self, line: &[u8], location: Location) -> Result<Row, String> {
        if line.contains(&0) {
            return Err("lines that end in NUL, as with -z, are not supported".into());
        }
        let (name, digest) = entry(line)?;
        let mut row = if name.contains("://") {
            Row::new(self.references.without_base().resolve(&name)?, location)?
        } else {
            let name = relative(&name)?;
            // With `./` before it, a name with a colon is not read as a scheme, nor `//` as a host.
            let reference = format!("./{}", utf8_percent_encode(name, IN_PATH));
            let mut row = Row::new(self.references.resolve(&reference)?, location)?;
            row.out = Some(name.to_owned());
            row
        };
        row.expect(digest)?;
        Ok(row)
    }
}

/// Checks that a name is a path below the folder of the list, and removes a leading `./`.
fn relative(name: &str) -> Result<&str, String> {
    let name = name.trim_start_matches("./");
    if name.is_empty() || name.ends_with('/') {
        return Err("no file name".into());
    }
    if name.starts_with('/') {
        return Err("an absolute path".into());
    }
    if has_control(name) {
        return Err("a control character in the name".into());
    }
    Ok(name)
}

/// Parses the name and the digest of one line.
///
/// # Errors
/// What is wrong with the line; the message is printable.
pub(super) fn entry(line: &[u8]) -> Result<(String, Expected), String> {
    let line = str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
    // GNU coreutils: a leading backslash means that the name has escapes.
    let (line, is_escaped) = match line.strip_prefix('\\') {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    let (name, digest) = match tagged(line) {
        Some((algorithm, name, encoded)) => {
            let algorithm = algorithm
                .strip_prefix("SHA2-")
                .map_or_else(|| algorithm.to_owned(), |bits| format!("SHA{bits}"));
            (name, format!("{algorithm}:{encoded}").parse::<Expected>()?)
        }
        None => {
            let (name, digest) = plain(line)?;
            (name, digest)
        }
    };
    let name = if is_escaped {
        unescaped(name)?
    } else {
        name.to_owned()
    };
    Ok((name, digest))
}

/// Whether a line has an algorithm in front, known or not, and a digest in hex.
pub(super) fn is_tagged(line: &[u8]) -> bool {
    let line = str::from_utf8(line).unwrap_or_default();
    let tagged = tagged(line.strip_prefix('\\').unwrap_or(line));
    tagged.is_some_and(|(_, _, encoded)| {
        encoded.len() >= 32 && encoded.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Splits `SHA256 (name) = HEX`, as `sha256sum --tag` and BSD write it, or `SHA2-256(name)= HEX`, as openssl does.
fn tagged(line: &str) -> Option<(&str, &str, &str)> {
    let open = line.find('(')?;
    let close = line.rfind(')')?;
    let name = line.get(open + 1..close)?;
    let encoded = line[close + 1..]
        .trim_start_matches(' ')
        .strip_prefix('=')?;
    let algorithm = line[..open].trim_end_matches(' ');
    let is_word = algorithm
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if algorithm.is_empty() || !is_word {
        return None;
    }
    Some((algorithm, name, encoded.trim_matches(' ')))
}

/// Splits `HEX  name`, `HEX *name` (binary mode), or `HEX name`, as `md5 -r` of BSD writes it.
fn plain(line: &str) -> Result<(&str, Expected), String> {
    let (hex, rest) = line.split_once(' ').ok_or("not a digest and a name")?;
    let digest = untagged(hex)?;
    let name = rest.strip_prefix([' ', '*']).unwrap_or(rest);
    if name.is_empty() {
        return Err("a digest without a name".into());
    }
    Ok((name, digest.into()))
}

fn unescaped(name: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(name.len());
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('r') => '\r',
                _ => return Err("an unknown escape in the name".into()),
            },
            other => other,
        });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    fn name(line: &str) -> String {
        let (name, digest) = entry(line.as_bytes()).unwrap();
        assert_eq!(digest.to_string(), format!("md5:{MD5}"), "{line}");
        name
    }

    #[test]
    fn lines_of_every_tool_are_read() {
        for (line, expected) in [
            (format!("{MD5}  a b"), "a b"),
            (format!("{MD5} *a b"), "a b"),
            (format!("{MD5} a b"), "a b"),
            (format!("{MD5}   a"), " a"),
            (format!("{MD5}  *a"), "*a"),
            (format!("MD5 (a b) = {MD5}"), "a b"),
            (format!("MD5 (a) = b (c)) = {MD5}"), "a) = b (c)"),
            (format!("MD5(a)= {MD5}"), "a"),
            ("MD5 (a) = kAFQmDzST7DWlj99KOF/cg==".to_owned(), "a"),
            (format!("\\{MD5}  a\\nb\\\\c\\rd"), "a\nb\\c\rd"),
            (format!("\\MD5 (a\\nb) = {MD5}"), "a\nb"),
            (format!("{}  dir/a", MD5.to_uppercase()), "dir/a"),
        ] {
            assert_eq!(name(&line), expected, "{line}");
        }
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let (_, digest) = entry(format!("SHA2-256(a)= {sha}").as_bytes()).unwrap();
        assert_eq!(digest.to_string(), format!("sha256:{sha}"));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for line in [
            "",
            MD5,
            "900150983cd24fb0d6963f7d28e17f7  a",
            "http://h/a b",
            "BLAKE2b (a) = 00",
            "MD5 (a) = 00",
            "MD5 a) = 00",
            " (a) = 00",
        ] {
            assert!(entry(line.as_bytes()).is_err(), "{line}");
        }
        assert!(entry(format!("{MD5}  ").as_bytes()).is_err());
        assert!(entry(format!("\\{MD5}  a\\x").as_bytes()).is_err());
        assert!(entry(&[MD5.as_bytes(), b"  \xff"].concat()).is_err());
    }
}
