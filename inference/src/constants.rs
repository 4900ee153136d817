//! The constants of a network as floats: what a training begins with.

use std::collections::BTreeMap;
use std::path::Path;

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

use crate::engine::EngineError;
use crate::network::parse;

/// A tensor that stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// All floats and whole numbers of an ONNX file by name. Quantised weights `w.int8` with a scale `w.scale` for each output
/// and nought as their zero, as `vocar-compress` writes them, are there as the floats `w` that they stand for.
///
/// # Errors
/// [`EngineError::Load`] when the file cannot be read, [`EngineError::Contract`] when a constant is no such thing.
pub fn constants(path: &Path) -> Result<BTreeMap<String, Constant>, EngineError> {
    let graph = parse(path)?.graph.unwrap_or_default();
    let mut found = BTreeMap::new();
    for tensor in &graph.initializer {
        let constant = decoded(tensor).map_err(|problem| EngineError::Contract {
            file: path.display().to_string(),
            problem: format!("the constant `{}` {problem}", tensor.name),
        })?;
        found.insert(tensor.name.clone(), constant);
    }
    let quantised: Vec<String> = found
        .keys()
        .filter_map(|name| name.strip_suffix(".int8"))
        .map(String::from)
        .collect();
    for name in quantised {
        let scale = found.remove(&format!("{name}.scale"));
        let zero = found.remove(&format!("{name}.zero"));
        let mut weight = found
            .remove(&format!("{name}.int8"))
            .unwrap_or_else(|| Constant {
                shape: Vec::new(),
                values: Vec::new(),
            });
        let outputs = weight.shape.last().copied().unwrap_or_default();
        let scale = scale.filter(|scale| outputs > 0 && scale.values.len() == outputs);
        let symmetric = zero.is_none_or(|zero| zero.values.iter().all(|zero| *zero == 0.0));
        let Some(scale) = scale.filter(|_| symmetric) else {
            return Err(EngineError::Contract {
                file: path.display().to_string(),
                problem: format!(
                    "the constant `{name}.int8` has no scale for each of its {outputs} outputs around nought"
                ),
            });
        };
        for row in weight.values.chunks_exact_mut(outputs) {
            for (value, scale) in row.iter_mut().zip(&scale.values) {
                *value *= scale;
            }
        }
        found.insert(name, weight);
    }
    Ok(found)
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
}
