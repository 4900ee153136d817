//! Learning: batches of disturbed sentences, gradients, steps.

use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;
use vocar_nlu::encoder::{Curve, Head};
use vocar_nlu::random::Random;

use crate::adamw::Moments;
use crate::base::Base;
use crate::corpus::{Corpus, Sentence};
use crate::network::{self, Rows, Weights};
use crate::noise::Noise;
use crate::options::{Options, Progress};
use crate::parameters::{PLACES, Parameters, TABLE, grown_steps, is_head};
use crate::score::Scores;
use crate::targets::{Targets, Teacher};

/// Parts of a batch, each of sentences of like length and worked on by one thread. Their number is the same on every machine,
/// so that the sums are.
const PARTS: usize = 4;
/// Sentences that are measured at once.
const MEASURED: usize = 64;
/// Weight of a word's tag against a sentence's intent, as in the base's own training.
const SLOTS: f64 = 1.5;
/// The longest gradient, over all tensors.
const LONGEST: f32 = 1.0;
/// AdamW's decay of weights.
const DECAY: f32 = 0.01;

/// One training.
pub struct Trainer<'a> {
    base: &'a Base,
    corpus: &'a Corpus,
    noise: &'a Noise,
    options: Options,
    pool: rayon::ThreadPool,
    /// Upper ends of the shares of the sentences that are drawn from.
    shares: Vec<f32>,
    pub(crate) parameters: Parameters,
    pub(crate) moments: Vec<Moments>,
    pub(crate) step: usize,
    pub(crate) spent: Duration,
    teacher: Option<Teacher>,
    /// The steps from tag to tag of the heads it began with; they stay.
    pub(crate) steps: Vec<f32>,
}

/// A part of a batch, ready to be learnt from.
struct Part {
    sentences: Vec<Sentence>,
    parts: Vec<Vec<Vec<(usize, f32)>>>,
    seed: u64,
}

impl<'a> Trainer<'a> {
    /// Begins. With `head`, whose labels are the first of the corpus's, the heads begin with what that knows.
    ///
    /// # Errors
    /// When the arithmetic fails or no thread can be started.
    pub fn new(
        base: &'a Base,
        corpus: &'a Corpus,
        noise: &'a Noise,
        head: Option<&Head>,
        options: Options,
    ) -> Result<Trainer<'a>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.threads.max(1))
            .build()
            .map_err(candle_core::Error::wrap)?;
        let parameters =
            Parameters::new(base, &corpus.labels, head, &options.method, options.seed)?;
        let moments = parameters.vars.values();
        let moments = moments.map(|var| Moments::new(var.elem_count())).collect();
        let shares = corpus.train.iter().scan(0.0, |sum, sentence| {
            *sum += sentence.weight;
            Some(*sum)
        });
        let teacher = head.map(|head| Teacher::new(base, head, &corpus.labels));
        Ok(Trainer {
            base,
            noise,
            pool,
            shares: shares.collect(),
            parameters,
            moments,
            step: 0,
            spent: Duration::ZERO,
            teacher: teacher.transpose()?,
            steps: grown_steps(head, corpus.labels.tags.len()),
            options,
            corpus,
        })
    }

    /// What it began with.
    pub fn base(&self) -> &'a Base {
        self.base
    }

    /// What it learns from.
    pub fn corpus(&self) -> &'a Corpus {
        self.corpus
    }

    /// How it learns.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How many numbers are learnt, those of the heads among them.
    pub fn parameters(&self) -> usize {
        self.parameters.count()
    }

    /// What was learnt so far, tensor by tensor in the order of their names.
    ///
    /// # Errors
    /// When the arithmetic fails.
    pub fn values(&self) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for name in self.parameters.vars.keys() {
            all.extend(self.parameters.values(name)?);
        }
        Ok(all)
    }

    /// Learns to the end, telling how far it is after every step; an error of `tell` ends it.
    ///
    /// # Errors
    /// When the arithmetic fails or `tell` does.
    pub fn run<E: From<candle_core::Error>>(
        &mut self,
        mut tell: impl FnMut(&Self, Progress) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let began = Instant::now();
        let before = self.spent;
        while self.done() < 1.0 && !self.corpus.train.is_empty() {
            let loss = self.learn()?;
            self.spent = before + began.elapsed();
            let progress = Progress {
                done: self.done(),
                step: self.step,
                loss,
                spent: self.spent,
            };
            tell(self, progress)?;
        }
        Ok(())
    }

    fn done(&self) -> f32 {
        let of_steps = self.step as f32 / self.options.steps.max(1) as f32;
        let of_time = self
            .options
            .limit
            .map_or(0.0, |limit| self.spent.as_secs_f32() / limit.as_secs_f32());
        of_steps.max(of_time).min(1.0)
    }

    /// One step; what the batch cost before it.
    fn learn(&mut self) -> Result<f32> {
        let parts = self.draw();
        let sentences: usize = parts.iter().map(|part| part.sentences.len()).sum();
        let words: usize = parts
            .iter()
            .flat_map(|part| &part.sentences)
            .map(|sentence| sentence.words.len())
            .sum();
        let weights = self.parameters.weights(self.base)?;
        let of_part = |part: &Part| -> Result<(f32, Vec<Vec<f32>>)> {
            let loss = self.loss(&weights, part, sentences, words)?;
            let gradients = loss.backward()?;
            let each = self.parameters.vars.values().map(|var| {
                let gradient = gradients.get(var);
                gradient.map_or(Ok(vec![0.0; var.elem_count()]), |gradient| {
                    gradient.flatten_all()?.to_vec1()
                })
            });
            Ok((loss.to_scalar()?, each.collect::<Result<_>>()?))
        };
        let found: Vec<Result<_>> = self
            .pool
            .install(|| parts.par_iter().map(of_part).collect());
        let mut found = found.into_iter();
        let (mut loss, mut gradients) = match found.next() {
            Some(first) => first?,
            None => return Ok(0.0),
        };
        for other in found {
            let (part, others) = other?;
            loss += part;
            for (sum, gradient) in gradients.iter_mut().zip(&others) {
                sum.iter_mut().zip(gradient).for_each(|(sum, x)| *sum += x);
            }
        }
        self.descend(&gradients)?;
        Ok(loss)
    }

    fn descend(&mut self, gradients: &[Vec<f32>]) -> Result<()> {
        let squares: f32 = gradients.iter().flatten().map(|x| x * x).sum();
        let shorter = (LONGEST / (squares.sqrt() + 1e-6)).min(1.0);
        let warm = ((self.step + 1) as f32 / (0.1 * self.options.steps as f32).max(1.0)).min(1.0);
        let rate = warm * 0.5 * (1.0 + (std::f32::consts::PI * self.done()).cos());
        self.step += 1;
        let vars = self.parameters.vars.iter().zip(gradients);
        for (((name, var), gradient), moments) in vars.zip(&mut self.moments) {
            let gradient: Vec<f32> = gradient.iter().map(|x| shorter * x).collect();
            let head = is_head(name);
            let most = if head {
                self.options.head_rate
            } else {
                self.options.rate
            };
            let mut values = var.flatten_all()?.to_vec1::<f32>()?;
            moments.step(&mut values, &gradient, self.step, rate * most, DECAY);
            var.set(&Tensor::from_vec(values, var.dims(), &Device::Cpu)?)?;
        }
        Ok(())
    }

    /// A batch in parts of like length; the step and the seed alone decide which.
    fn draw(&self) -> Vec<Part> {
        let seed = self.options.seed.wrapping_mul(0x9e37_79b9) ^ (self.step as u64) << 32;
        let mut random = Random::new(seed);
        let all = self.shares.last().copied().unwrap_or_default();
        let mut drawn: Vec<Sentence> = (0..self.options.batch)
            .filter_map(|_| {
                let at = all * random.unit();
                let number = self.shares.partition_point(|end| *end <= at);
                let sentence = self.corpus.train.get(number)?;
                Some(self.noise.disturb(sentence, &mut random))
            })
            .collect();
        drawn.sort_by_key(|sentence| sentence.words.len());
        let size = drawn.len().div_ceil(PARTS).max(1);
        let mut parts: Vec<Part> = Vec::new();
        for (number, sentences) in drawn.chunks(size).enumerate() {
            let parts_of = |sentence: &Sentence| self.rows(&sentence.words, &mut random);
            parts.push(Part {
                parts: sentences.iter().map(parts_of).collect(),
                sentences: sentences.to_vec(),
                seed: seed ^ (number as u64 + 1) << 20,
            });
        }
        parts
    }

    /// What the rows of words are the sum of; some known words are read by their letters alone.
    fn rows(&self, words: &[String], random: &mut Random) -> Vec<Vec<(usize, f32)>> {
        let mut rows = self.base.rows.parts(words);
        for parts in rows.iter_mut().skip(1) {
            let by_letters = random.unit() < self.noise.unknown;
            if by_letters && parts.len() > 1 && self.base.rows.is_word(parts[0].0) {
                parts.remove(0);
            }
        }
        rows
    }

    /// The part's share of what a batch of so many sentences and words costs.
    fn loss(
        &self,
        weights: &Weights,
        part: &Part,
        sentences: usize,
        words: usize,
    ) -> Result<Tensor> {
        let mut random = Random::new(part.seed);
        let mut input = self.input(weights, &part.parts)?;
        let teacher = self.teacher.as_ref();
        let labels = &self.corpus.labels;
        let targets = Targets::new(labels, &part.sentences, &input, teacher, self.base)?;
        input.rows = self.dropped(&input.rows, &mut random)?;
        let states = network::states(weights, self.base.sizes, &input)?;
        let states = self.dropped(&states, &mut random)?;
        let (intents, tags) = network::heads(weights, &states)?;
        let intents = (intents * targets.intents)?.sum_all()?;
        let tags = (tags * targets.tags)?.sum_all()?;
        (intents * (-1.0 / sentences.max(1) as f64))? + (tags * (-SLOTS / words.max(1) as f64))?
    }

    /// The input of sentences that are the sums of these rows.
    fn input(&self, weights: &Weights, parts: &[Vec<Vec<(usize, f32)>>]) -> Result<Rows> {
        if let (Some(table), Some(places)) = (weights.get(TABLE), weights.get(PLACES)) {
            return network::looked_up(table, places, parts);
        }
        let rows: Vec<Vec<f32>> = parts
            .iter()
            .map(|parts| self.base.rows.sum(parts))
            .collect();
        Rows::padded(&rows, self.base.sizes.row)
    }

    /// Some numbers nought, the others larger by as much (N. Srivastava et al., 2014).
    fn dropped(&self, x: &Tensor, random: &mut Random) -> Result<Tensor> {
        let chance = self.options.dropout;
        if chance <= 0.0 {
            return Ok(x.clone());
        }
        let kept = 1.0 / (1.0 - chance);
        let mask: Vec<f32> = (0..x.elem_count())
            .map(|_| if random.unit() < chance { 0.0 } else { kept })
            .collect();
        x * Tensor::from_vec(mask, x.dims(), &Device::Cpu)?
    }

    /// The heads as they are, with this curve.
    ///
    /// # Errors
    /// When the arithmetic fails.
    pub fn head(&self, curve: Curve) -> Result<Head> {
        let (labels, steps) = (&self.corpus.labels, self.steps.clone());
        self.parameters
            .head(labels, steps, self.base.sizes.dim, curve)
    }

    /// What it makes of sentences now.
    ///
    /// # Errors
    /// When the arithmetic fails.
    pub fn scores(&self, sentences: &[Sentence]) -> Result<Scores> {
        let mut scores = Scores::default();
        let head = self.head(Curve {
            slope: 1.0,
            offset: 0.0,
            threshold: 0.0,
        })?;
        let states = self.states(sentences)?;
        for (sentence, states) in sentences.iter().zip(states) {
            scores.add(&head, sentence, &states);
        }
        Ok(scores)
    }

    /// States `[1 + words][dim]` of each sentence.
    pub(crate) fn states(&self, sentences: &[Sentence]) -> Result<Vec<Vec<f32>>> {
        let weights = self.parameters.weights(self.base)?.into_iter();
        let detached = weights.map(|(name, tensor)| (name, tensor.detach()));
        self.states_of(&detached.collect(), sentences)
    }

    /// The same by the base as it is.
    pub(crate) fn base_states(&self, sentences: &[Sentence]) -> Result<Vec<Vec<f32>>> {
        self.states_of(&self.base.tensors, sentences)
    }

    fn states_of(&self, weights: &Weights, sentences: &[Sentence]) -> Result<Vec<Vec<f32>>> {
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|at| sentences[*at].words.len());
        let of_some = |some: &[usize]| -> Result<Vec<(usize, Vec<f32>)>> {
            let parts: Vec<_> = some
                .iter()
                .map(|at| self.base.rows.parts(&sentences[*at].words))
                .collect();
            let input = self.input(weights, &parts)?;
            let states = network::states(weights, self.base.sizes, &input)?;
            let each = some
                .iter()
                .zip(&parts)
                .enumerate()
                .map(|(row, (at, parts))| {
                    let states = states.get(row)?.narrow(0, 0, parts.len())?;
                    Ok((*at, states.flatten_all()?.to_vec1::<f32>()?))
                });
            each.collect()
        };
        let some: Vec<&[usize]> = order.chunks(MEASURED).collect();
        let found: Vec<Result<_>> = self
            .pool
            .install(|| some.par_iter().map(|some| of_some(some)).collect());
        let mut states = vec![Vec::new(); sentences.len()];
        for found in found {
            for (at, state) in found? {
                states[at] = state;
            }
        }
        Ok(states)
    }
}
