//! A body that arrives with content codings and is stored decoded (RFC 9110 §8.4), and the digest of the coded form.

use super::check::announcement;
use super::message::Message;
use crate::error::Fault;
use crate::http::Response;
use crate::http::encoding::Decoder;

/// The content codings of one response.
#[derive(Debug)]
pub(super) struct Coded {
    decoder: Decoder,
    /// The digest of the coded form, which is the one that the server announces (RFC 9530 §2 and §3).
    message: Option<Box<Message>>,
}

impl Coded {
    /// The codings of a response's body; `None` if it has none.
    ///
    /// # Errors
    /// [`Fault::Undecodable`]: a coding is not known.
    pub(super) fn of(response: &Response) -> Result<Option<Box<Self>>, Fault> {
        let Some(decoder) = Decoder::of(&response.headers)? else {
            return Ok(None);
        };
        let message = announcement(response).map(Message::of_whole);
        Ok(Some(Box::new(Self { decoder, message })))
    }

    /// Decodes the next bytes of the body, and passes the result to `write`.
    ///
    /// # Errors
    /// [`Fault::Undecodable`], or the error of `write`.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        write: &mut dyn FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let Some(message) = &mut self.message {
            message.update(bytes);
        }
        self.decoder.decode(bytes, write)
    }

    /// Checks at the end of the response that the coded body is complete and has the announced digest.
    ///
    /// # Errors
    /// [`Fault::Undecodable`] or [`Fault::Digest`]: it is not, or has another.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.decoder.finish()?;
        self.message
            .take()
            .map_or(Ok(()), |message| message.finish())
    }
}
