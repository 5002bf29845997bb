//! Real proxies on random loopback ports: tinyproxy speaks HTTP, microsocks speaks SOCKS5.
//!
//! They make their own sockets, so a port that was free a moment ago is tried, and another one if
//! that has gone.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Dir;
use super::held::Held;
use super::sandbox::{skip_without, succeeds};

const HOLD: &str = r#"log=$1; shift
exec >"$log" 2>&1
"$@" &
read -r _
kill $!
wait $!"#;

/// A proxy, and what it writes.
struct Proxy {
    _held: Held,
    address: SocketAddr,
    log: PathBuf,
}

impl Proxy {
    /// Starts a program on a free port. Without the program: None, loudly, except in CI.
    fn start(
        name: &str,
        log: &Path,
        arguments: impl Fn(SocketAddr) -> Vec<String>,
        greeting: &[u8],
    ) -> Option<Self> {
        if !succeeds(Command::new("sh").args(["-c", "command -v \"$0\"", name])) {
            skip_without(name);
            return None;
        }
        for _ in 0..10 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
            let address = listener.local_addr().expect("local address");
            drop(listener);
            let mut shell = Held::shell(HOLD);
            shell.arg(log).arg(name).args(arguments(address));
            let proxy = Self {
                _held: Held::start(&mut shell),
                address,
                log: log.to_owned(),
            };
            if proxy.answers(greeting) {
                return Some(proxy);
            }
        }
        panic!("{name} does not answer: {}", log.display());
    }

    /// Whether it says anything to a greeting.
    fn answers(&self, greeting: &[u8]) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            let Ok(mut tcp) = TcpStream::connect(self.address) else {
                std::thread::yield_now();
                continue;
            };
            let limit = Some(Duration::from_secs(5));
            tcp.set_read_timeout(limit).expect("read timeout");
            let mut byte = [0];
            return tcp.write_all(greeting).is_ok() && tcp.read_exact(&mut byte).is_ok();
        }
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// An HTTP proxy.
pub(crate) struct Tinyproxy(Proxy);

impl Tinyproxy {
    /// Starts one with more lines of configuration. Without a tinyproxy: None, loudly, except in CI.
    pub(crate) fn start(dir: &Dir, directives: &str) -> Option<Self> {
        let home = dir.make_dir("tinyproxy");
        let configuration = |address: SocketAddr| {
            let path = home.join("tinyproxy.conf");
            let text = format!(
                "Port {}\nListen 127.0.0.1\nTimeout 60\nMaxClients 200\nLogLevel Connect\n{directives}\n",
                address.port()
            );
            fs::write(&path, text).expect("its configuration");
            ["-d", "-c"]
                .map(str::to_owned)
                .into_iter()
                .chain([path.display().to_string()])
                .collect()
        };
        let log = home.join("log");
        Proxy::start("tinyproxy", &log, configuration, b"nonsense\r\n\r\n").map(Self)
    }

    /// Its URL, with a login where that is not empty.
    pub(crate) fn url(&self, login: &str) -> String {
        url("http", login, self.0.address)
    }

    /// The requests that it wrote down.
    pub(crate) fn requests(&self, method: &str) -> usize {
        let log = self.0.log();
        let asked = format!("): {method} ");
        log.lines().filter(|line| line.contains(&asked)).count()
    }
}

/// A SOCKS5 proxy.
pub(crate) struct Microsocks(Proxy);

impl Microsocks {
    /// Starts one with more arguments. Without a microsocks: None, loudly, except in CI.
    pub(crate) fn start(dir: &Dir, more: &[&str]) -> Option<Self> {
        let log = dir.make_dir("microsocks").join("log");
        let arguments = |address: SocketAddr| {
            let port = address.port().to_string();
            let usual = ["-i", "127.0.0.1", "-p", &port];
            usual
                .into_iter()
                .chain(more.iter().copied())
                .map(str::to_owned)
                .collect()
        };
        Proxy::start("microsocks", &log, arguments, b"\x05\x02\x00\x02").map(Self)
    }

    /// Its URL under one of the schemes of SOCKS, with a login where that is not empty.
    pub(crate) fn url(&self, scheme: &str, login: &str) -> String {
        url(scheme, login, self.0.address)
    }

    /// How many connections it has made.
    pub(crate) fn connections(&self) -> usize {
        self.0.log().matches("connected to").count()
    }
}

fn url(scheme: &str, login: &str, address: SocketAddr) -> String {
    let at = if login.is_empty() { "" } else { "@" };
    format!("{scheme}://{login}{at}{address}")
}
