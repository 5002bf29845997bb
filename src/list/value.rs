//! Validates the values of a row's options, for all formats.

use super::excerpt::{has_control, quote};
use super::size::parse_size;
use crate::http::grammar::is_token;

/// Sets an option that may occur only once. A second value is an error, because one of the two would be ignored.
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

/// A file name; not that of a folder.
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

/// Text that is not empty and has no control characters.
pub(super) fn filled(value: &str) -> Result<String, String> {
    if value.is_empty() {
        return Err("has no value".into());
    }
    plain(value)
}

/// Text without control characters; may be empty.
pub(super) fn plain(value: &str) -> Result<String, String> {
    if has_control(value) {
        return Err("has a control character".into());
    }
    Ok(value.into())
}

/// `Name: value`: the name is a token (RFC 9110 §5.6.2), the value has no control character but tab (§5.5).
pub(super) fn header(value: &str) -> Result<String, String> {
    match value.split_once(':') {
        Some((name, _)) if !is_token(name.as_bytes()) => Err("has a bad header name".into()),
        Some((_, content)) if content.split('\t').any(has_control) => {
            Err("has a control character".into())
        }
        Some(_) => Ok(value.into()),
        None => Err("is not \"Name: value\"".into()),
    }
}
