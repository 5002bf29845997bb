//! One stream: what has come of its answer, and what ended it when that was not the end of the answer.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};

use super::MAX_INTERIM;
use crate::error::{ErrorCode, Fault, Malformed};
use crate::http::{Event, Method, Response, Version, content_length};

/// What ended a stream before its answer was whole.
#[derive(Debug)]
pub enum Broken {
    /// The peer has not begun on the request, and says so: it may be sent again, elsewhere or later
    /// (RFC 9113 §8.7). With the fault that it is where that leads nowhere, and whether this stream
    /// alone was refused.
    Unprocessed {
        /// What to say of it.
        fault: Fault,
        /// Other streams of the connection go on, and further ones may be begun.
        is_refused: bool,
    },
    /// The peer wants this request over HTTP/1.1 (RFC 9113 §7, HTTP_1_1_REQUIRED).
    Http11Required,
    /// The fields of one stream were such that the whole connection had to end (RFC 9113 §5.4.1). Those of the others
    /// whose answers had not begun may be sent again.
    Ruined {
        /// What to say of it.
        fault: Fault,
        /// It was this one.
        is_culprit: bool,
    },
    /// The connection ended under it. Whoever fed the session knows why.
    Lost,
    /// Anything else.
    Fault(Fault),
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Fault(malformed.into())
    }
}

/// A request that was sent, and what has come of its answer.
pub(super) struct Stream {
    number: u32,
    state: State,
    method: Method,
    response: Response,
    interim_count: u32,
    received: u64,
    expected: Option<u64>,
    /// The last part of the body, until it is released.
    data: Bytes,
}

enum State {
    Waiting(ResponseFuture),
    Body(RecvStream),
    Over,
}

impl Stream {
    /// A request that was sent; `response` lends its memory.
    pub(super) fn new(
        number: u32,
        future: ResponseFuture,
        method: Method,
        response: Response,
    ) -> Self {
        Self {
            number,
            state: State::Waiting(future),
            method,
            response,
            interim_count: 0,
            received: 0,
            expected: None,
            data: Bytes::new(),
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn response(&self) -> &Response {
        &self.response
    }

    pub(super) fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Whether the head of the final answer has come.
    pub(super) fn has_head(&self) -> bool {
        !matches!(self.state, State::Waiting(_))
    }

    /// The memory of its head, to be used again.
    pub(super) fn into_response(self) -> Response {
        self.response
    }

    /// Lets the peer send as many bytes more.
    pub(super) fn release(&mut self, count: usize) {
        self.data = Bytes::new();
        if let State::Body(body) = &mut self.state {
            // More than came is never released: each part of the body once.
            let _ = body.flow_control().release_capacity(count);
        }
    }

    /// What has happened since it was asked last.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Result<Event<'_>, Broken> {
        match &mut self.state {
            State::Waiting(_) => self.poll_head(context),
            State::Body(_) => self.poll_body(context),
            State::Over => Ok(Event::End),
        }
    }

    /// Throws interim answers away while nobody wants to know: no window bounds how many there are.
    pub(super) fn skip_interim(&mut self, context: &mut Context<'_>) -> Result<(), Broken> {
        while let State::Waiting(future) = &mut self.state {
            match future.poll_informational(context) {
                Poll::Ready(Some(Ok(_))) => self.count_interim()?,
                _ => break,
            }
        }
        Ok(())
    }

    fn count_interim(&mut self) -> Result<(), Broken> {
        self.interim_count += 1;
        if self.interim_count > MAX_INTERIM {
            return Err(Malformed::TooManyInterim.into());
        }
        Ok(())
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Result<Event<'_>, Broken> {
        let State::Waiting(future) = &mut self.state else {
            return Ok(Event::Pending);
        };
        match future.poll_informational(context) {
            Poll::Ready(Some(Ok(interim))) => {
                let (parts, ()) = interim.into_parts();
                self.take_head(&parts);
                self.count_interim()?;
                if self.response.status == 101 {
                    // RFC 9113 §8.6: HTTP/2 has no upgrade.
                    return Err(Malformed::Upgrade.into());
                }
                return Ok(Event::Interim(&self.response));
            }
            Poll::Ready(Some(Err(error))) => return Err(broken(&error, false)),
            Poll::Ready(None) | Poll::Pending => {}
        }
        match Pin::new(future).poll(context) {
            Poll::Pending => Ok(Event::Pending),
            Poll::Ready(Err(error)) => Err(broken(&error, false)),
            Poll::Ready(Ok(answer)) => {
                let (parts, body) = answer.into_parts();
                self.state = State::Body(body);
                self.take_head(&parts);
                self.expected = if self.is_bodiless() {
                    Some(0)
                } else {
                    content_length(&self.response.headers)?
                };
                Ok(Event::Head(&self.response))
            }
        }
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Result<Event<'_>, Broken> {
        let is_bodiless = self.is_bodiless();
        loop {
            let State::Body(body) = &mut self.state else {
                return Ok(Event::End);
            };
            match body.poll_data(context) {
                Poll::Pending => return Ok(Event::Pending),
                Poll::Ready(None) => {
                    // h2 has compared the body with its announced length; trailers are of no use to us.
                    self.state = State::Over;
                    return Ok(Event::End);
                }
                Poll::Ready(Some(Err(error))) => return Err(broken(&error, true)),
                Poll::Ready(Some(Ok(data))) if data.is_empty() => {}
                Poll::Ready(Some(Ok(_))) if is_bodiless => {
                    return Err(Malformed::UnexpectedBody.into());
                }
                Poll::Ready(Some(Ok(data))) => {
                    self.received += data.len() as u64;
                    self.data = data;
                    return Ok(Event::Data(&self.data));
                }
            }
        }
    }

    /// Whether no body may follow the head (RFC 9110 §6.4.1).
    fn is_bodiless(&self) -> bool {
        self.method == Method::Head || matches!(self.response.status, 204 | 304)
    }

    fn take_head(&mut self, parts: &::http::response::Parts) {
        self.response.clear();
        self.response.version = Version::Http2;
        self.response.status = parts.status.as_u16();
        for (name, value) in &parts.headers {
            self.response
                .headers
                .push(name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

/// What an error of h2 means for a stream whose head has come, or has not. Where it has, the peer
/// had begun on the request, whatever it says: its answer was handed on, and is not begun anew
/// behind the back of whoever took it.
fn broken(error: &h2::Error, has_head: bool) -> Broken {
    let Some(reason) = error.reason() else {
        return Broken::Lost;
    };
    let code = ErrorCode(reason.into());
    if reason == Reason::HTTP_1_1_REQUIRED && error.is_remote() && !has_head {
        return Broken::Http11Required;
    }
    match (error.is_remote(), error.is_go_away()) {
        // A GOAWAY is told to those streams alone that it leaves out (RFC 9113 §6.8).
        (true, true) if reason != Reason::ENHANCE_YOUR_CALM && !has_head => Broken::Unprocessed {
            fault: Fault::GoneAway(code),
            is_refused: false,
        },
        (true, true) => Broken::Fault(Fault::GoneAway(code)),
        (true, false) if reason == Reason::REFUSED_STREAM && !has_head => Broken::Unprocessed {
            fault: Fault::StreamReset(code),
            is_refused: true,
        },
        (true, false) => Broken::Fault(Fault::StreamReset(code)),
        // What is wrong with the head of this stream will be wrong the next time too; a body that
        // was cut, or what another stream did to the connection, need not.
        (false, false) if !has_head => Broken::Fault(Malformed::Http2(code).into()),
        (false, _) => Broken::Fault(Fault::Http2(code)),
    }
}
