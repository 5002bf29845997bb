//! The TLS options: trusted authorities, the client's certificate and versions; and the configuration made from them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::verifier::{AcceptAny, Pinned, Verifier};
use crate::error::Fault;

/// How TLS connections are made, and which certificates they accept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The certificate authorities that are trusted.
    pub roots: TrustRoots,
    /// Accept any certificate. An attacker between the two ends can then read and change everything.
    pub insecure: bool,
    /// SHA-256 digests of the public keys that servers may have (the SubjectPublicKeyInfo,
    /// RFC 7469 §2.4), insecure or not; none is any key.
    pub pins: Vec<[u8; 32]>,
    /// The certificate for servers that ask for one.
    pub identity: Option<Identity>,
    /// The oldest version that is accepted.
    pub oldest: TlsVersion,
}

impl TlsOptions {
    /// Whether files that the user named are read. They may be pipes, which block.
    pub(crate) fn reads_files(&self) -> bool {
        self.identity.is_some() || self.roots != TrustRoots::Platform
    }
}

/// Where the trusted certificate authorities come from. They are loaded for the first https URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustRoots {
    /// The platform's, or what SSL_CERT_FILE and SSL_CERT_DIR name.
    #[default]
    Platform,
    /// These, and no others.
    Given {
        /// A file of PEM certificates.
        file: Option<PathBuf>,
        /// A folder of such files.
        folder: Option<PathBuf>,
    },
}

/// A client's own certificate and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// PEM certificates: the client's, then the intermediate ones.
    pub certificate: PathBuf,
    /// Its PEM key, possibly in the same file.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    V1_2,
    /// RFC 8446.
    V1_3,
}

impl TlsVersion {
    /// This version and the later ones.
    fn and_later(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::V1_2 => vec![&TLS13, &TLS12],
            Self::V1_3 => vec![&TLS13],
        }
    }
}

/// The loaded configuration. All connections of an engine share it, and its session tickets.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    origins: Arc<ClientConfig>,
    /// For proxies: the trusted roots, without pinned keys and without the client's certificate.
    proxies: Arc<ClientConfig>,
}

impl Config {
    /// Loads the roots and builds the configuration.
    pub(crate) fn load(options: &TlsOptions) -> Result<Self, Fault> {
        let provider = Arc::new(provider());
        let trusted = verifier(options, Arc::clone(&provider))?;
        let pinned = pinned(options, Arc::clone(&trusted), &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&options.oldest.and_later())
            .map_err(|error| Fault::Tls(error.into()))?;
        let origins = builder
            .clone()
            .dangerous()
            .with_custom_certificate_verifier(pinned);
        let origins = match &options.identity {
            None => origins.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = load_identity(identity)?;
                origins
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| unusable(&identity.key, error))?
            }
        };
        let proxies = builder
            .dangerous()
            .with_custom_certificate_verifier(trusted);
        Ok(Self {
            origins: Arc::new(origins),
            proxies: Arc::new(proxies.with_no_client_auth()),
        })
    }

    /// The configuration of a connection to an origin.
    pub(super) fn shared(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.origins)
    }

    /// The configuration of a connection to a proxy.
    pub(super) fn shared_with_proxies(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.proxies)
    }
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// The verifier for the trusted authorities.
fn verifier(
    options: &TlsOptions,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Fault> {
    Ok(if options.insecure {
        Arc::new(AcceptAny::new(provider))
    } else {
        Arc::new(load_roots(&options.roots, provider)?)
    })
}

/// The verifier for origins: with pinned keys, it also compares the server's key with those.
fn pinned(
    options: &TlsOptions,
    trusted: Arc<dyn ServerCertVerifier>,
    provider: &CryptoProvider,
) -> Result<Arc<dyn ServerCertVerifier>, Fault> {
    if options.pins.is_empty() {
        return Ok(trusted);
    }
    let pinned = Pinned::new(trusted, options.pins.clone(), provider);
    Ok(Arc::new(pinned.map_err(Fault::TrustRoots)?))
}

fn load_roots(roots: &TrustRoots, provider: Arc<CryptoProvider>) -> Result<Verifier, Fault> {
    let (loaded, source) = match roots {
        TrustRoots::Platform => (
            rustls_native_certs::load_native_certs(),
            "the system's certificate store".to_owned(),
        ),
        TrustRoots::Given { file, folder } => {
            let (file, folder) = (file.as_deref(), folder.as_deref());
            let names = [file, folder].into_iter().flatten();
            let names: Vec<_> = names.map(|path| path.display().to_string()).collect();
            (
                rustls_native_certs::load_certs_from_paths(file, folder),
                names.join(" or "),
            )
        }
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(loaded.certs.iter().cloned());
    if store.is_empty() {
        let reason = loaded.errors.first().map_or_else(
            || format!("no certificate in {source}"),
            ToString::to_string,
        );
        return Err(Fault::TrustRoots(reason));
    }
    Verifier::new(store, loaded.certs, provider).map_err(Fault::TrustRoots)
}

type Chain = Vec<CertificateDer<'static>>;

fn load_identity(identity: &Identity) -> Result<(Chain, PrivateKeyDer<'static>), Fault> {
    let path = &identity.certificate;
    let chain: Result<Chain, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    let chain = chain.map_err(|error| unusable(path, pem(error)))?;
    if chain.is_empty() {
        return Err(unusable(path, "no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(|error| unusable(&identity.key, pem(error)))?;
    Ok((chain, key))
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
