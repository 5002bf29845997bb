//! Kills, and other signals, at each system call that changes a file: whatever stands at a final name is whole, and the
//! next run ends right and leaves nothing lying about.

use super::{
    Bench, Counts, Point, Scenario, Verdict, can_trace, cases, chosen, disturb, judge_again,
    judge_names, judge_said, run,
};

/// The calls that change what stands on the disk, or let go of a lock.
const CHANGES: [&str; 31] = [
    "open",
    "openat",
    "openat2",
    "write",
    "pwrite64",
    "splice",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "fsetxattr",
    "fremovexattr",
    "sync_file_range",
    "fadvise64",
    "utimensat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fsync",
    "fdatasync",
    "syncfs",
    "mkdir",
    "mkdirat",
    "flock",
    "close",
    "clone3",
    "exit_group",
];

/// How a run ends that SIGKILL or SIGTERM has ended, as a shell has it.
const ENDED: [i32; 2] = [137, 143];

/// Cases that `cargo test` has time for.
const SLICE: usize = 100;

fn points(counts: &Counts, signal: &str) -> Vec<Point> {
    let mut points = Vec::new();
    for call in CHANGES {
        let Some((before, all)) = counts.get(call) else {
            continue;
        };
        let places = before + 1..=*all;
        points.extend(places.map(|nth| Point {
            call: call.to_owned(),
            nth,
            and_later: false,
            what: format!("signal={signal}"),
        }));
    }
    points
}

fn judge(scenario: &Scenario, point: &Point) -> Verdict {
    let bench = Bench::new(scenario);
    let disturbed = disturb(scenario, &bench, point);
    let mut complaints = judge_names(scenario, &bench);
    if disturbed.hangs() {
        complaints.push(format!("hangs: {}", disturbed.out));
    }
    complaints.extend(judge_said(scenario, &disturbed.out));
    let code = disturbed.out.exit_code();
    let is_over = code.is_some_and(|code| ENDED.contains(&code));
    if !is_over && code != Some(scenario.code) {
        complaints.push(format!("neither stopped nor well: {}", disturbed.out));
    }
    complaints.extend(judge_again(scenario, &bench));
    match complaints.is_empty() {
        true if is_over => Verdict::Right,
        true => Verdict::Missed,
        false => Verdict::Fault(complaints),
    }
}

fn stop_at(signal: &str, slice: Option<usize>) {
    if !can_trace() {
        return;
    }
    let scenarios = chosen();
    let (cases, mut faults) = cases(&scenarios, |counts| points(counts, signal), slice);
    faults.extend(run(&cases, judge));
    assert!(
        faults.is_empty(),
        "{} of {} cases",
        faults.len(),
        cases.len()
    );
}

#[test]
fn a_run_that_is_killed_at_a_call_leaves_whole_files_and_is_gone_on_from() {
    stop_at("KILL", Some(SLICE));
}

#[test]
#[ignore = "a kill at every call: by hand"]
fn a_run_that_is_killed_at_any_call_leaves_whole_files_and_is_gone_on_from() {
    stop_at("KILL", None);
}

#[test]
#[ignore = "a signal at every call: by hand"]
fn a_run_that_is_stopped_at_any_call_leaves_whole_files_and_is_gone_on_from() {
    stop_at("TERM", None);
}
