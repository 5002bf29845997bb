//! Trust beyond `--cacert`: pinned keys, client certificates, versions, certificates that change; and what a refusal
//! says.

use rustls::version::{TLS12, TLS13};

use crate::harness::{Ca, Dir, Leaf, Output, V1, config_v1, noise};
use crate::server::{Script, Server};

/// Fetches `/a` with further flags, where `ca` is trusted.
fn fetch(ca: &Ca, server: &Server, flags: &[&str]) -> Output {
    let dir = Dir::new();
    let cacert = ca.write(&dir);
    dir.gannet()
        .flags("--retry-delay 1ms -t 1 --cacert")
        .arg(cacert)
        .args(flags)
        .arg(server.url("/a"))
        .run()
}

#[test]
fn a_refusal_says_why() {
    let ca = Ca::new();
    let stranger = Ca::new();
    for (leaf, words) in [
        (ca.issue_expired(), "it expired at 2002-01-01T00:00:00Z"),
        (ca.issue_too_early(), "not valid before 2999-01-01"),
        (
            ca.issue_for(&["other.example"]),
            "it is for other.example, not for 127.0.0.1",
        ),
        (stranger.issue(), "its signature is not its issuer's"),
        (stranger.intermediate().issue(), "its issuer is not trusted"),
        (Leaf::self_signed(), "its issuer is not trusted"),
    ] {
        let server = Server::start_tls(&leaf.config(), Script::hello);
        let out = fetch(&ca, &server, &[]);
        out.code(5)
            .complains("certificate not accepted")
            .complains(words);
        assert_eq!(out.failure().tries, 1, "{out}");
    }
}

#[test]
fn a_missing_intermediate_is_named_as_what_may_be_wrong() {
    let ca = Ca::new();
    let between = ca.intermediate();
    let mut leaf = between.issue();
    let server = Server::start_tls(&leaf.config(), Script::hello);
    let out = fetch(&ca, &server, &[]);
    out.code(5)
        .complains("or a certificate between the two is missing");
    leaf.certificate.push_str(between.pem());
    let server = Server::start_tls(&leaf.config(), Script::hello);
    fetch(&ca, &server, &[]).ok();
}

#[test]
fn addresses_in_certificates_count_for_addresses() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue_for(&["127.0.0.1"]).config(), Script::hello);
    fetch(&ca, &server, &[]).ok();
    let server = Server::start_tls(&ca.issue_for(&["127.0.0.2", "::1"]).config(), Script::hello);
    fetch(&ca, &server, &[]).code(5).complains("127.0.0.1");
}

#[test]
fn a_certificate_that_changes_is_checked_anew() {
    let ca = Ca::new();
    let config = ca.issue().config_then(&Leaf::self_signed());
    let server = Server::start_tls(&config, |s| {
        s.get("/a").body(b"hello").close_after();
        s.get("/b").body(b"hello");
    });
    let dir = Dir::new();
    let cacert = ca.write(&dir);
    let out = dir
        .gannet()
        .flags("-j 1 -t 3 --retry-delay 1ms --cacert")
        .arg(cacert)
        .args([server.url("/a"), server.url("/b")])
        .run();
    out.code(5).complains(&server.url("/b"));
    assert_eq!(server.paths(), ["/a"], "{out}");
    dir.assert_file("a", b"hello");
}

#[test]
fn a_folder_of_authorities_is_trusted() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), Script::hello);
    let dir = Dir::new();
    dir.make_dir("trusted");
    dir.make_dir("empty");
    dir.write("trusted/any.pem", ca.pem());
    let with = |folder: &str| {
        let gannet = dir.gannet().args(["--capath", folder, "-o", "x"]);
        gannet.arg(server.url("/a")).run()
    };
    with("trusted").ok();
    for folder in ["empty", "nowhere"] {
        with(folder).code(2).complains("--capath").complains(folder);
    }
}

#[test]
fn a_pinned_key_is_insisted_on_in_any_case() {
    let ca = Ca::new();
    let leaf = ca.issue();
    let server = Server::start_tls(&leaf.config(), Script::hello);
    let other = ca.issue().pin();
    let either = format!("{other};{}", leaf.pin());
    for pins in [&leaf.pin(), &either] {
        fetch(&ca, &server, &["--pinnedpubkey", pins]).ok();
        fetch(&Ca::new(), &server, &["-k", "--pinnedpubkey", pins]).ok();
    }
    let requests = server.requests().len();
    for flags in [
        &["--pinnedpubkey", &other][..],
        &["-k", "--pinnedpubkey", &other],
    ] {
        let out = fetch(&ca, &server, flags);
        out.code(5)
            .complains("its public key is not one of the pinned keys");
        assert_eq!(out.failure().tries, 1, "{out}");
    }
    assert_eq!(server.requests().len(), requests);
    // A right key does not make up for a wrong certificate.
    let stranger = Leaf::self_signed();
    let server = Server::start_tls(&stranger.config(), Script::hello);
    fetch(&ca, &server, &["--pinnedpubkey", &stranger.pin()]).code(5);
}

#[test]
fn a_pin_that_is_none_is_a_usage_error() {
    let out = Dir::new()
        .gannet()
        .args(["--pinnedpubkey", "sha256//short", "https://localhost/"])
        .run();
    out.code(2).complains("sha256//");
}

#[test]
fn a_client_shows_its_certificate_to_who_asks() {
    let (ca, clients) = (Ca::new(), Ca::new());
    let server = Server::start_tls(&ca.issue().config_asking(&clients), Script::hello);
    let dir = Dir::new();
    let client = clients.issue_for(&["client"]);
    let both = format!("{}{}", client.certificate, client.key);
    let path = |name: &str, text: &str| dir.write(name, text).display().to_string();
    let (cert, key) = (
        path("cert.pem", &client.certificate),
        path("key.pem", &client.key),
    );
    let both = path("both.pem", &both);
    fetch(&ca, &server, &["--cert", &cert, "--key", &key]).ok();
    fetch(&ca, &server, &["--cert", &both]).ok();
    let out = fetch(&ca, &server, &[]);
    // TLS 1.3 tells the client only after it took the handshake to be over.
    out.code(5).complains("the alert certificate_required");
    out.complains("--cert FILE and --key FILE");
    assert_eq!(out.failure().tries, 1, "{out}");
    fetch(&ca, &server, &["--key", &key]).code(2);
}

/// Fetches `/a` in a folder with `ca.pem`, with a passphrase in the variable PASS.
fn log_in(dir: &Dir, server: &Server, flags: &str, passphrase: &str) -> Output {
    let gannet = dir.gannet().env("PASS", passphrase).flags(flags);
    let gannet = gannet.flags("-t 0 -o a --exists overwrite --cacert ca.pem");
    gannet.arg(server.url("/a")).run()
}

#[test]
fn an_encrypted_key_is_used_with_its_passphrase() {
    let (ca, clients) = (Ca::new(), Ca::new());
    let server = Server::start_tls(&ca.issue().config_asking(&clients), Script::hello);
    let dir = Dir::new();
    ca.write(&dir);
    let client = clients.issue_for(&["client"]);
    let key = client.encrypted_key("pass phrase");
    dir.write("cert.pem", &client.certificate);
    dir.write("both.pem", format!("{}{key}", client.certificate));
    dir.write("key.pem", key);
    for flags in ["--cert cert.pem --key key.pem", "--cert both.pem"] {
        let with = format!("{flags} --key-pass-env PASS");
        log_in(&dir, &server, &with, "pass phrase")
            .ok()
            .never_says("pass phrase");
        let requests = server.requests().len();
        let file = flags.rsplit(' ').next().expect("a file");
        for (out, words) in [
            (
                log_in(&dir, &server, flags, "pass phrase"),
                "--key-pass-env VARIABLE",
            ),
            (
                log_in(&dir, &server, &with, "Pass phrase"),
                "the passphrase of its key is wrong",
            ),
            (
                log_in(&dir, &server, &with, ""),
                "the passphrase of its key is wrong",
            ),
        ] {
            out.code(2).complains(file).complains(words);
            out.never_says("ass phrase");
        }
        let unset = format!("{flags} --key-pass-env NONE");
        let out = log_in(&dir, &server, &unset, "");
        out.code(2).complains("the variable NONE is not set");
        assert_eq!(server.requests().len(), requests, "nothing was fetched");
    }
    log_in(&dir, &server, "--key-pass-env PASS", "pass phrase").code(2);
}

#[test]
fn a_client_certificate_may_be_of_x509_v1() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config_asking_for(V1), Script::hello);
    let dir = Dir::new();
    let cert = dir.write("v1.pem", V1).display().to_string();
    for version in ["1.2", "1.3"] {
        fetch(&ca, &server, &["--cert", &cert, "--tls-min", version]).ok();
    }
    let other = dir.write("key.pem", ca.issue().key).display().to_string();
    let out = fetch(&ca, &server, &["--cert", &cert, "--key", &other]);
    out.code(2)
        .complains(&other)
        .complains("not that of the client certificate");
}

#[test]
fn files_of_certificates_are_checked_before_anything_is_fetched() {
    let server = Server::start(Script::hello);
    let dir = Dir::new();
    let leaf = Ca::new().issue();
    let old = format!(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{}",
        leaf.key.replace(" PRIVATE", " RSA PRIVATE")
    );
    dir.make_dir("folder");
    for (name, bytes) in [
        ("cert", leaf.certificate.as_bytes()),
        ("key", leaf.key.as_bytes()),
        ("other", Ca::new().issue().key.as_bytes()),
        ("old", old.as_bytes()),
        ("empty", b""),
        ("text", b"no certificate"),
        ("der", b"\x30\x05\x02\x01\x00\x30\x00"),
        ("p12", b"\x30\x05\x02\x01\x03\x30\x00"),
    ] {
        dir.write(name, bytes);
    }
    for (flags, words) in [
        ("--cacert gone", "--cacert: gone: No such file or directory"),
        ("--cacert folder", "--cacert: folder: Is a directory"),
        ("--cacert empty", "--cacert: empty: it is empty"),
        ("--cacert text", "--cacert: text: no PEM certificate in it"),
        ("--cacert der", "openssl x509 -inform DER -in der"),
        ("--capath gone", "--capath: gone: No such file or directory"),
        ("--capath cert", "--capath: cert: Not a directory"),
        (
            "--cacert cert --capath gone",
            "--capath: gone: No such file",
        ),
        ("--cert gone", "--cert: gone: No such file or directory"),
        (
            "--cert cert",
            "--cert: cert: no PEM key in it: name the file of its key with --key",
        ),
        (
            "--cert cert --key gone",
            "--key: gone: No such file or directory",
        ),
        ("--cert cert --key cert", "no PEM key in it"),
        ("--cert key --key key", "no PEM certificate in it"),
        (
            "--cert cert --key other",
            "--key: other: its key is not that of the client certificate",
        ),
        ("--cert cert --key der", "openssl pkey -inform DER -in der"),
        ("--cert p12", "openssl pkcs12 -in p12"),
        ("--cert cert --key old", "openssl pkcs8 -topk8 -in old"),
        ("-k --cert gone", "--cert: gone"),
    ] {
        // The URL does not need them, but they were typed.
        let out = dir.fetch(flags, server.url("/a"));
        out.code(2).complains(words).never_says("os error");
        assert_eq!(out.stderr().lines().count(), 1, "{out}");
    }
    assert_eq!(server.requests().len(), 0);
    // Nothing is verified, so nothing is read.
    dir.fetch("-k --cacert gone --capath gone", server.url("/a"))
        .ok();
}

#[test]
fn variables_that_name_no_certificates_fail_only_what_needs_them() {
    let ca = Ca::new();
    let plain = Server::start(Script::hello);
    let server = Server::start_tls(&ca.issue().config(), Script::hello);
    let dir = Dir::new();
    dir.write("empty", "");
    for (variable, value, words) in [
        ("SSL_CERT_FILE", "gone", "gone: No such file or directory"),
        ("SSL_CERT_FILE", "empty", "no PEM certificate"),
        ("SSL_CERT_DIR", "gone", "gone: No such file or directory"),
    ] {
        let gannet = dir
            .gannet()
            .env(variable, value)
            .flags("--exists overwrite -i -");
        let list = format!("{}\n{}\n  out=b\n", plain.url("/a"), server.url("/a"));
        let out = gannet.input(list).run();
        assert!(dir.has("a"), "{out}");
        out.code(5).complains(variable).complains(words);
        out.complains("--cacert").never_says("os error");
        assert_eq!(out.failure().tries, 1, "{out}");
    }
}

#[test]
fn the_oldest_version_can_be_named() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config_tls12(), Script::hello);
    fetch(&ca, &server, &["--tls-min", "1.2"]).ok();
    let out = fetch(&ca, &server, &["--tls-min", "1.3"]);
    out.code(5).complains("protocol_version");
    assert_eq!(server.requests().len(), 1);
    fetch(&ca, &server, &["--tls-min", "1.1"]).code(2);
}

#[test]
fn an_insecure_run_takes_a_certificate_of_x509_v1() {
    for version in [&TLS12, &TLS13] {
        let server = Server::start_tls(&config_v1(version), |s| {
            s.get("/a").body(b"1");
        });
        let dir = Dir::new();
        dir.fetch("-k", server.url("/a")).ok();
        dir.assert_file("a", b"1");
        let wrong = "-k --pinnedpubkey sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let out = dir.fetch(wrong, server.url("/a"));
        out.code(5).complains("pinned keys");
        dir.fetch("", server.url("/a")).code(5).complains("-k");
    }
}

#[test]
fn servers_that_are_too_old_are_not_spoken_to() {
    // An alert, as a server of TLS 1.1 sends it; and its ServerHello, were it to try.
    let alert = b"\x15\x03\x02\x00\x02\x02\x46".to_vec();
    let mut hello = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02".to_vec();
    hello.extend([7; 32]);
    hello.extend(b"\x00\x00\x2f\x00");
    // What a server says that has other cipher suites alone.
    let suites = b"\x15\x03\x03\x00\x02\x02\x28".to_vec();
    for (bytes, words) in [
        (alert, "TLS 1.2 with ECDHE and AES-GCM"),
        (hello, "TLS"),
        (suites, "TLS 1.2 with ECDHE and AES-GCM"),
    ] {
        let server = Server::start(|s| s.greeting(&bytes));
        let dir = Dir::new();
        let url = server.url_as("https", "127.0.0.1", "/a");
        let out = dir.fetch("-t 0 -k", url);
        out.code(5).complains(words);
        dir.assert_names(&[]);
    }
}

#[test]
fn a_record_that_is_damaged_in_mid_body_is_fetched_again() {
    let ca = Ca::new();
    let body = noise(60_000);
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    for config in [ca.issue().config(), ca.issue().config_tls12()] {
        let server = Server::start_tls(&config, |s| {
            let route = s.get("/a").body(&body).damage_at(30_000, alert);
            route.then().body(&body).damage_at(0, b"not TLS at all");
            route.then().body(&body);
        });
        let dir = Dir::new();
        let cacert = ca.write(&dir);
        let gannet = dir.gannet().flags("--retry-delay 1ms -v --cacert");
        let out = gannet.arg(cacert).arg(server.url("/a")).run();
        out.ok().complains("TLS");
        dir.assert_file("a", &body);
        assert_eq!(server.requests().len(), 3, "{out}");
    }
}

#[test]
fn plaintext_and_tls_on_each_others_ports_are_told_as_what_they_are() {
    let server = Server::start(|s| s.greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let url = server.url_as("https", "127.0.0.1", "/a");
    let dir = Dir::new();
    let out = dir.fetch("-t 0 -k", url);
    out.code(5).complains("not TLS");
    let server = Server::start_tls(&Ca::new().issue().config(), Script::hello);
    let url = server.url_as("http", "127.0.0.1", "/a");
    let out = dir.fetch("-t 0", url);
    out.code(7).complains("TLS");
}
