//! What counts as right, and how far wrong words are from right ones.

use serde_json::{Map, Value};

/// Fewest insertions, deletions and substitutions that turn `heard` into `said`, in words.
#[must_use]
pub fn word_errors(said: &str, heard: &str) -> usize {
    let said: Vec<&str> = said.split_whitespace().collect();
    let mut row: Vec<usize> = (0..=said.len()).collect();
    for (i, word) in heard.split_whitespace().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, expected) in said.iter().enumerate() {
            let substituted = diagonal + usize::from(*expected != word);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[said.len()]
}

/// Whether two sets of slots say the same; 21 and 21.0 do.
#[must_use]
pub fn same_slots(left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    same(&Value::Object(left.clone()), &Value::Object(right.clone()))
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-6,
            _ => a == b,
        },
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => left == right,
    }
}

/// The smallest value that `share` (0 to 1) of the values do not exceed (nearest rank); `None` without values.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    Some(sorted[rank.saturating_sub(1).min(last)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn word_errors_count_the_shortest_way() {
        assert_eq!(word_errors("a b c", "a b c"), 0);
        assert_eq!(word_errors("a b c", "a x c"), 1);
        assert_eq!(word_errors("a b c", ""), 3);
        assert_eq!(word_errors("", "a b"), 2);
        assert_eq!(word_errors("a b c d", "b c d e"), 2);
    }

    #[test]
    fn slots_compare_by_value() {
        let map = |value: Value| value.as_object().unwrap().clone();
        assert!(same_slots(
            &map(json!({"t": {"degrees": 21}})),
            &map(json!({"t": {"degrees": 21.0}}))
        ));
        assert!(!same_slots(
            &map(json!({"t": 1})),
            &map(json!({"t": 1, "u": 2}))
        ));
        assert!(!same_slots(&map(json!({"t": "1"})), &map(json!({"t": 1}))));
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), Some(50.0));
        assert_eq!(quantile(&values, 0.95), Some(95.0));
        assert_eq!(quantile(&[7.0], 0.95), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
