//! Noughts in the constant matrices: a share of the weights, or so many of each few that follow each other.
//!
//! A weight counts as much as its size times the level of its input, and is compared with the others of its output (M. Sun et
//! al., "A simple and effective pruning approach for large language models", ICLR 2024). What is left of each output is
//! refitted to the recordings. The file does not get smaller by it; what compresses files and what computes with them can.

use std::fmt;
use std::str::FromStr;

use tract_onnx::pb::ModelProto;

use super::records::{Moments, Records};
use super::refit::refit;
use super::worth::Reading;
use super::{PruneError, Reader, put};
use crate::products::{Report, floats, products};

/// How many weights become nought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sparsity {
    /// This share of the weights of each output, 0 to 1.
    Share(f64),
    /// All but so many of each few inputs of an output.
    Groups(NOfM),
}

/// So many of each few, as in 2:4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NOfM {
    keep: usize,
    of: usize,
}

impl FromStr for NOfM {
    type Err = String;

    fn from_str(text: &str) -> Result<NOfM, String> {
        let parts = text.split_once(':');
        let numbers = parts.and_then(|(keep, of)| Some((keep.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((keep, of)) if keep > 0 && keep < of => Ok(NOfM { keep, of }),
            _ => Err("two numbers are wanted, the first smaller, as in 2:4".into()),
        }
    }
}

impl fmt::Display for NOfM {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.keep, self.of)
    }
}

/// Makes weights of the constant products nought, but of those whose name contains one of `keep`.
///
/// # Errors
/// [`PruneError`] when there is no such product or a weight cannot be read.
pub(super) fn sparsify(
    model: &mut ModelProto,
    sparsity: Sparsity,
    records: &Records,
    keep: &[String],
    progress: &mut dyn FnMut(&str),
) -> Result<Report, PruneError> {
    let graph = model.graph.get_or_insert_default();
    let mut report = Report::default();
    for product in products(graph) {
        let (layer, name) = (product.layer, product.weight);
        if keep.iter().any(|part| layer.name.contains(part)) {
            report.kept.push((layer.name, "asked for".into()));
            continue;
        }
        if let Sparsity::Groups(groups) = sparsity
            && layer.inputs % groups.of != 0
        {
            let reason = format!(
                "{} inputs are no whole groups of {}",
                layer.inputs, groups.of
            );
            report.kept.push((layer.name, reason));
            continue;
        }
        let reader = Reader::of(graph, product.node)?;
        let mut values = reader.values.clone();
        let reading = reader.reading(records);
        thin(&mut values, layer.outputs, sparsity, reading.moments);
        if reading.moments.is_some() {
            progress(&format!("refitting {}", layer.name));
            let shift = refit_each(&reading, &mut values);
            reader.shift_bias(graph, &shift);
        }
        let shape = [layer.inputs as i64, layer.outputs as i64];
        put(graph, floats(&name, &shape, &values));
        report.changed.push(layer.name);
    }
    if report.changed.is_empty() {
        return Err(PruneError::Nothing("weights of constant products".into()));
    }
    Ok(report)
}

/// Makes weights `[inputs][outputs]` nought.
fn thin(values: &mut [f32], outputs: usize, sparsity: Sparsity, moments: Option<&Moments>) {
    let inputs = values.len() / outputs;
    let (group, zeros) = match sparsity {
        Sparsity::Share(share) => (inputs, (share * inputs as f64).round() as usize),
        Sparsity::Groups(NOfM { keep, of }) => (of, of - keep),
    };
    for output in 0..outputs {
        for start in (0..inputs).step_by(group) {
            let mut order: Vec<(f64, usize)> = (start..start + group)
                .map(|input| {
                    let level = moments.map_or(1.0, |moments| moments.level(input));
                    (
                        f64::from(values[input * outputs + output].abs()) * level,
                        input,
                    )
                })
                .collect();
            order.sort_by(|one, other| one.0.total_cmp(&other.0));
            for &(_, input) in &order[..zeros] {
                values[input * outputs + output] = 0.0;
            }
        }
    }
}

/// Refits what is left of each output's weights, given in place of the whole ones; returns what is to be added to each bias.
fn refit_each(whole: &Reading, left: &mut [f32]) -> Vec<f64> {
    let outputs = whole.outputs;
    let mut shifts = Vec::with_capacity(outputs);
    for output in 0..outputs {
        let column = whole.weights[output..].iter().step_by(outputs);
        let column: Vec<f32> = column.copied().collect();
        let kept: Vec<usize> = (0..column.len())
            .filter(|input| left[input * outputs + output] != 0.0)
            .collect();
        let reading = Reading {
            weights: &column,
            outputs: 1,
            ..*whole
        };
        let refitted = refit(&reading, &kept);
        for (input, weight) in kept.iter().zip(refitted.weights) {
            left[input * outputs + output] = weight;
        }
        shifts.extend(refitted.shift);
    }
    shifts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_loud_input_saves_its_small_weights() {
        let mut moments = Moments::new(2);
        moments.add(&[10.0, 0.1]);
        let (mut heard, mut unheard) = ([0.5, 1.0], [0.5, 1.0]);
        thin(&mut heard, 1, Sparsity::Share(0.5), Some(&moments));
        thin(&mut unheard, 1, Sparsity::Share(0.5), None);
        assert_eq!((heard, unheard), ([0.5, 0.0], [0.0, 1.0]));
    }

    #[test]
    fn what_is_left_takes_over_what_went() {
        let mut moments = Moments::new(3);
        for frame in 0..40 {
            let value = (frame as f32 * 0.7).sin();
            moments.add(&[value, value + 2.0, (frame as f32 * 1.3).cos()]);
        }
        let weights: [f32; 6] = [1.0, 5.0, 2.0, 1.0, 4.0, 4.0];
        let whole = Reading {
            weights: &weights,
            outputs: 2,
            moments: Some(&moments),
            biased: true,
        };
        // The first input goes from the first output and the second from the other: each can stand for the other.
        let mut left = weights;
        (left[0], left[3]) = (0.0, 0.0);
        let shift = refit_each(&whole, &mut left);
        for (found, wanted) in left.iter().zip([0.0, 6.0, 3.0, 0.0, 4.0, 4.0]) {
            assert!((found - wanted).abs() < 0.1, "{left:?}");
        }
        assert!(
            (shift[0] + 2.0).abs() < 0.1 && (shift[1] - 2.0).abs() < 0.1,
            "{shift:?}"
        );
    }

    #[test]
    fn n_of_m_is_read_and_nonsense_refused() {
        assert_eq!("2:4".parse::<NOfM>().unwrap().to_string(), "2:4");
        for wrong in ["4:2", "0:4", "2:2", "2", "a:b", "2:4:8"] {
            assert!(wrong.parse::<NOfM>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn each_few_keep_exactly_so_many_and_the_largest(
            (of, keep) in (2usize..9).prop_flat_map(|of| (Just(of), 1..of)),
            groups in 1usize..5,
            outputs in 1usize..4,
            seed in 1u32..1000,
        ) {
            let count = of * groups * outputs;
            let before: Vec<f32> = (0..count).map(|n| ((n as f32 + 1.0) * seed as f32).sin() + 2.0).collect();
            let mut after = before.clone();
            thin(&mut after, outputs, Sparsity::Groups(NOfM { keep, of }), None);
            for output in 0..outputs {
                for group in 0..groups {
                    let places = (group * of..(group + 1) * of).map(|input| input * outputs + output);
                    let left: Vec<usize> = places.clone().filter(|&at| after[at] != 0.0).collect();
                    prop_assert_eq!(left.len(), keep);
                    let least = left.iter().map(|&at| before[at]).fold(f32::INFINITY, f32::min);
                    for at in places {
                        prop_assert!(after[at] == before[at] || (after[at] == 0.0 && before[at] <= least));
                    }
                }
            }
        }

        #[test]
        fn a_share_of_each_output_goes(inputs in 1usize..40, outputs in 1usize..4, share in 0.0f64..1.0) {
            let mut values: Vec<f32> = (0..inputs * outputs).map(|n| 1.0 + n as f32).collect();
            thin(&mut values, outputs, Sparsity::Share(share), None);
            let wanted = (share * inputs as f64).round() as usize;
            for output in 0..outputs {
                let zeros = values[output..].iter().step_by(outputs).filter(|value| **value == 0.0).count();
                prop_assert_eq!(zeros, wanted);
            }
        }
    }
}
