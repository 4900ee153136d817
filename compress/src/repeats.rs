//! Constants that say the same more than once: stored once.

use std::collections::{BTreeMap, HashMap};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

use crate::products::{attribute, floats, operator, raw, values_of};

/// Makes one of constants that are alike in type, shape and value. Returns how many went.
pub fn share(model: &mut ModelProto) -> usize {
    model.graph.as_mut().map_or(0, share_in)
}

fn share_in(graph: &mut GraphProto) -> usize {
    let ports = graph.input.iter().chain(&graph.output);
    let ports: Vec<String> = ports.map(|port| port.name.clone()).collect();
    let (mut kept, mut first) = (Vec::<TensorProto>::new(), HashMap::new());
    let mut instead: HashMap<String, String> = HashMap::new();
    for constant in std::mem::take(&mut graph.initializer) {
        let nameless = TensorProto {
            name: String::new(),
            ..constant.clone()
        };
        let key = prost::Message::encode_to_vec(&nameless);
        let is_free = !ports.contains(&constant.name);
        match first.get(&key).filter(|_| is_free) {
            Some(&other) => {
                let other: &TensorProto = &kept[other];
                instead.insert(constant.name, other.name.clone());
            }
            None => {
                first.entry(key).or_insert(kept.len());
                kept.push(constant);
            }
        }
    }
    graph.initializer = kept;
    for name in graph.node.iter_mut().flat_map(|node| &mut node.input) {
        if let Some(other) = instead.get(name) {
            name.clone_from(other);
        }
    }
    instead.len()
}

/// Stores matrices whose diagonals hold one value each, as a bias by the distance of rows from columns does, as the values of their
/// diagonals with a Gather. Returns how many there were.
pub fn store_diagonals(model: &mut ModelProto) -> usize {
    model.graph.as_mut().map_or(0, store_diagonals_in)
}

fn store_diagonals_in(graph: &mut GraphProto) -> usize {
    let ports = graph.input.iter().chain(&graph.output);
    let ports: Vec<String> = ports.map(|port| port.name.clone()).collect();
    // In order, so that the same network is written as the same bytes.
    let (mut nodes, mut places) = (Vec::new(), BTreeMap::new());
    for constant in &mut graph.initializer {
        let Some((rows, columns, diagonals)) = diagonals(constant) else {
            continue;
        };
        if ports.contains(&constant.name) {
            continue;
        }
        let name = constant.name.clone();
        let stored = format!("{name}.diagonals");
        let index = format!("diagonals.{rows}.{columns}");
        let axis = constant.dims.len() as i64 - 2;
        let mut gather = operator("Gather", &[&stored, &index], &[&name]);
        gather.attribute.push(attribute("axis", axis));
        nodes.push(gather);
        let shape = [
            &constant.dims[..axis as usize],
            &[(rows + columns - 1) as i64],
        ]
        .concat();
        *constant = floats(&stored, &shape, &diagonals);
        places.entry(index).or_insert((rows, columns));
    }
    let count = nodes.len();
    for (name, (rows, columns)) in places {
        let at = (0..rows).flat_map(|row| (0..columns).map(move |c| (c + rows - 1 - row) as i32));
        let bytes = at.flat_map(i32::to_le_bytes).collect();
        let shape = [rows as i64, columns as i64];
        graph
            .initializer
            .push(raw(&name, DataType::Int32, &shape, bytes));
    }
    nodes.append(&mut graph.node);
    graph.node = nodes;
    count
}

/// Rows, columns and the values of the diagonals of a constant `[…, rows, columns]` of floats, from the lower left corner to the
/// upper right one; `None` when a diagonal holds more than one value or a matrix is too thin for it to save anything.
fn diagonals(constant: &TensorProto) -> Option<(usize, usize, Vec<f32>)> {
    if constant.data_type != DataType::Float as i32 {
        return None;
    }
    let &[.., rows, columns] = &constant.dims[..] else {
        return None;
    };
    let (rows, columns) = (usize::try_from(rows).ok()?, usize::try_from(columns).ok()?);
    if rows < 2 || columns < 2 {
        return None;
    }
    let values = values_of(constant);
    if values.len() as i64 != constant.dims.iter().product::<i64>() {
        return None;
    }
    let mut found = Vec::new();
    for matrix in values.chunks_exact(rows * columns) {
        let own = (0..rows + columns - 1).map(|place| {
            if place < rows {
                matrix[(rows - 1 - place) * columns]
            } else {
                matrix[place + 1 - rows]
            }
        });
        let own: Vec<f32> = own.collect();
        let mut rows_of = matrix.chunks_exact(columns).enumerate();
        let alike = rows_of.all(|(row, values)| values == &own[rows - 1 - row..][..columns]);
        if !alike {
            return None;
        }
        found.extend(own);
    }
    Some((rows, columns, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_the_same_value_become_one_and_others_stay() {
        let mut model = ModelProto {
            graph: Some(GraphProto {
                initializer: vec![
                    floats("one", &[1], &[1.0]),
                    floats("again", &[1], &[1.0]),
                    floats("scalar", &[], &[1.0]),
                    floats("two", &[1], &[2.0]),
                ],
                node: vec![
                    operator("Mul", &["one", "again"], &["a"]),
                    operator("Mul", &["scalar", "two"], &["b"]),
                ],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        assert_eq!(share(&mut model), 1);
        let graph = model.graph.unwrap();
        assert_eq!(graph.node[0].input, ["one", "one"]);
        assert_eq!(graph.node[1].input, ["scalar", "two"]);
        assert_eq!(graph.initializer.len(), 3);
    }

    #[test]
    fn a_bias_by_distance_is_stored_by_its_diagonals() {
        let bias = [
            [3.0, 4.0, 5.0, 2.0, 3.0, 4.0f32],
            [30.0, 40.0, 50.0, 20.0, 30.0, 40.0],
        ];
        let mut other = bias.concat();
        other[11] = 41.0;
        let mut model = ModelProto {
            graph: Some(GraphProto {
                initializer: vec![
                    floats("bias", &[2, 2, 3], &bias.concat()),
                    floats("other", &[2, 2, 3], &other),
                    floats("vector", &[1, 3], &[1.0; 3]),
                ],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        assert_eq!(store_diagonals(&mut model), 1);
        let graph = model.graph.unwrap();
        let stored = &graph.initializer[0];
        assert_eq!(
            (&*stored.name, &stored.dims[..]),
            ("bias.diagonals", &[2, 4][..])
        );
        let diagonals = values_of(stored);
        assert_eq!(diagonals, [2.0, 3.0, 4.0, 5.0, 20.0, 30.0, 40.0, 50.0]);
        let index = &graph.initializer[3];
        let (places, _) = index.raw_data.as_chunks::<4>();
        let places = places.iter().map(|&b| i32::from_le_bytes(b) as usize);
        let back: Vec<f32> = places.map(|place| diagonals[place]).collect();
        assert_eq!((back, &index.dims[..]), (bias[0].to_vec(), &[2, 3][..]));
        assert_eq!(graph.node[0].output, ["bias"]);
    }
}
