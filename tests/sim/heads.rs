//! Reads the requests of a connection of HTTP/2 for the simulated server: the h2 crate's own server
//! takes the field sections, since those are compressed (RFC 7541), and whatever it has to say is
//! thrown away.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::{Connection, Handshake};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::reply::Request;

/// A reader of requests.
pub(super) struct Heads {
    input: Rc<RefCell<VecDeque<u8>>>,
    stage: Stage,
}

enum Stage {
    Greeting(Handshake<End, Bytes>),
    Open(Connection<End, Bytes>),
}

/// Memory in the place of a socket: what was fed can be read, and what is written is lost.
struct End(Rc<RefCell<VecDeque<u8>>>);

impl Heads {
    pub(super) fn new() -> Self {
        let input = Rc::default();
        let end = End(Rc::clone(&input));
        Self {
            input,
            stage: Stage::Greeting(h2::server::handshake(end)),
        }
    }

    /// Takes in the preface, the client's settings or a frame of a field section.
    pub(super) fn feed(&self, bytes: &[u8]) {
        self.input.borrow_mut().extend(bytes);
    }

    /// The next request that is whole.
    pub(super) fn next(&mut self) -> Option<Request> {
        let mut context = Context::from_waker(Waker::noop());
        if let Stage::Greeting(handshake) = &mut self.stage {
            match Pin::new(handshake).poll(&mut context) {
                Poll::Ready(connection) => {
                    self.stage = Stage::Open(connection.expect("a right preface"));
                }
                Poll::Pending => return None,
            }
        }
        let Stage::Open(connection) = &mut self.stage else {
            return None;
        };
        match connection.poll_accept(&mut context) {
            Poll::Ready(Some(request)) => {
                let (request, _) = request.expect("a right request");
                let field = |name: &str| {
                    let value = request.headers().get(name)?.to_str();
                    Some(value.expect("text").to_owned())
                };
                Some(Request {
                    path: request.uri().path().to_owned(),
                    range: field("range"),
                    if_range: field("if-range"),
                    if_none_match: field("if-none-match"),
                    ..Request::default()
                })
            }
            Poll::Ready(None) => panic!("the reader has ended"),
            Poll::Pending => None,
        }
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heads")
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut input = self.0.borrow_mut();
        if input.is_empty() {
            return Poll::Pending;
        }
        let count = input.len().min(out.remaining());
        input.drain(..count).for_each(|byte| out.put_slice(&[byte]));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
