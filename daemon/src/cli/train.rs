//! `vocar domain build`, `vocar adapter train` and `vocar adapter correct`: adapters made on the device.

use super::{Code, Common, Failure, priority};
use crate::assembly;
use crate::config::Settings;
use clap::Args;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vocar_adapt::{Base, Correction, Figures, Job, Outcome, Progress, TrainError};
use vocar_nlu::domain::{car_demo_entities, read_entities};
use vocar_nlu::{Domain, Entities};

/// Cells of the bar.
const CELLS: usize = 30;

/// How a training is done.
#[derive(Debug, Args)]
pub struct Training {
    /// Inner size of what is added to a layer: higher learns more and weighs more. Without it so high that the adapter has at
    /// most 2 % as many numbers as the base, but from 4 to 8.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    rank: Option<u8>,
    /// Ends after so many seconds; without it when it has learnt enough.
    #[arg(long)]
    seconds: Option<u32>,
    /// The same number gives the same adapter, unless time runs out.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of all adapters, in place of the configured one.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// TOML file with values for lists that the host fills; the made-up ones of the car domain stand in for those it has not.
    #[arg(long, value_name = "FILE")]
    entities: Option<PathBuf>,
    /// Threads to use.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
}

/// Options of `domain build` and `adapter train`.
#[derive(Debug, Args)]
pub struct TrainArguments {
    /// Folder of the domain, or `car` for the built-in one.
    dir: PathBuf,
    #[command(flatten)]
    training: Training,
}

/// Options of `adapter correct`.
#[derive(Debug, Args)]
pub struct CorrectArguments {
    /// The sentence as it was heard.
    text: String,
    /// What it means: an intent of the domain, or `none`.
    #[arg(long)]
    intent: String,
    /// Words of the sentence that are a slot; may be repeated.
    #[arg(long = "slot", value_name = "NAME=WORDS", value_parser = slot)]
    slots: Vec<(String, String)>,
    /// Folder of the domain, or the name of a configured one.
    #[arg(long, default_value = "car")]
    domain: PathBuf,
    /// Only add it; the next training learns it.
    #[arg(long)]
    later: bool,
    #[command(flatten)]
    training: Training,
}

fn slot(text: &str) -> Result<(String, String), String> {
    let (name, words) = text
        .split_once('=')
        .ok_or("write NAME=WORDS, such as zone=driver")?;
    Ok((name.to_owned(), words.to_owned()))
}

/// Trains the adapter of a domain.
///
/// # Errors
/// [`Code::Input`] for a domain that is malformed or contradicts itself, [`Code::Bundle`] without a usable bundle.
pub fn train(common: &Common, arguments: &TrainArguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    let domain = domain(&settings, &arguments.dir)?;
    let place = Place::new(&settings, &domain, &arguments.training);
    let corrections = vocar_adapt::corrections(&place.corrections).map_err(failure)?;
    let outcome = place.run(&settings, &domain, &arguments.training, &corrections)?;
    tell_outcome(common, &domain, &outcome);
    Ok(())
}

/// Adds a correction and trains the adapter of its domain anew.
///
/// # Errors
/// As [`train`]; also for a correction that does not fit the domain.
pub fn correct(common: &Common, arguments: &CorrectArguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    let domain = domain(&settings, &arguments.domain)?;
    let correction = Correction {
        text: arguments.text.clone(),
        intent: arguments.intent.clone(),
        slots: arguments.slots.iter().cloned().collect(),
    };
    correction.sentence(&domain).map_err(failure)?;
    let place = Place::new(&settings, &domain, &arguments.training);
    vocar_adapt::add(&place.corrections, &correction).map_err(failure)?;
    if arguments.later {
        return Ok(());
    }
    let corrections = vocar_adapt::corrections(&place.corrections).map_err(failure)?;
    let outcome = place.run(&settings, &domain, &arguments.training, &corrections)?;
    tell_outcome(common, &domain, &outcome);
    Ok(())
}

/// Where the adapter of a domain and its corrections lie.
struct Place {
    folder: PathBuf,
    corrections: PathBuf,
}

impl Place {
    fn new(settings: &Settings, domain: &Domain, training: &Training) -> Place {
        let configured = || settings.adapters.folder.clone();
        let folder = training.out.clone().unwrap_or_else(configured);
        Place {
            corrections: folder.join(format!("{}.corrections.jsonl", domain.name())),
            folder,
        }
    }

    fn run(
        &self,
        settings: &Settings,
        domain: &Domain,
        training: &Training,
        corrections: &[Correction],
    ) -> Result<Outcome, Failure> {
        priority::lowest();
        let dir = assembly::understanding(settings).ok_or_else(|| {
            Failure::new(
                Code::Bundle,
                "no bundle nlu-en to begin with: install it beside the speech bundle, or name it in model.understanding",
            )
        })?;
        let base =
            Base::load(&dir).map_err(|error| Failure::new(Code::Bundle, error.to_string()))?;
        let others = assembly::domains(settings)
            .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
        let lexicon = assembly::lexicon(settings);
        let bar = Bar::new();
        let outcome = Job {
            base: &base,
            domain,
            entities: &entities(training.entities.as_deref())?,
            others: &others,
            corrections,
            lexicon: lexicon.as_deref(),
            folder: &self.folder,
            rank: training.rank.map(usize::from),
            seed: training.seed,
            limit: training
                .seconds
                .map(|seconds| Duration::from_secs(seconds.max(1).into())),
            threads: usize::from(training.threads),
        }
        .run(|progress| bar.show(progress));
        bar.end();
        outcome.map_err(failure)
    }
}

/// Values of lists: the given ones, and the made-up ones of the car for lists that are not given.
fn entities(file: Option<&Path>) -> Result<Entities, Failure> {
    let mut all = car_demo_entities();
    if let Some(file) = file {
        let given =
            read_entities(file).map_err(|error| Failure::new(Code::Input, error.to_string()))?;
        all.extend(given);
    }
    Ok(all)
}

fn domain(settings: &Settings, dir: &Path) -> Result<Arc<Domain>, Failure> {
    let malformed = |error: vocar_nlu::DomainError| Failure::new(Code::Input, error.to_string());
    if dir.as_os_str() == "car" {
        return Domain::car().map_err(malformed);
    }
    if dir.is_dir() {
        return Domain::load(dir).map(Arc::new).map_err(malformed);
    }
    let configured = assembly::domains(settings).map_err(malformed)?;
    let known: Vec<&str> = configured.iter().map(|domain| domain.name()).collect();
    let known = known.join(", ");
    let named = configured
        .iter()
        .find(|domain| dir.as_os_str() == domain.name());
    named.cloned().ok_or_else(|| {
        let dir = dir.display();
        Failure::new(
            Code::Input,
            format!(
                "{dir}: no such folder and no configured domain of this name; there are: {known}"
            ),
        )
    })
}

fn failure(error: TrainError) -> Failure {
    let code = match &error {
        TrainError::Bundle(_)
        | TrainError::Encoder(_)
        | TrainError::Network(_)
        | TrainError::Base { .. } => Code::Bundle,
        TrainError::Domain(_)
        | TrainError::Name { .. }
        | TrainError::Correction { .. }
        | TrainError::BadLine { .. }
        | TrainError::File { .. } => Code::Input,
        TrainError::Busy { .. } | TrainError::Worse { .. } | TrainError::Arithmetic(_) => Code::No,
    };
    Failure::new(code, error.to_string())
}

fn tell_outcome(common: &Common, domain: &Domain, outcome: &Outcome) {
    let name = domain.name();
    let (understood, corrections) = outcome.corrected;
    let (parameters, of) = outcome.parameters;
    if common.json {
        tell!(
            "{}",
            json!({
                "adapter": name, "dir": outcome.dir, "sentences": outcome.sentences,
                "held_out": outcome.held_out, "before": outcome.before,
                "corrections": corrections, "corrections_understood": understood,
                "parameters": parameters, "share_of_base": parameters as f64 / of as f64,
                "seconds": outcome.spent.as_secs_f64(), "resumed": outcome.resumed,
            })
        );
        return;
    }
    tell!(
        "{name}: learnt {} sentences in {:.0} s, {parameters} numbers ({:.1} % of the base)",
        outcome.sentences,
        outcome.spent.as_secs_f64(),
        100.0 * parameters as f64 / of as f64
    );
    tell!("held out: {}", said(&outcome.held_out));
    if let Some(before) = &outcome.before {
        tell!("before:   {}", said(before));
    }
    if corrections > 0 {
        tell!("corrections understood: {understood} of {corrections}");
    }
    tell!("written to {}", outcome.dir.display());
    tell!("load it: vocar adapter load {name}");
}

/// Figures for people.
fn said(figures: &Figures) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let parts = [
        ("intent", figures.intent),
        ("sure enough", figures.accepted),
        ("slot F1", figures.slot_f1),
        ("strange sentences refused", figures.refused),
    ];
    let told = parts
        .into_iter()
        .filter_map(|(name, share)| Some(format!("{name} {}", percent(share?))));
    told.collect::<Vec<_>>().join(", ")
}

/// A bar on a terminal; nothing elsewhere.
struct Bar {
    shown: bool,
}

impl Bar {
    fn new() -> Bar {
        Bar {
            shown: std::io::stderr().is_terminal(),
        }
    }

    fn show(&self, progress: Progress) {
        if self.shown {
            let full = (progress.done * CELLS as f32) as usize;
            let (full, empty) = ("#".repeat(full), ".".repeat(CELLS - full.min(CELLS)));
            self.put(&format!(
                "\r[{full}{empty}] {:3.0} %, {:.0} s, loss {:.3} ",
                100.0 * progress.done,
                progress.spent.as_secs_f32(),
                progress.loss
            ));
        }
    }

    fn end(&self) {
        if self.shown {
            self.put("\r\x1b[K");
        }
    }

    /// A terminal that has gone is no failure.
    fn put(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
