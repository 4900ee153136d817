//! Activations, quantised row by row as they come.

use super::QUAD;
use super::float::Left;
use super::int4::{GROUP, ZERO};
use super::tier::{Format, Tier};

/// Rows of activations in symmetric int8 with one scale a row, written as one kind of kernel wants them. Keeps its memory
/// from step to step.
#[derive(Debug, Clone)]
pub struct Rows {
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "for kernels of x86-64")
    )]
    tier: Tier,
    format: Format,
    inputs: usize,
    scales: Vec<f32>,
    /// Values of all rows, each filled up to `stride` bytes; what they are filled up with meets weights of nought.
    bytes: Vec<u8>,
    /// For int4 weights: see [`Rows::corrections`].
    corrections: Vec<i32>,
}

impl Rows {
    /// No rows yet, to be multiplied by int8 weights with kernels of this tier.
    pub fn new(tier: Tier) -> Rows {
        Rows::written(tier, tier.format())
    }

    /// The same for int4 weights.
    pub fn for_int4(tier: Tier) -> Rows {
        Rows::written(tier, Format::Grouped)
    }

    fn written(tier: Tier, format: Format) -> Rows {
        Rows {
            tier,
            format,
            inputs: 0,
            scales: Vec::new(),
            bytes: Vec::new(),
            corrections: Vec::new(),
        }
    }

    /// Replaces the rows by `activations`, row-major `[rows][inputs]`: the largest of each row becomes 127. A value that
    /// is not finite spoils its own row and no other.
    ///
    /// # Panics
    /// When `activations` is no whole number of rows.
    pub fn quantise(&mut self, activations: &[f32], inputs: usize) {
        self.fill(activations, inputs, None);
    }

    /// The same with one scale for all that was chosen before: a value is rounded to a multiple of the scale, moved by the zero
    /// point and limited to -128 to 127. The zero point is for the layer to take off again.
    ///
    /// # Panics
    /// When `activations` is no whole number of rows.
    pub fn quantise_fixed(&mut self, activations: &[f32], inputs: usize, scaling: Scaling) {
        self.fill(activations, inputs, Some(scaling));
    }

    /// The same with one scale for `count` rows that lie in a larger array and may overlap, as what a convolution's kernel
    /// covers from place to place does: the largest value from the first row to the last becomes 127.
    ///
    /// # Panics
    /// When the array is too short.
    pub fn quantise_windows(&mut self, windows: Left, count: usize) {
        self.make_room(windows.terms(), count);
        self.run(Values::Windows(windows));
    }

    fn fill(&mut self, activations: &[f32], inputs: usize, fixed: Option<Scaling>) {
        assert!(
            inputs > 0 && activations.len().is_multiple_of(inputs),
            "activations are whole rows"
        );
        self.make_room(inputs, activations.len() / inputs);
        self.run(Values::Rows(activations, fixed));
    }

    fn make_room(&mut self, inputs: usize, count: usize) {
        self.inputs = inputs;
        self.scales.resize(count, 0.0);
        self.bytes.resize(count * self.stride(), 0);
    }

    fn run(&mut self, values: Values) {
        #[cfg(target_arch = "x86_64")]
        match self.tier {
            Tier::Portable => {}
            // SAFETY: the tier is there only when the processor has these parts of AVX-512.
            Tier::Avx512Vnni => return unsafe { self.write_avx512(values) },
            // SAFETY: the other tiers are there only when the processor has AVX2.
            _ => return unsafe { self.write_avx2(values) },
        }
        self.write(values);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
    fn write_avx512(&mut self, values: Values) {
        self.write(values);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn write_avx2(&mut self, values: Values) {
        self.write(values);
    }

    #[inline(always)]
    fn write(&mut self, values: Values) {
        match values {
            Values::Rows(activations, fixed) => self.write_rows(activations, fixed),
            Values::Windows(windows) => self.write_windows(windows),
        }
        if self.format == Format::Grouped {
            self.correct_groups();
        }
    }

    #[inline(always)]
    fn write_windows(&mut self, windows: Left) {
        let (stride, format, count) = (self.stride(), self.format, self.count());
        let run = windows.stride * count.saturating_sub(1) + windows.inner;
        let mut highest = 0.0f32;
        for segment in 0..windows.segments {
            highest = highest.max(largest(&windows.values[segment * windows.apart..][..run]));
        }
        self.scales.fill(highest / 127.0);
        let inverse = if highest > 0.0 { 127.0 / highest } else { 0.0 };
        for (number, written) in self.bytes.chunks_exact_mut(stride).enumerate() {
            let written = written.chunks_mut(windows.inner * format.width());
            for (segment, written) in (0..windows.segments).zip(written) {
                let start = number * windows.stride + segment * windows.apart;
                let values = &windows.values[start..][..windows.inner];
                write_row(format, values, written, |value| rounded(value * inverse));
            }
        }
    }

    #[inline(always)]
    fn write_rows(&mut self, activations: &[f32], fixed: Option<Scaling>) {
        let stride = self.stride();
        let format = self.format;
        let rows = activations
            .chunks_exact(self.inputs)
            .zip(self.bytes.chunks_exact_mut(stride));
        for ((row, written), scale) in rows.zip(&mut self.scales) {
            if let Some(fixed) = fixed {
                let (lowest, highest) = fixed.limits();
                *scale = fixed.scale;
                write_row(format, row, written, |value| {
                    let value = value / fixed.scale;
                    let value = if value > highest { highest } else { value };
                    let value = if value < lowest { lowest } else { value };
                    rounded(value) + fixed.zero
                });
                continue;
            }
            let highest = largest(row);
            *scale = highest / 127.0;
            let inverse = if highest > 0.0 { 127.0 / highest } else { 0.0 };
            write_row(format, row, written, |value| rounded(value * inverse));
        }
    }

    /// Whether they are written for int8 weights and this tier.
    pub(super) fn suits(&self, tier: Tier) -> bool {
        self.format == tier.format()
    }

    /// Whether they are written for int4 weights.
    pub(super) fn suits_int4(&self) -> bool {
        self.format == Format::Grouped
    }

    /// What to add to the sum of a row's products with int4 weights that are written [`ZERO`] too high, for each group of
    /// [`GROUP`] inputs, `[groups][rows]`.
    pub(super) fn corrections(&self) -> &[i32] {
        &self.corrections
    }

    #[inline(always)]
    fn correct_groups(&mut self) {
        let (count, stride) = (self.count(), self.stride());
        self.corrections.resize(stride / GROUP * count, 0);
        for (number, row) in self.bytes.chunks_exact(stride).enumerate() {
            let (groups, _) = row.as_chunks::<GROUP>();
            let corrections = self.corrections[number..].iter_mut().step_by(count);
            for (correction, group) in corrections.zip(groups) {
                let mut sum = 0;
                for &byte in group {
                    sum += i32::from(byte as i8);
                }
                *correction = -i32::from(ZERO) * sum;
            }
        }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.scales.len()
    }

    /// Values of a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// A quantised value, -127 to 127.
    pub fn value(&self, row: usize, input: usize) -> i8 {
        let format = self.format;
        let byte = self.bytes[row * self.stride() + input * format.width()];
        match format {
            Format::Signed | Format::Grouped | Format::Wide => byte as i8,
            Format::Offset => byte.wrapping_sub(128) as i8,
        }
    }

    /// Scale of each row.
    pub(super) fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Bytes of a row.
    pub(super) fn stride(&self) -> usize {
        let unit = if self.format == Format::Grouped {
            GROUP
        } else {
            QUAD
        };
        self.inputs.next_multiple_of(unit) * self.format.width()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where the values of rows lie.
#[derive(Clone, Copy)]
enum Values<'a> {
    /// One behind the other, perhaps with a scale that was chosen before.
    Rows(&'a [f32], Option<Scaling>),
    /// In a larger array.
    Windows(Left<'a>),
}

/// A scale for all values of a layer's input, with the integer, -128 to 127, that stands for nought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    /// What a step is worth, above nought.
    pub scale: f32,
    /// The integer that stands for nought.
    pub zero: i32,
}

impl Scaling {
    /// Smallest and largest multiple of the scale that has an integer.
    pub fn limits(&self) -> (f32, f32) {
        ((-128 - self.zero) as f32, (127 - self.zero) as f32)
    }
}

/// The largest size of a value, NaN apart. In sixteen lanes, which vectorise; the order does not matter to it.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    const LANES: usize = 16;
    let larger = |one: f32, other: f32| if other > one { other } else { one };
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value.abs());
        }
    }
    let rest = rest.iter().map(|value| value.abs());
    lanes.into_iter().chain(rest).fold(0.0, larger)
}

/// Writes the integers of a row. In arrays of sixteen, these loops would not vectorise: measured four times slower.
#[inline(always)]
fn write_row(format: Format, row: &[f32], written: &mut [u8], integer: impl Fn(f32) -> i32) {
    match format {
        Format::Signed | Format::Grouped => {
            for (byte, &value) in written.iter_mut().zip(row) {
                *byte = integer(value) as u8;
            }
        }
        Format::Offset => {
            for (byte, &value) in written.iter_mut().zip(row) {
                *byte = (integer(value) + 128) as u8;
            }
        }
        Format::Wide => {
            let (pairs, _) = written.as_chunks_mut::<2>();
            for (pair, &value) in pairs.iter_mut().zip(row) {
                *pair = (integer(value) as i16).to_le_bytes();
            }
        }
    }
}

/// The nearest integer, ties to even, of a value from -127 to 127. Adding one and a half times 2^23 leaves it in the low
/// bits, which vectorises where a conversion that must saturate does not.
#[inline(always)]
pub(super) fn rounded(value: f32) -> i32 {
    const MAGIC: f32 = 12_582_912.0;
    (value + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_the_nearest_of_255_steps() {
        let row = [
            0.0,
            1.0,
            -2.0,
            0.5 * 2.0 / 127.0,
            1.4 * 2.0 / 127.0,
            -1.6 * 2.0 / 127.0,
            2.0,
        ];
        for tier in Tier::available() {
            let mut rows = Rows::new(tier);
            rows.quantise(&[row, row.map(|value| -3.0 * value)].concat(), row.len());
            let found: Vec<i8> = (0..row.len()).map(|input| rows.value(0, input)).collect();
            assert_eq!(found, [0, 64, -127, 0, 1, -2, 127], "{tier}");
            let found: Vec<i8> = (0..row.len()).map(|input| rows.value(1, input)).collect();
            assert_eq!(found, [0, -64, 127, 0, -1, 2, -127], "{tier}");
            assert_eq!(rows.scales(), [2.0 / 127.0, 6.0 / 127.0]);
        }
    }

    #[test]
    fn a_fixed_scale_rounds_moves_and_limits() {
        let row = [0.0, 0.25, -0.25, 0.75, 100.0, -100.0, 5.0];
        let scaling = Scaling {
            scale: 0.5,
            zero: -100,
        };
        for tier in Tier::available() {
            for mut rows in [Rows::new(tier), Rows::for_int4(tier)] {
                rows.quantise_fixed(&row, row.len(), scaling);
                let found: Vec<i8> = (0..row.len()).map(|input| rows.value(0, input)).collect();
                assert_eq!(found, [-100, -100, -100, -98, 100, -128, -90], "{tier}");
                assert_eq!(rows.scales(), [0.5]);
            }
        }
    }

    #[test]
    fn windows_share_the_scale_of_all_that_they_cover() {
        // Maps of three rows of six; windows of two rows of three, every two.
        let map: Vec<f32> = (0..18).map(|n| n as f32 - 20.0).collect();
        let windows = Left {
            values: &map[6..],
            stride: 2,
            segments: 2,
            apart: 6,
            inner: 3,
        };
        for tier in Tier::available() {
            let mut rows = Rows::new(tier);
            rows.quantise_windows(windows, 2);
            let scale = 14.0 / 127.0;
            assert_eq!(rows.scales(), [scale; 2]);
            for (row, from) in [6, 8].into_iter().enumerate() {
                for (input, place) in [0, 1, 2, 6, 7, 8].into_iter().enumerate() {
                    let wanted = (map[from + place] * (127.0 / 14.0)).round_ties_even();
                    assert_eq!(f32::from(rows.value(row, input)), wanted, "{tier}");
                }
            }
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zeros() {
        for tier in Tier::available() {
            let mut rows = Rows::new(tier);
            rows.quantise(&[1.0; 9], 9);
            rows.quantise(&[0.0; 5], 5);
            assert!((0..5).all(|input| rows.value(0, input) == 0) && rows.count() == 1);
        }
    }
}
