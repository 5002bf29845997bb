//! --shard: the workers of one list give its files the names that one worker would have given them.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Dir, Output};
use crate::server::Server;

const WORKERS: usize = 8;

/// Paths of which many have one name.
fn paths() -> Vec<String> {
    let paths = (0..60).map(|n| match n % 3 {
        0 => format!("/{n}/same"),
        1 => format!("/{n}/pair-{}", n / 6),
        _ => format!("/{n}"),
    });
    paths.collect()
}

fn server() -> Server {
    Server::start(|s| {
        for path in paths() {
            s.get(&path).body(&path);
        }
    })
}

/// Files by their names, and what they hold.
type Files = BTreeMap<String, Vec<u8>>;

fn files(dir: &Dir) -> Files {
    let names = dir.names().into_iter();
    names.map(|name| (name.clone(), dir.read(&name))).collect()
}

/// What one worker makes of a list, and what all do.
fn alone_and_shared(flags: &str, list: &str) -> [(Files, Vec<Output>); 2] {
    let run = |dir: &Dir, more: &[&str]| {
        let run = dir.gannet().flags("-i -").flags(flags).args(more);
        run.input(list).run()
    };
    let (alone, shared) = (Dir::new(), Dir::new());
    let out = run(&alone, &[]);
    let outs = (1..=WORKERS)
        .map(|which| run(&shared, &["--shard", &format!("{which}/{WORKERS}")]))
        .collect();
    [(files(&alone), vec![out]), (files(&shared), outs)]
}

#[test]
fn workers_give_files_the_names_that_one_would_have_given_them() {
    let server = server();
    let list: String = paths().iter().map(|path| server.url(path) + "\n").collect();
    for flags in [
        "",
        "--name {index}-{name}",
        "--name {host}/{hash}",
        "--exists skip",
        "--exists error",
    ] {
        let [(alone, _), (shared, outs)] = alone_and_shared(flags, &list);
        assert_eq!(alone, shared, "{flags}");
        assert_eq!(shared.len(), paths().len(), "{flags}");
        for out in outs {
            out.ok();
        }
    }
}

#[test]
fn bad_rows_count_for_all_workers_and_fail_for_the_one_that_has_them() {
    let server = server();
    let mut list = String::new();
    for (n, path) in paths().iter().enumerate() {
        list += &server.url(path);
        list += match n {
            5 => "\n  out=/etc/passwd\n",
            6 => "\n  dir=sub\n",
            7 | 8 => "\n  out=given\n",
            9 => "\nno URL at all\n",
            10 => "\n  checksum=sha256:no\n",
            _ => "\n",
        };
    }
    for flags in ["", "--name {index}-{name}"] {
        let [(alone, out), (shared, outs)] = alone_and_shared(flags, &list);
        assert_eq!(alone, shared, "{flags}");
        let faults = |outs: &[Output], part: &str| {
            let said = outs.iter().map(|out| out.stderr().matches(part).count());
            said.sum::<usize>()
        };
        for fault in [
            "an earlier row has the name 'given'",
            "the path is absolute",
        ] {
            assert_eq!(
                (faults(&out, fault), faults(&outs, fault)),
                (1, 1),
                "{fault}"
            );
        }
    }
}

#[test]
fn a_plan_for_a_share_has_the_names_of_the_run() {
    let server = server();
    let list: String = paths().iter().map(|path| server.url(path) + "\n").collect();
    let [(_, alone), (_, shared)] = alone_and_shared("--dry-run", &list);
    let lines = |outs: &[Output]| {
        let mut lines: Vec<_> = outs
            .iter()
            .flat_map(|out| out.stdout().lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&alone), lines(&shared));
}

#[test]
fn a_name_that_servers_give_to_rows_of_two_workers_is_the_first_ones_and_the_other_says_so() {
    let server = Server::start(|s| {
        for n in 0..20 {
            let route = s.get(&format!("/{n}")).body(n.to_string());
            route.header("Content-Disposition", "attachment; filename=report");
        }
    });
    let list: String = (0..20).map(|n| server.url(&format!("/{n}\n"))).collect();
    let dir = Dir::new();
    let run = |which: usize| {
        let run = dir.gannet().flags("-i - --content-disposition -j 1");
        run.args(["--shard", &format!("{which}/2")])
            .input(&list)
            .run()
    };
    run(1).ok();
    let before = files(&dir);
    let out = run(2);
    out.code(11).complains("another row or program");
    let after = files(&dir);
    assert!(
        before
            .iter()
            .all(|(name, body)| after.get(name) == Some(body)),
        "{out}"
    );
}

#[test]
fn a_file_of_another_worker_under_a_given_name_is_neither_kept_nor_replaced_by_a_row() {
    // Rows that get their names from servers; rows that all workers have read before the next are named; rows that
    // get those names from the list.
    let rows = [("/served", 8), ("/between", 30), ("/listed", 8)];
    let paths: Vec<_> = rows
        .into_iter()
        .flat_map(|(kind, count)| (0..count).map(move |n| (kind, n, format!("{kind}-{n}"))))
        .collect();
    let server = Server::start(|s| {
        for (kind, n, path) in &paths {
            let route = s.get(path).body(path);
            if *kind == "/served" {
                let value = format!("attachment; filename=given-{n}");
                route.header("Content-Disposition", &value);
            }
        }
    });
    let line = |(kind, n, path): &(&str, u32, String)| match *kind {
        "/listed" => format!("{}\n  out=given-{n}\n", server.url(path)),
        _ => server.url(path) + "\n",
    };
    let list: String = paths.iter().map(line).collect();
    for exists in ["verify", "overwrite", "skip"] {
        let dir = Dir::new();
        let outs = [1, 2].map(|which| {
            let run = dir.gannet().flags("-i - --content-disposition -j 1");
            let run = run.args(["--shard", &format!("{which}/2"), "--exists", exists]);
            run.input(&list).run()
        });
        let files = files(&dir).into_iter();
        let whole = files.filter(|(name, _)| !name.contains(".part"));
        let bodies: BTreeSet<_> = whole.map(|(_, body)| body).collect();
        let failed: usize = outs
            .iter()
            .map(|out| out.stderr().matches("fail  ").count())
            .sum();
        assert_eq!(
            bodies.len() + failed,
            paths.len(),
            "{exists}: {}{}",
            outs[0],
            outs[1]
        );
    }
}
