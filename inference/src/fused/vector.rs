//! Arithmetic over rows of floats. Sums run in eight lanes that are added at the end, so that every processor rounds
//! alike; on x86-64 with AVX2 the same code is compiled for it.

use crate::gemm::{exp, sigmoid};

const LANES: usize = 8;

/// Compiles a function for AVX2, too, and calls that where the processor has it.
macro_rules! with_avx2 {
    ($(#[$meta:meta])* $name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        pub(super) fn $name($($argument: $kind),*) $(-> $result)? {
            #[inline(always)]
            fn plain($($argument: $kind),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $kind),*) $(-> $result)? {
                    plain($($argument),*)
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { avx2($($argument),*) };
                }
            }
            plain($($argument),*)
        }
    };
}

#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += term(value);
    }
    added(lanes)
}

#[inline(always)]
fn added(lanes: [f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[inline(always)]
fn highest(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let larger = |one: f32, other: f32| if other > one { other } else { one };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    lanes
        .into_iter()
        .chain(rest.iter().copied())
        .fold(f32::NEG_INFINITY, larger)
}

with_avx2! {
    /// Normalises a row to mean 0 and variance 1, then `gain` and `shift`.
    layer_norm(row: &mut [f32], gain: &[f32], shift: &[f32], epsilon: f32) {
        let count = row.len() as f32;
        let mean = sum(row, |value| value) / count;
        let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        for ((value, gain), shift) in row.iter_mut().zip(gain).zip(shift) {
            *value = (*value - mean) * inverse * gain + shift;
        }
    }
}

with_avx2! {
    /// e^x over its sum.
    softmax(row: &mut [f32]) {
        softmax_of(row);
    }
}

#[inline(always)]
fn softmax_of(row: &mut [f32]) {
    let highest = highest(row);
    for value in row.iter_mut() {
        *value = exp(*value - highest);
    }
    let inverse = 1.0 / sum(row, |value| value);
    for value in row.iter_mut() {
        *value *= inverse;
    }
}

with_avx2! {
    /// Logarithm of the softmax.
    log_softmax(row: &mut [f32]) {
        let highest = highest(row);
        let total = sum(row, |value| exp(value - highest));
        let level = highest + total.ln();
        for value in row.iter_mut() {
            *value -= level;
        }
    }
}

/// A matrix inside a larger one: rows of `stride` values, of which the first few count.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    pub values: &'a [f32],
    pub stride: usize,
}

/// Rows that are multiplied at once.
const STRIP: usize = 4;

/// R rows of `left` from `first` on times `right`, eight columns at a time.
#[inline(always)]
fn strip<const R: usize>(
    left: Strided,
    right: Strided,
    first: usize,
    inner: usize,
    out: &mut [f32],
    width: usize,
) {
    let rows: [&[f32]; R] =
        std::array::from_fn(|row| &left.values[(first + row) * left.stride..][..inner]);
    for column in (0..width).step_by(LANES) {
        let mut totals = [[0.0f32; LANES]; R];
        for k in 0..inner {
            let values: &[f32; LANES] = right.values[k * right.stride + column..]
                .first_chunk()
                .expect("columns are filled up to eight");
            for (total, row) in totals.iter_mut().zip(&rows) {
                for (lane, value) in total.iter_mut().zip(values) {
                    *lane += row[k] * value;
                }
            }
        }
        for (row, total) in totals.iter().enumerate() {
            out[(first + row) * width + column..][..LANES].copy_from_slice(total);
        }
    }
}

with_avx2! {
    /// `out` `[rows][width]` = `left` `[rows][inner]` · `right` `[inner][width]`; the width is a multiple of eight.
    product(left: Strided, right: Strided, inner: usize, width: usize, out: &mut [f32]) {
        let rows = out.len() / width;
        let whole = rows - rows % STRIP;
        for first in (0..whole).step_by(STRIP) {
            strip::<STRIP>(left, right, first, inner, out, width);
        }
        for first in whole..rows {
            strip::<1>(left, right, first, inner, out, width);
        }
    }
}

with_avx2! {
    /// Softmax over the first values of a row, each scaled and with its bias.
    attend(row: &mut [f32], scale: f32, bias: &[f32]) {
        let row = &mut row[..bias.len()];
        for (value, bias) in row.iter_mut().zip(bias) {
            *value = *value * scale + bias;
        }
        softmax_of(row);
    }
}

with_avx2! {
    /// Depthwise convolution of one frame: `taps` rows of `window` and of `weights`, a channel each column, then `bias`
    /// and, if wanted, SiLU.
    depthwise(window: &[f32], weights: &[f32], bias: &[f32], silu: bool, out: &mut [f32]) {
        out.copy_from_slice(bias);
        for (row, weights) in window.chunks_exact(out.len()).zip(weights.chunks_exact(out.len())) {
            for ((out, value), weight) in out.iter_mut().zip(row).zip(weights) {
                *out += value * weight;
            }
        }
        if silu {
            for out in out.iter_mut() {
                *out *= sigmoid(*out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(count: usize, pace: f32) -> Vec<f32> {
        (0..count).map(|n| (n as f32 * pace).sin() * 3.0).collect()
    }

    fn close(found: &[f32], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(
                (f64::from(*found) - wanted).abs() < 1e-5,
                "{found} {wanted}"
            );
        }
    }

    #[test]
    fn rows_are_normalised() {
        for width in [1, 7, 8, 160, 163] {
            let (row, gain, shift) = (wave(width, 0.7), wave(width, 0.3), wave(width, 0.1));
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / width as f64;
            let variance = row
                .iter()
                .map(|&v| (f64::from(v) - mean).powi(2))
                .sum::<f64>()
                / width as f64;
            let wanted: Vec<f64> = (0..width)
                .map(|n| {
                    (f64::from(row[n]) - mean) / (variance + 1e-5).sqrt() * f64::from(gain[n])
                        + f64::from(shift[n])
                })
                .collect();
            let mut found = row;
            layer_norm(&mut found, &gain, &shift, 1e-5);
            close(&found, &wanted);
        }
    }

    #[test]
    fn softmax_and_its_logarithm() {
        for width in [1, 5, 8, 56, 83] {
            let row = wave(width, 1.3);
            let total: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
            let wanted: Vec<f64> = row.iter().map(|&v| f64::from(v).exp() / total).collect();
            let mut found = row.clone();
            softmax(&mut found);
            close(&found, &wanted);
            let mut found = row;
            log_softmax(&mut found);
            close(&found, &wanted.iter().map(|p| p.ln()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_product_of_matrices_inside_larger_ones() {
        for (rows, inner, width) in [(1, 1, 8), (5, 19, 8), (8, 32, 56), (13, 7, 16)] {
            let (left, right) = (
                wave(rows * (inner + 3), 0.9),
                wave(inner * (width + 5) + width, 0.37),
            );
            let (a, b) = (inner + 3, width + 5);
            let mut found = vec![9.0; rows * width];
            let matrices = (
                Strided {
                    values: &left,
                    stride: a,
                },
                Strided {
                    values: &right,
                    stride: b,
                },
            );
            product(matrices.0, matrices.1, inner, width, &mut found);
            let wanted = (0..rows * width).map(|at| {
                let (row, column) = (at / width, at % width);
                (0..inner)
                    .map(|k| f64::from(left[row * a + k]) * f64::from(right[k * b + column]))
                    .sum::<f64>()
            });
            for (found, wanted) in found.iter().zip(wanted) {
                assert!(
                    (f64::from(*found) - wanted).abs() < 1e-4,
                    "{found} {wanted}"
                );
            }
        }
    }

    #[test]
    fn a_frame_is_convolved_channel_by_channel() {
        let (channels, taps) = (11, 4);
        let (window, weights, bias) = (
            wave(channels * taps, 0.2),
            wave(channels * taps, 0.8),
            wave(channels, 1.1),
        );
        let mut found = vec![0.0; channels];
        depthwise(&window, &weights, &bias, true, &mut found);
        let wanted = (0..channels).map(|n| {
            let sum = (0..taps)
                .map(|t| f64::from(window[t * channels + n] * weights[t * channels + n]))
                .sum::<f64>();
            let value = sum + f64::from(bias[n]);
            value / (1.0 + (-value).exp())
        });
        close(&found, &wanted.collect::<Vec<_>>());
    }
}
