//! Test equipment: a folder of its own, the program under test, nginx, proxies, certificates.

mod apache;
mod ca;
pub(crate) mod coding;
mod command;
mod dir;
mod nginx;
mod ntfs;
mod output;
mod proxies;
mod running;

pub(crate) use apache::Apache;
pub(crate) use ca::{Ca, Leaf};
pub(crate) use command::Gannet;
pub(crate) use dir::Dir;
pub(crate) use nginx::Nginx;
pub(crate) use ntfs::Ntfs;
pub(crate) use output::Output;
pub(crate) use proxies::{Microsocks, Tinyproxy};
pub(crate) use running::Running;

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
