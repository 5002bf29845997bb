//! A long run by hand: 50,000 transfers of which one in twenty goes wrong once, over one process;
//! nothing may be left behind.
//!
//! `cargo test --release --test integration soak -- --ignored --nocapture`

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Dir, Running, noise};

/// Transfers in all, and after how many the process is looked at.
const ALL: usize = 50_000;
const BATCH: usize = 5_000;

/// What is kept of a process between two looks.
#[derive(Debug, Clone, Copy)]
struct Look {
    descriptors: usize,
    /// Kibibytes.
    resident: usize,
}

fn look(running: &Running) -> Look {
    let proc = format!("/proc/{}", running.id());
    let status = fs::read_to_string(format!("{proc}/status")).expect("a process");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.split_whitespace().next()?.parse().ok());
    Look {
        descriptors: fs::read_dir(format!("{proc}/fd"))
            .expect("a process")
            .count(),
        resident: resident.expect("a size"),
    }
}

/// The body of a number: from nothing to more than one receive takes.
fn body(bytes: &[u8], number: usize) -> &[u8] {
    let size = if number % 100 == 7 {
        300_000
    } else {
        number % 5_000
    };
    &bytes[number % 1_000..][..size]
}

/// Answers on one connection until it ends; every twentieth number goes wrong the first time, in one of five ways.
fn serve(mut tcp: TcpStream, seen: &Mutex<HashSet<usize>>, bytes: &[u8]) -> std::io::Result<()> {
    let mut unread = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let Some(end) = unread.windows(4).position(|four| four == b"\r\n\r\n") else {
            match tcp.read(&mut piece)? {
                0 => return Ok(()),
                count => unread.extend_from_slice(&piece[..count]),
            }
            continue;
        };
        let head: Vec<u8> = unread.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head);
        let number = head
            .split(['/', ' '])
            .nth(2)
            .and_then(|text| text.parse().ok());
        let number: usize = number.expect("a number");
        let body = body(bytes, number);
        let is_first = seen.lock().expect("seen").insert(number);
        let answer = [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(),
            body,
        ]
        .concat();
        match (number / 20) % 5 {
            _ if !is_first || !number.is_multiple_of(20) => tcp.write_all(&answer)?,
            0 => tcp.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")?,
            1 => return Ok(()),
            2 => return tcp.write_all(&answer[..answer.len() / 2]),
            3 => {
                tcp.write_all(&answer[..answer.len() / 3])?;
                return socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
            }
            _ => {
                tcp.write_all(b"HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")?
            }
        }
    }
}

fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let address = listener.local_addr().expect("local address");
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let bytes: Arc<[u8]> = Arc::from(noise(302_000));
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let (seen, bytes) = (Arc::clone(&seen), Arc::clone(&bytes));
            thread::spawn(move || serve(tcp, &seen, &bytes));
        }
    });
    address
}

#[test]
#[ignore = "50,000 transfers: by hand"]
fn fifty_thousand_transfers_leave_nothing_behind() {
    let address = start();
    let dir = Dir::in_memory();
    let gannet = dir.gannet().limit(Duration::from_secs(600));
    let mut running = gannet.flags("-i - -j 32 -d out --retry-delay 1ms").spawn();
    let started = Instant::now();
    let mut looks = Vec::new();
    for batch in 0..ALL / BATCH {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let list: String = numbers
            .map(|number| format!("http://{address}/{number}\n"))
            .collect();
        running.write(list.as_bytes());
        running.wait_for_completions((batch + 1) * BATCH);
        looks.push(look(&running));
        println!("{:>6} {:?}", (batch + 1) * BATCH, looks[batch]);
    }
    let elapsed = started.elapsed();
    let out = running.finish();
    out.ok();
    let retries = out
        .stderr()
        .lines()
        .filter(|line| line.starts_with("retry"))
        .count();
    println!("{ALL} transfers, {retries} of them again, in {elapsed:.1?}");
    // Idle connections come and go; what is kept of names levels off.
    let (first, last) = (looks[0], looks[looks.len() - 1]);
    assert!(last.descriptors <= first.descriptors + 40, "{looks:?}");
    assert!(last.resident <= first.resident + 8 * 1024, "{looks:?}");
    let bytes = noise(302_000);
    for number in 0..ALL {
        let path = dir.join(format!("out/{number}"));
        let found = fs::read(&path).expect("a file");
        assert!(found == body(&bytes, number), "{}", path.display());
    }
    let names = fs::read_dir(dir.join("out")).expect("a folder").count();
    assert_eq!(names, ALL, "something else was left");
}
