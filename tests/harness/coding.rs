//! Bodies in the codings of HTTP, as servers send them.

use std::io::Write;

use flate2::Compression;

/// A coding's name and how it is made.
pub(crate) type Coding = (&'static str, fn(&[u8]) -> Vec<u8>);

/// All that gannet undoes.
pub(crate) const CODINGS: [Coding; 4] = [
    ("gzip", gzip),
    ("deflate", deflate),
    ("br", brotli),
    ("zstd", zstd),
];

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    coder.write_all(body).expect("memory");
    coder.finish().expect("memory")
}

pub(crate) fn deflate(body: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
    coder.write_all(body).expect("memory");
    coder.finish().expect("memory")
}

pub(crate) fn brotli(body: &[u8]) -> Vec<u8> {
    let mut coder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    coder.write_all(body).expect("memory");
    coder.into_inner()
}

pub(crate) fn zstd(body: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Text that every coding makes shorter; no two lines of it are the same.
pub(crate) fn text(lines: usize) -> Vec<u8> {
    let line = |at| format!("{at}: the quick brown fox jumps over the lazy dog\n");
    (0..lines).map(line).collect::<String>().into_bytes()
}
