//! The runs that are broken off and disturbed: what the server has, what stands in the folder before, what stands
//! there in the end.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::refusal;
use crate::harness::coding::{gzip, text};
use rustls::ServerConfig;

pub(super) use crate::harness::sha256;
use crate::harness::{Ca, Dir, Gannet, noise};
use crate::server::{H2Server, Route, Script, Server, Talk};

/// Sizes of bodies: what comes at once, what does not, and what is worth a state.
pub(super) const SMALL: usize = 5_000;
pub(super) const MIDDLE: usize = 300_000;
pub(super) const LARGE: usize = 1_500_000;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| noise(LARGE));
static CHANGED: LazyLock<Vec<u8>> = LazyLock::new(|| NOISE.iter().map(|byte| !byte).collect());
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| text(10_000));

/// An authority, and a server's certificate of it.
static TLS: LazyLock<(Ca, Arc<ServerConfig>)> = LazyLock::new(|| {
    let ca = Ca::new();
    let config = ca.issue().config();
    (ca, config)
});

/// The body of these sizes.
pub(super) fn body(size: usize) -> &'static [u8] {
    &NOISE[LARGE - size..]
}

/// Length of a piece that has a digest.
const PIECE: usize = 30_000;

/// Another body, of an earlier version or of another file.
pub(super) const OLD: &[u8] = &[b'o'; 4000];

/// What stands at a final name when a run has ended well.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Body(&'static [u8]),
    /// What the server had at first, or what it has since.
    Either(&'static [u8], &'static [u8]),
    /// The file of `--lock`, with this number of entries.
    Lock(usize),
    /// The file of `--report`.
    Report,
    /// The file of `--failed`, with the URL of this path.
    Failed(&'static str),
}

/// A final name.
pub(super) struct Goal {
    pub(super) name: &'static str,
    /// What stands there before the run.
    pub(super) old: Option<Vec<u8>>,
    /// That is another tool's partial file: it may leave its name before the right one has it.
    pub(super) is_foreign: bool,
    pub(super) new: Content,
    /// What stands there after the next run, where that is another.
    next: Option<Content>,
}

impl Goal {
    pub(super) fn new(name: &'static str, new: Content) -> Self {
        Self {
            name,
            old: None,
            is_foreign: false,
            new,
            next: None,
        }
    }

    pub(super) fn old(mut self, old: impl Into<Vec<u8>>) -> Self {
        self.old = Some(old.into());
        self
    }

    fn foreign(mut self, old: &[u8]) -> Self {
        self.is_foreign = true;
        self.old(old)
    }

    /// Whether these bytes are what the run leaves here, or the next one.
    pub(super) fn is_right(&self, bytes: &[u8], server: &Server) -> bool {
        let next = self.next.iter();
        let mut all = next.chain([&self.new]);
        all.any(|content| content.is(bytes, server))
    }

    /// Whether a run that was stopped may leave these bytes here.
    pub(super) fn is_whole(&self, bytes: &[u8], server: &Server) -> bool {
        let is_row = |line: &[u8]| line.starts_with(server.url("/").as_bytes());
        match self.new {
            Content::Lock(_) => entries(bytes).is_some(),
            Content::Failed(_) => bytes
                .split(|byte| *byte == b'\n')
                .all(|line| line.is_empty() || is_row(line)),
            _ => self.is_right(bytes, server),
        }
    }

    /// Whether these bytes are what the next run leaves here.
    pub(super) fn is_right_next(&self, bytes: &[u8], server: &Server) -> bool {
        self.next.unwrap_or(self.new).is(bytes, server)
    }
}

impl Content {
    fn is(self, bytes: &[u8], server: &Server) -> bool {
        match self {
            Self::Body(body) => bytes == body,
            Self::Either(first, later) => bytes == first || bytes == later,
            Self::Lock(count) => entries(bytes) == Some(count),
            Self::Report => is_whole_report(bytes),
            Self::Failed(path) => bytes == format!("{}\n", server.url(path)).as_bytes(),
        }
    }
}

fn entries(lock: &[u8]) -> Option<usize> {
    let lock: serde_json::Value = serde_json::from_slice(lock).ok()?;
    Some(lock.get("files")?.as_array()?.len())
}

fn is_whole_report(bytes: &[u8]) -> bool {
    let report = serde_json::from_slice::<serde_json::Value>(bytes);
    report.is_ok_and(|report| report.get("totals").is_some())
}

/// A folder and a server, for one run or several after each other.
pub(super) struct Bench {
    pub(super) dir: Dir,
    pub(super) server: Server,
    /// The one that is asked in its place.
    http2: Option<H2Server>,
    refused: Option<&'static str>,
}

impl Bench {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let dir = Dir::new();
        let (mut http2, mut tls) = (None, None);
        match scenario.protocol {
            Protocol::Plain => {}
            Protocol::Tls => {
                TLS.0.write(&dir);
                tls = Some(&TLS.1);
            }
            Protocol::Http2(serve) => http2 = Some(H2Server::start(serve)),
        }
        let server = match tls {
            Some(tls) => Server::start_tls(tls, scenario.serve),
            None => Server::start(scenario.serve),
        };
        let refused = scenario.refused;
        let bench = Self {
            dir,
            server,
            http2,
            refused,
        };
        for goal in &scenario.goals {
            if let Some(old) = &goal.old {
                bench.dir.write(goal.name, old);
            }
        }
        (scenario.prepare)(&bench);
        bench
    }

    /// The program, as the scenario has it.
    pub(super) fn gannet(&self, scenario: &Scenario) -> Gannet {
        let gannet = self.bare().flags(&scenario.flags);
        gannet.args(scenario.paths.iter().map(|path| self.url(path)))
    }

    /// The program as it is run next.
    pub(super) fn next(&self, scenario: &Scenario) -> Gannet {
        match scenario.next {
            None => self.refusing(self.gannet(scenario)),
            Some((flags, path)) => self.bare().flags(flags).arg(self.url(path)),
        }
    }

    /// The program on a system that refuses the calls that the scenario says.
    fn refusing(&self, gannet: Gannet) -> Gannet {
        let strace = self.refused.map(|_| ["strace", "-f", "-o", "/dev/null"]);
        let gannet = gannet.under(strace.into_iter().flatten());
        gannet.under(refusal(self.refused))
    }

    /// Where the server listens.
    pub(super) fn address(&self) -> SocketAddr {
        let http2 = self.http2.as_ref().map(H2Server::address);
        http2.unwrap_or_else(|| self.server.address())
    }

    fn bare(&self) -> Gannet {
        self.dir
            .gannet()
            .flags("-t 2 --retry-delay 1ms --stall-timeout 2s --connect-timeout 2s")
    }

    /// The URL of a path; of one that begins with two slashes under a name that is looked up.
    pub(super) fn url(&self, path: &str) -> String {
        if let Some(http2) = &self.http2 {
            return http2.url(path);
        }
        match path.strip_prefix('/') {
            Some(path) if path.starts_with('/') => self.server.url_as("http", "localhost", path),
            _ => self.server.url(path),
        }
    }

    /// Runs the program before all else, until its answer is cut.
    pub(super) fn leave_behind(&self, flags: &str, path: &str) {
        let gannet = self.refusing(self.bare());
        let gannet = gannet.flags("-t 0 -s 1").flags(flags);
        gannet.arg(self.server.url(path)).run().code(4);
    }

    fn fetch_before(&self, path: &str) {
        self.bare().arg(self.server.url(path)).run().ok();
    }
}

/// What is spoken with the server.
pub(super) enum Protocol {
    /// HTTP/1.1 in the clear.
    Plain,
    /// HTTP/1.1 over TLS; the authority is in `ca.pem`.
    Tls,
    /// HTTP/2 in the clear, and what is done with each connection.
    Http2(fn(&mut Talk)),
}

/// One way to use the program.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    flags: String,
    pub(super) paths: &'static [&'static str],
    serve: fn(&mut Script),
    prepare: fn(&Bench),
    /// Flags and path of the next run, where that is another.
    next: Option<(&'static str, &'static str)>,
    pub(super) goals: Vec<Goal>,
    /// Further files that may stand there.
    pub(super) beside: &'static [&'static str],
    /// Files that may stand there until the next run.
    pub(super) until_next: &'static [&'static str],
    /// Files with the body of the first goal that another run may add.
    pub(super) may_add: &'static [&'static str],
    pub(super) code: i32,
    pub(super) protocol: Protocol,
    /// What comes on standard output.
    pub(super) says: Option<&'static [u8]>,
    /// What is a symbolic link, and stays one.
    pub(super) link: Option<&'static str>,
    /// Calls, as strace has them, that the system refuses in every run.
    pub(super) refused: Option<&'static str>,
}

impl Scenario {
    pub(super) fn new(name: &'static str, flags: &str, paths: &'static [&'static str]) -> Self {
        Self {
            name,
            flags: flags.to_owned(),
            paths,
            serve: |_| {},
            prepare: |_| {},
            next: None,
            goals: Vec::new(),
            beside: &[],
            until_next: &[],
            may_add: &[],
            code: 0,
            protocol: Protocol::Plain,
            says: None,
            link: None,
            refused: None,
        }
    }

    pub(super) fn serve(mut self, serve: fn(&mut Script)) -> Self {
        self.serve = serve;
        self
    }

    pub(super) fn prepare(mut self, prepare: fn(&Bench)) -> Self {
        self.prepare = prepare;
        self
    }

    pub(super) fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    pub(super) fn makes(self, name: &'static str, size: usize) -> Self {
        self.goal(Goal::new(name, Content::Body(body(size))))
    }
}

pub(super) fn small(s: &mut Script) {
    s.get("/a").body(body(SMALL)).etag("\"v1\"").conditional();
}

/// A small file of unknown size.
pub(super) fn small_chunked(s: &mut Script) {
    s.get("/a")
        .body(body(SMALL))
        .etag("\"v1\"")
        .chunked(SMALL / 2);
}

pub(super) fn middle(s: &mut Script) {
    let route = s.get("/a").body(body(MIDDLE)).etag("\"v1\"");
    route.ranges().conditional();
}

/// The beat of a server: the first piece makes a file worth a state, and the second comes after that is written.
const BEAT: Duration = Duration::from_millis(200);

fn tagged<'r>(route: &'r mut Route, body: &[u8], tag: &str) -> &'r mut Route {
    let route = route.body(body).etag(tag).ranges().conditional();
    route.header("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT")
}

/// A large file; the first answer is slow.
pub(super) fn large(s: &mut Script) {
    let route = tagged(s.get("/a"), body(LARGE), "\"v1\"");
    tagged(route.pace(1_200_000, BEAT).then(), body(LARGE), "\"v1\"");
}

/// A large file that is another one from the second answer on.
fn changing(s: &mut Script) {
    let route = tagged(s.get("/a"), body(LARGE), "\"v1\"");
    tagged(route.pace(1_200_000, BEAT).then(), &CHANGED, "\"v2\"");
}

/// A large file; the first answer is cut.
pub(super) fn cut(s: &mut Script) {
    let route = tagged(s.get("/a"), body(LARGE), "\"v1\"");
    tagged(route.cut_at(1_200_000).then(), body(LARGE), "\"v1\"");
}

/// A large file; the first answer is cut and damaged, under the entity tag of the right one.
fn damaged_first(s: &mut Script) {
    let route = tagged(s.get("/a"), &CHANGED, "\"v1\"");
    tagged(route.cut_at(1_200_000).then(), body(LARGE), "\"v1\"");
}

/// A file that several connections bring, one of which is cut.
pub(super) fn slow(s: &mut Script) {
    let beat = Duration::from_millis(35);
    let route = tagged(s.get("/a"), body(LARGE), "\"v1\"");
    let route = tagged(route.pace(40_000, beat).then(), body(LARGE), "\"v1\"");
    let route = route.pace(40_000, beat).cut_at(150_000).then();
    tagged(route, body(LARGE), "\"v1\"").pace(40_000, beat);
}

/// Two files that the server names; the first answer of a third is cut.
fn named(s: &mut Script) {
    for (path, size) in [("/small", SMALL), ("/large", LARGE)] {
        let route = s.get(path).body(body(size)).etag("\"v1\"").ranges();
        let route = route.header("Content-Disposition", "attachment; filename=given");
        route.conditional();
    }
    let other = tagged(s.get("/other"), OLD, "\"other\"").cut_at(2000);
    tagged(other.then(), OLD, "\"other\"");
}

fn list(s: &mut Script) {
    for (path, size) in [
        ("/a", SMALL),
        ("/b", MIDDLE),
        ("/c", 0),
        ("/d", 70_000),
        ("/e", 1),
    ] {
        let route = s.get(path).body(body(size)).etag("\"v1\"").ranges();
        route.conditional();
    }
}

fn write_list(bench: &Bench) {
    let rows = ["/a", "/b", "/c", "/d", "/e"].map(|path| bench.server.url(path));
    let [a, b, c, d, e] = rows;
    let text = format!("{a}\n  dir=x/y\n{b}\n{c}\n  dir=x\n{d}\n  dir=z\n{e}\n");
    bench.dir.write("list", text);
}

fn listed(scenario: Scenario) -> Scenario {
    let mut scenario = scenario
        .serve(list)
        .prepare(write_list)
        .makes("x/y/a", SMALL)
        .makes("b", MIDDLE)
        .makes("x/c", 0)
        .makes("z/d", 70_000)
        .makes("e", 1);
    scenario.beside = &["list"];
    scenario
}

/// What a name has that is another tool's.
const FOREIGN: usize = 100_000;

fn foreign(scenario: Scenario) -> Scenario {
    let goal = Goal::new("a", Content::Body(body(MIDDLE)));
    scenario.goal(goal.foreign(&body(MIDDLE)[..FOREIGN]))
}

/// Leaves a part of a path, as an earlier run does, beside another tool's file at the final name.
fn leave_beside(bench: &Bench, flags: &str, path: &str) {
    let place = bench.dir.join("a");
    let foreign = std::fs::read(&place).expect("what another tool has left");
    std::fs::remove_file(&place).expect("what another tool has left");
    bench.leave_behind(flags, path);
    bench.dir.write("a", foreign);
}

/// The file, and another that is cut.
fn cut_other(s: &mut Script) {
    let route = tagged(s.get("/other"), &CHANGED, "\"other\"");
    route.cut_at(FOREIGN * 2);
    middle(s);
}

/// The file as another version that was cut, and then as it is.
fn cut_before(s: &mut Script) {
    let route = tagged(s.get("/a"), &CHANGED, "\"v0\"");
    tagged(route.cut_at(FOREIGN * 2).then(), body(MIDDLE), "\"v1\"");
}

fn outputs() -> Scenario {
    let flags = "--lock lock --report report --failed failed";
    let mut scenario = Scenario::new("outputs", flags, &["/a", "/gone"])
        .serve(middle)
        .makes("a", MIDDLE)
        .goal(Goal::new("lock", Content::Lock(1)).old("{\"version\":1,\"files\":[]}"))
        .goal(Goal::new("report", Content::Report).old("{}"))
        .goal(Goal::new("failed", Content::Failed("/gone")).old("http://h/old\n"));
    scenario.code = 8;
    scenario
}

fn renamed() -> Scenario {
    let mut scenario = Scenario::new("exists rename", "--exists rename", &["/a"])
        .serve(middle)
        .prepare(|bench| drop(bench.dir.write("a", OLD)))
        .makes("a.1", MIDDLE);
    scenario.beside = &["a"];
    scenario.may_add = &["a.2"];
    scenario
}

/// Ways in which a file that stands there is replaced.
fn replacing() -> Vec<Scenario> {
    let standing = |size| Goal::new("a", Content::Body(body(size))).old(OLD);
    let digest = format!("--checksum {}", sha256(body(MIDDLE)));
    vec![
        Scenario::new("replacing, small", "", &["/a"])
            .serve(small)
            .goal(standing(SMALL)),
        Scenario::new("replacing, large", "", &["/a"])
            .serve(large)
            .goal(standing(LARGE)),
        Scenario::new("replacing, digest", &digest, &["/a"])
            .serve(middle)
            .goal(standing(MIDDLE)),
        Scenario::new("kept", "", &["/a"])
            .serve(middle)
            .prepare(|bench| bench.fetch_before("/a"))
            .goal(Goal::new("a", Content::Body(body(MIDDLE))).old(body(MIDDLE))),
        renamed(),
    ]
}

/// Ways in which something of an earlier run or of another tool is gone on with, or is in the way.
fn leftovers() -> Vec<Scenario> {
    let digest = format!("--checksum {}", sha256(body(LARGE)));
    let given = || {
        let mut scenario = Scenario::new("given name, small", "--content-disposition", &["/small"]);
        // They are of another URL, and of use for that.
        scenario.beside = &["given.part", "given.part.gannet"];
        let scenario = scenario.serve(named);
        scenario.prepare(|bench| bench.leave_behind("-o given", "/other"))
    };
    let foreign_part = Scenario::new("continued, foreign part", "-c", &["/a"]).serve(middle);
    let mut beside_foreign_part = foreign(foreign_part)
        .prepare(|bench| drop(bench.dir.write("a.part", &CHANGED[..FOREIGN * 2])));
    beside_foreign_part.beside = &["a.part"];
    let mut large_given = given();
    (large_given.name, large_given.paths) = ("given name, large", &["/large"]);
    let mut other_next = given();
    (other_next.name, other_next.paths) = ("given name, other", &["/large"]);
    other_next.beside = &["large.part", "large.part.gannet"];
    other_next.until_next = &["given.part", "given.part.gannet"];
    other_next.next = Some(("-o given", "/other"));
    let mut goal = Goal::new("given", Content::Body(&NOISE));
    goal.next = Some(Content::Body(OLD));
    let other_next = other_next.goal(goal);
    vec![
        Scenario::new("resumed", "-s 1", &["/a"])
            .serve(cut)
            .prepare(|bench| bench.leave_behind("", "/a"))
            .makes("a", LARGE),
        Scenario::new("not resumed", "--no-resume", &["/a"])
            .serve(cut)
            .prepare(|bench| bench.leave_behind("", "/a"))
            .makes("a", LARGE),
        Scenario::new("leftover, digest", &digest, &["/a"])
            .serve(damaged_first)
            .prepare(|bench| bench.leave_behind("", "/a"))
            .makes("a", LARGE),
        foreign(Scenario::new("continued", "-c", &["/a"]).serve(middle)),
        foreign(Scenario::new("continued, state", "-c", &["/a"]).serve(cut_before))
            .prepare(|bench| leave_beside(bench, "", "/a")),
        foreign(Scenario::new("continued, other state", "-c", &["/a"]).serve(cut_other))
            .prepare(|bench| leave_beside(bench, "-o a", "/other")),
        foreign(Scenario::new("continued, part", "-c", &["/a"]).serve(cut_other)).prepare(
            |bench| {
                leave_beside(bench, "-o a", "/other");
                std::fs::remove_file(bench.dir.join("a.part.gannet")).expect("a state");
            },
        ),
        beside_foreign_part,
        given().makes("given", SMALL),
        large_given.makes("given", LARGE),
        other_next,
    ]
}

/// A metalink with digests of pieces, which find one that came damaged.
fn repaired() -> Scenario {
    let mut scenario = Scenario::new("pieces", "-i list -s 1", &[])
        .serve(|s| {
            let mut damaged = body(MIDDLE).to_vec();
            damaged[PIECE + 1] ^= 1;
            let route = tagged(s.get("/a"), &damaged, "\"v1\"").then();
            tagged(route, body(MIDDLE), "\"v1\"");
        })
        .prepare(|bench| {
            let hash = |piece: &[u8]| {
                let digest = sha256(piece);
                format!("<hash>{}</hash>", digest.trim_start_matches("sha256:"))
            };
            let hashes: String = body(MIDDLE).chunks(PIECE).map(hash).collect();
            let pieces = format!(r#"<pieces length="{PIECE}" type="sha-256">{hashes}</pieces>"#);
            let url = bench.server.url("/a");
            let space = "urn:ietf:params:xml:ns:metalink";
            let file = format!(r#"<file name="a">{pieces}<url>{url}</url></file>"#);
            let list = format!(r#"<metalink xmlns="{space}">{file}</metalink>"#);
            bench.dir.write("list", list);
        })
        .makes("a", MIDDLE);
    scenario.beside = &["list"];
    scenario
}

/// All of them.
pub(super) fn scenarios() -> Vec<Scenario> {
    let coded = Goal::new("a", Content::Body(&TEXT));
    let digest = format!("-s 1 --checksum {}", sha256(body(LARGE)));
    let mut all = vec![
        Scenario::new("small", "", &["/a"])
            .serve(small)
            .makes("a", SMALL),
        Scenario::new("looked up", "", &["//a"])
            .serve(small)
            .makes("a", SMALL),
        Scenario::new("large", "-s 1", &["/a"])
            .serve(large)
            .makes("a", LARGE),
        Scenario::new("divided", "-s 4 --min-split 50K", &["/a"])
            .serve(slow)
            .makes("a", LARGE),
        Scenario::new("changing", "-s 1", &["/a"])
            .serve(changing)
            .goal(Goal::new("a", Content::Either(&NOISE, &CHANGED))),
        Scenario::new("cut", "-s 1", &["/a"])
            .serve(cut)
            .makes("a", LARGE),
        Scenario::new("synced", "--fsync file --remote-time", &["/a"])
            .serve(cut)
            .makes("a", LARGE),
        Scenario::new("synced, small", "--fsync file --remote-time", &["/a"])
            .serve(small)
            .makes("a", SMALL),
        Scenario::new("digest", &digest, &["/a"])
            .serve(large)
            .makes("a", LARGE),
        Scenario::new("compressed", "--compressed", &["/a"])
            .serve(|s| {
                let route = s.get("/a").body(gzip(&TEXT)).etag("\"v1\"");
                route.header("Content-Encoding", "gzip").conditional();
            })
            .goal(coded),
        Scenario::new("range", "--range 1200000-", &["/a"])
            .serve(|s| {
                let route = s.get("/a").body(body(LARGE)).etag("\"v1\"");
                route.ranges();
            })
            .makes("a", LARGE - 1_200_000),
        listed(Scenario::new("list", "-i list -j 4", &[])),
        listed(Scenario::new(
            "list, batch",
            "-i list -j 1 --fsync batch",
            &[],
        )),
        Scenario::new("one name", "", &["/x/a", "/y/a"])
            .serve(|s| {
                for (path, size) in [("/x/a", MIDDLE), ("/y/a", SMALL)] {
                    let route = s.get(path).body(body(size)).etag("\"v1\"");
                    route.ranges().conditional();
                }
            })
            .makes("a", MIDDLE)
            .makes("a.1", SMALL),
        outputs(),
        repaired(),
    ];
    all.extend(replacing());
    all.extend(leftovers());
    all.extend(super::ways::scenarios());
    all
}
