//! What each way to make a network smaller saves and costs, side by side.

use serde::Serialize;
use tract_onnx::pb::ModelProto;

use crate::bench;
use crate::factorise::{Thinness, factorise};
use crate::file::{FileError, write};
use crate::halves::halve_the_rest;
use crate::plan::{Plan, PlanError};
use crate::products::RewriteError;
use crate::quantise::{Bits, quantise};
use crate::trial::{Trial, TrialError};
use vocar_inference::{EngineError, Operators};

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
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// A network cannot be timed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A network cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no room for the networks.
    #[error("no temporary folder: {0}")]
    Folder(std::io::Error),
}

/// A network of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was done.
    pub name: String,
    /// Size of its file.
    pub bytes: usize,
    /// Median step with our engine, milliseconds.
    pub median_ms: f64,
    /// 95th percentile of it, milliseconds.
    pub p95_ms: f64,
    /// Mean Kullback-Leibler divergence of the posteriors from those of the floats, nats a frame.
    pub divergence: f64,
    /// Share of the frames with the same likeliest phone column, 0 to 1.
    pub same: f64,
}

/// Makes every kind of smaller network from a trial's floats, runs it over the trial's recordings and times so many steps;
/// tells `progress` what it does. Without a plan there is no mixed row.
///
/// # Errors
/// [`ReportError`] when a network cannot be made, run or timed.
pub fn rows(
    trial: &Trial,
    plan: Option<&Plan>,
    steps: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Row>, ReportError> {
    let folder = tempfile::tempdir().map_err(ReportError::Folder)?;
    let path = folder.path().join("network.onnx");
    let mut rows = Vec::new();
    for (name, model) in networks(trial.floats(), plan)? {
        progress(&name);
        write(&path, &model)?;
        let timed = bench::time(&path, Operators::Fused, steps)?;
        let bytes = prost::Message::encoded_len(&model);
        let distance = trial.compare(model)?;
        rows.push(Row {
            name,
            bytes,
            median_ms: 1e3 * timed.median.as_secs_f64(),
            p95_ms: 1e3 * timed.p95.as_secs_f64(),
            divergence: distance.divergence,
            same: distance.same,
        });
    }
    Ok(rows)
}

fn networks(
    floats: &ModelProto,
    plan: Option<&Plan>,
) -> Result<Vec<(String, ModelProto)>, ReportError> {
    let quantised = |mut model: ModelProto, bits| {
        quantise(&mut model, bits, &[])?;
        halve_the_rest(&mut model);
        Ok::<_, RewriteError>(model)
    };
    let mut found = vec![
        ("f32".to_owned(), floats.clone()),
        ("f16".to_owned(), quantised(floats.clone(), Bits::Sixteen)?),
        ("int8".to_owned(), quantised(floats.clone(), Bits::Eight)?),
        ("int4".to_owned(), quantised(floats.clone(), Bits::Four)?),
    ];
    if let Some(plan) = plan {
        let mut model = floats.clone();
        plan.apply(&mut model)?;
        found.push(("mixed".to_owned(), model));
    }
    for energy in ENERGIES {
        let mut thin = floats.clone();
        factorise(&mut thin, Thinness::Energy(energy), &[])?;
        let name = format!("low rank, {:.0} % of the energy", 100.0 * energy);
        found.push((name.clone(), thin.clone()));
        found.push((format!("{name}, int8"), quantised(thin, Bits::Eight)?));
    }
    Ok(found)
}

/// The rows as a Markdown table; sizes and times against the first one.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| network | file | smaller | step, median | 95 % | faster | nats a frame | same phone |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let first = &rows[0];
        text += &format!(
            "| {} | {:.2} MB | {:.2} x | {:.2} ms | {:.2} ms | {:.2} x | {:.4} | {:.1} % |\n",
            row.name,
            row.bytes as f64 / 1e6,
            first.bytes as f64 / row.bytes as f64,
            row.median_ms,
            row.p95_ms,
            first.median_ms / row.median_ms,
            row.divergence,
            100.0 * row.same
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compares_with_its_first_row() {
        let row = |name: &str, bytes, median_ms| Row {
            name: name.into(),
            bytes,
            median_ms,
            p95_ms: 2.0 * median_ms,
            divergence: 0.01,
            same: 0.995,
        };
        let text = table(&[row("f32", 8_000_000, 2.0), row("int8", 2_000_000, 0.5)]);
        let last = text.lines().last().unwrap();
        assert_eq!(
            last,
            "| int8 | 2.00 MB | 4.00 x | 0.50 ms | 1.00 ms | 4.00 x | 0.0100 | 99.5 % |"
        );
    }
}
