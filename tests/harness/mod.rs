//! Test equipment: a folder, the program under test, nginx, Apache, proxies, certificates, namespaces.

use gannet::http::{Algorithm, Digest};
use gannet::internals::http::digest::Hashers;

use crate::server::{Script, Server};

mod apache;
mod ca;
pub(crate) mod coding;
mod command;
mod dir;
mod held;
mod nginx;
mod ntfs;
mod output;
mod proxies;
mod random;
mod running;
pub(crate) mod sandbox;

pub(crate) use apache::Apache;
pub(crate) use ca::{Ca, Leaf, V1, config_v1};
pub(crate) use command::Gannet;
pub(crate) use dir::Dir;
pub(crate) use nginx::Nginx;
pub(crate) use ntfs::Ntfs;
pub(crate) use output::Output;
pub(crate) use proxies::{Microsocks, Tinyproxy};
pub(crate) use random::Random;
pub(crate) use running::Running;

/// Fetches `/a` of a scripted server with these flags. The folder has that file then, and no other.
#[track_caller]
pub(crate) fn lands(flags: &str, body: &[u8], write: impl FnOnce(&mut Script)) -> Server {
    let server = Server::start(write);
    let dir = Dir::new();
    dir.fetch(flags, server.url("/a")).ok();
    dir.assert_names(&["a"]);
    dir.assert_file("a", body);
    server
}

/// Fetches `/a` of a scripted server with these flags, which fails and leaves no file.
#[track_caller]
pub(crate) fn fails(flags: &str, code: i32, write: impl FnOnce(&mut Script)) -> Output {
    let server = Server::start(write);
    let dir = Dir::new();
    let out = dir.fetch(flags, server.url("/a"));
    out.code(code).complains(&server.url("/a"));
    dir.assert_names(&[]);
    out
}

/// Bytes that are alike nowhere, so that a part in the wrong place shows.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes of which each differs from the one of [`noise`] in its place.
pub(crate) fn other_noise(length: usize) -> Vec<u8> {
    noise(length).iter().map(|byte| byte ^ 0xff).collect()
}

pub(crate) fn digest(algorithm: Algorithm, body: &[u8]) -> Digest {
    let mut hashers = Hashers::new([algorithm]);
    hashers.update(body);
    hashers.finish()[0]
}

/// The digest of a body as `--checksum` takes it: `sha256:` and 64 hexadecimal digits.
pub(crate) fn sha256(body: &[u8]) -> String {
    digest(Algorithm::Sha256, body).to_string()
}

/// The hexadecimal digits of a body's digest.
pub(crate) fn sha256_hex(body: &[u8]) -> String {
    sha256(body).replace("sha256:", "")
}

/// The digest of a body as Repr-Digest and Content-Digest have it (RFC 9530).
pub(crate) fn digest_field(body: &[u8]) -> String {
    let sri = digest(Algorithm::Sha256, body).to_sri();
    format!("sha-256=:{}:", sri.trim_start_matches("sha256-"))
}

/// What each line of a text is as JSON.
#[track_caller]
pub(crate) fn json_lines(text: &str) -> Vec<serde_json::Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {text}"));
    text.lines().map(parse).collect()
}
