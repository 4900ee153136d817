//! What is learnt, and what the network becomes with it.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var};
use vocar_nlu::encoder::{Curve, Head, Layer};
use vocar_nlu::random::Random;

use crate::base::{BLOCK_LAYERS, Base, Sizes};
use crate::corpus::Labels;
use crate::network::Weights;

/// The rows of words and n-grams when all is learnt.
pub(crate) const TABLE: &str = "rows.table";
/// The rows of places when all is learnt.
pub(crate) const PLACES: &str = "rows.places";

/// The layer that makes states of rows.
pub(crate) const PROJECT: &str = "project";
/// So many numbers an adapter may have, against the base.
const SHARE: f64 = 0.02;

/// The score of a label that is new to heads which know others.
const UNLIKELY: f32 = -8.0;

/// What is learnt besides the heads.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// A product of two small matrices for some layers; what an adapter is.
    LowRank {
        /// Inner size of the product.
        rank: usize,
        /// The product counts `alpha / rank` times.
        alpha: f32,
        /// Layers by their names in the graph, such as `block0.qkv`.
        layers: Vec<String>,
    },
    /// Nothing: to compare with.
    HeadOnly,
    /// Every number of the base, rows too: to compare with.
    Everything,
}

impl Method {
    /// Layers of the last `blocks` of `all` blocks that have one of these names.
    pub fn layers(all: usize, blocks: usize, names: &[&str]) -> Vec<String> {
        let last = all.saturating_sub(blocks)..all;
        last.flat_map(|block| names.iter().map(move |name| format!("block{block}.{name}")))
            .collect()
    }

    /// The usual adapter of a base, of all layers: a low rank everywhere did better than a higher one in some of them
    /// (`adapt/examples/compare.rs`).
    pub fn usual(base: &Base, rank: usize) -> Method {
        let all = base.sizes().layers;
        let mut layers = Method::layers(all, all, &BLOCK_LAYERS);
        layers.push(PROJECT.to_owned());
        Method::LowRank {
            rank,
            alpha: 2.0 * rank as f32,
            layers,
        }
    }

    /// The highest rank of [`Method::usual`] with which an adapter for these labels has at most 2 % as many numbers as the
    /// base, from 4 to 8.
    pub fn rank(base: &Base, labels: &Labels) -> usize {
        let Sizes {
            row, dim, layers, ..
        } = base.sizes();
        let heads = (labels.intents.len() + labels.tags.len()) * (dim + 1);
        let a_rank = row + dim + layers * 16 * dim;
        let most = (SHARE * base.parameters() as f64) as usize;
        (most.saturating_sub(heads) / a_rank).clamp(4, 8)
    }
}

/// The numbers of tensors by the tensors' names.
pub(crate) type Values = BTreeMap<String, Vec<f32>>;

/// The tensors that are learnt, by name: those of an adapter's file, or of the base when all is learnt.
pub(crate) struct Parameters {
    pub vars: BTreeMap<String, Var>,
    method: Method,
}

impl Parameters {
    /// Before the first step: the base as it is, with heads that know nothing or those of `head`, whose labels are the first.
    pub fn new(
        base: &Base,
        labels: &Labels,
        head: Option<&Head>,
        method: &Method,
        seed: u64,
    ) -> Result<Parameters> {
        let mut random = Random::new(seed);
        let dim = base.sizes.dim;
        let mut vars = BTreeMap::new();
        let layers = head.map(Head::layers);
        for (at, (name, count)) in [
            ("intents", labels.intents.len()),
            ("tags", labels.tags.len()),
        ]
        .into_iter()
        .enumerate()
        {
            let layer = match layers {
                Some(layers) => grown(layers[at], count),
                None => Layer {
                    weight: vec![0.0; count * dim],
                    bias: vec![0.0; count],
                    dim,
                },
            };
            let weight = Var::from_vec(layer.weight, (count, dim), &Device::Cpu)?;
            vars.insert(format!("{name}.weight"), weight);
            vars.insert(
                format!("{name}.bias"),
                Var::from_vec(layer.bias, count, &Device::Cpu)?,
            );
        }
        match method {
            Method::HeadOnly => {}
            Method::LowRank { rank, layers, .. } => {
                for layer in layers {
                    let weight = base.tensors.get(&format!("{layer}.weight"));
                    let Some((inputs, outputs)) = weight.map(Tensor::dims2).transpose()? else {
                        candle_core::bail!(
                            "the base has no layer `{layer}`; its blocks have {BLOCK_LAYERS:?}"
                        );
                    };
                    let scale = (inputs as f32).powf(-0.5);
                    let values: Vec<f32> = (0..rank * inputs)
                        .map(|_| scale * random.normal())
                        .collect();
                    let a = Var::from_vec(values, (*rank, inputs), &Device::Cpu)?;
                    vars.insert(format!("lora.{layer}.a"), a);
                    let b = Var::zeros((outputs, *rank), candle_core::DType::F32, &Device::Cpu)?;
                    vars.insert(format!("lora.{layer}.b"), b);
                }
            }
            Method::Everything => {
                for (name, tensor) in &base.tensors {
                    vars.insert(name.clone(), Var::from_tensor(tensor)?);
                }
                let row = base.sizes.row;
                for (name, values) in [
                    (TABLE, base.rows.table()),
                    (PLACES, base.rows.places().to_vec()),
                ] {
                    let rows = values.len() / row;
                    vars.insert(
                        name.into(),
                        Var::from_vec(values, (rows, row), &Device::Cpu)?,
                    );
                }
            }
        }
        Ok(Parameters {
            vars,
            method: method.clone(),
        })
    }

    /// How many numbers are learnt.
    pub fn count(&self) -> usize {
        self.vars.values().map(|var| var.elem_count()).sum()
    }

    /// The network with what was learnt so far, heads included, as a function of what is learnt.
    pub fn weights(&self, base: &Base) -> Result<Weights> {
        let mut weights = base.tensors.clone();
        for (name, var) in &self.vars {
            match name.strip_prefix("lora.") {
                None => drop(weights.insert(name.clone(), var.as_tensor().clone())),
                Some(_) => continue,
            }
        }
        for head in ["intents.weight", "tags.weight"] {
            if let Some(weight) = self.vars.get(head) {
                weights.insert(head.into(), weight.t()?);
            }
        }
        if let Method::LowRank {
            rank,
            alpha,
            layers,
        } = &self.method
        {
            for layer in layers {
                let name = format!("{layer}.weight");
                let (Some(weight), Some(a), Some(b)) = (
                    base.tensors.get(&name),
                    self.vars.get(&format!("lora.{layer}.a")),
                    self.vars.get(&format!("lora.{layer}.b")),
                ) else {
                    continue;
                };
                let product = (a.t()?.matmul(&b.t()?)? * f64::from(*alpha / *rank as f32))?;
                weights.insert(name, (weight + product)?);
            }
        }
        Ok(weights)
    }

    /// The heads as the run time has them.
    pub fn head(&self, labels: &Labels, steps: Vec<f32>, dim: usize, curve: Curve) -> Result<Head> {
        let layer = |name: &str| -> Result<Layer> {
            Ok(Layer {
                weight: self.values(&format!("{name}.weight"))?,
                bias: self.values(&format!("{name}.bias"))?,
                dim,
            })
        };
        let layers = [layer("intents")?, layer("tags")?];
        Head::new(labels.intents.clone(), &labels.tags, layers, steps, curve)
            .map_err(candle_core::Error::Msg)
    }

    /// What is learnt as it is now.
    pub fn copy(&self) -> Result<Values> {
        let names = self.vars.keys();
        names
            .map(|name| Ok((name.clone(), self.values(name)?)))
            .collect()
    }

    /// Sets the heads and what is added to layers to `share` of the way from `began` to `learnt`. One factor of each product is
    /// enough: it begins with nought.
    pub fn between(&self, began: &Values, learnt: &Values, share: f32) -> Result<()> {
        for (name, var) in &self.vars {
            let (Some(began), Some(learnt)) = (began.get(name), learnt.get(name)) else {
                continue;
            };
            if name.ends_with(".a") {
                continue;
            }
            let both = began.iter().zip(learnt);
            let values: Vec<f32> = both.map(|(from, to)| from + share * (to - from)).collect();
            var.set(&Tensor::from_vec(values, var.dims(), &Device::Cpu)?)?;
        }
        Ok(())
    }

    /// The numbers of a tensor, row-major.
    pub fn values(&self, name: &str) -> Result<Vec<f32>> {
        match self.vars.get(name) {
            Some(var) => var.flatten_all()?.to_vec1(),
            None => candle_core::bail!("no tensor `{name}` is learnt"),
        }
    }
}

/// A layer with `count` outputs, those that it has not unlikely whatever the state.
pub(crate) fn grown(layer: &Layer, count: usize) -> Layer {
    let mut layer = layer.clone();
    layer.weight.resize(count * layer.dim, 0.0);
    layer.bias.resize(count, UNLIKELY);
    layer
}

/// The steps from tag to tag of heads that know the first of `count` tags, as [`Head::steps`] has them; those that are new, and
/// all without heads, at nought.
pub(crate) fn grown_steps(head: Option<&Head>, count: usize) -> Vec<f32> {
    let mut steps = vec![0.0; (count + 1) * count];
    let Some(head) = head else {
        return steps;
    };
    let known = head.tags().len();
    for (from, row) in head.steps().chunks_exact(known.max(1)).enumerate() {
        // The last row is for a sentence's first word.
        let from = if from == known { count } else { from };
        steps[from * count..from * count + known].copy_from_slice(row);
    }
    steps
}

/// Whether a tensor belongs to the heads, which learn faster.
pub(crate) fn is_head(name: &str) -> bool {
    name.starts_with("intents.") || name.starts_with("tags.")
}
