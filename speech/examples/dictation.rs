//! Open-vocabulary word error with a word n-gram.
//!
//! `cargo run --release -p vocar-speech --example dictation -- BUNDLE NGRAM [--tune MANIFEST] [--set KEY=VALUE]… MANIFEST…`
//!
//! NGRAM: a file of `training.ngram`. MANIFEST: a table with the columns `path` and `text`. With `--tune`, the n-gram's
//! scale and the word bonus are chosen on that manifest first, never on the reported ones. KEY: beam, word_beam,
//! max_active, lm_scale, word_bonus or silence_bonus. `--each` prints every sentence, too.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vocar_inference::{AcousticModel, Bundle};
use vocar_speech::dictation::{Dictation, DictationConfig, LexiconTree, NGram, acoustic_scores};
use vocar_speech::lexicon::Lexicon;
use vocar_speech::source::AudioSource;

/// Recordings that a setting is tried on.
const TUNED_ON: usize = 100;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A recording with its acoustic scores.
struct Heard {
    path: String,
    said: Vec<String>,
    rows: Vec<f32>,
    seconds: f64,
}

/// Edits that turn what was heard into what was said.
#[derive(Default, Clone, Copy)]
struct Errors {
    substituted: usize,
    deleted: usize,
    inserted: usize,
    words: usize,
}

impl Errors {
    fn rate(&self) -> f64 {
        let errors = self.substituted + self.deleted + self.inserted;
        100.0 * errors as f64 / self.words.max(1) as f64
    }

    fn add(&mut self, other: Errors) {
        self.substituted += other.substituted;
        self.deleted += other.deleted;
        self.inserted += other.inserted;
        self.words += other.words;
    }
}

struct Arguments {
    bundle: String,
    ngram: String,
    tune: Option<String>,
    each: bool,
    config: DictationConfig,
    manifests: Vec<String>,
}

fn main() -> Outcome<()> {
    let mut arguments = arguments()?;
    let bundle = Bundle::open(Path::new(&arguments.bundle))?;
    let model = AcousticModel::load(&bundle, bundle.lightest())?;
    let ngram = Arc::new(NGram::load(Path::new(&arguments.ngram))?);
    let started = Instant::now();
    let tree = Arc::new(LexiconTree::new(&ngram, &Lexicon::load(&bundle)?));
    eprintln!(
        "{} words ({} cannot be said), {} phones in the tree, made in {:.1} s",
        ngram.words().len() - 2,
        tree.unsayable(),
        tree.nodes(),
        started.elapsed().as_secs_f64()
    );
    let columns = 2 * model.units();
    let mut search = Dictation::new(ngram, tree, columns, arguments.config.clone());
    if let Some(manifest) = &arguments.tune {
        let (heard, _) = listen(&bundle, &model, manifest)?;
        arguments.config = tune(&mut search, &heard, &arguments.config);
        println!("tuned on {manifest}");
    }
    let config = &arguments.config;
    println!("n-gram {}, {config:?}", arguments.ngram);
    println!(
        "| recordings | utterances | words | word error | substituted | deleted | inserted | real-time factor (acoustic + search) |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for manifest in &arguments.manifests {
        let (heard, acoustic) = listen(&bundle, &model, manifest)?;
        search.set_config(config.clone());
        let started = Instant::now();
        let errors = decode(&mut search, &heard, arguments.each);
        let searching = started.elapsed();
        let seconds: f64 = heard.iter().map(|one| one.seconds).sum();
        let percent = |count: usize| 100.0 * count as f64 / errors.words as f64;
        println!(
            "| {} | {} | {} | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.3} + {:.3} |",
            Path::new(manifest)
                .file_stem()
                .unwrap_or_default()
                .display(),
            heard.len(),
            errors.words,
            errors.rate(),
            percent(errors.substituted),
            percent(errors.deleted),
            percent(errors.inserted),
            acoustic.as_secs_f64() / seconds,
            searching.as_secs_f64() / seconds,
        );
    }
    Ok(())
}

fn arguments() -> Outcome<Arguments> {
    const USAGE: &str =
        "usage: dictation BUNDLE NGRAM [--tune MANIFEST] [--set KEY=VALUE]… [--each] MANIFEST…";
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments {
        bundle: given.next().ok_or(USAGE)?,
        ngram: given.next().ok_or(USAGE)?,
        tune: None,
        each: false,
        config: DictationConfig::default(),
        manifests: Vec::new(),
    };
    while let Some(word) = given.next() {
        match word.as_str() {
            "--tune" => arguments.tune = Some(given.next().ok_or(USAGE)?),
            "--each" => arguments.each = true,
            "--set" => set(&mut arguments.config, &given.next().ok_or(USAGE)?)?,
            _ => arguments.manifests.push(word),
        }
    }
    Ok(arguments)
}

fn set(config: &mut DictationConfig, pair: &str) -> Outcome<()> {
    let (key, value) = pair.split_once('=').ok_or("--set takes KEY=VALUE")?;
    match key {
        "beam" => config.beam = value.parse()?,
        "word_beam" => config.word_beam = value.parse()?,
        "max_active" => config.max_active = value.parse()?,
        "lm_scale" => config.lm_scale = value.parse()?,
        "word_bonus" => config.word_bonus = value.parse()?,
        "silence_bonus" => config.silence_bonus = value.parse()?,
        _ => return Err(format!("--set {key}: no such setting").into()),
    }
    Ok(())
}

/// Reads every recording of a manifest and runs the network over it; also how long that took.
fn listen(
    bundle: &Bundle,
    model: &Arc<AcousticModel>,
    manifest: &str,
) -> Outcome<(Vec<Heard>, Duration)> {
    let text = std::fs::read_to_string(manifest).map_err(|error| format!("{manifest}: {error}"))?;
    let folder = Path::new(manifest).parent().unwrap_or(Path::new("."));
    let (mut heard, mut acoustic) = (Vec::new(), Duration::ZERO);
    for line in text.lines().skip(1) {
        let mut columns = line.split('\t');
        let (path, said) = (columns.next().unwrap_or(""), columns.next().unwrap_or(""));
        let samples = AudioSource::open(&folder.join(path))?.whole()?;
        let started = Instant::now();
        let rows = acoustic_scores(bundle, model, &samples)?;
        acoustic += started.elapsed();
        heard.push(Heard {
            path: path.to_owned(),
            said: said.split_whitespace().map(str::to_owned).collect(),
            rows,
            seconds: samples.len() as f64 / 16e3,
        });
    }
    Ok((heard, acoustic))
}

fn decode(search: &mut Dictation, heard: &[Heard], each: bool) -> Errors {
    let mut sum = Errors::default();
    for one in heard {
        search.reset();
        search.push(&one.rows);
        let words: Vec<String> = search.finish().into_iter().map(|word| word.word).collect();
        let errors = errors(&one.said, &words);
        if each {
            println!(
                "{}\n  said  {}\n  heard {}",
                one.path,
                one.said.join(" "),
                words.join(" ")
            );
        }
        sum.add(errors);
    }
    sum
}

/// Tries other scales, then other bonuses with the best scale, on at most [`TUNED_ON`] recordings spread over all.
fn tune(search: &mut Dictation, heard: &[Heard], from: &DictationConfig) -> DictationConfig {
    let every = heard.len().div_ceil(TUNED_ON).max(1);
    let mut rate = |config: &DictationConfig| {
        search.set_config(config.clone());
        let mut errors = Errors::default();
        for one in heard.iter().step_by(every) {
            errors.add(decode(search, std::slice::from_ref(one), false));
        }
        eprintln!(
            "lm_scale {:.2} word_bonus {:.1}: {:.2} % ({} deleted, {} inserted)",
            config.lm_scale,
            config.word_bonus,
            errors.rate(),
            errors.deleted,
            errors.inserted
        );
        errors.rate()
    };
    let mut best = (rate(from), from.clone());
    for factor in [0.8, 1.25] {
        let mut config = from.clone();
        config.lm_scale *= factor;
        let rate = rate(&config);
        if rate < best.0 {
            best = (rate, config);
        }
    }
    for change in [-1.0, 1.0] {
        let mut config = best.1.clone();
        config.word_bonus = from.word_bonus + change;
        let rate = rate(&config);
        if rate < best.0 {
            best = (rate, config);
        }
    }
    best.1
}

/// Fewest edits, by kind.
fn errors(said: &[String], heard: &[String]) -> Errors {
    let mut row: Vec<Errors> = (0..=said.len())
        .map(|deleted| Errors {
            deleted,
            words: said.len(),
            ..Errors::default()
        })
        .collect();
    let cost = |errors: &Errors| errors.substituted + errors.deleted + errors.inserted;
    for word in heard {
        let mut diagonal = row[0];
        row[0].inserted += 1;
        for (at, wanted) in said.iter().enumerate() {
            let mut ways = [diagonal, row[at], row[at + 1]];
            ways[0].substituted += usize::from(wanted != word);
            ways[1].deleted += 1;
            ways[2].inserted += 1;
            diagonal = row[at + 1];
            row[at + 1] = ways.into_iter().min_by_key(cost).unwrap_or_default();
        }
    }
    row[said.len()]
}
