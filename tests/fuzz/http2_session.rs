//! What a server says over HTTP/2 (`http2::Session`): whatever comes, and however it is cut,
//! nothing panics, each stream says the same, no more comes out than went in, what waits to be sent
//! is bounded, and after the end no stream waits.

use gannet::http::{Method, Origin};
use gannet::internals::http::Target;
use gannet::internals::http2::{Broken, Event, Fields, Readiness, Session, Windows};
use url::Url;

use super::pieces;

/// Streams that are asked for; the last of them is never listened to.
const STREAMS: usize = 4;
/// Most that may wait to be sent, in bytes: the wire's own limit, and what h2 holds beside it.
const MOST_OUTPUT: usize = 128 * 1024;

/// Takes all that a server says, from its preface on.
pub fn run(bytes: &[u8]) {
    let whole = replay(&pieces::whole(bytes));
    let received: usize = whole.iter().map(|seen| seen.data.len()).sum();
    assert!(received <= bytes.len());
    for pieces in [pieces::single(bytes), pieces::some(bytes, 1)] {
        for (seen, other) in whole.iter().zip(replay(&pieces)) {
            assert_eq!(seen.status, other.status);
            assert_eq!(seen.data, other.data);
            assert_eq!(seen.is_whole, other.is_whole);
        }
    }
}

/// What has come of one stream.
#[derive(Debug, Default)]
struct Seen {
    status: Option<u16>,
    data: Vec<u8>,
    is_over: bool,
    is_whole: bool,
}

fn replay(pieces: &[&[u8]]) -> Vec<Seen> {
    let mut session = Session::new(Windows::default());
    let mut seen: Vec<Seen> = (0..STREAMS).map(|_| Seen::default()).collect();
    let mut is_asked = [false; STREAMS];
    ask(&mut session, &mut is_asked);
    send(&mut session);
    for piece in pieces {
        let given = session.receive(Box::from(*piece), 0..piece.len());
        assert_eq!(given.len(), piece.len());
        while let Some(slot) = session.next_woken() {
            if slot + 1 == STREAMS {
                let _ = session.rest(slot);
            } else if let Some(seen) = seen.get_mut(slot) {
                listen(&mut session, slot, seen);
            }
        }
        ask(&mut session, &mut is_asked);
        send(&mut session);
        assert!(session.capacity() <= 100);
    }
    session.end();
    assert!(!session.is_open() && !session.is_clogged());
    for (slot, seen) in seen.iter_mut().enumerate() {
        listen(&mut session, slot, seen);
        assert!(seen.is_over, "stream {slot} waits");
        session.leave(slot);
    }
    seen
}

/// Sends those requests that can be sent.
fn ask(session: &mut Session, is_asked: &mut [bool; STREAMS]) {
    let url = Url::parse("http://a/").expect("a URL");
    let origin = Origin::of(&url).expect("an origin");
    let target = Target::new(&origin, "/");
    let fields = Fields::new(target.clone(), [("Accept", "*/*")].into_iter()).expect("fields");
    for (slot, is_asked) in is_asked.iter_mut().enumerate() {
        if *is_asked || session.readiness(slot) != Readiness::Ready {
            continue;
        }
        let method = if slot == 1 { Method::Head } else { Method::Get };
        let request = fields.request(method, target.clone()).expect("a request");
        *is_asked = session.request(slot, method, request).is_some();
        if *is_asked {
            let _ = session.rest(slot);
        }
    }
}

/// Sends all that waits.
fn send(session: &mut Session) {
    let sent: Result<bool, ()> = session.transmit(|bytes| {
        assert!(bytes.len() < MOST_OUTPUT);
        Ok(bytes.len())
    });
    assert_eq!(sent, Ok(true));
}

/// Hears a stream out, as far as it goes.
fn listen(session: &mut Session, slot: usize, seen: &mut Seen) {
    while !seen.is_over {
        match session.poll(slot) {
            Ok(Event::Pending) => return,
            Ok(Event::Interim(response)) => assert!((100..200).contains(&response.status)),
            Ok(Event::Head(response)) => {
                assert!(seen.status.is_none() && response.status >= 200);
                seen.status = Some(response.status);
            }
            Ok(Event::Data(data)) => {
                assert!(seen.status.is_some() && !data.is_empty());
                seen.data.extend_from_slice(data);
                let count = data.len();
                session.release(slot, count);
            }
            Ok(Event::End) => {
                assert!(seen.status.is_some());
                let expected = session.expected(slot).unwrap_or(seen.data.len() as u64);
                assert_eq!(seen.data.len() as u64, expected);
                (seen.is_over, seen.is_whole) = (true, true);
            }
            Err(broken) => {
                if let Broken::Fault(fault) | Broken::Unprocessed { fault, .. } = broken {
                    assert!(!fault.to_string().is_empty());
                }
                seen.is_over = true;
            }
        }
    }
}
