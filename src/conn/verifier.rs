//! Whether a server's certificate is accepted: by a chain to a trusted authority, because it is trusted itself, or
//! always (`--insecure`). Pinned keys restrict each of these.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::hash::HashAlgorithm;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    SupportedCipherSuite, Tls13CipherSuite,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::x509;

/// The error of webpki for an authority's certificate that a server presents as its own. webpki reports it after it has
/// checked the validity period, and before it searches an issuer.
const IS_AUTHORITY: &str = "CaUsedAsEndEntity";

/// The error of webpki for a certificate that is not X.509 v3.
const IS_OLD_VERSION: &str = "UnsupportedCertVersion";

/// The verifier of every connection that is not insecure.
#[derive(Debug)]
pub(super) struct Verifier {
    chains: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Trusts chains to the authorities in `store`, and the certificates that went into it.
    pub(super) fn new(
        store: RootCertStore,
        trusted: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { chains, trusted })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self
            .chains
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)
        {
            // `openssl req -x509` marks every self-signed certificate as an authority's.
            Err(Error::InvalidCertificate(CertificateError::Other(why)))
                if why.0.to_string() == IS_AUTHORITY =>
            {
                if !self.trusted.contains(end_entity) {
                    return Err(CertificateError::UnknownIssuer.into());
                }
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// The verifier of `--insecure`: accepts any certificate, but its key must be the one that signs.
#[derive(Debug)]
pub(super) struct AcceptAny(Arc<CryptoProvider>);

impl AcceptAny {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self(provider)
    }
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
            .or_else(|error| verify_by_key(error, message, certificate, signature, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
            .or_else(|error| verify_by_key(error, message, certificate, signature, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the signature of a handshake by the key of an X.509 v1 certificate, which webpki does not parse.
///
/// # Errors
/// The error of webpki, if it is about something else; a bad signature.
fn verify_by_key(
    error: Error,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    match &error {
        Error::InvalidCertificate(CertificateError::Other(why))
            if why.0.to_string() == IS_OLD_VERSION => {}
        _ => return Err(error),
    }
    let key = x509::public_key(certificate).ok_or(CertificateError::BadEncoding)?;
    let mut mapping = algorithms.mapping.iter();
    let of_scheme = mapping.find(|(scheme, _)| *scheme == signature.scheme);
    let mut fitting = of_scheme
        .map_or(&[][..], |(_, algorithms)| algorithms)
        .iter();
    let is_valid = fitting.any(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == key.algorithm
            && algorithm
                .verify_signature(key.bits, message, signature.signature())
                .is_ok()
    });
    if is_valid {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

/// The error for a certificate with a key that is not pinned.
#[derive(Debug, thiserror::Error)]
#[error("its public key is not one of the pinned keys")]
struct Unpinned;

/// Another verifier, and the keys that servers may have in addition.
#[derive(Debug)]
pub(super) struct Pinned {
    inner: Arc<dyn ServerCertVerifier>,
    pins: Vec<[u8; 32]>,
    /// A cipher suite with the hash SHA-256, which computes the pins.
    suite: &'static Tls13CipherSuite,
}

impl Pinned {
    pub(super) fn new(
        inner: Arc<dyn ServerCertVerifier>,
        pins: Vec<[u8; 32]>,
        provider: &CryptoProvider,
    ) -> Result<Self, String> {
        let suites = provider.cipher_suites.iter();
        let suite = suites
            .filter_map(SupportedCipherSuite::tls13)
            .find(|suite| suite.common.hash_provider.algorithm() == HashAlgorithm::SHA256)
            .ok_or("no SHA-256 for pinned keys")?;
        Ok(Self { inner, pins, suite })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .inner
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)?;
        let key = x509::public_key(end_entity).ok_or(CertificateError::BadEncoding)?;
        let digest = self.suite.common.hash_provider.hash(key.info);
        if self.pins.iter().any(|pin| digest.as_ref() == pin) {
            Ok(verified)
        } else {
            Err(CertificateError::Other(OtherError(Arc::new(Unpinned))).into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
