//! A bundle, of speech or of words, gets a smaller network beside its float one.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;
use toml_edit::{DocumentMut, TableLike, value};
use tract_onnx::pb::ModelProto;
use vocar_inference::{Bundle, Precision, TextBundle, sha256_hex};

use crate::file::{FileError, read, write};
use crate::restore::{RestoreError, restore};

const MANIFEST: &str = "manifest.toml";
/// The table of the manifest with hashes by file.
const FILES: [&str; 1] = ["files"];

/// What a bundle's network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Frames of sound.
    Speech,
    /// Words.
    Words,
}

impl Kind {
    /// That of the bundle in a folder; speech when it is none.
    pub fn of(dir: &Path) -> Kind {
        manifest(&dir.join(MANIFEST)).map_or(Kind::Speech, |manifest| Kind::told(&manifest))
    }

    fn told(manifest: &DocumentMut) -> Kind {
        if manifest.contains_key("text") {
            Kind::Words
        } else {
            Kind::Speech
        }
    }

    /// The table of the manifest with networks by precision.
    fn models(self) -> &'static [&'static str] {
        match self {
            Kind::Speech => &["acoustic", "models"],
            Kind::Words => &["models"],
        }
    }

    /// How names of networks begin.
    fn stem(self) -> &'static str {
        match self {
            Kind::Speech => "am",
            Kind::Words => "encoder",
        }
    }
}

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
    /// The network that there is cannot be made one of floats.
    #[error("{}: {problem}", file.display())]
    Restore {
        /// Which file.
        file: PathBuf,
        /// Why not.
        problem: RestoreError,
    },
    /// The manifest cannot be changed.
    #[error("{}: {problem}", file.display())]
    Manifest {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// The float network of a bundle's folder. That of a bundle of words is restored from its lightest one if there is none.
///
/// # Errors
/// [`BundleError`] when the folder is no bundle or has no such network.
pub fn floats(dir: &Path) -> Result<ModelProto, BundleError> {
    match Kind::of(dir) {
        Kind::Speech => floats_of(&Bundle::open(dir)?),
        Kind::Words => floats_of_words(&TextBundle::open(dir)?),
    }
}

fn floats_of_words(bundle: &TextBundle) -> Result<ModelProto, BundleError> {
    let models = &bundle.manifest().models;
    if let Some(name) = models.get(&Precision::F32) {
        return Ok(read(&bundle.path(name))?);
    }
    let (_, file) = bundle.lightest();
    let mut model = read(&file)?;
    restore(&mut model).map_err(|problem| BundleError::Restore { file, problem })?;
    Ok(model)
}

/// The float network of a bundle.
///
/// # Errors
/// [`BundleError`] when it has no such network.
pub fn floats_of(bundle: &Bundle) -> Result<ModelProto, BundleError> {
    Ok(read(&bundle.path(floats_name(bundle)?))?)
}

fn floats_name(bundle: &Bundle) -> Result<&String, BundleError> {
    let name = bundle.manifest().acoustic.models.get(&Precision::F32);
    name.ok_or_else(|| BundleError::NoFloats(bundle.path(MANIFEST)))
}

/// Makes a bundle of another one whose only network is this one, of this precision: everything else is copied. Files of
/// other networks that lie in `to` already are left there, but its manifest knows nothing of them. Returns the network's
/// file.
///
/// # Errors
/// [`BundleError`] when `from` is no sound bundle, one of speech without a float network, or `to` cannot be written or is `from`.
pub fn derive(
    from: &Path,
    to: &Path,
    precision: Precision,
    model: &ModelProto,
) -> Result<PathBuf, BundleError> {
    let (networks, files): (Vec<String>, Vec<String>) = match Kind::of(from) {
        Kind::Speech => {
            let bundle = Bundle::open(from)?;
            floats_name(&bundle)?;
            let manifest = bundle.manifest();
            let networks = manifest.acoustic.models.values().cloned();
            (networks.collect(), manifest.files.keys().cloned().collect())
        }
        Kind::Words => {
            let bundle = TextBundle::open(from)?;
            let manifest = bundle.manifest();
            let networks = manifest.models.values().cloned();
            (networks.collect(), manifest.files.keys().cloned().collect())
        }
    };
    fs::create_dir_all(to).map_err(|e| problem(to, e))?;
    if let (Ok(one), Ok(other)) = (from.canonicalize(), to.canonicalize())
        && one == other
    {
        let same = "a bundle cannot be made out of itself; give another folder to write";
        return Err(problem(to, same));
    }
    for name in files.iter().filter(|name| !networks.contains(name)) {
        let copy = to.join(name);
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder).map_err(|e| problem(folder, e))?;
        }
        fs::copy(from.join(name), &copy).map_err(|e| problem(&copy, e))?;
    }
    let mut manifest = manifest(&from.join(MANIFEST))?;
    forget(&mut manifest, &networks);
    let copy = to.join(MANIFEST);
    fs::write(&copy, manifest.to_string()).map_err(|e| problem(&copy, e))?;
    add(to, precision, model)
}

fn problem(file: &Path, problem: impl ToString) -> BundleError {
    BundleError::Manifest {
        file: file.to_owned(),
        problem: problem.to_string(),
    }
}

/// Reads a manifest with its comments.
fn manifest(path: &Path) -> Result<DocumentMut, BundleError> {
    let text = fs::read_to_string(path).map_err(|e| problem(path, e))?;
    text.parse()
        .map_err(|e: toml_edit::TomlError| problem(path, e.message()))
}

/// The table of a manifest's networks, or of its files.
fn table<'a>(manifest: &'a mut DocumentMut, keys: &[&str]) -> Option<&'a mut dyn TableLike> {
    let (first, rest) = keys.split_first()?;
    let mut item = manifest.get_mut(first)?;
    for key in rest {
        item = item.get_mut(key)?;
    }
    item.as_table_like_mut()
}

/// Takes networks out of a manifest.
fn forget(manifest: &mut DocumentMut, networks: &[String]) {
    let kind = Kind::told(manifest);
    if let Some(models) = table(manifest, kind.models()) {
        let keys: Vec<String> = models.iter().map(|(key, _)| key.to_owned()).collect();
        keys.iter().for_each(|key| {
            models.remove(key);
        });
    }
    if let Some(files) = table(manifest, &FILES) {
        networks.iter().for_each(|name| {
            files.remove(name);
        });
    }
}

/// Writes a network into a bundle as the one of this precision, with its name and hash in the manifest; everything else in
/// the manifest, comments too, stays as it is. Returns the file.
///
/// # Errors
/// [`BundleError`] when a file cannot be written or the manifest has no tables of models and of files.
pub fn add(dir: &Path, precision: Precision, model: &ModelProto) -> Result<PathBuf, BundleError> {
    let path = dir.join(MANIFEST);
    let mut manifest = manifest(&path)?;
    let kind = Kind::told(&manifest);
    let name = format!("{}-{precision}.onnx", kind.stem());
    let hash = sha256_hex(&model.encode_to_vec());
    let missing = |keys: &[&str]| {
        let keys = keys.join(".");
        problem(&path, format!("there is no table `[{keys}]`"))
    };
    let models = table(&mut manifest, kind.models()).ok_or_else(|| missing(kind.models()))?;
    models.insert(&precision.to_string(), value(&name));
    let files = table(&mut manifest, &FILES).ok_or_else(|| missing(&FILES))?;
    files.insert(&name, value(hash));
    let network = dir.join(&name);
    write(&network, model)?;
    fs::write(&path, manifest.to_string()).map_err(|e| problem(&path, e))?;
    Ok(network)
}
