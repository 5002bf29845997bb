//! The program where system calls fail, on a small disk, or in namespaces: what some systems allow no test to do.
//!
//! There, or where a program that it needs is not installed, a test says SKIPPED on standard error and passes.

use std::env;
use std::process::{Command, Stdio};

use super::{Dir, Gannet};

/// Says that a test was not made, and why.
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Says that a test was not made for want of a program. CI has all of them.
pub(super) fn skip_without(program: &str) {
    assert!(
        env::var_os("CI").is_none_or(|value| value != "true"),
        "CI has no {program}: install it"
    );
    skip(&format!("{program} is not installed"));
}

/// Whether a command succeeds; it prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = quiet.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Whether `unshare` can make namespaces with these flags and run this in them.
pub(crate) fn can_unshare(flags: &str, command: &[&str]) -> bool {
    let can = succeeds(Command::new("unshare").arg(flags).args(command));
    if !can {
        skip("this user can make no such namespace");
    }
    can
}

/// The program under strace, which lets system calls fail: `openat:error=EIO:when=3+`.
pub(crate) fn injecting(dir: &Dir, calls: &[&str]) -> Option<Gannet> {
    let probe = [
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "inject=eventfd2:error=EMFILE",
        "true",
    ];
    if !succeeds(Command::new("strace").args(probe)) {
        skip("there is no strace, or nothing that it may trace");
        return None;
    }
    let calls = calls.iter().map(|call| format!(" -e inject={call}"));
    let calls: String = calls.collect();
    let shell = format!("exec strace -f -qq -o /dev/null{calls} \"$0\" \"$@\"");
    Some(dir.gannet().shell(&shell))
}

/// A script that may mount file systems, in place of the program, which is `"$0" "$@"` in it.
pub(crate) fn with_mounts(dir: &Dir, script: &str) -> Option<Gannet> {
    if !can_unshare("-rm", &["mount", "-t", "tmpfs", "none", "/mnt"]) {
        return None;
    }
    let script = script.replace('\'', "'\\''");
    let shell = format!("exec unshare -rm sh -c '{script}' \"$0\" \"$@\"");
    Some(dir.gannet().shell(&shell))
}

/// A script in place of the program, as [`with_mounts`] has it; `disk` is a small file system in memory.
pub(crate) fn on_a_disk(dir: &Dir, options: &str, script: &str) -> Option<Gannet> {
    dir.make_dir("disk");
    let mount = format!("mount -t tmpfs -o {options} none disk");
    with_mounts(dir, &format!("{mount} && {{ {script}; }}"))
}
