//! [`Challenges`]: what a 401 or 407 asks for (RFC 9110 §11.6.1). [`DigestLogin`]: the answer of Digest authentication
//! (RFC 7616). Pure: the random value is an argument.

use std::cell::Cell;
use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512_256};

use super::{Credentials, Headers};

/// The most challenges that are read in one response.
const MOST: usize = 16;

/// The challenges of one response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Challenges(Vec<Challenge>);

/// A scheme and its parameters. Names are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn get(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Challenges {
    /// The challenges of a 401 or a 407; none for other statuses.
    pub(crate) fn of(status: u16, headers: &Headers) -> Self {
        let name = match status {
            401 => "www-authenticate",
            407 => "proxy-authenticate",
            _ => return Self::default(),
        };
        let mut challenges = Vec::new();
        for line in headers.get_all(name) {
            add_line(&mut challenges, &String::from_utf8_lossy(line));
        }
        Self(challenges)
    }

    /// The names of the schemes, as written, for messages.
    pub(crate) fn schemes(&self) -> Vec<String> {
        let mut schemes: Vec<String> = Vec::new();
        for Challenge { scheme, .. } in &self.0 {
            if !schemes
                .iter()
                .any(|known| known.eq_ignore_ascii_case(scheme))
            {
                schemes.push(scheme.clone());
            }
        }
        schemes
    }

    /// The strongest Digest challenge that can be answered.
    fn digest(&self) -> Option<(&Challenge, Function)> {
        let digests = self.0.iter().filter_map(|challenge| {
            let is_digest = challenge.scheme.eq_ignore_ascii_case("digest");
            let qop = challenge.get("qop");
            let is_known = qop.is_none_or(|qop| {
                let mut values = qop.split(',');
                values.any(|value| value.trim().eq_ignore_ascii_case("auth"))
            });
            let function = Function::named(challenge.get("algorithm").unwrap_or("MD5"))?;
            let is_complete = challenge.get("realm").is_some() && challenge.get("nonce").is_some();
            (is_digest && is_known && is_complete).then_some((challenge, function))
        });
        digests.max_by_key(|(_, function)| function.algorithm)
    }
}

/// Adds the challenges of one line. A word that a space and no equals sign follows begins a challenge.
fn add_line(challenges: &mut Vec<Challenge>, line: &str) {
    for item in items(line) {
        let item = item.trim();
        let end = item.find([' ', '\t', '=']).unwrap_or(item.len());
        let (word, rest) = item.split_at(end);
        let rest = rest.trim_start();
        let parameter = match rest.strip_prefix('=') {
            Some(value) => Some((word, value)),
            None => {
                if word.is_empty() || challenges.len() == MOST {
                    continue;
                }
                challenges.push(Challenge {
                    scheme: word.to_owned(),
                    parameters: Vec::new(),
                });
                rest.split_once('=')
            }
        };
        if let (Some((name, value)), Some(challenge)) = (parameter, challenges.last_mut()) {
            let name = name.trim().to_ascii_lowercase();
            challenge.parameters.push((name, unquoted(value.trim())));
        }
    }
}

/// The text between commas that are not within quotes.
fn items(line: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut start, mut is_quoted, mut is_escaped) = (0, false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                items.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&line[start..]);
    items
}

/// A token, or the contents of a quoted string (RFC 9110 §5.6.4).
fn unquoted(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The algorithms of RFC 7616 §3.2, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
    Sha512_256,
}

/// The hash function of a challenge (RFC 7616 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Function {
    algorithm: Algorithm,
    /// The key of the whole session is hashed once.
    is_session: bool,
}

impl Function {
    fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (function, is_session) = match name.strip_suffix("-sess") {
            Some(function) => (function, true),
            None => (name.as_str(), false),
        };
        let algorithm = match function {
            "md5" => Algorithm::Md5,
            "sha-256" => Algorithm::Sha256,
            "sha-512-256" => Algorithm::Sha512_256,
            _ => return None,
        };
        Some(Self {
            algorithm,
            is_session,
        })
    }

    fn name(self) -> &'static str {
        match (self.algorithm, self.is_session) {
            (Algorithm::Md5, false) => "MD5",
            (Algorithm::Md5, true) => "MD5-sess",
            (Algorithm::Sha256, false) => "SHA-256",
            (Algorithm::Sha256, true) => "SHA-256-sess",
            (Algorithm::Sha512_256, false) => "SHA-512-256",
            (Algorithm::Sha512_256, true) => "SHA-512-256-sess",
        }
    }

    /// The hash of parts with colons between them, in hex.
    fn hash(self, parts: &[&[u8]]) -> String {
        let joined = parts.join(&b':');
        let digest = match self.algorithm {
            Algorithm::Md5 => Md5::digest(joined).to_vec(),
            Algorithm::Sha256 => Sha256::digest(joined).to_vec(),
            Algorithm::Sha512_256 => Sha512_256::digest(joined).to_vec(),
        };
        let mut hex = String::new();
        for byte in digest {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// A Digest challenge with the login that answers it. `Debug` shows no password.
#[derive(Debug)]
pub(crate) struct DigestLogin {
    challenge: Challenge,
    function: Function,
    credentials: Credentials,
    /// The client's random value, in hex.
    cnonce: String,
    /// The number of requests with this nonce.
    count: Cell<u32>,
}

impl DigestLogin {
    /// The login for the strongest Digest challenge. `before` is the answer that was refused, if there was one: only a
    /// challenge that calls its nonce stale is answered again.
    pub(crate) fn answer(
        challenges: &Challenges,
        credentials: Credentials,
        before: Option<&Self>,
        random: u64,
    ) -> Option<Self> {
        let (challenge, function) = challenges.digest()?;
        let is_stale = challenge
            .get("stale")
            .is_some_and(|stale| stale.eq_ignore_ascii_case("true"));
        if before.is_some_and(|before| {
            !is_stale || before.challenge.get("nonce") == challenge.get("nonce")
        }) {
            return None;
        }
        Some(Self {
            challenge: challenge.clone(),
            function,
            credentials,
            cnonce: format!("{random:016x}"),
            count: Cell::new(0),
        })
    }

    /// The value of the Authorization field of the next request with this method and target (RFC 7616 §3.4).
    pub(crate) fn authorization(&self, method: &str, target: &str) -> String {
        self.count.set(self.count.get() + 1);
        let count = format!("{:08x}", self.count.get());
        let challenge = &self.challenge;
        let realm = challenge.get("realm").unwrap_or_default();
        let nonce = challenge.get("nonce").unwrap_or_default();
        let function = self.function;
        let (user, password) = (self.credentials.user(), self.credentials.password());
        let mut key = function.hash(&[user, realm.as_bytes(), password]);
        if function.is_session {
            key = function.hash(&[key.as_bytes(), nonce.as_bytes(), self.cnonce.as_bytes()]);
        }
        let request = function.hash(&[method.as_bytes(), target.as_bytes()]);
        let has_qop = challenge.get("qop").is_some();
        let response = if has_qop {
            let parts = [&*key, nonce, &*count, &*self.cnonce, "auth", &*request];
            function.hash(&parts.map(str::as_bytes))
        } else {
            function.hash(&[&*key, nonce, &*request].map(str::as_bytes))
        };
        let hides_user = challenge
            .get("userhash")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let user = if hides_user {
            function.hash(&[user, realm.as_bytes()])
        } else {
            String::from_utf8_lossy(user).into_owned()
        };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(&user),
            quoted(realm),
            quoted(nonce),
            quoted(target),
        );
        if challenge.get("algorithm").is_some() {
            let _ = write!(value, ", algorithm={}", function.name());
        }
        if has_qop {
            let _ = write!(value, ", qop=auth, nc={count}");
        }
        if has_qop || function.is_session {
            let _ = write!(value, ", cnonce=\"{}\"", self.cnonce);
        }
        if let Some(opaque) = challenge.get("opaque") {
            let _ = write!(value, ", opaque={}", quoted(opaque));
        }
        if hides_user {
            value.push_str(", userhash=true");
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn challenges(lines: &[&str]) -> Challenges {
        let mut headers = Headers::new();
        for line in lines {
            headers.push(b"WWW-Authenticate", line.as_bytes());
        }
        Challenges::of(401, &headers)
    }

    #[test]
    fn several_challenges_on_one_line_or_many_are_told_apart() {
        for (lines, schemes) in [
            (&["Basic realm=\"x\""][..], &["Basic"][..]),
            (
                &["Digest realm=\"a, b=c\", nonce=n, Basic realm=x, NTLM"],
                &["Digest", "Basic", "NTLM"],
            ),
            (&["Negotiate", "NTLM", "negotiate"], &["Negotiate", "NTLM"]),
            (
                &["Bearer realm = \"x\" , scope=\"a\", Negotiate abc=="],
                &["Bearer", "Negotiate"],
            ),
            (&["", ",,", "=x"], &[]),
        ] {
            assert_eq!(challenges(lines).schemes(), schemes, "{lines:?}");
        }
        assert!(Challenges::of(403, &Headers::new()).schemes().is_empty());
    }

    fn login(line: &str, user: &str, cnonce: &str) -> DigestLogin {
        let credentials = Credentials::parse(user);
        let mut login = DigestLogin::answer(&challenges(&[line]), credentials, None, 1).unwrap();
        login.cnonce = cnonce.to_owned();
        login
    }

    #[test]
    fn the_answers_are_those_of_the_rfcs() {
        // RFC 7616 §3.9.1.
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let line = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                 algorithm={algorithm}, nonce=\"{nonce}\", opaque=\"FQhe\""
            );
            let login = login(&line, "Mufasa:Circle of Life", cnonce);
            let value = login.authorization("GET", "/dir/index.html");
            let wanted = format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", nonce=\"{nonce}\", \
                 uri=\"/dir/index.html\", response=\"{response}\", algorithm={algorithm}, \
                 qop=auth, nc=00000001, cnonce=\"{cnonce}\", opaque=\"FQhe\""
            );
            assert_eq!(value, wanted);
            assert!(login.authorization("GET", "/").contains("nc=00000002"));
        }
        // Test 2062 of curl.
        let line = "Digest realm=\"testrealm\", nonce=\"1053604145\", algorithm=\"SHA-512-256\"";
        let by_sha512 = login(line, "testuser:testpass", "");
        let value = by_sha512.authorization("GET", "/2062");
        let response = "9d3256ee6526ec40dd48743bb48e51ee9baba587c78f15c3a86166242150af98";
        assert!(
            value.ends_with(&format!("response=\"{response}\", algorithm=SHA-512-256")),
            "{value}"
        );
        // RFC 2069 §2.4, with its erratum.
        let line = "Digest realm=\"testrealm@host.com\", \
                    nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        let login = login(line, "Mufasa:CircleOfLife", "");
        let value = login.authorization("GET", "/dir/index.html");
        assert!(
            value.ends_with("response=\"1949323746fe6a43ef61f9606e7febea\""),
            "{value}"
        );
    }

    #[test]
    fn the_strongest_challenge_that_is_understood_is_answered() {
        let line = "Digest realm=r, nonce=n, qop=auth";
        for (lines, algorithm) in [
            (
                vec![
                    format!("{line}, algorithm=MD5"),
                    format!("{line}, algorithm=SHA-256"),
                ],
                "SHA-256",
            ),
            (
                vec![format!("{line}, algorithm=SHA-512"), line.to_owned()],
                "MD5",
            ),
            (
                vec![
                    format!("{line}, algorithm=SHA-512-256"),
                    format!("{line}, algorithm=SHA-256"),
                ],
                "SHA-512-256",
            ),
            (vec![format!("{line}, algorithm=md5-sess")], "MD5-sess"),
        ] {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let answered = challenges(&lines);
            let (_, function) = answered.digest().unwrap();
            assert_eq!(function.name(), algorithm);
        }
        for line in [
            "Digest realm=r",
            "Digest realm=r, nonce=n, qop=auth-int",
            "Digest realm=r, nonce=n, algorithm=MD4",
            "Basic realm=r, nonce=n",
        ] {
            assert!(challenges(&[line]).digest().is_none(), "{line}");
        }
    }

    #[test]
    fn only_a_stale_nonce_is_answered_again() {
        let first = login("Digest realm=r, nonce=n", "u:p", "");
        for (line, is_answered) in [
            ("Digest realm=r, nonce=m", false),
            ("Digest realm=r, nonce=m, stale=TRUE", true),
            ("Digest realm=r, nonce=n, stale=true", false),
        ] {
            let credentials = Credentials::parse("u:p");
            let again = DigestLogin::answer(&challenges(&[line]), credentials, Some(&first), 1);
            assert_eq!(again.is_some(), is_answered, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_and_any_answer_can_be_sent(line in "(Digest |realm=|nonce=|[ -~é]){0,20}") {
            let challenges = challenges(&[&line, "Digest realm=\"a\\\"b\", nonce=c"]);
            let credentials = Credentials::parse("u:p");
            let login = DigestLogin::answer(&challenges, credentials, None, 1).unwrap();
            let value = login.authorization("GET", "/");
            prop_assert!(!value.chars().any(char::is_control));
        }
    }
}
