//! A bundle gets a smaller network beside its float one.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;
use toml_edit::{DocumentMut, value};
use tract_onnx::pb::ModelProto;
use vocar_inference::{Bundle, Precision, sha256_hex};

use crate::file::{FileError, read, write};

const MANIFEST: &str = "manifest.toml";

/// Why a bundle could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is no sound bundle.
    #[error(transparent)]
    Bundle(#[from] vocar_inference::BundleError),
    /// A network cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no float network to start from.
    #[error("{}: `[acoustic.models]` names no f32 network; export one first", .0.display())]
    NoFloats(PathBuf),
    /// The manifest cannot be changed.
    #[error("{}: {problem}", file.display())]
    Manifest {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// The float network of a bundle's folder.
///
/// # Errors
/// [`BundleError`] when the folder is no bundle or has no such network.
pub fn floats(dir: &Path) -> Result<ModelProto, BundleError> {
    floats_of(&Bundle::open(dir)?)
}

/// The float network of a bundle.
///
/// # Errors
/// [`BundleError`] when it has no such network.
pub fn floats_of(bundle: &Bundle) -> Result<ModelProto, BundleError> {
    let name = bundle.manifest().acoustic.models.get(&Precision::F32);
    let name = name.ok_or_else(|| BundleError::NoFloats(bundle.path(MANIFEST)))?;
    Ok(read(&bundle.path(name))?)
}

/// Writes a network into a bundle as the one of this precision, with its name and hash in the manifest; everything else in
/// the manifest, comments too, stays as it is. Returns the file.
///
/// # Errors
/// [`BundleError`] when a file cannot be written or the manifest has no tables `[acoustic.models]` and `[files]`.
pub fn add(dir: &Path, precision: Precision, model: &ModelProto) -> Result<PathBuf, BundleError> {
    let path = dir.join(MANIFEST);
    let problem = |problem: String| BundleError::Manifest {
        file: path.clone(),
        problem,
    };
    let text = fs::read_to_string(&path).map_err(|e| problem(e.to_string()))?;
    let mut manifest: DocumentMut = text
        .parse()
        .map_err(|e: toml_edit::TomlError| problem(e.message().to_owned()))?;
    let name = format!("am-{precision}.onnx");
    let hash = sha256_hex(&model.encode_to_vec());
    let models = manifest
        .get_mut("acoustic")
        .and_then(|acoustic| acoustic.get_mut("models"))
        .and_then(|models| models.as_table_like_mut());
    let models = models.ok_or_else(|| problem("there is no table `[acoustic.models]`".into()))?;
    models.insert(&precision.to_string(), value(&name));
    let files = manifest
        .get_mut("files")
        .and_then(|files| files.as_table_like_mut());
    let files = files.ok_or_else(|| problem("there is no table `[files]`".into()))?;
    files.insert(&name, value(hash));
    let network = dir.join(&name);
    write(&network, model)?;
    fs::write(&path, manifest.to_string()).map_err(|e| problem(e.to_string()))?;
    Ok(network)
}
