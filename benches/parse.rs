//! What parsing costs: heads and chunks of HTTP/1.1, and lists of URLs.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gannet::http::Method;
use gannet::internals::http1::{Event, Exchange};
use gannet::list::Rows;

/// What nginx answers for a small file.
const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 17:50:51 GMT\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: 4096\r\n\
    Last-Modified: Sun, 22 Nov 2026 17:50:50 GMT\r\nConnection: keep-alive\r\nETag: \"6741c3ba-1000\"\r\n\
    Accept-Ranges: bytes\r\n\r\n";

/// Reads a whole answer, and gives the length of its body.
fn read(exchange: &mut Exchange, mut bytes: &[u8]) -> usize {
    let mut body = 0;
    exchange.begin(Method::Get);
    loop {
        let (consumed, event) = exchange.receive(bytes).expect("a good answer");
        match event {
            Event::Pending | Event::End => return body,
            Event::Data(data) => body += data.len(),
            Event::Interim(_) | Event::Head(_) => {}
        }
        bytes = &bytes[consumed..];
    }
}

fn http1(c: &mut Criterion) {
    let small = [HEAD.as_bytes(), &[7; 4096]].concat();
    let mut exchange = Exchange::new();
    c.bench_function("a head of ten lines with its body of 4 KiB", |b| {
        b.iter(|| read(&mut exchange, black_box(&small)));
    });

    let mut chunked = HEAD
        .replace("Content-Length: 4096", "Transfer-Encoding: chunked")
        .into_bytes();
    for _ in 0..1000 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[7; 1024]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let mut group = c.benchmark_group("chunks");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("a thousand of 1 KiB", |b| {
        b.iter(|| read(&mut exchange, black_box(&chunked)));
    });
    group.finish();
}

fn lists(c: &mut Criterion) {
    let list: String = (0..20_000)
        .map(|i| format!("https://example.com/folder/{i:06}.bin\n"))
        .collect();
    let mut group = c.benchmark_group("lists");
    group.throughput(Throughput::Elements(20_000));
    group.sample_size(20);
    group.bench_function("20,000 URLs in pieces of 64 KiB", |b| {
        b.iter(|| {
            let mut rows = Rows::new("urls.txt", None);
            let mut count = 0;
            for piece in black_box(&list).as_bytes().chunks(64 * 1024) {
                rows.feed(piece);
                count += std::iter::from_fn(|| rows.next_row()).count();
            }
            rows.finish();
            count + std::iter::from_fn(|| rows.next_row()).count()
        });
    });
    group.finish();
}

criterion_group!(benches, http1, lists);
criterion_main!(benches);
