//! How a connection carries requests and responses, whatever version of HTTP it speaks.
//!
//! The states of a transfer use this interface alone. A connection is [`Serial`] (HTTP/1.1) or [`Multiplexed`]
//! (HTTP/2). A transfer names its stream on the connection by a token; a serial connection has one stream.

use std::time::Instant;

use super::events::Events;
use super::info::TransferId;
use super::multiplexed::Multiplexed;
use super::serial::Serial;
use super::transfer::{NextRequest, Prepared};
use crate::conn::Interest;
use crate::error::Fault;
use crate::http::Response;

pub(super) use crate::http2::Broken;

/// What a connection speaks.
#[derive(Debug)]
pub(super) enum Exchanges {
    /// One exchange after the other. Also used until the version is known.
    Serial(Serial),
    /// Many exchanges at once, each on a stream.
    Multiplexed(Box<Multiplexed>),
}

/// Whether a request can be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Now.
    Ready,
    /// It was begun, and is being sent.
    Begun,
    /// Not before the peer allows more streams. The transfer will be woken.
    Later,
    /// Never: the connection has ended, or is about to.
    Never,
}

/// What one step of receiving came to.
#[derive(Debug)]
pub(super) enum Advance {
    /// Nothing has come. With what to want of the socket, unless that is decided for all streams together.
    Wait(Option<Interest>),
    /// Part of the response has come: this many bytes, of the socket or of a stream's body.
    More(usize),
    /// The response is complete. `is_clean` if the connection may carry another request.
    Complete { is_clean: bool },
    /// The stream ended before its response was complete.
    Broken(Broken),
}

impl Advance {
    /// Whether any of the response has come.
    pub(super) fn has_bytes(&self) -> bool {
        matches!(self, Self::More(1..) | Self::Complete { .. })
    }
}

impl Exchanges {
    /// Adds a transfer. Returns the token of its stream.
    pub(super) fn attach(&mut self, id: TransferId) -> usize {
        match self {
            Self::Serial(serial) => {
                serial.attach(id);
                0
            }
            Self::Multiplexed(multiplexed) => multiplexed.attach(id),
        }
    }

    /// Many exchanges at once, if the connection can carry them.
    pub(super) fn multiplexed(&mut self) -> Option<&mut Multiplexed> {
        match self {
            Self::Serial(_) => None,
            Self::Multiplexed(multiplexed) => Some(multiplexed),
        }
    }

    /// The only transfer that uses the connection, if no other may.
    pub(super) fn only_user(&self) -> Option<TransferId> {
        match self {
            Self::Serial(serial) => serial.user(),
            Self::Multiplexed(_) => None,
        }
    }

    /// Whether several transfers may use the connection at once.
    pub(super) fn is_multiplexed(&self) -> bool {
        matches!(self, Self::Multiplexed(_))
    }

    /// Whether a request can be begun on a stream.
    pub(super) fn readiness(&mut self, stream: usize) -> Readiness {
        match self {
            Self::Serial(serial) => serial.readiness(),
            Self::Multiplexed(multiplexed) => multiplexed.readiness(stream),
        }
    }

    /// Begins a request on a stream that is [ready](Readiness::Ready). Returns false if it cannot be sent after all.
    pub(super) fn request<S>(
        &mut self,
        stream: usize,
        next_request: &NextRequest<'_, S>,
        prepared: &mut Prepared,
        events: &mut Events,
    ) -> Result<bool, Fault> {
        match self {
            Self::Serial(serial) => serial
                .request(next_request, prepared, events)
                .map(|()| true),
            Self::Multiplexed(multiplexed) => {
                multiplexed.request(stream, next_request, prepared, events)
            }
        }
    }

    /// The last head received on a stream.
    pub(super) fn response(&self, stream: usize) -> Option<&Response> {
        match self {
            Self::Serial(serial) => Some(serial.exchange().response()),
            Self::Multiplexed(multiplexed) => multiplexed.session().response(stream),
        }
    }

    /// The length of the body on a stream, if it is known.
    pub(super) fn expected(&self, stream: usize) -> Option<u64> {
        match self {
            Self::Serial(serial) => serial.exchange().expected(),
            Self::Multiplexed(multiplexed) => multiplexed.session().expected(stream),
        }
    }

    /// Whether any of the response on a stream has come.
    pub(super) fn has_begun(&self, stream: usize) -> bool {
        match self {
            Self::Serial(serial) => serial.exchange().has_begun(),
            Self::Multiplexed(multiplexed) => multiplexed.session().has_head(stream),
        }
    }

    /// When a byte last came for any stream; `None` where only one transfer uses the connection.
    pub(super) fn last_byte(&self) -> Option<Instant> {
        match self {
            Self::Serial(_) => None,
            Self::Multiplexed(multiplexed) => Some(multiplexed.last_byte()),
        }
    }

    /// Whether output waits for the end of the call.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self, Self::Multiplexed(multiplexed) if multiplexed.is_unsent())
    }

    /// Whether a multiplexed connection closed without one complete response.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Multiplexed(multiplexed) if !multiplexed.has_responded())
    }
}
