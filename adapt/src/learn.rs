//! Learning: batches of disturbed sentences, gradients, steps.

use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;
use vocar_nlu::encoder::{Curve, Head};
use vocar_nlu::random::Random;

use crate::adamw::Moments;
use crate::base::Base;
use crate::corpus::{Corpus, Sentence};
use crate::network::{self, Rows, Weights, longest};
use crate::noise::Noise;
use crate::parameters::{Method, PLACES, Parameters, TABLE, is_head};
use crate::score::Scores;

/// Parts of a batch, each of sentences of like length and worked on by one thread. Their number is the same on every machine,
/// so that the sums are.
const PARTS: usize = 4;
/// Sentences that are measured at once.
const MEASURED: usize = 64;
/// Share of the target that goes to all intents alike (C. Szegedy et al., 2016).
const SMOOTHING: f32 = 0.05;
/// Weight of a word's tag against a sentence's intent, as in the base's own training.
const SLOTS: f64 = 1.5;
/// The longest gradient, over all tensors.
const LONGEST: f32 = 1.0;
/// AdamW's decay of weights.
const DECAY: f32 = 0.01;

/// How to learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What is learnt besides the heads.
    pub method: Method,
    /// Steps.
    pub steps: usize,
    /// Sentences a step.
    pub batch: usize,
    /// Largest step size of the heads.
    pub head_rate: f32,
    /// Largest step size of everything else.
    pub rate: f32,
    /// Chance that a number of an input row, or of a state that a head reads, is nought in training.
    pub dropout: f32,
    /// The same number gives the same adapter, unless time runs out.
    pub seed: u64,
    /// Ends after so much time, if that is sooner than the steps.
    pub limit: Option<Duration>,
    /// Threads to use.
    pub threads: usize,
}

impl Options {
    /// What was chosen for adapters; see `adapt/examples/compare.rs`.
    pub fn usual(method: Method) -> Options {
        Options {
            method,
            steps: 300,
            batch: 64,
            head_rate: 1e-2,
            rate: 3e-3,
            dropout: 0.1,
            seed: 1,
            limit: None,
            threads: 2,
        }
    }

    /// A small domain is learnt in fewer steps, a large one in more.
    pub fn for_intents(self, intents: usize) -> Options {
        Options {
            steps: (100 + 10 * intents).min(600),
            ..self
        }
    }

    /// For heads of the base that learn a few corrections and are to forget nothing.
    pub fn correcting(method: Method) -> Options {
        Options {
            steps: 120,
            head_rate: 1e-3,
            rate: 1e-3,
            dropout: 0.0,
            ..Options::usual(method)
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Share of the work that is done, 0 to 1.
    pub done: f32,
    /// Steps that were made.
    pub step: usize,
    /// What was last measured on a batch of what is learnt; falls.
    pub loss: f32,
    /// How long it took so far, earlier runs included.
    pub spent: Duration,
}

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
    /// The base with heads of its own: what it makes of sentences is rehearsed.
    teacher: Option<Weights>,
}

/// What a part of a batch should come to, as shares.
struct Targets {
    /// `[sentences, intents]`.
    intents: Vec<f32>,
    /// `[sentences, length, tags]`, nought where there is no word.
    tags: Vec<f32>,
}

/// A part of a batch, ready to be learnt from.
struct Part {
    sentences: Vec<Sentence>,
    parts: Vec<Vec<Vec<(usize, f32)>>>,
    seed: u64,
}

impl<'a> Trainer<'a> {
    /// Begins. With `head`, whose labels are the corpus's, the heads begin with what that knows.
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
        Ok(Trainer {
            base,
            noise,
            pool,
            shares: shares.collect(),
            parameters,
            moments,
            step: 0,
            spent: Duration::ZERO,
            teacher: head.map(|head| teacher(base, head)).transpose()?,
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
        let targets = self.targets(part, &input)?;
        input.rows = self.dropped(&input.rows, &mut random)?;
        let states = network::states(weights, self.base.sizes, &input)?;
        let states = self.dropped(&states, &mut random)?;
        let (intents, tags) = heads(weights, &states)?;
        let intents = (intents * targeted(targets.intents, &self.corpus.labels.intents)?)?;
        let cost = (intents.sum_all()? * (-1.0 / sentences.max(1) as f64))?;
        let tags = (tags * targeted(targets.tags, &self.corpus.labels.tags)?)?;
        cost + (tags.sum_all()? * (-SLOTS / words.max(1) as f64))?
    }

    /// The input of sentences that are the sums of these rows.
    fn input(&self, weights: &Weights, parts: &[Vec<Vec<(usize, f32)>>]) -> Result<Rows> {
        if let (Some(table), Some(places)) = (weights.get(TABLE), weights.get(PLACES)) {
            return looked_up(table, places, parts);
        }
        let rows: Vec<Vec<f32>> = parts
            .iter()
            .map(|parts| self.base.rows.sum(parts))
            .collect();
        Rows::padded(&rows, self.base.sizes.row)
    }

    fn targets(&self, part: &Part, input: &Rows) -> Result<Targets> {
        let labels = &self.corpus.labels;
        let length = input.rows.dim(1)? - 1;
        let (intents, tags) = (labels.intents.len(), labels.tags.len());
        let rehearsed = part.sentences.iter().any(|sentence| sentence.rehearsed);
        let mut targets = match self.teacher.as_ref().filter(|_| rehearsed) {
            None => Targets {
                intents: vec![0.0; part.sentences.len() * intents],
                tags: vec![0.0; part.sentences.len() * length * tags],
            },
            Some(teacher) => {
                let states = network::states(teacher, self.base.sizes, input)?;
                let (intents, tags) = heads(teacher, &states)?;
                Targets {
                    intents: intents.exp()?.flatten_all()?.to_vec1()?,
                    tags: tags.exp()?.flatten_all()?.to_vec1()?,
                }
            }
        };
        let of_intents = targets.intents.chunks_exact_mut(intents);
        let of_words = targets.tags.chunks_exact_mut((length * tags).max(1));
        for ((sentence, shares), words) in part.sentences.iter().zip(of_intents).zip(of_words) {
            let beyond = sentence.words.len() * tags;
            words[beyond.min(length * tags)..].fill(0.0);
            if sentence.rehearsed && self.teacher.is_some() {
                continue;
            }
            shares.fill(SMOOTHING / intents as f32);
            if let Some(number) = labels.intent(&sentence.intent) {
                shares[number] += 1.0 - SMOOTHING;
            }
            words.fill(0.0);
            for (tag, shares) in sentence.tags().iter().zip(words.chunks_exact_mut(tags)) {
                shares[labels.tag(tag)] = 1.0;
            }
        }
        Ok(targets)
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
        self.parameters
            .head(&self.corpus.labels, self.base.sizes.dim, curve)
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
            let each = some.iter().zip(&parts).enumerate().map(|(row, (at, parts))| {
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

/// The base with the heads of a domain.
fn teacher(base: &Base, head: &Head) -> Result<Weights> {
    let mut weights = base.tensors.clone();
    for (name, layer) in ["intents", "tags"].into_iter().zip(head.layers()) {
        let shape = (layer.bias.len(), layer.dim);
        let weight = Tensor::from_slice(&layer.weight, shape, &Device::Cpu)?;
        weights.insert(format!("{name}.weight"), weight.t()?);
        let bias = Tensor::from_slice(&layer.bias, layer.bias.len(), &Device::Cpu)?;
        weights.insert(format!("{name}.bias"), bias);
    }
    Ok(weights)
}

/// Logarithms of the shares of intents `[sentences, intents]` and of tags `[sentences * words, tags]`.
fn heads(weights: &Weights, states: &Tensor) -> Result<(Tensor, Tensor)> {
    let (count, length, dim) = states.dims3()?;
    let whole = states.narrow(1, 0, 1)?.reshape((count, dim))?;
    let intents = network::log_softmax(&network::linear(weights, "intents", &whole)?)?;
    let words = (count * (length - 1), dim);
    let each = states.narrow(1, 1, length - 1)?.reshape(words)?;
    let tags = network::log_softmax(&network::linear(weights, "tags", &each)?)?;
    Ok((intents, tags))
}

/// Targets `[n, labels]`.
fn targeted(shares: Vec<f32>, labels: &[String]) -> Result<Tensor> {
    let shape = (shares.len() / labels.len(), labels.len());
    Tensor::from_vec(shares, shape, &Device::Cpu)
}

/// Rows of sentences out of tables that are learnt.
fn looked_up(table: &Tensor, places: &Tensor, sentences: &[Vec<Vec<(usize, f32)>>]) -> Result<Rows> {
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
    let empty = Tensor::zeros(
        (sentences.len() * length, row),
        candle_core::DType::F32,
        &Device::Cpu,
    )?;
    let rows = empty
        .index_add(&places_of, &parts, 0)?
        .reshape((sentences.len(), length, row))?
        .broadcast_add(&places.narrow(0, 0, length)?)?;
    Ok(Rows {
        rows,
        mask: network::mask(&lengths, length)?,
    })
}
