//! [`Decoder`]: decodes the codings that Content-Encoding names (RFC 9110 §8.4). Bytes in, bytes out.
//!
//! Memory is bounded however large the decoded body is: each coding holds one window, and output leaves in chunks of
//! at most [`PIECE`] bytes. Each coding is one file.

mod brotli;
mod inflate;
mod zstd;

use std::sync::Arc;

use self::brotli::Brotli;
use self::inflate::{Deflate, Gzip};
use self::zstd::Zstd;
use super::grammar::elements;
use super::{Field, Headers};
use crate::error::{Fault, Undecodable};

/// The most decoded bytes in one call of `write`.
pub const PIECE: usize = 64 * 1024;

/// The most codings of one body. More than two are not used in practice, and each costs a window.
const MOST: usize = 4;

/// The most bytes of an unknown coding's name that a message quotes.
const LONGEST_NAME: usize = 32;

/// The codings offered to servers (RFC 9110 §12.5.3). `deflate` is decoded but not offered, because servers disagree
/// on its format.
const OFFER: &str = "Accept-Encoding: gzip, br, zstd";

/// The Accept-Encoding field that offers gzip, br and zstd. Its public name is `http::accept_encoding`.
pub fn offer() -> Arc<[Field]> {
    Field::parse(OFFER).into_iter().collect()
}

/// Removes the Accept-Encoding fields from `fields` and returns them; `None` if there are none.
pub fn take_offer(fields: &mut Vec<Field>) -> Option<Arc<[Field]>> {
    let offer: Vec<_> = fields
        .extract_if(.., |field| {
            field.name().eq_ignore_ascii_case("Accept-Encoding")
        })
        .collect();
    (!offer.is_empty()).then(|| offer.into())
}

/// The result of one call of [`Coding::step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decoded {
    /// Bytes read from the input.
    consumed: usize,
    /// Bytes written to the output.
    produced: usize,
}

impl Decoded {
    /// No progress: more input is needed.
    const NONE: Self = Self {
        consumed: 0,
        produced: 0,
    };
}

/// The decoder of one coding. It is called again until it makes no progress, which means that it needs more input.
trait Coding {
    /// Decodes some of `input` into some of `output`.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, Undecodable>;

    /// Whether the input so far is a complete body.
    fn is_complete(&self) -> bool;
}

/// One coding in the stack.
struct Layer {
    name: &'static str,
    coding: Box<dyn Coding>,
    piece: Box<[u8]>,
    /// A byte was received. A body without bytes is complete in every coding.
    has_begun: bool,
}

/// Decodes one body.
pub struct Decoder {
    /// In the order of decoding: the coding that the server applied last comes first.
    layers: Vec<Layer>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.layers.iter().map(|layer| layer.name);
        f.debug_list().entries(names).finish()
    }
}

impl Decoder {
    /// The decoder for the body of a response with these fields; `None` if the body has no coding.
    ///
    /// # Errors
    /// [`Undecodable`] if a coding is unknown, or if there are too many.
    pub fn of(headers: &Headers) -> Result<Option<Self>, Undecodable> {
        let mut layers = Vec::new();
        for name in elements(headers.get_all("content-encoding")) {
            let Some(layer) = layer(name)? else { continue };
            if layers.len() == MOST {
                return Err(Undecodable::TooMany(MOST));
            }
            layers.push(layer);
        }
        layers.reverse();
        Ok((!layers.is_empty()).then_some(Self { layers }))
    }

    /// Decodes the next bytes of the body and passes the result to `write`.
    ///
    /// # Errors
    /// [`Fault::Undecodable`] if the bytes are not valid in the coding, and errors of `write`.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        write: &mut dyn FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        pass(&mut self.layers, bytes, write)
    }

    /// Checks that the body is complete in all its codings. Call it when HTTP framing says that the body has ended.
    ///
    /// # Errors
    /// [`Undecodable::Cut`] if it is not.
    pub fn finish(&self) -> Result<(), Undecodable> {
        for layer in &self.layers {
            if layer.has_begun && !layer.coding.is_complete() {
                return Err(Undecodable::Cut(layer.name));
            }
        }
        Ok(())
    }
}

/// Whether a coding changes nothing: `identity`, and `none`, which some servers send.
pub fn is_identity(name: &str) -> bool {
    name.eq_ignore_ascii_case("identity") || name.eq_ignore_ascii_case("none")
}

/// The layer for a coding (RFC 9110 §8.4.1, RFC 7932 and RFC 9659); `None` for one that changes nothing.
fn layer(name: &[u8]) -> Result<Option<Layer>, Undecodable> {
    let lower = name.to_ascii_lowercase();
    let (name, coding): (_, Box<dyn Coding>) = match lower.as_slice() {
        b"identity" | b"none" => return Ok(None),
        b"gzip" | b"x-gzip" => ("gzip", Box::new(Gzip::default())),
        b"deflate" => ("deflate", Box::new(Deflate::default())),
        b"br" => ("br", Box::new(Brotli::new())),
        b"zstd" => ("zstd", Box::new(Zstd::default())),
        _ => {
            let shown = &name[..name.len().min(LONGEST_NAME)];
            return Err(Undecodable::Unknown(shown.escape_ascii().to_string()));
        }
    };
    Ok(Some(Layer {
        name,
        coding,
        piece: vec![0; PIECE].into(),
        has_begun: false,
    }))
}

/// Decodes bytes through all layers.
fn pass(
    layers: &mut [Layer],
    mut bytes: &[u8],
    write: &mut dyn FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some((layer, rest)) = layers.split_first_mut() else {
        return write(bytes);
    };
    layer.has_begun |= !bytes.is_empty();
    loop {
        let Decoded { consumed, produced } = layer.coding.step(bytes, &mut layer.piece)?;
        bytes = &bytes[consumed..];
        if produced > 0 {
            pass(rest, &layer.piece[..produced], write)?;
        }
        if consumed == 0 && produced == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
