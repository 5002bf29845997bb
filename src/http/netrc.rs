//! [`Netrc`]: parses a netrc file and looks logins up by host. `cli/credentials.rs` reads the file;
//! `multi/transfer/request.rs` decides which request gets a login.

use std::fmt;
use std::net::IpAddr;

use url::Host;

use super::Credentials;

/// The contents of a netrc file. `Debug` shows none of them.
///
/// The syntax is curl's. The keywords `machine`, `default`, `login`, `password`, `account` and `macdef` are
/// case-insensitive; words are separated by whitespace. A word in `"` ends at the next `"` on its line; in it `\n`,
/// `\r` and `\t` are escapes, and a backslash before any other character stands for that character. A word that
/// begins with `#` starts a comment up to the end of the line. Other programs' keywords `method`, `port` and `protocol`
/// are skipped with their values, and other unknown words alone.
///
/// ```
/// use gannet::http::{Credentials, Netrc};
/// let netrc = Netrc::parse(b"machine example.org login me password \"pass word\"")?;
/// assert_eq!(netrc.named("example.org"), Some(Credentials::parse("me:pass word")));
/// assert_eq!(netrc.named("example.com"), None);
/// # Ok::<(), gannet::http::NetrcError>(())
/// ```
#[derive(Clone, Default)]
pub struct Netrc {
    /// In the order of the file.
    machines: Vec<Machine>,
    /// The lines with unknown words.
    unknown: Vec<(usize, &'static str)>,
}

/// One `machine` or `default` with its login.
#[derive(Clone, Default)]
struct Machine {
    /// In the form of [`Origin::host`](super::Origin::host); `None` for `default`.
    host: Option<String>,
    user: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
}

/// A syntax error of a netrc file. The message quotes nothing of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
#[non_exhaustive]
pub struct NetrcError {
    /// The line, counted from 1.
    pub line: usize,
    what: &'static str,
}

impl Netrc {
    /// Parses a file.
    ///
    /// # Errors
    /// A keyword without its value, a word before the first `machine` or `default`, or a quoted word that does not end
    /// on its line.
    pub fn parse(file: &[u8]) -> Result<Self, NetrcError> {
        let mut words = Words::new(file);
        let mut netrc = Self::default();
        while let Some(word) = words.next()? {
            let line = words.line;
            let machine = match Keyword::of(&word) {
                Some(Keyword::Machine) => {
                    let host = host(&words.value()?);
                    netrc.begin(Some(host));
                    continue;
                }
                Some(Keyword::Default) => {
                    netrc.begin(None);
                    continue;
                }
                Some(Keyword::Macdef) => {
                    words.skip_macro();
                    continue;
                }
                _ => netrc.machines.last_mut().ok_or(NetrcError {
                    line,
                    what: "no 'machine' or 'default' before this word",
                })?,
            };
            match Keyword::of(&word) {
                Some(Keyword::Login) => machine.user = Some(words.value()?),
                Some(Keyword::Password) => machine.password = Some(words.value()?),
                Some(Keyword::Account | Keyword::Foreign) => drop(words.value()?),
                _ if netrc.unknown.last().is_none_or(|(last, _)| *last != line) => {
                    netrc.unknown.push((line, UNKNOWN));
                }
                _ => {}
            }
        }
        Ok(netrc)
    }

    /// The lines with unknown words, counted from 1, and a message that quotes nothing of them. Such a word may be the
    /// second one of a password with an unquoted blank.
    pub fn unknown_words(&self) -> &[(usize, &'static str)] {
        &self.unknown
    }

    fn begin(&mut self, host: Option<String>) {
        self.machines.push(Machine {
            host,
            ..Machine::default()
        });
    }

    /// The first login of a host that the file names; never the default.
    pub fn named(&self, host: &str) -> Option<Credentials> {
        self.of(Some(host)).find_map(Machine::credentials)
    }

    /// The first login of a host. Falls back to the default if the file does not name the host; a host that is named
    /// without a login has none.
    pub fn of_host(&self, host: &str) -> Option<Credentials> {
        if self.of(Some(host)).next().is_some() {
            return self.named(host);
        }
        self.of(None).find_map(Machine::credentials)
    }

    /// Adds the password that the file has for this user, on the host or else by default. Of several entries for the
    /// user the first with a password counts. An entry without a login is for any user that has no entry.
    pub fn complete(&self, host: &str, user: Credentials) -> Credentials {
        let machine = [Some(host), None].into_iter().find_map(|host| {
            let mut own = self
                .of(host)
                .filter(|machine| machine.user.as_deref() == Some(user.user()));
            own.clone()
                .find(|machine| machine.password.is_some())
                .or_else(|| own.next())
                .or_else(|| self.of(host).find(|machine| machine.is_for_any_user()))
        });
        match machine.and_then(|machine| machine.password.clone()) {
            Some(password) => user.with_password(password),
            None => user,
        }
    }

    /// The entries of a host; with `None` the defaults.
    fn of(&self, host: Option<&str>) -> impl Iterator<Item = &Machine> + Clone {
        self.machines
            .iter()
            .filter(move |machine| machine.host.as_deref() == host)
    }
}

impl fmt::Debug for Netrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Netrc(***)")
    }
}

impl Machine {
    fn is_for_any_user(&self) -> bool {
        self.user.is_none() && self.password.is_some()
    }

    /// The login; a missing user or password is empty. `None` if both are missing.
    fn credentials(&self) -> Option<Credentials> {
        if self.user.is_none() && self.password.is_none() {
            return None;
        }
        Some(Credentials::new(
            self.user.clone().unwrap_or_default(),
            self.password.clone().unwrap_or_default(),
        ))
    }
}

/// A host in the form of [`Origin::host`](super::Origin::host): lower case, IDNA applied, IPv6 without brackets. An
/// invalid host is kept as it is; no URL has it.
fn host(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let bare = name.trim_matches(['[', ']']);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_string();
    }
    Host::parse(bare).map_or_else(|_| bare.to_owned(), |host| host.to_string())
}

/// The keywords of a netrc file.
#[derive(Clone, Copy)]
enum Keyword {
    Machine,
    Default,
    Login,
    Password,
    Account,
    Macdef,
    /// A keyword of another program: Heroku's `method`, and those of git and of mail programs.
    Foreign,
}

impl Keyword {
    fn of(word: &[u8]) -> Option<Self> {
        let known = [
            (&b"machine"[..], Self::Machine),
            (b"default", Self::Default),
            (b"login", Self::Login),
            (b"password", Self::Password),
            (b"account", Self::Account),
            (b"macdef", Self::Macdef),
            (b"method", Self::Foreign),
            (b"port", Self::Foreign),
            (b"protocol", Self::Foreign),
        ];
        known
            .into_iter()
            .find_map(|(name, keyword)| word.eq_ignore_ascii_case(name).then_some(keyword))
    }
}

/// The words of a file.
struct Words<'f> {
    rest: &'f [u8],
    /// The line of the last word, counted from 1.
    line: usize,
    /// The number of line ends between the last word and `rest`.
    ends: usize,
    /// Whether there was a comment directly before the last word.
    is_after_comment: bool,
}

impl<'f> Words<'f> {
    fn new(file: &'f [u8]) -> Self {
        Self {
            rest: file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file),
            line: 1,
            ends: 0,
            is_after_comment: false,
        }
    }

    /// The next word; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Vec<u8>>, NetrcError> {
        self.is_after_comment = false;
        while let Some((&byte, rest)) = self.rest.split_first() {
            match byte {
                b'\n' => self.ends += 1,
                0..=b' ' => {}
                b'#' => {
                    self.is_after_comment = true;
                    self.skip_line();
                    continue;
                }
                _ => break,
            }
            self.rest = rest;
        }
        self.line += std::mem::take(&mut self.ends);
        match self.rest.split_first() {
            None => Ok(None),
            Some((b'"', quoted)) => self.quoted(quoted).map(Some),
            Some(_) => {
                let end = self.rest.iter().position(|&byte| byte <= b' ');
                let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                Ok(Some(word.to_vec()))
            }
        }
    }

    /// Reads a quoted word from after its opening quote.
    fn quoted(&mut self, quoted: &'f [u8]) -> Result<Vec<u8>, NetrcError> {
        let mut word = Vec::new();
        let mut bytes = quoted.iter();
        loop {
            match bytes.next() {
                Some(b'"') => break,
                Some(b'\\') => match bytes.next() {
                    Some(b'n') => word.push(b'\n'),
                    Some(b'r') => word.push(b'\r'),
                    Some(b't') => word.push(b'\t'),
                    None | Some(b'\r' | b'\n') => return self.wrong(UNENDED),
                    Some(&other) => word.push(other),
                },
                None | Some(b'\n') => return self.wrong(UNENDED),
                Some(&byte) => word.push(byte),
            }
        }
        self.rest = bytes.as_slice();
        Ok(word)
    }

    /// Reads the value of the keyword that was read last.
    fn value(&mut self) -> Result<Vec<u8>, NetrcError> {
        let line = self.line;
        match self.next()? {
            Some(value) if !self.is_after_comment => Ok(value),
            _ => Err(NetrcError {
                line,
                what: "keyword without a value; put a value that begins with # in quotes",
            }),
        }
    }

    /// Skips a macro, including the blank line that ends it.
    fn skip_macro(&mut self) {
        self.skip_line();
        while !self.rest.is_empty() {
            self.rest = &self.rest[1..];
            self.ends += 1;
            let line = self.rest.split(|&byte| byte == b'\n').next();
            let is_blank = line.is_some_and(|line| line.trim_ascii().is_empty());
            self.skip_line();
            if is_blank {
                break;
            }
        }
    }

    /// Skips to the end of the line.
    fn skip_line(&mut self) {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, NetrcError> {
        let line = self.line;
        Err(NetrcError { line, what })
    }
}

const UNKNOWN: &str =
    "unknown word, ignored; put a value that has blanks or begins with # in quotes";

const UNENDED: &str = "a quoted word does not end on its line";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(file: &str) -> Netrc {
        Netrc::parse(file.as_bytes()).unwrap()
    }

    /// What goes to a host, as `user:password`.
    fn login(file: &str, host: &str) -> Option<String> {
        parsed(file).of_host(host).map(shown)
    }

    fn shown(credentials: Credentials) -> String {
        use base64::Engine as _;
        let basic = credentials.basic();
        let coded = basic.strip_prefix("Basic ").unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(coded);
        String::from_utf8_lossy(&bytes.unwrap()).into_owned()
    }

    fn wrong(file: &str) -> (usize, String) {
        let error = Netrc::parse(file.as_bytes()).unwrap_err();
        (error.line, error.to_string())
    }

    #[test]
    fn each_host_has_the_login_that_it_is_named_with() {
        let file =
            "machine a.example login u password p\nmachine b.example\n\tlogin v\n\tpassword q\n";
        assert_eq!(login(file, "a.example").as_deref(), Some("u:p"));
        assert_eq!(login(file, "b.example").as_deref(), Some("v:q"));
        for other in ["example", "x.a.example", "A.EXAMPLE", ""] {
            assert_eq!(login(file, other), None, "{other}");
        }
        assert_eq!(login("", "a.example"), None);
    }

    #[test]
    fn words_stand_on_any_lines_and_lines_end_in_any_way() {
        for file in [
            "machine h login u password p",
            "machine\nh\nlogin\n\n\nu\npassword\np",
            "machine h\r\nlogin u\r\npassword p\r\n",
            "\u{feff}machine h login u password p",
            "\t machine\th\u{b} login  u password p\0",
            "MACHINE h Login u PASSWORD p",
            "machine h account a login u account b password p",
            "machine h login x password y login u password p",
            "# password x\nmachine h # login x\nlogin u password p#",
        ] {
            let expected = if file.contains("p#") { "u:p#" } else { "u:p" };
            assert_eq!(login(file, "h").as_deref(), Some(expected), "{file:?}");
        }
    }

    #[test]
    fn quotes_hold_blanks_and_a_backslash_takes_what_follows() {
        for (word, expected) in [
            (r#""a b""#, "a b"),
            (r##""#a""##, "#a"),
            (r#""""#, ""),
            (r#""a\"b\\c""#, "a\"b\\c"),
            (r#""\n\r\t\x""#, "\n\r\tx"),
            ("\"a\tb\"", "a\tb"),
            // Outside of quotes they mean nothing.
            (r"a\n", r"a\n"),
            (r#"a"b"#, r#"a"b"#),
            ("é#", "é#"),
        ] {
            let file = format!("machine h login u password {word}\nmachine i login v");
            assert_eq!(login(&file, "h"), Some(format!("u:{expected}")), "{file}");
            assert_eq!(login(&file, "i").as_deref(), Some("v:"), "{file}");
        }
        assert_eq!(
            login(r#""machine""h""login""u""password""p""#, "h").as_deref(),
            Some("u:p")
        );
    }

    #[test]
    fn macros_are_passed_over_up_to_their_blank_line() {
        let unix = "machine g login a password b\nmacdef init\nmachine h login x\n\"\nput a\n\nmachine h login u\n";
        for file in [
            unix.to_owned(),
            unix.replace('\n', "\r\n"),
            unix.replace("\n\n", "\n \t\n"),
            unix.replace("\n\n", "\n\n\n"),
            unix.replace(" init\n", "\n"),
        ] {
            assert_eq!(login(&file, "h").as_deref(), Some("u:"), "{file:?}");
            assert_eq!(login(&file, "g").as_deref(), Some("a:b"), "{file:?}");
        }
        for file in ["macdef", "macdef a", "macdef a\n", "macdef a\nx y z"] {
            assert_eq!(login(file, "h"), None, "{file:?}");
        }
        assert_eq!(wrong("macdef a\nb\n\nlost\n").0, 4);
    }

    #[test]
    fn the_default_is_for_hosts_that_are_not_named() {
        let file = "default login d password e\nmachine h login u password p\nmachine bare\n";
        assert_eq!(login(file, "other").as_deref(), Some("d:e"));
        assert_eq!(login(file, "h").as_deref(), Some("u:p"));
        assert_eq!(login(file, "bare"), None);
        assert_eq!(parsed(file).named("other"), None);
        assert_eq!(login("default", "h"), None);
    }

    #[test]
    fn of_several_logins_the_first_counts_unless_a_user_is_named() {
        let netrc = parsed(
            "machine h login u password p\nmachine h login v password q\nmachine i login u\n\
             default login w password r",
        );
        assert_eq!(netrc.of_host("h").map(shown).as_deref(), Some("u:p"));
        let completed = |host, user| shown(netrc.complete(host, Credentials::parse(user)));
        assert_eq!(completed("h", "u"), "u:p");
        assert_eq!(completed("h", "v"), "v:q");
        assert_eq!(completed("h", "w"), "w:r");
        assert_eq!(completed("h", "U"), "U:");
        assert_eq!(completed("i", "u"), "u:");
        assert_eq!(completed("i", "v"), "v:");
    }

    #[test]
    fn a_later_entry_of_a_user_may_have_the_password() {
        let netrc = parsed(
            "machine h login u machine h password q machine h login u password p
             machine h login v machine h password q",
        );
        for (user, login) in [("u", "u:p"), ("v", "v:")] {
            let completed = netrc.complete("h", Credentials::parse(user));
            assert_eq!(shown(completed), login);
        }
    }

    #[test]
    fn half_a_login_has_an_empty_other_half() {
        assert_eq!(login("machine h login u", "h").as_deref(), Some("u:"));
        assert_eq!(login("machine h password p", "h").as_deref(), Some(":p"));
        let second = "machine h\nmachine h login u password p";
        assert_eq!(login(second, "h").as_deref(), Some("u:p"));
    }

    #[test]
    fn hosts_are_compared_as_urls_have_them() {
        for (name, host) in [
            ("Example.ORG", "example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("0:0::1", "::1"),
            ("127.1", "127.0.0.1"),
        ] {
            let file = format!("machine {name} login u password p");
            assert_eq!(login(&file, host).as_deref(), Some("u:p"), "{name}");
        }
        let odd = "machine a/b:c login u password p";
        assert_eq!(login(odd, "a"), None);
    }

    #[test]
    fn what_cannot_be_understood_is_named_by_its_line_and_not_repeated() {
        for (file, line) in [
            ("hunter2", 1),
            ("\n\nlogin hunter2", 3),
            ("machine h login u\npassword", 2),
            ("machine h login", 1),
            ("machine", 1),
            ("machine\n# hunter2\nh", 1),
            ("machine h\nlogin u password #hunter2\n", 2),
            ("machine h\nlogin u password \"hunter2\n\"", 2),
            ("machine h login u password \"hunter2\\", 1),
            ("machine h login u password \"hunter2\\\n\"", 1),
            ("machine h login u password \"hunter2", 1),
        ] {
            let (found, said) = wrong(file);
            assert_eq!(found, line, "{file:?}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn unknown_words_are_named_by_their_lines_and_end_nothing() {
        for (file, lines) in [
            ("machine h login u password p", &[][..]),
            ("machine h login u method interactive password p", &[]),
            ("machine h protocol https port 993 login u password p", &[]),
            ("machine h login u password p hunter2 hunter2", &[1]),
            ("machine h\n\nlogin u\npassword p hunter2\nodd", &[4, 5]),
            ("machine other odd\nmachine h login u password p", &[1]),
        ] {
            assert_eq!(login(file, "h").as_deref(), Some("u:p"), "{file}");
            let netrc = parsed(file);
            let unknown = netrc.unknown_words();
            let found: Vec<_> = unknown.iter().map(|(line, _)| *line).collect();
            assert_eq!(found, lines, "{file}");
            assert!(unknown.iter().all(|(_, what)| !what.contains("hunter2")));
        }
    }

    #[test]
    fn an_entry_without_a_login_is_for_any_user() {
        let netrc = parsed(
            "machine h password no login unknown\nmachine h password right\n\
             machine h password own login another\ndefault password last",
        );
        for (host, user, login) in [
            ("h", "user", "user:right"),
            ("h", "another", "another:own"),
            ("i", "user", "user:last"),
        ] {
            let user = Credentials::parse(user);
            assert_eq!(shown(netrc.complete(host, user)), login);
        }
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let netrc = parsed("machine h login u password hunter2");
        assert_eq!(format!("{netrc:?}"), "Netrc(***)");
    }
}
