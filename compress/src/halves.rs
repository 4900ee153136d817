//! Constants stored as half floats: half the bytes, and a Cast that makes floats of them again when the network is loaded.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};
use tract_onnx::prelude::f16;

use crate::products::{attribute, operator, raw, values_of};

/// Constants of fewer elements are left alone: a Cast would cost more than it saves.
const FEWEST: usize = 128;

/// Stores every constant of floats as half floats that has 128 elements or more and no value beyond their range: what is left
/// in floats after quantising, such as biases, scales and the weights of normalisations. Returns how many there were.
pub fn halve_the_rest(model: &mut ModelProto) -> usize {
    let large = |constant: &TensorProto| constant.dims.iter().product::<i64>() >= FEWEST as i64;
    model.graph.as_mut().map_or(0, |graph| halve(graph, large))
}

/// Stores the wanted constants of floats as half floats, where their values allow it. Returns how many there were.
pub(crate) fn halve(graph: &mut GraphProto, wanted: impl Fn(&TensorProto) -> bool) -> usize {
    let mut casts = Vec::new();
    for constant in &mut graph.initializer {
        if constant.data_type != DataType::Float as i32 || !wanted(constant) {
            continue;
        }
        let halves: Vec<f16> = values_of(constant).into_iter().map(f16::from_f32).collect();
        let whole = halves.len() as i64 == constant.dims.iter().product::<i64>();
        if !whole || !halves.iter().all(|half| half.is_finite()) {
            continue;
        }
        let stored = format!("{}.half", constant.name);
        let mut cast = operator("Cast", &[&stored], &[&constant.name]);
        cast.attribute.push(attribute("to", DataType::Float as i64));
        casts.push(cast);
        let bytes = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        *constant = raw(&stored, DataType::Float16, &constant.dims, bytes);
    }
    let count = casts.len();
    casts.append(&mut graph.node);
    graph.node = casts;
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::products::floats;

    #[test]
    fn large_constants_within_range_are_halved() {
        let mut values = vec![0.25f32; FEWEST];
        let fits = floats("fits", &[FEWEST as i64], &values);
        values[3] = 1e6;
        let beyond = floats("beyond", &[FEWEST as i64], &values);
        let small = floats("small", &[2], &values[..2]);
        let mut model = ModelProto {
            graph: Some(GraphProto {
                initializer: vec![fits, beyond, small],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        assert_eq!(halve_the_rest(&mut model), 1);
        let graph = model.graph.unwrap();
        let names: Vec<&str> = graph.initializer.iter().map(|c| &*c.name).collect();
        assert_eq!(names, ["fits.half", "beyond", "small"]);
        assert_eq!(graph.initializer[0].raw_data.len(), 2 * FEWEST);
        assert_eq!(graph.node[0].output, ["fits"]);
    }
}
