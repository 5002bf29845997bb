//! What becomes of an answer: to the sink, on to a redirect, or thrown away.

use std::time::{Duration, Instant};

use super::{After, Delivery, Transfer};
use crate::error::Fault;
use crate::http::cookie::Jar;
use crate::http::{Method, Response, redirect};
use crate::http1::{Closed, Event, Exchange};
use crate::multi::Sink;
use crate::multi::info::TransferId;
use crate::multi::trace::Tracer;

/// A body that nobody wants is read to its end, to keep the connection, if it is no longer than this…
const DRAIN: u64 = 64 * 1024;

/// …and comes within this time.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The peer ended its sending before the answer was known to be whole.
pub(super) fn ended<S>(
    transfer: &Transfer<S>,
    exchange: &mut Exchange,
    trusted: bool,
) -> Result<(), Fault> {
    let has_head = exchange.response().status >= 200;
    match exchange.close() {
        Closed::Done if trusted => Ok(()),
        Closed::Done => Err(Fault::TlsTruncated {
            received: transfer.received,
        }),
        Closed::Truncated { received, expected } if has_head => {
            Err(Fault::Truncated { received, expected })
        }
        Closed::Truncated { .. } | Closed::NoAnswer => Err(Fault::NoAnswer),
    }
}

/// Reads an answer out of received bytes, for one transfer.
pub(super) struct Reader<'a, S> {
    pub(super) id: TransferId,
    pub(super) now: Instant,
    pub(super) transfer: &'a mut Transfer<S>,
    pub(super) exchange: &'a mut Exchange,
    pub(super) tracer: &'a mut Tracer,
    pub(super) jar: Option<&'a mut Jar>,
}

impl<S: Sink> Reader<'_, S> {
    /// Takes `bytes`; once the answer is whole, gives how many were left over.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<Option<usize>, Fault> {
        loop {
            let (consumed, event) = self.exchange.receive(bytes)?;
            match event {
                Event::Pending => return Ok(None),
                Event::Interim(response) => self.tracer.received(self.id, response),
                Event::Head(response) => {
                    self.tracer.received(self.id, response);
                    let jar = self.jar.as_deref_mut();
                    head(self.transfer, response, jar, self.now)?;
                }
                Event::Data(data) => body(self.transfer, data)?,
                Event::End => return Ok(Some(bytes.len() - consumed)),
            }
            bytes = &bytes[consumed..];
        }
    }
}

/// Decides what becomes of an answer, by its head, and takes its cookies.
pub(super) fn head<S: Sink>(
    transfer: &mut Transfer<S>,
    response: &Response,
    jar: Option<&mut Jar>,
    now: Instant,
) -> Result<(), Fault> {
    let status = response.status;
    if let Some(jar) = jar {
        jar.take(transfer.url(), response.headers.get_all("Set-Cookie"), now);
    }
    let length = if transfer.easy.method == Method::Head {
        Some(0)
    } else {
        response.content_length()
    };
    if redirect::is_redirect(response) {
        let after = match redirected(transfer, response) {
            Ok(url) => After::Redirect(Box::new(url)),
            Err(fault) => After::Fail(fault),
        };
        drain(transfer, length, after, now);
        return Ok(());
    }
    if status >= 400 {
        let fault = Fault::Status {
            status,
            retry_after: response.retry_after(),
            size: response.unsatisfied_range().filter(|_| status == 416),
        };
        drain(transfer, length, After::Fail(fault), now);
        return Ok(());
    }
    if let Some(limit) = transfer.easy.max_size
        && length.is_some_and(|length| length > limit)
    {
        return Err(Fault::TooLarge { limit });
    }
    transfer.received = 0;
    transfer.easy.sink.head(response)
}

/// Where a redirect leads, if it may be followed.
fn redirected<S>(transfer: &Transfer<S>, response: &Response) -> Result<url::Url, Fault> {
    let Some(location) = response.location() else {
        return Err(Fault::BadRedirect(format!(
            "status {} without a Location",
            response.status
        )));
    };
    let url = redirect::target(transfer.url(), location)?;
    if transfer.redirects >= transfer.easy.max_redirects {
        return Err(Fault::TooManyRedirects(transfer.easy.max_redirects));
    }
    Ok(url)
}

/// Has the body read and thrown away, where that is worth a connection; else the transfer moves on at once.
fn drain<S>(transfer: &mut Transfer<S>, length: Option<u64>, after: After, now: Instant) {
    transfer.clocks.wake = Some(now + DRAIN_TIME);
    let room = if length.is_some_and(|length| length > DRAIN) {
        0
    } else {
        DRAIN
    };
    transfer.delivery = Delivery::Drain(room, after);
}

/// Hands a part of the body on.
pub(super) fn body<S: Sink>(transfer: &mut Transfer<S>, data: &[u8]) -> Result<(), Fault> {
    match &mut transfer.delivery {
        Delivery::Drain(room, _) => {
            *room = room.saturating_sub(data.len() as u64);
            Ok(())
        }
        Delivery::Sink => {
            let data = wanted(&transfer.easy.sink, data);
            if data.is_empty() {
                return Ok(());
            }
            transfer.received += data.len() as u64;
            match transfer.easy.max_size {
                Some(limit) if transfer.received > limit => Err(Fault::TooLarge { limit }),
                _ => transfer.easy.sink.write(data),
            }
        }
    }
}

/// As much of a part of the body as the sink takes.
fn wanted<'d, S: Sink>(sink: &S, data: &'d [u8]) -> &'d [u8] {
    match sink.wanted() {
        Some(wanted) if wanted < data.len() as u64 => &data[..wanted as usize],
        _ => data,
    }
}

/// Whether the sink takes no more, though more of the body is to come.
pub(super) fn has_enough<S: Sink>(transfer: &Transfer<S>) -> bool {
    matches!(transfer.delivery, Delivery::Sink) && transfer.easy.sink.wanted() == Some(0)
}
