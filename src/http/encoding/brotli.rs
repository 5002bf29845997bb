//! The coding br (RFC 7932), with windows of at most 16 MiB. The larger windows of a later draft are refused.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Coding, Decoded};
use crate::error::Undecodable;

type Decompressor = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// Decodes one br stream.
pub(super) struct Brotli {
    state: Box<Decompressor>,
    is_complete: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self {
            state: Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())),
            is_complete: false,
        }
    }
}

impl Coding for Brotli {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, Undecodable> {
        if self.is_complete {
            return match input {
                [] => Ok(Decoded::NONE),
                _ => Err(Undecodable::Damaged("br")),
            };
        }
        let (mut consumed, mut produced, mut total) = (0, 0, 0);
        let result = BrotliDecompressStream(
            &mut input.len(),
            &mut consumed,
            input,
            &mut output.len(),
            &mut produced,
            output,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => Err(Undecodable::Damaged("br")),
            result => {
                self.is_complete = matches!(result, BrotliResult::ResultSuccess);
                Ok(Decoded { consumed, produced })
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.is_complete
    }
}
