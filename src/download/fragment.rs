//! A fragment: the range of `--range`, which is stored as a file. How it is requested, and which responses hold it
//! (RFC 9110 §14). Pure.

use crate::error::{Fault, Malformed};
use crate::http::{ByteRange, ContentRange, Field, Response};

/// The requested range, and the range that the server has sent.
#[derive(Debug)]
pub(super) struct Fragment {
    wanted: ByteRange,
    /// The range of the fragment within the full file; `None` before a response, and if the response was the full
    /// file.
    found: Option<ContentRange>,
}

impl Fragment {
    /// A fragment for this range.
    pub(super) fn new(wanted: ByteRange) -> Self {
        Self {
            wanted,
            found: None,
        }
    }

    /// Its size in bytes, if it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.found.map(|found| found.last - found.first + 1)
    }

    /// The fields of a request for the fragment, or for the rest of it from `start` on. `fields` are those that would
    /// request that rest if the fragment were a full file.
    pub(super) fn ask(&self, fields: Vec<Field>, start: Option<u64>) -> Vec<Field> {
        let rest = start.zip(self.found);
        let range = match rest {
            Some((start, found)) => format!("{}-{}", found.first + start, found.last),
            None => self.wanted.to_string(),
        };
        let range = Field::parse(&format!("Range: bytes={range}")).ok();
        let others = fields.into_iter().filter(|field| {
            let is_range = field.name().eq_ignore_ascii_case("Range");
            rest.is_some() && !is_range
        });
        range.into_iter().chain(others).collect()
    }

    /// Accepts the head of a response to a request for the full fragment.
    ///
    /// # Errors
    /// [`Fault::NoPart`]: it has the full file, which is not the requested range. [`Malformed::OtherRange`]: it has
    /// another range, or does not say which. [`Malformed::Unasked`]: any other status.
    pub(super) fn begin(&mut self, response: &Response) -> Result<(), Fault> {
        self.found = None;
        let length = response.content_length();
        match response.status {
            206 => {
                let range = response.content_range();
                let found = range.and_then(|range| self.sent(range, length));
                self.found = Some(found.ok_or(Malformed::OtherRange)?);
                Ok(())
            }
            // A server may ignore Range (§14.2), and the full file may be just the requested range.
            ..300 if self.wanted.covers(length) => Ok(()),
            ..300 => Err(Fault::NoPart),
            status => Err(Malformed::Unasked(status).into()),
        }
    }

    /// The range that a 206 with this Content-Range and this Content-Length has; `None` if it is another one than the
    /// requested one.
    ///
    /// A wrong end in the Content-Range does not count if the range begins as requested, Content-Length is the
    /// requested size, and the file does not end before. Some servers count the end wrongly, and other clients do not
    /// read it.
    fn sent(&self, range: ContentRange, length: Option<u64>) -> Option<ContentRange> {
        let size = range.last - range.first + 1;
        if self.wanted.is_satisfied_by(range) && length.is_none_or(|length| length == size) {
            return Some(range);
        }
        let ByteRange::From {
            first,
            last: Some(last),
        } = self.wanted
        else {
            return None;
        };
        let is_whole = length.is_some_and(|length| Some(length) == (last - first).checked_add(1));
        let is_within = last < range.total.unwrap_or(u64::MAX);
        (range.first == first && is_whole && is_within).then_some(ContentRange { last, ..range })
    }

    /// The head of a response to a request for the rest, translated to offsets within the fragment.
    ///
    /// # Errors
    /// [`Fault::Changed`]: it has the full file, or the file has another size. [`Fault::BadRange`]: it has other
    /// bytes.
    pub(super) fn go_on(&self, response: &Response) -> Result<Response, Fault> {
        if response.status != 206 {
            return Err(Fault::Changed);
        }
        let other = || Fault::BadRange("the response has another range than the requested one");
        let (found, range) = self.found.zip(response.content_range()).ok_or_else(other)?;
        if found.total != range.total {
            return Err(Fault::Changed);
        }
        if range.first < found.first || range.last > found.last {
            return Err(other());
        }
        let mut own = Response {
            version: response.version,
            status: response.status,
            ..Response::default()
        };
        let fields = response.headers.iter();
        for (name, value) in fields.filter(|(name, _)| !name.eq_ignore_ascii_case(b"Content-Range"))
        {
            own.headers.push(name, value);
        }
        let (first, last) = (range.first - found.first, range.last - found.first);
        let size = found.last - found.first + 1;
        let range = format!("bytes {first}-{last}/{size}");
        own.headers.push(b"Content-Range", range.as_bytes());
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &[(&str, &str)]) -> Response {
        let mut response = Response {
            status,
            ..Response::default()
        };
        for (name, value) in fields {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        response
    }

    fn fragment(wanted: &str) -> Fragment {
        Fragment::new(wanted.parse().unwrap())
    }

    fn lines(fields: Vec<Field>) -> Vec<String> {
        fields.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_part_that_was_asked_for_is_taken() {
        for (wanted, range) in [
            ("5-9", "bytes 5-9/20"),
            ("5-9", "bytes 5-9/*"),
            ("5-99", "bytes 5-9/10"),
            ("5-", "bytes 5-9/10"),
            ("-5", "bytes 5-9/10"),
            ("-99", "bytes 0-9/10"),
        ] {
            let mut fragment = fragment(wanted);
            let begun = fragment.begin(&answer(206, &[("Content-Range", range)]));
            assert!(begun.is_ok(), "{wanted} {range}");
            assert!(fragment.size().is_some_and(|size| size == 5 || size == 10));
        }
    }

    #[test]
    fn another_part_is_none() {
        for (wanted, range) in [
            ("5-9", "bytes 4-9/20"),
            ("5-9", "bytes 5-10/20"),
            ("5-9", "bytes 5-8/20"),
            ("5-9", "bytes 5-8/*"),
            ("5-", "bytes 5-8/20"),
            ("5-", "bytes 5-8/*"),
            ("-5", "bytes 4-9/10"),
            ("-5", "bytes 5-8/10"),
            ("-5", "bytes 5-9/*"),
            ("5-9", "lines 5-9/20"),
        ] {
            let begun = fragment(wanted).begin(&answer(206, &[("Content-Range", range)]));
            let is_other = matches!(begun, Err(Fault::Malformed(Malformed::OtherRange)));
            assert!(is_other, "{wanted} {range}");
        }
        let range = ("Content-Range", "bytes 5-9/20");
        for fields in [&[][..], &[range, range], &[range, ("Content-Length", "6")]] {
            assert!(fragment("5-9").begin(&answer(206, fields)).is_err());
        }
    }

    /// The size of a fragment that begins with a 206 of this range and length.
    fn begun(wanted: &str, range: &str, length: &str) -> Option<u64> {
        let mut fragment = fragment(wanted);
        let fields = [("Content-Range", range), ("Content-Length", length)];
        fragment.begin(&answer(206, &fields)).ok()?;
        fragment.size()
    }

    #[test]
    fn a_wrong_end_does_not_count_if_begin_and_length_are_right() {
        for range in [
            "bytes 10-18/155",
            "bytes 10-23/155",
            "bytes 10-154/155",
            "bytes 10-18/*",
        ] {
            assert_eq!(begun("10-22", range, "13"), Some(13), "{range}");
        }
        for (wanted, range, length) in [
            ("10-22", "bytes 10-18/155", "9"),
            ("10-22", "bytes 10-18/155", "12"),
            ("10-22", "bytes 11-23/155", "13"),
            ("10-22", "bytes 10-18/19", "13"),
            ("10-", "bytes 10-18/23", "13"),
            ("-13", "bytes 10-18/23", "13"),
            ("0-18446744073709551615", "bytes 0-18/*", "19"),
            (
                "1-18446744073709551615",
                "bytes 1-18/*",
                "18446744073709551615",
            ),
        ] {
            assert_eq!(begun(wanted, range, length), None, "{wanted} {range}");
        }
    }

    #[test]
    fn the_whole_is_taken_where_it_is_what_was_asked_for() {
        for (wanted, length, is_all) in [
            ("0-", None, true),
            ("0-", Some("10"), true),
            ("0-9", Some("10"), true),
            ("0-9", Some("3"), true),
            ("-10", Some("10"), true),
            ("0-9", Some("11"), false),
            ("0-9", None, false),
            ("-10", Some("11"), false),
            ("-10", None, false),
            ("1-", Some("10"), false),
        ] {
            let fields: Vec<_> = length
                .map(|length| ("Content-Length", length))
                .into_iter()
                .collect();
            let begun = fragment(wanted).begin(&answer(200, &fields));
            assert_eq!(begun.is_ok(), is_all, "{wanted} {length:?}");
            assert!(is_all || matches!(begun, Err(Fault::NoPart)));
        }
        assert!(fragment("0-").begin(&answer(304, &[])).is_err());
    }

    #[test]
    fn the_rest_is_asked_for_where_it_lies_in_the_file() {
        let mut fragment = fragment("-50");
        let fields = || {
            let lines = ["Range: bytes=20-", "If-Range: \"v\""];
            lines.map(|line| Field::parse(line).unwrap()).to_vec()
        };
        assert_eq!(lines(fragment.ask(Vec::new(), None)), ["Range: bytes=-50"]);
        assert_eq!(
            lines(fragment.ask(fields(), Some(20))),
            ["Range: bytes=-50"]
        );
        let range = ("Content-Range", "bytes 950-999/1000");
        fragment.begin(&answer(206, &[range])).unwrap();
        let asked = fragment.ask(fields(), Some(20));
        assert_eq!(lines(asked), ["Range: bytes=970-999", "If-Range: \"v\""]);
    }

    #[test]
    fn an_answer_with_the_rest_is_shown_as_that_of_a_file() {
        let mut fragment = fragment("100-199");
        let range = ("Content-Range", "bytes 100-199/1000");
        fragment.begin(&answer(206, &[range])).unwrap();
        let go_on = |status, range| {
            let fields = [("ETag", "\"v\""), ("Content-Range", range)];
            fragment.go_on(&answer(status, &fields))
        };
        let shown = go_on(206, "bytes 120-199/1000").unwrap();
        let part = shown.content_range().unwrap();
        assert_eq!((part.first, part.last, part.total), (20, 99, Some(100)));
        assert_eq!(shown.etag(), Some("\"v\""));
        for (status, range) in [
            (200, "bytes 120-199/1000"),
            (206, "bytes 120-199/1001"),
            (206, "bytes 99-199/1000"),
            (206, "bytes 120-200/1000"),
            (206, "nonsense"),
        ] {
            assert!(go_on(status, range).is_err(), "{status} {range}");
        }
    }
}
