//! The bottom of every stack: a non-blocking TCP socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, TcpKeepalive, Type};

use super::filter::{Filter, Interest, Opened, Received, Scratch};
use crate::error::Fault;

/// Idle time before the kernel probes a silent peer, and between probes.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A TCP connection, connected or about to be. It closes with its last holder, so that whoever watches it can outlive the stack.
#[derive(Debug)]
pub(crate) struct Socket(Rc<TcpStream>);

/// How far a connection attempt has come.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// Connected.
    Yes,
    /// Still under way.
    NotYet,
    /// Refused, unreachable, or worse.
    Failed(io::Error),
}

impl Socket {
    /// Starts connecting to `address`. The socket is announced writable once that has come to an end.
    pub(crate) fn dial(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEPALIVE)
                .with_interval(KEEPALIVE),
        )?;
        match socket.connect(&SockAddr::from(address)) {
            Ok(()) => {}
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(Self(Rc::new(socket.into())))
    }

    /// How far the attempt has come, whatever the poller said.
    pub(crate) fn dialled(&self) -> Dialled {
        match self.0.take_error() {
            Ok(None) => match self.0.peer_addr() {
                Ok(_) => Dialled::Yes,
                Err(error) if error.kind() == ErrorKind::NotConnected => Dialled::NotYet,
                Err(error) => Dialled::Failed(error),
            },
            Ok(Some(error)) | Err(error) => Dialled::Failed(error),
        }
    }

    /// The socket itself.
    pub(crate) fn stream(&self) -> &Rc<TcpStream> {
        &self.0
    }

    /// Whether a socket that nobody watched is still silent and open: no byte and no end has come.
    pub(crate) fn is_silent(stream: &TcpStream) -> bool {
        matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Filter for Socket {
    fn open(&mut self, _: &mut Scratch) -> Result<Opened, Fault> {
        Ok(Opened::Ready)
    }

    fn recv(&mut self, out: &mut [u8], limit: usize, _: &mut Scratch) -> Result<Received, Fault> {
        let room = limit.min(out.len());
        loop {
            return match (&*self.0).read(&mut out[..room]) {
                Ok(0) => Ok(Received::End { trusted: true }),
                Ok(n) => Ok(Received::Bytes(n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Received::WouldBlock),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(Fault::ConnectionLost(error)),
            };
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        loop {
            return match (&*self.0).write(bytes) {
                Ok(n) => Ok(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(Fault::ConnectionLost(error)),
            };
        }
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        Ok(true)
    }

    fn wants(&self) -> Interest {
        Interest::In
    }

    fn close(&mut self) {}

    fn socket(&self) -> &TcpStream {
        &self.0
    }

    fn plain(&self) -> Option<&TcpStream> {
        Some(&self.0)
    }

    fn protocol(&self) -> Option<&[u8]> {
        None
    }

    fn describe(&self) -> String {
        "plaintext".to_owned()
    }
}
