//! The encoder in tensors that know where they come from: the same arithmetic as the run time's, in floats.

use std::collections::BTreeMap;

use candle_core::{D, Device, Result, Tensor};

use crate::base::Sizes;

/// What is added to the score of a place where no word is: its weight in attention is nought.
const NOTHING: f32 = -10_000.0;
/// Epsilon of the layer normalisation, as in the base's graph.
const EPSILON: f64 = 1e-5;

/// Tensors by their names in the graph, those that are learnt among them.
pub(crate) type Weights = BTreeMap<String, Tensor>;

/// Sentences of a batch, padded to the longest.
#[derive(Debug)]
pub(crate) struct Rows {
    /// `[sentences, length, row]`, the sentence's beginning first.
    pub rows: Tensor,
    /// `[sentences, 1, 1, length]`: 0 where there is a word.
    pub mask: Tensor,
}

impl Rows {
    /// From the rows of each sentence.
    pub fn padded(sentences: &[Vec<f32>], row: usize) -> Result<Rows> {
        let length = longest(sentences.iter().map(|rows| rows.len() / row));
        let mut rows = Vec::with_capacity(sentences.len() * length * row);
        for sentence in sentences {
            rows.extend(sentence);
            rows.resize(rows.len() + length * row - sentence.len(), 0.0);
        }
        let lengths: Vec<usize> = sentences.iter().map(|rows| rows.len() / row).collect();
        Ok(Rows {
            rows: Tensor::from_vec(rows, (sentences.len(), length, row), &Device::Cpu)?,
            mask: mask(&lengths, length)?,
        })
    }
}

/// The largest of these lengths.
pub(crate) fn longest(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.max().unwrap_or_default()
}

/// `[sentences, 1, 1, length]`: what is added to the scores of attention.
pub(crate) fn mask(lengths: &[usize], length: usize) -> Result<Tensor> {
    let places = lengths
        .iter()
        .flat_map(|words| (0..length).map(move |at| if at < *words { 0.0 } else { NOTHING }));
    let places: Vec<f32> = places.collect();
    Tensor::from_vec(places, (lengths.len(), 1, 1, length), &Device::Cpu)
}

/// States `[sentences, length, dim]`.
pub(crate) fn states(weights: &Weights, sizes: Sizes, input: &Rows) -> Result<Tensor> {
    let (sentences, length, row) = input.rows.dims3()?;
    let flat = input.rows.reshape((sentences * length, row))?;
    let mut x = linear(weights, "project", &flat)?;
    for block in 0..sizes.layers {
        let name = |part: &str| format!("block{block}.{part}");
        let inner = norm(weights, &name("first"), &x)?;
        let qkv = linear(weights, &name("qkv"), &inner)?;
        let mixed = attention(&qkv, sentences, length, sizes, &input.mask)?;
        x = (linear(weights, &name("out"), &mixed)? + x)?;
        let inner = norm(weights, &name("second"), &x)?;
        let up = linear(weights, &name("up"), &inner)?.silu()?;
        x = (linear(weights, &name("down"), &up)? + x)?;
    }
    norm(weights, "norm", &x)?.reshape((sentences, length, sizes.dim))
}

fn attention(
    qkv: &Tensor,
    sentences: usize,
    length: usize,
    sizes: Sizes,
    mask: &Tensor,
) -> Result<Tensor> {
    let width = sizes.dim / sizes.heads;
    let parts = qkv
        .reshape((sentences, length, 3, sizes.heads, width))?
        .permute((2, 0, 3, 1, 4))?
        .contiguous()?;
    let (q, k, v) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
    let scores = (q * (width as f64).powf(-0.5))?.matmul(&k.t()?)?;
    let shares = log_softmax(&scores.broadcast_add(mask)?)?.exp()?;
    shares
        .matmul(&v)?
        .transpose(1, 2)?
        .reshape((sentences * length, sizes.dim))
}

/// `x` `[n, in]` to `[n, out]`.
pub(crate) fn linear(weights: &Weights, name: &str, x: &Tensor) -> Result<Tensor> {
    let find = |part: &str| {
        let name = format!("{name}.{part}");
        weights
            .get(&name)
            .ok_or_else(|| candle_core::Error::Msg(format!("no tensor `{name}`")))
    };
    x.matmul(find("weight")?)?.broadcast_add(find("bias")?)
}

fn norm(weights: &Weights, name: &str, x: &Tensor) -> Result<Tensor> {
    let find = |part: &str| {
        let name = format!("{name}.{part}");
        weights
            .get(&name)
            .ok_or_else(|| candle_core::Error::Msg(format!("no tensor `{name}`")))
    };
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let spread = (centred.sqr()?.mean_keepdim(D::Minus1)? + EPSILON)?.sqrt()?;
    centred
        .broadcast_div(&spread)?
        .broadcast_mul(find("weight")?)?
        .broadcast_add(find("bias")?)
}

/// Logarithms of the shares along the last dimension.
pub(crate) fn log_softmax(scores: &Tensor) -> Result<Tensor> {
    let most = scores.max_keepdim(D::Minus1)?.detach();
    let less = scores.broadcast_sub(&most)?;
    let all = less.exp()?.sum_keepdim(D::Minus1)?.log()?;
    less.broadcast_sub(&all)
}
