//! Reads the files of `--netrc`, `--cookies`, `--cacert`, `--capath`, `--cert` and `--key`, before anything is fetched.
//! Messages never quote their contents.

use std::env;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use gannet::error::{Fault, PemFault};
use gannet::http::{Cookie, Netrc, read_cookies};
use gannet::multi::{Certificates, TlsOptions, TrustRoots};
use gannet::reactor::load_certificates;

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

/// Loads the certificates and the key that flags name, `None` if none does. So one that is missing ends the run before
/// anything is fetched, and a pipe is read only once. The files of variables are read only if a URL needs them.
///
/// # Errors
/// A file cannot be used; the message names the flag, the file and what to do.
pub(super) fn certificates(options: &TlsOptions) -> Result<Option<Arc<Certificates>>> {
    if !options.names_files() {
        return Ok(None);
    }
    match load_certificates(options) {
        Ok(certificates) => Ok(Some(Arc::new(certificates))),
        // The run has other certificates to load, and fails only what needs them.
        Err(Fault::TrustRoots(_)) => Ok(None),
        Err(Fault::Pem { path, fault }) => {
            let flag = flag_of(&path, options);
            let shown = path.display();
            Err(match advice(&fault, flag, &path) {
                Some(advice) => anyhow!("{flag}: {shown}: {fault}: {advice}"),
                None => anyhow!("{flag}: {shown}: {fault}"),
            })
        }
        Err(fault) => Err(anyhow!(fault)),
    }
}

/// The flag that names a file.
fn flag_of(path: &Path, options: &TlsOptions) -> &'static str {
    match (&options.identity, &options.roots) {
        (
            _,
            TrustRoots::Given {
                file: Some(file), ..
            },
        ) if file == path => "--cacert",
        (
            _,
            TrustRoots::Given {
                folder: Some(folder),
                ..
            },
        ) if folder == path => "--capath",
        (Some(identity), _) if identity.certificate == path => "--cert",
        _ => "--key",
    }
}

/// What to do about a file that cannot be used.
fn advice(fault: &PemFault, flag: &str, path: &Path) -> Option<String> {
    let shown = path.display();
    Some(match fault {
        PemFault::NoKey if flag == "--cert" => "name the file of its key with --key".to_owned(),
        PemFault::Encrypted => "give its passphrase with --key-pass-env VARIABLE".to_owned(),
        PemFault::Passphrase => "see --key-pass-env".to_owned(),
        PemFault::Der if flag == "--key" => {
            format!("convert it with openssl pkey -inform DER -in {shown} -out {shown}.pem")
        }
        PemFault::Der => {
            format!("convert it with openssl x509 -inform DER -in {shown} -out {shown}.pem")
        }
        PemFault::Pkcs12 => format!("convert it with openssl pkcs12 -in {shown} -out {shown}.pem"),
        PemFault::OldEncryption | PemFault::Cipher => {
            format!("convert it with openssl pkcs8 -topk8 -in {shown} -out {shown}.p8")
        }
        _ => return None,
    })
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
