//! `report`: every kind of smaller network side by side.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vocar_compress::bundle::Kind;
use vocar_compress::calibrate::Ranges;
use vocar_compress::plan::Plan;
use vocar_compress::recordings::{self, Recording};
use vocar_compress::report::{self, ClosedSet, Energy, Wanted};
use vocar_compress::sentences::{self, Sentence};
use vocar_compress::trial::Trial;
use vocar_hw::Profile;
use vocar_inference::Bundle;

use super::Outcome;

/// Make every kind of smaller network, and print what each saves and costs.
#[derive(Args)]
pub struct Arguments {
    /// A bundle with an f32 network; one of words may have it in int8 alone.
    bundle: PathBuf,
    /// What to compare the networks on: recordings of speech, a table with a column `path`; for a bundle of words sentences, a table
    /// with the columns `text`, `intent` and `spans`.
    table: PathBuf,
    /// Domain that the sentences are for.
    #[arg(long, default_value = "car")]
    domain: String,
    /// The plan of the mixed network.
    #[arg(long, value_name = "TOML")]
    plan: Option<PathBuf>,
    /// Ranges of `calibrate`, for int8 with static scales.
    #[arg(long, value_name = "TOML")]
    ranges: Option<PathBuf>,
    /// Another network of the same inputs and outputs for the table; for a bundle of words also a folder with a bundle of its own,
    /// whose lightest network, rows and heads count. May be given more than once.
    #[arg(long, value_name = "NAME=FILE", value_parser = named)]
    network: Vec<(String, PathBuf)>,
    /// Recordings of sentences to recognise: a table with the columns `path` and `text`.
    #[arg(long, value_name = "TABLE")]
    recognise: Option<PathBuf>,
    /// The sentences that may be said, one a line; those of the table unless given.
    #[arg(long, value_name = "FILE")]
    sentences: Option<PathBuf>,
    /// Only every so many of the recordings to recognise, or of the sentences.
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: usize,
    /// Measure the processor time of this many seconds of sound too, with the recordings as the speech in it.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "3600")]
    energy: Option<f64>,
    /// Share of that sound that is speech, 0 to 1.
    #[arg(long, default_value_t = 0.05)]
    speech: f64,
    /// Profile whose power estimate is applied to it.
    #[arg(long, value_name = "NAME", default_value = "sa8155p")]
    profile: String,
    /// Seconds of the recordings that are used.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Runs of each that are timed.
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// Rounds of that; the least counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A file for the same as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("NAME=FILE is wanted")?;
    Ok((name.to_owned(), file.into()))
}

#[derive(Serialize)]
struct Json<'a, R> {
    rows: &'a [R],
    #[serde(skip_serializing_if = "Option::is_none")]
    energy: Option<Energy>,
}

impl Arguments {
    /// Prints the table.
    ///
    /// # Errors
    /// When a network cannot be made, run or timed.
    pub fn run(&self) -> Outcome {
        match Kind::of(&self.bundle) {
            Kind::Speech => self.of_speech(),
            Kind::Words => self.of_words(),
        }
    }

    /// Of a bundle of words.
    fn of_words(&self) -> Outcome {
        let plan = self.plan.as_deref().map(Plan::load).transpose()?;
        let sentences = sentences::list(&self.table)?;
        let every = self.every.max(1);
        let sentences: Vec<Sentence> = sentences.into_iter().step_by(every).collect();
        let ranges = self.ranges.as_deref().map(Ranges::load).transpose()?;
        let wanted = self.wanted(plan.as_ref(), ranges.as_ref(), None);
        let progress = &mut |line: &str| eprintln!("{line}");
        let rows = report::word_rows(&self.bundle, &self.domain, &sentences, &wanted, progress)?;
        print!("{}", report::words_markdown(&rows));
        self.keep(&rows, None)
    }

    /// Of a bundle of speech.
    fn of_speech(&self) -> Outcome {
        if !(self.speech > 0.0 && self.speech <= 1.0) {
            return Err(format!("--speech {}: a share from 0 to 1 is wanted", self.speech).into());
        }
        let plan = self.plan.as_deref().map(Plan::load).transpose()?;
        let ranges = self.ranges.as_deref().map(Ranges::load).transpose()?;
        let heard = recordings::heard(&self.table, self.seconds)?;
        let bundle = Bundle::open(&self.bundle)?;
        let closed_set = self.closed_set()?;
        let trial = Trial::new(bundle.clone(), heard.clone())?;
        let wanted = self.wanted(plan.as_ref(), ranges.as_ref(), closed_set.as_ref());
        let rows = report::rows(&trial, &bundle, &wanted, &mut |line| eprintln!("{line}"))?;
        print!("{}", report::markdown(&rows));
        let energy = self.energy(&bundle, &heard)?;
        self.keep(&rows, energy)
    }

    fn wanted<'a>(
        &self,
        plan: Option<&'a Plan>,
        ranges: Option<&'a Ranges>,
        closed_set: Option<&'a ClosedSet>,
    ) -> Wanted<'a> {
        Wanted {
            plan,
            ranges,
            networks: self.network.clone(),
            closed_set,
            steps: self.steps,
            rounds: self.rounds,
        }
    }

    fn keep(&self, rows: &[impl Serialize], energy: Option<Energy>) -> Outcome {
        if let Some(json) = &self.json {
            let all = Json { rows, energy };
            std::fs::write(json, serde_json::to_string_pretty(&all)? + "\n")
                .map_err(|e| format!("{}: {e}", json.display()))?;
        }
        Ok(())
    }

    fn listed(&self) -> Result<Vec<Recording>, Box<dyn std::error::Error>> {
        let table = self
            .recognise
            .as_deref()
            .map(recordings::list)
            .transpose()?;
        let every = self.every.max(1);
        Ok(table
            .unwrap_or_default()
            .into_iter()
            .step_by(every)
            .collect())
    }

    fn sentences(&self) -> Result<Option<Vec<String>>, String> {
        let read = |file: &PathBuf| {
            let text =
                std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        self.sentences.as_ref().map(read).transpose()
    }

    fn closed_set(&self) -> Result<Option<ClosedSet>, Box<dyn std::error::Error>> {
        let listed = self.listed()?;
        if listed.is_empty() {
            return Ok(None);
        }
        Ok(Some(ClosedSet::new(&listed, self.sentences()?)?))
    }

    fn energy(
        &self,
        bundle: &Bundle,
        heard: &[Vec<f32>],
    ) -> Result<Option<Energy>, Box<dyn std::error::Error>> {
        let Some(seconds) = self.energy else {
            return Ok(None);
        };
        eprintln!("{seconds} s of sound");
        let sentences = match self.sentences()? {
            Some(sentences) => sentences,
            None => self
                .listed()?
                .into_iter()
                .filter_map(|one| one.text)
                .collect(),
        };
        if sentences.is_empty() {
            return Err("--energy: a recogniser needs something to listen for: give --sentences or --recognise".into());
        }
        let precision = bundle.lightest();
        let energy = report::measure(bundle, precision, &sentences, heard, self.speech, seconds)?;
        let profile = Profile::builtin()
            .iter()
            .find(|one| one.name == self.profile);
        let core = profile.and_then(|profile| profile.clusters.first());
        let named = core.map(|core| (format!("{} {}", self.profile, core.name), core.estimated_mw));
        let named = named.as_ref().map(|(name, power)| (&**name, *power));
        print!("{}", report::energy_text(&energy, named));
        Ok(Some(energy))
    }
}
