//! One file from several of its mirrors at once: by speed, of one version, and whole whatever becomes of any of them.

use std::time::Duration;

use crate::harness::{Dir, Gannet, Output, Random, noise, other_noise, sha256};
use crate::server::{Gate, Request, Route, Server};

const SIZE: usize = 1_000_000;

/// A server of one file, slow enough for others to have their share.
fn mirror(script: impl Fn(&mut Route)) -> Server {
    Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).ranges();
        route.pace(10_000, Duration::from_millis(3));
        script(route);
    })
}

/// A mirror with this entity tag.
fn tagged(tag: &str) -> Server {
    mirror(|route| {
        route.etag(tag);
    })
}

/// A list of one row with these mirrors.
fn row(servers: &[&Server], digest: Option<&str>) -> String {
    let urls: Vec<_> = servers.iter().map(|server| server.url("/a")).collect();
    let digest = digest.map_or_else(String::new, |digest| format!("  checksum={digest}\n"));
    format!("{}\n  out=a\n{digest}", urls.join("\t"))
}

fn gannet(dir: &Dir, list: &str, flags: &str) -> Gannet {
    dir.gannet()
        .flags("--min-split 50K --retry-delay 1ms -t 5 -i -")
        .flags(flags)
        .input(list)
}

/// Fetches the file with its digest.
fn fetch(servers: &[&Server], flags: &str) -> (Output, Dir) {
    let dir = Dir::new();
    let list = row(servers, Some(&sha256(&noise(SIZE))));
    let out = gannet(&dir, &list, flags).run();
    (out, dir)
}

fn assert_right(out: &Output, dir: &Dir) {
    out.ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

/// Nothing is said against any of them.
fn assert_quiet(out: &Output) {
    for word in ["drop", "again", "retry"] {
        assert!(!out.stderr().contains(word), "{out}");
    }
}

fn asks_part(request: &Request) -> bool {
    request.header("Range").is_some()
}

#[test]
fn a_file_comes_from_all_its_mirrors_at_once() {
    let servers = [tagged("\"a\""), tagged("\"b\""), tagged("\"c\"")];
    let (out, dir) = fetch(&servers.each_ref(), "-s 3");
    assert_right(&out, &dir);
    assert!(!asks_part(&servers[0].requests()[0]));
    for server in &servers[1..] {
        let requests = server.requests();
        assert!(asks_part(&requests[0]), "{out}");
        assert_eq!(requests[0].header("If-Range"), None, "its tag is not known");
    }
    assert_quiet(&out);
}

#[test]
fn each_mirror_is_held_to_the_version_that_it_showed() {
    let servers = [tagged("\"a\""), tagged("\"b\"")];
    let (out, dir) = fetch(&servers.each_ref(), "-s 2");
    assert_right(&out, &dir);
    for (server, tag) in servers.iter().zip(["\"a\"", "\"b\""]) {
        let conditions: Vec<_> = server
            .requests()
            .iter()
            .skip(1)
            .map(|request| request.header("If-Range").map(str::to_owned))
            .collect();
        let is_own = |condition: &Option<String>| condition.as_deref() == Some(tag);
        assert!(conditions.iter().all(is_own), "{conditions:?} {out}");
    }
}

#[test]
fn a_mirror_without_any_validator_is_good_enough_where_a_digest_is_asked_for() {
    let servers = [tagged("\"a\""), mirror(|_| {})];
    let (out, dir) = fetch(&servers.each_ref(), "-s 2");
    assert_right(&out, &dir);
    assert!(servers[1].requests().iter().all(asks_part), "{out}");
    assert!(!servers[1].requests().is_empty(), "{out}");
}

#[test]
fn without_a_digest_only_mirrors_of_the_same_tag_are_mixed() {
    let same = [tagged("\"v1\""), tagged("\"v1\"")];
    let dir = Dir::new();
    let out = gannet(&dir, &row(&same.each_ref(), None), "-s 4").run();
    assert_right(&out, &dir);
    let requests = same[1].requests();
    assert!(requests.len() >= 2, "{out}");
    for request in requests {
        assert!(asks_part(&request));
        assert_eq!(request.header("If-Range"), Some("\"v1\""));
    }

    let different = [
        tagged("\"v1\""),
        mirror(|route| {
            route.body(other_noise(SIZE)).etag("\"v2\"");
        }),
    ];
    let dir = Dir::new();
    let out = gannet(&dir, &row(&different.each_ref(), None), "-s 4").run();
    assert_right(&out, &dir);
    assert_quiet(&out);
    assert!(different[1].requests().len() <= 2, "{out}");
}

#[test]
fn without_a_digest_or_a_tag_a_file_comes_from_one() {
    let dates = |route: &mut Route| {
        route
            .header("Last-Modified", "Mon, 10 Sep 2001 01:46:40 GMT")
            .header("Date", "Mon, 10 Sep 2001 01:46:41 GMT");
    };
    let servers = [mirror(dates), mirror(dates)];
    let dir = Dir::new();
    let out = gannet(&dir, &row(&servers.each_ref(), None), "-s 4").run();
    assert_right(&out, &dir);
    assert!(servers[0].requests().len() >= 4, "{out}");
    assert_eq!(servers[1].requests().len(), 0, "{out}");
}

#[test]
fn a_server_that_began_is_asked_for_the_whole_and_a_mirror_that_sent_nothing_is_not() {
    // More than a MiB is worth some tries at its server before a mirror is asked.
    const LARGE: usize = 3 << 20;
    let server = Server::start(|s| {
        let cut = s
            .get("/a")
            .body(noise(LARGE))
            .etag("\"v1\"")
            .cut_at(LARGE / 2);
        cut.then().status(404);
        s.get("/b").status(404);
        s.get("/c").body(noise(LARGE)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let urls = ["/a", "/b", "/c"].map(|path| server.url(path)).join("\t");
    dir.fetch_list("-s 1 -t 1 --retry-delay 1ms", format!("{urls}\n"))
        .ok();
    assert_eq!(server.paths(), ["/a", "/a", "/a", "/b", "/c"]);
    assert!(server.request("/c").header("Range").is_some());
    dir.assert_file("a", noise(LARGE));
}

#[test]
fn a_mirror_that_refuses_the_range_is_asked_for_the_whole_if_no_other_has_the_rest() {
    let server = Server::start(|s| {
        let cut = s.get("/a").body(noise(SIZE)).etag("\"v1\"");
        cut.cut_at(SIZE / 2).then().status(404);
        let route = s.get("/b").body(noise(SIZE)).etag("\"v1\"");
        route.refuses_ranges(403);
    });
    let dir = Dir::new();
    let urls = ["/a", "/b"].map(|path| server.url(path)).join("\t");
    dir.fetch_list("-s 1 -t 1 --retry-delay 1ms", format!("{urls}\n"))
        .ok();
    let requests = server.requests();
    let of_b = requests.iter().filter(|request| request.path() == "/b");
    let ranges: Vec<_> = of_b
        .map(|request| request.header("Range").is_some())
        .collect();
    assert_eq!(ranges, [true, false]);
    dir.assert_file("a", noise(SIZE));
}

#[test]
fn a_slow_mirror_is_overtaken() {
    let gate = Gate::new();
    let servers = [
        tagged("\"a\""),
        Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).ranges().etag("\"b\"");
            route.drip(10_000, &gate);
        }),
    ];
    gate.let_one_through();
    let (out, dir) = fetch(&servers.each_ref(), "-s 2");
    assert_right(&out, &dir);
    assert_eq!(servers[1].requests().len(), 1, "{out}");
    assert!(out.took() < Duration::from_secs(20), "{out}");
}

#[test]
fn a_slow_mirror_that_began_is_overtaken() {
    let gate = Gate::new();
    let servers = [
        Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).ranges().etag("\"a\"");
            route.drip(10_000, &gate);
        }),
        tagged("\"b\""),
    ];
    gate.let_one_through();
    let (out, dir) = fetch(&servers.each_ref(), "-s 2");
    assert_right(&out, &dir);
    assert!(servers[1].requests().len() > 1, "{out}");
    assert!(out.took() < Duration::from_secs(20), "{out}");
}

/// What is wrong with a mirror, its script, and what is said of it.
type Flaw = (&'static str, fn(&mut Route), &'static str);

const FLAWS: [Flaw; 7] = [
    (
        "another size",
        |route| {
            route.body(noise(SIZE + 1));
        },
        "another size",
    ),
    (
        "another size, and no parts",
        |route| {
            route.status(200).body(noise(SIZE - 1)).honours_no_range();
        },
        "another size",
    ),
    (
        "no parts",
        |route| {
            route.honours_no_range();
        },
        "ignored the range",
    ),
    (
        "nothing",
        |route| {
            route.status(404).honours_no_range();
        },
        "404",
    ),
    (
        "other parts",
        |route| {
            route
                .status(206)
                .header("Content-Range", "bytes 1-999999/1000000")
                .honours_no_range();
        },
        "another range",
    ),
    (
        "no total",
        |route| {
            route
                .status(206)
                .header("Content-Range", "bytes 500000-999999/*")
                .honours_no_range();
        },
        "the size of the file",
    ),
    (
        "a coding",
        |route| {
            route.header("Content-Encoding", "gzip");
        },
        "",
    ),
];

#[test]
fn a_mirror_that_has_another_file_or_none_is_dropped_and_named() {
    for (flaw, script, said) in FLAWS {
        let servers = [tagged("\"a\""), mirror(script), tagged("\"c\"")];
        let (out, dir) = fetch(&servers.each_ref(), "-s 3");
        println!("{flaw}: {out}");
        assert_right(&out, &dir);
        assert_eq!(servers[1].requests().len(), 1, "{flaw}: {out}");
        assert!(!servers[2].requests().is_empty(), "{flaw}: {out}");
        out.complains(said);
        let named = out.stderr().matches(&servers[1].url("/a")).count();
        assert_eq!(named, usize::from(!said.is_empty()), "{flaw}: {out}");
        assert!(!out.stderr().contains("again"), "{flaw}: {out}");
    }
}

#[test]
fn a_mirror_that_refuses_a_range_nobody_asked_for_leaves_the_file_to_the_next() {
    let odd = mirror(|route| {
        route.status(416).honours_no_range();
    });
    let (out, dir) = fetch(&[&odd, &tagged("\"a\"")], "-s 1");
    assert_right(&out, &dir);
    assert_eq!(odd.requests().len(), 1, "{out}");
    out.complains(&odd.url("/a"));
}

#[test]
fn where_bytes_of_several_do_not_fit_each_is_asked_alone() {
    let liar = |tag: &str| {
        mirror(|route| {
            route.body(other_noise(SIZE)).etag(tag);
        })
    };
    // Whichever mirror began, the right file comes from the mirror that has it.
    for servers in [
        [tagged("\"a\""), liar("\"b\"")],
        [liar("\"b\""), tagged("\"a\"")],
    ] {
        let (out, dir) = fetch(&servers.each_ref(), "-s 2");
        assert_right(&out, &dir);
        out.complains("each mirror is now asked alone");
    }
    let servers = ["\"a\"", "\"b\"", "\"c\""].map(liar);
    let (out, dir) = fetch(&servers.each_ref(), "-s 3");
    out.code(9).complains("each mirror is now asked alone");
    dir.assert_names(&[]);
    for server in &servers {
        out.complains(&server.url("/a"));
        let whole = server.requests();
        assert!(whole.iter().any(|request| !asks_part(request)), "{out}");
        assert!(whole.len() < 10, "{out}");
    }
}

/// The one that takes the lead has brought nothing of it.
#[test]
fn who_leads_a_file_that_another_has_brought_does_not_answer_for_it() {
    let liar = mirror(|route| {
        route
            .body(other_noise(SIZE))
            .etag("\"a\"")
            .honours_no_range();
    });
    let right = Server::start(|s| {
        let route = s.get("/a").status(500);
        route.then().body(noise(SIZE)).ranges().etag("\"b\"");
    });
    let (out, dir) = fetch(&[&liar, &right], "-s 2 --retry-delay 1h");
    assert_right(&out, &dir);
    out.complains("ignored the range")
        .complains("each mirror is now asked alone");
}

/// What one server asks for holds up no other, and a mirror is asked before anything waits.
#[test]
fn a_mirror_is_asked_at_once_whatever_the_first_server_asks_for() {
    let busy = Server::start(|s| {
        s.get("/a").status(503).header("Retry-After", "200");
    });
    let broken = Server::start(|s| {
        s.get("/a").body(noise(SIZE)).cut_rst_at(0);
    });
    let right = tagged("\"a\"");
    let dir = Dir::new();
    let list = row(&[&busy, &broken, &right], None);
    let out = gannet(&dir, &list, "-s 1").run();
    assert_right(&out, &dir);
    assert_eq!((busy.requests().len(), broken.requests().len()), (1, 1));
}

#[test]
fn a_mirror_that_lies_with_the_right_tag_is_found_out_by_the_digest() {
    for servers in [
        [tagged("\"a\""), mirror(lie), tagged("\"b\"")],
        [mirror(lie), tagged("\"a\""), tagged("\"b\"")],
    ] {
        let (out, dir) = fetch(&servers.each_ref(), "-s 3");
        assert_right(&out, &dir);
    }
    // One that dies is gone on from under the same tag.
    let dying = mirror(|route| {
        lie(route);
        route.cut_rst_at(300_000).then().status(404);
    });
    let servers = [&dying, &tagged("\"a\"")];
    let (out, dir) = fetch(&servers, "-s 1 -t 0");
    assert_right(&out, &dir);
}

fn lie(route: &mut Route) {
    route.body(other_noise(SIZE)).etag("\"a\"");
}

#[test]
fn a_mirror_that_dies_in_mid_file_leaves_its_share_to_the_others() {
    for dying in [0, 1] {
        let servers: Vec<_> = (0..3)
            .map(|place| {
                Server::start(|s| {
                    let tag = format!("\"{place}\"");
                    let route = s.get("/a").body(noise(SIZE)).etag(&tag).ranges();
                    route.pace(10_000, Duration::from_millis(4));
                    if place == dying {
                        let dead = route.cut_rst_at(100_000).then();
                        dead.cut_rst_at(0);
                    }
                })
            })
            .collect();
        let servers: Vec<_> = servers.iter().collect();
        let (out, dir) = fetch(&servers, "-s 3 -t 2");
        assert_right(&out, &dir);
        let whole = servers.iter().flat_map(|server| server.requests());
        let whole = whole.filter(|request| !asks_part(request)).count();
        assert_eq!(whole, 1, "no byte is fetched twice: {out}");
    }
}

#[test]
fn a_dead_mirror_holds_nobody_up() {
    let dead = Server::start(|s| s.close_on_accept());
    let servers = [&tagged("\"a\""), &dead, &tagged("\"b\"")];
    let dir = Dir::new();
    let list = row(&servers, Some(&sha256(&noise(SIZE))));
    let out = gannet(&dir, &list, "-s 3 --retry-delay 1h").run();
    assert_right(&out, &dir);
    assert!(out.took() < Duration::from_secs(15), "{out}");
}

#[test]
fn a_mirror_that_asks_for_calm_gets_it_while_the_others_go_on() {
    for status in [429, 503] {
        let busy = mirror(|route| {
            route.status(status).retry_after("60").honours_no_range();
        });
        let servers = [&tagged("\"a\""), &busy, &tagged("\"b\"")];
        let (out, dir) = fetch(&servers, "-s 3");
        assert_right(&out, &dir);
        assert_eq!(busy.requests().len(), 1, "{out}");
        assert!(out.took() < Duration::from_secs(15), "{out}");
    }
}

#[test]
fn all_mirrors_may_fail_for_a_while() {
    let flaky = |tag: &str| {
        Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag(tag).ranges();
            route.pace(10_000, Duration::from_millis(1));
            route.cut_rst_at(150_000).times(4);
            let rest = route.then().body(noise(SIZE)).etag(tag).ranges();
            rest.pace(10_000, Duration::from_millis(1));
        })
    };
    let servers = [flaky("\"a\""), flaky("\"b\"")];
    let (out, dir) = fetch(&servers.each_ref(), "-s 2");
    assert_right(&out, &dir);
}

#[test]
fn the_end_of_all_mirrors_is_the_end_of_the_file() {
    let dying = |tag: &str| {
        Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag(tag).ranges();
            route
                .pace(10_000, Duration::from_millis(1))
                .cut_rst_at(150_000);
            route.then().status(404);
        })
    };
    let servers = [dying("\"a\""), dying("\"b\"")];
    let (out, dir) = fetch(&servers.each_ref(), "-s 2 -t 1");
    out.code_in(&[4, 8]);
    assert!(!dir.has("a"));
    for server in &servers {
        assert!(server.requests().len() < 8, "{out}");
    }
}

#[test]
fn no_mirror_gets_more_connections_than_are_allowed() {
    let servers = [tagged("\"a\""), tagged("\"b\"")];
    let (out, dir) = fetch(&servers.each_ref(), "-s 8 -x 1");
    assert_right(&out, &dir);
    for server in &servers {
        // The server may not have seen yet that a connection was closed when the next one comes.
        assert!(server.in_flight_max() <= 2, "{out}");
    }
}

/// Two mirrors that send through gates, after an interrupted run that left a part of their file.
fn interrupted(dir: &Dir) -> ([Server; 2], [Gate; 2]) {
    let gates = [Gate::new(), Gate::new()];
    let serve = |place: usize| {
        let tag = format!("\"{place}\"");
        Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag(&tag).ranges();
            route.drip(50_000, &gates[place]);
        })
    };
    let servers = [serve(0), serve(1)];
    let list = row(&servers.each_ref(), Some(&sha256(&noise(SIZE))));
    // Standard input stays open, and the row might go on.
    let lists = Dir::new();
    let running = dir
        .gannet()
        .flags("--min-split 50K -s 2 -i")
        .arg(lists.write("list", list))
        .spawn();
    for (server, gate) in servers.iter().zip(&gates) {
        server.wait_for_requests(1);
        (0..3).for_each(|_| gate.let_one_through());
    }
    dir.wait_for_size("a.part.gannet", 1);
    running.signal("INT");
    running.finish().code(130);
    let state = String::from_utf8(dir.read("a.part.gannet")).expect("text");
    assert!(state.contains("\"is_mixed\":true"), "{state}");
    (servers, gates)
}

#[test]
fn what_several_mirrors_had_brought_is_gone_on_from() {
    let dir = Dir::new();
    let (servers, gates) = interrupted(&dir);
    gates.iter().for_each(Gate::open);
    let list = row(&servers.each_ref(), Some(&sha256(&noise(SIZE))));
    let out = gannet(&dir, &list, "-s 2").run();
    assert_right(&out, &dir);
    let asked = servers.iter().flat_map(Server::requests);
    let whole = asked.filter(|request| !asks_part(request)).count();
    assert_eq!(whole, 1, "only the first run began at the start: {out}");
}

#[test]
fn without_a_digest_what_several_had_brought_is_not_trusted() {
    let dir = Dir::new();
    let (servers, gates) = interrupted(&dir);
    gates.iter().for_each(Gate::open);
    let out = gannet(&dir, &row(&servers.each_ref(), None), "-s 2").run();
    out.complains("no digest to check it");
    assert_right(&out, &dir);
    let asked = servers[0].requests();
    let whole = asked.iter().filter(|request| !asks_part(request)).count();
    assert_eq!(whole, 2, "{out}");
}

#[test]
fn what_was_brought_by_several_and_does_not_fit_is_fetched_anew() {
    let dir = Dir::new();
    let (servers, gates) = interrupted(&dir);
    let mut part = dir.read("a.part");
    part[10_000] ^= 1;
    dir.write("a.part", part);
    gates.iter().for_each(Gate::open);
    let list = row(&servers.each_ref(), Some(&sha256(&noise(SIZE))));
    let out = gannet(&dir, &list, "-s 2").run();
    out.complains("the bytes of an earlier run do not match");
    assert_right(&out, &dir);
}

#[test]
fn a_metalink_s_mirrors_are_asked_at_once() {
    let servers = [tagged("\"a\""), tagged("\"b\""), tagged("\"c\"")];
    let dir = Dir::new();
    let digest = sha256(&noise(SIZE));
    let hash = digest.trim_start_matches("sha256:");
    let urls: String = servers
        .iter()
        .zip([2, 1, 3])
        .map(|(server, priority)| {
            format!("<url priority=\"{priority}\">{}</url>", server.url("/a"))
        })
        .collect();
    let list = format!(
        "<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"a\">\
         <size>{SIZE}</size><hash type=\"sha-256\">{hash}</hash>{urls}</file></metalink>"
    );
    let out = gannet(&dir, &list, "-s 3").run();
    assert_right(&out, &dir);
    assert!(
        !asks_part(&servers[1].requests()[0]),
        "the first by priority began"
    );
    for server in [&servers[0], &servers[2]] {
        assert!(server.requests().iter().all(asks_part), "{out}");
        assert!(!server.requests().is_empty(), "{out}");
    }
}

#[test]
fn an_answer_that_is_much_faster_than_its_parts_brings_all_itself() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.pace(10_000, Duration::from_millis(30));
        let part = route.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        part.drip(1000, &gate);
    });
    (0..3).for_each(|_| gate.let_one_through());
    let dir = Dir::new();
    let out = gannet(&dir, &row(&[&server], None), "-s 2").run();
    assert_right(&out, &dir);
    assert_eq!(server.requests().len(), 2, "{out}");
}

/// What may be the matter with a mirror, by number; the first is right in all.
const MOODS: [fn(&mut Route); 9] = [
    |_| {},
    |route| {
        route.body(other_noise(SIZE));
    },
    |route| {
        route.body(noise(SIZE - 1));
    },
    |route| {
        route.honours_no_range();
    },
    |route| {
        route.cut_rst_at(70_000);
    },
    |route| {
        route.status(503).honours_no_range();
    },
    |route| {
        route.status(404).honours_no_range();
    },
    |route| {
        route.cut_at(0);
    },
    |route| {
        route
            .then()
            .body(other_noise(SIZE))
            .etag("\"changed\"")
            .ranges();
    },
];

/// The seeds of the runs: GANNET_MIRROR_RUNS from GANNET_MIRROR_SEED on, or 8 from 1 on.
fn seeds() -> impl Iterator<Item = u64> {
    let number = |name: &str, otherwise| {
        let set = std::env::var(name).ok();
        set.map_or(otherwise, |set| set.parse().expect("a number"))
    };
    let first = number("GANNET_MIRROR_SEED", 1);
    let seeds = first..first + number("GANNET_MIRROR_RUNS", 8);
    seeds.inspect(|seed| println!("GANNET_MIRROR_SEED={seed}"))
}

/// Three mirrors, one of them right and the others of any mood. With `is_own` all tags differ.
fn moody(random: &mut Random, is_own: bool) -> Vec<Server> {
    let right = random.below(3);
    let serve = |place| {
        let mood = if place == right { 0 } else { random.below(9) };
        let tag = match is_own {
            true => format!("\"{place}\""),
            false => format!("\"{}\"", random.below(4)),
        };
        let beat = Duration::from_millis(random.below(4) as u64);
        println!("mirror {place}: mood {mood}, tag {tag}, {beat:?}");
        Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag(&tag).ranges();
            MOODS[mood](route.pace(10_000, beat));
        })
    };
    (0..3).map(serve).collect()
}

/// Begins a run up to twice, and kills it when any number of bytes has come.
fn begin_and_kill(random: &mut Random, dir: &Dir, list: &str, flags: &str) {
    let lists = Dir::new();
    for _ in 0..random.below(3) {
        let running = dir
            .gannet()
            .flags("--min-split 50K --retry-delay 1ms -i")
            .arg(lists.write("list", list))
            .flags(flags)
            .spawn();
        let size = random.below(SIZE) as u64;
        let has_grown = || std::fs::metadata(dir.join("a.part")).is_ok_and(|f| f.len() > size);
        // That it is still there is shown by a signal that does nothing.
        while !has_grown() && !dir.has("a") && running.signal_if_there("0") {
            std::thread::yield_now();
        }
        running.signal_if_there("KILL");
        running.finish();
    }
}

#[test]
fn one_right_mirror_is_enough_whatever_the_others_do_and_whenever_a_run_is_killed() {
    let digest = sha256(&noise(SIZE));
    for seed in seeds() {
        let mut random = Random::new(seed);
        let servers = moody(&mut random, false);
        let servers: Vec<_> = servers.iter().collect();
        let flags = format!("-s {}", 1 + random.below(5));
        let dir = Dir::new();
        let list = row(&servers, Some(&digest));
        begin_and_kill(&mut random, &dir, &list, &flags);
        assert!(!dir.has("a") || dir.read("a") == noise(SIZE));
        let out = gannet(&dir, &list, &flags).run();
        assert_right(&out, &dir);
        let asked: usize = servers.iter().map(|server| server.requests().len()).sum();
        assert!(asked < 150, "{asked} requests: {out}");
    }
}

#[test]
fn without_a_digest_no_two_versions_are_ever_spliced() {
    for seed in seeds() {
        let mut random = Random::new(seed);
        let servers = moody(&mut random, true);
        let servers: Vec<_> = servers.iter().collect();
        let flags = format!("-s {}", 1 + random.below(5));
        let dir = Dir::new();
        let list = row(&servers, None);
        begin_and_kill(&mut random, &dir, &list, &flags);
        let out = gannet(&dir, &list, &flags).run();
        out.ok();
        let versions = [noise(SIZE), other_noise(SIZE), noise(SIZE - 1)];
        assert!(versions.contains(&dir.read("a")), "{out}");
    }
}
