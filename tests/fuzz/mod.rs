//! The bodies of the fuzz targets: each takes any bytes and holds one parser of outside bytes to its promises.
//!
//! Two callers share them: `fuzz/`, where libFuzzer looks for new inputs, and `fuzz_seeds.rs` beside this folder, which
//! runs the seeds and mutations of them among the ordinary tests. So nothing here needs more than gannet and url.

pub mod connect_answer;
pub mod cookie_file;
mod cookies;
pub mod digest;
pub mod disposition;
pub mod encoding;
pub mod file_name;
pub mod header_field;
pub mod http1_answer;
pub mod http2_session;
pub mod list_jsonl;
pub mod list_metalink;
pub mod list_sums;
pub mod list_urls;
pub mod netrc;
pub mod pem;
mod pieces;
pub mod proxy;
pub mod redirect;
pub mod response_words;
mod rows;
pub mod set_cookie;
pub mod socks_answers;
pub mod state;

/// A target's name and its body, which panics where a promise is broken.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 21] = [
    ("connect_answer", connect_answer::run),
    ("cookie_file", cookie_file::run),
    ("digest", digest::run),
    ("disposition", disposition::run),
    ("encoding", encoding::run),
    ("file_name", file_name::run),
    ("header_field", header_field::run),
    ("http1_answer", http1_answer::run),
    ("http2_session", http2_session::run),
    ("list_jsonl", list_jsonl::run),
    ("list_metalink", list_metalink::run),
    ("list_sums", list_sums::run),
    ("list_urls", list_urls::run),
    ("netrc", netrc::run),
    ("pem", pem::run),
    ("proxy", proxy::run),
    ("redirect", redirect::run),
    ("response_words", response_words::run),
    ("set_cookie", set_cookie::run),
    ("socks_answers", socks_answers::run),
    ("state", state::run),
];
