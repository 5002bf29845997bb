//! Credentials that stand in files: where those files are, and what is wrong with them. No message
//! repeats what they hold.

use std::env;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use gannet::http::{Cookie, Netrc, read_cookies};

/// The largest files that are read, in bytes: what is larger is something else.
const LARGEST_NETRC: u64 = 1024 * 1024;
const LARGEST_COOKIES: u64 = 16 * 1024 * 1024;

/// Bad lines of a file that are told one by one.
const TOLD: usize = 5;

/// Reads the netrc that is asked for: the one that is named, that of the environment, or the one in
/// the home folder, which need not be there.
///
/// # Errors
/// It cannot be read, or not be understood; the message names the file and the line.
pub(super) fn netrc(typed: Option<PathBuf>) -> Result<Option<Netrc>> {
    let variable = || env::var_os("NETRC").filter(|path| !path.is_empty());
    let named = typed.or_else(|| variable().map(PathBuf::from));
    let at_home = || env::home_dir().map(|home| home.join(".netrc"));
    let is_named = named.is_some();
    let Some(path) = named.or_else(at_home) else {
        return Ok(None);
    };
    let shown = path.display();
    let file = match read(&path, LARGEST_NETRC) {
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => return Ok(None),
        read => read.map_err(|error| anyhow!("--netrc: {shown}: {error}"))?,
    };
    let netrc = Netrc::parse(&file);
    let netrc = netrc.map_err(|error| anyhow!("--netrc: {shown}:{}: {error}", error.line))?;
    Ok(Some(netrc))
}

/// Reads a file of cookies; what is wrong with lines of it is a warning each.
///
/// # Errors
/// It cannot be read.
pub(super) fn cookies(path: &Path) -> Result<(Vec<Cookie>, Vec<String>)> {
    let shown = path.display();
    let file = read(path, LARGEST_COOKIES);
    let file = file.map_err(|error| anyhow!("--cookies: {shown}: {error}"))?;
    let (cookies, bad) = read_cookies(&file);
    let told = bad.iter().take(TOLD);
    let mut warnings: Vec<_> = told
        .map(|bad| format!("--cookies: {shown}:{}: {bad}", bad.line))
        .collect();
    if bad.len() > TOLD {
        let more = bad.len() - TOLD;
        warnings.push(format!("--cookies: {shown}: {more} more such lines"));
    }
    Ok((cookies, warnings))
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
