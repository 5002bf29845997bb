//! Properties of a file alone: a server of moods, a folder, and neither an engine nor a clock.

use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use url::Url;

use super::{Action, Context, End, Event, File};
use crate::download::{
    Body, Claim, Download, Exists, Hashing, Jitter, Part, PartOptions, Patience, Placed, Retries,
    Retry,
};
use crate::error::{Doing, Error, Fault};
use crate::http::digest::{Algorithm, Hashers};
use crate::http::{Expected, Field, Response};
use crate::multi::{Outcome, Sink};
use crate::sys::Folder;

/// The versions of the file that a server may have.
const VERSIONS: u64 = 3;

/// What a server sends in place of the file.
const PAGE: &[u8] = b"<html>Who are you?</html>";

/// Actions after which a file goes on for ever.
const ENDLESS: usize = 500;

/// What the server does with one request.
#[derive(Debug, Clone, Copy)]
struct Mood {
    /// How it responds.
    kind: Kind,
    /// The version that it has.
    version: u64,
    /// Bytes of the body before the connection is lost; above its length, it is not.
    bytes: usize,
    /// Bytes of each write.
    chunk: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// As RFC 9110 says.
    Honest,
    /// A range, whatever If-Range says.
    Heedless,
    /// A shorter range than the requested one.
    Short,
    /// The full file, whatever was requested.
    Full,
    /// One byte is not that of the version.
    Damaged,
    /// The full file, or this status to a range request.
    Refusing(u16),
    /// As RFC 9110 says, with an entity tag that no other server of the version has.
    Balanced(u8),
    /// A login page, whatever was requested.
    Page,
    /// No response.
    Lost,
    Status(u16),
}

/// The bytes of a version: no byte is that of another version at the same offset.
fn body(version: u64) -> Vec<u8> {
    static LONGEST: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..90_100_u32).map(|at| at as u8).collect());
    let (start, end) = (version as usize, 90_000 + 9 * version as usize);
    LONGEST[start..end].to_vec()
}

fn moods() -> impl Strategy<Value = Vec<Mood>> {
    let statuses = prop::sample::select(vec![400, 403, 404, 412, 416, 429, 500, 503]);
    let kind = prop_oneof![
        4 => Just(Kind::Honest),
        1 => Just(Kind::Heedless),
        1 => Just(Kind::Short),
        1 => Just(Kind::Full),
        1 => Just(Kind::Damaged),
        1 => Just(Kind::Lost),
        1 => Just(Kind::Page),
        1 => (0_u8..4).prop_map(Kind::Balanced),
        1 => statuses.clone().prop_map(Kind::Refusing),
        2 => statuses.prop_map(Kind::Status),
    ];
    let version = prop_oneof![5 => Just(0), 1 => 1..VERSIONS];
    let mood = (kind, version, 0_usize..120_000, 5_000_usize..100_000);
    let mood = mood.prop_map(|(kind, version, bytes, chunk)| Mood {
        kind,
        version,
        bytes,
        chunk,
    });
    prop::collection::vec(mood, 0..8)
}

fn expected(bytes: &[u8]) -> Expected {
    let mut hashers = Hashers::new([Algorithm::Blake3]);
    hashers.update(bytes);
    hashers.finish()[0].into()
}

/// One row: its file, and the folder that it goes to.
struct Bench<'a> {
    file: File,
    hashing: Hashing,
    url: Url,
    folder: &'a Path,
    now: Instant,
    patience: Patience,
    retry: Retry,
    /// Until then, servers are overloaded.
    overloaded_until: Option<Instant>,
}

impl<'a> Bench<'a> {
    fn new(folder: &'a Path, digest: Option<Expected>, mirrors: usize) -> Self {
        let hashing = Hashing::on(0);
        let opened = Folder::make(folder, false).unwrap();
        let standing = opened.entry("a".as_ref()).unwrap();
        let claim = Claim {
            exists: Exists::Verify,
            standing: standing.map(|entry| entry.identity()),
            since: i128::MAX,
            is_fixed: false,
            is_renamed: false,
        };
        let options = Rc::new(PartOptions::default());
        let part = Part::new(Rc::new(opened), "a".into(), Rc::new(claim), options);
        let mut download = Download::new(Body::File(Box::new(part)), &hashing);
        download.expect(digest.into_iter().collect(), None, None);
        Self {
            file: File::new(Box::new(download), (1..=mirrors).map(url)),
            hashing,
            url: url(0),
            folder,
            now: Instant::now(),
            patience: Patience::default(),
            retry: Retry {
                retries: Some(3),
                ..Retry::default()
            },
            overloaded_until: None,
        }
    }

    /// Takes the file to its end.
    fn run(&mut self, moods: &[Mood]) -> End {
        let mut jitter = Jitter::new(1);
        let mut moods = moods.iter();
        let standing = fs::File::open(self.folder.join("a")).ok();
        let mut event = Event::Begun(standing);
        for _ in 0..ENDLESS {
            let mut context = Context {
                url: &self.url,
                now: self.now,
                retries: Retries {
                    retry: &self.retry,
                    jitter: &mut jitter,
                    wall: || SystemTime::UNIX_EPOCH,
                    patience: &mut self.patience,
                },
            };
            event = match self.file.on(event, &mut context) {
                Action::Start(start) => {
                    self.url = start.url.unwrap_or_else(|| self.url.clone());
                    self.now += start.delay.unwrap_or_default();
                    Event::Ended(self.fetch(moods.next()))
                }
                Action::Wait(task) => {
                    while !self.hashing.finished().is_empty() {
                        self.hashing.work();
                    }
                    let answers = self.hashing.answers();
                    let answer = answers.into_iter().find(|(answered, _)| *answered == task);
                    Event::Hashed(answer.expect("an answer").1)
                }
                Action::Publish(outcome) => Event::Published(outcome, self.publish()),
                Action::End(end) => return end,
            };
        }
        panic!("a file without an end");
    }

    fn publish(&mut self) -> Result<Placed, Fault> {
        match &mut self.file.download.body {
            Body::File(part) => part.finish(&self.url),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => unreachable!("a file"),
        }
    }

    /// Requests what is missing, and takes the response of a server in this mood.
    fn fetch(&mut self, mood: Option<&Mood>) -> Result<Outcome, Error> {
        let fields = self.file.download.ask();
        let mood = mood.copied().unwrap_or(Mood {
            kind: Kind::Honest,
            version: 0,
            bytes: usize::MAX,
            chunk: 70_000,
        });
        let mood = match self.overloaded_until {
            Some(until) if self.now < until => Mood {
                kind: Kind::Status(503),
                ..mood
            },
            _ => mood,
        };
        let (response, body) = match respond(&fields, mood) {
            Ok(responded) => responded,
            Err(fault) => return Err(Error::new(fault, Doing::Receiving, None)),
        };
        let received = self.take(&response, &body, mood);
        let received = received.map_err(|fault| Error::new(fault, Doing::Receiving, None))?;
        Ok(Outcome {
            status: response.status,
            received,
            elapsed: Duration::from_secs(1),
            ..Outcome::default()
        })
    }

    fn take(&mut self, response: &Response, body: &[u8], mood: Mood) -> Result<u64, Fault> {
        let download = &mut self.file.download;
        download.head(response)?;
        if download.wanted() == Some(0) {
            return Ok(0);
        }
        let arrives = &body[..body.len().min(mood.bytes)];
        for bytes in arrives.chunks(mood.chunk) {
            download.write(bytes)?;
        }
        if arrives.len() < body.len() {
            return Err(Fault::Truncated {
                received: arrives.len() as u64,
                expected: Some(body.len() as u64),
            });
        }
        Ok(body.len() as u64)
    }
}

/// The value of a field, which is a line that begins with this.
fn field<'l>(lines: &'l [String], name: &str) -> Option<&'l str> {
    lines.iter().find_map(|line| line.strip_prefix(name))
}

/// The URL of a server.
fn url(number: usize) -> Url {
    Url::parse(&format!("http://server{number}/a")).unwrap()
}

/// Whether a server sends no damaged bytes.
fn is_honest(mood: &Mood) -> bool {
    !matches!(mood.kind, Kind::Damaged)
}

/// The response of a server to a request with these fields.
fn respond(fields: &[Field], mood: Mood) -> Result<(Response, Vec<u8>), Fault> {
    let lines: Vec<_> = fields.iter().map(ToString::to_string).collect();
    let mut full = body(mood.version);
    let size = full.len();
    let etag = if let Kind::Balanced(server) = mood.kind {
        format!("\"v{} of {server}\"", mood.version)
    } else {
        format!("\"v{}\"", mood.version)
    };
    let is_current = field(&lines, "If-Range: ").is_none_or(|tag| tag == etag);
    let range = field(&lines, "Range: bytes=").map(|range| {
        let (start, end) = range.split_once('-').unwrap();
        let end = end.parse::<usize>().map_or(size, |last| size.min(last + 1));
        start.parse::<usize>().unwrap()..end
    });
    let allowed = if is_current { range.clone() } else { None };
    let range = match mood.kind {
        Kind::Refusing(_) if range.is_none() => None,
        Kind::Status(status) | Kind::Refusing(status) => {
            return Err(Fault::Status {
                status,
                retry_after: None,
                size: (status == 416 && mood.chunk.is_multiple_of(2)).then_some(size as u64),
            });
        }
        Kind::Lost => {
            return Err(Fault::NoAnswer);
        }
        Kind::Damaged => {
            let at = mood.bytes % size;
            full[at] ^= 1;
            allowed
        }
        Kind::Page => {
            let mut response = Response {
                status: 200,
                ..Response::default()
            };
            response.headers.push(b"Content-Type", b"text/html");
            if mood.chunk.is_multiple_of(2) {
                let length = PAGE.len().to_string();
                response.headers.push(b"Content-Length", length.as_bytes());
            }
            return Ok((response, PAGE.to_vec()));
        }
        Kind::Full => None,
        Kind::Honest | Kind::Balanced(_) => allowed,
        Kind::Heedless => range,
        Kind::Short => {
            allowed.map(|range| range.start..range.end.min(range.start + 1 + mood.bytes))
        }
    };
    let mut response = Response {
        status: 200,
        ..Response::default()
    };
    response.headers.push(b"ETag", etag.as_bytes());
    let body = match range {
        Some(range) if range.start >= size => {
            return Err(Fault::Status {
                status: 416,
                retry_after: None,
                size: Some(size as u64),
            });
        }
        Some(range) => {
            response.status = 206;
            let value = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            response.headers.push(b"Content-Range", value.as_bytes());
            full[range].to_vec()
        }
        None => full,
    };
    let length = body.len().to_string();
    response.headers.push(b"Content-Length", length.as_bytes());
    Ok((response, body))
}

/// The end of a file from servers that are overloaded for this time, and how long it took.
fn outlast(overload: Duration, mirrors: usize) -> (End, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(folder.path(), None, mirrors);
    bench.retry = Retry::default();
    let began = bench.now;
    bench.overloaded_until = Some(began + overload);
    let end = bench.run(&[]);
    (end, bench.now - began)
}

#[test]
fn without_a_number_of_tries_an_outage_of_minutes_is_outlasted() {
    for mirrors in [0, 2] {
        let (end, elapsed) = outlast(Duration::from_secs(200), mirrors);
        assert!(matches!(end, End::Done(_)), "{end:?}");
        assert!(elapsed < Duration::from_secs(300), "{elapsed:?}");
        let (end, elapsed) = outlast(Duration::from_secs(100_000), mirrors);
        assert!(matches!(end, End::Failed(_)));
        let expected = Duration::from_secs(200)..Duration::from_secs(310);
        assert!(expected.contains(&elapsed), "{elapsed:?}");
    }
}

#[test]
fn a_mirror_is_asked_before_anything_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(folder.path(), None, 2);
    let began = bench.now;
    let moods = [Kind::Status(503), Kind::Lost].map(broken);
    assert!(matches!(bench.run(&moods), End::Done(_)));
    assert_eq!((bench.now, bench.url.host_str()), (began, Some("server2")));
    // The list is gone through again.
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(folder.path(), None, 2);
    let moods = [Kind::Status(503); 4].map(broken);
    assert!(matches!(bench.run(&moods), End::Done(_)));
    assert!(bench.now > began);
    assert_eq!(bench.file.tries_in_all, 5);
}

/// The mood of a server that breaks in this way.
fn broken(kind: Kind) -> Mood {
    Mood {
        kind,
        version: 0,
        bytes: 1000,
        chunk: 1000,
    }
}

/// The files of a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Whatever servers do, the file is one version from its first byte to its last, or its row fails once and
    /// nothing has its name.
    #[test]
    fn a_file_is_one_version_or_fails(moods in moods(), mirrors in 0_usize..3) {
        let moods: Vec<_> = moods.into_iter().filter(is_honest).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(folder.path(), None, mirrors);
        let end = bench.run(&moods);
        let found = fs::read(folder.path().join("a")).ok();
        match end {
            End::Done(_) => {
                let found = found.expect("a file");
                let is_whole = (0..VERSIONS).any(|version| found == body(version));
                // A page is taken only if nothing came before it.
                let mut before = moods.iter().take_while(|mood| !matches!(mood.kind, Kind::Page));
                let is_first = before.all(|mood| matches!(mood.kind, Kind::Lost | Kind::Status(_)));
                let is_page = found == PAGE && is_first;
                prop_assert!(is_whole || is_page);
                drop(bench);
                prop_assert_eq!(names(folder.path()), ["a"]);
            }
            End::Failed(_) => prop_assert!(found.is_none()),
            End::Unchanged { .. } | End::Kept { .. } => prop_assert!(false, "nothing was kept"),
        }
    }

    /// With a digest, damaged bytes and other versions never get the name, and the file that has it already stays
    /// until the right one replaces it.
    #[test]
    fn a_file_with_a_digest_is_right_or_fails(
        moods in moods(),
        mirrors in 0_usize..3,
        standing in prop::option::of(0..VERSIONS),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        if let Some(version) = standing {
            fs::write(&path, body(version)).unwrap();
        }
        let right = body(0);
        let mut bench = Bench::new(folder.path(), Some(expected(&right)), mirrors);
        let end = bench.run(&moods);
        let found = fs::read(&path).ok();
        match end {
            End::Done(_) | End::Kept { .. } => prop_assert!(found == Some(right)),
            End::Unchanged { .. } => {
                prop_assert_eq!(standing, Some(0));
                prop_assert!(found == Some(right));
            }
            End::Failed(_) => prop_assert!(found == standing.map(body)),
        }
    }

    /// A try that brings nothing new is counted, so that every file ends: the longest one has a bounded number of
    /// requests, however its servers take turns.
    #[test]
    fn a_file_ends_after_a_bounded_number_of_tries(mood in moods(), mirrors in 0_usize..3) {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(folder.path(), Some(expected(b"another file")), mirrors);
        let moods: Vec<_> = mood.iter().cycle().take(200 * mood.len().min(1)).copied().collect();
        let end = bench.run(&moods);
        prop_assert!(matches!(end, End::Failed(_)));
        prop_assert!(bench.file.tries_in_all < 150, "{} tries", bench.file.tries_in_all);
    }
}
