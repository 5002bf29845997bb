//! Range requests, and the checks that a response must pass before its bytes are stored beside those already written
//! (RFC 9110 §13.1.5 and §14). Pure.

use super::{State, Validators};
use crate::error::Fault;
use crate::http::{ContentRange, Field, Response};

/// A requested range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The offset of the first byte.
    pub start: u64,
    /// The end offset; `None` requests everything up to the end of the file.
    pub end: Option<u64>,
}

impl Asked {
    /// The request fields: Range, and If-Range if a validator can prove the version.
    pub fn fields(&self, validators: &Validators) -> Vec<Field> {
        let last = self
            .end
            .map_or_else(String::new, |end| (end - 1).to_string());
        let lines = [
            Some(format!("Range: bytes={}-{last}", self.start)),
            validators
                .strong()
                .map(|validator| format!("If-Range: {validator}")),
        ];
        // A validator that is no valid field value, from an altered state file, is omitted: then the response must
        // prove the version itself.
        let fields = lines.into_iter().flatten();
        fields.filter_map(|line| Field::parse(&line).ok()).collect()
    }

    /// Checks a 206 against the written bytes in `held`, and returns its range. `is_vouched`: something else will
    /// verify the version, so the validators need only not contradict.
    ///
    /// # Errors
    /// [`Fault::Changed`]: it is of another version. [`Fault::BadRange`]: it does not have the requested range, or
    /// does not say so.
    pub fn check(
        &self,
        held: &State,
        response: &Response,
        is_vouched: bool,
    ) -> Result<ContentRange, Fault> {
        let Some(range) = response.content_range() else {
            return Err(Fault::BadRange(
                "the response does not say which range it has",
            ));
        };
        let theirs = Validators::of(response);
        let sizes = held.size.zip(range.total);
        let is_other_size = sizes.is_some_and(|(held, theirs)| held != theirs);
        if is_other_size || held.validators.contradict(&theirs) {
            return Err(Fault::Changed);
        }
        if !is_vouched && !held.validators.prove(&theirs) {
            return Err(Fault::BadRange(
                "the response does not identify its version",
            ));
        }
        if range.total.is_none() {
            return Err(Fault::BadRange(
                "the response does not state the size of the file",
            ));
        }
        if range.first != self.start || self.end.is_some_and(|end| range.last >= end) {
            return Err(Fault::BadRange(
                "the response has another range than the requested one",
            ));
        }
        let length = range.last - range.first + 1;
        if response
            .content_length()
            .is_some_and(|announced| announced != length)
        {
            return Err(Fault::BadRange(
                "the length of the response does not match its range",
            ));
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::Ranges;

    const ASKED: Asked = Asked {
        start: 10,
        end: None,
    };

    fn held() -> State {
        State {
            size: Some(100),
            validators: Validators {
                etag: Some("\"v1\"".to_owned()),
                ..Validators::default()
            },
            ranges: Ranges::in_order(std::iter::once(0..10)).unwrap(),
            ..State::default()
        }
    }

    fn answer(fields: &[(&str, &str)]) -> Response {
        let mut response = Response::default();
        for (name, value) in fields {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        response
    }

    fn check(fields: &[(&str, &str)]) -> Result<ContentRange, Fault> {
        ASKED.check(&held(), &answer(fields), false)
    }

    #[test]
    fn the_right_part_of_the_right_version_is_taken() {
        let range = check(&[
            ("Content-Range", "bytes 10-99/100"),
            ("ETag", "\"v1\""),
            ("Content-Length", "90"),
        ]);
        assert_eq!(range.unwrap().last, 99);
        // A response may have fewer bytes than requested (RFC 9110 §15.3.7).
        assert!(check(&[("Content-Range", "bytes 10-20/100"), ("ETag", "\"v1\"")]).is_ok());
    }

    #[test]
    fn another_version_is_a_change() {
        for fields in [
            [("Content-Range", "bytes 10-99/100"), ("ETag", "\"v2\"")],
            [("Content-Range", "bytes 10-99/100"), ("ETag", "W/\"v1\"")],
            [("Content-Range", "bytes 10-99/101"), ("ETag", "\"v1\"")],
            [
                ("Content-Range", "bytes 10-99/100"),
                ("Content-Encoding", "gzip"),
            ],
        ] {
            let fault = check(&fields).unwrap_err();
            assert!(matches!(fault, Fault::Changed), "{fields:?}: {fault}");
        }
    }

    #[test]
    fn a_part_that_is_not_beyond_doubt_is_not_taken() {
        let tag = ("ETag", "\"v1\"");
        for fields in [
            vec![tag],
            vec![("Content-Range", "bytes 10-99/100")],
            vec![tag, ("Content-Range", "bytes 10-99/*")],
            vec![tag, ("Content-Range", "bytes 0-99/100")],
            vec![tag, ("Content-Range", "bytes 11-99/100")],
            vec![
                tag,
                ("Content-Range", "bytes 10-99/100"),
                ("Content-Range", "bytes 10-99/100"),
            ],
            vec![
                tag,
                ("Content-Range", "bytes 10-99/100"),
                ("Content-Length", "91"),
            ],
            vec![tag, ("Content-Type", "multipart/byteranges; boundary=x")],
        ] {
            let fault = check(&fields).unwrap_err();
            assert!(matches!(fault, Fault::BadRange(_)), "{fields:?}: {fault}");
        }
    }

    #[test]
    fn a_part_may_not_go_beyond_what_was_asked_for() {
        let asked = Asked {
            start: 10,
            end: Some(20),
        };
        let of = |range| {
            let fields = [("ETag", "\"v1\""), ("Content-Range", range)];
            asked.check(&held(), &answer(&fields), false)
        };
        assert!(of("bytes 10-19/100").is_ok());
        assert!(of("bytes 10-20/100").is_err());
    }

    #[test]
    fn who_vouches_for_the_version_needs_no_proof_but_hears_of_a_change() {
        let check = |fields: &[(&str, &str)]| ASKED.check(&held(), &answer(fields), true);
        assert!(check(&[("Content-Range", "bytes 10-99/100")]).is_ok());
        assert!(check(&[("Content-Range", "bytes 10-99/100"), ("ETag", "\"v2\"")]).is_err());
    }

    #[test]
    fn a_range_goes_under_if_range_where_there_is_a_strong_validator() {
        let lines = |asked: Asked, validators: &Validators| -> Vec<String> {
            let fields = asked.fields(validators);
            fields.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            lines(ASKED, &held().validators),
            ["Range: bytes=10-", "If-Range: \"v1\""]
        );
        let asked = Asked {
            start: 0,
            end: Some(1),
        };
        assert_eq!(lines(asked, &Validators::default()), ["Range: bytes=0-0"]);
    }
}
