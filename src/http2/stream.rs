//! One stream: the received part of its response, and what ended it before the end of the response.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};

use super::MAX_INTERIM;
use crate::error::{ErrorCode, Fault, Malformed};
use crate::http::{Event, Method, Response, Version, content_length};

/// What ended a stream before its response was complete.
#[derive(Debug)]
pub enum Broken {
    /// The peer says that it has not processed the request: it may be sent again, elsewhere or later (RFC 9113 §8.7).
    Unprocessed {
        /// The fault to report if the request is not sent again.
        fault: Fault,
        /// Only this stream was refused: others continue, and further ones may begin.
        is_refused: bool,
    },
    /// The peer requires HTTP/1.1 for this request (RFC 9113 §7, HTTP_1_1_REQUIRED).
    Http11Required,
    /// The fields of one stream broke the connection (RFC 9113 §5.4.1). Requests of the other streams may be sent
    /// again if their responses had not begun.
    Ruined {
        /// The fault to report if the request is not sent again.
        fault: Fault,
        /// The fields were those of this stream.
        is_culprit: bool,
    },
    /// The connection ended. The caller of the session knows why.
    Lost,
    /// Any other fault.
    Fault(Fault),
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Fault(malformed.into())
    }
}

/// A request that was sent, and the received part of its response.
pub(super) struct ClientStream {
    number: u32,
    state: StreamState,
    method: Method,
    response: Response,
    interim_count: u32,
    received: u64,
    expected: Option<u64>,
    /// The last part of the body, until it is released.
    data: Bytes,
}

enum StreamState {
    Waiting(ResponseFuture),
    Body(RecvStream),
    Over,
}

impl ClientStream {
    /// The stream of a request that was sent. It reuses the memory of `response`.
    pub(super) fn new(
        number: u32,
        future: ResponseFuture,
        method: Method,
        response: Response,
    ) -> Self {
        Self {
            number,
            state: StreamState::Waiting(future),
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

    /// Whether the head of the final response has arrived.
    pub(super) fn has_head(&self) -> bool {
        !matches!(self.state, StreamState::Waiting(_))
    }

    /// The memory of its head, for another stream.
    pub(super) fn into_response(self) -> Response {
        self.response
    }

    /// Releases bytes of the body: the peer may send as many again.
    pub(super) fn release(&mut self, count: usize) {
        self.data = Bytes::new();
        if let StreamState::Body(body) = &mut self.state {
            // It never releases more than was received: each part of the body once.
            let _ = body.flow_control().release_capacity(count);
        }
    }

    /// The next event.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Result<Event<'_>, Broken> {
        match &mut self.state {
            StreamState::Waiting(_) => self.poll_head(context),
            StreamState::Body(_) => self.poll_body(context),
            StreamState::Over => Ok(Event::End),
        }
    }

    /// Discards interim responses, because no window bounds their number.
    pub(super) fn skip_interim(&mut self, context: &mut Context<'_>) -> Result<(), Broken> {
        while let StreamState::Waiting(future) = &mut self.state {
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
        let StreamState::Waiting(future) = &mut self.state else {
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
                self.state = StreamState::Body(body);
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
            let StreamState::Body(body) = &mut self.state else {
                return Ok(Event::End);
            };
            match body.poll_data(context) {
                Poll::Pending => return Ok(Event::Pending),
                Poll::Ready(None) => {
                    // h2 has compared the body with its announced length. Trailers are ignored.
                    self.state = StreamState::Over;
                    return Ok(Event::End);
                }
                Poll::Ready(Some(Err(error))) => {
                    if self.expected == Some(self.received) && is_mere_end(&error) {
                        self.state = StreamState::Over;
                        return Ok(Event::End);
                    }
                    return Err(broken(&error, true));
                }
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

/// Whether an error says no more than that nothing follows: the connection closed, or the peer ended the stream without
/// an error. A body of the announced length is complete then.
fn is_mere_end(error: &h2::Error) -> bool {
    match error.reason() {
        None => true,
        Some(reason) => reason == Reason::NO_ERROR && error.is_remote(),
    }
}

/// What an error of h2 means for a stream. If its head has arrived, the peer has processed the request, whatever the
/// error says: the sink has the head already, so the request is not repeated without notice.
fn broken(error: &h2::Error, has_head: bool) -> Broken {
    let Some(reason) = error.reason() else {
        return Broken::Lost;
    };
    let code = ErrorCode(reason.into());
    if reason == Reason::HTTP_1_1_REQUIRED && error.is_remote() && !has_head {
        return Broken::Http11Required;
    }
    match (error.is_remote(), error.is_go_away()) {
        // h2 reports a GOAWAY only to the streams that it leaves out (RFC 9113 §6.8).
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
        // An error in the head of this stream will occur again. A truncated body, or an error that another stream
        // caused, may not.
        (false, false) if !has_head => Broken::Fault(Malformed::Http2(code).into()),
        (false, _) => Broken::Fault(Fault::Http2(code)),
    }
}
