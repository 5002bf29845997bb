//! Certificates: an authority made for the test, and what it issues, sound and unsound.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pkcs5::EncryptionScheme;
use pkcs5::der::Encode;
use pkcs5::pbes2::Parameters;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData, date_time_ymd,
};
use rustls::client::danger::HandshakeSignatureValid;
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
#[cfg(not(feature = "aws-lc-rs"))]
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion,
};

use super::Dir;

/// An authority that no one trusts until told to.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A server's certificate and key.
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "gannet test authority");
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// An authority below this one, for which it vouches.
    pub(crate) fn intermediate(&self) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "gannet test intermediate");
        let key = KeyPair::generate().expect("key");
        let pem = params
            .signed_by(&key, &self.issuer)
            .expect("certificate")
            .pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// The authority's certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes the authority's certificate, for `--cacert`.
    pub(crate) fn write(&self, dir: &Dir) -> PathBuf {
        dir.write("ca.pem", &self.pem)
    }

    /// A certificate for this machine.
    pub(crate) fn issue(&self) -> Leaf {
        self.issue_for(&["localhost", "127.0.0.1"])
    }

    /// A certificate for these names and addresses.
    pub(crate) fn issue_for(&self, names: &[&str]) -> Leaf {
        self.sign(&Self::params(names))
    }

    /// A certificate that has expired.
    pub(crate) fn issue_expired(&self) -> Leaf {
        let mut params = Self::params(&["localhost", "127.0.0.1"]);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    /// A certificate that is not valid yet.
    pub(crate) fn issue_too_early(&self) -> Leaf {
        let mut params = Self::params(&["localhost", "127.0.0.1"]);
        params.not_before = date_time_ymd(2999, 1, 1);
        params.not_after = date_time_ymd(3000, 1, 1);
        self.sign(&params)
    }

    fn params(names: &[&str]) -> CertificateParams {
        CertificateParams::new(
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>(),
        )
        .expect("names")
    }

    fn sign(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().expect("key");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("certificate")
            .pem();
        Leaf {
            certificate,
            key: key.serialize_pem(),
        }
    }
}

impl Leaf {
    /// A certificate that vouches for itself.
    pub(crate) fn self_signed() -> Self {
        Self::signed_by_itself(&Ca::params(&["localhost", "127.0.0.1"]))
    }

    /// One as `openssl req -x509` makes it: for `names`, self-signed, and an authority's.
    pub(crate) fn authority_for(names: &[&str]) -> Self {
        let mut params = Ca::params(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::signed_by_itself(&params)
    }

    /// Writes the certificate where `--cacert` can name it.
    pub(crate) fn write(&self, dir: &Dir) -> PathBuf {
        dir.write("self.pem", &self.certificate)
    }

    fn signed_by_itself(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().expect("key");
        let certificate = params.self_signed(&key).expect("certificate").pem();
        Self {
            certificate,
            key: key.serialize_pem(),
        }
    }

    /// For a scripted server: TLS 1.2 and 1.3.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config_with(&[&TLS12, &TLS13])
    }

    /// For a scripted server that speaks nothing newer than TLS 1.2.
    pub(crate) fn config_tls12(&self) -> Arc<ServerConfig> {
        self.config_with(&[&TLS12])
    }

    /// For a scripted server that accepts only clients with a certificate of `ca`.
    pub(crate) fn config_asking(&self, ca: &Ca) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(ca.pem.as_bytes()).expect("certificate");
        roots.add(root).expect("an authority");
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS12, &TLS13])
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(self.chain(), self.private_key())
            .expect("a certificate and its key");
        Arc::new(config)
    }

    /// For a scripted server that accepts only clients with this certificate, whatever version of X.509 it has.
    pub(crate) fn config_asking_for(&self, certificate: &str) -> Arc<ServerConfig> {
        let wanted = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS12, &TLS13])
            .expect("versions")
            .with_client_cert_verifier(Arc::new(OneClient(wanted)))
            .with_single_cert(self.chain(), self.private_key())
            .expect("a certificate and its key");
        Arc::new(config)
    }

    /// One that shows this certificate on its first connection, and `next` on all that follow.
    pub(crate) fn config_then(&self, next: &Self) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let certified = |leaf: &Self| {
            let key = CertifiedKey::from_der(leaf.chain(), leaf.private_key(), &provider);
            Arc::new(key.expect("a certificate and its key"))
        };
        let resolver = Arc::new(Changing {
            shown: [certified(self), certified(next)],
            connections: AtomicUsize::new(0),
        });
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        // A resumed session would show no certificate at all.
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }

    /// What `--pinnedpubkey` calls its key.
    pub(crate) fn pin(&self) -> String {
        let key = KeyPair::from_pem(&self.key).expect("key");
        let suite = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
        let sha256 = suite.expect("of TLS 1.3").common.hash_provider;
        let digest = sha256.hash(&key.subject_public_key_info());
        format!("sha256//{}", STANDARD.encode(digest.as_ref()))
    }

    /// The key, encrypted by `passphrase` as `openssl pkcs8 -topk8` does it.
    pub(crate) fn encrypted_key(&self, passphrase: &str) -> String {
        let key = self.private_key();
        let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(64, &[7; 8], [9; 16]);
        let parameters = parameters.expect("parameters");
        let data = parameters.encrypt(passphrase, key.secret_der());
        let mut room = [0; 256];
        let scheme = EncryptionScheme::Pbes2(parameters);
        let scheme = scheme.encode_to_slice(&mut room).expect("DER");
        // An OCTET STRING behind the scheme, and a SEQUENCE of both.
        let data = element(0x04, &data.expect("data"));
        let info = element(0x30, &[scheme, &data].concat());
        format!(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n{}\n-----END ENCRYPTED PRIVATE KEY-----\n",
            STANDARD.encode(info)
        )
    }

    /// The certificate, and whatever was put behind it.
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .map(|certificate| certificate.expect("certificate"))
            .collect()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("key")
    }

    fn config_with(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(self.chain(), self.private_key())
            .expect("a certificate and its key");
        Arc::new(config)
    }
}

/// A scripted server's configuration with a self-signed certificate of X.509 v1, made by `openssl x509 -req`.
pub(crate) fn config_v1(version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
    let pem = V1.as_bytes();
    let provider = Arc::new(default_provider());
    let certificate = CertificateDer::from_pem_slice(pem).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pem).expect("a key");
    let key = provider.key_provider.load_private_key(key).expect("a key");
    let certified = CertifiedKey::new(vec![certificate], key);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    Arc::new(config)
}

/// An element of DER.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).expect("a short one");
    [&[tag, 0x82], &length.to_be_bytes()[..], contents].concat()
}

/// A certificate and a key of X.509 v1, as [`config_v1`] has them.
pub(crate) const V1: &str = include_str!("v1.pem");

/// Accepts clients with one certificate. It does not check that they have its key.
#[derive(Debug)]
struct OneClient(CertificateDer<'static>);

impl ClientCertVerifier for OneClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *end_entity == self.0 {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// One certificate for the first connection, another for the rest.
#[derive(Debug)]
struct Changing {
    shown: [Arc<CertifiedKey>; 2],
    connections: AtomicUsize,
}

impl ResolvesServerCert for Changing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        Some(Arc::clone(&self.shown[number.min(1)]))
    }
}
