//! Kernels for x86-64.

use std::arch::x86_64::*;

use super::{Block, CHANNELS, Int8Weights, MOST_ROWS, QUAD, Rows};

/// The rows of one call of a kernel: their bytes and where their sums go.
struct Strip<'a> {
    rows: &'a [u8],
    stride: usize,
    sums: &'a mut [i32],
    /// Channels of a row of sums.
    width: usize,
}

/// Cuts the rows into strips of at most `most` and calls `kernel` with the number of rows in each.
fn strips(
    rows: &Rows,
    weights: &Int8Weights,
    sums: &mut [i32],
    most: usize,
    mut kernel: impl FnMut(usize, Strip),
) {
    let (stride, width) = (rows.stride(), weights.padded_outputs());
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
    strips(rows, weights, sums, 4, |count, strip| {
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
fn avx2_strip<const R: usize>(strip: Strip, weights: &Int8Weights) {
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
            for (row, [first, second]) in totals.into_iter().enumerate() {
                let paired = _mm256_hadd_epi32(first, second);
                let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(paired);
                let at = row * width + number * CHANNELS + half * HALF;
                let target = &mut sums[at..at + HALF];
                // SAFETY: the target holds eight integers.
                unsafe { _mm256_storeu_si256(target.as_mut_ptr().cast(), ordered) };
            }
        }
    }
}

pub(super) fn avx_vnni(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    strips(rows, weights, sums, 4, |count, strip| {
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
fn avx_vnni_strip<const R: usize>(strip: Strip, weights: &Int8Weights) {
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
    strips(rows, weights, sums, MOST_ROWS, |count, strip| {
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
    });
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_vnni_strip<const R: usize>(strip: Strip, weights: &Int8Weights) {
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
