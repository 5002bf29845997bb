//! A Unix socket in front of a server: what comes over it goes to the server's port, and back.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use socket2::{Domain, SockAddr, Socket, Type};

/// A listening socket.
pub(crate) struct UnixRelay {
    path: PathBuf,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    is_stopping: AtomicBool,
    connections: AtomicUsize,
}

impl UnixRelay {
    /// Listens at `path`, which does not exist yet, for the server at `address`.
    pub(crate) fn start(path: &Path, address: SocketAddr) -> Self {
        let listener = UnixListener::bind(path).expect("a path for a socket");
        Self::accept(listener, path, address)
    }

    fn accept(listener: UnixListener, path: &Path, address: SocketAddr) -> Self {
        let state = Arc::new(State::default());
        let acceptor = thread::spawn({
            let state = Arc::clone(&state);
            move || {
                for client in listener.incoming() {
                    if state.is_stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    state.connections.fetch_add(1, Ordering::SeqCst);
                    relay(client.expect("a client"), address);
                }
            }
        });
        Self {
            path: path.to_owned(),
            state,
            acceptor: Some(acceptor),
        }
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for UnixRelay {
    fn drop(&mut self) {
        self.state.is_stopping.store(true, Ordering::SeqCst);
        // It wakes from its wait for a client.
        let _ = UnixStream::connect(&self.path);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Passes bytes on in both directions, until either side closes.
fn relay(client: UnixStream, address: SocketAddr) {
    let Ok(server) = TcpStream::connect(address) else {
        return;
    };
    let (mut from, mut to) = (
        client.try_clone().expect("a client"),
        server.try_clone().expect("a server"),
    );
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

/// A listening socket with a full queue of connections.
pub(crate) struct FullQueue {
    path: PathBuf,
    listener: UnixListener,
    waiting: Vec<Socket>,
}

impl FullQueue {
    /// Listens at `path`, which does not exist yet.
    pub(crate) fn start(path: &Path) -> Self {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        let address = SockAddr::unix(path).expect("a path");
        socket.bind(&address).expect("a path for a socket");
        socket.listen(0).expect("listen");
        let mut waiting = Vec::new();
        loop {
            let kind = Type::STREAM.nonblocking();
            let client = Socket::new(Domain::UNIX, kind, None).expect("a socket");
            match client.connect(&address) {
                Ok(()) => waiting.push(client),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        Self {
            path: path.to_owned(),
            listener: socket.into(),
            waiting,
        }
    }

    /// Takes the connections out of the queue, and the later ones to the server at `address`.
    pub(crate) fn serve(self, address: SocketAddr) -> UnixRelay {
        for _ in &self.waiting {
            let _ = self.listener.accept().expect("a connection");
        }
        UnixRelay::accept(self.listener, &self.path, address)
    }
}
