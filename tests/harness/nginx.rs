//! A real nginx on two random loopback ports, HTTP and TLS, serving the folder `www` of the test's folder.
//!
//! The listening sockets are made here and handed down the way nginx hands them to its own
//! successor (NGINX="3;4;"), so no port is ever raced for and no start waited for.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::held::Held;
use super::sandbox::{skip_without, succeeds};
use super::{Ca, Dir};

pub(crate) struct Nginx {
    _held: Held,
    http: SocketAddr,
    tls: SocketAddr,
    /// The authority that vouches for it.
    pub(crate) cacert: PathBuf,
}

const HOLD: &str = r#"exec 3>&1 4>&2 >/dev/null 2>&1
NGINX="3;4;" nginx -p "$1" -c "$1/nginx.conf" &
exec 3>&- 4>&-
read -r _
kill $!
wait $!"#;

impl Nginx {
    /// Starts nginx with more directives for its servers. Without an nginx: None, loudly, except in CI.
    pub(crate) fn start(dir: &Dir, directives: &str) -> Option<Self> {
        if !succeeds(Command::new("nginx").arg("-v")) {
            skip_without("nginx");
            return None;
        }
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let (http, tls) = (listen(), listen());
        let addresses = [&http, &tls].map(|listener| listener.local_addr().expect("local address"));
        let home = dir.make_dir("nginx");
        dir.make_dir("www");
        let ca = Ca::new();
        let leaf = ca.issue();
        dir.write("nginx/server.pem", &leaf.certificate);
        dir.write("nginx/server.key", &leaf.key);
        dir.write(
            "nginx/nginx.conf",
            configuration(dir, addresses, directives),
        );
        let mut shell = Held::shell(HOLD);
        let sockets = shell.stdout(OwnedFd::from(http)).stderr(OwnedFd::from(tls));
        let nginx = Self {
            _held: Held::start(sockets.arg(&home)),
            http: addresses[0],
            tls: addresses[1],
            cacert: ca.write(dir),
        };
        let log = || fs::read_to_string(home.join("error.log")).unwrap_or_default();
        assert!(nginx.answers(), "nginx does not answer: {}", log());
        Some(nginx)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub(crate) fn https_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.tls)
    }

    fn answers(&self) -> bool {
        let Ok(mut tcp) = TcpStream::connect(self.http) else {
            return false;
        };
        tcp.set_read_timeout(Some(Duration::from_secs(10)))
            .expect("read timeout");
        let mut answer = Vec::new();
        let asked = tcp.write_all(b"GET / HTTP/1.0\r\n\r\n");
        asked.is_ok() && tcp.read_to_end(&mut answer).is_ok() && answer.starts_with(b"HTTP/1.")
    }
}

fn configuration(dir: &Dir, [http, tls]: [SocketAddr; 2], directives: &str) -> String {
    let (home, www) = (dir.join("nginx"), dir.join("www"));
    let (home, www) = (home.display(), www.display());
    format!(
        "user root; daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log warn;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; sendfile on; default_type application/octet-stream;
            client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
            ssl_certificate {home}/server.pem; ssl_certificate_key {home}/server.key; ssl_protocols TLSv1.2 TLSv1.3;
            {directives}
            server {{ listen {http}; listen {tls} ssl http2; root {www}; }}
        }}\n"
    )
}
