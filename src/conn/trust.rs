//! The TLS options (trusted authorities, the client's certificate, versions), the certificates that an application has
//! loaded for them, and the configuration made from both.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::verifier::{AcceptAny, Pinned, Verifier};
use super::x509;
use crate::error::{Fault, PemFault};

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
    /// What `roots` and `identity` name, if the application has loaded it already.
    pub certificates: Option<Arc<Certificates>>,
}

impl TlsOptions {
    /// Whether files that the user named are still to be read. They may be pipes, which block.
    pub(crate) fn reads_files(&self) -> bool {
        self.certificates.is_none() && self.names_files()
    }

    /// Whether the user named files.
    pub fn names_files(&self) -> bool {
        self.identity.is_some() || (!self.insecure && self.roots != TrustRoots::Platform)
    }

    /// Whether a connection needs certificates from outside.
    fn needs_certificates(&self) -> bool {
        self.identity.is_some() || !self.insecure
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
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// PEM certificates: the client's, then the intermediate ones.
    pub certificate: PathBuf,
    /// Its PEM key, possibly in the same file.
    pub key: PathBuf,
    /// The passphrase of the key, if it is encrypted.
    pub passphrase: Option<Vec<u8>>,
}

/// Without the passphrase.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
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

/// The certificates that [`TlsOptions`] name, loaded by the application.
#[derive(Debug)]
pub struct Certificates {
    store: RootCertStore,
    /// What went into the store, since a server's certificate may be trusted itself.
    roots: Chain,
    identity: Option<Arc<CertifiedKey>>,
}

impl PartialEq for Certificates {
    fn eq(&self, other: &Self) -> bool {
        let identities = [self, other].map(|this| this.identity.as_ref().map(Arc::as_ptr));
        self.roots == other.roots && identities[0] == identities[1]
    }
}

impl Eq for Certificates {}

type Chain = Vec<CertificateDer<'static>>;

impl Default for Certificates {
    /// No certificates: no server is trusted, and the client has no certificate.
    fn default() -> Self {
        Self {
            store: RootCertStore::empty(),
            roots: Vec::new(),
            identity: None,
        }
    }
}

impl Certificates {
    /// Adds certificates that are trusted: of authorities, or of servers. Returns whether any certificate of an
    /// authority can be used.
    pub fn add_roots(&mut self, roots: Vec<CertificateDer<'static>>) -> bool {
        self.store.add_parsable_certificates(roots.iter().cloned());
        self.roots.extend(roots);
        !self.store.is_empty()
    }

    /// Sets the client's certificate, which may be X.509 v1, the intermediate ones behind it, and its key.
    ///
    /// # Errors
    /// [`PemFault::Certificate`], [`PemFault::Key`] and [`PemFault::OtherKey`].
    pub fn set_identity(
        &mut self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), PemFault> {
        let certificate = chain.first().and_then(|first| x509::public_key(first));
        let certified = certificate.ok_or(PemFault::Certificate)?.info;
        let key = provider().key_provider.load_private_key(key);
        let key = key.map_err(|_| PemFault::Key)?;
        if key
            .public_key()
            .is_some_and(|own| own.as_ref() != certified)
        {
            return Err(PemFault::OtherKey);
        }
        self.identity = Some(Arc::new(CertifiedKey::new(chain, key)));
        Ok(())
    }
}

/// A function that loads the certificates that the options name.
pub(crate) type CertificateFunction = Box<dyn FnMut(&TlsOptions) -> Result<Certificates, Fault>>;

/// The configuration. All connections of an engine share it, and its session tickets.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    origins: Arc<ClientConfig>,
    /// For proxies: the trusted roots, without pinned keys and without the client's certificate.
    proxies: Arc<ClientConfig>,
}

impl Config {
    /// Loads the certificates, if the options need any, and builds the configuration.
    pub(crate) fn load(
        options: &TlsOptions,
        function: Option<&mut CertificateFunction>,
    ) -> Result<Self, Fault> {
        let loaded;
        let certificates = match (&options.certificates, function) {
            (Some(certificates), _) => &**certificates,
            (None, Some(function)) if options.needs_certificates() => {
                loaded = function(options)?;
                &loaded
            }
            (None, None) if options.needs_certificates() => {
                return Err(Fault::TrustRoots("no function loads them".into()));
            }
            (None, _) => {
                loaded = Certificates::default();
                &loaded
            }
        };
        Self::new(options, certificates)
    }

    fn new(options: &TlsOptions, certificates: &Certificates) -> Result<Self, Fault> {
        let (store, roots) = (certificates.store.clone(), certificates.roots.clone());
        let provider = Arc::new(provider());
        let trusted = verifier(options, store, roots, Arc::clone(&provider))?;
        let pinned = pinned(options, Arc::clone(&trusted), &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&options.oldest.and_later())
            .map_err(|error| Fault::Tls(error.into()))?;
        let origins = builder
            .clone()
            .dangerous()
            .with_custom_certificate_verifier(pinned);
        let origins = match &certificates.identity {
            None => origins.with_no_client_auth(),
            Some(identity) => {
                let identity = SingleCertAndKey::from(Arc::clone(identity));
                origins.with_client_cert_resolver(Arc::new(identity))
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
    store: RootCertStore,
    roots: Chain,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Fault> {
    if options.insecure {
        return Ok(Arc::new(AcceptAny::new(provider)));
    }
    let verifier = Verifier::new(store, roots, provider);
    Ok(Arc::new(verifier.map_err(Fault::TrustRoots)?))
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
