//! [`Headers`]: the fields of a response, as received. [`Field`]: a field that a user adds to requests.

use std::fmt;

use super::grammar::{is_token_byte, is_value_byte, trim};

/// Replaces a credential in all output.
const MASK: &str = "***";

/// The fields of a response, in the order received, in one buffer that is reused for the next response.
#[derive(Clone, Default)]
pub struct Headers {
    /// All names and values, concatenated.
    bytes: Vec<u8>,
    /// The position of each field in `bytes`, without gaps between them.
    spans: Vec<Span>,
    /// The [`mark`]s of all names: a Bloom filter that makes the lookup of an absent field cheap.
    marks: u64,
}

/// The position of a field in the buffer: its name is `start..middle`, its value `middle..end`.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    middle: usize,
    end: usize,
}

impl Headers {
    /// No fields. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes all fields and keeps the allocation.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.marks = 0;
    }

    /// Adds a field. The value is stored as given, with its outer whitespace; each parser trims it (RFC 9110 §5.5).
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let end = self.bytes.len();
        self.spans.push(Span { start, middle, end });
        self.marks |= mark(name);
    }

    /// Appends a folded line to the value of the last field, after one space (RFC 9112 §5.2).
    pub(crate) fn fold(&mut self, value: &[u8]) {
        let Some(last) = self.spans.last_mut() else {
            return;
        };
        if last.middle < last.end && !value.is_empty() {
            self.bytes.push(b' ');
        }
        self.bytes.extend_from_slice(value);
        last.end = self.bytes.len();
    }

    /// The first value of a field name; the case of the name is ignored.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// All values of a field name, in order; the case of the name is ignored.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let may_exist = self.marks & mark(name.as_bytes()) != 0;
        let spans = if may_exist { &self.spans[..] } else { &[] };
        spans
            .iter()
            .filter(move |span| {
                span.middle - span.start == name.len()
                    && self.bytes[span.start..span.middle].eq_ignore_ascii_case(name.as_bytes())
            })
            .map(|span| &self.bytes[span.middle..span.end])
    }

    /// All names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.spans.iter().map(|span| {
            (
                &self.bytes[span.start..span.middle],
                &self.bytes[span.middle..span.end],
            )
        })
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Shrinks the buffer to `bytes` if it is larger, and frees the spans. The fields must have been cleared before.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if self.bytes.capacity() > bytes {
            self.bytes.shrink_to(bytes);
            self.spans.shrink_to(0);
        }
    }
}

/// The Bloom filter's bit for a name. The case of the name is ignored.
fn mark(name: &[u8]) -> u64 {
    let (first, last) = match name {
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
        [] => (0, 0),
    };
    let first = usize::from(first.to_ascii_lowercase());
    let last = usize::from(last.to_ascii_lowercase());
    1 << ((name.len() + 3 * first + 5 * last) % 64)
}

/// For logs: values as text, with cookies and credentials masked.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.iter().map(|(name, value)| {
            let name = String::from_utf8_lossy(name);
            let value = if is_secret(&name) {
                MASK.into()
            } else {
                String::from_utf8_lossy(value)
            };
            (name, value)
        });
        f.debug_map().entries(text).finish()
    }
}

/// A request field that a user gave. Its name and value are validated: they contain no control character but tab.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Field {
    name: String,
    value: Option<String>,
}

impl Field {
    /// Parses `Name: value`, and curl's forms `Name;` (sends an empty value) and `Name:` (omits the default field
    /// of that name).
    ///
    /// # Errors
    ///
    /// The name is not a token (RFC 9110 §5.1), the value has a control character other than tab (§5.5), or the field
    /// announces a body. The message never quotes the value or anything else that may be a secret.
    ///
    /// ```
    /// use gannet::http::Field;
    /// assert_eq!(Field::parse("Accept: text/html")?.value(), Some("text/html"));
    /// assert_eq!(Field::parse("X-Empty;")?.value(), Some(""));
    /// assert_eq!(Field::parse("User-Agent:")?.value(), None);
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => {
                let value = value.trim_matches([' ', '\t']);
                (name, (!value.is_empty()).then_some(value))
            }
            None => match text.trim_end_matches([' ', '\t']).strip_suffix(';') {
                Some(name) => (name, Some("")),
                None => return Err("a header has the form 'Name: value'".to_owned()),
            },
        };
        let name = name.trim_matches([' ', '\t']);
        if name.is_empty() {
            return Err("a header needs a name before its colon".to_owned());
        }
        // Requests have no body: with these fields the server would read the next request as one.
        if value.is_some()
            && ["Content-Length", "Transfer-Encoding"]
                .iter()
                .any(|framing| name.eq_ignore_ascii_case(framing))
        {
            return Err(format!("{name} is only for requests with a body"));
        }
        if let Some(bad) = name
            .chars()
            .find(|c| !u8::try_from(*c).is_ok_and(is_token_byte))
        {
            return Err(format!("a header's name cannot contain {bad:?}"));
        }
        if let Some(bad) = value.and_then(|v| v.bytes().find(|&byte| !is_value_byte(byte))) {
            let bad = char::from(bad);
            return Err(format!("the value of header {name} cannot contain {bad:?}"));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        })
    }

    /// The name, in the case in which it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value; `None` to omit the default field of that name.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Whether the field is sent to one origin only, because it holds a credential: Authorization, Cookie,
    /// Proxy-Authorization.
    pub fn is_credential(&self) -> bool {
        is_credential(&self.name)
    }
}

/// The form that [`Field::parse`] reads, with a secret value masked.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            None => write!(f, "{}:", self.name),
            Some("") => write!(f, "{};", self.name),
            Some(_) if is_secret(&self.name) => write!(f, "{}: {MASK}", self.name),
            Some(value) => write!(f, "{}: {value}", self.name),
        }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({self})")
    }
}

/// Whether a field with this name holds a credential.
pub(crate) fn is_credential(name: &str) -> bool {
    ["Authorization", "Cookie", "Proxy-Authorization"]
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret.as_ref()))
}

/// Whether the value of a field with this name is masked in output: it is a credential, or its name looks like one
/// (`X-Api-Key`, `Private-Token`).
pub(crate) fn is_secret(name: &str) -> bool {
    const NAMES: [&str; 2] = ["Set-Cookie", "Proxy-Authenticate"];
    const SUBSTRINGS: [&str; 8] = [
        "token",
        "secret",
        "passw",
        "api-key",
        "apikey",
        "session",
        "signature",
        "x-auth",
    ];
    let lower = name.to_ascii_lowercase();
    is_credential(name)
        || NAMES.iter().any(|secret| name.eq_ignore_ascii_case(secret))
        || SUBSTRINGS.iter().any(|text| lower.contains(text))
        || lower.ends_with("-key")
}

/// The trimmed value of a field as text; `None` if it is not UTF-8 or has control characters.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    let value = trim(value);
    let is_clean = value.iter().all(|&byte| is_value_byte(byte));
    is_clean.then(|| str::from_utf8(value).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_found_whatever_their_case() {
        let mut headers = Headers::new();
        headers.push(b"ETag", b"\"a\"");
        headers.push(b"Via", b"one");
        headers.push(b"VIA", b"two");
        assert_eq!(headers.get("etag"), Some(&b"\"a\""[..]));
        assert_eq!(headers.get("Via"), Some(&b"one"[..]));
        assert_eq!(headers.get_all("via").collect::<Vec<_>>(), [b"one", b"two"]);
        assert_eq!(headers.get("Vi"), None);
        assert_eq!((headers.len(), headers.is_empty()), (3, false));
        let names: Vec<_> = headers.iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(names, [&b"ETag"[..], b"Via", b"VIA"]);
    }

    #[test]
    fn clearing_keeps_the_memory() {
        let mut headers = Headers::new();
        headers.push(b"Server", b"nginx");
        let capacity = headers.bytes.capacity();
        headers.clear();
        assert!(headers.is_empty());
        assert_eq!(headers.get("server"), None);
        assert_eq!(headers.bytes.capacity(), capacity);
    }

    #[test]
    fn a_folded_line_is_joined_by_one_space() {
        let mut headers = Headers::new();
        headers.fold(b"ignored: there is nothing to continue");
        assert!(headers.is_empty());
        headers.push(b"a", b"");
        headers.fold(b"x");
        headers.fold(b"");
        headers.fold(b"y");
        assert_eq!(headers.get("a"), Some(&b"x y"[..]));
    }

    #[test]
    fn secrets_are_masked_in_what_is_printed() {
        let mut headers = Headers::new();
        headers.push(b"Set-Cookie", b"id=hunter2");
        headers.push(b"Server", b"nginx");
        let shown = format!("{headers:?}");
        assert!(
            !shown.contains("hunter2") && shown.contains("nginx"),
            "{shown}"
        );

        for name in ["Authorization", "cookie", "PROXY-AUTHORIZATION"] {
            let field = Field::parse(&format!("{name}: hunter2")).unwrap();
            assert!(field.is_credential());
            assert!(!format!("{field:?} {field}").contains("hunter2"));
        }
        let field = Field::parse("Accept: */*").unwrap();
        assert!(!field.is_credential());
        assert_eq!(field.to_string(), "Accept: */*");
    }

    #[test]
    fn fields_come_in_curls_three_forms() {
        let field = Field::parse("  X-A :\t b: c ").unwrap();
        assert_eq!((field.name(), field.value()), ("X-A", Some("b: c")));
        let field = Field::parse("X-A; ").unwrap();
        assert_eq!((field.name(), field.value()), ("X-A", Some("")));
        for text in ["X-A:", "X-A:  "] {
            let field = Field::parse(text).unwrap();
            assert_eq!((field.name(), field.value()), ("X-A", None));
        }
        assert_eq!(Field::parse("X: é").unwrap().value(), Some("é"));
    }

    #[test]
    fn nothing_can_be_injected_through_a_field() {
        for text in [
            "",
            ":",
            ": x",
            ";",
            "X",
            "X; y",
            "X Y: z",
            "X\r\nY: z",
            "X: a\r\nY: b",
            "X: a\nb",
            "X: a\rb",
            "X: a\0b",
            "X: a\u{7f}",
            "É: x",
            "X\t: ok\u{1}",
            "Content-length: 4",
            "Transfer-Encoding: chunked",
        ] {
            assert!(Field::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_value() {
        for text in [
            "Authorization: hunter2\n",
            "Authorization hunter2",
            "Authorization hunter2: x",
        ] {
            let message = Field::parse(text).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn a_field_read_back_from_what_it_shows_is_the_same(text in "[a-zA-Z0-9-]{1,9}[:;]{0,2}\\PC{0,20}") {
            if let Ok(field) = Field::parse(&text) && !is_secret(field.name()) {
                prop_assert_eq!(Field::parse(&field.to_string()), Ok(field));
            }
        }

        #[test]
        fn whatever_is_accepted_holds_no_control_character(text in any::<String>()) {
            if let Ok(field) = Field::parse(&text) {
                let sent = format!("{}{}", field.name(), field.value().unwrap_or_default());
                prop_assert!(!sent.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'));
            }
        }
    }
}
