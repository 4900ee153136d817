//! Products of floats: layers that stay in floats, attention and convolution.
//!
//! Every sum of products runs over its terms in their order, one by one. Where the processor multiplies and adds in one
//! instruction (every tier but the portable one of x86-64) it does so, with one rounding instead of two: the last bits
//! differ there from the portable tier, and are the same on all others.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::strips::with_rows;
use super::tier::Tier;

/// Columns that are summed at once.
pub(super) const LANES: usize = 16;

/// Weights of a layer `[inputs, outputs]` in floats, packed for the kernels.
#[derive(Debug, Clone)]
pub struct FloatWeights {
    inputs: usize,
    outputs: usize,
    /// By panel of sixteen outputs, then by input.
    panels: Vec<[f32; LANES]>,
}

impl FloatWeights {
    /// Packs weights, row-major `[inputs][outputs]`.
    ///
    /// # Panics
    /// When `weight` does not hold `inputs * outputs` values.
    pub fn new(weight: &[f32], inputs: usize, outputs: usize) -> FloatWeights {
        assert_eq!(weight.len(), inputs * outputs, "values of the weight");
        let mut panels = vec![[0.0; LANES]; outputs.div_ceil(LANES) * inputs];
        for (input, row) in weight.chunks(outputs.max(1)).enumerate() {
            for (panel, values) in row.chunks(LANES).enumerate() {
                panels[panel * inputs + input][..values.len()].copy_from_slice(values);
            }
        }
        FloatWeights {
            inputs,
            outputs,
            panels,
        }
    }

    /// Inputs of the layer.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Output channels.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Output channels filled up to whole panels.
    pub fn padded_outputs(&self) -> usize {
        self.outputs.next_multiple_of(LANES)
    }

    /// The weight of an input for an output.
    ///
    /// # Panics
    /// When there is no such input or output.
    #[inline]
    pub fn at(&self, input: usize, output: usize) -> f32 {
        self.panels[output / LANES * self.inputs + input][output % LANES]
    }

    /// The weights as [`FloatWeights::new`] takes them.
    pub fn to_floats(&self) -> Vec<f32> {
        let row = |input| (0..self.outputs).map(move |output| self.at(input, output));
        (0..self.inputs).flat_map(row).collect()
    }

    /// Bytes that a product reads.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.panels[..])
    }
}

/// Rows of the left side of a product inside a larger array: each of `segments` runs of `inner` values.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// The array, from the first value of the first row on.
    pub values: &'a [f32],
    /// From the start of a row to that of the next.
    pub stride: usize,
    /// Runs of a row.
    pub segments: usize,
    /// From the start of a run to that of the next.
    pub apart: usize,
    /// Values of a run.
    pub inner: usize,
}

impl<'a> Left<'a> {
    /// Rows of one run each.
    pub fn rows(values: &'a [f32], stride: usize, inner: usize) -> Left<'a> {
        Left {
            values,
            stride,
            segments: 1,
            apart: 0,
            inner,
        }
    }

    /// Values of a row that are multiplied.
    pub(super) fn terms(&self) -> usize {
        self.segments * self.inner
    }
}

/// The right side of a product, a row for each term, and where its columns go in the output.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    /// From the first value on.
    pub values: &'a [f32],
    /// From the start of a row to that of the next, a multiple of 16.
    pub stride: usize,
    /// Columns, a multiple of 16.
    pub columns: usize,
    /// The column of the output that the first of them is.
    pub first: usize,
}

/// The right side as the kernels take it: by panel of sixteen columns, then by term.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panels<'a> {
    /// Sixteen columns of a term each, from those of the first panel's first term on.
    pub values: &'a [[f32; LANES]],
    /// From a term to the next.
    pub apart: usize,
    /// From a panel to the next.
    pub across: usize,
    /// How many there are.
    pub count: usize,
    /// The column of the output that the first of them begins with.
    pub first: usize,
}

/// The product with constant weights, row-major `[rows][padded outputs]`, overwritten.
///
/// # Panics
/// When the terms of a row are not the inputs of the weights, or `left` is too short.
pub fn multiply_float(tier: Tier, left: Left, weights: &FloatWeights, out: &mut [f32]) {
    assert_eq!(left.terms(), weights.inputs, "inputs of rows and weights");
    let width = weights.padded_outputs();
    let right = Panels {
        values: &weights.panels,
        apart: 1,
        across: weights.inputs,
        count: width / LANES,
        first: 0,
    };
    run(tier, left, right, out, width);
}

/// The product of two matrices, written to some columns of an output that is row-major `[rows][width]`.
///
/// # Panics
/// When columns or stride are no multiples of 16 or a side is too short.
pub fn product(tier: Tier, left: Left, right: Right, out: &mut [f32], width: usize) {
    assert!(
        right.columns.is_multiple_of(LANES) && right.stride.is_multiple_of(LANES),
        "{} columns, {} apart",
        right.columns,
        right.stride
    );
    let (values, _) = right.values.as_chunks();
    let right = Panels {
        values,
        apart: right.stride / LANES,
        across: 1,
        count: right.columns / LANES,
        first: right.first,
    };
    run(tier, left, right, out, width);
}

fn run(tier: Tier, left: Left, right: Panels, out: &mut [f32], width: usize) {
    match tier {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the tier is there only when the processor has AVX512F.
        Tier::Avx512Vnni => unsafe { avx512::multiply(left, right, out, width) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these tiers are there only when the processor has AVX2 and FMA.
        Tier::Avx2 | Tier::AvxVnni => unsafe { avx2(left, right, out, width) },
        _ => plain(left, right, out, width),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(left: Left, right: Panels, out: &mut [f32], width: usize) {
    for panel in 0..right.count {
        strips(out.len() / width, 4, |count, row| {
            with_rows!(count, avx2_strip(left, right, [row, panel], out, width), 1, 2, 3; 4);
        });
    }
}

/// R rows, in a function of its own: where all of them are in one, the compiler does not keep the sums of some in registers.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn avx2_strip<const R: usize>(
    left: Left,
    right: Panels,
    at: [usize; 2],
    out: &mut [f32],
    width: usize,
) {
    strip::<R, true>(left, right, at, out, width);
}

fn plain(left: Left, right: Panels, out: &mut [f32], width: usize) {
    for panel in 0..right.count {
        let rows = out.len() / width;
        if cfg!(target_arch = "aarch64") {
            strips(rows, 4, |count, row| {
                with_rows!(count, plain_strip(left, right, [row, panel], out, width), 1, 2, 3; 4);
            });
        } else {
            strips(rows, 2, |count, row| {
                with_rows!(count, plain_strip(left, right, [row, panel], out, width), 1; 2);
            });
        }
    }
}

#[inline(never)]
fn plain_strip<const R: usize>(
    left: Left,
    right: Panels,
    at: [usize; 2],
    out: &mut [f32],
    width: usize,
) {
    const FUSED: bool = cfg!(target_arch = "aarch64");
    strip::<R, FUSED>(left, right, at, out, width);
}

/// Calls a kernel with the number of rows that it is to take, up to so many and as even as can be, and the first of them.
#[inline(always)]
pub(super) fn strips(rows: usize, most: usize, mut kernel: impl FnMut(usize, usize)) {
    let mut row = 0;
    while row < rows {
        let left = rows - row;
        let count = left.div_ceil(left.div_ceil(most));
        kernel(count, row);
        row += count;
    }
}

/// R rows and a panel; `at` says the first of the rows, and which panel.
#[inline(always)]
fn strip<const R: usize, const FUSED: bool>(
    left: Left,
    right: Panels,
    [row, panel]: [usize; 2],
    out: &mut [f32],
    width: usize,
) {
    let mut totals = [[0.0f32; LANES]; R];
    let mut at = panel * right.across;
    for segment in 0..left.segments {
        let rows: [&[f32]; R] = std::array::from_fn(|n| {
            &left.values[(row + n) * left.stride + segment * left.apart..][..left.inner]
        });
        for k in 0..left.inner {
            let term = &right.values[at];
            at += right.apart;
            for (total, row) in totals.iter_mut().zip(&rows) {
                for (lane, value) in total.iter_mut().zip(term) {
                    *lane = if FUSED {
                        row[k].mul_add(*value, *lane)
                    } else {
                        *lane + row[k] * value
                    };
                }
            }
        }
    }
    for (n, total) in totals.iter().enumerate() {
        let start = (row + n) * width + right.first + panel * LANES;
        out[start..start + LANES].copy_from_slice(total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wave(count: usize, pace: f32) -> Vec<f32> {
        (0..count).map(|n| (n as f32 * pace).sin() * 3.0).collect()
    }

    /// The definition.
    fn naive(
        fused: bool,
        left: &[&[f32]],
        right: impl Fn(usize, usize) -> f32,
        width: usize,
    ) -> Vec<f32> {
        let mut out = Vec::new();
        for row in left {
            for column in 0..width {
                out.push(row.iter().enumerate().fold(0.0f32, |sum, (k, value)| {
                    if fused {
                        value.mul_add(right(k, column), sum)
                    } else {
                        sum + value * right(k, column)
                    }
                }));
            }
        }
        out
    }

    fn fused(tier: Tier) -> bool {
        tier != Tier::Portable || cfg!(target_arch = "aarch64")
    }

    proptest! {
        #[test]
        fn every_kernel_of_this_processor_sums_in_order(
            rows in 1usize..18,
            inputs in 1usize..70,
            outputs in 1usize..70,
            gap in 0usize..5,
            pace in 0.01f32..3.0,
        ) {
            let stride = inputs + gap;
            let (values, weight) = (wave(rows * stride, pace), wave(inputs * outputs, 0.37));
            let weights = FloatWeights::new(&weight, inputs, outputs);
            let padded = weights.padded_outputs();
            let each: Vec<&[f32]> = values.chunks(stride).map(|row| &row[..inputs]).collect();
            for tier in Tier::available() {
                let mut out = vec![7.0; rows * padded];
                multiply_float(tier, Left::rows(&values, stride, inputs), &weights, &mut out);
                let found: Vec<f32> = out.chunks(padded).flat_map(|row| &row[..outputs]).copied().collect();
                let wanted = naive(fused(tier), &each, |k, column| weight[k * outputs + column], outputs);
                prop_assert_eq!(found, wanted, "{}", tier);
            }
        }
    }

    #[test]
    fn rows_of_several_runs_inside_a_larger_array() {
        for (rows, width) in [(11, 16), (11, 48), (3, 80)] {
            several_runs(rows, width);
        }
    }

    fn several_runs(rows: usize, width: usize) {
        let (segments, inner, apart, stride) = (3, 5, 40, 2);
        let values = wave(rows * stride + segments * apart, 0.7);
        let right = wave(segments * inner * (width + 16), 0.3);
        let left = Left {
            values: &values,
            stride,
            segments,
            apart,
            inner,
        };
        let gathered: Vec<Vec<f32>> = (0..rows)
            .map(|row| {
                (0..segments)
                    .flat_map(|s| &values[row * stride + s * apart..][..inner])
                    .copied()
                    .collect()
            })
            .collect();
        let each: Vec<&[f32]> = gathered.iter().map(|row| &row[..]).collect();
        for tier in Tier::available() {
            let mut out = vec![7.0; rows * width];
            let right = Right {
                values: &right,
                stride: width + 16,
                columns: width,
                first: 0,
            };
            product(tier, left, right, &mut out, width);
            let wanted = naive(
                fused(tier),
                &each,
                |k, n| right.values[k * (width + 16) + n],
                width,
            );
            assert_eq!(out, wanted, "{tier}");
        }
    }
}
