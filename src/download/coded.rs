//! A body that arrives with content codings and is stored decoded (RFC 9110 §8.4), and the digest of the coded form.

use std::ffi::OsStr;
use std::path::Path;

use super::check::announcement;
use super::message::Message;
use crate::error::Fault;
use crate::http::Response;
use crate::http::encoding::Decoder;

/// The extensions of archives and other files that are compressed themselves, by coding.
const GZIP: [&str; 4] = ["gz", "gzip", "svgz", "tgz"];
const ZSTD: [&str; 2] = ["tzst", "zst"];
const BROTLI: [&str; 1] = ["br"];

/// The media types of such files.
const TYPES: [&str; 4] = [
    "application/gzip",
    "application/x-gzip",
    "application/x-tgz",
    "application/zstd",
];

/// Whether a response is an archive, and its own compression is declared as a content coding. The coded form is the
/// file then, as wget stores it too, and published digests are of it.
pub(super) fn is_archive(response: &Response, name: Option<&OsStr>) -> bool {
    let mut codings = response.headers.get_all("content-encoding");
    let (Some(coding), None) = (codings.next(), codings.next()) else {
        return false;
    };
    let extensions: &[&str] = match coding.trim_ascii().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => &GZIP,
        b"zstd" => &ZSTD,
        b"br" => &BROTLI,
        _ => return false,
    };
    let kind = response.content_type().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known))
        || name.is_some_and(|name| has_extension(name, extensions))
}

/// Whether a name is that of an archive that [`is_archive`] leaves as it is.
pub(super) fn has_archive_name(name: &OsStr) -> bool {
    [&GZIP[..], &ZSTD, &BROTLI]
        .iter()
        .any(|extensions| has_extension(name, extensions))
}

fn has_extension(name: &OsStr, extensions: &[&str]) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    let mut extensions = extensions.iter();
    extension.is_some_and(|found| extensions.any(|known| known.eq_ignore_ascii_case(found)))
}

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
