//! Writing an adapter, whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use vocar_inference::sha256_hex;

use super::{AdapterManifest, MANIFEST};

/// What goes into the file of weights.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    /// Row-major floats by name, each with its shape.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// Remarks: `intents`, `tags`, `slope`, `offset`, `threshold`.
    pub remarks: BTreeMap<String, String>,
}

impl Weights {
    /// As a safetensors file of floats.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut header, mut body) = (Map::new(), Vec::new());
        header.insert("__metadata__".into(), json!(self.remarks));
        for (name, (shape, values)) in &self.tensors {
            let from = body.len();
            body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [from, body.len()]});
            header.insert(name.clone(), entry);
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        // Values that lie at multiples of eight can be read in place.
        header.resize(header.len().next_multiple_of(8), b' ');
        [&(header.len() as u64).to_le_bytes()[..], &header, &body].concat()
    }
}

/// Writes an adapter to the folder `folder/NAME` and returns it, with the hash of the weights in the manifest. What was there
/// is there until the new one is whole: files are written beside and renamed, the manifest last, and each file of weights has a
/// name of its own, so that whoever reads meanwhile reads the old one or the new one.
///
/// # Errors
/// What the system says.
pub fn write(folder: &Path, manifest: &AdapterManifest, weights: &Weights) -> io::Result<PathBuf> {
    let dir = folder.join(&manifest.name);
    fs::create_dir_all(&dir)?;
    let bytes = weights.to_bytes();
    let sha256 = sha256_hex(&bytes);
    let manifest = AdapterManifest {
        weights: format!("adapter-{}.safetensors", &sha256[..12]),
        sha256,
        ..manifest.clone()
    };
    let text = toml::to_string(&manifest).map_err(io::Error::other)?;
    replace(&dir.join(&manifest.weights), &bytes)?;
    replace(&dir.join(MANIFEST), text.as_bytes())?;
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        let old = path.extension().is_some_and(|end| end == "safetensors");
        if old && path != dir.join(&manifest.weights) {
            fs::remove_file(path)?;
        }
    }
    Ok(dir)
}

/// Writes a file beside and renames it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)
}
