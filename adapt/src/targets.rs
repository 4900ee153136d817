//! What a network should come to: what sentences are written to mean, or what the base makes of them.

use candle_core::{Device, Result, Tensor};
use vocar_nlu::encoder::Head;

use crate::base::Base;
use crate::corpus::{Labels, Sentence};
use crate::network::{Rows, Weights, heads, states};
use crate::parameters::grown;

/// Share of the target that goes to all intents alike (C. Szegedy et al., 2016).
const SMOOTHING: f32 = 0.05;

/// The base with the heads of a domain: what it makes of sentences is rehearsed (Z. Li and D. Hoiem, 2016).
pub(crate) struct Teacher(Weights);

impl Teacher {
    /// With heads that know the first of these labels.
    pub fn new(base: &Base, head: &Head, labels: &Labels) -> Result<Teacher> {
        let mut weights = base.tensors.clone();
        let counts = [labels.intents.len(), labels.tags.len()];
        let layers = head.layers().into_iter().zip(counts);
        for (name, (layer, count)) in ["intents", "tags"].into_iter().zip(layers) {
            let layer = grown(layer, count);
            let shape = (layer.bias.len(), layer.dim);
            let weight = Tensor::from_slice(&layer.weight, shape, &Device::Cpu)?;
            weights.insert(format!("{name}.weight"), weight.t()?);
            let bias = Tensor::from_slice(&layer.bias, layer.bias.len(), &Device::Cpu)?;
            weights.insert(format!("{name}.bias"), bias);
        }
        Ok(Teacher(weights))
    }
}

/// Shares that the network should give.
pub(crate) struct Targets {
    /// `[sentences, intents]`.
    pub intents: Tensor,
    /// `[sentences * words, tags]`, nought where there is no word.
    pub tags: Tensor,
}

impl Targets {
    /// Those of sentences whose rows are `input`.
    pub fn new(
        labels: &Labels,
        sentences: &[Sentence],
        input: &Rows,
        teacher: Option<&Teacher>,
        base: &Base,
    ) -> Result<Targets> {
        let length = input.rows.dim(1)? - 1;
        let (intents, tags) = (labels.intents.len(), labels.tags.len());
        let rehearsed = sentences.iter().any(|sentence| sentence.rehearsed);
        let (mut of_intents, mut of_words) = match teacher.filter(|_| rehearsed) {
            None => (
                vec![0.0; sentences.len() * intents],
                vec![0.0; sentences.len() * length * tags],
            ),
            Some(Teacher(weights)) => {
                let states = states(weights, base.sizes, input)?;
                let (intents, tags) = heads(weights, &states)?;
                (
                    intents.exp()?.flatten_all()?.to_vec1()?,
                    tags.exp()?.flatten_all()?.to_vec1()?,
                )
            }
        };
        let shares = of_intents.chunks_exact_mut(intents);
        let shares = shares.zip(of_words.chunks_exact_mut((length * tags).max(1)));
        for (sentence, (shares, words)) in sentences.iter().zip(shares) {
            let beyond = sentence.words.len().min(length) * tags;
            words[beyond..].fill(0.0);
            if !sentence.rehearsed || teacher.is_none() {
                written(labels, sentence, shares, words);
            }
        }
        Ok(Targets {
            intents: Tensor::from_vec(of_intents, (sentences.len(), intents), &Device::Cpu)?,
            tags: Tensor::from_vec(of_words, (sentences.len() * length, tags), &Device::Cpu)?,
        })
    }
}

/// What a sentence is written to mean.
fn written(labels: &Labels, sentence: &Sentence, shares: &mut [f32], words: &mut [f32]) {
    let (intents, tags) = (labels.intents.len(), labels.tags.len());
    shares.fill(SMOOTHING / intents as f32);
    if let Some(number) = labels.intent(&sentence.intent) {
        shares[number] += 1.0 - SMOOTHING;
    }
    words.fill(0.0);
    for (tag, shares) in sentence.tags().iter().zip(words.chunks_exact_mut(tags)) {
        shares[labels.tag(tag)] = 1.0;
    }
}
