//! What happens to a response: its body goes to the sink, or is discarded before a redirect or a failure.

use std::time::{Duration, Instant};

use super::{After, Delivery, Transfer};
use crate::error::Fault;
use crate::http::challenge::Challenges;
use crate::http::cookie::Jar;
use crate::http::{Event, Method, Response, redirect};
use crate::multi::Sink;
use crate::multi::events::Events;
use crate::multi::origins::OriginRecord;
use crate::multi::rate::Rate;

/// A discarded body is read to its end, to keep the connection, if it is no longer than this…
const DRAIN: u64 = 64 * 1024;

/// …and comes within this time.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Takes a response in, part by part, for one transfer.
pub(in crate::multi) struct Reader<'a, S> {
    pub(in crate::multi) now: Instant,
    pub(in crate::multi) transfer: &'a mut Transfer<S>,
    pub(in crate::multi) record: &'a mut OriginRecord,
    pub(in crate::multi) events: &'a mut Events,
    pub(super) jar: Option<&'a mut Jar>,
    /// Copied for the transfer if there is no jar and a redirect sets a cookie.
    pub(super) empty_jar: Option<&'a Jar>,
    /// The limit of all transfers together.
    pub(super) rate: Option<&'a mut Rate>,
    /// Bytes that were read from the socket for this transfer alone.
    pub(in crate::multi) wire: usize,
}

impl<S: Sink> Reader<'_, S> {
    /// Counts received bytes: for the rate limits, the clocks, and the origin.
    pub(in crate::multi) fn count(&mut self, bytes: usize) {
        let transfer = &mut *self.transfer;
        transfer.allowance.spend(bytes, self.rate.as_deref_mut());
        transfer.clocks.received(bytes, self.now);
        self.record.last_byte = Some(self.now);
    }

    /// Takes the next part of the response.
    pub(in crate::multi) fn take(&mut self, event: Event<'_>) -> Result<(), Fault> {
        match event {
            Event::Pending | Event::End => Ok(()),
            Event::Interim(response) => {
                self.events.received(self.transfer.subject(), response);
                Ok(())
            }
            Event::Head(response) => {
                self.events.received(self.transfer.subject(), response);
                let jar = self.jar.as_deref_mut();
                head(self.transfer, response, jar, self.empty_jar, self.now)
            }
            Event::Data(data) => body(self.transfer, data),
        }
    }
}

/// Decides by its head what happens to a response, and takes its cookies.
fn head<S: Sink>(
    transfer: &mut Transfer<S>,
    response: &Response,
    jar: Option<&mut Jar>,
    empty_jar: Option<&Jar>,
    now: Instant,
) -> Result<(), Fault> {
    let status = response.status;
    take_cookies(transfer, response, jar, empty_jar, now);
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
            size: if status == 416 {
                response.unsatisfied_range()
            } else {
                None
            },
        };
        transfer.logins.challenges = Challenges::of(status, &response.headers);
        drain(transfer, length, After::Fail(fault), now);
        return Ok(());
    }
    if let Some(limit) = transfer.easy.max_size
        && length.is_some_and(|length| length > limit)
    {
        return Err(Fault::TooLarge { limit });
    }
    transfer.received = 0;
    if let Some(url) = &transfer.redirects.url {
        transfer.easy.sink.redirected(url);
    }
    transfer.easy.sink.head(response)?;
    transfer.has_new_head = transfer.easy.events.head;
    Ok(())
}

/// Takes the cookies of a response into the jar, or those of a redirect or a challenge into that of the transfer.
fn take_cookies<S>(
    transfer: &mut Transfer<S>,
    response: &Response,
    jar: Option<&mut Jar>,
    empty_jar: Option<&Jar>,
    now: Instant,
) {
    let mut own = transfer.jar.take();
    let jar = match (jar, empty_jar) {
        (Some(jar), _) => Some(jar),
        (None, Some(empty)) if response.headers.get("Set-Cookie").is_some() => {
            let is_followed = redirect::is_redirect(response) || response.status == 401;
            is_followed.then(|| &mut **own.get_or_insert_with(|| Box::new(empty.clone())))
        }
        _ => None,
    };
    if let Some(jar) = jar {
        jar.take(transfer.url(), response.headers.get_all("Set-Cookie"), now);
    }
    transfer.jar = own;
}

/// Where a redirect leads, if it may be followed.
fn redirected<S>(transfer: &Transfer<S>, response: &Response) -> Result<url::Url, Fault> {
    let Some(location) = response.location() else {
        return Err(Fault::BadRedirect(format!(
            "status {} without a Location",
            response.status
        )));
    };
    let are_typed = transfer.redirects.are_paths_typed;
    let url = redirect::target(transfer.url(), location, are_typed)?;
    if transfer.redirects.count >= transfer.easy.max_redirects {
        return Err(Fault::TooManyRedirects(transfer.easy.max_redirects));
    }
    Ok(url)
}

/// Reads and discards the body, if that is worth the connection; else the transfer moves on at once.
fn drain<S>(transfer: &mut Transfer<S>, length: Option<u64>, after: After, now: Instant) {
    transfer.clocks.wake = Some(now + DRAIN_TIME);
    let room = if length.is_some_and(|length| length > DRAIN) {
        0
    } else {
        DRAIN
    };
    transfer.delivery = Delivery::Drain(room, after);
}

/// Hands a part of the body to the sink, unless it is discarded.
fn body<S: Sink>(transfer: &mut Transfer<S>, data: &[u8]) -> Result<(), Fault> {
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

/// The beginning of a part of the body, as far as the sink takes it.
fn wanted<'d, S: Sink>(sink: &S, data: &'d [u8]) -> &'d [u8] {
    match sink.wanted() {
        Some(wanted) if wanted < data.len() as u64 => &data[..wanted as usize],
        _ => data,
    }
}

/// Whether the sink takes no more of the body.
pub(super) fn has_enough<S: Sink>(transfer: &Transfer<S>) -> bool {
    matches!(transfer.delivery, Delivery::Sink) && transfer.easy.sink.wanted() == Some(0)
}
