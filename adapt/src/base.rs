//! What every adapter begins with: the encoder as it ships, its int8 weights as floats.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use vocar_inference::{TextBundle, constants};
use vocar_nlu::encoder::{Base as Identity, Head, Rows};

use crate::TrainError;
use crate::network;

/// The parts of the network that have a weight and a bias, in each block.
pub const BLOCK_LAYERS: [&str; 4] = ["qkv", "out", "up", "down"];

/// A bundle that reads words, opened for training. Nothing in it changes.
#[derive(Debug)]
pub struct Base {
    identity: Identity,
    pub(crate) rows: Rows,
    pub(crate) sizes: Sizes,
    /// Weights `[in, out]`, biases `[out]` and the two vectors of each normalisation, by their names in the graph.
    pub(crate) tensors: BTreeMap<String, Tensor>,
    heads: BTreeMap<String, Head>,
}

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Width of a row.
    pub row: usize,
    /// Width of a state.
    pub dim: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
}

impl Base {
    /// Opens a bundle, all its files checked.
    ///
    /// # Errors
    /// A damaged bundle, or a network other than the encoder's.
    pub fn load(dir: &Path) -> Result<Base, TrainError> {
        let bundle = TextBundle::open(dir)?;
        let (_, network) = bundle.lightest();
        let constants = constants(&network)?;
        let strange = |what: String| TrainError::Base {
            path: network.clone(),
            problem: what,
        };
        let absent = |name: &str| strange(format!("has no constant `{name}`"));
        let mut tensors = BTreeMap::new();
        for (name, constant) in &constants {
            if name.ends_with(".weight") || name.ends_with(".bias") {
                let shape = constant.shape.as_slice();
                let tensor = Tensor::from_slice(&constant.values, shape, &Device::Cpu)?;
                tensors.insert(name.clone(), tensor);
            }
        }
        let project = tensors
            .get("project.weight")
            .ok_or_else(|| absent("project.weight"))?;
        let (row, dim) = project.dims2()?;
        let split = constants
            .get("block0.sizes")
            .ok_or_else(|| absent("block0.sizes"))?;
        let heads = split.values.first().map_or(0, |heads| *heads as usize);
        let layers = (0..)
            .take_while(|block| tensors.contains_key(&format!("block{block}.qkv.weight")))
            .count();
        let sizes = Sizes {
            row,
            dim,
            heads,
            layers,
        };
        if heads == 0 || dim % heads != 0 {
            return Err(strange(format!("has {heads} heads for states of {dim}")));
        }
        for (name, shape) in expected(sizes) {
            let tensor = tensors.get(&name).ok_or_else(|| absent(&name))?;
            if tensor.dims() != shape {
                let found = tensor.dims();
                return Err(strange(format!("has `{name}` {found:?}, not {shape:?}")));
            }
        }
        let manifest = bundle.manifest();
        let mut heads = BTreeMap::new();
        for (domain, file) in &manifest.heads {
            heads.insert(domain.clone(), Head::read(&bundle.path(file), dim)?);
        }
        Ok(Base {
            identity: Identity::of(&bundle, &network),
            rows: Rows::read(&bundle, row)?,
            sizes,
            tensors,
            heads,
        })
    }

    /// What ties an adapter to it.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// States `[1 + words][dim]` of sentences, that of the sentence first.
    ///
    /// # Errors
    /// When the arithmetic fails.
    pub fn states(&self, sentences: &[Vec<String>]) -> candle_core::Result<Vec<Vec<f32>>> {
        let of = |words: &Vec<String>| {
            let rows = [self.rows.of(words)];
            let input = network::Rows::padded(&rows, self.sizes.row)?;
            let states = network::states(&self.tensors, self.sizes, &input)?;
            states.flatten_all()?.to_vec1()
        };
        sentences.iter().map(of).collect()
    }

    /// Sizes of the network.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The heads of a domain that it was trained for.
    pub fn head(&self, domain: &str) -> Option<&Head> {
        self.heads.get(domain)
    }

    /// How many numbers it was trained to: rows and network, without heads.
    pub fn parameters(&self) -> usize {
        self.rows.parameters() + self.tensors.values().map(Tensor::elem_count).sum::<usize>()
    }
}

/// Every tensor of the network with its shape.
fn expected(sizes: Sizes) -> Vec<(String, Vec<usize>)> {
    let Sizes {
        row, dim, layers, ..
    } = sizes;
    let mut out = vec![
        ("project.weight".into(), vec![row, dim]),
        ("project.bias".into(), vec![dim]),
    ];
    let norm = |name: String| {
        [
            (format!("{name}.weight"), vec![dim]),
            (format!("{name}.bias"), vec![dim]),
        ]
    };
    for block in 0..layers {
        for (layer, inputs, outputs) in [
            ("qkv", dim, 3 * dim),
            ("out", dim, dim),
            ("up", dim, 4 * dim),
            ("down", 4 * dim, dim),
        ] {
            out.push((
                format!("block{block}.{layer}.weight"),
                vec![inputs, outputs],
            ));
            out.push((format!("block{block}.{layer}.bias"), vec![outputs]));
        }
        out.extend(norm(format!("block{block}.first")));
        out.extend(norm(format!("block{block}.second")));
    }
    out.extend(norm("norm".into()));
    out
}
