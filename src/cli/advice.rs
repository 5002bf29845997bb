//! [`advice`]: what to do about an error, in terms of flags. The errors of the library name only the cause.

use std::borrow::Cow;
use std::fmt;
use std::io::ErrorKind;

use gannet::error::{Error, Fault, Malformed, ProxyFault, Timeout, Undecodable};
use gannet::session::BadRow;

/// The message of an error with its advice.
pub(super) struct WithAdvice<'a>(pub(super) &'a Error);

impl fmt::Display for WithAdvice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match advice(self.0) {
            Some(advice) => write!(f, "{}: {advice}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// The flag that avoids an error, if there is one.
fn advice(error: &Error) -> Option<Cow<'static, str>> {
    let advice = match error.fault() {
        Fault::Malformed(Malformed::Unasked(206)) => "to fetch a range, use --range",
        Fault::BadRange(_) | Fault::Changed => "to fetch the file anew, use --no-resume",
        Fault::NoPart => "to fetch the whole file, run without --range",
        Fault::WebPage => "it may want a login; to take the page as the file, use --no-resume",
        Fault::Http11Required => "run without --http2",
        Fault::VersionRefused => "run without --http2 and --http1.1",
        Fault::Undecodable(Undecodable::Cut(_)) => return None,
        Fault::Undecodable(_) => "to store it as it is sent, run without --compressed",
        Fault::TooLarge { .. } => "see --max-filesize",
        Fault::TooManyRedirects(_) => "see --max-redirs; the site may want a login or --cookies",
        Fault::Resolve { reason, .. } if reason.contains("family") => "run without -4 and -6",
        Fault::IdentityRefused(_) => "give one with --cert FILE and --key FILE",
        Fault::Timeout { kind, .. } => return limit(*kind).map(Cow::from),
        Fault::Status { status: 403, .. } if !error.had_login() => {
            "it may want a login (-u USER:PASS or --netrc) or --cookies"
        }
        Fault::Disk { source, .. } if source.kind() == ErrorKind::IsADirectory => {
            "to store files in a folder, use -d"
        }
        Fault::Http2(_)
        | Fault::Malformed(Malformed::Http2(_))
        | Fault::StreamReset(_)
        | Fault::GoneAway(_) => "if it stays so, try --http1.1",
        Fault::TrustRoots(_) => "to trust other certificates, use --cacert FILE",
        Fault::Certificate(why) => return certificate(&why.to_string()).map(Cow::from),
        Fault::Status { status: 401, .. } => return Some(login(error).into()),
        Fault::Status { status: 407, .. } => return Some(proxy_login(error).into()),
        Fault::Proxy { fault, .. } if fault.is_authentication() => {
            return Some(proxy_login(error).into());
        }
        _ => return None,
    };
    Some(advice.into())
}

const CHECK_PROXY_URL: &str = "check the login in the URL of the proxy";

const IN_PROXY_URL: &str = "give the login in the URL of the proxy, -p http://USER:PASS@HOST:PORT";

/// The flag of a time limit.
fn limit(kind: Timeout) -> Option<&'static str> {
    Some(match kind {
        Timeout::Lookup | Timeout::Connect | Timeout::Handshake | Timeout::Proxy => {
            "see --connect-timeout"
        }
        Timeout::Answer | Timeout::Stall => "see --stall-timeout",
        Timeout::Speed => "see --min-speed",
        Timeout::Total => "see --timeout",
        _ => return None,
    })
}

/// What to do about a row that cannot be used.
pub(super) fn of_bad_row(bad: &BadRow) -> Option<&'static str> {
    let text = match bad {
        BadRow::Line(error) => &error.message,
        BadRow::Typed(message) => message,
        BadRow::List(..) | BadRow::Output(..) | BadRow::Unsynced(..) => return None,
    };
    text.contains("needs a base URL")
        .then_some("begin it with https://, or give its base with --base URL")
}

/// What to do about a certificate that is refused for this reason.
fn certificate(why: &str) -> Option<&'static str> {
    if why.contains("pinned") {
        return None;
    }
    Some(if why.contains("issuer") {
        "to trust its issuer, use --cacert FILE; to accept any certificate, -k"
    } else {
        "to accept any certificate, use -k"
    })
}

/// What to do about a 401.
fn login(error: &Error) -> String {
    let offered = offered(error);
    if offers(error, &["basic", "digest"]) || error.schemes().is_empty() {
        if error.had_login() {
            return format!("the login was refused{offered}");
        }
        return format!("log in with -u USER:PASS or --netrc{offered}");
    }
    if offers(error, &["bearer"]) {
        return format!("log in with a token, --bearer-env VARIABLE{offered}");
    }
    format!("gannet supports Basic, Digest and Bearer alone{offered}")
}

/// What to do about a 407.
fn proxy_login(error: &Error) -> String {
    let offered = offered(error);
    if !error.schemes().is_empty() && !offers(error, &["basic", "digest"]) {
        return format!("gannet supports Basic and Digest alone{offered}");
    }
    if !error.had_login() {
        return format!("{IN_PROXY_URL}{offered}");
    }
    match error.fault() {
        Fault::Proxy {
            fault: ProxyFault::LoginRefused,
            ..
        } => CHECK_PROXY_URL.to_owned(),
        _ => format!("the login was refused{offered}"),
    }
}

/// The schemes that the server offers, in parentheses.
fn offered(error: &Error) -> String {
    match error.schemes() {
        [] => String::new(),
        schemes => format!(" (offered: {})", schemes.join(", ")),
    }
}

/// Whether the server offers one of these schemes.
fn offers(error: &Error, known: &[&str]) -> bool {
    let mut schemes = error.schemes().iter();
    schemes.any(|scheme| known.contains(&scheme.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gannet::error::{Doing, ErrorCode};

    fn shown(fault: Fault) -> String {
        WithAdvice(&Error::new(fault, Doing::Receiving, None)).to_string()
    }

    #[test]
    fn an_error_with_a_way_out_names_the_flag() {
        for (fault, flag) in [
            (Fault::Malformed(Malformed::Unasked(206)), "--range"),
            (Fault::WebPage, "--no-resume"),
            (Fault::Http11Required, "--http2"),
            (Fault::Http2(ErrorCode(1)), "--http1.1"),
            (Fault::StreamReset(ErrorCode(2)), "--http1.1"),
            (Fault::Certificate("not trusted".into()), "-k"),
            (Fault::TrustRoots("none".to_owned()), "--cacert FILE"),
            (Fault::BadRange("no"), "--no-resume"),
            (Fault::NoPart, "--range"),
            (Fault::VersionRefused, "--http1.1"),
            (
                Fault::Undecodable(Undecodable::Dictionary("zstd")),
                "--compressed",
            ),
            (Fault::TooLarge { limit: 1 }, "--max-filesize"),
            (Fault::TooManyRedirects(20), "--cookies"),
            (Fault::IdentityRefused("no".to_owned()), "--key FILE"),
        ] {
            let cause = fault.to_string();
            let shown = shown(fault);
            assert!(
                shown.starts_with(&cause) && shown.ends_with(flag),
                "{shown}"
            );
            assert!(!cause.contains("--"), "{cause}");
        }
    }

    #[test]
    fn an_error_without_one_names_the_cause_alone() {
        for fault in [Fault::Malformed(Malformed::Unasked(304)), Fault::NoAnswer] {
            assert_eq!(fault.to_string(), shown(fault));
        }
    }
}
