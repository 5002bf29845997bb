//! What a value of a row may be, whatever the format that it stands in.

use super::excerpt::{has_control, quote};
use super::size::parse_size;

/// Sets what may be set once; a second value would leave one of them silently unused.
pub(super) fn once<T>(
    slot: &mut Option<T>,
    value: impl FnOnce() -> Result<T, String>,
) -> Result<(), String> {
    if slot.is_some() {
        return Err("is given twice".into());
    }
    *slot = Some(value()?);
    Ok(())
}

/// The name of a file, not of a folder.
pub(super) fn file(value: &str) -> Result<String, String> {
    if value.ends_with('/') {
        return Err("names a folder, not a file".into());
    }
    filled(value)
}

/// A size, as [`parse_size`] reads it.
pub(super) fn size(value: &str) -> Result<u64, String> {
    parse_size(value).map_err(|why| format!("{} is {why}", quote(value.as_bytes())))
}

/// Any text but none.
pub(super) fn filled(value: &str) -> Result<String, String> {
    if value.is_empty() {
        return Err("has no value".into());
    }
    plain(value)
}

/// Any text without control characters.
pub(super) fn plain(value: &str) -> Result<String, String> {
    if has_control(value) {
        return Err("has a control character".into());
    }
    Ok(value.into())
}

/// `Name: value`: the name is a token (RFC 9110 §5.6.2), the value has no control but tab (§5.5).
pub(super) fn header(value: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match value.split_once(':') {
        Some((name, _)) if name.is_empty() || !name.bytes().all(is_token) => {
            Err("has a bad header name".into())
        }
        Some((_, content)) if content.split('\t').any(has_control) => {
            Err("has a control character".into())
        }
        Some(_) => Ok(value.into()),
        None => Err("is not \"Name: value\"".into()),
    }
}
