//! [`Decoder`]: undoes the codings that Content-Encoding names (RFC 9110 §8.4). Bytes in, bytes out.
//!
//! However large the body is that a few bytes decode to, only a window of it is held, and it leaves
//! in pieces of at most [`PIECE`] bytes. Each coding has a file of its own.

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

/// The most bytes that leave at once.
pub const PIECE: usize = 64 * 1024;

/// Codings of one body at most: nobody needs more than two, and each costs a window.
const MOST: usize = 4;

/// Of the name of a coding that is not known, the most that is repeated.
const LONGEST_NAME: usize = 32;

/// What is offered to servers (RFC 9110 §12.5.3). `deflate` is understood and not offered: half of
/// those who send it mean something else by it.
const OFFER: &str = "Accept-Encoding: gzip, br, zstd";

/// The request fields that offer the codings.
pub fn offer() -> Arc<[Field]> {
    Field::parse(OFFER).into_iter().collect()
}

/// Takes those that offer codings out of given fields, where there are any.
pub fn take_offer(fields: &mut Vec<Field>) -> Option<Arc<[Field]>> {
    let is_offer = |field: &mut Field| field.name().eq_ignore_ascii_case("Accept-Encoding");
    let offer: Vec<_> = fields.extract_if(.., is_offer).collect();
    (!offer.is_empty()).then(|| offer.into())
}

/// What one coding made of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// Bytes of the input that are done with.
    consumed: usize,
    /// Bytes that were put out.
    produced: usize,
}

impl Step {
    /// Nothing: more has to come first.
    const NONE: Self = Self {
        consumed: 0,
        produced: 0,
    };
}

/// One coding: with no room left it wants to be called again, and with nothing done it waits for more.
trait Coding {
    /// Takes in some of `input` and fills some of `output`.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Undecodable>;

    /// Whether what came so far is whole.
    fn is_whole(&self) -> bool;
}

/// A coding that is being undone.
struct Layer {
    name: &'static str,
    coding: Box<dyn Coding>,
    piece: Box<[u8]>,
    /// A byte of it has come. A body without any is empty, whatever its coding.
    has_begun: bool,
}

/// Undoes the codings of one body.
pub struct Decoder {
    /// In the order in which they are undone: the last to be applied first.
    layers: Vec<Layer>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.layers.iter().map(|layer| layer.name);
        f.debug_list().entries(names).finish()
    }
}

impl Decoder {
    /// The decoder of a body, by its head; `None` where that is not coded.
    ///
    /// # Errors
    /// [`Undecodable`]: a coding that is not known, or too many of them.
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

    /// Takes in the next bytes of the body, and hands on what they decode to.
    ///
    /// # Errors
    /// [`Fault::Undecodable`]: they are not what the coding makes; else what `write` says.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        write: &mut dyn FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        pass(&mut self.layers, bytes, write)
    }

    /// The body is whole, as far as HTTP can tell: whether its codings say so too.
    ///
    /// # Errors
    /// [`Undecodable::Cut`].
    pub fn finish(&self) -> Result<(), Undecodable> {
        let is_cut = |layer: &&Layer| layer.has_begun && !layer.coding.is_whole();
        match self.layers.iter().find(is_cut) {
            Some(layer) => Err(Undecodable::Cut(layer.name)),
            None => Ok(()),
        }
    }
}

/// The layer of a coding (RFC 9110 §8.4.1, RFC 7932 and RFC 9659); `None` of what changes nothing.
fn layer(name: &[u8]) -> Result<Option<Layer>, Undecodable> {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let (name, coding): (_, Box<dyn Coding>) = match () {
        () if is("identity") => return Ok(None),
        () if is("gzip") || is("x-gzip") => ("gzip", Box::new(Gzip::default())),
        () if is("deflate") => ("deflate", Box::new(Deflate::default())),
        () if is("br") => ("br", Box::new(Brotli::new())),
        () if is("zstd") => ("zstd", Box::new(Zstd::default())),
        () => {
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

/// Sends bytes through the layers.
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
        let Step { consumed, produced } = layer.coding.step(bytes, &mut layer.piece)?;
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
