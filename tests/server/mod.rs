//! A scripted server on loopback: a thread a connection, a builder line a behaviour ([`Script`]),
//! everything seen recorded ([`Request`]).
//!
//! It stops when it is dropped, whatever its connections are doing.

mod exchange;
pub(crate) mod frames;
mod gate;
mod h2;
mod log;
mod port;
mod proxy;
mod script;
mod stream;
mod tests;
mod unix;

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;

use exchange::Ending;
pub(crate) use gate::Gate;
pub(crate) use h2::{H2Server, Talk};
use log::Log;
pub(crate) use log::Request;
pub(crate) use port::Port;
pub(crate) use proxy::{Client, ProxyServer};
use script::Answer;
pub(crate) use script::{BASIC, Route, Script};
use stream::Stream;
pub(crate) use unix::{FullQueue, UnixRelay};

/// A running server.
pub(crate) struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    script: Script,
    /// How often each route was asked for.
    asked: Vec<AtomicUsize>,
    tls: Option<Arc<ServerConfig>>,
    log: Log,
    is_stopping: AtomicBool,
    /// The open connections, to end them when the server stops.
    open: Mutex<HashMap<usize, TcpStream>>,
}

impl Server {
    /// Plain HTTP on 127.0.0.1.
    pub(crate) fn start(write: impl FnOnce(&mut Script)) -> Self {
        Self::start_on("127.0.0.1:0", None, write)
    }

    /// Plain HTTP on 127.0.0.1, and one file.
    pub(crate) fn serving(path: &str, body: impl AsRef<[u8]>) -> Self {
        Self::start(|s| {
            s.get(path).body(body);
        })
    }

    /// Plain HTTP on ::1.
    pub(crate) fn start_ipv6(write: impl FnOnce(&mut Script)) -> Self {
        Self::start_on("[::1]:0", None, write)
    }

    /// TLS on 127.0.0.1.
    pub(crate) fn start_tls(tls: &Arc<ServerConfig>, write: impl FnOnce(&mut Script)) -> Self {
        Self::start_on("127.0.0.1:0", Some(Arc::clone(tls)), write)
    }

    fn start_on(
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        write: impl FnOnce(&mut Script),
    ) -> Self {
        let mut script = Script::default();
        write(&mut script);
        let listener = TcpListener::bind(address).expect("a free loopback port");
        let address = listener.local_addr().expect("local address");
        let shared = Arc::new(Shared {
            asked: script.routes.iter().map(|_| AtomicUsize::new(0)).collect(),
            script,
            tls,
            log: Log::default(),
            is_stopping: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&shared, &listener)
        });
        Self {
            shared,
            address,
            acceptor: Some(acceptor),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a path, with the server's own address as its host.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}{path}", self.address)
    }

    /// The URL of a path under another scheme or host: `server.url_as("https", "localhost", "/a")`.
    pub(crate) fn url_as(&self, scheme: &str, host: &str, path: &str) -> String {
        format!("{scheme}://{host}:{}{path}", self.port())
    }

    /// The flags that resolve each of these names to this server.
    pub(crate) fn resolving(&self, names: &[&str]) -> Vec<String> {
        let rule = |name: &&str| format!("--resolve={name}:{}:127.0.0.1", self.port());
        names.iter().map(rule).collect()
    }

    /// Bytes of bodies that were sent so far.
    pub(crate) fn sent(&self) -> usize {
        self.shared.log.read(|seen| seen.sent)
    }

    /// All requests so far, in the order in which their heads were complete.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.log.read(|seen| seen.requests.clone())
    }

    /// The paths of all requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.requests()
            .iter()
            .map(|request| request.path().to_owned())
            .collect()
    }

    /// The only request of this path.
    pub(crate) fn request(&self, path: &str) -> Request {
        let mut requests = self.requests();
        requests.retain(|request| request.path() == path);
        assert_eq!(requests.len(), 1, "one request of {path}: {requests:?}");
        requests.remove(0)
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.log.read(|seen| seen.connections)
    }

    /// The most requests that were under way at once. A request ends just before the last byte of its answer goes out.
    pub(crate) fn in_flight_max(&self) -> usize {
        self.shared.log.read(|seen| seen.in_flight_max)
    }

    /// Waits until `count` requests have come.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        self.shared.log.wait(&format!("{count} requests"), |seen| {
            seen.requests.len() >= count
        });
    }

    /// Waits until `count` connections were accepted.
    pub(crate) fn wait_for_connections(&self, count: usize) {
        self.shared
            .log
            .wait(&format!("{count} connections"), |seen| {
                seen.connections >= count
            });
    }

    /// Waits until `count` requests are under way at once.
    pub(crate) fn wait_for_in_flight(&self, count: usize) {
        self.shared
            .log
            .wait(&format!("{count} requests at once"), |seen| {
                seen.in_flight >= count
            });
    }

    /// Waits until `count` answers have sent all that comes before their stall.
    pub(crate) fn wait_for_stalls(&self, count: usize) {
        self.shared
            .log
            .wait(&format!("{count} stalls"), |seen| seen.stalled >= count);
    }
}

impl Shared {
    /// Waits until one more connection may be served, or the server stops.
    fn wait_for_room(&self) {
        let Some(limit) = self.script.serves_at_once else {
            return;
        };
        while !self.is_stopping.load(Ordering::SeqCst)
            && self.open.lock().expect("open").len() >= limit
        {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        self.shared.script.gates().for_each(Gate::open);
        // Wakes the acceptor, which ends all connections.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut threads = Vec::new();
    for tcp in listener.incoming() {
        if shared.is_stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(tcp) = tcp else { continue };
        shared.wait_for_room();
        let number = shared.log.note(|seen| {
            seen.connections += 1;
            seen.connections
        });
        if shared.script.closes_on_accept {
            continue;
        }
        shared
            .open
            .lock()
            .expect("open")
            .insert(number, tcp.try_clone().expect("clone of a socket"));
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || serve(&shared, tcp, number)));
    }
    for tcp in shared.open.lock().expect("open").values() {
        let _ = tcp.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// One connection, from its first byte to its end.
fn serve(shared: &Shared, tcp: TcpStream, number: usize) {
    let mut stream = Stream::new(tcp, shared.tls.as_ref());
    let ending = converse(shared, &mut stream, number);
    // The registry's clone goes first, so that the close below is the last one.
    shared.open.lock().expect("open").remove(&number);
    match ending {
        Ending::Close | Ending::KeepAlive => stream.close(),
        Ending::CloseWithoutNotify => stream.close_without_notify(),
        Ending::Reset => stream.reset_on_close(),
        Ending::Damage(bytes) => {
            stream.write_below(&bytes);
            stream.close_without_notify();
        }
    }
}

fn converse(shared: &Shared, stream: &mut Stream, number: usize) -> Ending {
    if exchange::greet(stream, &shared.script.greeting).is_err() {
        return Ending::Close;
    }
    let mut unread = Vec::new();
    let mut answered = 0;
    while let Some(request) = exchange::read_request(stream, &mut unread, number) {
        let is_stale = shared
            .script
            .stale_after
            .is_some_and(|limit| answered >= limit);
        shared.log.note(|seen| {
            seen.requests.push(request.clone());
            seen.in_flight += 1;
            seen.in_flight_max = seen.in_flight_max.max(seen.in_flight);
        });
        if is_stale {
            shared.log.note(|seen| seen.in_flight -= 1);
            return Ending::Close;
        }
        match exchange::answer(stream, &request, &choose(shared, &request), &shared.log) {
            Ending::KeepAlive => answered += 1,
            ending => return ending,
        }
    }
    Ending::Close
}

/// The next answer of the route; 404 where the script has no route.
fn choose(shared: &Shared, request: &Request) -> Answer {
    let routes = &shared.script.routes;
    let Some(at) = routes.iter().position(|route| route.path == request.path()) else {
        let mut nowhere = Route {
            path: String::new(),
            answers: vec![Answer::default()],
        };
        nowhere.status(404).body(b"no such path in the script\n");
        return nowhere.answers.remove(0);
    };
    let turn = shared.asked[at].fetch_add(1, Ordering::SeqCst);
    let answers = &routes[at].answers;
    answers[turn.min(answers.len() - 1)].clone()
}
