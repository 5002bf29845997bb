//! The man page and the completions are generated from the flags, and committed; this holds them to that.
//!
//! `BLESS=1 cargo test generated` writes them anew.

use std::path::Path;
use std::{env, fs};

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

#[path = "../src/cli/exit.rs"]
mod exit;
#[path = "../src/cli/flags.rs"]
mod flags;
#[path = "../src/cli/outputs.rs"]
mod outputs;
#[path = "../src/cli/values.rs"]
mod values;

/// The command as others may see it: what is accepted but hidden is left out.
fn command() -> Command {
    let whole = flags::Flags::command();
    let shown = whole.get_arguments().filter(|arg| !arg.is_hide_set());
    Command::new("gannet")
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("gannet [OPTIONS] URL...\ngannet [OPTIONS] -i FILE")
        .about(whole.get_about().cloned().unwrap_or_default())
        .long_about(whole.get_long_about().cloned().unwrap_or_default())
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(shown.map(in_full))
}

/// What clap_mangen leaves out: the help of what the short help does not show, and other spellings.
fn in_full(arg: &Arg) -> Arg {
    let short = arg.get_visible_short_aliases().unwrap_or_default();
    let long = arg.get_visible_aliases().unwrap_or_default();
    let short = short.iter().map(|letter| format!("-{letter}"));
    let also: Vec<_> = short
        .chain(long.iter().map(|word| format!("--{word}")))
        .collect();
    let arg = arg.clone().hide_short_help(false);
    if also.is_empty() {
        return arg;
    }
    let help = arg
        .get_long_help()
        .or_else(|| arg.get_help())
        .cloned()
        .unwrap_or_default();
    arg.long_help(format!("{help}\n\nAlso {}.", also.join(", ")))
}

fn hold(path: &str, wanted: &[u8]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("BLESS").is_some() {
        fs::write(&file, wanted).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let found = fs::read(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is not what the flags say; write it anew with: BLESS=1 cargo test generated"
    );
}

fn completion(shell: Shell) -> Vec<u8> {
    let mut written = Vec::new();
    clap_complete::generate(shell, &mut command(), "gannet", &mut written);
    written
}

/// The OPTIONS section, with clap's headings as its sub-sections.
fn options(man: &Man) -> String {
    let mut written = Vec::new();
    man.render_options_section(&mut written)
        .expect("memory takes it");
    let text = String::from_utf8(written).expect("roff is text");
    let start = text.find(".SH ").expect("a section");
    let (prologue, sections) = text.split_at(start);
    let sub_sections = sections
        .lines()
        .map(|line| match line.strip_prefix(".SH ") {
            Some(heading) => format!(".SS {}\n", capitalised(heading.trim_matches('"'))),
            None => format!("{line}\n"),
        });
    format!(
        "{prologue}.SH OPTIONS\n{}",
        sub_sections.collect::<String>()
    )
}

/// `NETWORK` as `Network`; `HTTP` and `TLS` are names.
fn capitalised(heading: &str) -> String {
    match heading {
        "HTTP" | "TLS" => heading.into(),
        _ => format!("{}{}", &heading[..1], heading[1..].to_lowercase()),
    }
}

fn exit_status() -> String {
    let rows = exit::Exit::TABLE.map(|(exit, meaning)| {
        format!(
            ".TP\n\\fB{}\\fR\n{}\n",
            exit.code(),
            meaning.replace('-', "\\-")
        )
    });
    let ranked = "With several failures the first of these that occurred is the exit status, whatever their \
                  order was: 9, 12, 3, 5, 6, 10, 11, 7, 8, 28, 4, 2, 1.";
    format!(".SH \"EXIT STATUS\"\n{}.PP\n{ranked}\n", rows.concat())
}

#[test]
fn the_man_page_is_what_the_flags_say() {
    let man = Man::new(command())
        .source(concat!("gannet ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut written = Vec::new();
    man.render_title(&mut written).unwrap();
    man.render_name_section(&mut written).unwrap();
    man.render_synopsis_section(&mut written).unwrap();
    man.render_description_section(&mut written).unwrap();
    written.extend(options(&man).into_bytes());
    written.extend(exit_status().into_bytes());
    written.extend(include_bytes!("../man/sections.roff"));
    hold("man/gannet.1", &written);
}

#[test]
fn the_man_page_names_every_algorithm() {
    let sections = include_str!("../man/sections.roff");
    for algorithm in gannet::internals::http::digest::Algorithm::ALL {
        assert!(sections.contains(algorithm.name()), "{algorithm}");
    }
}

#[test]
fn the_completions_are_what_the_flags_say() {
    hold("completions/gannet.bash", &completion(Shell::Bash));
    hold("completions/_gannet", &completion(Shell::Zsh));
    hold("completions/gannet.fish", &completion(Shell::Fish));
}

#[test]
fn what_is_hidden_is_in_none_of_them() {
    let hidden = [
        "directory-prefix",
        "max-concurrent-downloads",
        "ipv4",
        "ipv6",
    ];
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let written = String::from_utf8(completion(shell)).unwrap();
        for word in hidden {
            assert!(!written.contains(&format!("--{word}")), "{shell}: {word}");
        }
    }
}
