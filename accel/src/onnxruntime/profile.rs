//! What ONNX Runtime's profile of a run says: which node ran where, and how long.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::plan::Part;

/// An entry of the profile; most are of no interest.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    args: BTreeMap<String, serde_json::Value>,
}

/// What the run of a node is called after its name.
const RUN: &str = "_kernel_time";

/// Nodes by provider and operator, with the time they took in a step on average; the dearest first.
///
/// # Errors
/// When the text is no profile or no node ran.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, String> {
    let entries: Vec<Entry> =
        serde_json::from_str(text).map_err(|e| format!("this is no profile: {e}"))?;
    // Node → (provider, operator, time, runs).
    let mut nodes: BTreeMap<&str, (&str, &str, f64, u32)> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.cat == "Node") {
        let Some(node) = entry.name.strip_suffix(RUN) else {
            continue;
        };
        let text = |key: &str| entry.args.get(key).and_then(|value| value.as_str());
        let (Some(provider), Some(operator)) = (text("provider"), text("op_name")) else {
            continue;
        };
        let (_, _, time, runs) = nodes.entry(node).or_insert((provider, operator, 0.0, 0));
        *time += entry.dur;
        *runs += 1;
    }
    let steps = nodes.values().map(|node| node.3).max();
    let steps = f64::from(steps.ok_or("no node ran while it was profiled")?);
    let mut parts: BTreeMap<(&str, &str), Part> = BTreeMap::new();
    for (node, (provider, operator, time, _)) in nodes {
        let part = parts.entry((provider, operator)).or_insert_with(|| Part {
            provider: provider.to_owned(),
            operator: operator.to_owned(),
            nodes: Vec::new(),
            us: 0.0,
        });
        part.nodes.push(node.to_owned());
        part.us += time / steps;
    }
    let mut parts: Vec<Part> = parts.into_values().collect();
    parts.sort_by(|a, b| b.us.total_cmp(&a.us));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_steps_and_the_dearest_comes_first() {
        let text = r#"[
            {"cat": "Session", "name": "model_run", "dur": 99, "args": {}},
            {"cat": "Node", "name": "a_kernel_time", "dur": 4, "args": {"provider": "P", "op_name": "MatMul"}},
            {"cat": "Node", "name": "a_kernel_time", "dur": 6, "args": {"provider": "P", "op_name": "MatMul"}},
            {"cat": "Node", "name": "a_fence_before", "dur": 7, "args": {"provider": "P", "op_name": "MatMul"}},
            {"cat": "Node", "name": "b_kernel_time", "dur": 30, "args": {"provider": "C", "op_name": "Add"}},
            {"cat": "Node", "name": "b_kernel_time", "dur": 10, "args": {"provider": "C", "op_name": "Add"}},
            {"cat": "Node", "name": "c_kernel_time", "dur": 2, "args": {"provider": "C", "op_name": "Add"}},
            {"cat": "Node", "name": "c_kernel_time", "dur": 2, "args": {"provider": "C", "op_name": "Add"}}
        ]"#;
        let part = |provider: &str, operator: &str, nodes: &[&str], us| Part {
            provider: provider.into(),
            operator: operator.into(),
            nodes: nodes.iter().map(|&node| node.to_owned()).collect(),
            us,
        };
        let wanted = [
            part("C", "Add", &["b", "c"], 22.0),
            part("P", "MatMul", &["a"], 5.0),
        ];
        assert_eq!(parts(text).unwrap(), wanted);
        assert!(parts("[]").is_err() && parts("{").is_err());
    }
}
