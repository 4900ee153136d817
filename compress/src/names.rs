//! Short names for what passes between nodes: in a small network names are a fortieth of the file.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::ModelProto;

/// Renames every tensor that passes between nodes to a number. Inputs, outputs, constants and nodes keep their names, and so
/// does everything in a network that has graphs within nodes, which may take tensors from outside by name. Returns how many
/// were renamed.
pub fn shorten(model: &mut ModelProto) -> usize {
    let Some(graph) = &mut model.graph else {
        return 0;
    };
    let nested = |node: &tract_onnx::pb::NodeProto| {
        let mut attributes = node.attribute.iter();
        attributes.any(|one| one.g.is_some() || !one.graphs.is_empty())
    };
    if graph.node.iter().any(nested) {
        return 0;
    }
    let known = graph.input.iter().chain(&graph.output).map(|v| &v.name);
    let known: HashSet<String> = known
        .chain(graph.initializer.iter().map(|constant| &constant.name))
        .cloned()
        .collect();
    let mut free = (0u32..)
        .map(|number| format!("{number:x}"))
        .filter(|name| !known.contains(name));
    let mut short: HashMap<String, String> = HashMap::new();
    for node in &graph.node {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if !known.contains(output)
                && let Some(name) = free.next()
            {
                short.insert(output.clone(), name);
            }
        }
    }
    for node in &mut graph.node {
        for name in node.input.iter_mut().chain(&mut node.output) {
            if let Some(new) = short.get(name) {
                name.clone_from(new);
            }
        }
    }
    // Shapes that were noted for the old names; every run time infers them anew.
    graph.value_info.clear();
    short.len()
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{GraphProto, ValueInfoProto};

    use super::*;
    use crate::products::{floats, operator};

    #[test]
    fn what_passes_between_nodes_gets_names_that_are_free() {
        let named = |name: &str| ValueInfoProto {
            name: name.into(),
            ..ValueInfoProto::default()
        };
        let mut model = ModelProto {
            graph: Some(GraphProto {
                input: vec![named("features")],
                output: vec![named("result")],
                initializer: vec![floats("0", &[1], &[2.0])],
                node: vec![
                    operator("Mul", &["features", "0"], &["block0.a.long.name"]),
                    operator("Relu", &["block0.a.long.name"], &["another.long.name"]),
                    operator("Add", &["another.long.name", "0"], &["result"]),
                ],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        assert_eq!(shorten(&mut model), 2);
        let nodes = model.graph.unwrap().node;
        let names = |at: usize| (nodes[at].input.clone(), nodes[at].output.clone());
        let strings = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(0), (strings(&["features", "0"]), strings(&["1"])));
        assert_eq!(names(1), (strings(&["1"]), strings(&["2"])));
        assert_eq!(names(2), (strings(&["2", "0"]), strings(&["result"])));
    }
}
