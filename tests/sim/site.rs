//! The servers of a simulated run: files, versions of them, redirects, what they make of ranges,
//! and the faults that are still to come.

use std::sync::OnceLock;

use super::random::Random;
use super::reply::{Answer, Cut, Reply, Request, Serve};
use crate::harness::{noise, sha256_hex};

/// No file has more bytes.
pub(super) const LARGEST: usize = 601_000;

/// What all files are parts of: twice as much as the largest.
pub(super) fn all_noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| noise(2 * LARGEST))
}

/// How a file's URL answers, faults aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    There,
    Missing,
}

/// What a server makes of a request for a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    /// What RFC 9110 §14 says.
    Right,
    /// It sends the whole.
    Never,
    /// It sends less than was asked for.
    Short,
    /// It sends what is one byte further on, and says so.
    Late,
    /// It sends the whole as if it were a part.
    FromStart,
    /// It does not say which bytes it sends.
    Mute,
    /// It says another size of the whole.
    OtherTotal,
    /// It sends more than it says.
    Long,
    /// It has no such part, it says.
    Refused,
    /// It does not look at If-Range.
    Blind,
}

/// By what a version can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    Strong,
    Weak,
    /// Another one with each answer.
    Fresh,
    None,
}

/// What its URL promises of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    Nothing,
    /// The digest of its first version.
    Digest,
    /// A digest that it never has.
    WrongDigest,
}

/// A file: what it holds is told by its number and its version alone.
#[derive(Debug)]
pub(super) struct File {
    pub(super) kind: Kind,
    pub(super) promise: Promise,
    pub(super) parts: Parts,
    pub(super) tags: Tags,
    size: usize,
    /// Redirects on the way to it.
    pub(super) redirects: usize,
    /// How often it is to go wrong yet, and was in the beginning.
    faults: usize,
    pub(super) all_faults: usize,
    /// It changes once, before this request is answered.
    changes_at: Option<usize>,
    requests: usize,
    pub(super) version: usize,
}

#[derive(Debug)]
pub(super) struct Site {
    pub(super) files: Vec<File>,
}

/// The largest sizes lie round the edges of buffers.
fn size(random: &mut Random) -> usize {
    match random.below(40) {
        0 => 0,
        1 => *random.pick(&[65_535, 65_536, 65_537, 262_143, 262_144, 262_145]),
        2 => random.below(600_000),
        3..10 => random.below(70_000),
        _ => random.below(3_000),
    }
}

impl File {
    fn new(random: &mut Random) -> Self {
        use Parts::{Blind, FromStart, Late, Long, Mute, Never, OtherTotal, Refused, Right, Short};
        let faults = [0, 0, 1, 1, 2, 3][random.below(6)];
        let odd = [
            Never, Short, Late, FromStart, Mute, OtherTotal, Long, Refused, Blind,
        ];
        Self {
            kind: if random.once_in(20) {
                Kind::Missing
            } else {
                Kind::There
            },
            promise: match random.below(12) {
                0 | 1 => Promise::Digest,
                2 => Promise::WrongDigest,
                _ => Promise::Nothing,
            },
            parts: if random.once_in(4) {
                *random.pick(&odd)
            } else {
                Right
            },
            tags: match random.below(16) {
                0 => Tags::Weak,
                1 => Tags::Fresh,
                2 => Tags::None,
                _ => Tags::Strong,
            },
            size: size(random),
            redirects: [0, 0, 0, 0, 1, 1, 3][random.below(7)],
            faults,
            all_faults: faults,
            changes_at: random.once_in(6).then(|| random.below(4)),
            requests: 0,
            version: 0,
        }
    }

    /// Every byte of a version.
    pub(super) fn content(&self, number: usize, version: usize) -> &'static [u8] {
        // Versions differ in length as well as in bytes; no part of one is where another has it.
        let size = self.size / (1 + version * (number % 2)) + version * (number % 3);
        let from = Random::new((number * 1000 + version) as u64).below(LARGEST);
        &all_noise()[from..from + size]
    }

    /// Whether what the server says of parts can be believed.
    pub(super) fn is_honest(&self) -> bool {
        self.parts == Parts::Right && self.tags == Tags::Strong
    }

    /// The entity tag of an answer, as a field.
    fn tag(&self) -> String {
        let (version, request) = (self.version, self.requests);
        match self.tags {
            Tags::Strong => format!("\"v{version}\""),
            Tags::Weak => format!("W/\"v{version}\""),
            Tags::Fresh => format!("\"v{version}-{request}\""),
            Tags::None => String::new(),
        }
    }
}

impl Site {
    pub(super) fn new(files: usize, random: &mut Random) -> Self {
        Self {
            files: (0..files).map(|_| File::new(random)).collect(),
        }
    }

    /// A site where every file exists, whole and unchanging.
    pub(super) fn calm(files: usize, random: &mut Random) -> Self {
        let mut site = Self::new(files, random);
        site.calm_down();
        site
    }

    /// From now on every file exists, whole and unchanging.
    pub(super) fn calm_down(&mut self) {
        for file in &mut self.files {
            (file.kind, file.promise) = (Kind::There, Promise::Nothing);
            (file.faults, file.all_faults, file.changes_at) = (0, 0, None);
            file.redirects = 0;
        }
    }

    /// The path at which a file begins, and what its URL promises.
    pub(super) fn path(&self, number: usize) -> String {
        let file = &self.files[number];
        let mut path = format!("/{}/{number}", file.redirects);
        if file.promise != Promise::Nothing {
            let mut content = file.content(number, 0).to_vec();
            if file.promise == Promise::WrongDigest {
                content.extend_from_slice(b"and more");
            }
            path.push_str(&format!("#sha256={}", sha256_hex(&content)));
        }
        path
    }
}

/// Requests have as their path the redirects still to come, and the number of a file.
impl Serve for Site {
    fn answer(&mut self, request: &Request, random: &mut Random) -> Answer {
        let [redirects, number] = request.numbers();
        let file = &mut self.files[number];
        file.requests += 1;
        if file.changes_at == Some(file.requests) {
            file.version += 1;
        }
        if redirects > 0 {
            let host = random.below(3);
            let location = format!("http://h{host}.test/{}/{number}", redirects - 1);
            let reply = Reply::new(302, &b"elsewhere"[..]).with("Location", location);
            return reply.into();
        }
        let fault = (file.faults > 0 && random.once_in(2)).then(|| {
            file.faults -= 1;
            random.below(8)
        });
        if fault == Some(0) {
            return Reply::refusal(random).into();
        }
        let reply = if file.kind == Kind::Missing {
            Reply::new(404, &b"no such file"[..])
        } else {
            let content = file.content(number, file.version);
            Reply::of(content.into(), &file.tag(), file.parts, request)
        };
        let cut = fault.map(|fault| match fault {
            1..=3 => Cut::Close,
            4..=6 => Cut::Reset,
            _ => Cut::Stall,
        });
        Answer {
            cut,
            ..reply.into()
        }
    }
}
