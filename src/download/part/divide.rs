//! When a file may be divided among several transfers, and what the segments need of it.

use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;

use super::Part;
use crate::download::{Ranges, Segment, SharedFile, Validators};
use crate::error::Fault;
use crate::http::{Response, Version};

impl Part {
    /// Decides whether the missing ranges may be divided into segments of at least `least` bytes. That needs a strong
    /// validator, which ties all responses to one version, and a server that has not refused ranges.
    pub(in crate::download) fn decide_divisible(
        &mut self,
        response: &Response,
        least: Option<u64>,
    ) {
        self.attempt.is_divisible = false;
        let (Some(least), Some(size)) = (least, self.state.size) else {
            return;
        };
        let rest = size.saturating_sub(self.attempt.landing.next());
        let has_holes = self.state.ranges.end() > self.attempt.landing.next();
        self.attempt.is_divisible = (rest / 2 >= least || has_holes)
            && !refuses_ranges(response)
            && self.reliability.allows_ranges()
            && self.state.validators.strong().is_some()
            && self.state.validators.encoding.is_none();
        self.attempt.version = Some(response.version);
    }

    /// Whether the body equals the file at its name. It has arrived then, and no part file is created for it.
    pub(in crate::download) fn is_same(&self) -> bool {
        self.attempt.is_same
    }

    /// Whether the missing ranges may be divided among several transfers.
    pub fn is_divisible(&self) -> bool {
        self.attempt.is_divisible
    }

    /// Whether the response arrives on a multiplexed connection.
    pub fn is_multiplexed(&self) -> bool {
        // On HTTP/2 one stream can use its connection's full bandwidth: more connections are opened only on request.
        self.attempt.version == Some(Version::Http2)
    }

    /// Hands the missing ranges over to several transfers. Returns the segment of the current transfer, and the
    /// written ranges.
    ///
    /// # Errors
    /// [`Fault::Disk`]: the part file cannot be created.
    pub fn divide(&mut self) -> Result<(Segment, Ranges), Fault> {
        self.attempt.is_divisible = false;
        self.settle();
        self.target.create()?;
        let file = self.target.disk.named().cloned();
        let file =
            file.ok_or_else(|| self.target.part_fault("open", ErrorKind::NotFound.into()))?;
        self.is_divided = true;
        let size = self.state.size.unwrap_or(0);
        let shared = Rc::new(SharedFile {
            file,
            path: self.target.path(),
            size,
            promise: self.promise(),
            has_begun: Cell::new(false),
            reach: Cell::new(0),
            extent: Cell::new(self.state.ranges.end()),
        });
        let landing = std::mem::take(&mut self.attempt.landing);
        let segment = Segment::under_way(shared, landing, self.state.validators.clone());
        Ok((segment, self.state.ranges.clone()))
    }

    /// Sets the ranges that the segments have written.
    pub fn set_written(&mut self, done: &Ranges) {
        self.attempt.landing.rewind(0);
        self.state.ranges.clone_from(done);
    }

    /// Marks the body as mixed: only a digest can prove that its bytes, from several servers, belong to one version.
    pub fn set_mixed(&mut self) {
        self.state.is_mixed = true;
    }

    /// Whether any byte is written.
    pub fn has_bytes(&self) -> bool {
        !self.attempt.landing.run().is_empty() || !self.state.ranges.is_empty()
    }

    /// Whether the server identifies its version by a strong entity tag, which mirrors may share.
    pub fn has_strong_tag(&self) -> bool {
        let validators = &self.state.validators;
        validators.etag.is_some() && validators.strong().is_some()
    }

    /// From now on the written bytes are continued under the validators of another server that has the file.
    pub fn rely_on(&mut self, validators: &Validators) {
        self.state.validators.clone_from(validators);
    }
}

/// Whether a server says that it ignores range requests.
fn refuses_ranges(response: &Response) -> bool {
    let accepted = response.headers.get("accept-ranges");
    accepted.is_some_and(|value| value.eq_ignore_ascii_case(b"none"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use super::*;
    use crate::download::Exists;
    use crate::download::part::{Claim, PartOptions};
    use crate::sys::Folder;

    /// A body of 60 bytes for `a` in a folder, whose response head has arrived.
    fn begun(folder: &Path) -> Part {
        let folder = Folder::make(folder, false).unwrap();
        let entry = folder.entry("a".as_ref()).unwrap();
        let claim = Claim {
            exists: Exists::Verify,
            standing: entry.map(|entry| entry.identity()),
            since: i128::MAX,
            is_fixed: false,
            is_renamed: false,
        };
        let options = Rc::new(PartOptions::default());
        let mut part = Part::new(Rc::new(folder), "a".into(), Rc::new(claim), options);
        let mut response = Response::default();
        for (name, value) in [("ETag", "\"v\""), ("Content-Length", "60")] {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        part.begin(&response, false).unwrap();
        part
    }

    /// Found by the simulation of files over HTTP/2, seed 80010087: a body that equalled the existing file was divided
    /// before its stream ended, and an empty part file stayed behind.
    #[test]
    fn a_body_that_equals_the_existing_file_has_no_part() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), [1; 60]).unwrap();
        let mut part = begun(folder.path());
        assert!(!part.is_same());
        part.write(&[1; 60]).unwrap();
        assert!(part.is_same());
        assert!(!folder.path().join("a.part").exists());
    }

    /// Found by the simulation of other programs, seeds 50055146 and 50065359: the check discarded the written bytes,
    /// and the next bytes of the current response were written at offset 0.
    #[test]
    fn a_part_that_another_program_has_cut_is_not_divided_and_its_try_fails() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = begun(folder.path());
        part.write(&[1; 30]).unwrap();
        let file = File::options()
            .write(true)
            .open(folder.path().join("a.part"));
        file.unwrap().set_len(10).unwrap();
        for _ in 0..2 {
            assert!(matches!(part.create_shared(), Err(Fault::Disk { .. })));
        }
        assert!(matches!(part.write(&[2; 10]), Err(Fault::Disk { .. })));
        assert_eq!(part.written(), 0, "the next try begins at the start");
    }
}
