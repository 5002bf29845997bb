//! A body that comes in codings and lands without them (RFC 9110 §8.4), and the digest of what came.

use super::check::announcement;
use super::message::Message;
use crate::error::Fault;
use crate::http::Response;
use crate::http::encoding::Decoder;

/// The codings of one answer.
#[derive(Debug)]
pub(super) struct Coded {
    decoder: Decoder,
    /// The server's digests are those of the coded form (RFC 9530 §2 and §3).
    message: Option<Box<Message>>,
}

impl Coded {
    /// The codings of an answer's body; `None` where it has none.
    ///
    /// # Errors
    /// [`Fault::Undecodable`]: they are not known.
    pub(super) fn of(response: &Response) -> Result<Option<Box<Self>>, Fault> {
        let Some(decoder) = Decoder::of(&response.headers)? else {
            return Ok(None);
        };
        let message = announcement(response).map(Message::of_whole);
        Ok(Some(Box::new(Self { decoder, message })))
    }

    /// Takes in the next bytes of the body, and hands on what they decode to.
    ///
    /// # Errors
    /// [`Fault::Undecodable`], or what `write` says.
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

    /// The answer is whole: whether its body is, and is what the server said it is.
    ///
    /// # Errors
    /// [`Fault::Undecodable`] or [`Fault::Digest`]: it is not.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.decoder.finish()?;
        self.message
            .take()
            .map_or(Ok(()), |message| message.finish())
    }
}
