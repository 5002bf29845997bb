//! The servers of the field: each has the file, and rules by which it gives something else for some requests: a login
//! page, a refusal, nothing. Apart from their rules and their cut responses, nothing goes wrong.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::random::Random;
use super::reply::{Answer, Cut, CutAt, Reply, Request, Serve};
use super::site::{Parts, all_noise};
use crate::harness::sha256_hex;

/// Hosts that answer.
pub(super) const LIVE: [usize; 5] = [0, 1, 2, 3, 4];

/// The requests that a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Any,
    Ranges,
    /// Ranges that begin behind the first byte.
    LaterRanges,
    Plain,
}

/// When a rule holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Until this time of the run.
    Until(Duration),
    /// From this time of the run on.
    From(Duration),
    /// For the requests to this server with these numbers.
    Requests(Range<usize>),
    /// On every second connection.
    Connections,
    /// For every second request, by chance.
    Sometimes,
}

/// What a server gives in place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Page(Page),
    /// An error, or a success without content, with this Retry-After.
    Status(u16, Option<u64>),
    /// A 206 with these quarters of the file, whatever was asked for.
    Quarters(Range<usize>),
    /// Nothing more, from some byte on or from the first.
    Ends(Cut, CutAt),
}

/// A login page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) length: usize,
    pub(super) media_type: &'static str,
    /// An entity tag, or the time of its last change.
    pub(super) tag: &'static str,
}

/// What a server gives for which requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) to: To,
    pub(super) when: When,
    pub(super) what: What,
}

/// One of the machines behind a name: the version that it has, and how it names that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) version: usize,
    /// An entity tag, the time of the last change, or nothing.
    pub(super) tag: String,
}

/// Which backend a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Balance {
    Random,
    InTurn,
    ByConnection,
    /// The next one whenever this number of seconds has passed.
    ByTime(u64),
}

/// One server of one file.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) host: usize,
    pub(super) backends: Vec<Backend>,
    pub(super) balance: Balance,
    pub(super) rules: Vec<Rule>,
    /// How many responses are cut yet, each somewhere in its body.
    pub(super) cuts: usize,
    requests: usize,
}

/// A file and its servers.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) number: usize,
    pub(super) size: usize,
    /// Its row has the digest of its first version.
    pub(super) has_digest: bool,
    /// The name in the query of its URLs, which has another value in each run.
    pub(super) query: Option<&'static str>,
    /// No other file has servers of the same names.
    pub(super) is_apart: bool,
    pub(super) servers: Vec<Server>,
    /// An earlier response has shown what kind of file it is.
    pub(super) is_promised: bool,
    /// The lengths of the pages that the file may be, because nothing showed that they are not.
    pages: Vec<usize>,
    /// Requests for ranges, and for the full file.
    pub(super) asked: (usize, usize),
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) rows: Vec<Row>,
    /// When the run began.
    pub(super) began: Instant,
    /// Runs so far.
    pub(super) runs: usize,
}

impl Rule {
    pub(super) fn new(to: To, when: When, what: What) -> Self {
        Self { to, when, what }
    }

    fn applies(
        &self,
        request: &Request,
        number: usize,
        since: Duration,
        random: &mut Random,
    ) -> bool {
        let range = request.range.as_deref();
        let is_to = match self.to {
            To::Any => true,
            To::Ranges => range.is_some(),
            To::LaterRanges => range.is_some_and(|range| !range.starts_with("bytes=0-")),
            To::Plain => range.is_none(),
        };
        let is_now = match &self.when {
            When::Always => true,
            When::Until(end) => since < *end,
            When::From(start) => since >= *start,
            When::Requests(numbers) => numbers.contains(&number),
            When::Connections => request.connection % 2 == 1,
            When::Sometimes => random.once_in(2),
        };
        is_to && is_now
    }
}

impl Page {
    pub(super) fn new(random: &mut Random) -> Self {
        const TAGS: [&str; 5] = [
            "",
            "",
            "W/\"page\"",
            "\"page\"",
            "Tue, 11 Sep 2001 01:46:40 GMT",
        ];
        const TYPES: [&str; 3] = [
            "text/html",
            "Text/HTML; charset=utf-8",
            "application/xhtml+xml",
        ];
        Self {
            length: 20 + random.below(3_000),
            media_type: *random.pick(&TYPES),
            tag: *random.pick(&TAGS),
        }
    }

    /// Whether it cannot be taken for a file of this size: it is smaller, and does not say of itself that it is a
    /// version of the file.
    fn is_foreign(&self, size: usize) -> bool {
        let is_strong = self.tag.starts_with('"') || self.tag.ends_with("GMT");
        self.length < size && !is_strong
    }

    fn reply(&self) -> Reply {
        let reply = Reply::new(200, page(self.length));
        let reply = reply.with("Content-Type", self.media_type.to_owned());
        if self.tag.is_empty() {
            reply
        } else {
            reply.tagged(self.tag)
        }
    }
}

/// The bytes of a page of this length.
fn page(length: usize) -> Vec<u8> {
    let mut bytes = b"<html>Who are you?".to_vec();
    bytes.resize(length, b'.');
    bytes
}

/// The bytes of a version of a file. No part of one is where another has it; all but the first two are a little longer.
fn content(number: usize, version: usize, size: usize) -> &'static [u8] {
    let size = size + version.saturating_sub(1);
    let from = Random::new((number * 1000 + version) as u64).below(all_noise().len() - size);
    &all_noise()[from..from + size]
}

impl Server {
    /// One that has the first version, under this tag, and does nothing wrong.
    pub(super) fn right(tag: &str, random: &mut Random) -> Self {
        Self {
            host: *random.pick(&LIVE),
            backends: vec![Backend {
                version: 0,
                tag: tag.to_owned(),
            }],
            balance: Balance::Random,
            rules: Vec::new(),
            cuts: 0,
            requests: 0,
        }
    }

    pub(super) fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Whether nothing goes wrong with it.
    pub(super) fn is_well(&self) -> bool {
        self.rules.is_empty()
            && self.cuts == 0
            && self.backends.len() == 1
            && LIVE.contains(&self.host)
    }

    fn backend(&self, request: &Request, since: Duration, random: &mut Random) -> &Backend {
        let index = match self.balance {
            Balance::Random => random.below(self.backends.len()),
            Balance::InTurn => self.requests,
            Balance::ByConnection => request.connection as usize,
            Balance::ByTime(seconds) => (since.as_secs() / seconds) as usize,
        };
        &self.backends[index % self.backends.len()]
    }
}

/// The sizes of files: most are small, some are larger than what counts as progress.
pub(super) fn size(random: &mut Random) -> usize {
    match random.below(30) {
        0 => *random.pick(&[0, 1, 65_536, 262_145]),
        1 => 1_048_000 + random.below(150_000),
        2..5 => random.below(600_000),
        5..20 => random.below(70_000),
        _ => random.below(5_000),
    }
}

impl Row {
    /// A file without servers.
    pub(super) fn new(number: usize, random: &mut Random) -> Self {
        Self {
            number,
            size: size(random),
            has_digest: random.once_in(3),
            query: random.once_in(3).then_some("signed"),
            is_apart: random.once_in(2),
            servers: Vec::new(),
            is_promised: false,
            pages: Vec::new(),
            asked: (0, 0),
        }
    }

    /// The file with up to three servers of one kind, with any validator, or in their place some that are well.
    pub(super) fn with_servers(
        mut self,
        random: &mut Random,
        server: fn(&str, &mut Random) -> Server,
    ) -> Self {
        for _ in 0..*random.pick(&[1, 1, 1, 2, 3]) {
            let tag = *random.pick(&[
                "\"v\"",
                "\"v\"",
                "\"w\"",
                "W/\"v\"",
                "",
                "Mon, 10 Sep 2001 01:46:40 GMT",
            ]);
            let server = match random.once_in(6) {
                true => Server::right(tag, random),
                false => server(tag, random),
            };
            self.servers.push(server);
        }
        self
    }

    pub(super) fn content(&self, version: usize) -> &'static [u8] {
        content(self.number, version, self.size)
    }

    /// Whether a file may be this: the version that its row has the digest of, or one version of a backend, or a page
    /// that nothing showed to be none.
    pub(super) fn may_be(&self, found: &[u8]) -> bool {
        if self.has_digest {
            return self.content(0) == found;
        }
        let mut backends = self.servers.iter().flat_map(|server| &server.backends);
        backends.any(|backend| self.content(backend.version) == found)
            || self.pages.iter().any(|length| page(*length) == found)
    }

    /// Whether all its servers have one version under one entity tag, and no page came that may be another.
    pub(super) fn is_uniform(&self) -> bool {
        let mut backends = self.servers.iter().flat_map(|server| &server.backends);
        let first = backends.next();
        let is_strong = first.is_some_and(|first| first.tag.starts_with('"'));
        is_strong && backends.all(|other| Some(other) == first) && self.pages.is_empty()
    }

    /// From now on nothing goes wrong, and all backends of a server have one version.
    pub(super) fn heal(&mut self) {
        for server in &mut self.servers {
            server.rules.clear();
            server.cuts = 0;
            server.backends.truncate(1);
        }
    }

    /// The row as lists of URLs have it.
    fn line(&self, run: usize) -> String {
        let query = self.query.map(|name| format!("?{name}={run}"));
        let query = query.unwrap_or_default();
        let mut urls = Vec::new();
        for (index, server) in self.servers.iter().enumerate() {
            let (host, number) = (server.host, self.number);
            let own = if self.is_apart {
                format!("-{number}-{index}")
            } else {
                String::new()
            };
            urls.push(format!("http://h{host}{own}.test/{index}/{number}{query}"));
        }
        let mut line = format!("{}\n  out={}\n", urls.join("\t"), self.number);
        if self.has_digest {
            line.push_str(&format!(
                "  checksum=sha256:{}\n",
                sha256_hex(self.content(0))
            ));
        }
        line
    }
}

impl Field {
    pub(super) fn new(rows: Vec<Row>, began: Instant) -> Self {
        Self {
            rows,
            began,
            runs: 0,
        }
    }

    pub(super) fn list(&self) -> String {
        self.rows.iter().map(|row| row.line(self.runs)).collect()
    }

    /// A run begins; these rows have a state of an earlier one.
    pub(super) fn begin(&mut self, now: Instant, has_state: impl Fn(&Row) -> bool) {
        self.began = now;
        self.runs += 1;
        for row in &mut self.rows {
            row.is_promised = has_state(row);
            row.asked = (0, 0);
        }
    }

    /// Responses that are cut yet.
    pub(super) fn cuts(&self) -> usize {
        let servers = self.rows.iter().flat_map(|row| &row.servers);
        servers.map(|server| server.cuts).sum()
    }
}

/// Requests have as their path the index of a server and the number of a file.
impl Serve for Field {
    fn answer(&mut self, request: &Request, random: &mut Random) -> Answer {
        let [index, number] = request.numbers();
        let now = request.at.expect("the time of a request");
        let since = now.saturating_duration_since(self.began);
        let row = &mut self.rows[number];
        // A range is requested of what is known.
        row.is_promised |= request.range.is_some();
        *if request.range.is_some() {
            &mut row.asked.0
        } else {
            &mut row.asked.1
        } += 1;
        let server = &mut row.servers[index];
        let mut rules = server.rules.iter();
        let rule = rules.find(|rule| rule.applies(request, server.requests, since, random));
        let what = rule.map(|rule| rule.what.clone());
        let backend = server.backend(request, since, random).clone();
        server.requests += 1;
        let right = Reply::of(
            content(number, backend.version, row.size).into(),
            &backend.tag,
            Parts::Right,
            request,
        );
        let mut answer = match what {
            Some(What::Page(page)) => {
                if !row.is_promised || !page.is_foreign(row.size) {
                    row.pages.push(page.length);
                }
                return page.reply().into();
            }
            Some(What::Status(status, wait)) => return refusal(status, wait, row.size).into(),
            Some(What::Quarters(quarters)) => return row.quarters(&quarters, &backend).into(),
            Some(What::Ends(cut, cut_at)) => {
                return Answer {
                    cut: Some(cut),
                    cut_at,
                    ..right.into()
                };
            }
            None => Answer::from(right),
        };
        let has_file = matches!(answer.reply.status, 200 | 206);
        if server.cuts > 0 && has_file && random.once_in(2) {
            server.cuts -= 1;
            answer.cut = Some(*random.pick(&[Cut::Close, Cut::Reset]));
            answer.cut_at = CutAt::Body;
        }
        row.is_promised |= has_file;
        answer
    }
}

/// A response of this status without a file of this size.
fn refusal(status: u16, wait: Option<u64>, size: usize) -> Reply {
    let body: &[u8] = if matches!(status, 204 | 205) {
        b""
    } else {
        b"no"
    };
    let mut reply = Reply::new(status, body);
    if let Some(seconds) = wait {
        reply = reply.with("Retry-After", seconds.to_string());
    }
    // Half of the sizes: a server need not say it.
    if status == 416 && size.is_multiple_of(2) {
        reply = reply.with("Content-Range", format!("bytes */{size}"));
    }
    reply
}

impl Row {
    /// A 206 with these quarters of a backend's file.
    fn quarters(&self, quarters: &Range<usize>, backend: &Backend) -> Reply {
        let whole = self.content(backend.version);
        let (from, to) = (
            whole.len() * quarters.start / 4,
            whole.len() * quarters.end / 4,
        );
        let reply = Reply::new(206, &whole[from..to]).tagged(&backend.tag);
        let range = format!("bytes {from}-{}/{}", to.saturating_sub(1), whole.len());
        Reply {
            has_end: true,
            ..reply.with("Content-Range", range)
        }
    }
}
