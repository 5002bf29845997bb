//! The files of certificates: the application's half of TLS, which the engine calls for the first TLS connection.

use std::io;
use std::path::Path;

use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::Fault;
use crate::multi::{Certificates, Identity, TlsOptions, TrustRoots};

/// Reads the certificates that the options name from their files: the trusted authorities, unless every certificate is
/// accepted, and the client's certificate. For
/// [`Multi::set_certificate_function`](crate::multi::Multi::set_certificate_function); a reactor sets it itself.
///
/// # Errors
/// [`Fault::TrustRoots`] if no authority is found, and [`Fault::Identity`] if the client's certificate or its key
/// cannot be read.
pub fn load_certificates(options: &TlsOptions) -> Result<Certificates, Fault> {
    let mut certificates = Certificates::default();
    if !options.insecure {
        load_roots(&options.roots, &mut certificates)?;
    }
    if let Some(identity) = &options.identity {
        load_identity(identity, &mut certificates)?;
    }
    Ok(certificates)
}

fn load_roots(roots: &TrustRoots, certificates: &mut Certificates) -> Result<(), Fault> {
    let CertificateResult { certs, errors, .. } = match roots {
        TrustRoots::Platform => load_native_certs(),
        TrustRoots::Given { file, folder } => {
            load_certs_from_paths(file.as_deref(), folder.as_deref())
        }
    };
    if certificates.add_roots(certs) {
        return Ok(());
    }
    let reason = errors.first().map_or_else(
        || format!("no certificate in {}", source(roots)),
        ToString::to_string,
    );
    Err(Fault::TrustRoots(reason))
}

/// Where roots are read from, for messages.
fn source(roots: &TrustRoots) -> String {
    match roots {
        TrustRoots::Platform => "the system's certificate store".to_owned(),
        TrustRoots::Given { file, folder } => {
            let paths = [file, folder].into_iter().flatten();
            let names: Vec<_> = paths.map(|path| path.display().to_string()).collect();
            names.join(" or ")
        }
    }
}

fn load_identity(identity: &Identity, certificates: &mut Certificates) -> Result<(), Fault> {
    let path = &identity.certificate;
    let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|error| unusable(path, pem(error)))?;
    if chain.is_empty() {
        return Err(unusable(path, "no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(|error| unusable(&identity.key, pem(error)))?;
    certificates.set_identity(chain, key);
    Ok(())
}

fn unusable(path: &Path, why: impl ToString) -> Fault {
    Fault::Identity {
        path: path.to_owned(),
        reason: why.to_string(),
    }
}

/// What is wrong with a PEM file.
fn pem(error: rustls_pki_types::pem::Error) -> io::Error {
    use rustls_pki_types::pem::Error;
    match error {
        Error::Io(error) => error,
        Error::NoItemsFound => io::Error::other("no key in it"),
        error => io::Error::other(error.to_string()),
    }
}
