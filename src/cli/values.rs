//! Parses the values of flags. Like `flags.rs` this file uses only the library and other crates, so that tests can
//! include it by path.

use std::net::IpAddr;

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use gannet::internals::list::{SizeError, parse_size};
use gannet::internals::sys::Destination;
use gannet::list::Split;
use url::{Host, Url};

/// The longest duration: one year, so that no deadline overflows a clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A word that a flag accepts, its value, and its help.
pub(crate) type Choice<T> = (&'static str, T, &'static str);

/// The parser of a flag that accepts the words of a table. Help and completions list them.
pub(crate) fn choice<T>(table: &'static [Choice<T>]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let words = table
        .iter()
        .map(|(word, _, help)| PossibleValue::new(*word).help(*help));
    PossibleValuesParser::new(words).map(|typed| {
        let mut table = table.iter();
        let (_, value, _) = table
            .find(|(word, ..)| *word == typed)
            .expect("the parser accepts only words of the table");
        *value
    })
}

/// The addresses of a host and port, from `--resolve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolve {
    /// In the form of `Url::host_str`: lower case, IDNA applied, IPv6 in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// At least one.
    pub(crate) addresses: Vec<IpAddr>,
}

/// The SHA-256 digests of public keys, from `--pinnedpubkey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pins(Vec<[u8; 32]>);

impl Pins {
    /// The digests; at least one.
    pub(crate) fn digests(&self) -> &[[u8; 32]] {
        &self.0
    }
}

/// Parses `sha256//BASE64`; several are separated by semicolons.
pub(crate) fn pins(typed: &str) -> Result<Pins, String> {
    let digests: Option<_> = typed.split(';').map(pin).collect();
    digests
        .map(Pins)
        .ok_or_else(|| "not sha256// and the Base64 of 32 bytes".into())
}

fn pin(typed: &str) -> Option<[u8; 32]> {
    let text = typed.trim().strip_prefix("sha256//")?;
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// HTTP statuses, from `--retry-on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Codes(pub(crate) Vec<u16>);

/// Parses `500,503`. Only error statuses can be retried.
pub(crate) fn codes(typed: &str) -> Result<Codes, String> {
    let codes: Option<_> = typed.split(',').map(error_status).collect();
    codes
        .map(Codes)
        .ok_or_else(|| "not error statuses such as 500,503".into())
}

fn error_status(typed: &str) -> Option<u16> {
    let status = typed.trim().parse().ok()?;
    (status == 202 || (400..600).contains(&status)).then_some(status)
}

/// A rate in bytes per second, and the time over which it is averaged, from `--min-speed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MinSpeed {
    pub(crate) rate: u64,
    pub(crate) span: Duration,
}

/// Whether an output is `-`, standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether an output is standard output under any name, also through a symbolic link.
pub(crate) fn leads_to_stdout(path: &Path) -> bool {
    matches!(Destination::of(path), Ok(Destination::Stdout))
}

pub(crate) fn one_or_more(typed: &str) -> Result<u32, String> {
    match typed.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a whole number".into()),
    }
}

pub(crate) fn split(typed: &str) -> Result<Split, String> {
    match typed {
        "auto" => Ok(Split::Auto),
        "0" => Err("must be at least 1".into()),
        number => number
            .parse()
            .map(Split::Most)
            .map_err(|_| "neither a number nor 'auto'".into()),
    }
}

/// Parses `500ms`, `1h 30m`, or a number of seconds, as in curl and wget.
pub(crate) fn duration(typed: &str) -> Result<Duration, String> {
    let bare = typed.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let parsed = if bare {
        typed
            .parse()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    } else {
        humantime::parse_duration(typed).ok()
    };
    match parsed {
        Some(long) if long > LONGEST => Err("longer than a year".into()),
        Some(duration) => Ok(duration),
        None => Err("not a duration such as 500ms, 10s or '1h 30m'".into()),
    }
}

/// Parses `10K:30s`: a rate, and the time over which it is averaged.
pub(crate) fn min_speed(typed: &str) -> Result<MinSpeed, String> {
    let (rate, span) = typed
        .split_once(':')
        .ok_or("not a rate and a duration such as 10K:30s")?;
    let (rate, span) = (size(rate).map_err(|why| why.to_string())?, duration(span)?);
    if rate == 0 || span.is_zero() {
        return Err("must be more than 0".into());
    }
    Ok(MinSpeed { rate, span })
}

/// Parses `5/s`, `30/m` or `100/h` into the time between two starts.
pub(crate) fn start_interval(typed: &str) -> Result<Duration, String> {
    let (count, unit) = typed.split_once('/').unwrap_or_default();
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return Err("not a rate such as 5/s, 30/m or 100/h".into()),
    };
    let count = one_or_more(count)?;
    Ok(Duration::from_secs(seconds) / count)
}

/// Parses `300`, `64K`, `10MB` or `1.5GiB`, as in lists.
pub(crate) fn size(typed: &str) -> Result<u64, SizeError> {
    parse_size(typed)
}

pub(crate) fn field_value(typed: &str) -> Result<String, String> {
    let value = typed.trim_matches([' ', '\t']);
    if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return Err("a header cannot contain control characters".into());
    }
    Ok(value.into())
}

pub(crate) fn base_url(typed: &str) -> Result<Url, String> {
    let url = Url::parse(typed).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(format!("unsupported scheme '{scheme}': use http or https")),
    }
}

/// The longest path of a Unix socket, in bytes (`sun_path` in unix(7)).
const LONGEST_SOCKET: usize = 107;

/// Checks the path of a Unix socket.
pub(crate) fn unix_socket(typed: PathBuf) -> Result<PathBuf, String> {
    if typed.as_os_str().len() > LONGEST_SOCKET {
        let over = format!("the path of a socket has at most {LONGEST_SOCKET} bytes");
        return Err(format!("{over}; use a shorter one, such as a link"));
    }
    Ok(typed)
}

/// Parses `HOST:PORT:ADDR[,ADDR]…`. A host that is an IPv6 address is in brackets, and `*` is every host. A plus before
/// the host, which lets curl look the name up again later, changes nothing.
pub(crate) fn resolve(typed: &str) -> Result<Resolve, String> {
    let shape = "not of the form HOST:PORT:ADDR[,ADDR]...";
    let typed = typed.strip_prefix('+').unwrap_or(typed);
    let host_end = match typed.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(shape)? + 2,
        None => typed.find(':').ok_or(shape)?,
    };
    let (host, rest) = typed.split_at(host_end);
    let (port, addresses) = rest
        .strip_prefix(':')
        .and_then(|rest| rest.split_once(':'))
        .ok_or(shape)?;
    let host = Host::parse(host).map_err(|error| format!("host '{host}': {error}"))?;
    let port = port.parse().ok().filter(|port| *port > 0);
    Ok(Resolve {
        host: host.to_string(),
        port: port.ok_or("the port is not a number from 1 to 65535")?,
        addresses: addresses
            .split(',')
            .map(address)
            .collect::<Result<_, _>>()?,
    })
}

fn address(typed: &str) -> Result<IpAddr, String> {
    let bare = typed
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(typed)
        .parse()
        .map_err(|_| format!("'{typed}' is not an IP address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_humantimes_or_bare_seconds() {
        let millis = |text| duration(text).map(|d| d.as_millis());
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("1h 30m"), Ok(5_400_000));
        assert_eq!(millis("7"), Ok(7_000));
        assert_eq!(millis("2.5"), Ok(2_500));
        assert_eq!(millis("0"), Ok(0));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "-1",
            "1.2.3",
            ".",
            "ten",
            "5 parsecs",
            "nan",
            "inf",
            "2years",
            "99999999999999999999",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_injected_through_a_value() {
        assert_eq!(field_value(" me "), Ok("me".into()));
        for text in ["me\nX: y", "\0", "a\u{7f}"] {
            assert!(field_value(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn resolve_takes_ipv4_and_ipv6_addresses() {
        let resolved = resolve("Example.com:443:127.0.0.1,[::1],fe80::2").unwrap();
        assert_eq!(resolved.host, "example.com");
        assert_eq!(resolved.port, 443);
        let written = resolved
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(written, ["127.0.0.1", "::1", "fe80::2"]);
        assert_eq!(resolve("[::1]:80:[::2]").unwrap().host, "[::1]");
        assert_eq!(
            resolve("bücher.example:80:::1").unwrap().host,
            "xn--bcher-kva.example"
        );
        assert_eq!(resolve("*:80:::1").unwrap().host, "*");
        assert_eq!(resolve("+h:80:::1").unwrap().host, "h");
    }

    #[test]
    fn what_is_no_resolve_rule_is_refused() {
        for text in [
            "",
            "h",
            "h:80",
            "h:80:",
            "h:0:::1",
            "h:70000:::1",
            "h:80:name",
            "-h:80",
            ":80:::1",
            "[::1:80:::1",
            "[",
            "h:80:::1,",
        ] {
            assert!(resolve(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_base_that_cannot_be_fetched_from_is_refused() {
        assert!(base_url("https://example.com/dir/").is_ok());
        assert!(base_url("ftp://example.com/").is_err());
        assert!(base_url("dir/").is_err());
    }

    #[test]
    fn a_number_of_starts_is_a_time_between_them() {
        for (typed, millis) in [
            ("50/s", 20),
            ("1/s", 1_000),
            ("30/m", 2_000),
            ("1/h", 3_600_000),
        ] {
            let interval = Duration::from_millis(millis);
            assert_eq!(start_interval(typed), Ok(interval), "{typed}");
        }
        for bad in [
            "", "5", "5/", "/s", "0/s", "-1/s", "1.5/s", "5/d", "5/ss", "5 / s",
        ] {
            assert!(start_interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn codes_are_error_statuses() {
        assert_eq!(codes("404, 503").unwrap().0, [404, 503]);
        for bad in ["", "200", "404,", "x", "600", "-1"] {
            assert!(codes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pins_are_sha256_in_base64() {
        let one = format!("sha256//{}", STANDARD.encode([7; 32]));
        assert_eq!(pins(&one).unwrap().digests(), [[7; 32]]);
        assert_eq!(pins(&format!("{one};{one}")).unwrap().digests().len(), 2);
        for bad in [
            "",
            "sha256//",
            "sha256//AAAA",
            "md5//AAAA",
            "key.pem",
            &format!("{one};"),
        ] {
            assert!(pins(bad).is_err(), "{bad}");
        }
    }
}
