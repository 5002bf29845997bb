//! One connection's byte stream, plain or TLS, and its ends: closed, closed without close_notify, reset.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Self {
        // A server that was forgotten ends by itself.
        tcp.set_read_timeout(Some(Duration::from_secs(60)))
            .expect("read timeout");
        tcp.set_write_timeout(Some(Duration::from_secs(60)))
            .expect("write timeout");
        tcp.set_nodelay(true).expect("nodelay");
        match tls {
            None => Self::Plain(tcp),
            Some(config) => {
                let tls = ServerConnection::new(Arc::clone(config)).expect("server connection");
                Self::Tls(Box::new(StreamOwned::new(tls, tcp)))
            }
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref(),
        }
    }

    /// A read that has nothing to read ends after so long, with an error that says so.
    pub(super) fn set_turn(&self, turn: Duration) {
        self.tcp()
            .set_read_timeout(Some(turn))
            .expect("read timeout");
    }

    /// Closes as well-behaved servers do.
    pub(super) fn close(mut self) {
        if let Self::Tls(tls) = &mut self {
            tls.conn.send_close_notify();
            // By hand: flushing would go on with a handshake that has failed, and wait for its other half.
            while tls.conn.wants_write() && tls.conn.write_tls(&mut tls.sock).is_ok() {}
        }
        self.close_without_notify();
    }

    /// Closes the TCP connection, and lets TLS know nothing.
    pub(super) fn close_without_notify(self) {
        let _ = self.tcp().shutdown(Shutdown::Both);
    }

    /// Writes to the TCP connection, whatever stands on it.
    pub(super) fn write_below(&self, bytes: &[u8]) {
        let mut tcp = self.tcp();
        let _ = tcp.write_all(bytes);
    }

    /// Arranges that the last close of this socket is a reset.
    pub(super) fn reset_on_close(&self) {
        socket2::SockRef::from(self.tcp())
            .set_linger(Some(Duration::ZERO))
            .expect("linger");
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
