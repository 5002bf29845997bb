//! Ports without a server: dead, silent, full.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A loopback port that is held for as long as this lives.
pub(crate) struct Port {
    address: SocketAddr,
    _socket: Socket,
    _waiting: Vec<TcpStream>,
}

impl Port {
    fn bind() -> (Socket, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
        socket
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .expect("bind");
        let address = socket
            .local_addr()
            .expect("local address")
            .as_socket()
            .expect("IP address");
        (socket, address)
    }

    /// Refuses connections: bound, so that no one else takes it, and not listening.
    pub(crate) fn dead() -> Self {
        let (socket, address) = Self::bind();
        Self {
            address,
            _socket: socket,
            _waiting: Vec::new(),
        }
    }

    /// Takes connections and never says a word.
    pub(crate) fn silent() -> Self {
        let (socket, address) = Self::bind();
        socket.listen(64).expect("listen");
        Self {
            address,
            _socket: socket,
            _waiting: Vec::new(),
        }
    }

    /// Answers no SYN: its queue of connections is full, and no one takes any out.
    pub(crate) fn full() -> Self {
        let (socket, address) = Self::bind();
        socket.listen(0).expect("listen");
        let mut waiting = Vec::new();
        while let Ok(tcp) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            waiting.push(tcp);
            assert!(waiting.len() < 64, "a queue without end");
        }
        Self {
            address,
            _socket: socket,
            _waiting: waiting,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn https_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }
}
