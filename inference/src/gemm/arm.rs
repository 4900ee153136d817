//! The kernel for aarch64 with the dot-product extension.

use std::arch::aarch64::*;
use std::arch::asm;

use super::int4::{GROUP, GROUP_BLOCKS, ZERO};
use super::strips::{Strip, strips, with_rows};
use super::{CHANNELS, Int4Weights, Int8Weights, QUAD, Rows};

const LANES: usize = 4;
const PARTS: usize = CHANNELS / LANES;

pub(super) fn neon_dot(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    strips(rows, weights.padded_outputs(), sums, 4, |count, strip| {
        // SAFETY: the tier is chosen only when the processor has the dot-product extension.
        unsafe { with_rows!(count, neon_dot_strip(strip, weights), 1, 2, 3; 4) }
    });
}

#[target_feature(enable = "neon,dotprod")]
fn neon_dot_strip<const R: usize>(strip: Strip<i32>, weights: &Int8Weights) {
    let Strip {
        rows,
        stride,
        sums,
        width,
        ..
    } = strip;
    assert!(
        rows.len() >= R * stride && stride >= weights.quads() * QUAD && sums.len() >= R * width
    );
    for (number, panel) in weights.panels().enumerate() {
        let mut totals = [[vdupq_n_s32(0); PARTS]; R];
        for (quad, block) in panel.iter().enumerate() {
            // SAFETY: a block holds 64 bytes.
            let parts: [int8x16_t; PARTS] = std::array::from_fn(|part| unsafe {
                vld1q_s8(block.0.as_ptr().add(part * LANES * QUAD))
            });
            for (row, totals) in totals.iter_mut().enumerate() {
                // SAFETY: the assertion above: R rows of `stride` bytes hold a quad for each block.
                let values = unsafe {
                    let at = rows.as_ptr().add(row * stride + quad * QUAD);
                    vreinterpretq_s8_s32(vdupq_n_s32(at.cast::<i32>().read_unaligned()))
                };
                for (total, part) in totals.iter_mut().zip(parts) {
                    *total = dot(*total, part, values);
                }
            }
        }
        for (row, totals) in totals.into_iter().enumerate() {
            for (part, total) in totals.into_iter().enumerate() {
                let at = row * width + number * CHANNELS + part * LANES;
                let target = &mut sums[at..at + LANES];
                // SAFETY: the target holds four integers.
                unsafe { vst1q_s32(target.as_mut_ptr(), total) };
            }
        }
    }
}

pub(super) fn neon_dot_int4(rows: &Rows, weights: &Int4Weights, sums: &mut [f32]) {
    strips(rows, weights.padded_outputs(), sums, 4, |count, strip| {
        // SAFETY: the tier is chosen only when the processor has the dot-product extension.
        unsafe { with_rows!(count, neon_dot_int4_strip(strip, weights), 1, 2, 3; 4) }
    });
}

#[target_feature(enable = "neon,dotprod")]
fn neon_dot_int4_strip<const R: usize>(strip: Strip<f32>, weights: &Int4Weights) {
    let Strip {
        rows,
        stride,
        sums,
        width,
        ..
    } = strip;
    assert!(
        rows.len() >= R * stride && stride >= weights.groups() * GROUP && sums.len() >= R * width
    );
    let (low, zero) = (vdupq_n_u8(15), vdupq_n_s8(ZERO));
    for (number, (panel, scales)) in weights.panels().enumerate() {
        for part in 0..PARTS {
            let mut scaled = [vdupq_n_f32(0.0); R];
            for (group, (blocks, scales)) in
                panel.chunks_exact(GROUP_BLOCKS).zip(scales).enumerate()
            {
                let mut totals = [vdupq_n_s32(0); R];
                for (pair, block) in blocks.iter().enumerate() {
                    // SAFETY: a block holds 64 bytes, of which this reads 16 at 0, 16, 32 or 48.
                    let packed =
                        unsafe { vld1q_u8(block.0.as_ptr().cast::<u8>().add(part * LANES * QUAD)) };
                    let halves = [vandq_u8(packed, low), vshrq_n_u8::<4>(packed)];
                    for (which, half) in halves.into_iter().enumerate() {
                        let quad = (group * GROUP_BLOCKS + pair) * 2 + which;
                        let channels = vsubq_s8(vreinterpretq_s8_u8(half), zero);
                        for (row, total) in totals.iter_mut().enumerate() {
                            // SAFETY: the assertion above: R rows of `stride` bytes hold two quads for each block.
                            let values = unsafe {
                                let at = rows.as_ptr().add(row * stride + quad * QUAD);
                                vreinterpretq_s8_s32(vdupq_n_s32(at.cast::<i32>().read_unaligned()))
                            };
                            *total = dot(*total, channels, values);
                        }
                    }
                }
                // SAFETY: sixteen scales, of which this reads four at 0, 4, 8 or 12.
                let scales = unsafe { vld1q_f32(scales.as_ptr().add(part * LANES)) };
                for (scaled, total) in scaled.iter_mut().zip(totals) {
                    *scaled = vaddq_f32(*scaled, vmulq_f32(vcvtq_f32_s32(total), scales));
                }
            }
            for (row, scaled) in scaled.into_iter().enumerate() {
                let at = row * width + number * CHANNELS + part * LANES;
                let target = &mut sums[at..at + LANES];
                // SAFETY: the target holds four floats.
                unsafe { vst1q_f32(target.as_mut_ptr(), scaled) };
            }
        }
    }
}

/// `sdot`: adds to each lane the products of its four bytes. The intrinsic is not stable yet.
#[target_feature(enable = "neon,dotprod")]
fn dot(mut total: int32x4_t, one: int8x16_t, other: int8x16_t) -> int32x4_t {
    // SAFETY: reads and writes registers alone; the extension is there by the function's feature.
    unsafe {
        asm!(
            "sdot {total:v}.4s, {one:v}.16b, {other:v}.16b",
            total = inout(vreg) total,
            one = in(vreg) one,
            other = in(vreg) other,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    total
}
