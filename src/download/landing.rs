//! Where the body of one response lands: the offset of its next byte, the end of its range, and its own digest. Both a
//! part file and a segment of it write through a landing.
//!
//! Whether a response is accepted at all is decided at its head, by [`Asked::check`](super::Asked::check) and the
//! validators of the bytes on the disk.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;

use super::message::Message;
use crate::error::Fault;
use crate::sys;

/// The landing of one response.
#[derive(Debug, Default)]
pub(super) struct Landing {
    /// The range that was written and not handed on yet.
    run: Range<u64>,
    /// The end offset of the response's body, if it is known.
    pub(super) limit: Option<u64>,
    /// The digest of the response's content, if it is verified on arrival.
    pub(super) message: Option<Box<Message>>,
}

/// A range of bytes without the digest that the server announced for them.
#[derive(Debug)]
pub(super) struct Spoilt {
    pub(super) range: Range<u64>,
    pub(super) fault: Fault,
}

impl Landing {
    /// The landing of a response with the bytes from `start` up to `limit`.
    pub(super) fn new(start: u64, limit: u64, message: Option<Box<Message>>) -> Self {
        Self {
            run: start..start,
            limit: Some(limit),
            message,
        }
    }

    /// The offset of the next byte.
    pub(super) fn next(&self) -> u64 {
        self.run.end
    }

    /// The range that was written and not handed on yet.
    pub(super) fn run(&self) -> &Range<u64> {
        &self.run
    }

    /// Hands the written range on: the next byte stays where it is.
    pub(super) fn hand_on(&mut self) -> Range<u64> {
        let run = self.run.clone();
        self.run.start = self.run.end;
        run
    }

    /// Goes back to `start`: what was written from there on counts as missing.
    pub(super) fn rewind(&mut self, start: u64) {
        self.run = start..start;
    }

    /// Counts bytes that are on the disk.
    pub(super) fn advance(&mut self, written: u64) {
        self.run.end += written;
    }

    /// Checks that the next bytes belong to the response's range.
    pub(super) fn check_room(&self, length: u64) -> Result<(), Fault> {
        match self.limit {
            Some(limit) if length > limit.saturating_sub(self.run.end) => {
                Err(Fault::BadRange("the response is longer than its range"))
            }
            _ => Ok(()),
        }
    }

    /// Writes the next bytes. After an error, those before the failure are on the disk and counted, so that another
    /// run need not fetch them again.
    pub(super) fn write(&mut self, file: &File, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match sys::write_at(file, bytes, self.run.end) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.run.end += written as u64;
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hashes bytes of the response, and verifies its digest after the last one.
    ///
    /// # Errors
    /// The range of the response, which counts as missing.
    pub(super) fn judge(&mut self, bytes: &[u8]) -> Result<(), Spoilt> {
        let Some(message) = &mut self.message else {
            return Ok(());
        };
        message.update(bytes);
        if self.limit != Some(self.run.end) {
            return Ok(());
        }
        let Some(message) = self.message.take() else {
            return Ok(());
        };
        let range = message.start()..self.run.end;
        message.finish().map_err(|fault| Spoilt { range, fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Response;

    fn announcing(digest: &str) -> Option<Box<Message>> {
        let mut response = Response::default();
        response.headers.push(b"Content-Digest", digest.as_bytes());
        Message::of(&response, 4)
    }

    #[test]
    fn bytes_are_written_one_behind_the_other_and_none_behind_the_range() {
        let file = tempfile::tempfile().unwrap();
        let mut landing = Landing::new(4, 10, None);
        landing.write(&file, b"abc").unwrap();
        assert_eq!((landing.next(), landing.hand_on()), (7, 4..7));
        assert!(landing.check_room(3).is_ok());
        assert!(matches!(landing.check_room(4), Err(Fault::BadRange(_))));
        landing.write(&file, b"def").unwrap();
        assert_eq!(landing.run(), &(7..10));
        assert_eq!(file.metadata().unwrap().len(), 10);
    }

    #[test]
    fn a_range_without_its_digest_is_spoilt_from_its_first_byte() {
        // The digest is that of "abcdef".
        let right = "sha-256=:vvV+x/U6bUC+tkCngKY5yDvCmsipgW8fxsXG3Nk8RyE=:";
        for (bytes, is_right) in [(b"abcdef", true), (b"abcdeg", false)] {
            let file = tempfile::tempfile().unwrap();
            let mut landing = Landing::new(4, 10, announcing(right));
            for bytes in bytes.chunks(4) {
                landing.write(&file, bytes).unwrap();
                let judged = landing.judge(bytes);
                match judged {
                    Ok(()) => assert!(is_right || landing.next() < 10),
                    Err(spoilt) => assert_eq!((is_right, spoilt.range), (false, 4..10)),
                }
            }
        }
    }
}
