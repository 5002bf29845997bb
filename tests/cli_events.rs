//! --events: what happens as it happens, for programs.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Dir, Output, json_lines, noise};
use crate::server::{Gate, Server};

/// The events on standard output.
fn told(out: &Output) -> Vec<Value> {
    json_lines(&out.stdout())
}

/// Their names, in order.
fn names(events: &[Value]) -> Vec<&str> {
    let names = events.iter().map(|event| event["event"].as_str());
    names.map(Option::unwrap_or_default).collect()
}

fn of<'e>(events: &'e [Value], name: &str) -> &'e Value {
    let found = events.iter().find(|event| event["event"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {events:?}"))
}

#[test]
fn a_file_is_told_of_from_its_start_to_its_end() {
    let server = Server::start(|s| {
        s.get("/from").redirect(302, "/to");
        s.get("/to")
            .status(503)
            .retry_after("0")
            .then()
            .body(b"hello");
    });
    let dir = Dir::new();
    dir.write("list", format!("{}\n out=x\n", server.url("/from")));
    let flags = "--events - -i list -d out --retry-delay 1ms";
    let out = dir.gannet().flags(flags).run();
    out.ok();
    // The lines for people go to standard error.
    assert!(out.stderr().contains("done  200  5 B"), "{out}");
    let events = told(&out);
    let tries = ["start", "redirect", "retry", "start", "redirect", "done"];
    assert_eq!(names(&events), tries, "{out}");
    let mut last = 0.0;
    for event in &events {
        assert_eq!(
            (&event["version"], &event["number"]),
            (&1.into(), &1.into())
        );
        let time = event["time"].as_f64().expect("a time");
        assert!(time >= last, "{out}");
        last = time;
    }
    let start = of(&events, "start");
    assert_eq!(start["url"], server.url("/from"));
    assert_eq!(
        (&start["path"], &start["row"]),
        (&"out/x".into(), &"list:1".into())
    );
    assert_eq!(
        (&start["tries"], &events[3]["tries"]),
        (&1.into(), &2.into())
    );
    let redirect = of(&events, "redirect");
    assert_eq!(redirect["status"], 302);
    assert_eq!(redirect["from"], server.url("/from"));
    assert_eq!(redirect["to"], server.url("/to"));
    let retry = of(&events, "retry");
    assert_eq!(
        (&retry["status"], &retry["tries"]),
        (&503.into(), &1.into())
    );
    assert!(retry["delay"].is_number(), "{retry}");
    assert_eq!(retry["error"]["exit"], 8);
    let done = of(&events, "done");
    assert_eq!(
        (&done["result"], &done["bytes"]),
        (&"done".into(), &5.into())
    );
    assert_eq!(done["final_url"], server.url("/to"));
}

#[test]
fn an_end_has_the_fields_of_json() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/gone").status(404);
    });
    let dir = Dir::new();
    dir.write("b", b"there");
    let urls = ["/a", "/b", "/gone"].map(|path| server.url(path));
    let gannet = dir
        .gannet()
        .flags("--json --events events --exists skip -j 1");
    let out = gannet.args(urls).arg("nonsense").run();
    out.code(8);
    let text = String::from_utf8(dir.read("events")).expect("text");
    let ends = |event: &Value| event.get("result").is_some();
    let found: Vec<Value> = json_lines(&text).into_iter().filter(ends).collect();
    assert_eq!(found.len(), 4, "{text}");
    for (event, line) in found.into_iter().zip(out.stdout().lines()) {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let Value::Object(mut event) = event else {
            panic!("no object: {text}");
        };
        let name = event.remove("event").expect("an event");
        let word = record["result"].as_str().unwrap_or_default();
        assert_eq!(name, word.replace("failed", "fail"));
        assert!(event.remove("time").is_some_and(|time| time.is_number()));
        assert_eq!(Value::Object(event), record);
    }
    // What is kept without a request, or cannot be asked for, has not started.
    let starts = text.matches("\"start\"").count();
    assert_eq!(starts, 2, "{text}");
}

#[test]
fn progress_comes_while_a_file_does() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/a").body(noise(300_000)).drip(100_000, &gate);
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("--events - -q");
    let running = gannet.arg(server.url("/a")).spawn();
    gate.let_one_through();
    running.wait_for_line("\"progress\"");
    gate.open();
    let out = running.finish();
    out.ok();
    let events = told(&out);
    let progress = of(&events, "progress");
    assert_eq!(progress["number"], 1);
    assert_eq!(progress["size"], 300_000);
    let bytes = progress["bytes"].as_u64().expect("a count");
    assert!(bytes < 300_000, "{out}");
    assert!(progress["time"].as_f64() >= Some(1.0), "{out}");
    assert_eq!(out.stderr(), "", "{out}");
}

#[test]
fn a_divided_file_starts_once() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(4_000_000)).etag("\"v\"").ranges();
        route.pace(50_000, Duration::from_millis(1));
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("--events events -s 4 --min-split 100K");
    gannet.arg(server.url("/a")).run().ok();
    dir.assert_file("a", noise(4_000_000));
    assert!(server.requests().len() > 1);
    let text = String::from_utf8(dir.read("events")).expect("text");
    assert_eq!(names(&json_lines(&text)), ["start", "done"]);
}

#[test]
fn standard_output_has_room_for_one_kind_of_lines() {
    let dir = Dir::new();
    for flags in ["--json", "-o -", "-o /dev/stdout"] {
        let gannet = dir.gannet().flags("--events - http://h/a").flags(flags);
        gannet.run().code(2).complains("both use standard output");
    }
    // What a file asks for gives way.
    dir.make_dir("gannet");
    dir.write("gannet/gannet.toml", "json = true");
    let server = Server::serving("/a", b"a");
    let gannet = dir.gannet().env("XDG_CONFIG_HOME", dir.path());
    let out = gannet.flags("--events -").arg(server.url("/a")).run();
    out.ok();
    assert_eq!(names(&told(&out)), ["start", "done"]);
}

#[test]
fn a_dry_run_has_no_events() {
    let dir = Dir::new();
    let out = dir.gannet().flags("--dry-run --events - http://h/a").run();
    out.ok();
    assert_eq!(out.stdout(), "", "{out}");
    assert!(out.stderr().starts_with("http://h/a -> "), "{out}");
}

#[test]
fn events_that_cannot_be_written_are_a_failure_and_cost_no_file() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    let run = |flags| dir.gannet().flags(flags).arg(server.url("/a"));
    run("--events none/events")
        .run()
        .code(3)
        .complains("cannot write none/events");
    dir.assert_names(&[]);
    let out = run("--events /dev/full").run();
    out.code(12).complains("cannot write the events");
    dir.assert_file("a", b"a");
    let out = run("--events - --exists overwrite")
        .shell("exec >/dev/full")
        .run();
    out.code(12).complains("cannot write to standard output");
    // A reader that stops does not fail the run.
    run("--events - --exists overwrite")
        .stdout_without_reader()
        .run()
        .ok();
    run("--events /dev/stderr --exists overwrite").run().ok();
}

#[test]
fn what_the_run_fetches_for_itself_is_not_told() {
    let server = Server::start(|s| {
        s.get("/sums")
            .status(503)
            .retry_after("0")
            .then()
            .body(b"60b725f10c9c85c70d97880dfe8191b3  a\n");
        s.get("/a").body(b"a\n");
    });
    let dir = Dir::new();
    let gannet = dir
        .gannet()
        .flags("--events - --retry-delay 1ms --checksums");
    let out = gannet
        .args(["/sums", "/a"].map(|path| server.url(path)))
        .run();
    out.ok();
    assert_eq!(names(&told(&out)), ["start", "done"], "{out}");
}
