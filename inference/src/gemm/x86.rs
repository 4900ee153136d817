//! Kernels for x86-64 with AVX2.

use std::arch::x86_64::*;

use super::int4::{GROUP, GROUP_BLOCKS};
use super::strips::{Strip, strips, with_rows};
use super::{CHANNELS, Int4Weights, Int8Weights, QUAD, Rows};

pub(super) fn avx2(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    strips(rows, weights.padded_outputs(), sums, 4, |count, strip| {
        // SAFETY: the tier is chosen only when the processor has AVX2.
        unsafe { with_rows!(count, avx2_strip(strip, weights), 1, 2, 3; 4) }
    });
}

/// R rows. Four channels of a block are widened to 16 bits and multiplied by a quad of activations; `vpmaddwd` sums pairs,
/// which are summed to quads at the end.
#[target_feature(enable = "avx2")]
fn avx2_strip<const R: usize>(strip: Strip<i32>, weights: &Int8Weights) {
    const HALF: usize = CHANNELS / 2;
    let Strip {
        rows,
        stride,
        sums,
        width,
        ..
    } = strip;
    assert!(
        rows.len() >= R * stride && stride >= weights.quads() * QUAD * 2 && sums.len() >= R * width
    );
    for (number, panel) in weights.panels().enumerate() {
        for half in 0..2 {
            let mut totals = [[_mm256_setzero_si256(); 2]; R];
            for (quad, block) in panel.iter().enumerate() {
                // SAFETY: a block holds 64 bytes, of which this reads 16 at 0, 16, 32 or 48.
                let (first, second) = unsafe {
                    let at = block.0.as_ptr().add(half * HALF * QUAD).cast::<__m128i>();
                    (_mm_load_si128(at), _mm_load_si128(at.add(1)))
                };
                let (first, second) = (_mm256_cvtepi8_epi16(first), _mm256_cvtepi8_epi16(second));
                for (row, totals) in totals.iter_mut().enumerate() {
                    // SAFETY: the assertion above: R rows of `stride` bytes hold a quad of 8 bytes for each block.
                    let values = unsafe {
                        let at = rows.as_ptr().add(row * stride + quad * QUAD * 2);
                        _mm256_set1_epi64x(at.cast::<i64>().read_unaligned())
                    };
                    totals[0] = _mm256_add_epi32(totals[0], _mm256_madd_epi16(first, values));
                    totals[1] = _mm256_add_epi32(totals[1], _mm256_madd_epi16(second, values));
                }
            }
            for (row, totals) in totals.into_iter().enumerate() {
                let ordered = summed(totals);
                let at = row * width + number * CHANNELS + half * HALF;
                let target = &mut sums[at..at + HALF];
                // SAFETY: the target holds eight integers.
                unsafe { _mm256_storeu_si256(target.as_mut_ptr().cast(), ordered) };
            }
        }
    }
}

pub(super) fn avx2_int4(rows: &Rows, weights: &Int4Weights, sums: &mut [f32]) {
    strips(rows, weights.padded_outputs(), sums, 4, |count, strip| {
        // SAFETY: the tier is chosen only when the processor has AVX2.
        unsafe { with_rows!(count, avx2_int4_strip(strip, weights), 1, 2, 3; 4) }
    });
}

/// R rows. Half bytes are unsigned, 0 to 15, so that `vpmaddubsw` multiplies them by signed activations: a pair of products
/// is at most 3,810 in size, and the eight quads of a group stay within 16 bits. What the zero of 8 counts too much is
/// corrected for each group.
#[target_feature(enable = "avx2")]
fn avx2_int4_strip<const R: usize>(strip: Strip<f32>, weights: &Int4Weights) {
    const HALF: usize = CHANNELS / 2;
    let Strip {
        rows,
        stride,
        width,
        ..
    } = strip;
    assert!(
        rows.len() >= R * stride
            && stride >= weights.groups() * GROUP
            && strip.sums.len() >= R * width
    );
    let (low, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
    for (number, (panel, scales)) in weights.panels().enumerate() {
        for half in 0..2 {
            let mut scaled = [_mm256_setzero_ps(); R];
            for (group, (blocks, scales)) in
                panel.chunks_exact(GROUP_BLOCKS).zip(scales).enumerate()
            {
                let mut totals = [_mm256_setzero_si256(); R];
                for (pair, block) in blocks.iter().enumerate() {
                    // SAFETY: a block holds 64 bytes and is aligned to 64; this reads 32 at 0 or 32.
                    let packed =
                        unsafe { _mm256_load_si256(block.0.as_ptr().cast::<__m256i>().add(half)) };
                    let first = _mm256_and_si256(packed, low);
                    let second = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), low);
                    for (row, total) in totals.iter_mut().enumerate() {
                        // SAFETY: the assertion above: R rows of `stride` bytes hold two quads for each block.
                        let (one, other) = unsafe {
                            let at = rows
                                .as_ptr()
                                .add(row * stride + (group * GROUP_BLOCKS + pair) * 2 * QUAD);
                            let at = at.cast::<i32>();
                            (at.read_unaligned(), at.add(1).read_unaligned())
                        };
                        let (one, other) = (_mm256_set1_epi32(one), _mm256_set1_epi32(other));
                        *total = _mm256_add_epi16(*total, _mm256_maddubs_epi16(first, one));
                        *total = _mm256_add_epi16(*total, _mm256_maddubs_epi16(second, other));
                    }
                }
                // SAFETY: sixteen scales, of which this reads eight at 0 or 8.
                let scales = unsafe { _mm256_loadu_ps(scales.as_ptr().add(half * HALF)) };
                let corrections: &[i32; R] = strip.corrections(group);
                for ((scaled, total), &correction) in scaled.iter_mut().zip(totals).zip(corrections)
                {
                    let correction = _mm256_set1_epi32(correction);
                    let exact = _mm256_add_epi32(_mm256_madd_epi16(total, ones), correction);
                    *scaled =
                        _mm256_add_ps(*scaled, _mm256_mul_ps(_mm256_cvtepi32_ps(exact), scales));
                }
            }
            for (row, scaled) in scaled.into_iter().enumerate() {
                let at = row * width + number * CHANNELS + half * HALF;
                let target = &mut strip.sums[at..at + HALF];
                // SAFETY: the target holds eight floats.
                unsafe { _mm256_storeu_ps(target.as_mut_ptr(), scaled) };
            }
        }
    }
}

/// Eight channels out of the sums of pairs of four and four.
#[target_feature(enable = "avx2")]
fn summed([first, second]: [__m256i; 2]) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(first, second))
}
