//! Many files from a real nginx, and from Apache httpd over HTTP/2, every byte compared: small and
//! large, HTTP and TLS, connections that it ends.

use crate::harness::{Apache, Dir, Nginx, noise};

/// A size of about 4 KiB, another for every file.
fn size(at: usize) -> usize {
    4096 + at % 7 * 100 + at
}

/// Writes files for nginx to serve, and their list.
fn publish(dir: &Dir, count: usize, url: impl Fn(&str) -> String) {
    let mut list = String::new();
    for at in 0..count {
        dir.write(&format!("www/{at}.bin"), noise(size(at)));
        list += &url(&format!("/{at}.bin"));
        list.push('\n');
    }
    dir.write("list", list);
}

fn assert_all(dir: &Dir, count: usize) {
    for at in 0..count {
        dir.assert_file(&format!("out/{at}.bin"), noise(size(at)));
    }
    assert_eq!(
        dir.names()
            .iter()
            .filter(|name| name.starts_with("out/"))
            .count(),
        count
    );
}

#[test]
fn two_thousand_small_files_arrive_over_http() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "keepalive_requests 100000;") else {
        return;
    };
    publish(&dir, 2000, |path| nginx.url(path));
    let out = dir.gannet().flags("-i list -d out -j 64 -t 0").run();
    out.ok();
    assert_eq!(out.completions().len(), 2000);
    assert_all(&dir, 2000);
}

#[test]
fn five_hundred_small_files_arrive_over_tls_with_http_1_1() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "keepalive_requests 100000;") else {
        return;
    };
    publish(&dir, 500, |path| nginx.https_url(path));
    let gannet = dir.gannet().flags("-i list -d out -j 64 -t 0 --http1.1");
    gannet.arg("--cacert").arg(&nginx.cacert).run().ok();
    assert_all(&dir, 500);
}

#[test]
fn two_thousand_small_files_arrive_over_tls_with_http_2() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "keepalive_requests 100000;") else {
        return;
    };
    publish(&dir, 2000, |path| nginx.https_url(path));
    let out = dir
        .gannet()
        .flags("-i list -d out -j 64 -t 0 --cacert")
        .arg(&nginx.cacert)
        .run();
    out.ok();
    assert_all(&dir, 2000);
}

#[test]
fn large_files_arrive_over_http_and_over_tls() {
    const SIZE: usize = 16 << 20;
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    let bodies: Vec<_> = (0..5).map(|at| noise(SIZE + at)).collect();
    for (at, body) in bodies.iter().enumerate() {
        dir.write(&format!("www/{at}"), body);
    }
    let plain = (0..5).map(|at| nginx.url(&format!("/{at}")));
    dir.gannet()
        .flags("-d plain -j 3 -t 0")
        .args(plain)
        .run()
        .ok();
    let tls = (0..5).map(|at| nginx.https_url(&format!("/{at}")));
    dir.gannet()
        .flags("-d tls -j 3 -t 0 --cacert")
        .arg(&nginx.cacert)
        .args(tls)
        .run()
        .ok();
    for (at, body) in bodies.iter().enumerate() {
        dir.assert_file(&format!("plain/{at}"), body);
        dir.assert_file(&format!("tls/{at}"), body);
    }
}

#[test]
fn connections_that_nginx_ends_after_seven_requests_are_replaced() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "keepalive_requests 7;") else {
        return;
    };
    publish(&dir, 200, |path| nginx.url(path));
    dir.gannet().flags("-i list -d out -j 8 -t 0").run().ok();
    assert_all(&dir, 200);
}

#[test]
fn connections_that_nginx_does_not_keep_are_replaced() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "keepalive_timeout 0;") else {
        return;
    };
    publish(&dir, 100, |path| nginx.https_url(path));
    dir.gannet()
        .flags("-i list -d out -j 8 -t 0 --cacert")
        .arg(&nginx.cacert)
        .run()
        .ok();
    assert_all(&dir, 100);
}

#[test]
fn nginx_answers_a_missing_file_as_others_do() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    dir.write("www/a", b"1");
    let out = dir
        .gannet()
        .flags("-d out")
        .args([nginx.url("/a"), nginx.url("/gone")])
        .run();
    out.code(8);
    dir.assert_file("out/a", b"1");
    assert!(!dir.has("out/gone"));
}

/// Writes five large files for a server, and their list.
fn publish_large(dir: &Dir, url: impl Fn(&str) -> String) {
    let mut list = String::new();
    for at in 0..5 {
        dir.write(&format!("www/large{at}"), noise(large(at)));
        list += &url(&format!("/large{at}"));
        list.push('\n');
    }
    dir.write("list", list);
}

fn large(at: usize) -> usize {
    (5 << 20) + at * 123_457
}

fn assert_large(dir: &Dir) {
    for at in 0..5 {
        dir.assert_file(&format!("out/large{at}"), noise(large(at)));
    }
}

#[test]
fn large_files_arrive_side_by_side_over_http_2_from_nginx() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    publish_large(&dir, |path| nginx.https_url(path));
    let gannet = dir.gannet().flags("-i list -d out -t 0 --http2 --cacert");
    gannet.arg(&nginx.cacert).run().ok();
    assert_large(&dir);
}

#[test]
fn a_rate_limit_holds_over_http_2() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    dir.write("www/a", noise(300_000));
    let gannet = dir.gannet().flags("-d out -t 0 --http2 --limit-rate 400K");
    let out = gannet
        .arg("--cacert")
        .arg(&nginx.cacert)
        .arg(nginx.https_url("/a"))
        .run();
    out.ok();
    dir.assert_file("out/a", noise(300_000));
    assert!(out.took().as_millis() > 500, "{:?}", out.took());
}

#[test]
fn small_and_large_files_arrive_over_http_2_from_apache() {
    let dir = Dir::new();
    let Some(apache) = Apache::start(&dir) else {
        return;
    };
    let fetch = || {
        let gannet = dir.gannet().flags("-i list -d out -j 64 -t 0 --http2");
        gannet.arg("--cacert").arg(&apache.cacert).run().ok();
    };
    publish_large(&dir, |path| apache.https_url(path));
    fetch();
    assert_large(&dir);
    publish(&dir, 500, |path| apache.https_url(path));
    fetch();
    for at in 0..500 {
        dir.assert_file(&format!("out/{at}.bin"), noise(size(at)));
    }
}
