//! Sizes for the open dimensions of a network: what measures networks wants fixed ones.

use std::str::FromStr;

use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::{ModelProto, type_proto};

/// A size for the dimensions of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// Name of the dimension.
    pub name: String,
    /// What it becomes.
    pub size: usize,
}

impl FromStr for Size {
    type Err = String;

    /// From `NAME=NUMBER`.
    fn from_str(text: &str) -> Result<Size, String> {
        let parts = text.split_once('=');
        let read = parts.and_then(|(name, size)| Some((name, size.parse().ok()?)));
        match read {
            Some((name, size)) if size > 0 => Ok(Size {
                name: name.to_owned(),
                size,
            }),
            _ => Err(format!("{text:?}: a size is NAME=NUMBER, `length=9`")),
        }
    }
}

/// Gives the open dimensions of inputs and outputs their sizes. Returns how many got one.
pub fn fix(model: &mut ModelProto, sizes: &[Size]) -> usize {
    let Some(graph) = &mut model.graph else {
        return 0;
    };
    let mut count = 0;
    for port in graph.input.iter_mut().chain(&mut graph.output) {
        let kind = port.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        let Some(type_proto::Value::TensorType(tensor)) = kind else {
            continue;
        };
        for dimension in tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim) {
            let Some(Value::DimParam(name)) = &dimension.value else {
                continue;
            };
            if let Some(wanted) = sizes.iter().find(|one| one.name == *name) {
                dimension.value = Some(Value::DimValue(wanted.size as i64));
                count += 1;
            }
        }
    }
    // What was noted of shapes between is of the open ones.
    graph.value_info.clear();
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    #[test]
    fn a_size_is_a_name_and_a_number_above_nought() {
        let size: Size = "length=9".parse().unwrap();
        assert_eq!((&*size.name, size.size), ("length", 9));
        for wrong in ["length", "length=", "length=0", "length=-1"] {
            assert!(wrong.parse::<Size>().unwrap_err().contains(wrong));
        }
    }

    #[test]
    fn open_dimensions_of_the_shipped_encoder_get_the_size_of_their_name() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../models/nlu-en/encoder-mixed.onnx"
        );
        let mut model = read(path.as_ref()).unwrap();
        assert_eq!(fix(&mut model, &["height=9".parse().unwrap()]), 0);
        assert_eq!(fix(&mut model, &["length=9".parse().unwrap()]), 3);
    }
}
