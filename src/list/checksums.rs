//! [`Checksums`]: a list of digests such as `SHA256SUMS`, in which the digest of a file is looked up by its name.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use super::lines::{Line, Lines};
use super::{Row, sums};
use crate::http::Expected;
use crate::http::digest::untagged;

/// The digests of many files.
#[derive(Debug, Default)]
pub struct Checksums {
    name: String,
    /// By base name: the full names, without a leading `./`, and their digests.
    entries: HashMap<String, Vec<(String, Expected)>>,
    /// The only digest of the list, if it has no name.
    nameless: Option<Expected>,
}

impl Checksums {
    /// Parses a list named `name`. Lines without a digest are ignored, because the list may be signed.
    ///
    /// # Errors
    /// The list has no digest at all.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let mut lines = Lines::default();
        lines.feed(bytes);
        lines.finish();
        let mut checksums = Self {
            name: name.to_owned(),
            entries: HashMap::new(),
            nameless: None,
        };
        let mut nameless = Vec::new();
        while let Some((_, line)) = lines.next_line() {
            let Line::Text(text) = line else { continue };
            let entry = sums::entry(text).ok();
            if let Some(digest) = entry.as_ref().map_or_else(|| alone(text), nameless_of) {
                nameless.push(digest);
            } else if let Some((path, digest)) = entry {
                let path = path.trim_start_matches("./");
                let entries = checksums
                    .entries
                    .entry(base_name(path).to_owned())
                    .or_default();
                entries.push((path.to_owned(), digest));
            }
        }
        match (checksums.entries.is_empty(), &mut *nameless) {
            (true, []) => return Err("no digests in it".to_owned()),
            (true, [_]) => checksums.nameless = nameless.pop(),
            (true, _) => return Err("several digests without names in it".to_owned()),
            (false, _) => {}
        }
        Ok(checksums)
    }

    /// Whether the list has one digest and no name of a file, so that it is for one file.
    pub fn is_of_one_file(&self) -> bool {
        self.nameless.is_some()
    }

    /// Adds the expected digest of a file to its row. The file is found by the base name of its URL, or else by that of
    /// its `out` name. If several files have this base name, the path in the URL selects the one that matches best.
    ///
    /// # Errors
    /// The list has no digest of the file, or contradicting ones.
    pub fn add_to(&self, row: &mut Row) -> Result<(), String> {
        if let Some(digest) = &self.nameless {
            return row.expect_all(std::slice::from_ref(digest));
        }
        let path = percent_decode_str(row.url.path())
            .decode_utf8_lossy()
            .into_owned();
        let own = row.out.clone();
        let names = [Some(path.as_str()), own.as_deref()];
        let mut found = names
            .into_iter()
            .flatten()
            .map(|path| (base_name(path), self.of(path)));
        match found.find(|(_, digests)| !digests.is_empty()) {
            Some((name, digests)) => row
                .expect_all(&digests)
                .map_err(|fault| format!("{}: '{}': {fault}", self.name, name.escape_debug())),
            None if !row.digests().is_empty() => Ok(()),
            None => Err(format!(
                "{} has no digest of '{}'",
                self.name,
                base_name(&path).escape_debug()
            )),
        }
    }

    /// The digests of the entries that match the longest end of a path; of all entries with the base name, if none
    /// matches.
    fn of(&self, path: &str) -> Vec<Expected> {
        let Some(entries) = self.entries.get(base_name(path)) else {
            return Vec::new();
        };
        let longest = entries
            .iter()
            .filter(|(entry, _)| is_end_of(entry, path))
            .map(|(entry, _)| entry.len())
            .max();
        entries
            .iter()
            .filter(|(entry, _)| {
                longest.is_none_or(|longest| entry.len() == longest && is_end_of(entry, path))
            })
            .map(|(_, digest)| digest.clone())
            .collect()
    }
}

/// The digest of a line that has nothing else: in hex, or with its algorithm.
fn alone(line: &[u8]) -> Option<Expected> {
    let text = str::from_utf8(line).ok()?.trim();
    if text.contains(char::is_whitespace) {
        return None;
    }
    match untagged(text) {
        Ok(digest) => Some(digest.into()),
        Err(_) => text.parse().ok(),
    }
}

/// The digest of an entry that names standard input, which is no file.
fn nameless_of((name, digest): &(String, Expected)) -> Option<Expected> {
    matches!(name.as_str(), "-" | "stdin").then(|| digest.clone())
}

/// Whether a path ends with all components of `entry`.
fn is_end_of(entry: &str, path: &str) -> bool {
    path.strip_suffix(entry)
        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::{Location, parse_url};

    const ONE: &str = "11111111111111111111111111111111";
    const TWO: &str = "22222222222222222222222222222222";

    fn found(list: &str, url: &str, out: Option<&str>) -> Result<Vec<String>, String> {
        let mut row = Row::new(parse_url(url, None).unwrap(), Location::typed(1)).unwrap();
        row.out = out.map(str::to_owned);
        Checksums::read("SUMS", list.as_bytes())?.add_to(&mut row)?;
        Ok(row.digests().iter().map(ToString::to_string).collect())
    }

    fn md5(hex: &str) -> Result<Vec<String>, String> {
        Ok(vec![format!("md5:{hex}")])
    }

    #[test]
    fn a_file_is_found_by_its_base_name() {
        let list = format!("{ONE}  ./a b\n{TWO} *dir/c\n");
        assert_eq!(found(&list, "http://h/x/a%20b?q", None), md5(ONE));
        assert_eq!(found(&list, "http://h/c#part", None), md5(TWO));
        assert_eq!(found(&list, "http://h/latest", Some("sub/c")), md5(TWO));
        assert_eq!(
            found(&list, "http://h/d", None),
            Err("SUMS has no digest of 'd'".into())
        );
        let own = found(&list, &format!("http://h/d#md5={ONE}"), None);
        assert_eq!(own, md5(ONE));
    }

    #[test]
    fn of_several_the_one_that_fits_best_counts() {
        let list = format!("{ONE}  x/a\n{TWO}  y/a\n");
        assert_eq!(found(&list, "http://h/x/a", None), md5(ONE));
        assert_eq!(found(&list, "http://h/z/y/a", None), md5(TWO));
        assert!(
            found(&list, "http://h/a", None)
                .unwrap_err()
                .contains("two different")
        );
        assert!(found(&list, "http://h/xx/a", None).is_err());
        let same = format!("{ONE}  x/a\n{ONE}  y/a\n");
        assert_eq!(found(&same, "http://h/a", None), md5(ONE));
    }

    #[test]
    fn a_digest_without_a_name_is_that_of_the_only_file() {
        for list in [
            format!("{ONE}\n"),
            ONE.to_owned(),
            format!("md5:{ONE}\n"),
            format!("{ONE}  -\n"),
            format!("MD5(stdin)= {ONE}\n"),
        ] {
            assert_eq!(found(&list, "http://h/a", None), md5(ONE), "{list}");
        }
        let with_name = format!("{TWO}\n{ONE}  a\n");
        assert_eq!(found(&with_name, "http://h/a", None), md5(ONE));
        assert!(Checksums::read("SUMS", format!("{ONE}\n{TWO}\n").as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_entry_is_passed_over() {
        let list = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n{ONE}  a\r\n-----BEGIN PGP SIGNATURE-----\r\n"
        );
        assert_eq!(found(&list, "http://h/a", None), md5(ONE));
        for list in ["", "<html>\nnot found\n</html>", "\u{feff}\n"] {
            assert!(Checksums::read("SUMS", list.as_bytes()).is_err());
        }
    }
}
