//! The server's end of a connection of HTTP/2 in a simulated run, frame by frame (RFC 9113): within
//! the windows that the client grants, until whatever is to go wrong does.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::heads::Heads;
use super::random::Random;
use super::reply::{Answer, Cut, CutAt, Reply, Serve};
use crate::server::frames::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
};

/// SETTINGS_INITIAL_WINDOW_SIZE, and what holds until it is said (§6.5.2).
const INITIAL_WINDOW: u16 = 4;
const FIRST_WINDOW: i64 = 65_535;
/// No window is larger (§6.9.1).
const LARGEST_WINDOW: i64 = (1 << 31) - 1;
/// A flag of DATA (§6.1).
const PADDED: u8 = 8;
/// The longest payload that needs no leave.
const LONGEST: usize = 16_384;
/// Streams that a client may begin before it has been told.
const UNTOLD: u32 = 100;

/// What happens to a connection after it has sent a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It ends, in the midst of whatever it was about to say.
    Cut(Cut),
    /// It says goodbye (§6.8), and perhaps before that that it is about to.
    Goodbye { is_announced: bool, code: u32 },
    /// It allows only this number of streams, for a while.
    Narrow(u32),
}

impl Fate {
    /// Any of them, and after how many bytes.
    pub(super) fn any(random: &mut Random) -> (usize, Self) {
        let fate = match random.below(6) {
            0 | 1 => Self::Cut(*random.pick(&[Cut::Close, Cut::Reset, Cut::Stall])),
            2..5 => Self::Goodbye {
                is_announced: random.once_in(2),
                code: *random.pick(&[0, 0, 0, 1, 2, 11]),
            },
            _ => Self::Narrow(random.below(3) as u32),
        };
        let most = *random.pick(&[60, 600, 10_000, 200_000]);
        (random.below(most), fate)
    }
}

/// How a stream comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// With the last frame of its body, one behind that, or trailers.
    WithBody,
    Behind,
    Trailers,
    /// Early, behind this number of body bytes.
    Cut(usize, Cut),
}

/// One answer on its way.
#[derive(Debug)]
struct Stream {
    /// What is said before any of the body, if that is still to come.
    head: Option<Vec<u8>>,
    body: Cow<'static, [u8]>,
    at: usize,
    window: i64,
    ending: Ending,
    has_length: bool,
    /// When its next frame goes out, and after what time the one behind that, at most.
    next: Instant,
    pace: Duration,
}

/// The server's end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    unread: Vec<u8>,
    has_greeted: bool,
    heads: Heads,
    streams: BTreeMap<u32, Stream>,
    /// The last stream that the client has begun, and after a goodbye the last that is answered.
    last: u32,
    leaves: Option<u32>,
    window: i64,
    first_window: i64,
    /// How many streams the client may have, as it has acknowledged, and as it will yet.
    limits: VecDeque<u32>,
    widens_at: Option<Instant>,
    fate: Option<(usize, Fate)>,
    /// What it says next, and how much it has said.
    output: Vec<u8>,
    said: usize,
    /// How it has ended.
    end: Option<Cut>,
}

impl Peer {
    pub(super) fn new(fate: Option<(usize, Fate)>) -> Self {
        Self {
            unread: Vec::new(),
            has_greeted: false,
            heads: Heads::new(),
            streams: BTreeMap::new(),
            last: 0,
            leaves: None,
            window: FIRST_WINDOW,
            first_window: FIRST_WINDOW,
            limits: VecDeque::from([UNTOLD]),
            widens_at: None,
            fate,
            output: Vec::new(),
            said: 0,
            end: None,
        }
    }

    /// Takes in what the client says.
    pub(super) fn hear(
        &mut self,
        bytes: &[u8],
        site: &mut dyn Serve,
        now: Instant,
        random: &mut Random,
    ) {
        self.unread.extend(bytes);
        if !self.has_greeted {
            if self.unread.len() < PREFACE.len() {
                return;
            }
            let preface: Vec<u8> = self.unread.drain(..PREFACE.len()).collect();
            assert_eq!(preface, PREFACE);
            self.heads.feed(PREFACE);
            self.has_greeted = true;
            let most = *random.pick(&[None, Some(100), Some(7), Some(1)]);
            self.say_settings(most);
        }
        while let Some(frame) = Frame::take(&mut self.unread) {
            self.hear_frame(&frame, site, now, random);
        }
    }

    fn hear_frame(&mut self, it: &Frame, site: &mut dyn Serve, now: Instant, random: &mut Random) {
        match it.kind {
            SETTINGS if it.flags & ACK != 0 => {
                assert!(self.limits.len() > 1, "nothing was to be acknowledged");
                self.limits.pop_front();
            }
            SETTINGS => {
                self.hear_settings(&it.payload);
                self.heads.feed(&frame(SETTINGS, 0, 0, &it.payload));
                self.output.extend(frame(SETTINGS, ACK, 0, &[]));
            }
            HEADERS | CONTINUATION => {
                self.heads
                    .feed(&frame(it.kind, it.flags, it.stream, &it.payload));
                if it.kind == HEADERS {
                    self.begin(it.stream);
                }
                while let Some(mut request) = self.heads.next() {
                    request.at = Some(now);
                    let answer = site.answer(&request, random);
                    if self.leaves.is_none_or(|last| it.stream <= last) {
                        let stream = Stream::new(it.stream, answer, now, random);
                        let window = self.first_window;
                        self.streams.insert(it.stream, Stream { window, ..stream });
                    }
                }
            }
            RST_STREAM => drop(self.streams.remove(&it.stream)),
            WINDOW_UPDATE => self.widen(it),
            PING if it.flags & ACK == 0 => self.output.extend(frame(PING, ACK, 0, &it.payload)),
            DATA => panic!("no request has a body"),
            GOAWAY => assert!(matches!(it.code(), 0 | 8), "a complaint: {it:?}"),
            _ => {}
        }
    }

    /// A stream begins: it must be one that may.
    fn begin(&mut self, number: u32) {
        assert!(number > self.last && number % 2 == 1, "stream {number}");
        self.last = number;
        let most = self.limits.iter().max().copied().unwrap_or(UNTOLD);
        let open = self.streams.len();
        assert!(
            open < most as usize,
            "{open} streams and one more of {most}"
        );
    }

    fn hear_settings(&mut self, payload: &[u8]) {
        for setting in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([setting[0], setting[1]]);
            if name == INITIAL_WINDOW {
                let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
                let change = i64::from(value) - self.first_window;
                self.first_window += change;
                let streams = self.streams.values_mut();
                streams.for_each(|stream| stream.window += change);
            }
        }
    }

    fn widen(&mut self, it: &Frame) {
        let by = i64::from(
            Frame {
                kind: RST_STREAM,
                ..it.clone()
            }
            .code(),
        );
        let window = match it.stream {
            0 => Some(&mut self.window),
            number => self
                .streams
                .get_mut(&number)
                .map(|stream| &mut stream.window),
        };
        if let Some(window) = window {
            *window += by;
            assert!(by > 0 && *window <= LARGEST_WINDOW, "a window of {window}");
        }
    }

    fn say_settings(&mut self, most: Option<u32>) {
        let most = most.map(frames::max_streams);
        self.output.extend(frames::settings(most.as_slice()));
        self.limits
            .push_back(most.map_or(u32::MAX, |(_, most)| most));
    }

    /// What it says now, and how it ends behind that, if it does.
    pub(super) fn speak(&mut self, now: Instant, random: &mut Random) -> (Vec<u8>, Option<Cut>) {
        if self.end.is_some() || !self.has_greeted {
            return (Vec::new(), None);
        }
        if self.widens_at.take_if(|at| *at <= now).is_some() {
            self.say_settings(Some(100));
        }
        let mut frames = 0;
        loop {
            self.meet_fate(now, random);
            if self.end.is_some() {
                break;
            }
            let due = self
                .streams
                .iter()
                .filter(|(_, it)| self.may_speak(it) && it.next <= now);
            let due: Vec<u32> = due.map(|(number, _)| *number).collect();
            if due.is_empty() {
                break;
            }
            frames += 1;
            let is_tiny = frames < 40 && random.once_in(3);
            self.say_something_else(random);
            self.say_of(
                *random.pick(&due),
                if is_tiny { 9 } else { LONGEST },
                random,
            );
        }
        self.said += self.output.len();
        (std::mem::take(&mut self.output), self.end)
    }

    /// When it next has something to send.
    pub(super) fn next(&self) -> Option<Instant> {
        let speakers = self.streams.values().filter(|it| self.may_speak(it));
        let times = speakers.map(|stream| stream.next).chain(self.widens_at);
        if self.end.is_some() {
            return None;
        }
        times.min()
    }

    /// Whether a stream has a frame that its windows do not hold up.
    fn may_speak(&self, stream: &Stream) -> bool {
        let room = stream.window.min(self.window);
        stream.head.is_some() || stream.rest() == 0 || room > 0
    }

    /// What a client is to pass over (§5.5), or to answer.
    fn say_something_else(&mut self, random: &mut Random) {
        if !random.once_in(20) {
            return;
        }
        let said = match random.below(4) {
            0 => frame(PING, 0, 0, b"whatever"),
            1 => frame(0xbb, 0xff, 0, b"unknown"),
            2 => frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]),
            _ => frames::settings(&[]),
        };
        if said[3] == SETTINGS {
            let most = *self.limits.back().expect("a limit");
            self.limits.push_back(most);
        }
        self.output.extend(said);
    }

    /// Says the next frame of a stream, with no more of its body than this.
    fn say_of(&mut self, number: u32, most: usize, random: &mut Random) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        stream.next += random.delay(stream.pace);
        if let Some(cut) = stream.cut_now() {
            self.cut(number, cut, random);
            return;
        }
        if let Some(head) = stream.head.take() {
            self.output.extend(head);
            if stream.body.is_empty() && stream.ending == Ending::WithBody {
                self.streams.remove(&number);
            }
            return;
        }
        if stream.rest() == 0 {
            let ending = stream.ending;
            self.streams.remove(&number);
            self.output.extend(match ending {
                Ending::Trailers => {
                    let section = frames::section(&[("x-trailer", "yes")]);
                    frame(HEADERS, END_HEADERS | END_STREAM, number, &section)
                }
                _ => frame(DATA, END_STREAM, number, &[]),
            });
            return;
        }
        self.say_body(number, most, random);
    }

    /// Says a part of a stream's body, as the windows allow: with padding, which counts as well
    /// (§6.1), or without.
    fn say_body(&mut self, number: u32, most: usize, random: &mut Random) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        let room = stream.window.min(self.window).max(0) as usize;
        let count = stream.rest().min(room).min(1 + random.below(most));
        let is_padded = random.once_in(10) && count + 9 < room.min(LONGEST);
        let part = &stream.body[stream.at..stream.at + count];
        stream.at += count;
        let is_over = stream.ending == Ending::WithBody && stream.rest() == 0;
        let flags = u8::from(is_over) * END_STREAM;
        let said = if is_padded {
            frame(
                DATA,
                flags | PADDED,
                number,
                &[&[8], part, &[0; 8]].concat(),
            )
        } else {
            frame(DATA, flags, number, part)
        };
        let cost = said.len() as i64 - 9;
        self.window -= cost;
        stream.window -= cost;
        self.output.extend(said);
        if is_over {
            self.streams.remove(&number);
        }
    }

    /// Ends a stream before its time.
    fn cut(&mut self, number: u32, cut: Cut, random: &mut Random) {
        let Some(stream) = self.streams.remove(&number) else {
            return;
        };
        let has_begun = stream.head.is_none();
        let is_short = has_begun && stream.has_length && stream.at < stream.body.len();
        match cut {
            Cut::Stall => {}
            Cut::Close if is_short => self.output.extend(frame(DATA, END_STREAM, number, &[])),
            Cut::Close | Cut::Reset => {
                // All but HTTP_1_1_REQUIRED, which the client handles differently.
                let code = *random.pick(&[0, 1, 2, 3, 5, 7, 7, 8, 9, 11, 12, 0xff]);
                self.output.extend(frames::reset(number, code));
            }
        }
    }

    /// Carries out the fate of the connection once it has sent enough bytes.
    fn meet_fate(&mut self, now: Instant, random: &mut Random) {
        let said = self.said + self.output.len();
        let Some((at, fate)) = self.fate.take_if(|(at, _)| *at <= said) else {
            return;
        };
        match fate {
            Fate::Cut(cut) => {
                self.output.truncate(at.saturating_sub(self.said));
                self.end = Some(cut);
            }
            Fate::Narrow(most) => {
                self.say_settings(Some(most));
                self.widens_at = Some(now + Duration::from_secs(1 + random.below(8) as u64));
            }
            Fate::Goodbye {
                is_announced: true,
                code,
            } => {
                self.output.extend(frames::goaway(u32::MAX >> 1, 0));
                let later = said + random.below(2_000);
                let fate = Fate::Goodbye {
                    is_announced: false,
                    code,
                };
                self.fate = Some((later, fate));
            }
            Fate::Goodbye {
                is_announced: false,
                code,
            } => {
                let last = match random.below(3) {
                    0 => 0,
                    1 => random.below(self.last as usize + 1) as u32,
                    _ => self.last,
                };
                // Of what it leaves out it says no more.
                self.streams.retain(|number, _| *number <= last);
                self.leaves = Some(last);
                self.output.extend(frames::goaway(last, code));
                if code != 0 || random.once_in(3) {
                    self.end = Some(*random.pick(&[Cut::Close, Cut::Reset]));
                } else if random.once_in(2) {
                    let later = said + random.below(20_000);
                    self.fate = Some((later, Fate::Cut(Cut::Close)));
                }
            }
        }
    }
}

impl Stream {
    fn new(number: u32, answer: Answer, now: Instant, random: &mut Random) -> Self {
        let Answer {
            reply,
            cut,
            cut_at,
            pace,
        } = answer;
        let is_bare = reply.is_bare();
        let Reply {
            status,
            fields,
            body,
            ..
        } = reply;
        let length = body.len().to_string();
        let mut all: Vec<(String, &str)> = Vec::new();
        for (name, value) in &fields {
            all.push((name.to_ascii_lowercase(), value));
        }
        let has_length = !is_bare && !random.once_in(3);
        if has_length {
            all.push(("content-length".to_owned(), &length));
        }
        let ending = match cut {
            // The end of what is cut would not be seen.
            Some(cut) => {
                let at = match cut_at {
                    CutAt::Start => 0,
                    CutAt::Anywhere => random.below(body.len() + 2),
                    CutAt::Body => 1 + random.below(body.len() + 1),
                };
                Ending::Cut(at, cut)
            }
            None => *random.pick(&[
                Ending::WithBody,
                Ending::WithBody,
                Ending::Behind,
                Ending::Trailers,
            ]),
        };
        let is_all = body.is_empty() && ending == Ending::WithBody;
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (&**name, *value)).collect();
        let mut head = Vec::new();
        if random.once_in(10) {
            head.extend(frames::head(number, "103", &[("link", "</x>")], 0));
        }
        head.extend(split(
            frames::head(number, &status.to_string(), &all, u8::from(is_all)),
            random,
        ));
        Self {
            head: Some(head),
            body,
            at: 0,
            window: 0,
            ending,
            has_length,
            next: now + random.delay(Duration::from_secs(5)),
            pace,
        }
    }

    /// How it ends before its time, if it is there.
    fn cut_now(&self) -> Option<Cut> {
        match self.ending {
            Ending::Cut(0, cut) => Some(cut),
            Ending::Cut(_, cut) => (self.head.is_none() && self.rest() == 0).then_some(cut),
            _ => None,
        }
    }

    /// Bytes that it is still to bring before its end, whatever that is.
    fn rest(&self) -> usize {
        let end = match self.ending {
            Ending::Cut(at, _) => at.saturating_sub(1).min(self.body.len()),
            _ => self.body.len(),
        };
        end.saturating_sub(self.at)
    }
}

/// This head, sometimes divided over two frames (§6.10).
fn split(head: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let mut rest = head.clone();
    let whole = Frame::take(&mut rest).expect("a frame");
    if !random.once_in(8) {
        return head;
    }
    let (one, other) = whole.payload.split_at(random.below(whole.payload.len()));
    let mut both = frame(HEADERS, whole.flags & !END_HEADERS, whole.stream, one);
    both.extend(frame(CONTINUATION, END_HEADERS, whole.stream, other));
    both
}
