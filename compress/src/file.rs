//! ONNX files.

use std::fs;
use std::path::Path;

use prost::Message;
use tract_onnx::pb::ModelProto;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system's word.
    #[error("{file}: {problem}; check the path and its permissions")]
    Io {
        /// Which file.
        file: String,
        /// What is wrong.
        problem: std::io::Error,
    },
    /// The bytes are no ONNX.
    #[error("{file}: no ONNX network: {problem}; give a .onnx file, not a bundle or a checkpoint")]
    Format {
        /// Which file.
        file: String,
        /// What is wrong.
        problem: String,
    },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> FileError {
    let file = path.display().to_string();
    |problem| FileError::Io { file, problem }
}

/// Reads a network.
///
/// # Errors
/// [`FileError`] when there is no such file or it is no ONNX.
pub fn read(path: &Path) -> Result<ModelProto, FileError> {
    let bytes = fs::read(path).map_err(io(path))?;
    let format = |problem: String| FileError::Format {
        file: path.display().to_string(),
        problem,
    };
    let model = ModelProto::decode(&bytes[..]).map_err(|e| format(e.to_string()))?;
    if model.graph.is_none() {
        return Err(format("it holds no graph".into()));
    }
    Ok(model)
}

/// Writes a network: to another name first, so that a file is whole or not there.
///
/// # Errors
/// [`FileError::Io`] when the folder cannot be written to.
pub fn write(path: &Path, model: &ModelProto) -> Result<(), FileError> {
    let unfinished = path.with_extension("onnx.part");
    fs::write(&unfinished, model.encode_to_vec()).map_err(io(&unfinished))?;
    fs::rename(&unfinished, path).map_err(io(path))
}
