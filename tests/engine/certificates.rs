//! When the engine calls the function that loads certificates, and what follows if it fails.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use gannet::error::Fault;
use gannet::multi::{Easy, Options, TlsOptions, TlsVersion, TransferId, TrustRoots};
use gannet::reactor::load_certificates;

use super::fake::Fake;
use super::peer::Peer;
use crate::harness::{Ca, Dir};

/// The longest time that a transfer waits for the first connection of its origin.
const PATIENCE: Duration = Duration::from_secs(2);

/// A fake that counts the calls of the function.
fn counting(options: Options) -> (Fake<Vec<u8>>, Rc<Cell<usize>>) {
    let mut fake = Fake::with(options);
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    fake.multi.set_certificate_function(move |options| {
        counted.set(counted.get() + 1);
        load_certificates(options)
    });
    (fake, calls)
}

fn tls(roots: TrustRoots) -> Options {
    Options {
        tls: TlsOptions {
            roots,
            ..TlsOptions::default()
        },
        ..Options::default()
    }
}

fn file(path: impl Into<std::path::PathBuf>) -> TrustRoots {
    TrustRoots::Given {
        file: Some(path.into()),
        folder: None,
    }
}

fn add(fake: &mut Fake<Vec<u8>>, url: &str) -> TransferId {
    let easy = Easy::new(url.parse().expect("a URL"), Vec::new());
    fake.add(easy).expect("a live multi")
}

/// The reason for which a transfer has no trusted certificates.
fn refusal(fake: &mut Fake<Vec<u8>>, id: TransferId) -> String {
    fake.until("an end", |fake| fake.read() > 0);
    let error = fake.result(id).expect_err("no certificates");
    match error.fault() {
        Fault::TrustRoots(reason) => reason.clone(),
        fault @ Fault::Pem { .. } => fault.to_string(),
        fault => panic!("{fault:?}"),
    }
}

#[test]
fn certificates_are_loaded_for_the_first_tls_connection_alone() {
    let (dir, ca) = (Dir::new(), Ca::new());
    let (mut fake, calls) = counting(tls(file(ca.write(&dir))));
    let peer = Peer::new();
    fake.add(peer.easy("/")).expect("a live multi");
    let _plain = peer.asked(&mut fake);
    assert_eq!(calls.get(), 0, "for a plain URL");

    let url = format!("https://{}/", peer.address());
    for _ in 0..2 {
        add(&mut fake, &url);
    }
    let _first = peer.accept(&mut fake);
    fake.elapse(PATIENCE);
    let _second = peer.accept(&mut fake);
    fake.settle();
    assert_eq!(calls.get(), 1, "for two connections");

    let mut options = fake.multi.options().clone();
    options.limits.idle += 1;
    fake.call(|multi, _| multi.set_options(options.clone()));
    options.tls.oldest = TlsVersion::V1_3;
    fake.call(|multi, _| multi.set_options(options));
    let other = Peer::new();
    add(&mut fake, &format!("https://{}/", other.address()));
    let _third = other.accept(&mut fake);
    fake.settle();
    assert_eq!(calls.get(), 2, "after one change of the TLS options");
}

#[test]
fn certificates_that_cannot_be_loaded_fail_the_transfer_and_are_tried_again() {
    let dir = Dir::new();
    let path = dir.path().join("none.pem");
    let (mut fake, calls) = counting(tls(file(&path)));
    let peer = Peer::new();
    let url = format!("https://{}/", peer.address());
    for call in 1..3 {
        let id = add(&mut fake, &url);
        let reason = refusal(&mut fake, id);
        assert!(reason.contains("none.pem"), "{reason}");
        assert_eq!(calls.get(), call);
    }
}

#[test]
fn without_a_function_only_insecure_connections_are_made() {
    let peer = Peer::new();
    let url = format!("https://{}/", peer.address());
    let mut fake = Fake::deaf();
    fake.listen();
    let id = add(&mut fake, &url);
    assert_eq!(refusal(&mut fake, id), "no function loads them");

    let mut options = tls(TrustRoots::Platform);
    options.tls.insecure = true;
    let (mut fake, calls) = counting(options);
    add(&mut fake, &url);
    let _connection = peer.accept(&mut fake);
    fake.settle();
    assert_eq!((fake.read(), calls.get()), (0, 0), "it shakes hands");
}
