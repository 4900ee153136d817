//! Kernels for x86-64.

use std::arch::x86_64::*;

use super::int4::{GROUP, GROUP_BLOCKS};
use super::{Block, CHANNELS, Int4Weights, Int8Weights, MOST_ROWS, QUAD, Rows};

/// The rows of one call of a kernel: their bytes and where their sums go.
struct Strip<'a, T> {
    rows: &'a [u8],
    stride: usize,
    sums: &'a mut [T],
    /// Channels of a row of sums.
    width: usize,
}

/// Cuts the rows into strips of at most `most` and calls `kernel` with the number of rows in each.
fn strips<T>(
    rows: &Rows,
    width: usize,
    sums: &mut [T],
    most: usize,
    mut kernel: impl FnMut(usize, Strip<T>),
) {
    let stride = rows.stride();
    let strips = rows
        .bytes()
        .chunks(most * stride)
        .zip(sums.chunks_mut(most * width));
    for (rows, sums) in strips {
        kernel(
            rows.len() / stride,
            Strip {
                rows,
                stride,
                sums,
                width,
            },
        );
    }
}

pub(super) fn avx2(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    strips(rows, weights.padded_outputs(), sums, 4, |count, strip| {
        // SAFETY: the tier is chosen only when the processor has AVX2.
        unsafe {
            match count {
                1 => avx2_strip::<1>(strip, weights),
                2 => avx2_strip::<2>(strip, weights),
                3 => avx2_strip::<3>(strip, weights),
                _ => avx2_strip::<4>(strip, weights),
            }
        }
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

pub(super) fn avx_vnni(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    strips(rows, weights.padded_outputs(), sums, 4, |count, strip| {
        // SAFETY: the tier is chosen only when the processor has AVX-VNNI and AVX2.
        unsafe {
            match count {
                1 => avx_vnni_strip::<1>(strip, weights),
                2 => avx_vnni_strip::<2>(strip, weights),
                3 => avx_vnni_strip::<3>(strip, weights),
                _ => avx_vnni_strip::<4>(strip, weights),
            }
        }
    });
}

#[target_feature(enable = "avx2,avxvnni")]
fn avx_vnni_strip<const R: usize>(strip: Strip<i32>, weights: &Int8Weights) {
    const HALF: usize = CHANNELS / 2;
    let Strip {
        rows,
        stride,
        sums,
        width,
    } = strip;
    assert!(
        rows.len() >= R * stride && stride >= weights.quads() * QUAD && sums.len() >= R * width
    );
    for (number, panel) in weights.panels().enumerate() {
        let channels = number * CHANNELS;
        let mut totals = [[_mm256_setzero_si256(); 2]; R];
        for (quad, block) in panel.iter().enumerate() {
            let (first, second) = halves(block);
            for (row, totals) in totals.iter_mut().enumerate() {
                // SAFETY: the assertion above: R rows of `stride` bytes hold a quad for each block.
                let values = unsafe {
                    let at = rows.as_ptr().add(row * stride + quad * QUAD);
                    _mm256_set1_epi32(at.cast::<i32>().read_unaligned())
                };
                totals[0] = _mm256_dpbusd_avx_epi32(totals[0], values, first);
                totals[1] = _mm256_dpbusd_avx_epi32(totals[1], values, second);
            }
        }
        for (row, totals) in totals.into_iter().enumerate() {
            for (half, total) in totals.into_iter().enumerate() {
                let from = channels + half * HALF;
                let offsets = &weights.offsets()[from..from + HALF];
                let target = &mut sums[row * width + from..row * width + from + HALF];
                // SAFETY: both slices hold eight integers.
                unsafe {
                    let offset = _mm256_loadu_si256(offsets.as_ptr().cast());
                    _mm256_storeu_si256(
                        target.as_mut_ptr().cast(),
                        _mm256_sub_epi32(total, offset),
                    );
                }
            }
        }
    }
}

/// The two halves of a block, eight channels each.
#[target_feature(enable = "avx2")]
fn halves(block: &Block) -> (__m256i, __m256i) {
    // SAFETY: a block holds 64 bytes and is aligned to 64.
    unsafe {
        let at = block.0.as_ptr().cast::<__m256i>();
        (_mm256_load_si256(at), _mm256_load_si256(at.add(1)))
    }
}

pub(super) fn avx512_vnni(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    strips(
        rows,
        weights.padded_outputs(),
        sums,
        MOST_ROWS,
        |count, strip| {
            // SAFETY: the tier is chosen only when the processor has AVX512F and AVX512-VNNI.
            unsafe {
                match count {
                    1 => avx512_vnni_strip::<1>(strip, weights),
                    2 => avx512_vnni_strip::<2>(strip, weights),
                    3 => avx512_vnni_strip::<3>(strip, weights),
                    4 => avx512_vnni_strip::<4>(strip, weights),
                    5 => avx512_vnni_strip::<5>(strip, weights),
                    6 => avx512_vnni_strip::<6>(strip, weights),
                    7 => avx512_vnni_strip::<7>(strip, weights),
                    _ => avx512_vnni_strip::<8>(strip, weights),
                }
            }
        },
    );
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_vnni_strip<const R: usize>(strip: Strip<i32>, weights: &Int8Weights) {
    let Strip {
        rows,
        stride,
        sums,
        width,
    } = strip;
    assert!(
        rows.len() >= R * stride && stride >= weights.quads() * QUAD && sums.len() >= R * width
    );
    for (number, panel) in weights.panels().enumerate() {
        let channels = number * CHANNELS..(number + 1) * CHANNELS;
        let mut totals = [_mm512_setzero_si512(); R];
        for (quad, block) in panel.iter().enumerate() {
            // SAFETY: a block holds 64 bytes and is aligned to 64.
            let block = unsafe { _mm512_load_si512(block.0.as_ptr().cast()) };
            for (row, total) in totals.iter_mut().enumerate() {
                // SAFETY: the assertion above: R rows of `stride` bytes hold a quad for each block.
                let values = unsafe {
                    let at = rows.as_ptr().add(row * stride + quad * QUAD);
                    _mm512_set1_epi32(at.cast::<i32>().read_unaligned())
                };
                *total = _mm512_dpbusd_epi32(*total, values, block);
            }
        }
        let offsets = &weights.offsets()[channels.clone()];
        for (row, total) in totals.into_iter().enumerate() {
            let target = &mut sums[row * width..][channels.clone()];
            // SAFETY: both slices hold sixteen integers.
            unsafe {
                let offset = _mm512_loadu_si512(offsets.as_ptr().cast());
                _mm512_storeu_si512(target.as_mut_ptr().cast(), _mm512_sub_epi32(total, offset));
            }
        }
    }
}

pub(super) fn avx2_int4(rows: &Rows, weights: &Int4Weights, sums: &mut [f32]) {
    let mut group_sums = rows.group_sums().chunks(4 * weights.groups());
    strips(rows, weights.padded_outputs(), sums, 4, |count, strip| {
        let group_sums = group_sums.next().unwrap_or_default();
        // SAFETY: the tier is chosen only when the processor has AVX2.
        unsafe {
            match count {
                1 => avx2_int4_strip::<1>(strip, group_sums, weights),
                2 => avx2_int4_strip::<2>(strip, group_sums, weights),
                3 => avx2_int4_strip::<3>(strip, group_sums, weights),
                _ => avx2_int4_strip::<4>(strip, group_sums, weights),
            }
        }
    });
}

/// R rows. Half bytes are unsigned, 0 to 15, so that `vpmaddubsw` multiplies them by signed activations: a pair of products
/// is at most 3,810 in size, and the eight quads of a group stay within 16 bits. What the zero of 8 counts too much is eight
/// times the sum of the group's activations.
#[target_feature(enable = "avx2")]
fn avx2_int4_strip<const R: usize>(strip: Strip<f32>, sums_of: &[i32], weights: &Int4Weights) {
    const HALF: usize = CHANNELS / 2;
    let Strip {
        rows,
        stride,
        sums,
        width,
    } = strip;
    let groups = weights.groups();
    assert!(rows.len() >= R * stride && stride >= groups * GROUP && sums.len() >= R * width);
    let sums_of: [&[i32]; R] = std::array::from_fn(|row| &sums_of[row * groups..][..groups]);
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
                for (row, (scaled, total)) in scaled.iter_mut().zip(totals).enumerate() {
                    let excess = _mm256_slli_epi32::<3>(_mm256_set1_epi32(sums_of[row][group]));
                    let exact = _mm256_sub_epi32(_mm256_madd_epi16(total, ones), excess);
                    *scaled =
                        _mm256_add_ps(*scaled, _mm256_mul_ps(_mm256_cvtepi32_ps(exact), scales));
                }
            }
            for (row, scaled) in scaled.into_iter().enumerate() {
                let at = row * width + number * CHANNELS + half * HALF;
                let target = &mut sums[at..at + HALF];
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
