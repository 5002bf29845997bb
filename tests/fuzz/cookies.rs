//! What holds for every Cookie field.

use gannet::http::Method;
use gannet::internals::http1::encode;

/// It stands on one line of bounded length, in pairs.
pub(super) fn assert_sendable(field: &str) {
    assert!(!field.is_empty() && field.len() <= 8192, "{field:?}");
    for pair in field.split("; ") {
        let (name, value) = pair.split_once('=').expect("a pair");
        assert!(!name.is_empty() && !value.contains(';'), "{pair:?}");
    }
    let mut head = Vec::new();
    let fields = [("Host", "h"), ("Cookie", field)];
    encode(&mut head, Method::Get, "/", fields.into_iter()).expect("it can be sent");
    let ends = head.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(ends, 4);
}
