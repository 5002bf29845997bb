//! A real Apache httpd with mod_http2 on a loopback port, over TLS, serving the folder `www` of the
//! test's folder: the second opinion on HTTP/2, beside nginx.
//!
//! It makes its own sockets, so a port that was free a moment ago is tried, and another one if that
//! has gone.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::held::Held;
use super::sandbox::skip_without;
use super::{Ca, Dir};

pub(crate) struct Apache {
    _held: Held,
    address: SocketAddr,
    /// The authority that vouches for it.
    pub(crate) cacert: PathBuf,
}

const HOLD: &str = r#"exec >/dev/null 2>&1
apache2 -f "$1" -DFOREGROUND &
read -r _
kill $!
wait $!"#;

const MODULES: &str = "/usr/lib/apache2/modules";

impl Apache {
    /// Starts one. Without an Apache that has mod_http2: None, loudly, except in CI.
    pub(crate) fn start(dir: &Dir) -> Option<Self> {
        let is_there = Path::new(MODULES).join("mod_http2.so").exists();
        if !is_there {
            skip_without("apache2-bin");
            return None;
        }
        let home = dir.make_dir("apache");
        let www = dir.make_dir("www");
        // It gives up the rights of root, and has to get there all the same.
        let open = fs::Permissions::from_mode(0o755);
        let above = home.parent().expect("the test's folder");
        fs::set_permissions(above, open.clone()).expect("permissions");
        fs::set_permissions(&www, open).expect("permissions");
        let ca = Ca::new();
        let leaf = ca.issue();
        dir.write("apache/server.pem", &leaf.certificate);
        dir.write("apache/server.key", &leaf.key);
        let cacert = ca.write(dir);
        for _ in 0..10 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
            let address = listener.local_addr().expect("local address");
            drop(listener);
            dir.write("apache/apache.conf", configuration(dir, address));
            let apache = Self {
                _held: Held::start(Held::shell(HOLD).arg(home.join("apache.conf"))),
                address,
                cacert: cacert.clone(),
            };
            if apache.answers(&home) {
                return Some(apache);
            }
        }
        let log = fs::read_to_string(home.join("error.log")).unwrap_or_default();
        panic!("apache2 does not answer: {log}");
    }

    pub(crate) fn https_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Whether it listens, and is this one: it writes its number down before it does.
    fn answers(&self, home: &Path) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if home.join("pid").exists() && TcpStream::connect(self.address).is_ok() {
                return true;
            }
            thread::yield_now();
        }
        false
    }
}

fn configuration(dir: &Dir, address: SocketAddr) -> String {
    let (home, www) = (dir.join("apache"), dir.join("www"));
    let (home, www) = (home.display(), www.display());
    let modules = ["mpm_event", "authz_core", "ssl", "http2"]
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .concat();
    format!(
        "ServerRoot {home}\nServerName localhost\nPidFile {home}/pid\nErrorLog {home}/error.log\n{modules}\
         User nobody\nGroup nogroup\nListen {address}\nDocumentRoot {www}\nMutex pthread\n\
         Protocols h2 http/1.1\nSSLEngine on\nSSLSessionCache none\n\
         SSLCertificateFile {home}/server.pem\nSSLCertificateKeyFile {home}/server.key\n\
         StartServers 1\nServerLimit 1\nThreadsPerChild 25\nMaxRequestWorkers 25\nMaxConnectionsPerChild 0\n"
    )
}
