//! Certificates: an authority made for the test, and what it issues, sound and unsound.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};

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

    /// A certificate whose time is over.
    pub(crate) fn issue_expired(&self) -> Leaf {
        let mut params = Self::params(&["localhost", "127.0.0.1"]);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    /// A certificate whose time is to come.
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

    fn config_with(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let certificate =
            CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("certificate");
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate and its key");
        Arc::new(config)
    }
}
