//! The faults of TLS: what an error of rustls, a refused certificate or an alert means, in words.

use std::fmt;
use std::time::{Duration, SystemTime};

use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::UnixTime;

use crate::error::Fault;

/// The fault of an error of rustls. A refused certificate and a refused protocol are permanent; other errors may not
/// occur again.
pub(super) fn fault(error: rustls::Error) -> Fault {
    match &error {
        rustls::Error::InvalidCertificate(refused) => {
            Fault::Certificate(certificate_error(refused).into())
        }
        rustls::Error::NoCertificatesPresented => Fault::Certificate(error.into()),
        rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            Fault::VersionRefused
        }
        rustls::Error::InvalidMessage(_) => Fault::Tls("what came is not TLS".into()),
        rustls::Error::AlertReceived(alert) if is_of_identity(*alert) => {
            Fault::IdentityRefused(alert_text(*alert))
        }
        rustls::Error::AlertReceived(alert) => Fault::Tls(alert_text(*alert).into()),
        rustls::Error::PeerIncompatible(why) => {
            Fault::Tls(format!("the server is too old: {}{OFFERED}", words(why)).into())
        }
        rustls::Error::PeerMisbehaved(why) => {
            Fault::Tls(format!("the server broke the rules of TLS: {}", words(why)).into())
        }
        rustls::Error::InappropriateMessage { got_type, .. } => {
            Fault::Tls(format!("unexpected message: {}", words(got_type)).into())
        }
        rustls::Error::InappropriateHandshakeMessage { got_type, .. } => {
            Fault::Tls(format!("unexpected message: {}", words(got_type)).into())
        }
        _ => Fault::Tls(error.into()),
    }
}

/// Why a certificate was refused, as text.
fn certificate_error(refused: &CertificateError) -> String {
    match refused {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("it expired at {}", date(not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}", date(not_before))
        }
        CertificateError::UnknownIssuer => {
            "its issuer is not trusted, or a certificate between the two is missing".to_owned()
        }
        CertificateError::BadSignature => "its signature is not its issuer's".to_owned(),
        CertificateError::Expired => "it has expired".to_owned(),
        CertificateError::NotValidYet => "it is not valid yet".to_owned(),
        CertificateError::Revoked => "its issuer has revoked it".to_owned(),
        CertificateError::BadEncoding => "it is damaged".to_owned(),
        CertificateError::NotValidForName => "it is for another host".to_owned(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let presented: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            let names = match &presented[..] {
                [] => "no host".to_owned(),
                names => names.join(", "),
            };
            format!("it is for {names}, not for {}", expected.to_str())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not one for servers".to_owned()
        }
        CertificateError::Other(other) => other.to_string(),
        refused => words(refused),
    }
}

/// A name of a certificate without its kind: `a.example` for `DnsName("a.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

/// The name of a variant as words: `no cipher suites in common`. Its fields are left out.
fn words(variant: &impl fmt::Debug) -> String {
    spelled(variant, ' ')
}

/// The name of a variant in lower case, with a separator between its words.
fn spelled(variant: &impl fmt::Debug, separator: char) -> String {
    let debug = format!("{variant:?}");
    let name = debug.split(|c: char| !c.is_ascii_alphanumeric()).next();
    let name = name.unwrap_or_default().as_bytes();
    let mut words = String::new();
    for (index, byte) in name.iter().enumerate() {
        let after = index.checked_sub(1).and_then(|before| name.get(before));
        let next = name.get(index + 1);
        // The last capital of several begins a word, if a small letter follows it: `PSKIdentity`.
        let begins = byte.is_ascii_uppercase()
            && after.is_some_and(|after| {
                !after.is_ascii_uppercase() || next.is_some_and(u8::is_ascii_lowercase)
            });
        if begins {
            words.push(separator);
        }
        words.push(byte.to_ascii_lowercase().into());
    }
    words
}

/// A time as RFC 3339; empty if the clock cannot hold it.
fn date(time: &UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(String::new, |time| {
        humantime::format_rfc3339_seconds(time).to_string()
    })
}

/// Whether an alert from a server is about the client's certificate, or the lack of one (RFC 8446 §6.2). Since TLS 1.3
/// it arrives after the client's handshake is over.
fn is_of_identity(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

/// The alert that the server ended the session with (RFC 8446 §6.2), and the meaning of the most frequent ones.
fn alert_text(alert: AlertDescription) -> String {
    let meaning = match alert {
        AlertDescription::ProtocolVersion => ": it speaks none of the versions that are allowed",
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            ": it accepts nothing that was offered"
        }
        alert if is_of_identity(alert) => {
            ": it wants another certificate of the client's, or one at all"
        }
        _ => "",
    };
    let offered = match alert {
        AlertDescription::ProtocolVersion
        | AlertDescription::HandshakeFailure
        | AlertDescription::InsufficientSecurity => OFFERED,
        _ => "",
    };
    let name = match alert {
        AlertDescription::Unknown(number) => number.to_string(),
        alert => spelled(&alert, '_'),
    };
    format!("the server sent the alert {name}{meaning}{offered}")
}

/// The versions and cipher suites of the program, for messages. Those of other servers are not safe.
const OFFERED: &str = " (TLS 1.3; TLS 1.2 with ECDHE and AES-GCM or ChaCha20)";

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};
    use rustls_pki_types::ServerName;

    #[test]
    fn no_message_has_the_name_of_a_type() {
        let name = ServerName::try_from("b.example").unwrap();
        let other = CertificateError::NotValidForNameContext {
            expected: name,
            presented: vec![
                "DnsName(\"a.example\")".to_owned(),
                "IpAddress(192.0.2.1)".to_owned(),
            ],
        };
        for (error, wanted) in [
            (
                Error::InvalidCertificate(other),
                "it is for a.example, 192.0.2.1, not for b.example",
            ),
            (
                Error::InvalidCertificate(CertificateError::Expired),
                "it has expired",
            ),
            (
                Error::InvalidCertificate(CertificateError::UnhandledCriticalExtension),
                "unhandled critical extension",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownPSKIdentity),
                "the alert unknown_psk_identity",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "the alert unknown_ca",
            ),
            (
                Error::AlertReceived(AlertDescription::Unknown(200)),
                "the alert 200",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                "server does not support tls12 or13",
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::TooMuchEarlyDataReceived),
                "too much early data received",
            ),
            (Error::InvalidMessage(InvalidMessage::InvalidCcs), "not TLS"),
        ] {
            let message = fault(error).to_string();
            assert!(message.contains(wanted), "{message}");
        }
    }
}
