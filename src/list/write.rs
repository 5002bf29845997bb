//! Writes a row in the `urls` format, so that it can be read again.

use std::borrow::Cow;
use std::fmt;

use super::{Row, pieces};
use crate::http::{Digest, Expected};

/// The prefix of a line that is invalid in the `urls` format whatever follows. It stands for a row that cannot be
/// written in that format.
const BAD_ROW: &str = "bad row:";

/// An invalid line of the `urls` format with `what` as its text.
pub fn bad_row(what: &str) -> Box<str> {
    let what = what.replace(char::is_control, " ");
    format!("{BAD_ROW} {what}").into()
}

impl fmt::Display for Row {
    /// The lines of the row, each with a line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)?;
        for mirror in &self.mirrors {
            write!(f, "\t{mirror}")?;
        }
        writeln!(f)?;
        if let Some(out) = &self.out {
            writeln!(f, "  out={}", with_blanks(out))?;
        }
        let Some(options) = &self.options else {
            return Ok(());
        };
        if let Some(dir) = &options.dir {
            writeln!(f, "  dir={}", with_blanks(dir))?;
        }
        if let Some(user_agent) = &options.user_agent {
            writeln!(f, "  user-agent={user_agent}")?;
        }
        if let Some(referer) = &options.referer {
            writeln!(f, "  referer={referer}")?;
        }
        for header in &options.headers {
            writeln!(f, "  header={header}")?;
        }
        if let Some(split) = &options.split {
            writeln!(f, "  split={split}")?;
        }
        if let Some(max_size) = options.max_size {
            writeln!(f, "  max-size={max_size}")?;
        }
        if let Some(size) = options.size {
            writeln!(f, "  size={size}")?;
        }
        for expected in &options.digests {
            writeln!(f, "  checksum={}", written(expected))?;
        }
        match &options.pieces {
            Some(all) => pieces::write(all, |line| writeln!(f, "  pieces={line}")),
            None => Ok(()),
        }
    }
}

/// A path that keeps its leading and trailing spaces when it is read again; those of a plain value are trimmed.
fn with_blanks(path: &str) -> Cow<'_, str> {
    if !path.starts_with(' ') && !path.ends_with(' ') {
        return path.into();
    }
    format!("./{path}/.").into()
}

/// One digest as hex; several alternatives in the notation of Subresource Integrity.
fn written(expected: &Expected) -> String {
    let digests: Vec<_> = expected.digests().collect();
    match digests[..] {
        [digest] => digest.to_string(),
        _ => digests
            .into_iter()
            .map(Digest::to_sri)
            .collect::<Vec<_>>()
            .join(" "),
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::{Format, References, Rows};
    use super::*;

    fn read(list: &str) -> Vec<Row> {
        let mut rows = Rows::new("list", None);
        rows.feed(list.as_bytes());
        rows.finish();
        std::iter::from_fn(|| rows.next_row())
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn a_row_is_read_again_as_it_was() {
        let sri = "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=";
        let list = format!(
            "http://h/a\nhttp://me:pw@h/b?q#md5=900150983cd24fb0d6963f7d28e17f72\thttps://i/b\n out=x y/z\n dir=d\n header=A: b\n \
             header=C:\n user-agent=u/1\n referer=http://r/\n max-size=1K\n size=7\n split=4\n checksum={sri} {sri}\nhttp://h/c name\n split=auto\n"
        );
        let rows = read(&list);
        let written: String = rows.iter().map(ToString::to_string).collect();
        let mut again = read(&written);
        assert_eq!(again.len(), 3, "{written}");
        for (row, again) in rows.iter().zip(&mut again) {
            again.location = row.location.clone();
        }
        assert_eq!(rows, again, "{written}");
    }

    #[test]
    fn digests_of_pieces_are_written_on_as_many_lines_as_they_need() {
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        let list = format!("http://h/a\n pieces=md5:10 {md5}\n pieces=md5:10 {md5} {md5}\n");
        let written = read(&list)[0].to_string();
        assert_eq!(
            written,
            format!("http://h/a\n  pieces=md5:10 {md5} {md5} {md5}\n")
        );
        let many = format!(
            "http://h/a\n{}",
            format!(" pieces=md5:10 {md5}\n").repeat(5000)
        );
        let rows = read(&many);
        let written = rows[0].to_string();
        assert!(written.lines().all(|line| line.len() < 64 * 1024) && written.lines().count() > 2);
        assert_eq!(read(&written)[0].options, rows[0].options);
    }

    #[test]
    fn blanks_around_a_name_stay_a_part_of_it() {
        let mut row = read("http://h/a\n")[0].clone();
        row.out = Some(" x ".into());
        let again = read(&row.to_string())[0].out.clone();
        assert_eq!(again.as_deref(), Some("./ x /."));
    }

    #[test]
    fn what_is_no_row_is_written_so_that_it_fails_again_and_changes_no_other() {
        let bad = [
            "nonsense",
            "http://h/a\n  nonsense=1\n  out=x",
            "http://h/a one two",
            "{\"url\": 1}",
            "<metalink/>",
            "900150983cd24fb0d6963f7d28e17f72  /absolute",
            "# a comment",
            "  out=x",
            "a\u{7}b",
            "",
        ];
        for format in [Format::Urls, Format::Jsonl, Format::Sums] {
            for text in bad {
                let mut rows = Rows::in_format(format, "list", References::default());
                rows.feed(text.as_bytes());
                rows.finish();
                let Some(Err(error)) = rows.next_row() else {
                    continue;
                };
                let message = bad_row(&error.to_string());
                let lines = error.text.unwrap_or(message);
                let base = Url::parse("http://h/").ok();
                for base in [None, base] {
                    let mut rows = Rows::new("again", base);
                    rows.feed(format!("{lines}\nhttp://h/b\n").as_bytes());
                    rows.finish();
                    let again: Vec<_> = std::iter::from_fn(|| rows.next_row()).collect();
                    assert!(again.len() == 2 && again[1].is_ok(), "{text:?}: {lines:?}");
                    let is_relative = &*lines == "nonsense" && again[0].is_ok();
                    assert!(again[0].is_err() || is_relative, "{text:?}: {lines:?}");
                    if let Err(error) = &again[0] {
                        assert_eq!(error.text.as_deref(), Some(&*lines), "{text:?}");
                    }
                }
            }
        }
    }
}
