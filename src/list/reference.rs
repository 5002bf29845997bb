//! Parses a URL as typed or listed: absolute, without a scheme, or relative to a base. Only http and https are allowed.

use std::borrow::Cow;

use url::Url;

use super::excerpt::{has_control, quote};
use crate::http::digest::Algorithm;
use crate::http::{Expected, typed_path, zone};

/// Parses a URL of the command line or of a list.
///
/// Without a `base`, text that begins with a host (`example.com/x`, `localhost:8080/x`) gets the scheme `http`, as in
/// curl and wget. With a `base`, text without a scheme is resolved against it (RFC 3986 §5). A fragment is kept.
///
/// ```
/// use gannet::list::parse_url;
///
/// let base = parse_url("example.com/pub/", None)?;
/// assert_eq!(parse_url("a.iso", Some(&base))?.as_str(), "http://example.com/pub/a.iso");
/// assert!(parse_url("ftp://example.com/a.iso", None).is_err());
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// What is wrong, with a short printable excerpt that shows no password.
pub fn parse_url(text: &str, base: Option<&Url>) -> Result<Url, String> {
    resolve(text, base).map_err(|fault| format!("{fault}: {}", quote(text.as_bytes())))
}

/// How the references of a list become URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// What relative references are resolved against.
    pub base: Option<Url>,
    /// The URLs have their paths as they were typed too, with dot segments (`--path-as-is`).
    pub are_paths_typed: bool,
}

impl From<Option<Url>> for References {
    fn from(base: Option<Url>) -> Self {
        Self {
            base,
            are_paths_typed: false,
        }
    }
}

impl References {
    /// These rules without a base, for URLs that are never relative.
    pub(crate) fn without_base(&self) -> Self {
        Self {
            base: None,
            ..*self
        }
    }

    /// [`parse_url`] by these rules.
    ///
    /// # Errors
    /// Those of [`parse_url`].
    pub fn parse(&self, text: &str) -> Result<Url, String> {
        self.resolve(text)
            .map_err(|fault| format!("{fault}: {}", quote(text.as_bytes())))
    }

    /// [`References::parse`] without the excerpt in its errors, for callers that add their own.
    pub(super) fn resolve(&self, text: &str) -> Result<Url, String> {
        let base = self.base.as_ref();
        let mut url = resolve(text, base)?;
        if self.are_paths_typed {
            match (shape(text.trim_matches(' ')), base) {
                (Shape::Host, None) => {
                    let text = format!("http://{}", text.trim_matches(' '));
                    typed_path::keep(&mut url, &text, None);
                }
                _ => typed_path::keep(&mut url, text, base),
            }
        }
        Ok(url)
    }
}

/// [`parse_url`] without the excerpt in its errors, for callers that add their own.
pub(super) fn resolve(text: &str, base: Option<&Url>) -> Result<Url, String> {
    let text = text.trim_matches(' ');
    if text.is_empty() {
        return Err("empty URL".into());
    }
    if has_control(text) {
        return Err("control character in the URL".into());
    }
    let (text, zone) = match zone::split(text) {
        Some((text, zone)) => (Cow::Owned(text), Some(zone)),
        None => (Cow::Borrowed(text), None),
    };
    let text = &*text;
    let parsed = match (shape(text), base) {
        (Shape::Http, _) => Url::parse(text),
        (Shape::Host, None) => Url::parse(&format!("http://{text}")),
        (Shape::Host | Shape::Relative, Some(base)) => base.join(text),
        (Shape::Relative, None) => {
            return Err("not a URL (a relative reference needs a base URL)".into());
        }
        (Shape::OtherScheme, _) => return Err("only http and https URLs can be fetched".into()),
        (Shape::NoSlashes, _) => return Err("no \"//\" after the scheme".into()),
        (Shape::NoHost, _) => return Err("no host in the URL".into()),
    };
    let mut url = parsed.map_err(|fault| format!("bad URL ({fault})"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("only http and https URLs can be fetched".into());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("no host in the URL".into());
    }
    let below = base.filter(|base| base.host() == url.host());
    if let Some(zone) = zone.or_else(|| zone::of(below?)) {
        zone::keep(&mut url, zone);
    }
    Ok(url)
}

/// Parses the URLs of a list. Most of them share the text before the path with the URL above, so that text is not
/// parsed again if it is identical.
#[derive(Debug)]
pub(super) struct Resolver {
    references: References,
    /// The text before the path of the last absolute URL with a path.
    written: String,
    /// The last absolute URL with a path.
    last: Option<Url>,
}

impl Resolver {
    /// Resolves references by these rules.
    pub(super) fn new(references: References) -> Self {
        Self {
            references,
            written: String::new(),
            last: None,
        }
    }

    /// Whether there is a base, so that references may be relative.
    pub(super) fn has_base(&self) -> bool {
        self.references.base.is_some()
    }

    /// Parses one URL; the result is always that of [`References::resolve`].
    pub(super) fn resolve(&mut self, text: &str) -> Result<Url, String> {
        if !self.references.are_paths_typed
            && let Some(last) = &self.last
            && let Some(path) = text.strip_prefix(&self.written)
            && is_path(path)
            && let Ok(url) = last.join(path)
        {
            return Ok(url);
        }
        let url = self.references.resolve(text)?;
        let slashes = text.find("://").map(|colon| colon + 3);
        let rest = slashes.and_then(|start| text[start..].find(['/', '?', '#', '\\']));
        if let Some((start, length)) = slashes.zip(rest)
            && shape(text) == Shape::Http
            && zone::of(&url).is_none()
        {
            text[..start + length].clone_into(&mut self.written);
            self.last = Some(url.clone());
        }
        Ok(url)
    }
}

/// Whether a text is an absolute path, optionally with a query and a fragment, and nothing else.
fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && !text[1..].starts_with(['/', '\\'])
        && !text.ends_with(' ')
        && !has_control(text)
}

/// The digests in the fragment of a URL: `#sha256=HEX`, optionally with other parameters separated by `&`, as in
/// package indexes.
pub(super) fn fragment_digests(url: &Url) -> Result<Vec<Expected>, String> {
    let Some(fragment) = url.fragment() else {
        return Ok(Vec::new());
    };
    fragment
        .split('&')
        .filter(|parameter| {
            parameter
                .split_once('=')
                .is_some_and(|(name, _)| Algorithm::named(name).is_some())
        })
        .map(|parameter| {
            let digest = parameter.parse::<Expected>();
            digest.map_err(|fault| format!("the digest in the fragment: {fault}"))
        })
        .collect()
}

/// The shape of a text before it is parsed. The URL Standard, which [`Url`] implements, is too lenient: it reads
/// `http:///x` as the host `x`.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Http,
    Host,
    Relative,
    OtherScheme,
    NoSlashes,
    NoHost,
}

fn shape(text: &str) -> Shape {
    let slashes: &[char] = &['/', '\\'];
    match text.split_once(':') {
        Some((scheme, rest)) if is_http(scheme) => match rest.strip_prefix("//") {
            None => Shape::NoSlashes,
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '\\', '?', '#']) => {
                Shape::NoHost
            }
            Some(_) => Shape::Http,
        },
        _ if is_host(text) => Shape::Host,
        Some((scheme, _)) if is_scheme(scheme) => Shape::OtherScheme,
        _ if text.trim_start_matches(slashes).len() + 3 <= text.len() => Shape::NoHost,
        _ => Shape::Relative,
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether a text without a scheme begins with a host: an IP address, a name with a dot, `localhost`, or a name with a
/// port.
fn is_host(text: &str) -> bool {
    let authority = text.split(['/', '?', '#']).next().unwrap_or(text);
    if let Some(literal) = authority.strip_prefix('[') {
        let Some((address, rest)) = literal.split_once(']') else {
            return false;
        };
        let is_address = address
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
        return is_address && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    }
    let (host, has_port) = match authority.split_once(':') {
        Some((host, port)) if is_port(port) => (host, true),
        Some(_) => return false,
        None => (authority, false),
    };
    let labels: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
    if !labels.iter().all(|label| is_label(label)) {
        return false;
    }
    if labels.last().is_some_and(|label| is_number(label)) {
        return labels.len() == 4 && labels.iter().all(|label| is_number(label));
    }
    labels.len() > 1 || has_port || host.eq_ignore_ascii_case("localhost")
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|character| character.is_alphanumeric() || "-_".contains(character))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> String {
        parse_url(text, None).unwrap().into()
    }

    fn fault(text: &str) -> String {
        parse_url(text, None).unwrap_err()
    }

    #[test]
    fn http_and_https_are_taken_as_they_are() {
        assert_eq!(
            read("HTTPS://me:pw@Example.com:8443/a%20b?q=1#part"),
            "https://me:pw@example.com:8443/a%20b?q=1#part"
        );
        assert_eq!(read("  http://[::1]/x "), "http://[::1]/x");
        assert_eq!(
            read("http://bücher.example/ü"),
            "http://xn--bcher-kva.example/%C3%BC"
        );
    }

    #[test]
    fn a_zone_stays_with_its_address() {
        let url = "http://[fe80::1]:81/a#zone-id=eth0";
        assert_eq!(read("http://[fe80::1%25eth0]:81/a"), url);
        assert_eq!(read("[fe80::1%eth0]:81/a"), url);
        assert_eq!(read(url), url);
        let base = Url::parse(url).unwrap();
        let below = |text| parse_url(text, Some(&base)).unwrap().to_string();
        assert_eq!(below("b"), "http://[fe80::1]:81/b#zone-id=eth0");
        assert_eq!(below("http://[fe80::2]/"), "http://[fe80::2]/");
        let mut resolver = Resolver::new(References::default());
        for text in ["http://[fe80::1%25eth0]/a", "http://[fe80::1%25eth0]/b"] {
            assert_eq!(resolver.resolve(text), resolve(text, None));
        }
    }

    #[test]
    fn what_clearly_names_a_host_gets_http() {
        for text in [
            "example.com",
            "example.com/x",
            "example.com.:81/x",
            "example.com?q=1",
            "localhost",
            "localhost:8080/x",
            "127.0.0.1:81/a",
            "10.0.0.1/a",
            "[::1]:81/x",
            "server:81/x",
            "my_host.lan/x",
        ] {
            assert_eq!(
                Ok(parse_url(text, None).unwrap()),
                Url::parse(&format!("http://{text}")),
                "{text}"
            );
        }
    }

    #[test]
    fn what_may_be_a_file_is_not_taken_as_a_host() {
        for text in [
            "data/x.bin",
            "../x",
            "/x",
            "x",
            "?q",
            "1.2.3/x",
            ".hidden/x",
            "a..b/x",
            "a b.c/x",
            "//example.com/x",
        ] {
            assert!(
                fault(text).contains("needs a base URL"),
                "{text}: {}",
                fault(text)
            );
        }
    }

    #[test]
    fn what_was_read_before_changes_nothing() {
        let before = "http://me:pw@Host.example:81/a/b?c#d";
        for text in [
            "http://me:pw@Host.example:81/x",
            "http://me:pw@Host.example:81//other.example/x",
            "http://me:pw@Host.example:81/\\other.example/x",
            "http://me:pw@Host.example:81/../x/./y",
            "http://me:pw@Host.example:81",
            "http://me:pw@Host.example:81?q",
            "http://me:pw@Host.example:811/x",
            "http://me:pw@Host.example:81/x  ",
            "http://me:pw@Host.example:81/\tx",
            "http://me:pw@host.example:81/x",
            "/x",
            "x.example/y",
        ] {
            let mut resolver = Resolver::new(References::default());
            assert_eq!(resolver.resolve(before), resolve(before, None));
            for _ in 0..2 {
                assert_eq!(resolver.resolve(text), resolve(text, None), "{text}");
            }
        }
    }

    #[test]
    fn a_base_resolves_what_has_no_scheme() {
        let base = Url::parse("https://mirror.example/pub/list.txt?x").unwrap();
        for (text, url) in [
            ("a.iso", "https://mirror.example/pub/a.iso"),
            ("example.com/x", "https://mirror.example/pub/example.com/x"),
            ("../b", "https://mirror.example/b"),
            ("/c?d", "https://mirror.example/c?d"),
            ("//other.example/e", "https://other.example/e"),
            ("http://other.example/f", "http://other.example/f"),
        ] {
            assert_eq!(parse_url(text, Some(&base)).unwrap().as_str(), url);
        }
        for text in [
            "ftp://x/y",
            "file:///etc/passwd",
            "localhost:80/x",
            "http:x",
            "///x",
            "\\\\/x",
            "",
            "http:///x",
        ] {
            assert!(parse_url(text, Some(&base)).is_err(), "{text}");
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        for text in [
            "ftp://example.com/x",
            "file:///etc/passwd",
            "data:text/plain,x",
            "javascript:x",
            "C:/x",
            "mailto:a.b",
        ] {
            assert!(fault(text).contains("only http and https"), "{text}");
        }
    }

    #[test]
    fn a_url_without_a_host_is_refused() {
        for text in [
            "http://",
            "https:///x",
            "http://?x",
            "http:///example.com/x",
            "///x",
            "http://:80/",
            "http://me@/x",
        ] {
            assert!(fault(text).contains("host"), "{text}: {}", fault(text));
        }
        assert!(fault("http:/example.com/x").starts_with("no \"//\" after the scheme"));
        assert!(fault("http:\\\\example.com").starts_with("no \"//\" after the scheme"));
    }

    #[test]
    fn faults_name_what_is_wrong_and_hide_the_password() {
        assert_eq!(
            fault("http://me:secret@host:99999/x"),
            "bad URL (invalid port number): \"http://***@host:99999/x\""
        );
        assert_eq!(
            fault("http://h/\u{7}\n"),
            "control character in the URL: \"http://h/\\u{7}\\n\""
        );
        assert_eq!(fault(" "), "empty URL: \" \"");
    }

    #[test]
    fn a_fragment_asks_for_digests() {
        let digests = |text: &str| fragment_digests(&parse_url(text, None).unwrap());
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
        for (fragment, shown) in [
            (format!("md5={md5}"), vec![format!("md5:{md5}")]),
            (
                format!("MD5={}", md5.to_uppercase()),
                vec![format!("md5:{md5}")],
            ),
            (
                format!("egg=x&sha-1={sha1}&md5={md5}"),
                vec![format!("sha1:{sha1}"), format!("md5:{md5}")],
            ),
            ("section-2".into(), vec![]),
            ("sha256".into(), vec![]),
            ("page=2".into(), vec![]),
        ] {
            let found = digests(&format!("http://h/x#{fragment}")).unwrap();
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, shown, "{fragment}");
        }
        assert_eq!(
            digests("http://h/x#sha256=ab").unwrap_err(),
            "the digest in the fragment: a sha256 digest is 64 hex digits"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_an_http_url_or_a_printable_fault(text in "(https?:|//|)\\PC{0,20}|.{0,40}", with_base: bool) {
            let base = Url::parse("https://base.example/dir/").unwrap();
            match parse_url(&text, with_base.then_some(&base)) {
                Ok(url) => {
                    prop_assert!(matches!(url.scheme(), "http" | "https"));
                    prop_assert!(url.host_str().is_some_and(|host| !host.is_empty()));
                }
                Err(fault) => prop_assert!(!has_control(&fault)),
            }
        }

        #[test]
        fn a_url_read_is_read_again_as_itself(text in "[a-z]{1,8}(\\.[a-z]{1,3})?(:[0-9]{1,4})?/[ -~]{0,20}") {
            if let Ok(url) = parse_url(&text, None) {
                prop_assert_eq!(parse_url(url.as_str(), None), Ok(url));
            }
        }
    }
}
