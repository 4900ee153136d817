//! What a domain makes of the states of a sentence: its intent, and which words are slots.

use std::ops::Range;
use std::path::Path;

use super::chain::{self, Chain, Tag};
use super::tensors::{BadFile, Tensors};

/// The intent of what is none of a domain's; always the first.
const NONE: &str = "none";

/// A linear layer over states.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Row-major `[outputs][dim]`.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
    /// Width of a state.
    pub dim: usize,
}

impl Layer {
    fn read(tensors: &Tensors, name: &str, outputs: usize, dim: usize) -> Result<Layer, BadFile> {
        Ok(Layer {
            weight: tensors.floats(&format!("{name}.weight"), &[outputs, dim])?,
            bias: tensors.floats(&format!("{name}.bias"), &[outputs])?,
            dim,
        })
    }

    /// What it makes of a state.
    pub fn of(&self, state: &[f32]) -> Vec<f32> {
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

/// How sure an intent is: `1 / (1 + exp(-(slope * odds + offset)))` with its logarithmic odds against all others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// Factor of the odds.
    pub slope: f32,
    /// What is added to them.
    pub offset: f32,
    /// Below this probability a sentence is none of the domain's.
    pub threshold: f32,
}

/// The heads of a domain.
#[derive(Debug)]
pub struct Head {
    names: Vec<String>,
    tags: Vec<Tag>,
    chain: Chain,
    intents: Layer,
    slots: Layer,
    steps: Vec<f32>,
    curve: Curve,
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
        let lines = |name: &str| -> Result<Vec<String>, BadFile> {
            Ok(tensors.remark(name)?.lines().map(String::from).collect())
        };
        let (names, tags) = (lines("intents")?, lines("tags")?);
        let number = |name: &str| -> Result<f32, BadFile> {
            let text = tensors.remark(name)?;
            let number = text.parse().ok().filter(|number: &f32| number.is_finite());
            number.ok_or_else(|| bad(format!("its remark `{name}` is no number: {text}")))
        };
        let curve = Curve {
            slope: number("slope")?,
            offset: number("offset")?,
            threshold: number("threshold")?,
        };
        let intents = Layer::read(tensors, "intents", names.len(), dim)?;
        let slots = Layer::read(tensors, "tags", tags.len(), dim)?;
        let steps = chain::steps(tensors, tags.len())?;
        Head::new(names, &tags, [intents, slots], steps, curve).map_err(bad)
    }

    /// From the names of its intents, `none` first, its tags (`O`, `B-slot`, `I-slot`), a layer for each of the two, and the
    /// scores of the steps from tag to tag `[tags + 1][tags]`, the last row for a sentence's first word.
    ///
    /// # Errors
    /// The end of a sentence that begins with what holds the heads.
    pub fn new(
        names: Vec<String>,
        tags: &[String],
        [intents, slots]: [Layer; 2],
        steps: Vec<f32>,
        curve: Curve,
    ) -> Result<Head, String> {
        if steps.len() != (tags.len() + 1) * tags.len() {
            let found = steps.len();
            return Err(format!("has {found} steps between {} tags", tags.len()));
        }
        if names.first().is_none_or(|first| first != NONE) {
            return Err(format!("its first intent should be `{NONE}`"));
        }
        let tag = |text: &String| {
            Tag::parse(text)
                .ok_or_else(|| format!("has the odd tag `{text}`; tags are O, B-slot and I-slot"))
        };
        let tags: Vec<Tag> = tags.iter().map(tag).collect::<Result<_, _>>()?;
        if !tags.contains(&Tag::Outside) {
            return Err("has no tag `O` for words that are no slot".into());
        }
        let threshold = curve.threshold;
        if !(0.0..=1.0).contains(&threshold) {
            return Err(format!(
                "its remark `threshold` is no probability: {threshold}"
            ));
        }
        Ok(Head {
            chain: Chain::new(&steps, &tags),
            intents,
            slots,
            steps,
            curve,
            names,
            tags,
        })
    }

    /// Names of the intents, `none` first.
    pub fn labels(&self) -> &[String] {
        &self.names
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

    /// The tags of words as texts.
    pub fn tags(&self) -> Vec<String> {
        let text = |tag: &Tag| match tag {
            Tag::Outside => "O".to_owned(),
            Tag::Begin(slot) => format!("B-{slot}"),
            Tag::Inside(slot) => format!("I-{slot}"),
        };
        self.tags.iter().map(text).collect()
    }

    /// The layers of intents and tags.
    pub fn layers(&self) -> [&Layer; 2] {
        [&self.intents, &self.slots]
    }

    /// The scores of the steps from tag to tag `[tags + 1][tags]`, the last row for a sentence's first word.
    pub fn steps(&self) -> &[f32] {
        &self.steps
    }

    /// How sure it is.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The score of each intent for the state of a sentence, before any share is made of it.
    pub fn scores(&self, sentence: &[f32]) -> Vec<f32> {
        self.intents.of(sentence)
    }

    /// Intents that `allowed` lets through with the probability of each that the sentence means it, likeliest first; none
    /// below the threshold.
    pub fn intents(&self, sentence: &[f32], allowed: impl Fn(&str) -> bool) -> Vec<(&str, f32)> {
        let scores = self.scores(sentence);
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: f32 = scores.iter().map(|score| (score - most).exp()).sum();
        let chance = |score: &f32| {
            let share = ((score - most).exp() / all).clamp(1e-7, 1.0 - 1e-7);
            let odds = (share / (1.0 - share)).ln();
            1.0 / (1.0 + (-(self.curve.slope * odds + self.curve.offset)).exp())
        };
        let named = self.names.iter().zip(&scores).skip(1);
        let mut found: Vec<(&str, f32)> = named
            .filter(|(name, _)| allowed(name))
            .map(|(name, score)| (name.as_str(), chance(score)))
            .filter(|(_, chance)| *chance >= self.curve.threshold)
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
