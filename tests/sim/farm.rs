//! The mirrors of a simulated run: several servers of each file, of which some have another, say
//! what is not so, or are not there.

use std::borrow::Cow;
use std::time::Duration;

use super::random::Random;
use super::reply::{Answer, Cut, Reply, Request, Serve};
use super::site::{LARGEST, Parts, all_noise};
use crate::harness::sha256_hex;

/// What a mirror has in the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Have {
    Right,
    /// As many bytes, all of them others.
    Other,
    Longer,
    Shorter,
    /// Right but for a byte here and there.
    Damaged,
}

/// How a mirror names the version that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tags {
    /// As every mirror does that has the same bytes.
    Shared,
    /// In its own way.
    Own,
    /// In its own way, and always the same.
    OwnLie,
    /// The tag of the mirrors that have the right bytes, whatever this one has.
    Lie,
    Weak,
    /// Another one with each answer.
    Fresh,
    None,
}

/// What else may be the matter with a mirror, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Slow,
    /// Its host has no name, no port or no answer.
    Unreachable,
    /// It answers with this status.
    Refuses(u16),
    /// It ends each of its answers somewhere.
    Cuts(Cut),
    /// It stalls somewhere in each answer with more body bytes than this.
    StallsBeyond(usize),
    /// It redirects to this mirror.
    Redirects(usize),
}

/// One server of one file.
#[derive(Debug)]
pub(super) struct Mirror {
    host: usize,
    have: Have,
    /// What it has from some request on.
    later: Option<(usize, Have)>,
    tags: Tags,
    parts: Parts,
    mood: Mood,
    redirects: usize,
    faults: usize,
    all_faults: usize,
    requests: usize,
}

/// What a row promises of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    Nothing,
    Digest,
    /// The digests of pieces of this number of bytes, and the digest of the whole if `true`.
    Pieces(usize, bool),
    /// A digest that no mirror's file has.
    WrongDigest,
}

/// A file and its mirrors.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) promise: Promise,
    /// It says also how large the file is.
    has_size: bool,
    size: usize,
    number: usize,
    pub(super) mirrors: Vec<Mirror>,
}

/// Hosts that answer, those of which some addresses do not among them, and hosts that never do.
const HOSTS: usize = 7;
const DEAD: [usize; 3] = [7, 8, 9];

#[derive(Debug)]
pub(super) struct Farm {
    pub(super) rows: Vec<Row>,
}

fn size(random: &mut Random) -> usize {
    match random.below(30) {
        0 => 0,
        1 => *random.pick(&[65_535, 65_536, 65_537, 262_144, 262_145]),
        2 | 3 => random.below(600_000),
        4..18 => random.below(70_000),
        _ => random.below(3_000),
    }
}

impl Mirror {
    fn new(row: (Promise, usize), random: &mut Random) -> Self {
        use Have::{Damaged, Longer, Other, Right, Shorter};
        let (promise, mirrors) = row;
        let have = |random: &mut Random| match random.once_in(2) {
            true => Right,
            false => *random.pick(&[Other, Longer, Shorter, Damaged, Damaged]),
        };
        let faults = *random.pick(&[0, 0, 0, 1, 1, 2, 3]);
        let mood = match random.below(24) {
            0..12 => Mood::Well,
            12..15 => Mood::Slow,
            15..17 => Mood::Unreachable,
            17..20 => Mood::Refuses(*random.pick(&[404, 410, 403, 500, 503, 429, 416, 400])),
            20..22 => Mood::Cuts(*random.pick(&[Cut::Close, Cut::Reset, Cut::Stall])),
            _ => Mood::Redirects(random.below(mirrors)),
        };
        Self {
            host: match mood {
                Mood::Unreachable => *random.pick(&DEAD),
                _ => random.below(HOSTS),
            },
            have: have(random),
            later: random
                .once_in(8)
                .then(|| (2 + random.below(5), have(random))),
            tags: tags(promise, random),
            parts: parts(random),
            mood,
            redirects: [0, 0, 0, 0, 1, 2][random.below(6)],
            faults,
            all_faults: faults,
            requests: 0,
        }
    }

    /// Whether it brings the whole, unchanging file within this number of tries.
    fn is_good(&self, retries: usize, others: usize) -> bool {
        let is_steady = self.later.is_none_or(|(_, have)| have == self.have);
        let is_well = matches!(self.mood, Mood::Well | Mood::Slow);
        is_steady && is_well && self.is_honest() && self.all_faults + others <= retries
    }

    fn is_honest(&self) -> bool {
        matches!(self.parts, Parts::Right | Parts::Never) && self.tags != Tags::Fresh
    }

    /// The entity tag of its answer, as a field.
    fn tag(&self, place: usize) -> String {
        let have = self.have;
        match self.tags {
            Tags::Shared => format!("\"{have:?}\""),
            Tags::Own => format!("\"{place}-{have:?}\""),
            Tags::OwnLie => format!("\"{place}\""),
            Tags::Lie => format!("\"{:?}\"", Have::Right),
            Tags::Weak => format!("W/\"{have:?}\""),
            Tags::Fresh => format!("\"{place}-{have:?}-{}\"", self.requests),
            Tags::None => String::new(),
        }
    }
}

/// Without a digest, a tag is all that there is to go by: then none lies.
fn tags(promise: Promise, random: &mut Random) -> Tags {
    match random.below(20) {
        0..8 => Tags::Shared,
        8..13 => Tags::Own,
        13 => Tags::Weak,
        14 => Tags::Fresh,
        15 => Tags::None,
        _ if promise == Promise::Nothing => Tags::Shared,
        16 | 17 => Tags::OwnLie,
        _ => Tags::Lie,
    }
}

fn parts(random: &mut Random) -> Parts {
    use Parts::{Blind, FromStart, Late, Long, Mute, Never, OtherTotal, Refused, Right, Short};
    let odd = [
        Never, Never, Short, Late, FromStart, Mute, OtherTotal, Long, Refused, Blind, Blind, Blind,
        Blind,
    ];
    match random.once_in(4) {
        true => *random.pick(&odd),
        false => Right,
    }
}

impl Row {
    fn new(number: usize, random: &mut Random) -> Self {
        let size = size(random);
        let promise = match random.below(10) {
            0..3 => Promise::Nothing,
            3..6 => Promise::Digest,
            6..9 if size > 0 => {
                let length = 1 + random.below(size);
                Promise::Pieces(length.max(size / 50 + 1), random.once_in(2))
            }
            _ => Promise::WrongDigest,
        };
        let mirrors = 1 + random.below(4);
        Self {
            promise,
            has_size: random.once_in(2),
            size,
            number,
            mirrors: (0..mirrors)
                .map(|_| Mirror::new((promise, mirrors), random))
                .collect(),
        }
    }

    /// Every byte of what a mirror may have.
    pub(super) fn content(&self, have: Have) -> Cow<'static, [u8]> {
        let (version, size) = match have {
            Have::Right | Have::Damaged => (0, self.size),
            Have::Other => (1, self.size),
            Have::Longer => (2, self.size + 1 + self.size / 3),
            Have::Shorter => (3, self.size - self.size.min(1 + self.size / 3)),
        };
        // No part of one is where another has it.
        let from = Random::new((self.number * 1000 + version) as u64).below(LARGEST - 300_000);
        let mut bytes = Cow::Borrowed(&all_noise()[from..from + size]);
        if have == Have::Damaged {
            let every = 1 + size / 3;
            let places = (every / 2..size).step_by(every);
            places.for_each(|place| bytes.to_mut()[place] ^= 1);
        }
        bytes
    }

    /// Whether a file may be this: what is promised, or else all of what one of its mirrors has, or
    /// had.
    pub(super) fn may_be(&self, found: &[u8]) -> bool {
        match self.promise {
            Promise::Digest | Promise::Pieces(..) => return self.content(Have::Right) == found,
            Promise::WrongDigest => return false,
            Promise::Nothing => {}
        }
        let have = |mirror: &Mirror| [Some(mirror.have), mirror.later.map(|(_, have)| have)];
        let versions = self.mirrors.iter().flat_map(have).flatten();
        versions.into_iter().any(|have| self.content(have) == found)
    }

    /// The mirrors from which alone it must come.
    pub(super) fn is_to_be_had(&self, retries: usize, others: usize) -> bool {
        let is_right = |mirror: &&Mirror| {
            self.promise == Promise::Nothing
                || self.promise != Promise::WrongDigest && mirror.have == Have::Right
        };
        let mut right = self.mirrors.iter().filter(is_right);
        right.any(|mirror| mirror.is_good(retries, others))
    }

    /// Whether nothing can keep the run from finding out that it is wrong everywhere.
    pub(super) fn is_wrong_everywhere(&self, retries: usize, others: usize) -> bool {
        let is_wrong = |mirror: &Mirror| {
            (self.promise == Promise::WrongDigest || mirror.have != Have::Right)
                && mirror.is_good(retries, others)
        };
        self.promise != Promise::Nothing && self.mirrors.iter().all(is_wrong)
    }

    fn urls(&self) -> Vec<String> {
        let url = |(place, mirror): (usize, &Mirror)| {
            let (host, redirects) = (mirror.host, mirror.redirects);
            format!("http://h{host}.test/{redirects}/{place}/{}", self.number)
        };
        self.mirrors.iter().enumerate().map(url).collect()
    }

    /// The row as lists of URLs have it.
    pub(super) fn line(&self) -> String {
        let mut line = format!("{}\n  out={}\n", self.urls().join("\t"), self.number);
        if let Some(digest) = self.digest() {
            line.push_str(&format!("  checksum=sha256:{digest}\n"));
        }
        line
    }

    /// The row as a metalink has it (RFC 5854).
    pub(super) fn element(&self) -> String {
        let mut facts = String::new();
        if self.has_size {
            facts.push_str(&format!("<size>{}</size>", self.size));
        }
        if let Some(digest) = self.digest() {
            facts.push_str(&format!("<hash type=\"sha-256\">{digest}</hash>"));
        }
        if let Promise::Pieces(length, _) = self.promise {
            let content = self.content(Have::Right);
            let hash = |piece: &[u8]| format!("<hash>{}</hash>", sha256_hex(piece));
            let hashes: String = content.chunks(length).map(hash).collect();
            facts.push_str(&format!(
                "<pieces length=\"{length}\" type=\"sha-256\">{hashes}</pieces>"
            ));
        }
        let url = |url| format!("<url>{url}</url>");
        let urls: String = self.urls().into_iter().map(url).collect();
        format!("<file name=\"{}\">{facts}{urls}</file>", self.number)
    }

    fn digest(&self) -> Option<String> {
        let mut content = self.content(Have::Right).into_owned();
        match self.promise {
            Promise::Nothing | Promise::Pieces(_, false) => return None,
            Promise::Digest | Promise::Pieces(_, true) => {}
            Promise::WrongDigest => content.push(0),
        }
        Some(sha256_hex(&content))
    }
}

impl Farm {
    pub(super) fn new(rows: usize, random: &mut Random) -> Self {
        Self {
            rows: (0..rows).map(|number| Row::new(number, random)).collect(),
        }
    }

    /// One file of `size` bytes; its only server stalls in each answer with more than `beyond` bytes.
    pub(super) fn of_a_mirror_that_stalls(size: usize, beyond: usize) -> Self {
        let mirror = |host, mood| Mirror {
            host,
            have: Have::Right,
            later: None,
            tags: Tags::Shared,
            parts: Parts::Right,
            mood,
            redirects: 0,
            faults: 0,
            all_faults: 0,
            requests: 0,
        };
        let row = Row {
            promise: Promise::Digest,
            has_size: false,
            size,
            number: 0,
            mirrors: vec![mirror(3, Mood::StallsBeyond(beyond))],
        };
        Self { rows: vec![row] }
    }

    /// Removes the promised digests of each row with mirrors that all name their versions truly.
    pub(super) fn forget_promises(&mut self) {
        let lies = |mirror: &Mirror| matches!(mirror.tags, Tags::Lie | Tags::OwnLie);
        let rows = self.rows.iter_mut();
        for row in rows.filter(|row| !row.mirrors.iter().any(lies)) {
            row.promise = Promise::Nothing;
        }
    }

    /// Requests that were made so far.
    pub(super) fn requests(&self) -> usize {
        let mirrors = self.rows.iter().flat_map(|row| &row.mirrors);
        mirrors.map(|mirror| mirror.requests).sum()
    }
}

/// Requests have as their path the redirects still to come, the place of a mirror and the number of
/// a file.
impl Serve for Farm {
    fn answer(&mut self, request: &Request, random: &mut Random) -> Answer {
        let [redirects, place, number] = request.numbers();
        let row = &mut self.rows[number];
        let mirror = &mut row.mirrors[place];
        mirror.requests += 1;
        if let Some((at, have)) = mirror.later
            && at == mirror.requests
        {
            mirror.later = Some((at, mirror.have));
            mirror.have = have;
        }
        let elsewhere = |redirects, place| {
            let host = place % HOSTS;
            let location = format!("http://h{host}.test/{redirects}/{place}/{number}");
            Reply::new(302, &b"elsewhere"[..]).with("Location", location)
        };
        if redirects > 0 {
            return elsewhere(redirects - 1, place).into();
        }
        let mut cut = None;
        match mirror.mood {
            Mood::Redirects(other) => return elsewhere(0, other).into(),
            Mood::Refuses(status) => return Reply::new(status, &b"no"[..]).into(),
            Mood::Cuts(how) => cut = Some(how),
            Mood::Well | Mood::Slow | Mood::StallsBeyond(_) | Mood::Unreachable => {}
        }
        if mirror.faults > 0 && random.once_in(2) {
            mirror.faults -= 1;
            if random.once_in(3) {
                return Reply::refusal(random).into();
            }
            cut = Some(*random.pick(&[Cut::Close, Cut::Reset, Cut::Stall]));
        }
        let pace = Duration::from_secs(if mirror.mood == Mood::Slow { 25 } else { 3 });
        let (have, tag, parts) = (mirror.have, mirror.tag(place), mirror.parts);
        let mood = mirror.mood;
        let reply = Reply::of(row.content(have), &tag, parts, request);
        if matches!(mood, Mood::StallsBeyond(most) if reply.body.len() > most) {
            cut = Some(Cut::Stall);
        }
        Answer {
            cut,
            pace,
            ..reply.into()
        }
    }
}
