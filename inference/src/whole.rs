//! Whether a network is whole in its file: ONNX lets weights lie in other files, which no manifest would have the hash of.

use std::path::Path;

use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

use crate::engine::EngineError;

/// Checks that all weights of an ONNX file are in it, for runtimes that would follow them to other files.
///
/// # Errors
/// [`EngineError::Load`] when the file cannot be read or names another one.
pub fn check_whole(path: &Path) -> Result<(), EngineError> {
    crate::network::parse(path).map(drop)
}

/// The name of a tensor that lies in another file.
pub(crate) fn strayed(model: &ModelProto) -> Option<&str> {
    model.graph.as_ref().and_then(strayed_from)
}

fn strayed_from(graph: &GraphProto) -> Option<&str> {
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let within = |graph| strayed_from(graph);
    graph.initializer.iter().find_map(name).or_else(|| {
        attributes.into_iter().find_map(|one| {
            let own = one.t.iter().chain(&one.tensors).find_map(name);
            own.or_else(|| one.g.iter().chain(&one.graphs).find_map(within))
        })
    })
}

fn name(tensor: &TensorProto) -> Option<&str> {
    let elsewhere = tensor.data_location == Some(DataLocation::External as i32);
    (elsewhere || !tensor.external_data.is_empty()).then_some(&*tensor.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use tract_onnx::pb::{AttributeProto, NodeProto, StringStringEntryProto};

    fn elsewhere() -> TensorProto {
        TensorProto {
            name: "weights".into(),
            data_location: Some(DataLocation::External as i32),
            external_data: vec![StringStringEntryProto {
                key: "location".into(),
                value: "weights.bin".into(),
            }],
            ..TensorProto::default()
        }
    }

    fn attribute(attribute: AttributeProto) -> GraphProto {
        let node = NodeProto {
            attribute: vec![attribute],
            ..NodeProto::default()
        };
        GraphProto {
            node: vec![node],
            ..GraphProto::default()
        }
    }

    #[test]
    fn weights_in_another_file_are_found_wherever_they_are_named() {
        let initializer = GraphProto {
            initializer: vec![TensorProto::default(), elsewhere()],
            ..GraphProto::default()
        };
        let constant = attribute(AttributeProto {
            t: Some(elsewhere()),
            ..AttributeProto::default()
        });
        let nested = attribute(AttributeProto {
            g: Some(constant.clone()),
            ..AttributeProto::default()
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        for graph in [initializer, constant, nested] {
            let model = ModelProto {
                graph: Some(graph),
                ..ModelProto::default()
            };
            assert_eq!(strayed(&model), Some("weights"));
            std::fs::write(&path, model.encode_to_vec()).unwrap();
            let error = check_whole(&path).unwrap_err().to_string();
            assert!(
                error.contains("a.onnx") && error.contains("`weights`"),
                "{error}"
            );
        }
        assert_eq!(strayed(&ModelProto::default()), None);
    }

    #[test]
    fn the_networks_of_the_repository_are_whole() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in [
            "models/nlu-en/encoder-mixed.onnx",
            "nlu/testdata/encoder/encoder-f32.onnx",
        ] {
            check_whole(&root.join(file)).unwrap();
        }
    }
}
