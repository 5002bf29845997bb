//! A row as the `urls` format has it, to be read again.

use std::fmt;

use super::Row;
use crate::http::{Digest, Expected};

impl fmt::Display for Row {
    /// The lines of the row, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)?;
        for mirror in &self.mirrors {
            write!(f, "\t{mirror}")?;
        }
        writeln!(f)?;
        let mut option = |key: &str, value: &dyn fmt::Display| writeln!(f, "  {key}={value}");
        if let Some(out) = &self.out {
            option("out", out)?;
        }
        let Some(options) = &self.options else {
            return Ok(());
        };
        let texts = [
            ("dir", &options.dir),
            ("user-agent", &options.user_agent),
            ("referer", &options.referer),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                option(key, value)?;
            }
        }
        for header in &options.headers {
            option("header", header)?;
        }
        if let Some(split) = &options.split {
            option("split", split)?;
        }
        for (key, value) in [("max-size", options.max_size), ("size", options.size)] {
            if let Some(value) = value {
                option(key, &value)?;
            }
        }
        options
            .digests
            .iter()
            .try_for_each(|expected| option("checksum", &written(expected)))
    }
}

/// One digest as hex, several that stand for one file as subresource integrity.
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
    use super::super::Rows;
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
            again.place = row.place.clone();
        }
        assert_eq!(rows, again, "{written}");
    }
}
