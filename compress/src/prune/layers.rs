//! Whole layers: stretches of a network that come again and again.
//!
//! Between two nodes of which the later ones need only one tensor the network can be parted. Of the stretches between such
//! places the longest row that repeats itself are the layers: without one of them the network fits together as before.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use tract_onnx::pb::GraphProto;

use super::structure::common;

/// A layer: its nodes, the tensor that it starts from and the one that it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub name: String,
    pub nodes: Range<usize>,
    pub first: String,
    pub last: String,
}

/// The layers of a network in their order; none when nothing repeats itself.
pub(super) fn layers(graph: &GraphProto) -> Vec<Stretch> {
    let places = places(graph);
    let parts: Vec<Range<usize>> = places
        .windows(2)
        .map(|pair| pair[0].0 + 1..pair[1].0 + 1)
        .collect();
    let kinds: Vec<Vec<&str>> = parts
        .iter()
        .map(|part| {
            graph.node[part.clone()]
                .iter()
                .map(|node| &*node.op_type)
                .collect()
        })
        .collect();
    let Some((start, period, times)) = repetition(&kinds) else {
        return Vec::new();
    };
    let layer = |which: usize| {
        let (from, to) = (start + which * period, start + (which + 1) * period);
        let nodes = parts[from].start..parts[to - 1].end;
        Stretch {
            name: name(graph, nodes.clone(), which),
            nodes,
            first: places[from].1.clone(),
            last: places[to].1.clone(),
        }
    };
    (0..times).map(layer).collect()
}

/// What the names of a layer's nodes have in common. Nodes that make states are called after these.
fn name(graph: &GraphProto, nodes: Range<usize>, which: usize) -> String {
    let is_result = |tensor: &String| graph.output.iter().any(|output| output.name == *tensor);
    let inner = graph.node[nodes].iter();
    let names: Vec<&str> = inner
        .filter(|node| !node.output.iter().any(is_result))
        .map(|node| &*node.name)
        .collect();
    let name = common(&names);
    if name.is_empty() || names.contains(&&*name) {
        format!("layer {which}")
    } else {
        name
    }
}

/// After which nodes only one tensor that was made is still needed, and which.
fn places(graph: &GraphProto) -> Vec<(usize, String)> {
    let mut last_use: HashMap<&str, usize> = HashMap::new();
    for (number, node) in graph.node.iter().enumerate() {
        for input in &node.input {
            last_use.insert(input, number);
        }
    }
    let mut needed: HashSet<&str> = HashSet::new();
    let mut places = Vec::new();
    for (number, node) in graph.node.iter().enumerate() {
        for input in &node.input {
            if last_use[&**input] == number {
                needed.remove(&**input);
            }
        }
        let outputs = node.output.iter().map(String::as_str);
        needed.extend(outputs.filter(|output| last_use.contains_key(output)));
        if needed.len() == 1 {
            places.extend(needed.iter().map(|tensor| (number, (*tensor).to_owned())));
        }
    }
    places
}

/// Where the row that covers most nodes by repeating itself starts, after how many it repeats and how often it comes.
fn repetition(kinds: &[Vec<&str>]) -> Option<(usize, usize, usize)> {
    let mut best = (0, None);
    for period in 1..=kinds.len() / 2 {
        let mut start = 0;
        while start + 2 * period <= kinds.len() {
            let alike = kinds[start..]
                .iter()
                .zip(&kinds[start + period..])
                .take_while(|(one, other)| one == other)
                .count();
            let times = alike / period + 1;
            let end = start + times * period;
            let covered = kinds[start..end].iter().map(Vec::len).sum::<usize>();
            if times > 1 && covered > best.0 {
                best = (covered, Some((start, period, times)));
            }
            start += 1;
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::products::operator;

    /// A product, so many residual layers, a product.
    fn graph(layers: usize) -> GraphProto {
        let mut node = vec![operator("MatMul", &["x", "w"], &["s0"])];
        for number in 0..layers {
            let (from, to) = (format!("s{number}"), format!("s{}", number + 1));
            let bent = format!("b{number}");
            node.push(operator("Tanh", &[&from], &[&bent]));
            node.push(operator("Add", &[&from, &bent], &[&to]));
        }
        node.push(operator("MatMul", &[&format!("s{layers}"), "v"], &["y"]));
        GraphProto {
            node,
            ..GraphProto::default()
        }
    }

    #[test]
    fn residual_layers_are_found_and_the_rest_is_none() {
        let found = layers(&graph(3));
        let ends: Vec<(&str, &str)> = found.iter().map(|one| (&*one.first, &*one.last)).collect();
        assert_eq!(ends, [("s0", "s1"), ("s1", "s2"), ("s2", "s3")]);
        assert_eq!(found[1].nodes, 3..5);
        assert_eq!(found[1].name, "layer 1");
        assert_eq!(layers(&graph(1)), []);
    }
}
