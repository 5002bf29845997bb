//! Many runs by hand that are killed (-9) at random points, and gone on with: every file ends
//! right, no partial one ever stands at its final name, and what is fetched twice is counted and
//! bounded.
//!
//! `cargo test --release --test integration kills -- --ignored --nocapture`; GANNET_KILLS says how
//! many, GANNET_KILLS_SEED which.

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Dir, Gannet, Random, noise, sha256};
use crate::server::Server;

/// Kills in all, unless told.
const KILLS: usize = 200;

/// Runs at once: they mostly wait.
const AT_ONCE: usize = 8;

/// Kills of one file, or of one list, before it may come to its end.
const MOST_KILLS: usize = 3;

/// Bytes of a file, or of all files of a list, and the most that the server sends in a second.
const SIZE: usize = 8_000_000;
const RATE: usize = 2_500_000;

/// The longest that a run is left alone before it is killed: some come to their end.
const LONGEST: Duration = Duration::from_millis(3200);

/// What a kill may cost in the worst of the runs, and on average over all, in time of the whole link.
const MOST_LOST: Duration = Duration::from_secs(2);
const MEAN_LOST: Duration = Duration::from_millis(800);

/// How the files are fetched.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    flags: &'static str,
    connections: usize,
    files: usize,
    has_digests: bool,
}

const WAYS: [Way; 6] = [
    way("one connection", "-s 1", 1, 1, false),
    way("one connection, digest", "-s 1", 1, 1, true),
    way("eight segments", "-s 8 --min-split 100K", 8, 1, false),
    way(
        "eight segments, digest",
        "-s 8 --min-split 100K",
        8,
        1,
        true,
    ),
    way("a list", "-s 1 -j 4", 4, 60, false),
    way("a list, digests", "-s 1 -j 4", 4, 60, true),
];

const fn way(
    name: &'static str,
    flags: &'static str,
    connections: usize,
    files: usize,
    has_digests: bool,
) -> Way {
    Way {
        name,
        flags,
        connections,
        files,
        has_digests,
    }
}

/// When the next kill comes: one in three within the first moments, when the first states are written.
fn moment(random: &mut Random) -> Duration {
    let most = LONGEST.as_millis() as usize;
    let most = if random.below(3) == 0 { most / 8 } else { most };
    Duration::from_millis(random.below(most) as u64)
}

/// What killing one file, or one list, came to.
#[derive(Debug, Clone, Copy, Default)]
struct Loss {
    kills: usize,
    /// Bytes that the server sent beyond what there is.
    twice: usize,
}

/// Name and body of each file: of a list the first few are large, and the others small.
fn bodies(way: Way) -> Vec<(String, Vec<u8>)> {
    let size = |number: usize| match number {
        _ if way.files == 1 => SIZE,
        0..5 => SIZE / 6 + number,
        _ => SIZE / 6 / (way.files - 5) + number,
    };
    let body = |number| (format!("f{number}"), noise(size(number)));
    (0..way.files).map(body).collect()
}

fn serve(way: Way, bodies: &[(String, Vec<u8>)]) -> Server {
    let beat = Duration::from_millis(8);
    let piece = RATE / way.connections * 8 / 1000;
    Server::start(|s| {
        for (name, body) in bodies {
            let route = s.get(&format!("/{name}")).body(body).etag("\"v1\"");
            route.ranges().conditional().pace(piece, beat);
        }
    })
}

fn list(way: Way, bodies: &[(String, Vec<u8>)], server: &Server) -> String {
    let row = |(name, body): &(String, Vec<u8>)| {
        let mut row = format!("{}\n", server.url(&format!("/{name}")));
        if way.has_digests {
            row.push_str(&format!("  checksum={}\n", sha256(body)));
        }
        row
    };
    bodies.iter().map(row).collect()
}

/// No file stands at its name that is not right and whole.
fn assert_none_wrong(dir: &Dir, bodies: &[(String, Vec<u8>)]) {
    for (name, body) in bodies.iter().filter(|(name, _)| dir.has(name)) {
        dir.assert_file(name, body);
    }
}

/// Kills the fetching of one file, or of one list, some times, and lets it come to its end.
fn kill(way: Way, random: &mut Random) -> Loss {
    let bodies = bodies(way);
    let server = serve(way, &bodies);
    let dir = Dir::new();
    dir.write("list", list(way, &bodies, &server));
    let gannet = || -> Gannet { dir.gannet().flags("-q -i list").flags(way.flags) };
    let mut kills = 0;
    while kills < MOST_KILLS {
        let running = gannet().spawn();
        // No event can be waited for: the kill may come at any moment.
        thread::sleep(moment(random));
        if !running.signal_if_there("KILL") {
            break;
        }
        running.finish();
        kills += 1;
        assert_none_wrong(&dir, &bodies);
    }
    gannet().run().ok();
    for (name, body) in &bodies {
        dir.assert_file(name, body);
    }
    assert_eq!(dir.names().len(), way.files + 1, "{:?}", dir.names());
    let whole: usize = bodies.iter().map(|(_, body)| body.len()).sum();
    Loss {
        kills,
        twice: server.sent().saturating_sub(whole),
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn bytes_in(time: Duration) -> usize {
    (RATE as f64 * time.as_secs_f64()) as usize
}

#[test]
#[ignore = "200 kills: by hand"]
fn two_hundred_kills_cost_a_moment_each_and_no_byte_is_wrong() {
    let wanted = number("GANNET_KILLS").map_or(KILLS, |kills| kills as usize);
    let seed = number("GANNET_KILLS_SEED").unwrap_or(0x6b69_6c6c);
    println!("GANNET_KILLS_SEED={seed}");
    let started = Instant::now();
    let (turn, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let losses = Mutex::new(Vec::new());
    let work = || {
        while killed.load(Ordering::Relaxed) < wanted {
            let turn = turn.fetch_add(1, Ordering::Relaxed);
            let way = turn % WAYS.len();
            let mut random = Random::new(seed.wrapping_mul(2).wrapping_add(2 * turn as u64 + 1));
            let loss = kill(WAYS[way], &mut random);
            killed.fetch_add(loss.kills, Ordering::Relaxed);
            losses.lock().expect("losses").push((way, loss));
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let losses = losses.into_inner().expect("losses");
    for (place, way) in WAYS.iter().enumerate() {
        let of_way = losses.iter().filter(|(way, _)| *way == place);
        let (mut all, mut most) = (Loss::default(), 0);
        for (_, loss) in of_way {
            all.kills += loss.kills;
            all.twice += loss.twice;
            most = most.max(loss.twice / loss.kills.max(1));
        }
        let mean = all.twice / all.kills.max(1);
        println!(
            "{:<24} {:>4} kills  {:>9} bytes fetched twice  {mean:>8} a kill  {most:>8} in the worst run",
            way.name, all.kills, all.twice
        );
        assert!(most <= bytes_in(MOST_LOST), "{}", way.name);
    }
    let kills: usize = losses.iter().map(|(_, loss)| loss.kills).sum();
    let twice: usize = losses.iter().map(|(_, loss)| loss.twice).sum();
    let mean = Duration::from_secs_f64(twice as f64 / kills.max(1) as f64 / RATE as f64);
    println!(
        "{kills} kills of {} runs to the end, {mean:.0?} of the link lost by each, in {:.0?}",
        losses.len(),
        started.elapsed()
    );
    assert!(kills >= wanted);
    assert!(mean <= MEAN_LOST, "{mean:?}");
}
