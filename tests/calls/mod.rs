//! The program at each of its system calls: killed as it makes one (`kill`), and with the call failing (`errno`).
//!
//! strace counts the calls of a run that nothing disturbs, and then has one of them end in a signal or an error, in
//! a new folder each time. A slice runs with the other tests; `.ci/nightly` runs all:
//! `cargo test --test integration calls -- --ignored --nocapture`.

mod errno;
mod kill;
mod scenario;
mod ways;

use std::collections::BTreeMap;
use std::env;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{Dir, Output};
use crate::server::Server;
use scenario::{Bench, Goal, Scenario, scenarios};

/// Runs at once: they wait for the disk and for each other.
const AT_ONCE: usize = 8;

/// The longest that a run may take; what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(15);

/// Whether strace can be used here.
fn can_trace() -> bool {
    let mut strace = Command::new("strace");
    let strace = strace.args(["-f", "--seccomp-bpf", "-o", "/dev/null", "true"]);
    let strace = strace.stdout(Stdio::null()).stderr(Stdio::null());
    let can = strace.status().is_ok_and(|status| status.success());
    if !can {
        eprintln!("SKIPPED: no strace here, or nothing that it may trace");
    }
    can
}

/// How often each call is made by the program's first thread: before its own beginning, and in all.
type Counts = BTreeMap<String, (usize, usize)>;

/// One call of a run that is not to succeed.
#[derive(Debug, Clone)]
struct Point {
    call: String,
    /// Which of them, from 1.
    nth: usize,
    /// That one and all after it.
    and_later: bool,
    /// What is made of it: `signal=KILL`, `error=EIO`.
    what: String,
}

impl Point {
    fn words(&self, scenario: &Scenario, log: &str) -> Vec<String> {
        let Self {
            call, nth, what, ..
        } = self;
        let later = if self.and_later { "+" } else { "" };
        let limit = LIMIT.as_secs().to_string();
        let words = ["timeout", "-s", "KILL", &limit, "strace", "-f", "-yy"];
        // Quicker, but no signal is sent where a filter has stopped the call.
        let filter = (!what.starts_with("signal")).then_some("--seccomp-bpf");
        let words = words.into_iter().chain(filter);
        let refused = scenario.refused.and_then(|calls| calls.split(':').next());
        let refused = refused.map_or_else(String::new, |calls| format!(",{calls}"));
        let trace = format!("trace={call}{refused}");
        let inject = format!("inject={call}:{what}:when={nth}{later}");
        let more = ["-o", log, "-e", &trace, "-e", &inject];
        let words = words.chain(more).map(str::to_owned);
        words.chain(refusal(scenario.refused)).collect()
    }
}

/// What has strace refuse these calls.
fn refusal(refused: Option<&str>) -> impl Iterator<Item = String> {
    let words = |calls| ["-e".to_owned(), format!("inject={calls}")];
    refused.map(words).into_iter().flatten()
}

/// Counts the calls of a run that nothing disturbs, and says what is wrong with it even so.
fn count(scenario: &Scenario) -> (Counts, Option<String>) {
    let bench = Bench::new(scenario);
    let logs = Dir::new();
    let log = logs.join("log").display().to_string();
    let out = bench
        .gannet(scenario)
        .under(["strace", "-f", "-o", &log])
        .under(refusal(scenario.refused))
        .run();
    let mut complaints = judge_first_end(scenario, &bench);
    complaints.extend(judge_said(scenario, &out));
    let is_well = out.exit_code() == Some(scenario.code) && complaints.is_empty();
    let fault =
        (!is_well).then(|| format!("FAULT {}: {}: {out}", scenario.name, complaints.join("; ")));
    let log = logs.read("log");
    let log = String::from_utf8_lossy(&log);
    let first = log.split(' ').next().unwrap_or_default();
    let (mut counts, mut has_begun) = (Counts::new(), false);
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let call = rest.trim_start().split('(').next().unwrap_or_default();
        let is_call = call.starts_with(|c: char| c.is_ascii_lowercase());
        if thread != first || !is_call {
            continue;
        }
        // The last thing that the standard library does before it calls `main`.
        has_begun |= rest.contains("SIGBUS, {sa_handler=0x");
        if scenario.refused.is_some() && call.contains("xattr") {
            continue;
        }
        let (before, all) = counts.entry(call.to_owned()).or_default();
        *before += usize::from(!has_begun);
        *all += 1;
    }
    (counts, fault)
}

/// The points of all scenarios, at equal distances where there are more than `most`; and the faults of the scenarios
/// that go wrong without any.
fn cases(
    scenarios: &[Scenario],
    points: impl Fn(&Counts) -> Vec<Point>,
    most: Option<usize>,
) -> (Vec<(&Scenario, Point)>, Vec<String>) {
    let (mut cases, mut faults) = (Vec::new(), Vec::new());
    for scenario in scenarios {
        let (counts, fault) = count(scenario);
        cases.extend(points(&counts).into_iter().map(|point| (scenario, point)));
        if let Some(fault) = fault {
            println!("{fault}");
            faults.push(fault);
        }
    }
    if let Some(most) = most {
        let step = cases.len().div_ceil(most).max(1);
        cases = cases.into_iter().step_by(step).collect();
    }
    (cases, faults)
}

/// What became of a disturbed run.
struct Disturbed {
    out: Output,
    /// The lines of the calls that were made to fail.
    hits: Vec<String>,
}

impl Disturbed {
    fn hangs(&self) -> bool {
        self.out.took() >= LIMIT
    }
}

fn disturb(scenario: &Scenario, bench: &Bench, point: &Point) -> Disturbed {
    let logs = Dir::new();
    let log = logs.join("log").display().to_string();
    let gannet = bench.gannet(scenario).limit(LIMIT * 3);
    let out = gannet.under(point.words(scenario, &log)).run();
    // It is not there where the limit was over first.
    let log = std::fs::read(log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let call = format!("{}(", point.call);
    let hits = injected(&log).into_iter().filter(|hit| hit.contains(&call));
    Disturbed {
        out,
        hits: hits.collect(),
    }
}

/// The calls that strace made fail. One that another thread's parted in two has its beginning before its end.
fn injected(log: &str) -> Vec<String> {
    let mut begun = BTreeMap::new();
    let mut hits = Vec::new();
    for line in log.lines() {
        let thread = line.split(' ').next();
        if line.contains(" <unfinished ...>") {
            begun.insert(thread, line);
        } else if line.contains("(INJECTED)") {
            let begin = begun.get(&thread).filter(|_| line.contains(" resumed>"));
            hits.push(format!("{}{line}", begin.unwrap_or(&"")));
        }
    }
    hits
}

/// What is wrong with what stands at the final names at any moment.
fn judge_names(scenario: &Scenario, bench: &Bench) -> Vec<String> {
    let wrong = |goal: &Goal| {
        let found = std::fs::read(bench.dir.join(goal.name)).ok();
        match found {
            None if goal.old.is_none() || goal.is_foreign => None,
            None => Some(format!("{}: what stood there is gone", goal.name)),
            Some(found) if goal.is_whole(&found, &bench.server) => None,
            Some(found) if goal.old.as_ref() == Some(&found) => None,
            Some(found) => Some(format!(
                "{}: neither old nor right, {} bytes",
                goal.name,
                found.len()
            )),
        }
    };
    let wrong = scenario.goals.iter().filter_map(wrong);
    wrong.chain(judge_link(scenario, bench)).collect()
}

/// A symbolic link that is none any more.
fn judge_link(scenario: &Scenario, bench: &Bench) -> Option<String> {
    let link = scenario.link?;
    let is_link = bench.dir.join(link).is_symlink();
    (!is_link).then(|| format!("{link}: it is no link any more"))
}

/// What is wrong with what came on standard output.
fn judge_said(scenario: &Scenario, out: &Output) -> Option<String> {
    let (wanted, said) = (scenario.says?, out.stdout_bytes());
    let is_well = out.exit_code() == Some(scenario.code);
    let is_right = if is_well {
        wanted == said
    } else {
        wanted.starts_with(said)
    };
    (!is_right).then(|| format!("standard output: wrong, {} bytes", said.len()))
}

/// What is wrong with the folder after a run that has ended well; `is_right` judges what stands at a final name.
fn judge_end(
    scenario: &Scenario,
    bench: &Bench,
    is_right: fn(&Goal, &[u8], &Server) -> bool,
) -> Vec<String> {
    let mut complaints = Vec::from_iter(judge_link(scenario, bench));
    for goal in &scenario.goals {
        match std::fs::read(bench.dir.join(goal.name)) {
            Ok(found) if is_right(goal, &found, &bench.server) => {}
            Ok(found) => complaints.push(format!("{}: wrong, {} bytes", goal.name, found.len())),
            Err(error) => complaints.push(format!("{}: {error}", goal.name)),
        }
    }
    for name in bench.dir.names() {
        let is_goal = scenario.goals.iter().any(|goal| goal.name == name);
        let is_known = is_goal || scenario.beside.contains(&name.as_str());
        let may_be = scenario.may_add.contains(&name.as_str())
            && scenario.goals[0].is_right(&bench.dir.read(&name), &bench.server);
        if !is_known && !may_be {
            complaints.push(format!("{name}: left over"));
        }
    }
    complaints
}

/// What is wrong on the disk after the first of two runs.
fn judge_first_end(scenario: &Scenario, bench: &Bench) -> Vec<String> {
    let mut complaints = judge_end(scenario, bench, Goal::is_right);
    let allowed = |complaint: &String| {
        let mut names = scenario.until_next.iter();
        names.any(|name| *complaint == format!("{name}: left over"))
    };
    complaints.retain(|complaint| !allowed(complaint));
    complaints
}

/// Runs the program again, undisturbed: what is wrong with that and with what it leaves.
fn judge_again(scenario: &Scenario, bench: &Bench) -> Vec<String> {
    let out = bench.next(scenario).run();
    let mut complaints = Vec::from_iter(judge_said(scenario, &out));
    if out.exit_code() != Some(scenario.code) {
        complaints.push(format!("the next run: {out}"));
    }
    let wrong = judge_end(scenario, bench, Goal::is_right_next).into_iter();
    complaints.extend(wrong.map(|complaint| format!("after the next run: {complaint}")));
    complaints
}

/// What one case came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Right,
    Failure,
    /// The call was not made as often in this run.
    Missed,
    Fault(Vec<String>),
}

/// Calls a function with each of the cases, several at once.
fn all_of<'c, C: Sync>(cases: &'c [C], judge: impl Fn(&'c C) + Sync) {
    let turn = AtomicUsize::new(0);
    let work = || {
        while let Some(case) = cases.get(turn.fetch_add(1, Ordering::Relaxed)) {
            judge(case);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
}

/// Judges all cases, prints a table of scenarios and calls, and gives the faults.
fn run(cases: &[(&Scenario, Point)], judge: fn(&Scenario, &Point) -> Verdict) -> Vec<String> {
    let table = Mutex::new(BTreeMap::<(&str, &str), [usize; 4]>::new());
    let faults = Mutex::new(Vec::new());
    all_of(cases, |(scenario, point)| {
        let verdict = judge(scenario, point);
        let column = match &verdict {
            Verdict::Right => 0,
            Verdict::Failure => 1,
            Verdict::Missed => 2,
            Verdict::Fault(_) => 3,
        };
        let mut table = table.lock().expect("table");
        table.entry((scenario.name, &point.call)).or_default()[column] += 1;
        if let Verdict::Fault(complaints) = verdict {
            let later = if point.and_later { "+" } else { "" };
            let text = format!(
                "FAULT {}: {} {}{later} {}: {}",
                scenario.name,
                point.call,
                point.nth,
                point.what,
                complaints.join("; ")
            );
            println!("{text}");
            faults.lock().expect("faults").push(text);
        }
    });
    println!(
        "{:<20} {:<12} {:>6} {:>6} {:>8} {:>7} {:>6}",
        "scenario", "call", "cases", "right", "failures", "missed", "faults"
    );
    for ((scenario, call), counts) in table.into_inner().expect("table") {
        let [right, failures, missed, faults] = counts;
        let all: usize = counts.iter().sum();
        println!(
            "{scenario:<20} {call:<12} {all:>6} {right:>6} {failures:>8} {missed:>7} {faults:>6}"
        );
    }
    faults.into_inner().expect("faults")
}

/// The scenarios that GANNET_CALLS_SCENARIO names, with slashes between the names, or all.
fn chosen() -> Vec<Scenario> {
    let mut all = scenarios();
    if let Ok(names) = env::var("GANNET_CALLS_SCENARIO") {
        all.retain(|scenario| names.split('/').any(|name| scenario.name == name));
    }
    all
}
