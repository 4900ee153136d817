//! Values of the bus: one translation from JSON, so that events look alike on the bus and on the command line.

use serde::Serialize;
use serde_json::Value as Json;
use std::collections::HashMap;
use vocar_nlu::Intent;
use zbus::{OwnedVariant, Variant};

/// `a{sv}`.
pub type Dict = HashMap<String, OwnedVariant>;

/// Any serialisable struct as `a{sv}`; fields that are null are left out.
#[must_use]
pub fn dict(value: &impl Serialize) -> Dict {
    match serde_json::to_value(value) {
        Ok(Json::Object(object)) => object
            .into_iter()
            .filter_map(|(key, value)| Some((key, variant(value)?)))
            .collect(),
        _ => Dict::new(),
    }
}

/// JSON to a variant: numbers are `t`, `x` or `d`, texts `s`, lists of texts `as`, other lists `av`, objects `a{sv}`.
/// Null has no counterpart.
#[must_use]
pub fn variant(value: Json) -> Option<OwnedVariant> {
    let variant: Variant<'static> = match value {
        Json::Null => return None,
        Json::Bool(value) => value.into(),
        Json::String(value) => value.into(),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), _, _) => value.into(),
            (_, Some(value), _) => value.into(),
            (_, _, value) => value?.into(),
        },
        Json::Array(items) if items.iter().all(Json::is_string) => {
            let texts: Vec<String> = items
                .into_iter()
                .filter_map(|item| Some(item.as_str()?.to_owned()))
                .collect();
            texts.into()
        }
        Json::Array(items) => {
            let items: Vec<Variant<'static>> = items
                .into_iter()
                .filter_map(variant)
                .map(Variant::from)
                .collect();
            items.into()
        }
        Json::Object(object) => {
            let entries: HashMap<String, Variant<'static>> = object
                .into_iter()
                .filter_map(|(key, value)| Some((key, Variant::from(variant(value)?))))
                .collect();
            entries.into()
        }
    };
    OwnedVariant::try_from(variant).ok()
}

/// The slots of a command, each as `a{sv}` or a plain value.
#[must_use]
pub fn slots(intent: &Intent) -> Dict {
    dict(&intent.slots)
}

/// Commands with their readings, each as `a{sv}` with `part`: to which command, counted from 0, it belongs.
#[must_use]
pub fn commands(commands: &[Vec<Intent>]) -> Vec<Dict> {
    let mut all = Vec::new();
    for (part, readings) in (0_u64..).zip(commands) {
        all.extend(readings.iter().map(|intent| {
            let mut reading = dict(intent);
            reading.extend(variant(part.into()).map(|part| ("part".to_owned(), part)));
            reading
        }));
    }
    all
}

/// The name that a value without fields has in JSON.
#[must_use]
pub fn name_of(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| Some(value.as_str()?.to_owned()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(value: Json) -> String {
        Variant::from(variant(value).unwrap())
            .value_signature()
            .to_string()
    }

    #[test]
    fn json_keeps_its_shape() {
        assert_eq!(signature(serde_json::json!("a")), "s");
        assert_eq!(signature(serde_json::json!(["a", "b"])), "as");
        assert_eq!(signature(serde_json::json!([])), "as");
        assert_eq!(signature(serde_json::json!([1, "b"])), "av");
        assert_eq!(signature(serde_json::json!(3)), "t");
        assert_eq!(signature(serde_json::json!(-3)), "x");
        assert_eq!(signature(serde_json::json!(3.5)), "d");
        assert_eq!(
            signature(serde_json::json!({"type": "number", "value": 21.5})),
            "a{sv}"
        );
        assert!(variant(Json::Null).is_none());
    }

    #[test]
    fn null_fields_are_left_out() {
        let dict = dict(&serde_json::json!({"vss": null, "name": "x"}));
        assert_eq!(dict.keys().collect::<Vec<_>>(), ["name"]);
    }
}
