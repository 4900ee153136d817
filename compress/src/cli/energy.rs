//! `energy`: what a drive costs, most of it without speech, and whether that keeps the marks.

use std::path::PathBuf;

use clap::Args;
use vocar_compress::recordings;
use vocar_compress::report;
use vocar_inference::Bundle;

use super::Outcome;

/// Measure the processor time of a drive in which little is said, beside recognition that is always on in f32.
///
/// Ends with an error when a mark is missed.
#[derive(Args)]
pub struct Arguments {
    /// A bundle.
    bundle: PathBuf,
    /// Recordings for the speech in the drive: a table with the columns `path` and `text`.
    recordings: PathBuf,
    /// The sentences that may be said, one a line; those of the table unless given.
    #[arg(long, value_name = "FILE")]
    sentences: Option<PathBuf>,
    /// Seconds of the drive.
    #[arg(long, default_value_t = 3600.0)]
    seconds: f64,
    /// Share of it that is speech, 0 to 1.
    #[arg(long, default_value_t = 0.05)]
    speech: f64,
    /// Most that it may cost of what is always on, per cent.
    #[arg(long, value_name = "PERCENT", default_value_t = 15.0)]
    most_of_always_on: f64,
    /// Most that it may cost of one core, per cent.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.5)]
    most_of_a_core: f64,
}

impl Arguments {
    /// Measures and prints.
    ///
    /// # Errors
    /// When something cannot be read or run, or a mark is missed.
    pub fn run(&self) -> Outcome {
        if !(self.speech > 0.0 && self.speech <= 1.0 && self.seconds > 0.0) {
            return Err("--speech is a share from 0 to 1, --seconds more than 0".into());
        }
        let bundle = Bundle::open(&self.bundle)?;
        let listed = recordings::list(&self.recordings)?;
        let sentences: Vec<String> = match &self.sentences {
            Some(file) => std::fs::read_to_string(file)
                .map_err(|e| format!("{}: {e}", file.display()))?
                .lines()
                .map(str::to_owned)
                .collect(),
            None => listed.into_iter().filter_map(|one| one.text).collect(),
        };
        if sentences.is_empty() {
            return Err(
                "a recogniser needs something to listen for: give --sentences, or a column `text`"
                    .into(),
            );
        }
        let heard = recordings::heard(&self.recordings, self.seconds * self.speech)?;
        let precision = bundle.lightest();
        let energy = report::measure(
            &bundle,
            precision,
            &sentences,
            &heard,
            self.speech,
            self.seconds,
        )?;
        print!("{}", report::energy_text(&energy, None));
        let of_always_on = 100.0 * energy.cascade_s / energy.always_on_s;
        let of_a_core = 100.0 * energy.cascade_s / energy.seconds;
        println!(
            "that is {of_always_on:.1} % of always on (mark: at most {:.1} %) and {of_a_core:.2} % of one core (mark: at most {:.1} %)",
            self.most_of_always_on, self.most_of_a_core
        );
        if of_always_on > self.most_of_always_on || of_a_core > self.most_of_a_core {
            return Err("a mark is missed".into());
        }
        Ok(())
    }
}
