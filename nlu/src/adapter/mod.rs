//! Adapters: small files that teach the encoder a domain, loaded, swapped and let go while it runs.
//!
//! An [`Adapter`] is a folder with a manifest and a file of weights: low-rank additions to layers of the encoder's network
//! (E. Hu et al., "LoRA", 2021) and heads of its own. The base network is shared and never changed, so any number of
//! adapters may read at the same time; one that is read with much can be [merged](Adapter::merged) into layers of its own,
//! which costs memory and saves time. An [`AdapterStore`] keeps those of a vehicle within a bound of memory.
//!
//! On the disk an adapter is a folder of its name with `adapter.toml`, an [`AdapterManifest`], and the safetensors file that
//! it names, halves or floats:
//!
//! | tensor | shape | |
//! |---|---|---|
//! | `lora.LAYER.a`, `lora.LAYER.b` | `[rank, inputs]`, `[outputs, rank]` | the layer called so in the base's ONNX file, whose output gets alpha / rank · b a x; any subset of the layers |
//! | `intents.weight`, `intents.bias` | `[intents, dim]`, `[intents]` | over the state of the sentence |
//! | `tags.weight`, `tags.bias` | `[tags, dim]`, `[tags]` | over the state of each word |
//! | `steps` | `[tags + 1, tags]` | scores from tag to tag, the last row for the first word; may be absent |
//!
//! with the remarks `intents` and `tags` (names, one a line; the first intent is `none`; tags are `O`, `B-slot`, `I-slot`), and
//! `slope`, `offset` and `threshold` of the curve that makes probabilities of scores, as in the heads of the base.

mod error;
mod manifest;
mod store;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use vocar_inference::{LowRank, Overlay, Trust, WordNetwork};

use crate::encoder::Encoder;
use crate::encoder::head::Head;
use crate::encoder::tensors::Tensors;
pub use error::AdapterError;
pub use manifest::{AdapterManifest, FORMAT, MANIFEST, is_name};
pub use store::{AdapterInfo, AdapterStore, LoadOptions};
pub use write::{Weights, write};

/// Tensors of additions to a layer are called after it, behind this.
const LAYER: &str = "lora.";
/// The tensors of the heads; there may be no `steps`.
const HEADS: [&str; 5] = [
    "intents.weight",
    "intents.bias",
    "tags.weight",
    "tags.bias",
    "steps",
];

/// What an adapter adds to the network.
enum Form {
    /// Beside the weights, for quick swapping.
    Apart(Overlay),
    /// In layers of its own.
    Merged(WordNetwork),
}

/// A domain's heads and what it adds to the network, checked and ready to read with.
pub struct Adapter {
    manifest: AdapterManifest,
    head: Head,
    form: Form,
    bytes: usize,
}

impl Adapter {
    /// Loads the adapter in a folder: checks that it was made for this encoder, that its file of weights is whole, and that
    /// everything in it has the right shape and is finite.
    ///
    /// # Errors
    /// [`AdapterError`] names the file, the field, what is wrong and how to mend it.
    pub fn load(dir: &Path, encoder: &Encoder) -> Result<Adapter, AdapterError> {
        Adapter::load_trusted(dir, encoder, &Trust::everybody())
    }

    /// As [`Adapter::load`], once somebody who is trusted has vouched for the manifest.
    ///
    /// # Errors
    /// As [`Adapter::load`]; [`AdapterError::Signature`].
    pub fn load_trusted(
        dir: &Path,
        encoder: &Encoder,
        trust: &Trust,
    ) -> Result<Adapter, AdapterError> {
        let manifest = AdapterManifest::read_trusted(dir, trust)?;
        let path = dir.join(MANIFEST);
        let base = encoder.base();
        if (&manifest.base, &manifest.base_sha256) != (&base.name, &base.sha256) {
            return Err(AdapterError::OtherBase {
                path,
                found: format!("{} {}", manifest.base, manifest.base_sha256),
                base: format!("{} {}", base.name, base.sha256),
            });
        }
        let tensors = manifest.tensors(dir)?;
        check_names(&tensors)?;
        let network = encoder.network();
        let head = Head::of(&tensors, network.dim())?;
        let overlay = network.overlay(additions(&tensors, &manifest, network)?);
        let overlay = overlay.map_err(|error| tensors.bad(error.to_string()))?;
        let bytes = overlay.bytes() + head.numbers() * size_of::<f32>();
        Ok(Adapter {
            manifest,
            head,
            form: Form::Apart(overlay),
            bytes,
        })
    }

    /// The same adapter in layers of its own: as quick to read with as the base, for the memory of the layers it adds to.
    ///
    /// # Errors
    /// [`AdapterError::CannotMerge`] when it was loaded for another encoder.
    pub fn merged(self, encoder: &Encoder) -> Result<Adapter, AdapterError> {
        let Form::Apart(overlay) = &self.form else {
            return Ok(self);
        };
        let base = encoder.network();
        let merged = base
            .merged(overlay)
            .map_err(|error| AdapterError::CannotMerge {
                name: self.manifest.name.clone(),
                problem: error.to_string(),
            })?;
        Ok(Adapter {
            bytes: merged.bytes_beside(base) + self.head.numbers() * size_of::<f32>(),
            form: Form::Merged(merged),
            ..self
        })
    }

    /// What its manifest says.
    pub fn manifest(&self) -> &AdapterManifest {
        &self.manifest
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// The domain whose sentences it reads.
    pub fn domain(&self) -> &str {
        &self.manifest.domain
    }

    /// Names of the intents it knows.
    pub fn intents(&self) -> &[String] {
        self.head.names()
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it has layers of its own.
    pub fn is_merged(&self) -> bool {
        matches!(self.form, Form::Merged(_))
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The network to read with and what to add to it, given the base.
    pub(crate) fn network<'a>(
        &'a self,
        base: &'a WordNetwork,
    ) -> (&'a WordNetwork, Option<&'a Overlay>) {
        match &self.form {
            Form::Apart(overlay) => (base, Some(overlay)),
            Form::Merged(network) => (network, None),
        }
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.is_merged() { "merged" } else { "apart" };
        let AdapterManifest { name, domain, .. } = &self.manifest;
        write!(
            f,
            "Adapter({name} for {domain}, {form}, {} bytes)",
            self.bytes
        )
    }
}

/// Every tensor must be a head's or a layer's.
fn check_names(tensors: &Tensors) -> Result<(), AdapterError> {
    let known = |name: &str| HEADS.contains(&name) || layer_of(name).is_some();
    match tensors.shapes().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some((name, _)) => Err(tensors
            .bad(format!(
                "holds `{name}`; an adapter holds `{LAYER}LAYER.a` and `.b`, and {}",
                HEADS.join(", ")
            ))
            .into()),
    }
}

/// The layer that a tensor is added to.
fn layer_of(tensor: &str) -> Option<&str> {
    let name = tensor.strip_prefix(LAYER)?;
    name.strip_suffix(".a").or_else(|| name.strip_suffix(".b"))
}

/// The additions to layers, by the layers' names.
fn additions(
    tensors: &Tensors,
    manifest: &AdapterManifest,
    network: &WordNetwork,
) -> Result<BTreeMap<String, LowRank>, AdapterError> {
    let layers: BTreeSet<&str> = tensors
        .shapes()
        .filter_map(|(name, _)| layer_of(name))
        .collect();
    let (rank, scale) = (manifest.rank, manifest.alpha / manifest.rank as f32);
    let mut found = BTreeMap::new();
    for layer in layers {
        let known = network.layers().find(|(name, ..)| *name == layer);
        let Some((_, inputs, outputs)) = known else {
            let known: Vec<&str> = network.layers().map(|(name, ..)| name).collect();
            let known = known.join(", ");
            let problem = format!("adds to a layer `{layer}`, the base has only {known}");
            return Err(tensors.bad(problem).into());
        };
        let a = tensors.floats(&format!("{LAYER}{layer}.a"), &[rank, inputs])?;
        let b = tensors.floats(&format!("{LAYER}{layer}.b"), &[outputs, rank])?;
        let low = LowRank::new(&a, &b, rank, scale);
        let low = low.map_err(|problem| tensors.bad(format!("`{LAYER}{layer}`: {problem}")))?;
        found.insert(layer.to_owned(), low);
    }
    Ok(found)
}
