//! What a domain makes of the states of a sentence: its intent, and which words are slots.

use std::ops::Range;
use std::path::Path;

use super::chain::{Chain, Tag};
use super::tensors::{BadFile, Tensors};

/// The intent of what is none of a domain's; always the first.
const NONE: &str = "none";

/// A linear layer over states.
#[derive(Debug)]
struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
    dim: usize,
}

impl Layer {
    fn read(tensors: &Tensors, name: &str, outputs: usize, dim: usize) -> Result<Layer, BadFile> {
        Ok(Layer {
            weight: tensors.floats(&format!("{name}.weight"), &[outputs, dim])?,
            bias: tensors.floats(&format!("{name}.bias"), &[outputs])?,
            dim,
        })
    }

    fn of(&self, state: &[f32]) -> Vec<f32> {
        let products = self.weight.chunks_exact(self.dim).map(|row| {
            row.iter()
                .zip(state)
                .map(|(weight, value)| weight * value)
                .sum::<f32>()
        });
        products
            .zip(&self.bias)
            .map(|(product, bias)| product + bias)
            .collect()
    }
}

/// Words that are a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Name of the slot.
    pub slot: String,
    /// Its words, counted from nought.
    pub words: Range<usize>,
}

/// The heads of a domain.
#[derive(Debug)]
pub(crate) struct Head {
    names: Vec<String>,
    tags: Vec<Tag>,
    chain: Chain,
    intents: Layer,
    slots: Layer,
    slope: f32,
    offset: f32,
    /// Below this probability a sentence is none of the domain's.
    threshold: f32,
}

impl Head {
    /// Reads the file of a domain's heads over states of `dim` numbers.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn read(path: &Path, dim: usize) -> Result<Head, BadFile> {
        Head::of(&Tensors::read(path)?, dim)
    }

    /// The heads among the tensors of a file.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn of(tensors: &Tensors, dim: usize) -> Result<Head, BadFile> {
        let bad = |problem: String| tensors.bad(problem);
        let names: Vec<String> = tensors
            .remark("intents")?
            .lines()
            .map(String::from)
            .collect();
        if names.first().is_none_or(|first| first != NONE) {
            return Err(bad(format!("its first intent should be `{NONE}`")));
        }
        let tag = |text: &str| {
            Tag::parse(text).ok_or_else(|| {
                bad(format!(
                    "has the odd tag `{text}`; tags are O, B-slot and I-slot"
                ))
            })
        };
        let tags: Vec<Tag> = tensors
            .remark("tags")?
            .lines()
            .map(tag)
            .collect::<Result<_, _>>()?;
        if !tags.contains(&Tag::Outside) {
            return Err(bad("has no tag `O` for words that are no slot".into()));
        }
        let number = |name: &str| -> Result<f32, BadFile> {
            let text = tensors.remark(name)?;
            let number = text.parse().ok().filter(|number: &f32| number.is_finite());
            number.ok_or_else(|| bad(format!("its remark `{name}` is no number: {text}")))
        };
        let threshold = number("threshold")?;
        if !(0.0..=1.0).contains(&threshold) {
            return Err(bad(format!(
                "its remark `threshold` is no probability: {threshold}"
            )));
        }
        Ok(Head {
            intents: Layer::read(tensors, "intents", names.len(), dim)?,
            slots: Layer::read(tensors, "tags", tags.len(), dim)?,
            slope: number("slope")?,
            offset: number("offset")?,
            threshold,
            chain: Chain::read(tensors, &tags)?,
            names,
            tags,
        })
    }

    /// Names of the intents but that of none.
    pub fn names(&self) -> &[String] {
        &self.names[1..]
    }

    /// Numbers in its tensors.
    pub fn numbers(&self) -> usize {
        let layer = |layer: &Layer| layer.weight.len() + layer.bias.len();
        layer(&self.intents) + layer(&self.slots)
    }

    /// Intents that `allowed` lets through with the probability of each that the sentence means it, likeliest first; none
    /// below the threshold.
    pub fn intents(&self, sentence: &[f32], allowed: impl Fn(&str) -> bool) -> Vec<(&str, f32)> {
        let scores = self.intents.of(sentence);
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: f32 = scores.iter().map(|score| (score - most).exp()).sum();
        let chance = |score: &f32| {
            let share = ((score - most).exp() / all).clamp(1e-7, 1.0 - 1e-7);
            let odds = (share / (1.0 - share)).ln();
            1.0 / (1.0 + (-(self.slope * odds + self.offset)).exp())
        };
        let named = self.names.iter().zip(&scores).skip(1);
        let mut found: Vec<(&str, f32)> = named
            .filter(|(name, _)| allowed(name))
            .map(|(name, score)| (name.as_str(), chance(score)))
            .filter(|(_, chance)| *chance >= self.threshold)
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found
    }

    /// The slots of the words whose states these are: the best chain of tags.
    pub fn spans(&self, words: &[f32]) -> Vec<Span> {
        let states = words.chunks_exact(self.slots.dim);
        let path = self
            .chain
            .best_path(states.map(|state| self.slots.of(state)));
        let mut found: Vec<Span> = Vec::new();
        for (at, number) in path.into_iter().enumerate() {
            match &self.tags[number] {
                Tag::Outside => {}
                Tag::Begin(slot) => found.push(Span {
                    slot: slot.clone(),
                    words: at..at + 1,
                }),
                Tag::Inside(_) => {
                    if let Some(open) = found.last_mut() {
                        open.words.end = at + 1;
                    }
                }
            }
        }
        found
    }
}
