//! The lowest layer of every stack: a non-blocking TCP or Unix socket, or a [`Wire`] instead of one.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, TcpKeepalive, Type};

use super::filter::{Filter, Interest, Opened, Received, Scratch};
use super::proxy::Refusal;
use super::wire::Wire;
use crate::error::Fault;

/// Idle time before the kernel probes a silent peer, and between probes.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A connection to a peer, established or not yet. It closes with its last clone, so the socket function's owner may
/// outlive the stack.
#[derive(Debug, Clone)]
pub(crate) enum Socket {
    /// The kernel's TCP.
    Tcp(Rc<TcpStream>),
    /// A Unix stream socket.
    Unix(Rc<UnixStream>),
    /// What the application uses instead.
    Wire(Rc<dyn Wire>),
}

/// How far a connection attempt has come.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// Connected.
    Yes,
    /// Still under way.
    NotYet,
    /// It failed: refused, unreachable, or another error.
    Failed(io::Error),
}

impl Socket {
    /// Starts to connect to `address`, from an interface or one of this machine's addresses if one is given. The socket
    /// becomes writable when the attempt has ended.
    pub(crate) fn dial(address: SocketAddr, from: Option<&str>) -> io::Result<Self> {
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
        match from.map(str::parse::<IpAddr>) {
            None => {}
            Some(Ok(own)) => socket.bind(&SockAddr::from(SocketAddr::new(own, 0)))?,
            Some(Err(_)) => socket.bind_device(from.map(str::as_bytes))?,
        }
        match socket.connect(&SockAddr::from(address)) {
            Ok(()) => {}
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(Self::Tcp(Rc::new(socket.into())))
    }

    /// Connects to the Unix socket at `path`. It is connected at once, because the kernel queues the connection.
    ///
    /// # Errors
    /// `WouldBlock` if the queue of the server is full: the attempt has not begun.
    pub(crate) fn dial_unix(path: &Path) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(Self::Unix(Rc::new(socket.into())))
    }

    /// How far the attempt has come. Asks the kernel, not the poller.
    pub(crate) fn dialled(&self) -> Dialled {
        let is_connected = match self {
            Self::Tcp(stream) => is_connected(stream),
            Self::Unix(_) => Ok(true),
            Self::Wire(wire) => wire.is_connected(),
        };
        match is_connected {
            Ok(true) => Dialled::Yes,
            Ok(false) => Dialled::NotYet,
            Err(error) => Dialled::Failed(error),
        }
    }

    /// Its number for the socket function.
    pub(crate) fn number(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Wire(wire) => wire.number(),
        }
    }

    /// The kernel's socket, where it is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) | Self::Wire(_) => None,
        }
    }

    /// Whether a socket that was not watched is open and has received nothing: no byte, no end.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => {
                let peeked = SockRef::from(self).peek(&mut [MaybeUninit::uninit()]);
                matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
            }
            Self::Wire(wire) => wire.is_silent(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Wire(wire) => wire.as_fd(),
        }
    }
}

fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

impl Filter for Socket {
    fn below(&self) -> &dyn Filter {
        self
    }

    fn below_mut(&mut self) -> &mut dyn Filter {
        self
    }

    fn open(&mut self, _: &mut Scratch) -> Result<Opened, Fault> {
        Ok(Opened::Ready)
    }

    fn recv(&mut self, out: &mut [u8], limit: usize, _: &mut Scratch) -> Result<Received, Fault> {
        let room = limit.min(out.len());
        loop {
            let read = match self {
                Self::Tcp(stream) => (&**stream).read(&mut out[..room]),
                Self::Unix(stream) => (&**stream).read(&mut out[..room]),
                Self::Wire(wire) => wire.recv(&mut out[..room]),
            };
            return match read {
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
            let written = match self {
                Self::Tcp(stream) => (&**stream).write(bytes),
                Self::Unix(stream) => (&**stream).write(bytes),
                Self::Wire(wire) => wire.send(bytes),
            };
            return match written {
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

    fn socket(&self) -> &Socket {
        self
    }

    fn plain(&self) -> Option<&Socket> {
        Some(self)
    }

    fn refusal(&self) -> Option<&Refusal> {
        None
    }

    fn describe(&self) -> String {
        "plaintext".to_owned()
    }
}
