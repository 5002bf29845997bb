//! Further ways on which bytes come and go: TLS, HTTP/2, mirrors, standard output, links, file systems that store no
//! attributes.

use std::os::unix::fs::symlink;

use super::scenario::{
    Bench, Content, Goal, LARGE, MIDDLE, OLD, Protocol, SMALL, Scenario, body, cut, large, middle,
    sha256, slow, small, small_chunked,
};
use crate::server::{Talk, frames};

/// What fits into a window of HTTP/2.
const WINDOW: usize = 60_000;

/// Answers every request of a connection.
fn answer(talk: &mut Talk) {
    let body = body(WINDOW);
    let length = body.len().to_string();
    let fields = [("content-length", length.as_str()), ("etag", "\"v1\"")];
    talk.greet(&[]);
    while let Some(stream) = talk.request() {
        talk.say(frames::head(stream, "200", &fields, 0));
        talk.say(frames::data(stream, body, frames::END_STREAM));
    }
}

fn over_tls(mut scenario: Scenario) -> Scenario {
    scenario.protocol = Protocol::Tls;
    scenario.beside = &["ca.pem"];
    scenario
}

/// A list with two mirrors of a file, and its digest.
fn write_mirrors(bench: &Bench) {
    let digest = sha256(body(LARGE));
    let digest = digest.trim_start_matches("sha256:");
    let hash = format!(r#"<hash type="sha-256">{digest}</hash>"#);
    let urls = ["/a", "//a"].map(|path| format!("<url>{}</url>", bench.url(path)));
    let file = format!(r#"<file name="a">{hash}{}</file>"#, urls.concat());
    let space = "urn:ietf:params:xml:ns:metalink";
    let list = format!(r#"<metalink xmlns="{space}">{file}</metalink>"#);
    bench.dir.write("list", list);
}

fn write_link(bench: &Bench) {
    let link = bench.dir.join("link");
    std::fs::remove_file(&link).expect("what stands there");
    symlink("real", link).expect("a link");
}

/// A file system without attributes: FAT, NFSv3.
fn without_attributes(mut scenario: Scenario) -> Scenario {
    scenario.refused = Some("/xattr:error=EOPNOTSUPP");
    scenario
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut http2 = Scenario::new("http2", "--http2", &["/a"]).makes("a", WINDOW);
    http2.protocol = Protocol::Http2(answer);
    let mut mirrors = Scenario::new("mirrors", "-i list -s 4 --min-split 50K", &[])
        .serve(slow)
        .prepare(write_mirrors)
        .makes("a", LARGE);
    mirrors.beside = &["list"];
    let mut output = Scenario::new("standard output", "-o -", &["/a"]).serve(middle);
    output.says = Some(body(MIDDLE));
    let linked = |name| Goal::new(name, Content::Body(body(MIDDLE))).old(OLD);
    let mut link = Scenario::new("link", "-o link", &["/a"])
        .serve(middle)
        .prepare(write_link)
        .goal(linked("real"))
        .goal(linked("link"));
    link.link = Some("link");
    vec![
        over_tls(Scenario::new("tls", "--cacert ca.pem", &["/a"]).serve(small)).makes("a", SMALL),
        over_tls(Scenario::new("tls, cut", "--cacert ca.pem -s 1", &["/a"]).serve(cut))
            .makes("a", LARGE),
        http2,
        mirrors,
        output,
        link,
        without_attributes(Scenario::new("no attributes", "-s 1", &["/a"]).serve(large))
            .makes("a", LARGE),
        without_attributes(Scenario::new("no attributes, small", "", &["/a"]).serve(small))
            .makes("a", SMALL),
        without_attributes(
            Scenario::new("no attributes, chunked", "", &["/a"]).serve(small_chunked),
        )
        .makes("a", SMALL),
        without_attributes(Scenario::new("no attributes, resumed", "-s 1", &["/a"]).serve(cut))
            .prepare(|bench| bench.leave_behind("", "/a"))
            .makes("a", LARGE),
    ]
}
