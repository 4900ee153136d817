//! ONNX Runtime as a second opinion: is a network right elsewhere, and how fast is it there?
//!
//! The library is looked for when the program runs: the file that `ORT_DYLIB_PATH` names, else the system's
//! `libonnxruntime.so`. The Python package `onnxruntime` has one in its folder `capi`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{ModelProto, ValueInfoProto, tensor_shape_proto::dimension};

use vocar_accel::onnxruntime::{Api, Outputs, Session};

use crate::file::{FileError, read};

/// Why ONNX Runtime did not run a network.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// There is none.
    #[error(
        "ONNX Runtime is not there: {0}; let ORT_DYLIB_PATH name a libonnxruntime.so, such as the one in the folder `capi` of the Python package"
    )]
    Absent(String),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It refuses the network.
    #[error("{file}: ONNX Runtime: {problem}")]
    Refused {
        /// The ONNX file.
        file: String,
        /// Its words.
        problem: String,
    },
}

/// A network of float inputs and outputs of fixed shapes in ONNX Runtime, on one thread.
pub struct Runtime {
    session: Session,
    shapes: Vec<Vec<usize>>,
    file: String,
}

impl Runtime {
    /// Whether the library is there.
    ///
    /// # Errors
    /// [`RuntimeError::Absent`] with the reason.
    pub fn available() -> Result<(), RuntimeError> {
        library().map(|_| ())
    }

    /// Loads the library, unless that was done, and a network.
    ///
    /// # Errors
    /// [`RuntimeError::Absent`] without the library; the others for a network that cannot be read or run, or whose inputs
    /// are other than floats of fixed shapes.
    pub fn load(path: &Path) -> Result<Runtime, RuntimeError> {
        let api = library()?;
        let file = path.display().to_string();
        let model = read(path)?;
        let refused = |problem: String| RuntimeError::Refused {
            file: file.clone(),
            problem,
        };
        let inputs = inputs(&model).map_err(refused)?;
        let (names, shapes): (Vec<String>, Vec<Vec<usize>>) = inputs.into_iter().unzip();
        let outputs = model.graph.iter().flat_map(|graph| &graph.output);
        let outputs: Vec<String> = outputs.map(|output| output.name.clone()).collect();
        drop(model);
        let session = Session::load(api, path, &names, &outputs).map_err(refused)?;
        Ok(Runtime {
            session,
            shapes,
            file,
        })
    }

    /// Shapes of the inputs.
    pub fn inputs(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    /// Runs it once: row-major values of each input to those of each output.
    ///
    /// # Errors
    /// [`RuntimeError::Refused`] when it fails.
    pub fn run(&mut self, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, RuntimeError> {
        self.with_outputs(inputs, |outputs| outputs.floats())
    }

    /// Runs it once and leaves the outputs where they are.
    ///
    /// # Errors
    /// [`RuntimeError::Refused`] when it fails.
    pub fn step(&mut self, inputs: &[Vec<f32>]) -> Result<(), RuntimeError> {
        self.with_outputs(inputs, |_| Ok(()))
    }

    fn with_outputs<T>(
        &mut self,
        inputs: &[Vec<f32>],
        take: impl FnOnce(Outputs<'_>) -> Result<T, String>,
    ) -> Result<T, RuntimeError> {
        let outputs = self.session.run(inputs, &self.shapes);
        outputs
            .and_then(take)
            .map_err(|problem| RuntimeError::Refused {
                file: self.file.clone(),
                problem,
            })
    }
}

/// The library, loaded once.
fn library() -> Result<Api, RuntimeError> {
    static LOADED: OnceLock<Result<Api, String>> = OnceLock::new();
    let load = || {
        let named = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
        Api::load(&named.map_or_else(|| PathBuf::from("libonnxruntime.so"), PathBuf::from))
    };
    LOADED
        .get_or_init(load)
        .clone()
        .map_err(RuntimeError::Absent)
}

/// Names and shapes of the inputs but for constants.
fn inputs(model: &ModelProto) -> Result<Vec<(String, Vec<usize>)>, String> {
    let graph = model.graph.iter();
    let is_constant = |name: &str| {
        let constants = model.graph.iter().flat_map(|graph| &graph.initializer);
        constants.into_iter().any(|constant| constant.name == name)
    };
    let inputs = graph.flat_map(|graph| &graph.input);
    inputs
        .filter(|input| !is_constant(&input.name))
        .map(|input| {
            let shape = shape(input).ok_or_else(|| {
                let name = &input.name;
                format!("input `{name}` is no tensor of floats of a fixed shape; export the network with fixed shapes")
            })?;
            Ok((input.name.clone(), shape))
        })
        .collect()
}

fn shape(input: &ValueInfoProto) -> Option<Vec<usize>> {
    let Some(Value::TensorType(tensor)) = &input.r#type.as_ref()?.value else {
        return None;
    };
    let sizes = tensor
        .shape
        .as_ref()?
        .dim
        .iter()
        .map(|size| match size.value {
            Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok(),
            _ => None,
        });
    let is_float = tensor.elem_type == DataType::Float as i32;
    sizes.collect::<Option<Vec<_>>>().filter(|_| is_float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_runtime_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.so");
        std::fs::write(&path, "hello").unwrap();
        let refused = Api::load(&path).err().unwrap();
        assert!(refused.contains("notes.so"), "{refused}");
    }

    #[test]
    fn an_open_shape_is_refused_by_the_name_of_the_input() {
        let model = ModelProto {
            graph: Some(tract_onnx::pb::GraphProto {
                input: vec![ValueInfoProto {
                    name: "features".into(),
                    ..ValueInfoProto::default()
                }],
                ..tract_onnx::pb::GraphProto::default()
            }),
            ..ModelProto::default()
        };
        let refused = inputs(&model).unwrap_err();
        assert!(refused.contains("`features`"), "{refused}");
    }
}
