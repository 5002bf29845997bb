//! Failures of a proxy, before the host has received any byte.

use std::fmt;

use super::{Malformed, RETRIED_STATUSES, meaning};

/// Why a proxy has not connected to the host. The message follows the proxy's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyFault {
    /// It answered CONNECT with a status other than 2xx (RFC 9110 §9.3.6).
    #[error("{}", refusal(*.0))]
    Status(u16),
    /// It requires a login, or offers no supported method of authentication (RFC 1928 §3).
    #[error("asks for a login")]
    LoginWanted,
    /// It rejects the user and password (RFC 1929 §2).
    #[error("does not accept the login")]
    LoginRefused,
    /// It sent this SOCKS5 reply.
    #[error("cannot connect: {0}")]
    Socks(SocksReply),
    /// Its response is not HTTP.
    #[error("sent a malformed response: {0}")]
    Malformed(Malformed),
    /// Its response is not SOCKS version 5 (RFC 1928).
    #[error("sent a malformed response: not SOCKS5")]
    NotSocks,
    /// It closed the connection before its response was complete.
    #[error("closed the connection before its response was complete")]
    Closed,
    /// The host's name is too long for SOCKS (RFC 1928 §5).
    #[error("does not accept a host name of more than 255 bytes")]
    LongName,
}

impl ProxyFault {
    /// Whether authentication has failed: 407, the 401 that some proxies send instead, or their equivalents in SOCKS.
    pub fn is_authentication(&self) -> bool {
        matches!(
            self,
            Self::Status(401 | 407) | Self::LoginWanted | Self::LoginRefused
        )
    }

    /// Whether the response was malformed.
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::NotSocks)
    }

    /// Whether a retry may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status(status) => RETRIED_STATUSES.contains(status),
            Self::Socks(reply) => !matches!(reply.0, 2 | 7 | 8),
            Self::Closed => true,
            Self::LoginWanted
            | Self::LoginRefused
            | Self::Malformed(_)
            | Self::NotSocks
            | Self::LongName => false,
        }
    }
}

fn refusal(status: u16) -> String {
    let verdict = match status {
        401 | 407 => "asks for a login",
        _ => "refuses to connect",
    };
    match meaning(status) {
        Some(reason) => format!("{verdict}: status {status}, {reason}"),
        None => format!("{verdict}: status {status}"),
    }
}

/// The failure reply of a SOCKS5 proxy (RFC 1928 §6); never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocksReply(pub u8);

impl fmt::Display for SocksReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "general failure",
            2 => "its rules do not allow it",
            3 => "the network is unreachable",
            4 => "the host is unreachable",
            5 => "the host refused the connection",
            6 => "the time to live ran out",
            7 => "it does not know the command",
            8 => "it does not know that kind of address",
            other => return write!(f, "SOCKS reply {other}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_status_and_says_whose_login_is_asked_for() {
        assert_eq!(
            ProxyFault::Status(407).to_string(),
            "asks for a login: status 407, proxy authentication required"
        );
        assert_eq!(
            ProxyFault::Status(302).to_string(),
            "refuses to connect: status 302"
        );
        assert!(ProxyFault::Status(407).is_authentication());
        assert!(!ProxyFault::Status(403).is_retryable());
        assert!(ProxyFault::Status(502).is_retryable());
    }

    #[test]
    fn what_a_proxy_forbids_is_not_tried_again() {
        for reply in 1..=8 {
            let fault = ProxyFault::Socks(SocksReply(reply));
            assert_eq!(fault.is_retryable(), ![2, 7, 8].contains(&reply), "{fault}");
        }
    }
}
