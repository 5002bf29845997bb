//! Digests as people and servers write them (`http::digest`): what is read is read again from its own words, and every
//! error can be printed.

use gannet::http::{Digest, Expected};
use gannet::internals::http::digest::{announced, untagged};

/// Takes a digest in any form.
pub fn run(bytes: &[u8]) {
    announced(bytes.split(|byte| *byte == b'\n'))
        .iter()
        .for_each(assert_fit);
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<Expected>() {
        Ok(expected) => {
            assert!(expected.digests().count() > 0);
            for digest in expected.digests() {
                assert_eq!(digest.algorithm(), expected.algorithm());
                assert!(expected.is_met_by(digest));
                assert_fit(digest);
            }
        }
        Err(fault) => assert!(!fault.contains(char::is_control), "{fault:?}"),
    }
    if let Ok(digest) = untagged(&text) {
        assert_fit(&digest);
    }
}

fn assert_fit(digest: &Digest) {
    let expected = Expected::from(*digest);
    assert_eq!(digest.as_bytes().len(), digest.algorithm().length());
    assert_eq!(digest.to_string().parse().as_ref(), Ok(&expected));
    assert_eq!(digest.to_sri().parse().as_ref(), Ok(&expected));
}
