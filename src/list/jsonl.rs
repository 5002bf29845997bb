//! The `jsonl` format: one JSON object (RFC 8259) on each line, with the options of a row as its members.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::excerpt::quote;
use super::lines::Line;
use super::reference::References;
use super::value::{file, filled, header, once, size};
use super::{ListError, Location, Row, read_alone};

/// The parser of one list.
#[derive(Debug)]
pub(super) struct Jsonl {
    source: Arc<str>,
    references: References,
}

impl Jsonl {
    pub(super) fn new(source: Arc<str>, references: References) -> Self {
        Self { source, references }
    }

    /// Parses one line. Blank lines and comments are skipped.
    pub(super) fn read(&self, number: u64, line: &Line<'_>) -> Option<Result<Row, ListError>> {
        let location = Location {
            source: Arc::clone(&self.source),
            line: number,
        };
        read_alone(location, line, |text, location| self.row(text, location))
    }

    fn row(&self, line: &[u8], location: Location) -> Result<Row, String> {
        let value = serde_json::from_slice(line).map_err(|fault: serde_json::Error| {
            let column = fault.column();
            if fault.is_eof() {
                return format!(
                    "not JSON (column {column}): each object is on one line, as jq -c writes it"
                );
            }
            format!("not JSON (column {column})")
        })?;
        let Value::Object(mut object) = value else {
            return Err("not a JSON object".into());
        };
        let url = text("url", object.remove("url").ok_or("no \"url\"")?)?;
        let mut row = Row::new(self.references.parse(&url)?, location)?;
        for (key, value) in object {
            self.set(&mut row, &key, value)?;
        }
        Ok(row)
    }

    /// Sets the option of one member. A null member is ignored.
    fn set(&self, row: &mut Row, key: &str, value: Value) -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        match key {
            "mirrors" => texts(key, value)?.iter().try_for_each(|mirror| {
                let mirror = self.references.parse(mirror)?;
                row.add_mirror(mirror)
            }),
            "out" => once(&mut row.out, || {
                file(&text(key, value)?).map_err(|fault| named(key, &fault))
            }),
            "dir" => {
                let dir = filled(&text(key, value)?).map_err(|fault| named(key, &fault))?;
                once(&mut row.options_mut().dir, || Ok(dir))
            }
            "checksum" => texts(key, value)?.iter().try_for_each(|digest| {
                let digest = digest.parse().and_then(|digest| row.expect(digest));
                digest.map_err(|fault| named(key, &format!("is not usable: {fault}")))
            }),
            "headers" => {
                row.options_mut().headers = headers(value).map_err(|fault| named(key, &fault))?;
                Ok(())
            }
            "size" => {
                let size = match value {
                    Value::String(text) => size(&text),
                    other => other.as_u64().ok_or("is not a number of bytes".into()),
                };
                let size = size.map_err(|fault| named(key, &fault))?;
                once(&mut row.options_mut().size, || Ok(size))
            }
            _ => Err(format!("unknown key {}", quote(key.as_bytes()))),
        }
    }
}

/// An error of a member's value.
fn named(key: &str, fault: &str) -> String {
    format!("\"{key}\" {fault}")
}

fn text(key: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(format!("\"{key}\" is not a string")),
    }
}

/// A string, or an array of strings.
fn texts(key: &str, value: Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(values) => values.into_iter().map(|value| text(key, value)).collect(),
        value => Ok(vec![text(key, value)?]),
    }
}

/// `{"Name": "value", "Other": ["one", "two"]}` as `Name: value` lines.
fn headers(value: Value) -> Result<Vec<String>, String> {
    let Value::Object(object) = value else {
        return Err("is not an object".into());
    };
    let mut lines = Vec::new();
    for (name, value) in Map::into_iter(object) {
        let values = texts("headers", value).map_err(|_| "has a value that is not a string")?;
        for value in values {
            lines.push(header(&format!("{name}: {value}"))?);
        }
    }
    Ok(lines)
}
