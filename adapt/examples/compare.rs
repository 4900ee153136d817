//! A new domain from a few sentences for each intent: an adapter against full fine-tuning and against heads alone.
//!
//! ```text
//! cargo run --release --example compare -- --base models/nlu-en --pack train.jsonl --test test.jsonl --intents names.txt
//! ```
//!
//! Packs are JSON lines with `text`, `intent` and `slots` (`name`, `start` and `end` in characters). Without `--test` all that is
//! not learnt is measured; without `--intents` those with most sentences are taken. Rank, rates and steps were chosen with the
//! seeds 11 and 12; report others.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use serde::Deserialize;
use serde_json::{Value, json};
use vocar_adapt::{Base, Corpus, Labels, Method, NONE, Noise, Options, Sentence, Trainer};
use vocar_nlu::encoder::Encoder;
use vocar_nlu::random::Random;

#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the bundle that is the base.
    #[arg(long, default_value = "models/nlu-en")]
    base: PathBuf,
    /// Sentences to learn from.
    #[arg(long)]
    pack: PathBuf,
    /// Sentences to measure on.
    #[arg(long)]
    test: Option<PathBuf>,
    /// File with the names of the intents, one a line.
    #[arg(long)]
    intents: Option<PathBuf>,
    /// How many intents, without such a file.
    #[arg(long, default_value_t = 20)]
    most: usize,
    /// Sentences of each intent that are learnt.
    #[arg(long, default_value_t = 10)]
    each: usize,
    /// Seeds, each with sentences of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// What is compared: `adapter`, `everything`, `heads`.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "adapter,everything,heads"
    )]
    methods: Vec<String>,
    #[arg(long)]
    rank: Option<usize>,
    #[arg(long)]
    alpha: Option<f32>,
    /// Layers of each block that are adapted.
    #[arg(long, value_delimiter = ',')]
    layers: Option<Vec<String>>,
    /// Blocks that are adapted, counted from the last.
    #[arg(long)]
    blocks: Option<usize>,
    #[arg(long)]
    steps: Option<usize>,
    #[arg(long)]
    batch: Option<usize>,
    #[arg(long)]
    rate: Option<f32>,
    #[arg(long)]
    head_rate: Option<f32>,
    #[arg(long)]
    dropout: Option<f32>,
    /// Learn from sentences as they are.
    #[arg(long)]
    no_noise: bool,
    /// Sound-alikes for the noise.
    #[arg(long)]
    lexicon: Option<PathBuf>,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Debug, Deserialize)]
struct Row {
    text: String,
    intent: String,
    #[serde(default)]
    slots: Vec<Slot>,
}

#[derive(Debug, Deserialize)]
struct Slot {
    name: String,
    start: usize,
    end: usize,
}

/// A row as the encoder reads it. A word belongs to a slot when it begins in it.
fn sentence(row: &Row) -> Sentence {
    let chars: Vec<char> = row.text.chars().collect();
    let before = |at: usize| Encoder::words(&chars[..at].iter().collect::<String>()).len();
    let words = Encoder::words(&row.text);
    let spans = row.slots.iter().filter_map(|slot| {
        let (from, to) = (before(slot.start), before(slot.end).min(words.len()));
        (from < to).then(|| (slot.name.clone(), from, to))
    });
    Sentence {
        spans: spans.collect(),
        intent: if row.intent == "oos" {
            NONE.into()
        } else {
            row.intent.clone()
        },
        words,
        weight: 1.0,
        rehearsed: false,
    }
}

fn read(path: &PathBuf) -> Result<Vec<Sentence>, Box<dyn Error>> {
    let mut found = Vec::new();
    for (number, line) in fs::read_to_string(path)?.lines().enumerate() {
        let row: Row = serde_json::from_str(line)
            .map_err(|e| format!("{}:{}: {e}", path.display(), number + 1))?;
        let sentence = sentence(&row);
        if !sentence.words.is_empty() && sentence.words.len() <= 32 {
            found.push(sentence);
        }
    }
    Ok(found)
}

fn intents(arguments: &Arguments, all: &[Sentence]) -> Result<Vec<String>, Box<dyn Error>> {
    if let Some(path) = &arguments.intents {
        let text = fs::read_to_string(path)?;
        return Ok(text.split_whitespace().map(String::from).collect());
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for sentence in all {
        *counts.entry(&sentence.intent).or_default() += 1;
    }
    counts.remove(NONE);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let most = counts.into_iter().take(arguments.most);
    Ok(most.map(|(name, _)| name.to_owned()).collect())
}

/// So many sentences of each intent to learn, the others of these intents to measure.
fn corpus(
    all: &[Sentence],
    test: Option<&[Sentence]>,
    names: &[String],
    each: usize,
    seed: u64,
) -> Corpus {
    let mut random = Random::new(seed);
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    for name in names {
        let mut of_intent: Vec<&Sentence> = all.iter().filter(|s| s.intent == *name).collect();
        for at in (1..of_intent.len()).rev() {
            of_intent.swap(at, random.below(at + 1));
        }
        train.extend(of_intent.iter().take(each).map(|s| (*s).clone()));
        held_out.extend(of_intent.iter().skip(each).map(|s| (*s).clone()));
    }
    if let Some(test) = test {
        held_out = test
            .iter()
            .filter(|s| names.contains(&s.intent))
            .cloned()
            .collect();
    }
    held_out.retain(|sentence| train.iter().all(|learnt| learnt.words != sentence.words));
    Corpus {
        labels: Labels::of(train.iter().chain(&held_out)),
        train,
        held_out,
    }
}

fn options(
    arguments: &Arguments,
    base: &Base,
    labels: &Labels,
    method: &str,
    seed: u64,
) -> Options {
    let rank = arguments.rank.unwrap_or_else(|| Method::rank(base, labels));
    let usual = Method::usual(base, rank);
    let method = match (method, usual) {
        ("heads", _) => Method::HeadOnly,
        ("everything", _) => Method::Everything,
        (
            _,
            Method::LowRank {
                rank,
                alpha,
                layers,
            },
        ) => {
            let all = base.sizes().layers;
            let names = arguments.layers.as_ref();
            Method::LowRank {
                rank,
                alpha: arguments.alpha.unwrap_or(alpha),
                layers: names.map_or(layers, |names| {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    let of_blocks: Vec<&str> =
                        names.iter().copied().filter(|n| *n != "project").collect();
                    let mut layers =
                        Method::layers(all, arguments.blocks.unwrap_or(all), &of_blocks);
                    if of_blocks.len() < names.len() {
                        layers.push("project".into());
                    }
                    layers
                }),
            }
        }
        (_, other) => other,
    };
    let mut options = Options::usual(method);
    if options.method == Method::Everything {
        options.rate = 1.5e-3;
    }
    options.seed = seed;
    options.threads = arguments.threads;
    options.steps = arguments.steps.unwrap_or(options.steps);
    options.batch = arguments.batch.unwrap_or(options.batch);
    options.rate = arguments.rate.unwrap_or(options.rate);
    options.head_rate = arguments.head_rate.unwrap_or(options.head_rate);
    options.dropout = arguments.dropout.unwrap_or(options.dropout);
    options
}

/// Seconds of computing of this process, all threads.
fn computing() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let base = Base::load(&arguments.base)?;
    let all = read(&arguments.pack)?;
    let test = arguments.test.as_ref().map(read).transpose()?;
    let names = intents(&arguments, &all)?;
    let mut means: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for seed in &arguments.seeds {
        let corpus = corpus(&all, test.as_deref(), &names, arguments.each, *seed);
        let words = corpus.train.iter().flat_map(|sentence| &sentence.words);
        let mut noise = Noise::usual();
        if let Some(lexicon) = &arguments.lexicon {
            noise = noise.with_lexicon(lexicon, words)?;
        }
        if arguments.no_noise {
            noise = Noise::default();
            noise.untouched = 1.0;
        }
        for method in &arguments.methods {
            let options = options(&arguments, &base, &corpus.labels, method, *seed);
            let (began, computed) = (Instant::now(), computing());
            let mut trainer = Trainer::new(&base, &corpus, &noise, None, options)?;
            let mut loss = 0.0;
            trainer.run(|_, progress| {
                loss = progress.loss;
                Ok::<(), candle_core::Error>(())
            })?;
            let (seconds, cpu): (Duration, f64) = (began.elapsed(), computing() - computed);
            let scores = trainer.scores(&corpus.held_out)?;
            let figures = scores.figures(scores.curve());
            let parameters = trainer.parameters();
            let line = json!({
                "method": method, "seed": seed, "learnt": corpus.train.len(), "intents": names.len(),
                "parameters": parameters, "of_base": parameters as f64 / base.parameters() as f64,
                "seconds": seconds.as_secs_f64(), "cpu_seconds": cpu, "loss": loss,
                "intent": figures.intent, "slot_f1": figures.slot_f1, "whole": figures.whole,
                "measured": figures.commands,
            });
            println!("{}", rounded(line));
            means.entry(method).or_default().push((
                figures.intent.unwrap_or(0.0),
                figures.slot_f1.unwrap_or(0.0),
            ));
        }
    }
    for (method, figures) in means {
        let count = figures.len() as f64;
        let intent = figures.iter().map(|f| f.0).sum::<f64>() / count;
        let slots = figures.iter().map(|f| f.1).sum::<f64>() / count;
        println!(
            "{}",
            rounded(json!({"method": method, "mean_intent": intent, "mean_slot_f1": slots}))
        );
    }
    Ok(())
}

/// Four places behind the point are enough.
fn rounded(mut value: Value) -> Value {
    if let Value::Object(object) = &mut value {
        for number in object.values_mut() {
            if let Some(float) = number.as_f64().filter(|_| number.is_f64()) {
                *number = json!((float * 1e4).round() / 1e4);
            }
        }
    }
    value
}
