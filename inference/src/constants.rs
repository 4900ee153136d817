//! The constants of a network as floats: what a training begins with.

use std::collections::BTreeMap;
use std::path::Path;

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

use crate::engine::EngineError;
use crate::fused::restore;
use crate::gemm::{GROUP, Int4Weights};
use crate::network::parse;

/// A tensor that stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// All floats and whole numbers of an ONNX file by name. What `vocar-compress` stores in less is there as the floats that it stands
/// for: half floats with a Cast; a weight `w` in int8 as `w.int8` with a scale `w.scale` for each output and nought as its zero; in
/// int4 as `w.int4` with one for each 32 inputs of an output.
///
/// # Errors
/// [`EngineError::Load`] when the file cannot be read, [`EngineError::Contract`] when a constant is no such thing.
pub fn constants(path: &Path) -> Result<BTreeMap<String, Constant>, EngineError> {
    let mut graph = parse(path)?.graph.unwrap_or_default();
    restore(&mut graph);
    let contract = |name: &str, problem: String| EngineError::Contract {
        file: path.display().to_string(),
        problem: format!("the constant `{name}` {problem}"),
    };
    let mut found = BTreeMap::new();
    for tensor in &graph.initializer {
        let constant = decoded(tensor).map_err(|problem| contract(&tensor.name, problem))?;
        found.insert(tensor.name.clone(), constant);
    }
    type Dequantise = fn(Constant, &Constant) -> Result<Constant, String>;
    const FORMS: [(&str, Dequantise); 2] = [(".int8", from_int8), (".int4", from_int4)];
    for (form, dequantise) in FORMS {
        let quantised = found.keys().filter_map(|name| name.strip_suffix(form));
        let quantised: Vec<String> = quantised.map(String::from).collect();
        for name in quantised {
            let stored = format!("{name}{form}");
            let [scale, zero] =
                ["scale", "zero"].map(|part| found.remove(&format!("{name}.{part}")));
            let zeros = zero.iter().flat_map(|zero| &zero.values);
            if zeros.copied().any(|zero| zero != 0.0) {
                return Err(contract(&stored, "has another zero than nought".into()));
            }
            let (Some(integers), Some(scale)) = (found.remove(&stored), scale) else {
                return Err(contract(&stored, "has no scales".into()));
            };
            let weight = dequantise(integers, &scale);
            found.insert(name, weight.map_err(|problem| contract(&stored, problem))?);
        }
    }
    Ok(found)
}

/// Integers `[inputs, outputs]` times a scale for each output.
fn from_int8(mut integers: Constant, scale: &Constant) -> Result<Constant, String> {
    let outputs = integers.shape.last().copied().unwrap_or_default();
    if outputs == 0 || scale.values.len() != outputs {
        return Err(format!("has no scale for each of its {outputs} outputs"));
    }
    for row in integers.values.chunks_exact_mut(outputs) {
        for (value, scale) in row.iter_mut().zip(&scale.values) {
            *value *= scale;
        }
    }
    Ok(integers)
}

/// Bytes `[outputs, groups, 16]`, two integers in each, times a scale for each group: weights `[inputs, outputs]`.
fn from_int4(bytes: Constant, scale: &Constant) -> Result<Constant, String> {
    let [outputs, groups, half] = bytes.shape[..] else {
        return Err(format!("is {:?}, not in groups", bytes.shape));
    };
    if 2 * half != GROUP || scale.values.len() != outputs * groups {
        return Err(format!(
            "has no scale for each {GROUP} inputs of its {outputs} outputs"
        ));
    }
    let inputs = groups * GROUP;
    let bytes: Vec<u8> = bytes.values.iter().map(|byte| *byte as u8).collect();
    let weights = Int4Weights::from_bytes(&bytes, inputs, outputs, &scale.values);
    Ok(Constant {
        shape: vec![inputs, outputs],
        values: weights.to_floats(),
    })
}

/// The error ends a sentence that begins with the constant.
fn decoded(tensor: &TensorProto) -> Result<Constant, String> {
    let shape: Vec<usize> = tensor
        .dims
        .iter()
        .map(|size| usize::try_from(*size).map_err(|_| format!("has the size {size}")))
        .collect::<Result<_, _>>()?;
    let bytes = &tensor.raw_data;
    let values: Vec<f32> = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        Ok(DataType::Int8) => bytes.iter().map(|b| f32::from(b.cast_signed())).collect(),
        Ok(DataType::Uint8) => bytes.iter().copied().map(f32::from).collect(),
        Ok(DataType::Int64) => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b) as f32)
            .collect(),
        other => return Err(format!("is of the type {other:?}")),
    };
    let count = shape
        .iter()
        .try_fold(1usize, |all, size| all.checked_mul(*size));
    if count != Some(values.len()) {
        let held = values.len();
        return Err(format!(
            "holds {held} values in its bytes instead of {shape:?}"
        ));
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err("holds values that are no numbers".into());
    }
    Ok(Constant { shape, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_that_is_cut_off_or_of_a_strange_type_is_refused() {
        let mut tensor = TensorProto {
            name: "w".into(),
            dims: vec![2, 1],
            data_type: DataType::Float as i32,
            raw_data: [1f32.to_le_bytes(), (-2f32).to_le_bytes()].concat(),
            ..TensorProto::default()
        };
        assert_eq!(decoded(&tensor).unwrap().values, [1.0, -2.0]);
        tensor.raw_data.truncate(5);
        assert!(decoded(&tensor).unwrap_err().contains("1 values"));
        tensor.data_type = DataType::String as i32;
        assert!(decoded(&tensor).unwrap_err().contains("type"));
        tensor.data_type = DataType::Float as i32;
        tensor.raw_data = [f32::NAN.to_le_bytes(), 0f32.to_le_bytes()].concat();
        assert!(decoded(&tensor).unwrap_err().contains("no numbers"));
    }
    #[test]
    fn int4_stands_for_multiples_of_the_scale_of_its_group() {
        // Two outputs of 64 inputs: every byte holds -7 and 2 (1 and 10, eight too high).
        let bytes = Constant {
            shape: vec![2, 2, 16],
            values: vec![f32::from(1u8 | 10 << 4); 64],
        };
        let scale = Constant {
            shape: vec![4],
            values: vec![1.0, 10.0, 0.5, 0.25],
        };
        let weight = from_int4(bytes.clone(), &scale).unwrap();
        assert_eq!(weight.shape, [64, 2]);
        assert_eq!(weight.values[..4], [-7.0, -3.5, 2.0, 1.0]);
        assert_eq!(weight.values[124..], [-70.0, -1.75, 20.0, 0.5]);
        let short = Constant {
            values: vec![1.0; 3],
            ..scale
        };
        assert!(from_int4(bytes, &short).unwrap_err().contains("32 inputs"));
    }
}
