//! Arithmetic over rows of floats. Sums run in eight lanes that are added at the end, so that every processor rounds
//! alike; on x86-64 the same code is compiled for AVX2 and AVX-512, too.

use crate::gemm::{Source, Tier, each, exp, fill, map, part, sigmoid};

const LANES: usize = 8;

/// Compiles a function for AVX2 and AVX-512, too, and calls what the tier, its first argument, stands for.
macro_rules! for_every_tier {
    ($(#[$meta:meta])* $name:ident($($argument:ident: $kind:ty),*) $body:block) => {
        $(#[$meta])*
        pub(super) fn $name(tier: Tier, $($argument: $kind),*) {
            #[inline(always)]
            fn plain($($argument: $kind),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $kind),*) {
                    plain($($argument),*)
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
                fn avx512($($argument: $kind),*) {
                    plain($($argument),*)
                }
                match tier {
                    Tier::Portable => {}
                    // SAFETY: the tier is there only when the processor has these parts of AVX-512.
                    Tier::Avx512Vnni => return unsafe { avx512($($argument),*) },
                    // SAFETY: the other tiers are there only when the processor has AVX2.
                    _ => return unsafe { avx2($($argument),*) },
                }
            }
            let _ = tier;
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

for_every_tier! {
    /// Normalises each row to mean 0 and variance 1, then `gain` and `shift`.
    layer_norm(rows: &[f32], gain: &[f32], shift: &[f32], epsilon: f32, out: &mut [f32]) {
        let width = gain.len();
        for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let count = width as f32;
            let mean = sum(row, |value| value) / count;
            let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
            let inverse = 1.0 / (variance + epsilon).sqrt();
            let affine = Affine { row, mean, inverse, gain, shift };
            fill(out, &affine);
        }
    }
}

for_every_tier! {
    /// e^x over its sum.
    softmax(row: &mut [f32]) {
        softmax_of(row);
    }
}

#[inline(always)]
fn softmax_of(row: &mut [f32]) {
    let highest = highest(row);
    map(row, |value| exp(value - highest));
    let inverse = 1.0 / sum(row, |value| value);
    map(row, |value| value * inverse);
}

for_every_tier! {
    /// Logarithm of the softmax.
    log_softmax(row: &mut [f32]) {
        let highest = highest(row);
        let total = sum(row, |value| exp(value - highest));
        let level = highest + total.ln();
        map(row, |value| value - level);
    }
}

#[inline(always)]
fn scale_and_add(values: &mut [f32], scale: f32, biases: &[f32]) {
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    let (bias_chunks, more) = biases.as_chunks::<LANES>();
    for (values, biases) in chunks.iter_mut().zip(bias_chunks) {
        for (value, bias) in values.iter_mut().zip(biases) {
            *value = *value * scale + bias;
        }
    }
    for (value, bias) in rest.iter_mut().zip(more) {
        *value = *value * scale + bias;
    }
}

for_every_tier! {
    /// Attention weights: softmax over the first `width` values of each row of `padded`, each scaled and with its bias. The
    /// values go round: that of the first bias is number `oldest`.
    attend(rows: &mut [f32], padded: usize, scale: f32, biases: &[f32], width: usize, oldest: usize) {
        for (row, bias) in rows.chunks_exact_mut(padded).zip(biases.chunks_exact(width)) {
            let row = &mut row[..width];
            let (later, first) = row.split_at_mut(oldest);
            let (bias, more) = bias.split_at(first.len());
            scale_and_add(first, scale, bias);
            scale_and_add(later, scale, more);
            softmax_of(row);
        }
    }
}

for_every_tier! {
    /// Attention weights of sixteen rows side by side: softmax over each column of rows of `padded` values, a multiple of
    /// sixteen, each value scaled and with the bias of its row. The sums are those of [`attend`] to the last bit.
    attend_by_column(rows: &mut [f32], padded: usize, scale: f32, biases: &[f32]) {
        for column in (0..padded).step_by(COLUMNS) {
            columns_softmax(rows, padded, column, scale, biases);
        }
    }
}

/// Columns whose softmax is computed side by side.
const COLUMNS: usize = 16;

#[inline(always)]
fn columns_softmax(rows: &mut [f32], padded: usize, column: usize, scale: f32, biases: &[f32]) {
    let mut highest = [f32::NEG_INFINITY; COLUMNS];
    for (row, bias) in rows.chunks_exact_mut(padded).zip(biases) {
        let values = columns(row, column);
        *values = each(*values, |value| value * scale + bias);
        for (highest, &value) in highest.iter_mut().zip(values.iter()) {
            *highest = if value > *highest { value } else { *highest };
        }
    }
    for row in rows.chunks_exact_mut(padded) {
        for (value, highest) in columns(row, column).iter_mut().zip(highest) {
            *value = exp(*value - highest);
        }
    }
    let inverse = columns_sum(rows, padded, column).map(|sum| 1.0 / sum);
    for row in rows.chunks_exact_mut(padded) {
        for (value, inverse) in columns(row, column).iter_mut().zip(inverse) {
            *value *= inverse;
        }
    }
}

/// Sums of columns, in lanes as [`sum`] has them.
#[inline(always)]
fn columns_sum(rows: &mut [f32], padded: usize, column: usize) -> [f32; COLUMNS] {
    let mut lanes = [[0.0f32; COLUMNS]; LANES];
    let mut strips = rows.chunks_exact_mut(LANES * padded);
    for strip in &mut strips {
        for (number, lane) in lanes.iter_mut().enumerate() {
            *lane = both(*lane, *columns(&mut strip[number * padded..], column));
        }
    }
    let rest = strips.into_remainder().chunks_exact_mut(padded);
    for (lane, row) in lanes.iter_mut().zip(rest) {
        *lane = both(*lane, *columns(row, column));
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    both(both(both(a, e), both(c, g)), both(both(b, f), both(d, h)))
}

/// The sums of two arrays.
#[inline(always)]
fn both(mut one: [f32; COLUMNS], other: [f32; COLUMNS]) -> [f32; COLUMNS] {
    for (one, other) in one.iter_mut().zip(other) {
        *one += other;
    }
    one
}

#[inline(always)]
fn columns(row: &mut [f32], from: usize) -> &mut [f32; COLUMNS] {
    row[from..].first_chunk_mut().expect("columns of a row")
}

for_every_tier! {
    /// Depthwise convolution of the frames of `out`: of each, `taps` rows of `window` from its own on with those of `weights`, a
    /// channel each column, then `bias` and, if wanted, SiLU.
    depthwise(window: &[f32], weights: &[f32], bias: &[f32], silu: bool, out: &mut [f32]) {
        let width = bias.len();
        for (frame, out) in out.chunks_exact_mut(width).enumerate() {
            let window = &window[frame * width..][..weights.len()];
            let sums = Depthwise { window, weights, bias };
            if silu {
                fill(out, &Activated(sums));
            } else {
                fill(out, &sums);
            }
        }
    }
}

/// SiLU of what a source has.
struct Activated<S>(S);

impl<S: Source> Source for Activated<S> {
    #[inline(always)]
    fn values<const N: usize>(&self, at: usize) -> [f32; N] {
        each(self.0.values(at), |value| value * sigmoid(value))
    }
}

/// Sums of a depthwise convolution at one frame.
struct Depthwise<'a> {
    window: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
}

impl Source for Depthwise<'_> {
    #[inline(always)]
    fn values<const N: usize>(&self, at: usize) -> [f32; N] {
        let width = self.bias.len();
        let mut totals: [f32; N] = *part(self.bias, at);
        let rows = self.window[at..].chunks(width);
        for (row, weights) in rows.zip(self.weights[at..].chunks(width)) {
            let (row, weights): (&[f32; N], &[f32; N]) = (part(row, 0), part(weights, 0));
            for ((total, value), weight) in totals.iter_mut().zip(row).zip(weights) {
                *total += value * weight;
            }
        }
        totals
    }
}

/// A row normalised, with a gain and a shift for each value.
struct Affine<'a> {
    row: &'a [f32],
    mean: f32,
    inverse: f32,
    gain: &'a [f32],
    shift: &'a [f32],
}

impl Source for Affine<'_> {
    #[inline(always)]
    fn values<const N: usize>(&self, at: usize) -> [f32; N] {
        let (gain, shift): (&[f32; N], &[f32; N]) = (part(self.gain, at), part(self.shift, at));
        let mut values: [f32; N] = *part(self.row, at);
        for ((value, gain), shift) in values.iter_mut().zip(gain).zip(shift) {
            *value = (*value - self.mean) * self.inverse * gain + shift;
        }
        values
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
            for tier in Tier::available() {
                let mut found = vec![0.0; width];
                layer_norm(tier, &row, &gain, &shift, 1e-5, &mut found);
                close(&found, &wanted);
            }
        }
    }

    #[test]
    fn softmax_and_its_logarithm() {
        for width in [1, 5, 8, 56, 83] {
            let row = wave(width, 1.3);
            let total: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
            let wanted: Vec<f64> = row.iter().map(|&v| f64::from(v).exp() / total).collect();
            for tier in Tier::available() {
                let mut found = row.clone();
                softmax(tier, &mut found);
                close(&found, &wanted);
                let mut found = row.clone();
                log_softmax(tier, &mut found);
                close(&found, &wanted.iter().map(|p| p.ln()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn attention_weights_go_round_with_their_frames() {
        let (width, padded, rows) = (11, 16, 2);
        let (scores, bias) = (wave(rows * width, 0.9), wave(rows * width, 0.4));
        let wanted = |row: usize| -> Vec<f64> {
            let terms = (0..width).map(|n| {
                let at = row * width + n;
                (f64::from(scores[at]) * 0.5 + f64::from(bias[at])).exp()
            });
            let terms: Vec<f64> = terms.collect();
            let total: f64 = terms.iter().sum();
            terms.into_iter().map(|term| term / total).collect()
        };
        for oldest in [0, 4, 10] {
            for tier in Tier::available() {
                let mut found = vec![9.0; rows * padded];
                for (row, scores) in found.chunks_mut(padded).zip(scores.chunks(width)) {
                    row[..width].copy_from_slice(scores);
                    row[..width].rotate_right(oldest);
                }
                attend(tier, &mut found, padded, 0.5, &bias, width, oldest);
                for (row, found) in found.chunks_mut(padded).enumerate() {
                    found[..width].rotate_left(oldest);
                    close(&found[..width], &wanted(row));
                }
            }
        }
    }

    #[test]
    fn attention_by_column_gives_the_same_bits_as_by_row() {
        for rows in [1, 2, 7, 8, 9, 16, 23, 40] {
            let (scores, bias) = (wave(rows * rows, 0.9), wave(rows, 0.4));
            let padded = rows.next_multiple_of(COLUMNS);
            for tier in Tier::available() {
                let mut by_row = scores.clone();
                attend(tier, &mut by_row, rows, 0.5, &bias.repeat(rows), rows, 0);
                let mut by_column = vec![0.0; rows * padded];
                for (number, score) in scores.iter().enumerate() {
                    by_column[number % rows * padded + number / rows] = *score;
                }
                attend_by_column(tier, &mut by_column, padded, 0.5, &bias);
                for (number, wanted) in by_row.iter().enumerate() {
                    let found = by_column[number % rows * padded + number / rows];
                    assert_eq!(found.to_bits(), wanted.to_bits(), "{rows} rows, {tier}");
                }
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
        let wanted = (0..channels).map(|n| {
            let sum = (0..taps)
                .map(|t| f64::from(window[t * channels + n] * weights[t * channels + n]))
                .sum::<f64>();
            let value = sum + f64::from(bias[n]);
            value / (1.0 + (-value).exp())
        });
        let wanted: Vec<f64> = wanted.collect();
        for tier in Tier::available() {
            let mut found = vec![0.0; channels];
            depthwise(tier, &window, &weights, &bias, true, &mut found);
            close(&found, &wanted);
        }
    }
}
