//! The public key of a certificate of any version (RFC 5280 §4.1). webpki parses X.509 v3 alone.

use super::der::{BIT_STRING, Element, INTEGER, SEQUENCE};

/// A SubjectPublicKeyInfo.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PublicKey<'c> {
    /// All of it, in DER.
    pub(super) info: &'c [u8],
    /// The contents of its AlgorithmIdentifier.
    pub(super) algorithm: &'c [u8],
    /// The key itself.
    pub(super) bits: &'c [u8],
}

/// The explicit tag of the version, which v1 certificates lack.
const VERSION: u8 = 0xa0;

/// The public key of a certificate in DER; `None` if it is not a certificate.
pub(super) fn public_key(certificate: &[u8]) -> Option<PublicKey<'_>> {
    let certificate = Element::first(certificate)?.of_tag(SEQUENCE)?;
    let mut fields = Element::first(certificate.contents)?
        .of_tag(SEQUENCE)?
        .contents;
    if fields.first() == Some(&VERSION) {
        fields = Element::first(fields)?.rest;
    }
    // Serial number, signature, issuer, validity, subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        fields = Element::first(fields)?.of_tag(tag)?.rest;
    }
    let info = Element::first(fields)?.of_tag(SEQUENCE)?;
    let algorithm = Element::first(info.contents)?.of_tag(SEQUENCE)?;
    let bits = Element::first(algorithm.rest)?.of_tag(BIT_STRING)?;
    Some(PublicKey {
        info: info.whole,
        algorithm: algorithm.contents,
        // The first byte is the number of unused bits, which keys do not have.
        bits: bits.contents.strip_prefix(&[0])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::server::ParsedCertificate;
    use rustls_pki_types::CertificateDer;

    #[test]
    fn the_key_is_the_one_that_webpki_finds() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = CertificateDer::from(made.cert.der().to_vec());
        let parsed = ParsedCertificate::try_from(&certificate).unwrap();
        let key = public_key(&certificate).unwrap();
        assert_eq!(key.info, parsed.subject_public_key_info().as_ref());
        for length in 0..certificate.len() {
            assert_eq!(public_key(&certificate[..length]), None);
        }
    }

    #[test]
    fn a_certificate_without_a_version_has_a_key_too() {
        let certificate = [
            &[0x30, 27, 0x30, 25][..],
            &[0x02, 1, 9],
            &[0x30, 0, 0x30, 0, 0x30, 0, 0x30, 0],
            &[0x30, 12, 0x30, 3, 1, 2, 3, 0x03, 5, 0, 4, 5, 6, 7],
        ]
        .concat();
        let key = public_key(&certificate).unwrap();
        assert_eq!(
            (key.algorithm, key.bits),
            (&[1, 2, 3][..], &[4, 5, 6, 7][..])
        );
        assert_eq!(key.info.len(), 14);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = public_key(&[&[0x30, 62, 0x30, 60, 0x02, 0], &bytes[..]].concat());
        }
    }
}
