//! A scripted HTTP/2 server on loopback, in the clear or over TLS: a thread a connection, and the
//! test says what each of them does, frame by frame.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustls::ServerConfig;

use super::frames::{self, Frame};
use super::stream::Stream;

/// A running server. What a connection's thread complains of fails the test when this goes.
pub(crate) struct H2Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    /// What TLS is opened with; none in the clear.
    tls: Option<Arc<ServerConfig>>,
    is_stopping: AtomicBool,
    connections: AtomicUsize,
    streams: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl H2Server {
    /// Starts one that does this with each connection, which knows its number, the first being 1.
    pub(crate) fn start(serve: impl Fn(&mut Talk) + Send + Sync + 'static) -> Self {
        Self::start_on(None, serve)
    }

    /// Starts one over TLS that says it speaks both HTTP/2 and HTTP/1.1 (RFC 7301).
    pub(crate) fn start_tls(
        tls: &ServerConfig,
        serve: impl Fn(&mut Talk) + Send + Sync + 'static,
    ) -> Self {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self::start_on(Some(Arc::new(tls)), serve)
    }

    fn start_on(
        tls: Option<Arc<ServerConfig>>,
        serve: impl Fn(&mut Talk) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("local address");
        let shared = Arc::new(Shared {
            tls,
            is_stopping: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
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

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}{path}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many requests were read.
    pub(crate) fn requests(&self) -> usize {
        self.shared.streams.load(Ordering::SeqCst)
    }
}

impl Drop for H2Server {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which ends all connections.
        let _ = TcpStream::connect(self.address);
        let result = self.acceptor.take().map(JoinHandle::join);
        if let Some(Err(complaint)) = result
            && !thread::panicking()
        {
            std::panic::resume_unwind(complaint);
        }
    }
}

fn accept<F: Fn(&mut Talk) + Send + Sync + 'static>(
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
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let open = tcp.try_clone().expect("clone of a socket");
        shared.open.lock().expect("open").push(open);
        let (shared, serve) = (Arc::clone(shared), Arc::clone(serve));
        threads.push(thread::spawn(move || {
            let mut talk = Talk {
                stream: Stream::new(tcp, shared.tls.as_ref()),
                number,
                unread: Vec::new(),
                shared,
            };
            serve(&mut talk);
            talk.stream.close();
        }));
    }
    for tcp in shared.open.lock().expect("open").iter() {
        let _ = tcp.shutdown(Shutdown::Both);
    }
    for thread in threads {
        if let Err(complaint) = thread.join() {
            std::panic::resume_unwind(complaint);
        }
    }
}

/// The server's end of one connection.
pub(crate) struct Talk {
    stream: Stream,
    pub(crate) number: usize,
    unread: Vec<u8>,
    shared: Arc<Shared>,
}

impl Talk {
    /// Reads the client's preface and says what these settings are.
    pub(crate) fn greet(&mut self, settings: &[(u16, u32)]) {
        while self.unread.len() < frames::PREFACE.len() {
            if !self.read() {
                return;
            }
        }
        let preface: Vec<u8> = self.unread.drain(..frames::PREFACE.len()).collect();
        assert_eq!(preface, frames::PREFACE);
        self.say(frames::settings(settings));
    }

    /// Says these bytes. That the client may have gone is no error.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    fn read(&mut self) -> bool {
        let mut piece = [0; 16_384];
        match self.stream.read(&mut piece) {
            Ok(count @ 1..) => {
                self.unread.extend_from_slice(&piece[..count]);
                true
            }
            _ => false,
        }
    }

    /// Whether the client's first bytes are those of the HTTP/2 preface (RFC 9113 §3.4).
    pub(crate) fn is_http2(&mut self) -> bool {
        while self.unread.len() < 3 && self.read() {}
        frames::PREFACE.starts_with(&self.unread[..self.unread.len().min(3)])
    }

    /// Answers every further request of HTTP/1.1 with this body, until the client goes.
    pub(crate) fn answer_all_in_http1(&mut self, body: &str) {
        while self.unread.ends_with(b"\r\n\r\n") || self.read() {
            if self.unread.ends_with(b"\r\n\r\n") {
                self.unread.clear();
                let length = body.len();
                self.say(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
                ));
            }
        }
    }

    /// The next frame, whatever it is; none when the client has gone.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.unread) {
                if frame.kind == frames::HEADERS {
                    self.shared.streams.fetch_add(1, Ordering::SeqCst);
                }
                if frame.kind == frames::SETTINGS && frame.flags & frames::ACK == 0 {
                    self.say(frames::frame(frames::SETTINGS, frames::ACK, 0, &[]));
                }
                return Some(frame);
            }
            if !self.read() {
                return None;
            }
        }
    }

    /// The next frame of a kind; those before it are passed over.
    pub(crate) fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.frame()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The next frame of a kind, which must come.
    #[track_caller]
    pub(crate) fn expect(&mut self, kind: u8) -> Frame {
        let frame = self.next(kind);
        frame.unwrap_or_else(|| panic!("the client left without a frame of kind {kind}"))
    }

    /// The stream of the next request; none when the client has gone.
    pub(crate) fn request(&mut self) -> Option<u32> {
        self.next(frames::HEADERS).map(|frame| frame.stream)
    }

    /// The streams of the next requests.
    pub(crate) fn requests(&mut self, count: usize) -> Vec<u32> {
        (0..count).map_while(|_| self.request()).collect()
    }

    /// Answers every further request with this body, until the client goes.
    pub(crate) fn answer_all(&mut self, body: &[u8]) {
        while let Some(stream) = self.request() {
            self.say(frames::answer(stream, body));
        }
    }

    /// Waits for the client to go, and reads what it says before.
    pub(crate) fn linger(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.frame()).collect()
    }
}
