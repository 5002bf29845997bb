//! What the server is to do, a line a behaviour: `s.get("/a").status(500).then().body(b"ok")`.

use std::sync::Arc;
use std::time::Duration;

use super::gate::Gate;

/// The Authorization of the user `user` with the password `pass`.
pub(crate) const BASIC: &str = "Basic dXNlcjpwYXNz";

/// The whole script: routes by path, and what holds for every connection.
#[derive(Default)]
pub(crate) struct Script {
    pub(super) routes: Vec<Route>,
    /// Sent as soon as a connection is accepted.
    pub(super) greeting: Vec<u8>,
    pub(super) closes_on_accept: bool,
    /// The number of connections that are served at once; further ones wait until others close.
    pub(super) serves_at_once: Option<usize>,
    /// A connection answers this many requests, and drops the next one unanswered.
    pub(super) stale_after: Option<usize>,
}

impl Script {
    /// The route of a path; asked for again, it is the same route.
    pub(crate) fn get(&mut self, path: &str) -> &mut Route {
        let at = self
            .routes
            .iter()
            .position(|route| route.path == path)
            .unwrap_or_else(|| {
                self.routes.push(Route {
                    path: path.to_owned(),
                    answers: vec![Answer::default()],
                });
                self.routes.len() - 1
            });
        &mut self.routes[at]
    }

    /// `/a`, which says hello.
    pub(crate) fn hello(&mut self) {
        self.get("/a").body(b"hello");
    }

    /// `/a`, `/b` and `/c`, each with its name as its body.
    pub(crate) fn abc(&mut self) {
        for name in ["a", "b", "c"] {
            self.get(&format!("/{name}")).body(name);
        }
    }

    /// `/a`, for those that log in as [`BASIC`] has it.
    pub(crate) fn guarded(&mut self) {
        self.get("/a").only_for(BASIC).body(b"secret");
    }

    /// Bytes that no one asked for, at the start of every connection.
    pub(crate) fn greeting(&mut self, bytes: &[u8]) {
        self.greeting = bytes.to_vec();
    }

    /// Every connection is closed as soon as it is accepted.
    pub(crate) fn close_on_accept(&mut self) {
        self.closes_on_accept = true;
    }

    /// At most this many connections are served at once; the kernel accepts further ones.
    pub(crate) fn serve_at_once(&mut self, connections: usize) {
        self.serves_at_once = Some(connections);
    }

    /// Every connection promises keep-alive, answers `requests`, and drops the next one unanswered.
    pub(crate) fn stale_after(&mut self, requests: usize) {
        self.stale_after = Some(requests);
    }

    /// All gates that an answer may wait at; the server opens them when it stops.
    pub(super) fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.routes
            .iter()
            .flat_map(|route| &route.answers)
            .flat_map(Answer::gates)
    }
}

/// The answers of one path, in turn; the last is for ever.
pub(crate) struct Route {
    pub(super) path: String,
    pub(super) answers: Vec<Answer>,
}

/// How the end of a body is told.
#[derive(Clone, Default)]
pub(super) enum Framing {
    #[default]
    Length,
    /// A Content-Length that is not the body's.
    FalseLength(usize),
    Chunked {
        chunk: usize,
        trailers: String,
    },
    UntilClose,
}

/// What ends an answer early, after this number of bytes behind the head.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    Close(usize),
    Reset(usize),
    Stall(usize),
}

/// How the body is paced.
#[derive(Clone)]
pub(super) enum Pace {
    /// This number of bytes each time the gate lets one through.
    Gate(usize, Gate),
    /// This number of bytes a beat.
    Beat(usize, Duration, Gate),
}

/// One answer.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) version: &'static str,
    pub(super) interim: Vec<u8>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Arc<[u8]>,
    pub(super) framing: Framing,
    pub(super) fault: Option<Fault>,
    pub(super) pace: Option<Pace>,
    pub(super) gate: Option<Gate>,
    pub(super) after: Vec<u8>,
    pub(super) raw: Option<Vec<u8>>,
    pub(super) damage: Vec<u8>,
    pub(super) closes: bool,
    pub(super) sends_close_notify: bool,
    pub(super) honours_range: bool,
    /// The status of the answer to a range request.
    pub(super) refuses_ranges: Option<u16>,
    pub(super) honours_conditions: bool,
    /// The answer announces the digest of this body in Content-Digest.
    pub(super) announced: Option<Arc<[u8]>>,
    /// The Authorization header without which it answers 401.
    pub(super) authorization: Option<String>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            version: "HTTP/1.1",
            interim: Vec::new(),
            headers: Vec::new(),
            body: Arc::from(&b""[..]),
            framing: Framing::Length,
            fault: None,
            pace: None,
            gate: None,
            after: Vec::new(),
            raw: None,
            damage: Vec::new(),
            closes: false,
            sends_close_notify: true,
            honours_range: false,
            refuses_ranges: None,
            honours_conditions: false,
            announced: None,
            authorization: None,
        }
    }
}

impl Answer {
    fn gates(&self) -> impl Iterator<Item = &Gate> {
        let pace = self.pace.iter().map(|pace| match pace {
            Pace::Gate(_, gate) | Pace::Beat(_, _, gate) => gate,
        });
        self.gate.iter().chain(pace)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Route {
    fn last(&mut self) -> &mut Answer {
        self.answers.last_mut().expect("a route has an answer")
    }

    fn set(&mut self, change: impl FnOnce(&mut Answer)) -> &mut Self {
        change(self.last());
        self
    }

    /// What follows describes the next answer of this path.
    pub(crate) fn then(&mut self) -> &mut Self {
        self.answers.push(Answer::default());
        self
    }

    /// The answer so far is given `times` times in all.
    pub(crate) fn times(&mut self, times: usize) -> &mut Self {
        let answer = self.last().clone();
        self.answers
            .extend(std::iter::repeat_n(answer, times.saturating_sub(1)));
        self
    }

    pub(crate) fn status(&mut self, status: u16) -> &mut Self {
        self.set(|answer| answer.status = status)
    }

    pub(crate) fn body(&mut self, body: impl AsRef<[u8]>) -> &mut Self {
        self.set(|answer| answer.body = Arc::from(body.as_ref()))
    }

    pub(crate) fn header(&mut self, name: &str, value: &str) -> &mut Self {
        self.set(|answer| answer.headers.push((name.to_owned(), value.to_owned())))
    }

    pub(crate) fn redirect(&mut self, status: u16, location: &str) -> &mut Self {
        self.status(status)
            .header("Location", location)
            .body(b"this is the redirect's own body")
    }

    pub(crate) fn retry_after(&mut self, value: &str) -> &mut Self {
        self.header("Retry-After", value)
    }

    pub(crate) fn etag(&mut self, value: &str) -> &mut Self {
        self.header("ETag", value)
    }

    /// Sends the strong entity tag `"v1"`.
    pub(crate) fn tagged(&mut self) {
        self.etag("\"v1\"");
    }

    /// Bytes sent before the head: 1xx answers.
    pub(crate) fn interim(&mut self, bytes: &[u8]) -> &mut Self {
        self.set(|answer| answer.interim = bytes.to_vec())
    }

    /// Exactly these bytes, and the connection closes.
    pub(crate) fn raw(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.set(|answer| answer.raw = Some(bytes.as_ref().to_vec()))
    }

    /// Says HTTP/1.0, and closes.
    pub(crate) fn http10(&mut self) -> &mut Self {
        self.set(|answer| answer.version = "HTTP/1.0")
    }

    /// Says `Connection: close`, and does.
    pub(crate) fn close_after(&mut self) -> &mut Self {
        self.set(|answer| answer.closes = true)
            .header("Connection", "close")
    }

    /// Closes after the answer without having said so.
    pub(crate) fn close_silently(&mut self) -> &mut Self {
        self.set(|answer| answer.closes = true)
    }

    /// Closes a TLS connection without close_notify.
    pub(crate) fn no_close_notify(&mut self) -> &mut Self {
        self.set(|answer| answer.sends_close_notify = false)
    }

    /// No length: the body ends with the connection.
    pub(crate) fn no_length(&mut self) -> &mut Self {
        self.set(|answer| answer.framing = Framing::UntilClose)
    }

    /// A Content-Length that may be a lie.
    pub(crate) fn length(&mut self, length: usize) -> &mut Self {
        self.set(|answer| answer.framing = Framing::FalseLength(length))
    }

    /// The body goes in chunks of this size.
    pub(crate) fn chunked(&mut self, chunk: usize) -> &mut Self {
        self.set(|answer| {
            answer.framing = Framing::Chunked {
                chunk,
                trailers: String::new(),
            }
        })
    }

    /// Chunks, and trailers behind them: whole lines.
    pub(crate) fn chunked_with_trailers(&mut self, chunk: usize, trailers: &str) -> &mut Self {
        self.set(|answer| {
            answer.framing = Framing::Chunked {
                chunk,
                trailers: trailers.to_owned(),
            }
        })
    }

    /// Closes after this number of bytes behind the head.
    pub(crate) fn cut_at(&mut self, bytes: usize) -> &mut Self {
        self.set(|answer| answer.fault = Some(Fault::Close(bytes)))
    }

    /// After this number of bytes behind the head writes `damage` to the TCP connection, below TLS, and closes it.
    pub(crate) fn damage_at(&mut self, bytes: usize, damage: &[u8]) -> &mut Self {
        self.set(|answer| answer.damage = damage.to_vec())
            .cut_at(bytes)
    }

    /// Resets the connection after this number of bytes behind the head.
    pub(crate) fn cut_rst_at(&mut self, bytes: usize) -> &mut Self {
        self.set(|answer| answer.fault = Some(Fault::Reset(bytes)))
    }

    /// Sends nothing more after this number of bytes behind the head, until the client closes or the server stops.
    pub(crate) fn stall_at(&mut self, bytes: usize) -> &mut Self {
        self.set(|answer| answer.fault = Some(Fault::Stall(bytes)))
    }

    /// Answers only when the gate lets it through.
    pub(crate) fn wait_for(&mut self, gate: &Gate) -> &mut Self {
        self.set(|answer| answer.gate = Some(gate.clone()))
    }

    /// Sends this number of body bytes each time the gate lets one through.
    pub(crate) fn drip(&mut self, bytes: usize, gate: &Gate) -> &mut Self {
        self.set(|answer| answer.pace = Some(Pace::Gate(bytes, gate.clone())))
    }

    /// Sends this number of body bytes a beat: a slow server that never stalls.
    pub(crate) fn pace(&mut self, bytes: usize, beat: Duration) -> &mut Self {
        self.set(|answer| answer.pace = Some(Pace::Beat(bytes, beat, Gate::new())))
    }

    /// Bytes behind the end of the body, which belong to nothing.
    pub(crate) fn after(&mut self, bytes: &[u8]) -> &mut Self {
        self.set(|answer| answer.after = bytes.to_vec())
    }

    /// Honours Range and If-Range; without this they are ignored.
    pub(crate) fn ranges(&mut self) -> &mut Self {
        self.set(|answer| answer.honours_range = true)
            .header("Accept-Ranges", "bytes")
    }

    /// Answers range requests with this status.
    pub(crate) fn refuses_ranges(&mut self, status: u16) -> &mut Self {
        self.set(|answer| answer.refuses_ranges = Some(status))
    }

    /// Ignores Range after all, and says nothing of it.
    pub(crate) fn honours_no_range(&mut self) -> &mut Self {
        self.set(|answer| {
            answer.honours_range = false;
            answer.headers.retain(|(name, _)| name != "Accept-Ranges");
        })
    }

    /// Announces the digest of what it sends in Content-Digest, as if that were from this body.
    pub(crate) fn announcing(&mut self, body: impl AsRef<[u8]>) -> &mut Self {
        self.set(|answer| answer.announced = Some(Arc::from(body.as_ref())))
    }

    /// Answers 304 to a fitting If-None-Match.
    pub(crate) fn conditional(&mut self) -> &mut Self {
        self.set(|answer| answer.honours_conditions = true)
    }

    /// Answers 401 to a request without this Authorization.
    pub(crate) fn only_for(&mut self, authorization: &str) -> &mut Self {
        self.set(|answer| answer.authorization = Some(authorization.to_owned()))
    }
}
