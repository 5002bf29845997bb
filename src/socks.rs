//! The client side of SOCKS5 (RFC 1928, RFC 1929), without I/O.
//!
//! ```text
//!  greeting ──► Method ─┬─ no login ──────────────► Reply ──► done
//!                       └─ user, password ─► Login ──┘
//! ```
//!
//! Every answer has a known length, so bytes of the destination behind the last one are never consumed.

use std::net::IpAddr;

use crate::error::{ProxyFault, SocksReply};
use crate::http::Credentials;

/// The version of the protocol…
const VERSION: u8 = 5;
/// …and of the login.
const LOGIN_VERSION: u8 = 1;
/// The method without a login (RFC 1928 §3).
const NO_LOGIN: u8 = 0;
/// The method with a user and a password (RFC 1928 §3).
const PASSWORD: u8 = 2;
/// The command to connect (RFC 1928 §4).
const CONNECT: u8 = 1;
/// Kinds of addresses (RFC 1928 §5).
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The host that the proxy connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A name, which the proxy looks up.
    Name(&'a str),
    /// An address.
    Address(IpAddr),
}

/// The handshake on a connected socket, up to a connection with the host.
#[derive(Debug)]
pub struct Handshake {
    awaits: Awaits,
    /// The received part of the expected answer.
    incoming: Vec<u8>,
    outgoing: Outgoing,
    /// The login, if the proxy selects that method.
    login: Option<Outgoing>,
    /// The command to connect.
    request: Outgoing,
}

/// Bytes to send, which may contain a password.
#[derive(Default)]
struct Outgoing(Vec<u8>);

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    Method,
    Login,
    Reply,
    Nothing,
}

impl Handshake {
    /// A new handshake. With `credentials`, it offers a login by user and password.
    ///
    /// # Errors
    /// [`ProxyFault::LongName`]: the name is empty, or longer than 255 bytes.
    pub fn new(
        target: Target<'_>,
        port: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Self, ProxyFault> {
        let methods: &[u8] = match credentials {
            None => &[NO_LOGIN],
            Some(_) => &[NO_LOGIN, PASSWORD],
        };
        let greeting = [&[VERSION, methods.len() as u8], methods].concat();
        Ok(Self {
            awaits: Awaits::Method,
            incoming: Vec::new(),
            outgoing: Outgoing(greeting),
            login: credentials.map(login),
            request: Outgoing(request(target, port)?),
        })
    }

    /// Bytes to send now.
    pub fn unsent(&self) -> &[u8] {
        &self.outgoing.0
    }

    /// Removes bytes that were sent.
    pub fn sent(&mut self, count: usize) {
        self.outgoing.0.drain(..count.min(self.outgoing.0.len()));
    }

    /// The minimum number of bytes to receive next; 0 once the connection is established. Until the client sends again,
    /// the proxy sends only these, and then bytes of the host.
    pub fn missing(&self) -> usize {
        let wanted = match (self.awaits, &*self.incoming) {
            (Awaits::Nothing, _) => 0,
            (Awaits::Method | Awaits::Login, _) => 2,
            // The version and the result, then the address that the proxy connects from.
            (Awaits::Reply, [] | [_]) => 2,
            (Awaits::Reply, [_, _, _, IPV4, _, ..]) => 4 + 4 + 2,
            (Awaits::Reply, [_, _, _, IPV6, _, ..]) => 4 + 16 + 2,
            (Awaits::Reply, [_, _, _, _, length, ..]) => 4 + 1 + usize::from(*length) + 2,
            (Awaits::Reply, _) => 5,
        };
        wanted.saturating_sub(self.incoming.len())
    }

    /// Takes received bytes. Returns how many it consumed: all, unless the connection is established.
    ///
    /// # Errors
    /// Why the proxy does not connect.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<usize, ProxyFault> {
        let mut consumed = 0;
        while self.missing() > 0 && consumed < bytes.len() {
            let rest = &bytes[consumed..];
            let taken = self.missing().min(rest.len());
            self.incoming.extend_from_slice(&rest[..taken]);
            consumed += taken;
            self.advance()?;
        }
        Ok(consumed)
    }

    /// Evaluates the received part of an answer.
    fn advance(&mut self) -> Result<(), ProxyFault> {
        let (version, verdict) = match *self.incoming {
            [version, verdict, ..] => (version, verdict),
            [version] => return self.check(version),
            [] => return Ok(()),
        };
        self.check(version)?;
        match (self.awaits, verdict) {
            (Awaits::Method, NO_LOGIN) => self.send_request(),
            (Awaits::Method, PASSWORD) => match self.login.take() {
                Some(login) => self.send(login, Awaits::Login),
                None => return Err(ProxyFault::NotSocks),
            },
            (Awaits::Method, 0xff) => {
                return Err(if self.login.is_some() {
                    ProxyFault::LoginRefused
                } else {
                    ProxyFault::LoginWanted
                });
            }
            (Awaits::Method, _) => return Err(ProxyFault::NotSocks),
            (Awaits::Login, 0) => self.send_request(),
            (Awaits::Login, _) => return Err(ProxyFault::LoginRefused),
            (Awaits::Reply, 0) => self.check_reply()?,
            (Awaits::Reply, reply) => return Err(ProxyFault::Socks(SocksReply(reply))),
            (Awaits::Nothing, _) => {}
        }
        Ok(())
    }

    fn check(&self, version: u8) -> Result<(), ProxyFault> {
        let is_right = match self.awaits {
            // RFC 1929 has another version number, which some servers confuse with that of the protocol.
            Awaits::Login => version == LOGIN_VERSION || version == VERSION,
            _ => version == VERSION,
        };
        is_right.then_some(()).ok_or(ProxyFault::NotSocks)
    }

    fn check_reply(&mut self) -> Result<(), ProxyFault> {
        if let Some(kind) = self.incoming.get(3)
            && ![IPV4, NAME, IPV6].contains(kind)
        {
            return Err(ProxyFault::NotSocks);
        }
        if self.missing() == 0 {
            self.awaits = Awaits::Nothing;
            self.incoming = Vec::new();
        }
        Ok(())
    }

    fn send_request(&mut self) {
        let request = std::mem::take(&mut self.request);
        self.send(request, Awaits::Reply);
    }

    fn send(&mut self, bytes: Outgoing, awaits: Awaits) {
        self.outgoing = bytes;
        self.awaits = awaits;
        self.incoming.clear();
    }
}

/// The user and the password (RFC 1929 §2). Each is cut after 255 bytes; a [`Proxy`](crate::http::Proxy) has none
/// that is longer.
fn login(credentials: &Credentials) -> Outgoing {
    let mut bytes = vec![LOGIN_VERSION];
    for part in [credentials.user(), credentials.password()] {
        let part = &part[..part.len().min(255)];
        bytes.push(part.len() as u8);
        bytes.extend_from_slice(part);
    }
    Outgoing(bytes)
}

/// The command to connect (RFC 1928 §4).
fn request(target: Target<'_>, port: u16) -> Result<Vec<u8>, ProxyFault> {
    let mut bytes = vec![VERSION, CONNECT, 0];
    match target {
        Target::Address(IpAddr::V4(address)) => {
            bytes.push(IPV4);
            bytes.extend_from_slice(&address.octets());
        }
        Target::Address(IpAddr::V6(address)) => {
            bytes.push(IPV6);
            bytes.extend_from_slice(&address.octets());
        }
        Target::Name(name) => {
            let length = u8::try_from(name.len()).unwrap_or(0);
            if length == 0 {
                return Err(ProxyFault::LongName);
            }
            bytes.extend_from_slice(&[NAME, length]);
            bytes.extend_from_slice(name.as_bytes());
        }
    }
    bytes.extend_from_slice(&port.to_be_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers the answers of a proxy in turn, in pieces of `step` bytes. Returns what was sent, and the number of
    /// bytes left of the last answer.
    fn talk(
        mut handshake: Handshake,
        answers: &[&[u8]],
        step: usize,
    ) -> Result<(Vec<Vec<u8>>, usize), ProxyFault> {
        let mut told = Vec::new();
        let mut left = 0;
        for answer in answers {
            told.push(handshake.unsent().to_vec());
            handshake.sent(usize::MAX);
            assert_eq!(handshake.unsent(), b"");
            left = 0;
            for piece in answer.chunks(step) {
                left += piece.len() - handshake.receive(piece)?;
            }
        }
        assert_eq!(handshake.missing(), 0);
        Ok((told, left))
    }

    fn to(target: Target<'_>, login: Option<&str>) -> Handshake {
        Handshake::new(target, 443, login.map(Credentials::parse).as_ref()).unwrap()
    }

    const NAMED: Target<'_> = Target::Name("a.example");
    const V4_REPLY: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80];

    #[test]
    fn names_and_addresses_are_told_as_the_rfc_has_it() {
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        for (target, said) in [
            (NAMED, &b"\x05\x01\x00\x03\x09a.example\x01\xbb"[..]),
            (
                Target::Address([192, 0, 2, 1].into()),
                b"\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb",
            ),
            (
                Target::Address(v6),
                b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb",
            ),
        ] {
            let (told, left) = talk(to(target, None), &[&[5, 0], V4_REPLY], 1).unwrap();
            assert_eq!(told, [b"\x05\x01\x00", said]);
            assert_eq!(left, 0);
        }
    }

    #[test]
    fn a_login_is_given_only_when_it_is_asked_for() {
        let (told, _) = talk(to(NAMED, Some("u:pw")), &[&[5, 0], V4_REPLY], 3).unwrap();
        assert_eq!((told.len(), &*told[0]), (2, &b"\x05\x02\x00\x02"[..]));
        for version in [1, 5] {
            let answers: [&[u8]; 3] = [&[5, 2], &[version, 0], V4_REPLY];
            let (told, _) = talk(to(NAMED, Some("u:pw")), &answers, 1).unwrap();
            assert_eq!(told[1], b"\x01\x01u\x02pw");
        }
    }

    #[test]
    fn what_follows_the_reply_is_left_whatever_kind_of_address_it_has() {
        let long = [&[5, 0, 0, 3, 255], &[b'a'; 255][..], &[0, 80]].concat();
        let v6 = [&[5, 0, 0, 4], &[0; 18][..]].concat();
        for reply in [V4_REPLY, &v6, &long, &[5, 0, 0, 3, 0, 0, 80]] {
            let followed = [reply, b"hello"].concat();
            for step in 1..=followed.len() {
                let (_, left) = talk(to(NAMED, None), &[&[5, 0], &followed], step).unwrap();
                assert_eq!(left, 5, "{reply:?} by {step}");
            }
        }
    }

    #[test]
    fn refusals_are_told_as_soon_as_they_are_known() {
        let refused = |answers: &[&[u8]], login| talk(to(NAMED, login), answers, 1).unwrap_err();
        assert_eq!(refused(&[&[5, 0xff]], None), ProxyFault::LoginWanted);
        assert_eq!(refused(&[&[5, 0xff]], Some("u")), ProxyFault::LoginRefused);
        assert_eq!(
            refused(&[&[5, 2], &[1, 1]], Some("u")),
            ProxyFault::LoginRefused
        );
        for reply in 1..=255 {
            let fault = refused(&[&[5, 0], &[5, reply]], None);
            assert_eq!(fault, ProxyFault::Socks(SocksReply(reply)));
        }
    }

    #[test]
    fn what_is_not_socks5_is_refused_at_its_first_wrong_byte() {
        for answers in [
            &[&b"H"[..]][..],
            &[&[4]],
            &[&[5, 1]],
            // A login that was not offered.
            &[&[5, 2]],
            &[&[5, 0], &[4]],
            &[&[5, 0], &[5, 0, 0, 2]],
            &[&[5, 0], &[5, 0, 0, 0]],
        ] {
            let refused = talk(to(NAMED, None), answers, 1);
            assert_eq!(refused, Err(ProxyFault::NotSocks), "{answers:?}");
        }
    }

    #[test]
    fn a_name_that_has_no_room_is_refused() {
        for name in [String::new(), "a".repeat(256)] {
            let handshake = Handshake::new(Target::Name(&name), 80, None);
            assert_eq!(handshake.err(), Some(ProxyFault::LongName));
        }
    }

    #[test]
    fn a_login_is_not_shown() {
        let shown = format!("{:?}", to(NAMED, Some("u:hunter2")));
        assert!(!shown.contains("104, 117"), "{shown}");
    }
}
