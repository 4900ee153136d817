//! The kernel for aarch64 with the dot-product extension.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{CHANNELS, Int8Weights, QUAD, Rows};

const LANES: usize = 4;
const PARTS: usize = CHANNELS / LANES;

pub(super) fn neon_dot(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    let (stride, width) = (rows.stride(), weights.padded_outputs());
    let strips = rows
        .bytes()
        .chunks(4 * stride)
        .zip(sums.chunks_mut(4 * width));
    for (rows, sums) in strips {
        // SAFETY: the tier is chosen only when the processor has the dot-product extension.
        unsafe {
            match rows.len() / stride {
                1 => strip::<1>(rows, stride, weights, sums, width),
                2 => strip::<2>(rows, stride, weights, sums, width),
                3 => strip::<3>(rows, stride, weights, sums, width),
                _ => strip::<4>(rows, stride, weights, sums, width),
            }
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
fn strip<const R: usize>(
    rows: &[u8],
    stride: usize,
    weights: &Int8Weights,
    sums: &mut [i32],
    width: usize,
) {
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
