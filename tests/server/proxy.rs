//! A scripted proxy on loopback, in the clear or over TLS: a thread a connection, and the test says
//! what each of them does, byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;

use super::stream::Stream;

/// How long one side of a relay is listened to before the other has its turn.
const TURN: Duration = Duration::from_millis(1);

/// A running proxy.
pub(crate) struct ProxyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    tls: Option<Arc<ServerConfig>>,
    is_stopping: AtomicBool,
    /// What clients said before anything was relayed, a line a call of `read` or `read_head`.
    heard: Mutex<Vec<Vec<u8>>>,
    open: Mutex<Vec<TcpStream>>,
}

/// One connection of a client.
pub(crate) struct Client<'a> {
    stream: Stream,
    shared: &'a Shared,
}

impl ProxyServer {
    /// Starts one that does this with each connection.
    pub(crate) fn start(serve: impl Fn(&mut Client<'_>) + Send + Sync + 'static) -> Self {
        Self::start_on(None, serve)
    }

    /// A proxy that is spoken to over TLS.
    pub(crate) fn start_tls(
        tls: &Arc<ServerConfig>,
        serve: impl Fn(&mut Client<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self::start_on(Some(Arc::clone(tls)), serve)
    }

    fn start_on(
        tls: Option<Arc<ServerConfig>>,
        serve: impl Fn(&mut Client<'_>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("local address");
        let shared = Arc::new(Shared {
            tls,
            is_stopping: AtomicBool::new(false),
            heard: Mutex::default(),
            open: Mutex::default(),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&shared, &listener, &Arc::new(serve))
        });
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Its URL under a scheme of proxies, with a login where that is not empty.
    pub(crate) fn url(&self, scheme: &str, login: &str) -> String {
        let at = if login.is_empty() { "" } else { "@" };
        format!("{scheme}://{login}{at}{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that clients said before anything was relayed.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        self.shared.heard.lock().expect("heard").clone()
    }

    /// What each connection said, as text.
    pub(crate) fn heads(&self) -> Vec<String> {
        let heard = self.heard().into_iter();
        heard
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }
}

impl Drop for ProxyServer {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept<F: Fn(&mut Client<'_>) + Send + Sync + 'static>(
    shared: &Arc<Shared>,
    listener: &TcpListener,
    serve: &Arc<F>,
) {
    let mut threads = Vec::new();
    for tcp in listener.incoming() {
        if shared.is_stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(tcp) = tcp else { continue };
        let clone = tcp.try_clone().expect("clone of a socket");
        shared.open.lock().expect("open").push(clone);
        let (shared, serve) = (Arc::clone(shared), Arc::clone(serve));
        threads.push(thread::spawn(move || {
            let mut client = Client {
                stream: Stream::new(tcp, shared.tls.as_ref()),
                shared: &shared,
            };
            serve(&mut client);
            client.stream.close();
        }));
    }
    for tcp in &*shared.open.lock().expect("open") {
        let _ = tcp.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

impl Client<'_> {
    fn note(&self, bytes: &[u8]) {
        let mut heard = self.shared.heard.lock().expect("heard");
        heard.push(bytes.to_vec());
    }

    /// Reads `count` bytes; fewer when the client leaves.
    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.stream).take(count as u64);
        let _ = limited.read_to_end(&mut bytes);
        self.note(&bytes);
        bytes
    }

    /// Reads the head of a request.
    pub(crate) fn read_head(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") && matches!(self.stream.read(&mut byte), Ok(1)) {
            bytes.extend_from_slice(&byte);
        }
        self.note(&bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Says these bytes.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
        let _ = self.stream.flush();
    }

    /// Says these bytes one at a time, each in a separate segment.
    pub(crate) fn drip(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.write([*byte]);
        }
    }

    /// Says nothing more until the client leaves.
    pub(crate) fn stall(&mut self) {
        let mut ignored = [0; 512];
        while matches!(self.stream.read(&mut ignored), Ok(1..)) {}
    }

    /// Takes a request for a tunnel, and makes one to `origin`, whatever was asked for.
    pub(crate) fn tunnel(&mut self, origin: SocketAddr) {
        if self.read_head().is_empty() {
            return;
        }
        self.write("HTTP/1.1 200 Connection established\r\n\r\n");
        self.relay(origin);
    }

    /// Takes the greeting and the request of SOCKS5, and connects to `origin`, whatever was asked for.
    pub(crate) fn socks(&mut self, origin: SocketAddr) {
        if self.socks_request().is_empty() {
            return;
        }
        self.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        self.relay(origin);
    }

    /// Takes the greeting of SOCKS5, asks for no login, and gives the request.
    pub(crate) fn socks_request(&mut self) -> Vec<u8> {
        let methods = self.read(2).get(1).copied().unwrap_or(0);
        self.read(methods.into());
        self.write([5, 0]);
        self.socks_command()
    }

    /// Takes the request of SOCKS5.
    pub(crate) fn socks_command(&mut self) -> Vec<u8> {
        let mut request = self.read(5);
        let rest = match request.get(3) {
            Some(1) => 3 + 2,
            Some(4) => 15 + 2,
            Some(3) => usize::from(request[4]) + 2,
            _ => 0,
        };
        request.extend(self.read(rest));
        request
    }

    /// Passes on bytes both ways until one side ends.
    pub(crate) fn relay(&mut self, origin: SocketAddr) {
        let Ok(mut upstream) = TcpStream::connect(origin) else {
            return;
        };
        self.stream.set_turn(TURN);
        upstream.set_read_timeout(Some(TURN)).expect("read timeout");
        let _ = upstream.set_nodelay(true);
        let mut buffer = vec![0; 64 * 1024];
        while !self.shared.is_stopping.load(Ordering::SeqCst) {
            let is_open = pass(&mut self.stream, &mut upstream, &mut buffer)
                && pass(&mut upstream, &mut self.stream, &mut buffer);
            if !is_open {
                break;
            }
        }
    }
}

/// Passes on what one side says now; false when it has ended.
fn pass(from: &mut impl Read, to: &mut impl Write, buffer: &mut [u8]) -> bool {
    match from.read(buffer) {
        Ok(0) => false,
        Ok(count) => to
            .write_all(&buffer[..count])
            .and_then(|()| to.flush())
            .is_ok(),
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}
