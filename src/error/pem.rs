//! Why a file of certificates or keys cannot be used.

use std::io;

use super::reason;

/// What is wrong with a file of PEM certificates or keys. The message follows the file's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PemFault {
    /// It cannot be read.
    #[error("{}", reason(.0))]
    Unreadable(#[source] io::Error),
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is not PEM but DER.
    #[error("it is in DER format, not PEM")]
    Der,
    /// It is not PEM but a PKCS#12 store.
    #[error("it is in PKCS#12 format, not PEM")]
    Pkcs12,
    /// A section is not valid PEM.
    #[error("its PEM is damaged")]
    Damaged,
    /// It has no certificate.
    #[error("no PEM certificate in it")]
    NoCertificate,
    /// None of its certificates can be parsed.
    #[error("its certificate cannot be parsed")]
    Certificate,
    /// It has no key.
    #[error("no PEM key in it")]
    NoKey,
    /// The key cannot be parsed, or is of another kind.
    #[error("its key is not an RSA, ECDSA or Ed25519 key")]
    Key,
    /// The key does not belong to the client's certificate.
    #[error("its key is not that of the client certificate")]
    OtherKey,
    /// The key is encrypted, and no passphrase was given.
    #[error("its key is encrypted")]
    Encrypted,
    /// The passphrase does not decrypt the key.
    #[error("the passphrase of its key is wrong")]
    Passphrase,
    /// The key is encrypted as keys were before PKCS#8 (RFC 1421 §4.6), which is not supported.
    #[error("its key has the old encryption of PEM (Proc-Type: 4,ENCRYPTED)")]
    OldEncryption,
    /// The key is encrypted in another way than with PBES2 (RFC 8018 §6.2), or with an unknown cipher.
    #[error("its key is encrypted with an unsupported cipher")]
    Cipher,
}
