//! PEM files (RFC 7468): the certificates in them, and the keys, encrypted (RFC 5958 §3) or not.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pkcs5::EncryptionScheme;
use pkcs5::der::Decode;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use super::der::{Element, INTEGER, OCTET_STRING, SEQUENCE};
use crate::error::PemFault;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The certificates of a file, at least one. The rest of the file may be damaged if `is_bundle`, since one bad
/// certificate among many of authorities is no reason to trust none.
pub fn certificates(
    file: &[u8],
    is_bundle: bool,
) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let mut found = Vec::new();
    let mut is_damaged = false;
    for section in Sections(file) {
        match (section.label, section.contents()) {
            (b"CERTIFICATE" | b"X509 CERTIFICATE", Some(der)) => found.push(der.into()),
            // OpenSSL's: a certificate, and behind it what it is trusted for.
            (b"TRUSTED CERTIFICATE", Some(der)) => match Element::first(&der) {
                Some(certificate) => found.push(certificate.whole.to_vec().into()),
                None => is_damaged = true,
            },
            (label, None) if label.ends_with(b"CERTIFICATE") => is_damaged = true,
            _ => {}
        }
    }
    if is_damaged && (found.is_empty() || !is_bundle) {
        return Err(PemFault::Damaged);
    }
    if found.is_empty() {
        return Err(not_pem(file).unwrap_or(PemFault::NoCertificate));
    }
    Ok(found)
}

/// The first key of a file.
pub fn key(file: &[u8], passphrase: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, PemFault> {
    let mut sections = Sections(file);
    let Some(section) = sections.find(|section| section.label.ends_with(b"PRIVATE KEY")) else {
        return Err(not_pem(file).unwrap_or(PemFault::NoKey));
    };
    // RFC 1421 §4.6.1.1.
    if section.has_header(b"Proc-Type: 4,ENCRYPTED") {
        return Err(PemFault::OldEncryption);
    }
    let der = section.contents().ok_or(PemFault::Damaged)?;
    Ok(match section.label {
        b"PRIVATE KEY" => PrivatePkcs8KeyDer::from(der).into(),
        b"RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der).into(),
        b"EC PRIVATE KEY" => PrivateSec1KeyDer::from(der).into(),
        b"ENCRYPTED PRIVATE KEY" => {
            let passphrase = passphrase.ok_or(PemFault::Encrypted)?;
            PrivatePkcs8KeyDer::from(decrypt(&der, passphrase)?).into()
        }
        _ => return Err(PemFault::Key),
    })
}

/// The key in an EncryptedPrivateKeyInfo (RFC 5958 §3).
fn decrypt(info: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, PemFault> {
    let (scheme, data) = encrypted(info).ok_or(PemFault::Damaged)?;
    let scheme = EncryptionScheme::from_der(scheme).map_err(|_| PemFault::Cipher)?;
    let key = scheme
        .decrypt(passphrase, data)
        .map_err(|error| match error {
            pkcs5::Error::DecryptFailed => PemFault::Passphrase,
            _ => PemFault::Cipher,
        })?;
    // A wrong passphrase can leave a valid padding.
    let is_key = Element::first(&key).and_then(|key| key.of_tag(SEQUENCE));
    if is_key.is_some_and(|info| info.rest.is_empty()) {
        Ok(key)
    } else {
        Err(PemFault::Passphrase)
    }
}

/// The encryption of an EncryptedPrivateKeyInfo, in DER, and what is encrypted.
fn encrypted(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let info = Element::first(info)?.of_tag(SEQUENCE)?;
    let scheme = Element::first(info.contents)?.of_tag(SEQUENCE)?;
    let data = Element::first(scheme.rest)?.of_tag(OCTET_STRING)?;
    Some((scheme.whole, data.contents))
}

/// What a file without a section is instead, if that is known.
fn not_pem(file: &[u8]) -> Option<PemFault> {
    if file.trim_ascii().is_empty() {
        return Some(PemFault::Empty);
    }
    let contents = Element::first(file)?.of_tag(SEQUENCE)?.contents;
    // A store begins with the number of its version (RFC 7292 §4), and so does a key, but a store's is 3.
    let version = Element::first(contents).and_then(|version| version.of_tag(INTEGER));
    Some(match version {
        Some(version) if version.contents == [3] => PemFault::Pkcs12,
        _ => PemFault::Der,
    })
}

/// The sections of a file, in order. Lines outside of them are skipped, as is a section without an end.
struct Sections<'f>(&'f [u8]);

struct Section<'f> {
    label: &'f [u8],
    /// Its lines, without those of its label.
    text: &'f [u8],
}

impl<'f> Iterator for Sections<'f> {
    type Item = Section<'f>;

    fn next(&mut self) -> Option<Section<'f>> {
        loop {
            let label = marked(self.line()?, b"-----BEGIN ");
            let Some(label) = label else { continue };
            let from = self.0;
            let mut length = 0;
            while let Some(line) = self.line() {
                if marked(line, b"-----END ") == Some(label) {
                    let text = from.get(..length)?;
                    return Some(Section { label, text });
                }
                length = from.len() - self.0.len();
            }
        }
    }
}

impl<'f> Sections<'f> {
    /// The next line, with its end.
    fn line(&mut self) -> Option<&'f [u8]> {
        let line = self
            .0
            .split_inclusive(|byte| matches!(byte, b'\n' | b'\r'))
            .next()?;
        self.0 = self.0.get(line.len()..)?;
        Some(line)
    }
}

/// The label of a line that begins or ends a section.
fn marked<'l>(line: &'l [u8], begin: &[u8]) -> Option<&'l [u8]> {
    line.trim_ascii()
        .strip_prefix(begin)?
        .strip_suffix(b"-----")
}

impl Section<'_> {
    /// Whether it has this header (RFC 1421 §4.6), which only the old encryption of keys uses.
    fn has_header(&self, header: &[u8]) -> bool {
        let mut lines = self.text.split(|byte| matches!(byte, b'\n' | b'\r'));
        lines.any(|line| line.trim_ascii() == header)
    }

    /// What its Base64 says; `None` if that is damaged.
    fn contents(&self) -> Option<Vec<u8>> {
        let mut text = self.text.to_vec();
        text.retain(|byte| !byte.is_ascii_whitespace());
        BASE64.decode(text).ok().filter(|der| !der.is_empty())
    }
}

#[cfg(test)]
mod tests;
