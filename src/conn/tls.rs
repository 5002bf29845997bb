//! The TLS filter: rustls without its own buffers, over whatever lies below; and what is trusted.
//!
//! Ciphertext is received into a shared buffer 256 KiB at a time and decrypted from there; only a record's torn end
//! stays with the connection. Bytes for the wire queue in `outgoing`, so that the last flight of the handshake
//! and the first request leave in one segment.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::net::TcpStream;

use super::filter::{Filter, Interest, Opened, Received, Scratch};
use super::verifier::Verifier;
use crate::error::Fault;

/// More than this waiting to be sent and the filter takes no more, in bytes.
const OUTGOING_LIMIT: usize = 64 * 1024;

/// How TLS connections are made and whom they trust.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The certificate authorities that are trusted.
    pub roots: TrustRoots,
    /// Accept any certificate: the connection is private from nobody who can stand in the way.
    pub insecure: bool,
}

/// Where the trusted certificate authorities come from. They are read when the first https URL comes up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TrustRoots {
    /// The platform's, or what SSL_CERT_FILE and SSL_CERT_DIR name.
    #[default]
    Platform,
    /// The PEM certificates of this file, and no others.
    File(PathBuf),
}

/// The loaded configuration, one for all connections of an engine: they share its session tickets.
#[derive(Debug, Clone)]
pub(crate) struct Config(Arc<ClientConfig>);

impl Config {
    /// Loads the roots and builds the configuration.
    pub(crate) fn load(options: &TlsOptions) -> Result<Self, Fault> {
        let provider = Arc::new(provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault::Tls(error.into()))?;
        let verifier: Arc<dyn ServerCertVerifier> = if options.insecure {
            Arc::new(AcceptAny(provider))
        } else {
            Arc::new(load_roots(&options.roots, provider)?)
        };
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
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

fn load_roots(roots: &TrustRoots, provider: Arc<CryptoProvider>) -> Result<Verifier, Fault> {
    let (loaded, source) = match roots {
        TrustRoots::Platform => (
            rustls_native_certs::load_native_certs(),
            "the system's certificate store".to_owned(),
        ),
        TrustRoots::File(path) => (
            rustls_native_certs::load_certs_from_paths(Some(path), None),
            path.display().to_string(),
        ),
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

/// A TLS session over the filters below it.
pub(crate) struct Tls {
    below: Box<dyn Filter>,
    session: UnbufferedClientConnection,
    /// The torn end of what was received: less than one record.
    incoming: Vec<u8>,
    /// Records to be sent.
    outgoing: Vec<u8>,
    /// Plaintext that came when nobody was there to take it: along with the end of the handshake.
    early: Vec<u8>,
    has_started: bool,
    /// The handshake is over: application data may be sent.
    is_established: bool,
    /// The peer said close_notify.
    has_ended: bool,
    /// It has failed, and must not be run again.
    is_broken: bool,
}

/// What the application has the session write.
#[derive(Clone, Copy)]
enum App<'a> {
    Bytes(&'a [u8]),
    CloseNotify,
}

impl App<'_> {
    fn len(self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::CloseNotify => 0,
        }
    }
}

/// What one run over received ciphertext came to, in bytes.
struct Processed {
    consumed: usize,
    produced: usize,
}

impl Tls {
    /// A session with `host`, a name or an address, whose certificate it will check.
    pub(crate) fn new(config: &Config, host: &str, below: Box<dyn Filter>) -> Result<Self, Fault> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Fault::BadUrl(format!("'{host}' cannot stand in a certificate")))?;
        let session =
            UnbufferedClientConnection::new(Arc::clone(&config.0), name).map_err(fault)?;
        Ok(Self {
            below,
            session,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            early: Vec::new(),
            has_started: false,
            is_established: false,
            has_ended: false,
            is_broken: false,
        })
    }

    /// Runs the session over `wire`; plaintext goes to `out` and, where that has no room, to `early`;
    /// `app` is encrypted once the session takes it.
    fn process(
        &mut self,
        wire: &mut [u8],
        out: &mut [u8],
        mut app: Option<App<'_>>,
    ) -> Result<Processed, Fault> {
        let mut done = Processed {
            consumed: 0,
            produced: 0,
        };
        if self.is_broken {
            return Err(Fault::Tls("the session has failed".into()));
        }
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(&mut wire[done.consumed..]);
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    // It must not be run again, not even for the alert that would tell the peer why: what it has
                    // left unread would meet other bytes than it expects.
                    self.is_broken = true;
                    return Err(fault(error));
                }
            };
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(fault)?;
                        let (fits, rest) = record
                            .payload
                            .split_at(record.payload.len().min(out.len() - done.produced));
                        out[done.produced..done.produced + fits.len()].copy_from_slice(fits);
                        done.produced += fits.len();
                        self.early.extend_from_slice(rest);
                        discard += record.discard;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(&mut self.outgoing, 1024, |room| {
                        data.encode(room).map_err(|error| match error {
                            EncodeError::InsufficientSize(more) => Some(more.required_size),
                            EncodeError::AlreadyEncoded => None,
                        })
                    })?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.has_ended = true,
                ConnectionState::WriteTraffic(mut traffic) => {
                    self.is_established = true;
                    let Some(app) = app.take() else {
                        done.consumed += discard;
                        return Ok(done);
                    };
                    append(&mut self.outgoing, app.len() + 512, |room| {
                        let encrypted = match app {
                            App::Bytes(bytes) => traffic.encrypt(bytes, room),
                            App::CloseNotify => traffic.queue_close_notify(room),
                        };
                        encrypted.map_err(|error| match error {
                            EncryptError::InsufficientSize(more) => Some(more.required_size),
                            EncryptError::EncryptExhausted => None,
                        })
                    })?;
                }
                _ => {
                    done.consumed += discard;
                    return Ok(done);
                }
            }
            done.consumed += discard;
        }
    }

    /// Receives once from below and runs the session over what came; gives how much plaintext that made.
    fn recv_once(
        &mut self,
        out: &mut [u8],
        limit: usize,
        scratch: &mut Scratch,
    ) -> Result<Received, Fault> {
        let mut wire = scratch.take();
        let have = self.incoming.len();
        wire[..have].copy_from_slice(&self.incoming);
        let received = self.below.recv(&mut wire[have..], limit, scratch);
        let result = match received {
            Ok(Received::Bytes(n)) => self.process(&mut wire[..have + n], out, None).map(|done| {
                self.incoming.clear();
                self.incoming
                    .extend_from_slice(&wire[done.consumed..have + n]);
                Received::Bytes(done.produced)
            }),
            other => other,
        };
        scratch.give(wire);
        result
    }

    /// Runs the session without new bytes, to have it write: the ClientHello, an alert, a request.
    fn write(&mut self, app: Option<App<'_>>) -> Result<(), Fault> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let processed = self.process(&mut incoming, &mut [], app)?;
        incoming.drain(..processed.consumed);
        self.incoming = incoming;
        Ok(())
    }
}

/// Appends to `outgoing` what `write` puts into the room it is given; it says how much more it needs.
fn append(
    outgoing: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Fault> {
    let start = outgoing.len();
    outgoing.resize(start + room, 0);
    let mut result = write(&mut outgoing[start..]);
    if let Err(Some(needed)) = result {
        outgoing.resize(start + needed, 0);
        result = write(&mut outgoing[start..]);
    }
    outgoing.truncate(start + result.unwrap_or(0));
    result
        .map(drop)
        .map_err(|_| Fault::Tls("the session takes no more data".into()))
}

impl Filter for Tls {
    fn open(&mut self, scratch: &mut Scratch) -> Result<Opened, Fault> {
        if matches!(self.below.open(scratch)?, Opened::Wait) {
            return Ok(Opened::Wait);
        }
        if !self.has_started {
            self.has_started = true;
            self.write(None)?;
        }
        while !self.is_established {
            self.flush()?;
            match self.recv_once(&mut [], usize::MAX, scratch) {
                Ok(Received::Bytes(_)) => {}
                Ok(Received::WouldBlock) => return Ok(Opened::Wait),
                Ok(Received::End { .. }) => {
                    return Err(Fault::Tls(
                        "the server closed the connection during the handshake".into(),
                    ));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(Opened::Ready)
    }

    fn recv(
        &mut self,
        out: &mut [u8],
        limit: usize,
        scratch: &mut Scratch,
    ) -> Result<Received, Fault> {
        if !self.early.is_empty() {
            let n = self.early.len().min(out.len());
            out[..n].copy_from_slice(&self.early[..n]);
            self.early.drain(..n);
            return Ok(Received::Bytes(n));
        }
        loop {
            if self.has_ended {
                return Ok(Received::End { trusted: true });
            }
            match self.recv_once(out, limit, scratch)? {
                Received::Bytes(0) => {
                    self.flush()?;
                }
                Received::End { .. } => return Ok(Received::End { trusted: false }),
                received => return Ok(received),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        if self.outgoing.len() > OUTGOING_LIMIT {
            return Ok(0);
        }
        self.write(Some(App::Bytes(bytes)))?;
        self.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        while !self.outgoing.is_empty() {
            let sent = self.below.send(&self.outgoing)?;
            if sent == 0 {
                return Ok(false);
            }
            self.outgoing.drain(..sent);
        }
        self.below.flush()
    }

    fn wants(&self) -> Interest {
        if self.outgoing.is_empty() {
            self.below.wants()
        } else {
            Interest::InOut
        }
    }

    fn close(&mut self) {
        // Best effort: the connection is going either way.
        let _ = self
            .write(Some(App::CloseNotify))
            .and_then(|()| self.flush());
    }

    fn socket(&self) -> &TcpStream {
        self.below.socket()
    }

    fn plain(&self) -> Option<&TcpStream> {
        None
    }

    fn describe(&self) -> String {
        let version = self
            .session
            .protocol_version()
            .and_then(|v| v.as_str())
            .unwrap_or("TLS");
        let suite = self
            .session
            .negotiated_cipher_suite()
            .and_then(|s| s.suite().as_str())
            .unwrap_or("unknown cipher suite");
        format!("{version}, {suite}")
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("below", &self.below)
            .field("is_established", &self.is_established)
            .finish_non_exhaustive()
    }
}

/// A refused certificate is for ever; anything else may go better the next time.
fn fault(error: rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Fault::Certificate(error.into())
        }
        error => Fault::Tls(error.into()),
    }
}

/// The verifier of `--insecure`: any certificate will do, but its key must be the one that signs.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
