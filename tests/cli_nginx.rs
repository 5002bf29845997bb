//! Many files from a real nginx, every byte compared: small and large, HTTP and TLS, connections that it ends.

use crate::harness::{Dir, Nginx, noise};

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
fn two_thousand_small_files_arrive_over_tls() {
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
