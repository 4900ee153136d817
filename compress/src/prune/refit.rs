//! Weights that make up for the inputs that went, in the least squares over the recordings.
//!
//! With `x` the inputs as recorded and `k` those that stay, the new matrix is the one for which `k V` is nearest to `x W`:
//! `V = C(k,k)⁻¹ C(k,x) W` with covariances `C`, drawn a little towards the old rows (A. Hoerl, R. Kennard, "Ridge
//! regression", 1970). A bias takes up the difference of the means.

use super::worth::Reading;

/// How strongly the old rows hold, as a share of the mean variance of an input.
const RIDGE: f64 = 0.01;

/// New rows for the kept inputs, `[kept][outputs]`, and what is to be added to the bias.
pub(super) struct Refitted {
    pub weights: Vec<f32>,
    pub shift: Vec<f64>,
}

/// Refits a matrix to the inputs that stay; without moments, or where the sums do not allow it, rows stay as they are.
pub(super) fn refit(reading: &Reading, kept: &[usize]) -> Refitted {
    let (outputs, inputs) = (reading.outputs, reading.weights.len() / reading.outputs);
    let row = |input: usize| &reading.weights[input * outputs..(input + 1) * outputs];
    let solved = reading.moments.and_then(|_| solve(reading, kept));
    let weights: Vec<f32> = match solved {
        Some(solved) => solved.into_iter().map(|value| value as f32).collect(),
        None => kept.iter().flat_map(|&input| row(input)).copied().collect(),
    };
    let mut shift = vec![0.0; outputs];
    if let Some(moments) = reading.moments.filter(|_| reading.biased) {
        let mut add = |mean: f64, row: &[f32]| {
            for (sum, &weight) in shift.iter_mut().zip(row) {
                *sum += mean * f64::from(weight);
            }
        };
        (0..inputs).for_each(|input| add(moments.mean(input), row(input)));
        for (&input, row) in kept.iter().zip(weights.chunks_exact(outputs)) {
            add(-moments.mean(input), row);
        }
    }
    Refitted { weights, shift }
}

fn solve(reading: &Reading, kept: &[usize]) -> Option<Vec<f64>> {
    let (count, outputs) = (kept.len(), reading.outputs);
    let inputs = reading.weights.len() / outputs;
    let variance: f64 = kept.iter().map(|&one| reading.together(one, one)).sum();
    let ridge = RIDGE * variance / count as f64;
    let mut right = vec![0.0; count * outputs];
    for (right, &one) in right.chunks_exact_mut(outputs).zip(kept) {
        for other in 0..inputs {
            let held = if one == other { ridge } else { 0.0 };
            let factor = reading.together(one, other) + held;
            let row = &reading.weights[other * outputs..(other + 1) * outputs];
            for (sum, &weight) in right.iter_mut().zip(row) {
                *sum += factor * f64::from(weight);
            }
        }
    }
    let mut left: Vec<f64> = kept
        .iter()
        .flat_map(|&one| kept.iter().map(move |&other| reading.together(one, other)))
        .collect();
    (0..count).for_each(|at| left[at * count + at] += ridge);
    cholesky(&mut left, count)?;
    substitute(&left, count, &mut right, outputs);
    Some(right)
}

/// The lower factor of a symmetric positive matrix, in its place; `None` when it is not positive.
fn cholesky(matrix: &mut [f64], size: usize) -> Option<()> {
    for row in 0..size {
        let (above, rest) = matrix.split_at_mut(row * size);
        let own = &mut rest[..size];
        for column in 0..row {
            let other = &above[column * size..(column + 1) * size];
            let sum: f64 = own[..column].iter().zip(other).map(|(a, b)| a * b).sum();
            own[column] = (own[column] - sum) / other[column];
        }
        let sum: f64 = own[..row].iter().map(|a| a * a).sum();
        let left = own[row] - sum;
        if left.is_nan() || left <= 0.0 {
            return None;
        }
        own[row] = left.sqrt();
    }
    Some(())
}

/// Solves for each column of the right side, `[size][columns]`, in its place: with the factor, then with its transpose.
fn substitute(lower: &[f64], size: usize, right: &mut [f64], columns: usize) {
    let mut eliminate = |row: usize, others: &mut dyn Iterator<Item = (usize, f64)>| {
        for (other, factor) in others {
            for column in 0..columns {
                right[row * columns + column] -= factor * right[other * columns + column];
            }
        }
        let scale = lower[row * size + row];
        let own = &mut right[row * columns..(row + 1) * columns];
        own.iter_mut().for_each(|value| *value /= scale);
    };
    for row in 0..size {
        eliminate(
            row,
            &mut (0..row).map(|other| (other, lower[row * size + other])),
        );
    }
    for row in (0..size).rev() {
        eliminate(
            row,
            &mut (row + 1..size).map(|other| (other, lower[other * size + row])),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::records::Moments;

    #[test]
    fn what_others_say_as_well_is_made_up_for() {
        // The third input is the sum of the others and three.
        let mut moments = Moments::new(3);
        for frame in 0..50 {
            let (one, two) = ((frame as f32 * 0.7).sin(), (frame as f32 * 1.9).cos());
            moments.add(&[one, two, one + two + 3.0]);
        }
        let weights: [f32; 6] = [1.0, 0.0, 0.0, 1.0, 2.0, -1.0];
        let reading = Reading {
            weights: &weights,
            outputs: 2,
            moments: Some(&moments),
            biased: true,
        };
        let Refitted { weights, shift } = refit(&reading, &[0, 1]);
        for (found, wanted) in weights.iter().zip([3.0, -1.0, 2.0, 0.0]) {
            assert!((found - wanted).abs() < 0.05, "{weights:?}");
        }
        assert!(
            (shift[0] - 6.0).abs() < 0.05 && (shift[1] + 3.0).abs() < 0.05,
            "{shift:?}"
        );
    }

    #[test]
    fn without_recordings_rows_stay() {
        let reading = Reading {
            weights: &[1.0, 2.0, 3.0, 4.0],
            outputs: 2,
            moments: None,
            biased: true,
        };
        let found = refit(&reading, &[1]);
        assert_eq!(
            (found.weights, found.shift),
            (vec![3.0, 4.0], vec![0.0, 0.0])
        );
    }

    #[test]
    fn a_factor_solves_and_what_is_not_positive_is_refused() {
        let matrix = [4.0, 2.0, 0.5, 2.0, 3.0, 1.0, 0.5, 1.0, 2.0];
        let (mut lower, mut right) = (matrix, vec![1.0, -2.0, 3.0]);
        cholesky(&mut lower, 3).unwrap();
        substitute(&lower, 3, &mut right, 1);
        for (row, wanted) in matrix.chunks(3).zip([1.0, -2.0, 3.0]) {
            let found: f64 = row.iter().zip(&right).map(|(a, b)| a * b).sum();
            assert!((found - wanted).abs() < 1e-9, "{right:?}");
        }
        assert!(cholesky(&mut [1.0, 2.0, 2.0, 1.0], 2).is_none());
    }
}
