//! Activations, quantised row by row as they come.

use super::QUAD;
use super::int4::GROUP;
use super::tier::{Format, Tier};

/// Rows of activations in symmetric int8 with one scale a row, written as one kind of kernel wants them. Keeps its memory
/// from step to step.
#[derive(Debug, Clone)]
pub struct Rows {
    tier: Tier,
    format: Format,
    inputs: usize,
    scales: Vec<f32>,
    /// Values of all rows, each filled up to `stride` bytes; what they are filled up with meets weights of nought.
    bytes: Vec<u8>,
    /// Sums of the values of each group of each row, for int4 weights.
    group_sums: Vec<i32>,
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
            group_sums: Vec::new(),
        }
    }

    /// Replaces the rows by `activations`, row-major `[rows][inputs]`: the largest of each row becomes 127. A value that
    /// is not finite spoils its own row and no other.
    ///
    /// # Panics
    /// When `activations` is no whole number of rows.
    pub fn quantise(&mut self, activations: &[f32], inputs: usize) {
        assert!(
            inputs > 0 && activations.len().is_multiple_of(inputs),
            "activations are whole rows"
        );
        let count = activations.len() / inputs;
        self.inputs = inputs;
        self.scales.resize(count, 0.0);
        self.bytes.resize(count * self.stride(), 0);
        #[cfg(target_arch = "x86_64")]
        if self.tier != Tier::Portable {
            // SAFETY: every tier of x86-64 but the portable one is there only when the processor has AVX2.
            return unsafe { self.write_avx2(activations) };
        }
        self.write(activations);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn write_avx2(&mut self, activations: &[f32]) {
        self.write(activations);
    }

    #[inline(always)]
    fn write(&mut self, activations: &[f32]) {
        let stride = self.stride();
        let format = self.format;
        let rows = activations
            .chunks_exact(self.inputs)
            .zip(self.bytes.chunks_exact_mut(stride));
        for ((row, written), scale) in rows.zip(&mut self.scales) {
            let highest = row.iter().fold(0.0f32, |highest, value| {
                let size = value.abs();
                if size > highest { size } else { highest }
            });
            *scale = highest / 127.0;
            let inverse = if highest > 0.0 { 127.0 / highest } else { 0.0 };
            match format {
                Format::Signed | Format::Grouped => {
                    for (byte, &value) in written.iter_mut().zip(row) {
                        *byte = rounded(value * inverse) as u8;
                    }
                }
                Format::Offset => {
                    for (byte, &value) in written.iter_mut().zip(row) {
                        *byte = (rounded(value * inverse) + 128) as u8;
                    }
                }
                Format::Wide => {
                    let (pairs, _) = written.as_chunks_mut::<2>();
                    for (pair, &value) in pairs.iter_mut().zip(row) {
                        *pair = (rounded(value * inverse) as i16).to_le_bytes();
                    }
                }
            }
        }
        if format == Format::Grouped {
            self.sum_groups();
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

    /// Sums of the values in each group of [`GROUP`] inputs, `[rows][groups]`.
    pub(super) fn group_sums(&self) -> &[i32] {
        &self.group_sums
    }

    #[inline(always)]
    fn sum_groups(&mut self) {
        self.group_sums.clear();
        let (groups, _) = self.bytes.as_chunks::<GROUP>();
        let sum =
            |group: &[u8; GROUP]| group.iter().map(|&byte| i32::from(byte as i8)).sum::<i32>();
        self.group_sums.extend(groups.iter().map(sum));
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

/// The nearest integer, ties to even, of a value from -127 to 127. Adding one and a half times 2^23 leaves it in the low
/// bits, which vectorises where a conversion that must saturate does not.
#[inline(always)]
fn rounded(value: f32) -> i32 {
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
    fn a_row_of_zeros_stays_zeros() {
        for tier in Tier::available() {
            let mut rows = Rows::new(tier);
            rows.quantise(&[1.0; 9], 9);
            rows.quantise(&[0.0; 5], 5);
            assert!((0..5).all(|input| rows.value(0, input) == 0) && rows.count() == 1);
        }
    }
}
