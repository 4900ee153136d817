//! What follows the sums: scales, bias, activation, residual.

use super::tier::Tier;
use super::{CHANNELS, Int4Weights, Int8Weights, Rows, Source, each, fill, part};

/// What a layer does with its sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Nothing.
    None,
    /// max(x, 0).
    Relu,
    /// x sigmoid(x).
    Silu,
    /// The first half of the channels times the sigmoid of the second half.
    Glu,
}

impl Activation {
    /// Channels that are left of so many.
    pub fn outputs(self, channels: usize) -> usize {
        match self {
            Activation::Glu => channels / 2,
            _ => channels,
        }
    }
}

/// From integer sums to a layer's output.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a> {
    /// Added to each channel: one for all rows, or `[rows][channels filled up to 16]`.
    pub bias: &'a [f32],
    /// Applied after it.
    pub activation: Activation,
    /// Added at last, of the shape of the output.
    pub residual: Option<&'a [f32]>,
}

impl Epilogue<'_> {
    /// Writes the output, row-major `[rows][outputs]`, from `sums` as [`multiply`](super::multiply) left them.
    ///
    /// # Panics
    /// When a length does not fit the others.
    pub fn apply(
        &self,
        tier: Tier,
        rows: &Rows,
        weights: &Int8Weights,
        sums: &[i32],
        out: &mut [f32],
    ) {
        let layer = Layer {
            sums,
            width: weights.padded_outputs(),
            scales: &weights.scales()[..weights.outputs()],
            rows: Some(rows.scales()),
        };
        self.run(tier, layer, out);
    }

    /// The same for rows of one scale whose sums lie behind each other without a gap, as those of one long row: `bias` and
    /// `scales`, of the weights, have a value for each sum.
    ///
    /// # Panics
    /// When a length does not fit the others.
    pub fn apply_as_one(
        &self,
        tier: Tier,
        rows: &Rows,
        scales: &[f32],
        sums: &[i32],
        out: &mut [f32],
    ) {
        let layer = Layer {
            sums,
            width: sums.len(),
            scales,
            rows: rows.scales().get(..1),
        };
        self.run(tier, layer, out);
    }

    /// The same from sums as [`multiply_int4`](super::multiply_int4) left them.
    ///
    /// # Panics
    /// When a length does not fit the others.
    pub fn apply_int4(
        &self,
        tier: Tier,
        rows: &Rows,
        weights: &Int4Weights,
        sums: &[f32],
        out: &mut [f32],
    ) {
        let width = weights.padded_outputs();
        let layer = Layer {
            sums,
            width,
            scales: Scaled(weights.outputs()),
            rows: Some(rows.scales()),
        };
        self.run(tier, layer, out);
    }

    /// The same from sums of floats of so many channels, as [`multiply_float`](super::multiply_float) left them.
    ///
    /// # Panics
    /// When a length does not fit the others.
    pub fn apply_float(&self, tier: Tier, channels: usize, sums: &[f32], out: &mut [f32]) {
        let layer = Layer {
            sums,
            width: channels.next_multiple_of(CHANNELS),
            scales: Scaled(channels),
            rows: None,
        };
        self.run(tier, layer, out);
    }

    fn run<S: Copy, C: Channels<S>>(&self, tier: Tier, layer: Layer<S, C>, out: &mut [f32]) {
        let channels = layer.scales.count();
        assert_eq!(
            out.len(),
            layer.sums.len() / layer.width * self.activation.outputs(channels),
            "output"
        );
        assert!(
            layer
                .rows
                .is_none_or(|rows| rows.len() * layer.width == layer.sums.len()),
            "scales of the rows"
        );
        assert!(
            self.residual
                .is_none_or(|residual| residual.len() == out.len()),
            "residual"
        );
        assert!(
            self.bias.len() == channels || self.bias.len() == layer.sums.len(),
            "bias"
        );
        #[cfg(target_arch = "x86_64")]
        match tier {
            Tier::Portable => {}
            // SAFETY: the tier is there only when the processor has these parts of AVX-512.
            Tier::Avx512Vnni => return unsafe { self.write_avx512(layer, out) },
            // SAFETY: the other tiers are there only when the processor has AVX2.
            _ => return unsafe { self.write_avx2(layer, out) },
        }
        let _ = tier;
        self.write(layer, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
    fn write_avx512<S: Copy, C: Channels<S>>(&self, layer: Layer<S, C>, out: &mut [f32]) {
        self.write(layer, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn write_avx2<S: Copy, C: Channels<S>>(&self, layer: Layer<S, C>, out: &mut [f32]) {
        self.write(layer, out);
    }

    #[inline(always)]
    fn write<S: Copy, C: Channels<S>>(&self, layer: Layer<S, C>, out: &mut [f32]) {
        let channels = layer.scales.count();
        let outputs = self.activation.outputs(channels);
        let rows = layer
            .sums
            .chunks_exact(layer.width)
            .zip(out.chunks_exact_mut(outputs))
            .enumerate();
        for (number, (sums, out)) in rows {
            let scale = layer.rows.map_or(1.0, |rows| rows[number]);
            let bias = if self.bias.len() == channels {
                self.bias
            } else {
                &self.bias[number * layer.width..][..channels]
            };
            let row = Row {
                sums: &sums[..channels],
                scales: layer.scales,
                bias,
                scale,
            };
            match self.activation {
                Activation::None => fill(out, &row),
                Activation::Relu => {
                    let relu = |value| if value > 0.0 { value } else { 0.0 };
                    fill(out, &Activated(row, relu));
                }
                Activation::Silu => fill(out, &Activated(row, |value| value * sigmoid(value))),
                Activation::Glu => {
                    let (values, gates) = row.split_at(outputs);
                    fill(out, &Gated(values, gates));
                }
            }
        }
        if let Some(residual) = self.residual {
            for (out, more) in out.iter_mut().zip(residual) {
                *out += more;
            }
        }
    }
}

/// Sums `[rows][width]` with what they are worth.
#[derive(Clone, Copy)]
struct Layer<'a, S, C> {
    sums: &'a [S],
    width: usize,
    scales: C,
    /// Scale of each row, one if there are none.
    rows: Option<&'a [f32]>,
}

/// What the sums of channels are worth.
trait Channels<S>: Copy {
    fn count(&self) -> usize;
    fn split_at(self, at: usize) -> (Self, Self);
    /// Of N channels from `at` on, in a row of this scale.
    fn values<const N: usize>(&self, sums: &[S; N], row: f32, at: usize) -> [f32; N];
}

/// Exact sums, a scale for each channel.
impl Channels<i32> for &[f32] {
    #[inline(always)]
    fn count(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        <[f32]>::split_at(self, at)
    }

    #[inline(always)]
    fn values<const N: usize>(&self, sums: &[i32; N], row: f32, at: usize) -> [f32; N] {
        let scales: &[f32; N] = part(self, at);
        let mut values = [0.0; N];
        for ((value, sum), scale) in values.iter_mut().zip(sums).zip(scales) {
            *value = *sum as f32 * (row * scale);
        }
        values
    }
}

/// Sums that have their weights' scales in them, of so many channels.
#[derive(Clone, Copy)]
struct Scaled(usize);

impl Channels<f32> for Scaled {
    #[inline(always)]
    fn count(&self) -> usize {
        self.0
    }

    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        (Scaled(at), Scaled(self.0 - at))
    }

    #[inline(always)]
    fn values<const N: usize>(&self, sums: &[f32; N], row: f32, _: usize) -> [f32; N] {
        each(*sums, |sum| sum * row)
    }
}

/// Channels of one row.
#[derive(Clone, Copy)]
struct Row<'a, S, C> {
    sums: &'a [S],
    scales: C,
    bias: &'a [f32],
    /// Of the row.
    scale: f32,
}

impl<S: Copy, C: Channels<S>> Source for Row<'_, S, C> {
    #[inline(always)]
    fn values<const N: usize>(&self, at: usize) -> [f32; N] {
        let bias: &[f32; N] = part(self.bias, at);
        let mut values = self.scales.values(part(self.sums, at), self.scale, at);
        for (value, bias) in values.iter_mut().zip(bias) {
            *value += bias;
        }
        values
    }
}

/// A source with a function of each value.
struct Activated<R, F>(R, F);

impl<R: Source, F: Fn(f32) -> f32> Source for Activated<R, F> {
    #[inline(always)]
    fn values<const N: usize>(&self, at: usize) -> [f32; N] {
        each(self.0.values(at), &self.1)
    }
}

/// A source times the sigmoid of another.
struct Gated<R>(R, R);

impl<R: Source> Source for Gated<R> {
    #[inline(always)]
    fn values<const N: usize>(&self, at: usize) -> [f32; N] {
        let mut values: [f32; N] = self.0.values(at);
        let gates: [f32; N] = self.1.values(at);
        for (value, gate) in values.iter_mut().zip(gates) {
            *value *= sigmoid(gate);
        }
        values
    }
}

impl<S: Copy, C: Channels<S>> Row<'_, S, C> {
    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        let (sums, more_sums) = self.sums.split_at(at);
        let (scales, more_scales) = self.scales.split_at(at);
        let (bias, more_bias) = self.bias.split_at(at);
        let first = Row {
            sums,
            scales,
            bias,
            ..self
        };
        (
            first,
            Row {
                sums: more_sums,
                scales: more_scales,
                bias: more_bias,
                ..self
            },
        )
    }
}

/// 1 / (1 + e^-x), to about three parts in ten million.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// e^x for x from -87 to 87, beyond which it stays where it is: a power of two times a polynomial (S. Moshier, Cephes,
/// `expf`), in operations that vectorise and round alike on every processor.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    let x = if x > 87.0 { 87.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let power = shifted - MAGIC;
    let rest = x - power * 0.693_359_4;
    let rest = rest - power * -2.121_944_4e-4;
    let polynomial = 1.987_569_2e-4;
    let polynomial = polynomial * rest + 1.398_2e-3;
    let polynomial = polynomial * rest + 8.333_452e-3;
    let polynomial = polynomial * rest + 4.166_579_6e-2;
    let polynomial = polynomial * rest + 1.666_666_5e-1;
    let polynomial = polynomial * rest + 0.5;
    let mantissa = polynomial * rest * rest + rest + 1.0;
    mantissa * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_sigmoid_are_close_to_the_library() {
        for step in -9_000..9_000 {
            let x = step as f32 * 0.01;
            let wanted = f64::from(x.clamp(-87.0, 87.0)).exp();
            assert!(
                (f64::from(exp(x)) / wanted - 1.0).abs() < 3e-7,
                "{x}: {} {wanted}",
                exp(x)
            );
            let wanted = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) - wanted).abs() < 3e-7, "{x}");
        }
    }

    #[test]
    fn every_tier_gives_the_same_bits_with_every_activation() {
        let (inputs, outputs, count) = (24, 22, 3);
        let weight: Vec<f32> = (0..inputs * outputs)
            .map(|n| (n as f32 * 0.9).sin())
            .collect();
        let activations: Vec<f32> = (0..inputs * count)
            .map(|n| (n as f32 * 0.13).cos() * 4.0)
            .collect();
        let bias: Vec<f32> = (0..outputs).map(|n| n as f32 * 0.1 - 1.0).collect();
        let weights = Int8Weights::quantise(&weight, inputs, outputs);
        for activation in [
            Activation::None,
            Activation::Relu,
            Activation::Silu,
            Activation::Glu,
        ] {
            let size = count * activation.outputs(outputs);
            let residual: Vec<f32> = (0..size).map(|n| n as f32).collect();
            let run = |tier| {
                let mut rows = Rows::new(tier);
                rows.quantise(&activations, inputs);
                let mut sums = Vec::new();
                super::super::multiply(tier, &rows, &weights, &mut sums);
                let mut out = vec![0.0; size];
                let epilogue = Epilogue {
                    bias: &bias,
                    activation,
                    residual: Some(&residual),
                };
                epilogue.apply(tier, &rows, &weights, &sums, &mut out);
                out
            };
            let wanted = run(Tier::Portable);
            for tier in Tier::available() {
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&run(tier)), bits(&wanted), "{tier} {activation:?}");
            }
        }
    }
}
