//! Reads the files of `--netrc` and `--cookies`. Messages never quote their contents.

use std::env;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use gannet::http::{Cookie, Netrc, read_cookies};

/// The largest netrc file, in bytes. A larger file is not a netrc file.
const LARGEST_NETRC: u64 = 1024 * 1024;

/// The largest cookie file, in bytes.
const LARGEST_COOKIES: u64 = 16 * 1024 * 1024;

/// The most invalid lines of a file that are reported one by one.
const REPORTED: usize = 5;

/// Whether there is a file with this path, and its folders may be entered.
pub(super) fn is_reachable(path: &Path) -> bool {
    let unreachable = [
        ErrorKind::NotFound,
        ErrorKind::NotADirectory,
        ErrorKind::PermissionDenied,
    ];
    match path.metadata() {
        Ok(_) => true,
        Err(error) => !unreachable.contains(&error.kind()),
    }
}

/// Reads the netrc file that was typed, that of the variable NETRC, or `~/.netrc`, which may be missing. Returns also a
/// warning for each line with an unknown word.
///
/// # Errors
/// The file cannot be read or has a syntax error; the message names the file and the line.
pub(super) fn netrc(typed: Option<PathBuf>) -> Result<(Option<Netrc>, Vec<String>)> {
    let named = typed.or_else(|| {
        let variable = env::var_os("NETRC").filter(|path| !path.is_empty());
        variable.map(PathBuf::from)
    });
    let is_named = named.is_some();
    let Some(path) = named.or_else(|| Some(env::home_dir()?.join(".netrc"))) else {
        return Ok((None, Vec::new()));
    };
    if !is_named && !is_reachable(&path) {
        return Ok((None, Vec::new()));
    }
    let shown = path.display();
    let file = read(&path, LARGEST_NETRC);
    let file = file.map_err(|error| anyhow!("--netrc: {shown}: {error}"))?;
    let netrc = Netrc::parse(&file);
    let netrc = netrc.map_err(|error| anyhow!("--netrc: {shown}:{}: {error}", error.line))?;
    let warnings = reported("--netrc", &path, netrc.unknown_words());
    Ok((Some(netrc), warnings))
}

/// Reads a cookie file. Returns its cookies, and a warning for each invalid line.
///
/// # Errors
/// The file cannot be read.
pub(super) fn cookies(path: &Path) -> Result<(Vec<Cookie>, Vec<String>)> {
    let file = read(path, LARGEST_COOKIES);
    let file = file.map_err(|error| anyhow!("--cookies: {}: {error}", path.display()))?;
    let (cookies, bad) = read_cookies(&file);
    let bad: Vec<_> = bad.iter().map(|bad| (bad.line, bad)).collect();
    Ok((cookies, reported("--cookies", path, &bad)))
}

/// The warnings for invalid lines of a file: their numbers, and what is wrong with them.
fn reported(flag: &str, path: &Path, bad: &[(usize, impl Display)]) -> Vec<String> {
    let shown = path.display();
    let mut warnings: Vec<_> = bad
        .iter()
        .take(REPORTED)
        .map(|(line, why)| format!("{flag}: {shown}:{line}: {why}"))
        .collect();
    if bad.len() > REPORTED {
        let more = bad.len() - REPORTED;
        warnings.push(format!("{flag}: {shown}: {more} more invalid lines"));
    }
    warnings
}

fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        let larger = format!("larger than {} MiB", largest >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, larger));
    }
    Ok(bytes)
}
