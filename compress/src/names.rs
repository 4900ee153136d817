//! Short names: in a small network they are a fortieth of the file.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::ModelProto;

/// Renames every tensor but the network's inputs and outputs to a number, and takes the names of nodes away but those of `layers`.
/// Nothing is renamed in a network that has graphs within nodes, which may take tensors from outside by name. Returns how many
/// tensors were renamed.
pub fn shorten(model: &mut ModelProto, layers: &[String]) -> usize {
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
    let known = graph.input.iter().chain(&graph.output);
    let known: HashSet<String> = known.map(|port| port.name.clone()).collect();
    let mut free = (0u32..)
        .map(|number| format!("{number:x}"))
        .filter(|name| !known.contains(name));
    let mut short: HashMap<String, String> = HashMap::new();
    let made = graph.node.iter().flat_map(|node| &node.output);
    let constants = graph.initializer.iter().map(|constant| &constant.name);
    for old in made.chain(constants).filter(|name| !name.is_empty()) {
        if !known.contains(old)
            && let Some(name) = free.next()
        {
            short.insert(old.clone(), name);
        }
    }
    for constant in &mut graph.initializer {
        if let Some(new) = short.get(&constant.name) {
            constant.name.clone_from(new);
        }
    }
    for node in &mut graph.node {
        if !layers.contains(&node.name) {
            node.name.clear();
        }
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
    fn tensors_get_short_names_and_layers_keep_theirs() {
        let named = |name: &str| ValueInfoProto {
            name: name.into(),
            ..ValueInfoProto::default()
        };
        let mut model = ModelProto {
            graph: Some(GraphProto {
                input: vec![named("0")],
                output: vec![named("result")],
                initializer: vec![floats("a.constant", &[1], &[2.0])],
                node: vec![
                    operator("Mul", &["0", "a.constant"], &["block0.a.long.name"]),
                    operator("Relu", &["block0.a.long.name"], &["another.long.name"]),
                    operator("Add", &["another.long.name", "a.constant"], &["result"]),
                ],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        let nodes = &mut model.graph.as_mut().unwrap().node;
        nodes[1].name = "layer".into();
        nodes[2].name = "sum".into();
        assert_eq!(shorten(&mut model, &["layer".to_owned()]), 3);
        let nodes = model.graph.unwrap().node;
        let names = |at: usize| (nodes[at].input.clone(), nodes[at].output.clone());
        let strings = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(0), (strings(&["0", "3"]), strings(&["1"])));
        assert_eq!(names(1), (strings(&["1"]), strings(&["2"])));
        assert_eq!(names(2), (strings(&["2", "3"]), strings(&["result"])));
        let kept: Vec<&str> = nodes.iter().map(|node| &*node.name).collect();
        assert_eq!(kept, ["", "layer", ""]);
    }
}
