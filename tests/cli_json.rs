//! Completions for programs: --json on standard output, --report as one document.

use serde_json::Value;

use crate::harness::{Dir, json_lines, noise};
use crate::server::Server;

fn record<'a>(records: &'a [Value], url: &str) -> &'a Value {
    records
        .iter()
        .find(|record| record["url"] == url)
        .unwrap_or_else(|| panic!("no record of {url} in {records:?}"))
}

#[test]
fn a_completion_is_an_object_with_its_version() {
    let server = Server::serving("/a", noise(100_000));
    let dir = Dir::new();
    let out = dir.fetch("--json -d out", server.url("/a"));
    out.ok();
    let records = json_lines(&out.stdout());
    assert_eq!(records.len(), 1, "{out}");
    let record = &records[0];
    assert_eq!(record["version"], 1);
    assert_eq!(record["result"], "done");
    assert_eq!(record["number"], 1);
    assert_eq!(record["url"], server.url("/a"));
    assert_eq!(record["path"], "out/a");
    assert_eq!(record["status"], 200);
    assert_eq!(record["protocol"], "HTTP/1.1");
    assert_eq!(record["bytes"], 100_000);
    assert_eq!(record["tries"], 1);
    assert!(
        record["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
    let address = record["address"].as_str().expect("an address");
    assert!(server.url("").ends_with(address), "{record}");
    for absent in ["error", "final_url", "renamed", "row"] {
        assert!(record.get(absent).is_none(), "{absent} in {record}");
    }
}

#[test]
fn failures_kept_files_and_bad_lines_are_objects_too() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/from").redirect(302, "/gone");
        s.get("/gone").status(404);
    });
    let dir = Dir::new();
    dir.write("a", b"before");
    let list = format!("{}\n{}\nnonsense\n", server.url("/a"), server.url("/from"));
    dir.write("list", list.as_bytes());
    let out = dir
        .gannet()
        .flags("--json --exists skip -i list -t 0")
        .run();
    out.code(8);
    let records = json_lines(&out.stdout());
    assert_eq!(records.len(), 3, "{out}");
    let kept = record(&records, &server.url("/a"));
    assert_eq!(kept["result"], "kept");
    assert_eq!(kept["row"], "list:1");
    let failed = record(&records, &server.url("/from"));
    assert_eq!(failed["result"], "failed");
    assert_eq!(failed["status"], 404);
    assert_eq!(failed["final_url"], server.url("/gone"));
    assert_eq!(failed["error"]["exit"], 8);
    assert_eq!(failed["error"]["message"], "not found");
    let bad = records
        .iter()
        .find(|record| record.get("url").is_none())
        .expect("a record of the bad line");
    assert_eq!(bad["row"], "list:3");
    assert_eq!(bad["error"]["exit"], 2);
    assert!(
        out.stderr().contains("fail"),
        "a person reads standard error: {out}"
    );
}

#[test]
fn no_credentials_are_in_it() {
    let server = Server::serving("/a", b"a");
    let url = server
        .url("/a")
        .replace("http://", "http://someone:secret@");
    let dir = Dir::new();
    let out = dir.fetch("--json --report r.json", &url);
    out.ok();
    assert!(!out.stdout().contains("secret"), "{out}");
    assert!(!String::from_utf8_lossy(&dir.read("r.json")).contains("secret"));
}

#[test]
fn quiet_is_quiet_and_a_body_on_standard_output_is_alone_there() {
    let server = Server::serving("/a", b"body");
    let dir = Dir::new();
    let quiet = dir.fetch("--json -q", server.url("/a"));
    quiet.ok();
    assert_eq!(quiet.stdout(), "");
    let out = dir.fetch("--json -o -", server.url("/a"));
    out.ok();
    assert_eq!(out.stdout(), "body");
    assert!(out.stderr().contains("\"path\":\"-\""), "{out}");
}

#[test]
fn a_report_has_every_file_and_the_totals() {
    let server = Server::start(|s| {
        s.get("/a").body(b"aaa");
        s.get("/b").body(b"bb");
        s.get("/gone").status(404);
    });
    let dir = Dir::new();
    let urls = ["/a", "/b", "/gone"].map(|path| server.url(path));
    let out = dir.gannet().flags("--report r.json -t 0").args(&urls).run();
    out.code(8);
    let report: Value = serde_json::from_slice(&dir.read("r.json")).expect("JSON");
    assert_eq!(report["version"], 1);
    let files = report["files"].as_array().expect("files");
    assert_eq!(files.len(), 3);
    assert_eq!(record(files, &urls[1])["bytes"], 2);
    let totals = &report["totals"];
    assert_eq!(totals["done"], 2);
    assert_eq!(totals["failed"], 1);
    assert_eq!(totals["bytes"], 5);
    assert_eq!(totals["exit"], 8);
    assert!(!dir.join("r.json.part").exists());
}

#[test]
fn a_report_of_nothing_is_a_document_too() {
    let dir = Dir::new();
    dir.write("empty", b"");
    dir.gannet().flags("--report r.json -i empty").run().ok();
    let report: Value = serde_json::from_slice(&dir.read("r.json")).expect("JSON");
    assert_eq!(report["files"].as_array().map(Vec::len), Some(0));
    assert_eq!(report["totals"]["exit"], 0);
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_before_anything_is_fetched() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    let out = dir.fetch("--report no/such/folder.json", server.url("/a"));
    out.code(3);
    assert!(out.stderr().contains("no/such/folder.json"), "{out}");
    assert_eq!(server.paths(), [""; 0]);
}
