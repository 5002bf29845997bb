//! The TLS filter: rustls without its own buffers.
//!
//! Ciphertext is received into a shared buffer, 256 KiB at a time, and decrypted there; only an incomplete record stays
//! with the connection. Bytes for the wire queue in `outgoing`, so that the last flight of the handshake and the first
//! request leave in one segment.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls_pki_types::ServerName;

use super::filter::{Filter, Interest, Opened, Received, Scratch};
use super::tls_fault::fault;
use super::trust::Config;
use crate::error::Fault;

/// The filter takes nothing more while more bytes than this wait to be sent.
const OUTGOING_LIMIT: usize = 64 * 1024;

/// A TLS session over the filters below it.
pub(crate) struct Tls {
    below: Box<dyn Filter>,
    session: UnbufferedClientConnection,
    /// The incomplete record at the end of what was received.
    incoming: Vec<u8>,
    /// Records that wait to be sent.
    outgoing: Vec<u8>,
    /// Plaintext that came with the end of the handshake, when there was no buffer for it.
    early: Vec<u8>,
    handshake: Handshake,
    /// The peer sent close_notify.
    has_ended: bool,
    failure: Failure,
    /// The peer is a proxy.
    is_to_proxy: bool,
}

/// How far the handshake has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    NotStarted,
    Running,
    /// Application data may be sent.
    Over,
}

/// Whether the session has failed. A failed session must not be run again.
enum Failure {
    None,
    /// It failed behind plaintext that is delivered first.
    Unreported(Fault),
    Reported,
}

impl Failure {
    /// Takes the fault, if it is still to be reported.
    fn report(&mut self) -> Option<Fault> {
        match self {
            Self::Unreported(_) => match std::mem::replace(self, Self::Reported) {
                Self::Unreported(fault) => Some(fault),
                Self::None | Self::Reported => None,
            },
            Self::None | Self::Reported => None,
        }
    }
}

/// What the application sends.
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

/// The result of one run over received ciphertext, in bytes.
struct Processed {
    consumed: usize,
    produced: usize,
}

impl Tls {
    /// A session with `host`, a name or an address, which its certificate must name. Offers these protocols
    /// (RFC 7301).
    pub(crate) fn new(
        config: &Config,
        host: &str,
        protocols: &[&[u8]],
        below: Box<dyn Filter>,
    ) -> Result<Self, Fault> {
        Self::begin(config.shared(), host, protocols, below)
    }

    /// A session with a proxy, which offers HTTP/1.1.
    pub(crate) fn to_proxy(
        config: &Config,
        host: &str,
        below: Box<dyn Filter>,
    ) -> Result<Self, Fault> {
        let tls = Self::begin(config.shared_with_proxies(), host, &[b"http/1.1"], below)?;
        Ok(Self {
            is_to_proxy: true,
            ..tls
        })
    }

    fn begin(
        config: Arc<ClientConfig>,
        host: &str,
        protocols: &[&[u8]],
        below: Box<dyn Filter>,
    ) -> Result<Self, Fault> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Fault::BadUrl(format!("'{host}' cannot stand in a certificate")))?;
        let protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let session =
            UnbufferedClientConnection::new_with_alpn(config, name, protocols).map_err(fault)?;
        Ok(Self {
            below,
            session,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            early: Vec::new(),
            handshake: Handshake::NotStarted,
            has_ended: false,
            failure: Failure::None,
            is_to_proxy: false,
        })
    }

    /// Runs the session over `wire`. Plaintext goes to `out` and, if that has no room, to `early`; `app` is encrypted
    /// once the session takes it. If there is plaintext before a failure, the next run reports the failure.
    fn process(
        &mut self,
        wire: &mut [u8],
        out: &mut [u8],
        app: Option<App<'_>>,
    ) -> Result<Processed, Fault> {
        let mut done = Processed {
            consumed: 0,
            produced: 0,
        };
        if !matches!(self.failure, Failure::None) {
            let fault = self.failure.report();
            return Err(fault.unwrap_or_else(|| Fault::Tls("the session has failed".into())));
        }
        let Err(fault) = self.run(wire, out, app, &mut done) else {
            return Ok(done);
        };
        // It must not be run again, not even for the alert that would tell the peer why: the bytes that it left unread
        // would be followed by others than it expects.
        if done.produced == 0 && self.early.is_empty() {
            self.failure = Failure::Reported;
            return Err(fault);
        }
        self.failure = Failure::Unreported(fault);
        done.consumed = wire.len();
        Ok(done)
    }

    /// Runs the session as [`process`](Self::process) describes, without regard to an earlier failure.
    fn run(
        &mut self,
        wire: &mut [u8],
        out: &mut [u8],
        mut app: Option<App<'_>>,
        done: &mut Processed,
    ) -> Result<(), Fault> {
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(&mut wire[done.consumed..]);
            match state.map_err(fault)? {
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
                    self.handshake = Handshake::Over;
                    let Some(app) = app.take() else {
                        done.consumed += discard;
                        return Ok(());
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
                    return Ok(());
                }
            }
            done.consumed += discard;
        }
    }

    /// Receives once from below, and runs the session over what came. Returns the number of bytes of plaintext.
    fn recv_once(
        &mut self,
        out: &mut [u8],
        limit: usize,
        scratch: &mut Scratch,
    ) -> Result<Received, Fault> {
        if let Some(fault) = self.failure.report() {
            return Err(fault);
        }
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

    /// Continues the handshake.
    fn run_handshake(&mut self, scratch: &mut Scratch) -> Result<Opened, Fault> {
        if self.handshake == Handshake::NotStarted {
            self.handshake = Handshake::Running;
            self.write(None)?;
        }
        while self.handshake != Handshake::Over {
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

    /// Sends what waits to be sent while the application receives. A failure does not stop receiving: what has come is
    /// still read, and the next send reports the error.
    fn flush_or_forget(&mut self) {
        if self.flush().is_err() {
            self.outgoing.clear();
        }
    }

    /// Runs the session without new bytes, so that it writes: a ClientHello, an alert, a request.
    fn write(&mut self, app: Option<App<'_>>) -> Result<(), Fault> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let processed = self.process(&mut incoming, &mut [], app)?;
        incoming.drain(..processed.consumed);
        self.incoming = incoming;
        Ok(())
    }
}

/// Appends to `outgoing` what `write` puts into the room it is given. `write` fails with the room that it needs.
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
    fn below(&self) -> &dyn Filter {
        self.below.as_ref()
    }

    fn below_mut(&mut self) -> &mut dyn Filter {
        self.below.as_mut()
    }

    fn open(&mut self, scratch: &mut Scratch) -> Result<Opened, Fault> {
        if matches!(self.below.open(scratch)?, Opened::Wait) {
            return Ok(Opened::Wait);
        }
        let shaken = self.run_handshake(scratch);
        shaken.map_err(|fault| {
            if self.is_to_proxy {
                fault.of_proxy()
            } else {
                fault
            }
        })
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
                Received::Bytes(0) => self.flush_or_forget(),
                Received::WouldBlock => {
                    self.flush_or_forget();
                    return Ok(Received::WouldBlock);
                }
                Received::End { .. } => return Ok(Received::End { trusted: false }),
                received => return Ok(received),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        // The socket must refuse a write before it reports that it is writable again.
        if self.outgoing.len() > OUTGOING_LIMIT && !self.flush()? {
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
        self.below.close();
    }

    fn protocol(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
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
            .field("handshake", &self.handshake)
            .finish_non_exhaustive()
    }
}
