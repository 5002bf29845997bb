//! The other end, on the test's own thread: it does one thing at a time, when the test says so.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use gannet::multi::{Easy, Sink};
use socket2::{Domain, Socket, Type};
use url::Url;

use super::fake::Fake;

/// A listening socket.
pub(crate) struct Peer {
    listener: TcpListener,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port")
    }

    pub(crate) fn on(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        let url = format!("http://{}{path}", self.address());
        url.parse().expect("a URL")
    }

    pub(crate) fn easy(&self, path: &str) -> Easy<Vec<u8>> {
        Easy::new(self.url(path), Vec::new())
    }

    /// A connection that is waiting to be taken.
    pub(crate) fn try_accept(&self) -> Option<Talk> {
        let (tcp, _) = self.listener.accept().ok()?;
        tcp.set_nonblocking(true).expect("non-blocking");
        tcp.set_nodelay(true).expect("nodelay");
        Some(Talk {
            tcp,
            unread: Vec::new(),
        })
    }

    /// The next connection.
    #[track_caller]
    pub(crate) fn accept<S: Sink>(&self, fake: &mut Fake<S>) -> Talk {
        let mut talk = None;
        fake.until("a connection", |_| {
            talk = self.try_accept();
            talk.is_some()
        });
        talk.expect("a connection")
    }

    /// The next connection, and the request that comes over it.
    #[track_caller]
    pub(crate) fn asked<S: Sink>(&self, fake: &mut Fake<S>) -> Talk {
        let mut talk = self.accept(fake);
        talk.request(fake);
        talk
    }
}

/// A port that neither accepts nor refuses a connection: its queue is full.
pub(crate) struct Wall {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<Socket>,
}

impl Wall {
    pub(crate) fn on(address: SocketAddr) -> io::Result<Self> {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&address.into())?;
        listener.listen(0)?;
        let bound = listener.local_addr()?;
        let mut waiting = Vec::new();
        loop {
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
            let _ = socket.connect(&bound);
            let is_in = socket.peer_addr().is_ok();
            waiting.push(socket);
            if !is_in {
                break;
            }
        }
        Ok(Self {
            address: bound.as_socket().expect("an IP address"),
            _listener: listener,
            _waiting: waiting,
        })
    }
}

/// The peer's end of one connection.
pub(crate) struct Talk {
    pub(crate) tcp: TcpStream,
    unread: Vec<u8>,
}

impl Talk {
    /// A request's head, if one has come.
    pub(crate) fn try_request(&mut self) -> Option<String> {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = self.tcp.read(&mut piece) {
            self.unread.extend_from_slice(&piece[..count]);
        }
        let end = self
            .unread
            .windows(4)
            .position(|four| four == b"\r\n\r\n")?;
        let head = self.unread.drain(..end + 4).collect();
        Some(String::from_utf8(head).expect("a head is text"))
    }

    /// The next request's head.
    #[track_caller]
    pub(crate) fn request<S: Sink>(&mut self, fake: &mut Fake<S>) -> String {
        let mut head = None;
        fake.until("a request", |_| {
            head = self.try_request();
            head.is_some()
        });
        head.expect("a request")
    }

    /// Whether the engine has closed its end.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.tcp.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Sends a few bytes, which fit into the kernel's buffer. If the engine has closed its end, that is no error.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.tcp.write_all(bytes.as_ref());
    }

    /// Sends a complete response.
    pub(crate) fn answer(&mut self, body: &str) {
        self.say(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    }

    /// The head of a response with a body of this length.
    pub(crate) fn head(&mut self, length: usize) {
        self.say(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ));
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.tcp)
            .set_linger(Some(Duration::ZERO))
            .expect("linger");
    }
}
