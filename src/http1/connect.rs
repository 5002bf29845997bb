//! The request for a tunnel through a proxy, and its response: CONNECT (RFC 9110 §9.3.6).

use super::request::{append_line, encode_fields};
use super::{MAX_INTERIM, head};
use crate::error::Malformed;
use crate::http::{Response, Unsendable};

/// The method of a request for a tunnel.
pub const CONNECT: &str = "CONNECT";

/// The head of a request for a tunnel to `authority`, a host and a port (RFC 9112 §3.2.3). `login` is the value of
/// Proxy-Authorization.
///
/// # Errors
///
/// [`Unsendable`] if the authority would end its line.
pub fn connect(authority: &str, login: Option<&str>) -> Result<Vec<u8>, Unsendable> {
    let login = login.map(|login| ("Proxy-Authorization", login));
    let fields = [Some(("Host", authority)), login];
    let mut head = Vec::new();
    append_line(&mut head, CONNECT, authority)?;
    encode_fields(&mut head, fields.into_iter().flatten())?;
    Ok(head)
}

/// Reads the response to [`connect`] from bytes in pieces of any size, up to the end of its head. The bytes behind it
/// belong to the tunnel.
#[derive(Debug, Default)]
pub struct ConnectAnswer {
    head: head::Reader,
    response: Response,
    interim_count: u32,
}

impl ConnectAnswer {
    /// The response, once its head is complete.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Takes received bytes. Returns how many belong to the response, and the status once the head of the final
    /// response is complete. Content-Length and Transfer-Encoding are ignored: with a 2xx status they have no
    /// meaning, and with another one the connection closes.
    ///
    /// # Errors
    ///
    /// How the response breaks the rules of HTTP.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(usize, Option<u16>), Malformed> {
        let mut consumed = 0;
        loop {
            let (taken, whole) = self.head.receive(&bytes[consumed..], &mut self.response)?;
            consumed += taken;
            match self.response.status {
                _ if whole.is_none() => return Ok((consumed, None)),
                101 => return Err(Malformed::Upgrade),
                status @ 200.. => return Ok((consumed, Some(status))),
                _ if self.interim_count == MAX_INTERIM => return Err(Malformed::TooManyInterim),
                _ => self.interim_count += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_asked_for_by_authority_and_with_the_proxy_s_own_login() {
        assert_eq!(
            connect("[::1]:443", None).unwrap(),
            b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
        );
        let login = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        let asked = String::from_utf8(connect("h:80", Some(login)).unwrap()).unwrap();
        let line = format!("\r\nProxy-Authorization: {login}\r\n\r\n");
        assert!(asked.ends_with(&line), "{asked}");
        assert_eq!(connect("h:80\r\nX: y", None), Err(Unsendable::Target));
    }

    fn received(bytes: &[u8], step: usize) -> Result<(usize, Option<u16>), Malformed> {
        let mut answer = ConnectAnswer::default();
        let mut at = 0;
        while at < bytes.len() {
            let end = bytes.len().min(at + step);
            let (consumed, status) = answer.receive(&bytes[at..end])?;
            at += consumed;
            if status.is_some() {
                return Ok((at, status));
            }
            assert_eq!(at, end, "nothing is left lying");
        }
        Ok((at, None))
    }

    #[test]
    fn what_follows_the_empty_line_is_left() {
        for head in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200\nTransfer-Encoding: chunked\nContent-Length: 5\n\n",
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\n",
        ] {
            let bytes = [head.as_bytes(), b"hello"].concat();
            for step in 1..=bytes.len() {
                let (consumed, status) = received(&bytes, step).unwrap();
                assert_eq!(consumed, head.len(), "{head:?} by {step}");
                assert!(status.is_some_and(|status| status >= 200), "{head:?}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let endless = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        let giant = [b"HTTP/1.1 200 OK\r\nA: ", &[b'a'; 300_000][..]].concat();
        for (bytes, malformed) in [
            (&b"SSH-2.0-OpenSSH\r\n"[..], Malformed::NotHttp),
            (b"\x05\x00", Malformed::NotHttp),
            (b"HTTP/1.1 101 Switching\r\n\r\n", Malformed::Upgrade),
            (&endless, Malformed::TooManyInterim),
            (&giant, Malformed::HeadTooLong),
        ] {
            for step in [1, 7, 4096] {
                assert_eq!(received(bytes, step), Err(malformed));
            }
        }
        assert_eq!(received(b"HTTP/1.1 200 OK\r\n", 5), Ok((17, None)));
    }
}
