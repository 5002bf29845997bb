//! Request fields as a user gives them (`http::Field`): what is accepted is one line on the wire
//! and read back as given; what is refused says so on one line.

use gannet::http::{Field, Method};
use gannet::internals::http1::{Event, Exchange, encode};

/// Takes a field as it can be typed.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Field::parse(&text) {
        Ok(field) => {
            assert_shown(&field);
            assert_sent(&field);
        }
        Err(message) => assert!(!message.contains(char::is_control), "{message:?}"),
    }
}

/// A field is shown as it can be typed, a secret not at all.
fn assert_shown(field: &Field) {
    let shown = field.to_string();
    let again = Field::parse(&shown).expect("what is shown can be typed");
    // What its name makes look like a credential is not shown either.
    let is_masked = again.name() == field.name() && again.value() == Some("***");
    let must_be = field.is_credential() && field.value().is_some_and(|value| !value.is_empty());
    assert!(is_masked || !must_be && again == *field, "{shown}");
}

/// A field is one line of the head, and a parser reads the name and value that it has here.
fn assert_sent(field: &Field) {
    let (name, value) = (field.name(), field.value().unwrap_or_default());
    let mut head = Vec::new();
    let fields = [("Host", "h"), (name, value)];
    encode(&mut head, Method::Get, "/", fields.into_iter()).expect("a field can be sent");
    let count = |wanted| head.iter().filter(|&&byte| byte == wanted).count();
    assert_eq!((count(b'\r'), count(b'\n'), count(0)), (4, 4, 0));

    let mut exchange = Exchange::new();
    exchange.begin(Method::Head);
    let answer = format!("HTTP/1.1 204 No Content\r\n{name}: {value}\r\n\r\n");
    let (consumed, event) = exchange
        .receive(answer.as_bytes())
        .expect("a field can be read");
    assert_eq!(consumed, answer.len());
    let Event::Head(response) = event else {
        panic!("{event:?}");
    };
    let read: Vec<_> = response.headers.iter().collect();
    assert_eq!(read, [(name.as_bytes(), value.as_bytes())]);
}
