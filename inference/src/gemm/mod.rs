//! Low-precision matrix products: rows of activations, quantised as they come, times weights quantised long before.
//!
//! A layer's weights lie in panels of 16 output channels; within a panel the inputs go by fours, the *quads*
//! that dot-product instructions take: 16 channels × 4 inputs are one block of 64 bytes. All kernels read this one
//! layout, all of them sum exactly in 32 bits, and the arithmetic in floats before and after is written once: whatever
//! a processor has, the result is the same to the last bit. Layers that stay in floats have kernels here, too
//! ([`multiply_float`]), of which that is true but for the portable ones of x86-64.

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod epilogue;
mod float;
mod int4;
mod lanes;
mod portable;
#[cfg(test)]
mod quantise;
mod rows;
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "for kernels of those")
)]
mod strips;
mod tier;
#[cfg(target_arch = "x86_64")]
mod vnni;
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use epilogue::{Activation, Epilogue};
pub(crate) use epilogue::{exp, sigmoid};
pub use float::{FloatWeights, Left, Right, multiply_float, product};
pub use int4::{GROUP, Int4Weights};
pub(crate) use lanes::{Source, each, fill, map, part};
pub use rows::{Rows, Scaling};
pub use tier::{Tier, UnknownTier};
pub use weights::Int8Weights;

/// Output channels of a panel.
const CHANNELS: usize = 16;
/// Inputs that are multiplied and summed at once.
const QUAD: usize = 4;

/// 16 channels of four inputs each; the alignment is that of a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Block([i8; CHANNELS * QUAD]);

/// Exact sums of products: for each row, and each channel of the weights filled up to whole panels, the sum over the
/// inputs, row-major `[rows][channels]`. They are written to the beginning of `sums`, which grows where it is too short.
///
/// # Panics
/// When rows and weights differ in their number of inputs, or the rows are written for another tier or int4 weights.
pub fn multiply<'a>(
    tier: Tier,
    rows: &Rows,
    weights: &Int8Weights,
    sums: &'a mut Vec<i32>,
) -> &'a [i32] {
    assert_eq!(
        rows.inputs(),
        weights.inputs(),
        "inputs of rows and weights"
    );
    assert!(rows.suits(tier), "rows for these kernels");
    let sums = room(sums, rows.count() * weights.padded_outputs());
    match tier {
        Tier::Portable => portable::multiply(rows, weights, sums),
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => x86::avx2(rows, weights, sums),
        #[cfg(target_arch = "x86_64")]
        Tier::AvxVnni => vnni::avx_vnni(rows, weights, sums),
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512Vnni => vnni::avx512_vnni(rows, weights, sums),
        #[cfg(target_arch = "aarch64")]
        Tier::NeonDot => arm::neon_dot(rows, weights, sums),
    }
    sums
}

/// The same with int4 weights: the exact sum of each group of [`GROUP`] inputs times its scale, summed up in floats,
/// group by group.
///
/// # Panics
/// When rows and weights differ in their number of inputs, or the rows are not made by [`Rows::for_int4`].
pub fn multiply_int4<'a>(
    tier: Tier,
    rows: &Rows,
    weights: &Int4Weights,
    sums: &'a mut Vec<f32>,
) -> &'a [f32] {
    assert_eq!(
        rows.inputs(),
        weights.inputs(),
        "inputs of rows and weights"
    );
    assert!(rows.suits_int4(), "rows for int4 weights");
    let sums = room(sums, rows.count() * weights.padded_outputs());
    match tier {
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => x86::avx2_int4(rows, weights, sums),
        #[cfg(target_arch = "x86_64")]
        Tier::AvxVnni => vnni::avx_vnni_int4(rows, weights, sums),
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512Vnni => vnni::avx512_vnni_int4(rows, weights, sums),
        #[cfg(target_arch = "aarch64")]
        Tier::NeonDot => arm::neon_dot_int4(rows, weights, sums),
        Tier::Portable => portable::multiply_int4(rows, weights, sums),
    }
    sums
}

/// The first so many elements, which are there afterwards; what was there stays.
pub(crate) fn room<T: Copy + Default>(elements: &mut Vec<T>, count: usize) -> &mut [T] {
    if elements.len() < count {
        elements.resize(count, T::default());
    }
    &mut elements[..count]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition.
    fn naive(rows: &Rows, weights: &[i8], outputs: usize) -> Vec<i32> {
        let inputs = rows.inputs();
        let mut sums = Vec::new();
        for row in 0..rows.count() {
            for output in 0..outputs {
                let products = (0..inputs).map(|input| {
                    i32::from(rows.value(row, input)) * i32::from(weights[input * outputs + output])
                });
                sums.push(products.sum());
            }
        }
        sums
    }

    fn without_padding(sums: &[i32], weights: &Int8Weights) -> Vec<i32> {
        sums.chunks(weights.padded_outputs())
            .flat_map(|row| &row[..weights.outputs()])
            .copied()
            .collect()
    }

    proptest! {
        #[test]
        fn every_kernel_of_this_processor_sums_exactly(
            count in 1usize..18,
            inputs in 1usize..70,
            outputs in 1usize..70,
            seed in any::<u64>(),
            extreme in any::<bool>(),
        ) {
            let mut state = seed | 1;
            let mut draw = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let drawn = (state >> 33) as i32 % 128;
                if extreme { if drawn & 1 == 0 { -127 } else { 127 } } else { drawn }
            };
            let activations: Vec<f32> = (0..count * inputs).map(|_| draw() as f32).collect();
            let integers: Vec<i8> = (0..inputs * outputs).map(|_| draw() as i8).collect();
            let weights = Int8Weights::from_integers(&integers, inputs, vec![1.0; outputs]);
            for tier in Tier::available() {
                let mut rows = Rows::new(tier);
                rows.quantise(&activations, inputs);
                let mut sums = vec![7; 3];
                multiply(tier, &rows, &weights, &mut sums);
                prop_assert_eq!(
                    without_padding(&sums, &weights),
                    naive(&rows, &integers, outputs),
                    "{} of {} rows", tier, count
                );
            }
        }
    }

    proptest! {
        #[test]
        fn every_kernel_of_this_processor_gives_the_same_bits_with_int4(
            count in 1usize..18,
            inputs in 1usize..100,
            outputs in 1usize..40,
            pace in 0.01f32..3.0,
        ) {
            let wave = |n: usize| (n as f32 * pace).sin();
            let activations: Vec<f32> = (0..count * inputs).map(wave).collect();
            let integers: Vec<i8> = (0..inputs * outputs).map(|n| (wave(n + 7) * 7.99).floor() as i8).collect();
            let groups = inputs.div_ceil(GROUP);
            let scales: Vec<f32> = (0..outputs * groups).map(|n| 0.1 + wave(n).abs()).collect();
            let weights = Int4Weights::from_integers(&integers, inputs, outputs, &scales);
            for tier in Tier::available() {
                let mut rows = Rows::for_int4(tier);
                rows.quantise(&activations, inputs);
                let mut sums = vec![7.0; 3];
                multiply_int4(tier, &rows, &weights, &mut sums);
                for row in 0..count {
                    for output in 0..outputs {
                        let mut wanted = 0.0f32;
                        for group in 0..groups {
                            let exact: i32 = (group * GROUP..inputs.min((group + 1) * GROUP))
                                .map(|k| i32::from(rows.value(row, k)) * i32::from(integers[k * outputs + output]))
                                .sum();
                            wanted += exact as f32 * scales[output * groups + group];
                        }
                        let found = sums[row * weights.padded_outputs() + output];
                        prop_assert_eq!(found.to_bits(), wanted.to_bits(), "{}", tier);
                    }
                }
            }
        }
    }

    #[test]
    fn a_layer_in_int4_is_within_its_steps() {
        let (inputs, outputs) = (70, 18);
        let weight: Vec<f32> = (0..inputs * outputs)
            .map(|n| (n as f32 * 0.7).sin())
            .collect();
        let weights = Int4Weights::quantise(&weight, inputs, outputs);
        let tier = Tier::best();
        let mut rows = Rows::for_int4(tier);
        // One input at a time: the outputs are the weights.
        for input in 0..inputs {
            let mut row = vec![0.0; inputs];
            row[input] = 1.0;
            rows.quantise(&row, inputs);
            let mut sums = Vec::new();
            multiply_int4(tier, &rows, &weights, &mut sums);
            let bias = vec![0.0; outputs];
            let mut out = vec![0.0; outputs];
            let epilogue = Epilogue {
                bias: &bias,
                activation: Activation::None,
                residual: None,
            };
            epilogue.apply_int4(tier, &rows, &weights, &sums, &mut out);
            for (found, wanted) in out.iter().zip(&weight[input * outputs..]) {
                assert!(
                    (found - wanted).abs() <= 1.0 / 8.0 + 1e-4,
                    "{found} {wanted}"
                );
            }
        }
    }

    #[test]
    fn a_quantised_layer_is_close_to_its_floats() {
        let (inputs, outputs, count) = (160, 37, 5);
        let wave = |n: usize, pace: f32| (n as f32 * pace).sin();
        let weight: Vec<f32> = (0..inputs * outputs).map(|n| wave(n, 0.7)).collect();
        let activations: Vec<f32> = (0..inputs * count).map(|n| 3.0 * wave(n, 0.31)).collect();
        let bias: Vec<f32> = (0..outputs).map(|n| n as f32).collect();
        let weights = Int8Weights::quantise(&weight, inputs, outputs);
        let tier = Tier::best();
        let mut rows = Rows::new(tier);
        rows.quantise(&activations, inputs);
        let mut sums = Vec::new();
        multiply(tier, &rows, &weights, &mut sums);
        let mut out = vec![0.0; count * outputs];
        let epilogue = Epilogue {
            bias: &bias,
            activation: Activation::None,
            residual: None,
        };
        epilogue.apply(tier, &rows, &weights, &sums, &mut out);
        for row in 0..count {
            for output in 0..outputs {
                let wanted: f32 = (0..inputs)
                    .map(|k| activations[row * inputs + k] * weight[k * outputs + output])
                    .sum::<f32>()
                    + bias[output];
                let found = out[row * outputs + output];
                assert!((found - wanted).abs() < 0.6, "{found} {wanted}");
            }
        }
    }
}
