//! Keys as `openssl pkcs8 -topk8` writes them, all of one key and with the passphrase `secret`.

use proptest::prelude::*;

use super::*;

const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPe7JpQVfF3nUnA/q
/oq6XnTnnGuHkYE7kuc1wQ6/C9ShRANCAATika879I7lG91lyJQJ2zYZ9Q7WB0ws
Pyu2dtyFbNqjdf3Jp1RjThSA0OnW7pRlwWm1GIN+DcmbMs/6IROTGWR9
-----END PRIVATE KEY-----
";

/// `-v2 aes-256-cbc -v2prf hmacWithSHA256`, the default.
const AES: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjmCeEwoZnl+QICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECWEnnyLmVpy4qsdodKTS7IEgZC9
dMKWBivAtqKPUBHTouocnJ1WHpgKYtwCuI9gxBNp+xpt3sgsY0+YoxpTK4YVNzHs
luR3oKofkoKIiDNoNoPjgjDAGPnorPKSsRGWf7s9yu2dg7bwyBqxT6LhwUsJ6iY6
wjGsKvLZ1MBOiYuq8tLAQ26EFcbTx2J4ItLnuk0g7PLL5Tiai1TfnbcKOlPqGX0=
-----END ENCRYPTED PRIVATE KEY-----
";

/// `-v2 des3 -v2prf hmacWithSHA1`, as older versions do by default.
const DES: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHVMEAGCSqGSIb3DQEFDTAzMBsGCSqGSIb3DQEFDDAOBAi2onc3bGMcEQICCAAw
FAYIKoZIhvcNAwcECAE4pM9fAhlIBIGQsGANb8tFKgaw2Nyxlbb/Wik0c71HLkni
p6aBaS9W0LVt5iVbH0A8yQO/VEC+WiQnD+/hLT8UGnJXRfcfcTjSJnlMagDxyaGk
JWZzhQEIIbmEOIgEb0Y9VnKkZfPnbh6ggESTYYNtZjNo/zsHxP8tJPcTAyao1mOc
23PQixVdlhbjMZ0/iW9zdNGKzq5mx6Dc
-----END ENCRYPTED PRIVATE KEY-----
";

/// `-scrypt`.
const SCRYPT: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHkME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAjWJk/JaQkWbgICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBDm8sr6ZyO0Sv/baDdP6pUlBIGQKWukXoGbLYap
iticzd4EBl9zePbYHciCVMR7VUN8PBKu+RmBNNRo6UtQKawQAxUK1MkgvT1UgPQf
zEyCGks25VDUInne0AU600gEwtEQqNvSaHjdZy60YXlrvgYET+JAJ028Hznc5l6E
PH9Q13L8wBk+EgnFYz0XkgaR2itqbZERdl1wBf0pSuMyKPqoinvy
-----END ENCRYPTED PRIVATE KEY-----
";

/// `-v1 PBE-SHA1-3DES`.
const PBES1: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGxMBwGCiqGSIb3DQEMAQMwDgQI28oyTh9heV4CAggABIGQlI8l7ZVafVnDwGYL
fw8o3M9mMBVTWMu3xiMfCAIHZ9rD8P1opovRD7RCZVl8Wq/yGSZmVWrEdduaqS85
MY5lKceratREzk/VYCLLJpAnAMdl2ZivB/vrCu5Cq5dlc/DQmBKLvBJ4O0nBCg5j
Xhx0ryTaP+A9f/hK7ZmAewDpY0sQEwiCGsdyeytCDYNm7hLn
-----END ENCRYPTED PRIVATE KEY-----
";

/// `openssl ec -aes256`.
const OLD: &str = "\
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,F613652A015E20B1A938B84145DFE9E4

uCS2FFvDCl0rmAb4v5gvj0yu5dNHyaVhUy56EQD4doSueS+0Xf9ilGtWcCtc8GxW
mQ7/Q2OeeOSuJjNTHt033a/+CSRCGf3y0sG7AzYFqYFHyZUhwf9JCrAWFeejmmKN
CPgS5UoVL0ETZTosMUF8PldhA5kSSWCb4ihG5GzVHfc=
-----END EC PRIVATE KEY-----
";

const SECRET: Option<&[u8]> = Some(b"secret");

/// What is wrong with a file of a key.
fn fault(file: impl AsRef<[u8]>, passphrase: Option<&[u8]>) -> String {
    match key(file.as_ref(), passphrase) {
        Ok(_) => "nothing".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn an_encrypted_key_is_the_key_that_was_encrypted() {
    let plain = key(KEY.as_bytes(), None).unwrap();
    for file in [KEY, AES, DES, SCRYPT] {
        let found = key(file.as_bytes(), SECRET).unwrap();
        assert_eq!(found.secret_der(), plain.secret_der(), "{file}");
        let lines = file.replace('\n', "\r\n");
        assert_eq!(key(lines.as_bytes(), SECRET).unwrap(), found);
    }
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    for file in [AES, DES, SCRYPT] {
        assert_eq!(fault(file, None), PemFault::Encrypted.to_string());
        for wrong in ["", "Secret"] {
            let wrong = fault(file, Some(wrong.as_bytes()));
            assert_eq!(wrong, PemFault::Passphrase.to_string());
        }
    }
}

#[test]
fn old_encryptions_are_named() {
    assert_eq!(fault(PBES1, SECRET), PemFault::Cipher.to_string());
    assert_eq!(fault(OLD, SECRET), PemFault::OldEncryption.to_string());
    assert_eq!(fault(OLD, None), PemFault::OldEncryption.to_string());
}

#[test]
fn a_file_without_a_key_says_what_it_is() {
    let damaged = KEY.replace("MIGH", "MI-H");
    let cut = AES.replace("-----END", "----END");
    let other = KEY.replace("PRIVATE", "OPENSSH PRIVATE");
    for (file, wanted) in [
        ("", PemFault::Empty),
        (" \n", PemFault::Empty),
        ("hello", PemFault::NoKey),
        (&*cut, PemFault::NoKey),
        (&*damaged, PemFault::Damaged),
        (&*other, PemFault::Key),
        ("\x30\x05\x02\x01\x00\x30\x00", PemFault::Der),
        ("\x30\x05\x02\x01\x03\x30\x00", PemFault::Pkcs12),
    ] {
        assert_eq!(fault(file, None), wanted.to_string(), "{file:?}");
    }
}

#[test]
fn certificates_are_found_among_other_sections() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (pem, der) = (made.cert.pem(), made.cert.der());
    let old = pem.replace("CERTIFICATE", "X509 CERTIFICATE");
    let trusted = [&der[..], &[0x30, 0]].concat();
    let trusted = format!(
        "-----BEGIN TRUSTED CERTIFICATE-----\n{}\n-----END TRUSTED CERTIFICATE-----\n",
        BASE64.encode(trusted)
    );
    let file = format!("a note\n{KEY}{OLD}{pem}\n{old}{trusted}");
    let found = certificates(file.as_bytes(), false).unwrap();
    assert_eq!(found, [der.clone(), der.clone(), der.clone()]);

    let damaged = format!("{}{pem}", pem.replace("MII", "M-I"));
    assert_eq!(certificates(damaged.as_bytes(), true).unwrap().len(), 1);
    let chain = certificates(damaged.as_bytes(), false);
    assert!(matches!(chain, Err(PemFault::Damaged)), "{chain:?}");
    let none = certificates(KEY.as_bytes(), true);
    assert!(matches!(none, Err(PemFault::NoCertificate)), "{none:?}");
}

proptest! {
    #[test]
    fn any_file_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
        let text = BASE64.encode(&bytes);
        for label in ["CERTIFICATE", "TRUSTED CERTIFICATE", "ENCRYPTED PRIVATE KEY"] {
            let file = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----");
            let _ = certificates(file.as_bytes(), true);
            let _ = key(file.as_bytes(), SECRET);
        }
        let _ = certificates(&bytes, true);
        let _ = key(&bytes, None);
    }

}

proptest! {
    // Each case derives a key, which takes time.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_encrypted_key_is_read_without_a_panic(at in 0..AES.len(), byte in any::<u8>()) {
        let mut der = Sections(AES.as_bytes()).next().and_then(|section| section.contents()).unwrap();
        // The number of iterations stays as it is, since more of them only take longer.
        if !(43..47).contains(&at) && let Some(place) = der.get_mut(at) {
            *place = byte;
        }
        let _ = decrypt(&der, b"secret");
    }
}
