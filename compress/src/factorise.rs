//! Low-rank factors: a constant matrix product becomes two thinner ones.
//!
//! The best approximation of a rank in the least squares is the beginning of the singular value decomposition (C. Eckart,
//! G. Young, 1936). The values are found by one-sided Jacobi rotations (M. Hestenes, 1958), which are exact to the last
//! digits for matrices of a few hundred rows and need no library.

use tract_onnx::pb::ModelProto;

use crate::products::{Matrix, Report, RewriteError, floats, operator, rewrite};

/// Ranks are whole multiples of this, so that both factors can be int4 afterwards.
const STEP: usize = 32;
/// Columns whose cosine is smaller than this are orthogonal.
const ORTHOGONAL: f64 = 1e-10;
const MOST_SWEEPS: usize = 30;

/// How thin the factors are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Thinness {
    /// The smallest rank that keeps this share of the sum of squared singular values, from 0 to 1.
    Energy(f64),
    /// This rank for all.
    Rank(usize),
}

/// Replaces every product of floats with a constant matrix by two, where that makes it smaller; those whose name contains one of
/// `keep` stay as they are. Ranks are rounded up to multiples of 32.
///
/// # Errors
/// [`RewriteError`] when there is no such product or a weight cannot be read; the network is then unchanged.
pub fn factorise(
    model: &mut ModelProto,
    thinness: Thinness,
    keep: &[String],
) -> Result<Report, RewriteError> {
    rewrite(model, |work, node, weight| {
        if keep.iter().any(|part| node.name.contains(part)) {
            return Ok(Some("asked for".into()));
        }
        let (inputs, outputs) = (weight.inputs, weight.outputs);
        let useless = |rank| Ok(Some(format!("rank {rank} would not make it smaller")));
        // Decomposing takes long: first see whether the least rank that can come of it would do.
        let least = match thinness {
            Thinness::Rank(rank) => rounded(rank, inputs.min(outputs)),
            Thinness::Energy(_) => rounded(1, inputs.min(outputs)),
        };
        if !pays(least, inputs, outputs) {
            return useless(least);
        }
        let weight = weight.read()?;
        let singular = Singular::of(&weight);
        let rank = rounded(singular.enough(thinness), singular.values.len());
        if !pays(rank, inputs, outputs) {
            return useless(rank);
        }
        let [left, right] = singular.factors(rank);
        let [left_name, right_name] =
            ["left", "right"].map(|part| format!("{}.{part}", weight.name));
        if work.first(&weight.name) {
            work.made
                .push(floats(&left_name, &[inputs as i64, rank as i64], &left));
            work.made
                .push(floats(&right_name, &[rank as i64, outputs as i64], &right));
        }
        let thin = format!("{}.thin", node.output[0]);
        let mut first = operator("MatMul", &[&node.input[0], &left_name], &[&thin]);
        first.name = format!("{}.left", node.name);
        let mut second = operator("MatMul", &[&thin, &right_name], &[&node.output[0]]);
        second.name.clone_from(&node.name);
        work.nodes.extend([first, second]);
        Ok(None)
    })
}

/// A rank that is a multiple of 32, or all there are.
fn rounded(rank: usize, all: usize) -> usize {
    rank.max(1).next_multiple_of(STEP).min(all)
}

/// Whether factors of this rank hold fewer numbers than a matrix.
fn pays(rank: usize, inputs: usize, outputs: usize) -> bool {
    rank * (inputs + outputs) < inputs * outputs
}

/// A matrix `[rows, columns]` as the sum of `left` times `right`, column by column, the heaviest first.
pub(crate) struct Singular {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
    /// A column of `rows` for each value, as long as the value.
    left: Vec<Vec<f64>>,
    /// A unit column of `columns` for each value.
    right: Vec<Vec<f64>>,
}

impl Singular {
    /// The decomposition of a matrix.
    pub(crate) fn of(weight: &Matrix) -> Singular {
        let (rows, columns) = (weight.inputs, weight.outputs);
        let column = |at: usize| {
            let values = weight.values[at..].iter().step_by(columns);
            values.map(|&value| f64::from(value)).collect()
        };
        let row = |at: usize| {
            let values = &weight.values[at * columns..(at + 1) * columns];
            values.iter().map(|&value| f64::from(value)).collect()
        };
        // The shorter side is turned: fewer pairs of columns.
        let wide = columns > rows;
        let mut turned: Vec<Vec<f64>> = if wide {
            (0..rows).map(row).collect()
        } else {
            (0..columns).map(column).collect()
        };
        let mut turns = identity(turned.len());
        for _ in 0..MOST_SWEEPS {
            if !sweep(&mut turned, &mut turns) {
                break;
            }
        }
        let mut order: Vec<(f64, usize)> = turned
            .iter()
            .map(|one| dot(one, one).sqrt())
            .zip(0..)
            .collect();
        order.sort_by(|one, other| other.0.total_cmp(&one.0));
        let pick = |from: &[Vec<f64>]| {
            order
                .iter()
                .map(|&(_, at)| from[at].clone())
                .collect::<Vec<_>>()
        };
        let values: Vec<f64> = order.iter().map(|&(value, _)| value).collect();
        let (mut long, mut unit) = (pick(&turned), pick(&turns));
        if wide {
            for ((long, unit), &value) in long.iter_mut().zip(&mut unit).zip(&values) {
                let scale = if value > 0.0 { value } else { 1.0 };
                long.iter_mut().for_each(|one| *one /= scale);
                unit.iter_mut().for_each(|one| *one *= value);
            }
            std::mem::swap(&mut long, &mut unit);
        }
        Singular {
            rows,
            columns,
            values,
            left: long,
            right: unit,
        }
    }

    /// How many values are wanted, from 1 to all.
    pub(crate) fn enough(&self, thinness: Thinness) -> usize {
        let wanted = match thinness {
            Thinness::Rank(rank) => rank,
            Thinness::Energy(share) => {
                let total: f64 = self.values.iter().map(|value| value * value).sum();
                let mut kept = 0.0;
                let enough = self.values.iter().position(|value| {
                    kept += value * value;
                    kept >= share * total
                });
                enough.map_or(self.values.len(), |last| last + 1)
            }
        };
        wanted.clamp(1, self.values.len())
    }

    /// The first so many directions of the rows' side, unit columns of `rows`.
    pub(crate) fn left_directions(&self, rank: usize) -> Vec<Vec<f32>> {
        let unit = |(column, &value): (&Vec<f64>, &f64)| {
            let scale = if value > 0.0 { 1.0 / value } else { 0.0 };
            column.iter().map(|one| (one * scale) as f32).collect()
        };
        self.left[..rank]
            .iter()
            .zip(&self.values)
            .map(unit)
            .collect()
    }

    /// Factors `[rows, rank]` and `[rank, columns]`, row-major; each takes the square root of the values.
    fn factors(&self, rank: usize) -> [Vec<f32>; 2] {
        let root = |at: usize| self.values[at].sqrt();
        let shrink = |at: usize| {
            if self.values[at] > 0.0 {
                1.0 / root(at)
            } else {
                0.0
            }
        };
        let left = (0..self.rows)
            .flat_map(|row| (0..rank).map(move |at| (self.left[at][row] * shrink(at)) as f32));
        let right = (0..rank).flat_map(|at| {
            (0..self.columns).map(move |column| (self.right[at][column] * root(at)) as f32)
        });
        [left.collect(), right.collect()]
    }
}

fn identity(size: usize) -> Vec<Vec<f64>> {
    let row = |at: usize| {
        (0..size)
            .map(|column| f64::from(u8::from(column == at)))
            .collect()
    };
    (0..size).map(row).collect()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// Turns every pair of columns until they are orthogonal, and `turns` along; false when nothing was left to turn.
fn sweep(columns: &mut [Vec<f64>], turns: &mut [Vec<f64>]) -> bool {
    let mut turned = false;
    for second in 1..columns.len() {
        for first in 0..second {
            let (a, b) = (
                dot(&columns[first], &columns[first]),
                dot(&columns[second], &columns[second]),
            );
            let together = dot(&columns[first], &columns[second]);
            if together.abs() <= ORTHOGONAL * (a * b).sqrt() {
                continue;
            }
            turned = true;
            let cotangent = (b - a) / (2.0 * together);
            let tangent =
                cotangent.signum() / (cotangent.abs() + (1.0 + cotangent * cotangent).sqrt());
            let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
            let sine = cosine * tangent;
            for side in [&mut *columns, &mut *turns] {
                let (before, after) = side.split_at_mut(second);
                for (x, y) in before[first].iter_mut().zip(&mut after[0]) {
                    (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
                }
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(inputs: usize, outputs: usize, rank: usize) -> Matrix {
        let wave = |n: usize, pace: f32| ((n * n % 9973) as f32 * pace).sin();
        let value = |row: usize, column: usize| {
            (0..rank)
                .map(|k| wave(row * rank + k + 1, 0.7) * wave(column * rank + k + 3, 1.3))
                .sum()
        };
        Matrix {
            name: "w".into(),
            inputs,
            outputs,
            values: (0..inputs * outputs)
                .map(|at| value(at / outputs, at % outputs))
                .collect(),
        }
    }

    fn product(singular: &Singular, rank: usize) -> Vec<f32> {
        let [left, right] = singular.factors(rank);
        let (rows, columns) = (singular.rows, singular.columns);
        (0..rows * columns)
            .map(|at| {
                let (row, column) = (at / columns, at % columns);
                (0..rank)
                    .map(|k| left[row * rank + k] * right[k * columns + column])
                    .sum()
            })
            .collect()
    }

    #[test]
    fn all_values_together_give_the_matrix_back_and_fewer_its_rank() {
        for (inputs, outputs) in [(40, 24), (24, 40), (33, 33)] {
            let weight = matrix(inputs, outputs, 5);
            let singular = Singular::of(&weight);
            assert!(singular.values.windows(2).all(|pair| pair[0] >= pair[1]));
            assert!(singular.values[5] < 1e-4 * singular.values[0]);
            for rank in [5, singular.values.len()] {
                for (found, wanted) in product(&singular, rank).iter().zip(&weight.values) {
                    assert!((found - wanted).abs() < 1e-4, "{found} {wanted}");
                }
            }
        }
    }

    #[test]
    fn what_is_left_out_is_the_energy_that_was_given_up() {
        let weight = matrix(40, 24, 9);
        let singular = Singular::of(&weight);
        let lost: f64 = product(&singular, 4)
            .iter()
            .zip(&weight.values)
            .map(|(found, wanted)| f64::from(found - wanted).powi(2))
            .sum();
        let wanted: f64 = singular.values[4..].iter().map(|value| value * value).sum();
        assert!((lost / wanted - 1.0).abs() < 1e-3, "{lost} {wanted}");
    }

    #[test]
    fn ranks_are_whole_groups() {
        let singular = Singular::of(&matrix(100, 80, 70));
        let rank = |thinness| rounded(singular.enough(thinness), 80);
        assert_eq!(rank(Thinness::Rank(33)), 64);
        assert_eq!(rank(Thinness::Rank(1000)), 80);
        assert_eq!(rank(Thinness::Energy(1.0)), 80);
        assert_eq!(rank(Thinness::Energy(1e-9)), 32);
    }
}
