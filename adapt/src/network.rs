//! The encoder in tensors that know where they come from: the same arithmetic as the run time's, in floats.

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Result, Tensor};

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
fn longest(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.max().unwrap_or_default()
}

/// `[sentences, 1, 1, length]`: what is added to the scores of attention.
fn mask(lengths: &[usize], length: usize) -> Result<Tensor> {
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
fn linear(weights: &Weights, name: &str, x: &Tensor) -> Result<Tensor> {
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
fn log_softmax(scores: &Tensor) -> Result<Tensor> {
    let most = scores.max_keepdim(D::Minus1)?.detach();
    let less = scores.broadcast_sub(&most)?;
    let all = less.exp()?.sum_keepdim(D::Minus1)?.log()?;
    less.broadcast_sub(&all)
}

/// Rows of sentences out of tables that are learnt.
pub(crate) fn looked_up(
    table: &Tensor,
    places: &Tensor,
    sentences: &[Vec<Vec<(usize, f32)>>],
) -> Result<Rows> {
    let row = table.dim(1)?;
    let length = longest(sentences.iter().map(Vec::len));
    let lengths: Vec<usize> = sentences.iter().map(Vec::len).collect();
    let (mut numbers, mut weights, mut places_of) = (Vec::new(), Vec::new(), Vec::new());
    for (sentence, rows) in sentences.iter().enumerate() {
        for (place, parts) in rows.iter().enumerate() {
            for (number, weight) in parts {
                numbers.push(*number as u32);
                weights.push(*weight);
                places_of.push((sentence * length + place) as u32);
            }
        }
    }
    let count = numbers.len();
    let numbers = Tensor::from_vec(numbers, count, &Device::Cpu)?;
    let weights = Tensor::from_vec(weights, (count, 1), &Device::Cpu)?;
    let places_of = Tensor::from_vec(places_of, count, &Device::Cpu)?;
    let parts = table.index_select(&numbers, 0)?.broadcast_mul(&weights)?;
    let empty = Tensor::zeros((sentences.len() * length, row), DType::F32, &Device::Cpu)?;
    let rows = empty
        .index_add(&places_of, &parts, 0)?
        .reshape((sentences.len(), length, row))?
        .broadcast_add(&places.narrow(0, 0, length)?)?;
    Ok(Rows {
        rows,
        mask: mask(&lengths, length)?,
    })
}

/// Logarithms of the shares of intents `[sentences, intents]` and of tags `[sentences * words, tags]`.
pub(crate) fn heads(weights: &Weights, states: &Tensor) -> Result<(Tensor, Tensor)> {
    let (count, length, dim) = states.dims3()?;
    let whole = states.narrow(1, 0, 1)?.reshape((count, dim))?;
    let intents = log_softmax(&linear(weights, "intents", &whole)?)?;
    let words = (count * (length - 1), dim);
    let each = states.narrow(1, 1, length - 1)?.reshape(words)?;
    let tags = log_softmax(&linear(weights, "tags", &each)?)?;
    Ok((intents, tags))
}
