//! What each way to make a network smaller saves and costs, side by side.

mod energy;
mod recognition;
mod table;
mod words;

pub use energy::{Energy, measure};
pub use recognition::{ClosedSet, RecognitionError, Score};
pub use table::{energy_text, markdown, words_markdown};
pub use words::{Reading, ReadingError, WordRow, word_rows};

use std::path::{Path, PathBuf};

use serde::Serialize;
use tract_onnx::pb::ModelProto;
use vocar_inference::{Bundle, Precision};

use crate::bench::{self, BenchError, Engine};
use crate::bundle::{self, BundleError};
use crate::calibrate::{Choice, Ranges};
use crate::factorise::{Thinness, factorise};
use crate::file::{FileError, read};
use crate::plan::{Plan, PlanError};
use crate::products::RewriteError;
use crate::quantise::{Activations, Bits, Form, Granularity, Method, quantise};
use crate::rest::{Convolutions, Names, shrink_the_rest};
use crate::trial::{Distance, Trial, TrialError};

/// Shares of the squared singular values that low-rank factors keep.
const ENERGIES: [f64; 2] = [0.95, 0.8];

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A network cannot be made.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The plan does not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A network cannot be compared.
    #[error("{name}: {problem}")]
    Trial {
        /// Which network.
        name: String,
        /// What is wrong with it.
        problem: TrialError,
    },
    /// A network cannot be timed.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// A network cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A network has no place in a bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle that it was put into cannot be opened.
    #[error(transparent)]
    Made(#[from] vocar_inference::BundleError),
    /// Nothing could be recognised.
    #[error(transparent)]
    Recognition(#[from] RecognitionError),
    /// Sentences could not be read.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// There is no room for the networks.
    #[error("no temporary folder: {0}; let TMPDIR name one")]
    Folder(std::io::Error),
}

/// A network of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was done.
    pub name: String,
    /// Size of its file.
    pub bytes: u64,
    /// Median step with our engine, milliseconds.
    pub median_ms: f64,
    /// 95th percentile of it, milliseconds.
    pub p95_ms: f64,
    /// Median step over the time of the sound in it.
    pub rtf: f64,
    /// Most memory of a process that has loaded and run nothing else, bytes.
    pub peak_bytes: u64,
    /// Mean Kullback-Leibler divergence of the posteriors from those of the floats, nats a frame.
    pub divergence: f64,
    /// Share of the frames with the same likeliest phone column, 0 to 1.
    pub same: f64,
    /// What it recognises, if that was asked for.
    pub recognition: Option<Score>,
}

/// What a report is made of.
#[derive(Default)]
pub struct Wanted<'a> {
    /// The plan of the mixed network; without one there is none.
    pub plan: Option<&'a Plan>,
    /// Ranges for int8 with static scales; without them there is none.
    pub ranges: Option<&'a Ranges>,
    /// Networks that were made elsewhere, with their names: trained in low precision, pruned, distilled. Files; for a report over
    /// words also folders with bundles of their own, of which the lightest network counts.
    pub networks: Vec<(String, PathBuf)>,
    /// What to recognise.
    pub closed_set: Option<&'a ClosedSet>,
    /// Runs that are timed in each round.
    pub steps: usize,
    /// Rounds, of which the least counts.
    pub rounds: usize,
}

/// Makes every kind of smaller network from a trial's floats, puts each into a bundle of its own, runs it over the trial's
/// recordings, times it in a process of its own and lets it recognise; tells `progress` what it does.
///
/// # Errors
/// [`ReportError`] when a network cannot be made, run or timed.
pub fn rows(
    trial: &Trial,
    bundle: &Bundle,
    wanted: &Wanted,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Row>, ReportError> {
    let mut rows = Vec::new();
    let mut networks = networks(trial.floats(), Names::Short, wanted)?;
    for (name, path) in &wanted.networks {
        networks.push((name.clone(), read(path)?));
    }
    for (name, model) in networks {
        progress(&name);
        rows.push(row(name, model, trial, bundle, wanted)?);
    }
    Ok(rows)
}

fn row(
    name: String,
    model: ModelProto,
    trial: &Trial,
    bundle: &Bundle,
    wanted: &Wanted,
) -> Result<Row, ReportError> {
    let folder = tempfile::tempdir().map_err(ReportError::Folder)?;
    let path = bundle::derive(bundle.dir(), folder.path(), Precision::F32, &model)?;
    let times = bench::apart(&path, Engine::Ours, wanted.steps, wanted.rounds)?;
    let recognition = wanted
        .closed_set
        .map(|set| {
            set.score(&Bundle::open(folder.path())?, Precision::F32)
                .map_err(ReportError::from)
        })
        .transpose()?;
    let Distance { divergence, same } =
        trial
            .compare(&model)
            .map_err(|problem| ReportError::Trial {
                name: name.clone(),
                problem,
            })?;
    Ok(Row {
        name,
        bytes: size(&path),
        median_ms: times.median_ms,
        p95_ms: times.p95_ms,
        rtf: times.median_ms / step_ms(bundle),
        peak_bytes: times.peak,
        divergence,
        same,
        recognition,
    })
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |data| data.len())
}

/// Sound in a step, milliseconds.
fn step_ms(bundle: &Bundle) -> f64 {
    let manifest = bundle.manifest();
    let samples = manifest.acoustic.frames_per_step() * manifest.features.hop;
    1e3 * samples as f64 / f64::from(manifest.features.sample_rate)
}

/// Networks made of the floats, with their names.
fn networks(
    floats: &ModelProto,
    names: Names,
    wanted: &Wanted,
) -> Result<Vec<(String, ModelProto)>, ReportError> {
    let quantised = |mut model: ModelProto, form: Form| {
        let report = quantise(&mut model, form, &[])?;
        let convolutions = Convolutions::beside(form);
        shrink_the_rest(&mut model, convolutions, names, &report.changed);
        Ok::<_, RewriteError>(model)
    };
    let simply = |model: &ModelProto, bits: Bits| quantised(model.clone(), bits.into());
    let mut found = vec![
        ("f32".to_owned(), floats.clone()),
        ("f16".to_owned(), simply(floats, Bits::Sixteen)?),
        ("int8, dynamic".to_owned(), simply(floats, Bits::Eight)?),
    ];
    if let Some(ranges) = wanted.ranges {
        let form = Form::Int8 {
            method: Method::Symmetric,
            granularity: Granularity::Channel,
            activations: Activations::Static {
                ranges,
                choice: Choice::Percentile,
                method: Method::Asymmetric,
            },
        };
        found.push(("int8, static".to_owned(), quantised(floats.clone(), form)?));
    }
    found.push(("int4".to_owned(), simply(floats, Bits::Four)?));
    if let Some(plan) = wanted.plan {
        let mut model = floats.clone();
        plan.apply(&mut model)?;
        found.push(("mixed".to_owned(), model));
    }
    for energy in ENERGIES {
        let mut thin = floats.clone();
        match factorise(&mut thin, Thinness::Energy(energy), &[]) {
            // No layer gets smaller.
            Err(RewriteError::Nothing { .. }) => continue,
            made => made?,
        };
        let name = format!("low rank, {:.0} % of the energy", 100.0 * energy);
        let smaller = simply(&thin, Bits::Eight)?;
        found.push((name.clone(), thin));
        found.push((format!("{name}, int8"), smaller));
    }
    Ok(found)
}
