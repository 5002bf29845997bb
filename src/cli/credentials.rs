//! Credentials that stand in files: where those files are, and what is wrong with them. No message
//! repeats what they hold.

use std::env;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use gannet::http::Netrc;

/// The largest file that is read, in bytes: what is larger is something else.
const LARGEST: u64 = 1024 * 1024;

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
    let file = match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => return Ok(None),
        read => read.map_err(|error| anyhow!("--netrc: {shown}: {error}"))?,
    };
    let netrc = Netrc::parse(&file);
    let netrc = netrc.map_err(|error| anyhow!("--netrc: {shown}:{}: {error}", error.line))?;
    Ok(Some(netrc))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        let larger = "larger than 1 MiB";
        return Err(io::Error::new(ErrorKind::FileTooLarge, larger));
    }
    Ok(bytes)
}
