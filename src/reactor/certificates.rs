//! The files of certificates: the application's half of TLS, which the engine calls for the first TLS connection.

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rustls_native_certs::{CertificateResult, ErrorKind as NativeKind, load_native_certs};
use rustls_pki_types::CertificateDer;

use crate::conn::pem;
use crate::error::{Fault, PemFault, reason};
use crate::multi::{Certificates, Identity, TlsOptions, TrustRoots};

/// The largest file of certificates or keys, in bytes. A larger file is something else.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The variables that name other files than the system's.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Reads the certificates that the options name from their files: the trusted authorities, unless every certificate is
/// accepted, and the client's certificate. For
/// [`Multi::set_certificate_function`](crate::multi::Multi::set_certificate_function); a reactor sets it itself.
///
/// # Errors
/// [`Fault::Pem`] if a file cannot be used, and [`Fault::TrustRoots`] if the system has no authority.
pub fn load_certificates(options: &TlsOptions) -> Result<Certificates, Fault> {
    let mut certificates = Certificates::default();
    if !options.insecure {
        match &options.roots {
            TrustRoots::Platform => load_platform(&mut certificates)?,
            TrustRoots::Given { file, folder } => {
                load_roots(file.as_deref(), folder.as_deref(), &mut certificates)?;
            }
        }
    }
    if let Some(identity) = &options.identity {
        load_identity(identity, &mut certificates)?;
    }
    Ok(certificates)
}

/// The system's authorities, or those of the variables.
fn load_platform(certificates: &mut Certificates) -> Result<(), Fault> {
    let CertificateResult { certs, errors, .. } = load_native_certs();
    if certificates.add_roots(certs) {
        return Ok(());
    }
    let why = errors.first().map(|error| match &error.kind {
        NativeKind::Io { inner, path } => format!("{}: {}", path.display(), reason(inner)),
        _ => error.to_string(),
    });
    let set = VARIABLES.iter().find_map(|&variable| {
        let value = env::var_os(variable)?;
        Some(format!("{variable}={}", PathBuf::from(value).display()))
    });
    let source = set.as_deref().unwrap_or("the system's certificate store");
    Err(Fault::TrustRoots(match why {
        Some(why) => format!("{source}: {why}"),
        None => format!("{source}: no PEM certificate in it"),
    }))
}

/// Authorities from a file, and from the files of a folder, at least one of both.
fn load_roots(
    file: Option<&Path>,
    folder: Option<&Path>,
    certificates: &mut Certificates,
) -> Result<(), Fault> {
    let mut is_usable = false;
    if let Some(path) = file {
        let roots = read(path).and_then(|bytes| pem::certificates(&bytes, true));
        let roots = roots.map_err(|fault| unusable(path, fault))?;
        is_usable = certificates.add_roots(roots);
    }
    if let Some(path) = folder {
        let roots =
            folder_of_roots(path).map_err(|error| unusable(path, PemFault::Unreadable(error)))?;
        is_usable |= certificates.add_roots(roots);
    }
    match folder.or(file) {
        Some(path) if !is_usable => {
            let fault = match folder {
                Some(_) => PemFault::NoCertificate,
                None => PemFault::Certificate,
            };
            Err(unusable(path, fault))
        }
        _ => Ok(()),
    }
}

/// The certificates in the files of a folder. Other files are passed over: a folder may have several names for a file,
/// a README, and links to nothing.
fn folder_of_roots(folder: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut roots = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file())
            && let Ok(bytes) = read(&path)
        {
            roots.extend(pem::certificates(&bytes, true).into_iter().flatten());
        }
    }
    roots.sort_unstable_by(|a: &CertificateDer<'_>, b| a.as_ref().cmp(b.as_ref()));
    roots.dedup();
    Ok(roots)
}

fn load_identity(identity: &Identity, certificates: &mut Certificates) -> Result<(), Fault> {
    let Identity {
        certificate,
        key,
        passphrase,
    } = identity;
    let passphrase = passphrase.as_deref();
    let file = read(certificate).map_err(|fault| unusable(certificate, fault))?;
    let chain = pem::certificates(&file, false).map_err(|fault| unusable(certificate, fault))?;
    // One file may be a pipe, which can be read only once.
    let own = if key == certificate {
        pem::key(&file, passphrase)
    } else {
        read(key).and_then(|file| pem::key(&file, passphrase))
    };
    let own = own.map_err(|fault| unusable(key, fault))?;
    certificates
        .set_identity(chain, own)
        .map_err(|fault| match fault {
            PemFault::Certificate => unusable(certificate, fault),
            fault => unusable(key, fault),
        })
}

fn read(path: &Path) -> Result<Vec<u8>, PemFault> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(PemFault::Unreadable)?;
    let length = file.take(LARGEST + 1).read_to_end(&mut bytes);
    let length = length.map_err(PemFault::Unreadable)?;
    if length as u64 > LARGEST {
        return Err(PemFault::Unreadable(ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

fn unusable(path: &Path, fault: PemFault) -> Fault {
    Fault::Pem {
        path: path.to_owned(),
        fault,
    }
}
