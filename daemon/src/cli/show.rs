//! Values for eyes: bus values as JSON, JSON as indented lines.

use crate::bus::Dict;
use serde_json::{Map, Value};
use std::io::Write;
use zbus::Variant;

/// `a{sv}` as JSON, keys in order.
#[must_use]
pub fn dict(dict: &Dict) -> Value {
    let sorted: std::collections::BTreeMap<_, _> = dict.iter().collect();
    Value::Object(
        sorted
            .into_iter()
            .map(|(key, value)| (key.clone(), json(value)))
            .collect(),
    )
}

/// A variant as JSON. What JSON has no form for becomes its text.
#[must_use]
pub fn json(variant: &Variant<'_>) -> Value {
    match variant {
        Variant::Bool(value) => (*value).into(),
        Variant::Str(value) => value.as_str().into(),
        Variant::U32(value) => (*value).into(),
        Variant::I32(value) => (*value).into(),
        Variant::U64(value) => (*value).into(),
        Variant::I64(value) => (*value).into(),
        Variant::F64(value) => (*value).into(),
        Variant::Variant(inner) => json(inner),
        Variant::Array(items) => Value::Array(items.iter().map(json).collect()),
        Variant::Dict(entries) => {
            let mut object = Map::new();
            for (key, value) in entries.iter() {
                let key = match key {
                    Variant::Str(key) => key.as_str().to_owned(),
                    other => other.to_string(),
                };
                object.insert(key, json(value));
            }
            Value::Object(object)
        }
        other => other.to_string().into(),
    }
}

/// Prints one line. Ends the program when nobody reads any more.
pub fn line(text: &str) {
    text_of(&format!("{text}\n"));
}

fn text_of(text: &str) {
    let mut out = std::io::stdout().lock();
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}

/// An object as lines of `name  value`, inner objects indented.
pub fn table(value: &Value) {
    text_of(&lines(value, 0));
}

fn lines(value: &Value, depth: usize) -> String {
    let Value::Object(object) = value else {
        return format!("{}\n", plain(value));
    };
    let width = object.keys().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (key, value) in object {
        let indent = " ".repeat(depth * 2);
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text += &format!("{indent}{key}\n{}", lines(value, depth + 1));
            }
            other => text += &format!("{indent}{key:width$}  {}\n", plain(other)),
        }
    }
    text
}

/// A value without JSON's quotes.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| format!("{key}={}", plain(value)))
            .collect::<Vec<_>>()
            .join(" "),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_are_aligned_and_indented() {
        let text = lines(
            &json!({"a": 1, "long": ["x", "y"], "inner": {"b": true}}),
            0,
        );
        assert_eq!(text, "a      1\ninner\n  b  true\nlong   x, y\n");
    }
}
