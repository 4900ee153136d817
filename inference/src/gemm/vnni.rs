//! Kernels for x86-64 with instructions for sums of four products of unsigned and signed bytes.

use std::arch::x86_64::*;

use super::int4::{GROUP, GROUP_BLOCKS};
use super::strips::{Strip, strips, with_rows};
use super::{Block, CHANNELS, Int4Weights, Int8Weights, QUAD, Rows};

/// Rows that AVX-512 takes at once where there are many.
const MOST_ROWS: usize = 8;
/// Rows whose sums with two panels of int8 weights, or one of int4 weights, fit into the registers of AVX-512.
const ROWS_AT_ONCE: usize = 12;

pub(super) fn avx_vnni(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    strips(rows, weights.padded_outputs(), sums, 4, |count, strip| {
        // SAFETY: the tier is chosen only when the processor has AVX-VNNI and AVX2.
        unsafe { with_rows!(count, avx_vnni_strip(strip, weights), 1, 2, 3; 4) }
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
        ..
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

/// R rows. Half bytes are the unsigned side; a group starts from its corrections. Both halves of a block share what is read of
/// the rows.
#[target_feature(enable = "avx2,avxvnni")]
fn avx_vnni_int4_strip<const R: usize>(strip: Strip<f32>, weights: &Int4Weights) {
    const HALF: usize = CHANNELS / 2;
    let (stride, groups) = (strip.stride, weights.groups());
    assert!(
        strip.rows.len() >= R * stride
            && stride >= groups * GROUP
            && strip.sums.len() >= R * strip.width
    );
    let low = _mm256_set1_epi8(15);
    for (number, (panel, scales)) in weights.panels().enumerate() {
        let (blocks, _) = panel.as_chunks::<GROUP_BLOCKS>();
        let mut scaled = [[_mm256_setzero_ps(); 2]; R];
        for (group, (blocks, scales)) in blocks.iter().zip(scales).enumerate() {
            let corrections: &[i32; R] = strip.corrections(group);
            let mut totals = corrections.map(|correction| [_mm256_set1_epi32(correction); 2]);
            for (pair, block) in blocks.iter().enumerate() {
                let (first, second) = halves(block);
                let quads = [
                    [_mm256_and_si256(first, low), _mm256_and_si256(second, low)],
                    [
                        _mm256_and_si256(_mm256_srli_epi16::<4>(first), low),
                        _mm256_and_si256(_mm256_srli_epi16::<4>(second), low),
                    ],
                ];
                for (which, halves) in quads.into_iter().enumerate() {
                    let from = group * GROUP + (2 * pair + which) * QUAD;
                    for (row, totals) in totals.iter_mut().enumerate() {
                        // SAFETY: the assertion above: R rows of `stride` bytes hold two quads for each block.
                        let values = unsafe {
                            let at = strip.rows.as_ptr().add(row * stride + from);
                            _mm256_set1_epi32(at.cast::<i32>().read_unaligned())
                        };
                        totals[0] = _mm256_dpbusd_avx_epi32(totals[0], halves[0], values);
                        totals[1] = _mm256_dpbusd_avx_epi32(totals[1], halves[1], values);
                    }
                }
            }
            // SAFETY: sixteen scales.
            let scales = unsafe {
                let at = scales.as_ptr();
                [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(HALF))]
            };
            for (scaled, total) in scaled.iter_mut().zip(totals) {
                for ((scaled, total), scales) in scaled.iter_mut().zip(total).zip(scales) {
                    let exact = _mm256_mul_ps(_mm256_cvtepi32_ps(total), scales);
                    *scaled = _mm256_add_ps(*scaled, exact);
                }
            }
        }
        for (row, scaled) in scaled.into_iter().enumerate() {
            let at = row * strip.width + number * CHANNELS;
            let target = &mut strip.sums[at..at + CHANNELS];
            // SAFETY: the target holds sixteen floats.
            unsafe {
                _mm256_storeu_ps(target.as_mut_ptr(), scaled[0]);
                _mm256_storeu_ps(target.as_mut_ptr().add(HALF), scaled[1]);
            }
        }
    }
}

pub(super) fn avx_vnni_int4(rows: &Rows, weights: &Int4Weights, sums: &mut [f32]) {
    strips(rows, weights.padded_outputs(), sums, 4, |count, strip| {
        // SAFETY: the tier is chosen only when the processor has AVX-VNNI and AVX2.
        unsafe { with_rows!(count, avx_vnni_int4_strip(strip, weights), 1, 2, 3; 4) }
    });
}

/// How many rows go together: a sentence is often a little longer than eight, and the rest apart would read all weights again.
fn at_once(rows: &Rows) -> usize {
    if (MOST_ROWS..=ROWS_AT_ONCE).contains(&rows.count()) {
        ROWS_AT_ONCE
    } else {
        MOST_ROWS
    }
}

pub(super) fn avx512_vnni(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    let width = weights.padded_outputs();
    strips(rows, width, sums, at_once(rows), |count, strip| {
        // SAFETY: the tier is chosen only when the processor has AVX512F and AVX512-VNNI.
        unsafe {
            with_rows!(count, avx512_vnni_strip(strip, weights), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11; 12);
        }
    });
}

/// R rows; two panels at a time share what is read of the rows.
#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_vnni_strip<const R: usize>(mut strip: Strip<i32>, weights: &Int8Weights) {
    let quads = weights.quads();
    assert!(
        strip.rows.len() >= R * strip.stride
            && strip.stride >= quads * QUAD
            && strip.sums.len() >= R * strip.width
    );
    let panels = weights.blocks().chunks(2 * quads.max(1));
    for (pair, panels) in panels.enumerate() {
        let first = 2 * pair * CHANNELS;
        if panels.len() == 2 * quads {
            avx512_vnni_tile::<R, 2>(&mut strip, panels, quads, first, weights.offsets());
        } else {
            avx512_vnni_tile::<R, 1>(&mut strip, panels, quads, first, weights.offsets());
        }
    }
}

/// R rows and P panels, the first of which starts with channel `first`.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_vnni_tile<const R: usize, const P: usize>(
    strip: &mut Strip<i32>,
    panels: &[Block],
    quads: usize,
    first: usize,
    offsets: &[i32],
) {
    let panels: [&[Block]; P] = std::array::from_fn(|panel| &panels[panel * quads..][..quads]);
    assert!(strip.rows.len() >= R * strip.stride && strip.stride >= quads * QUAD);
    let mut totals = [[_mm512_setzero_si512(); P]; R];
    for quad in 0..quads {
        let mut blocks = [_mm512_setzero_si512(); P];
        for (block, panel) in blocks.iter_mut().zip(panels) {
            // SAFETY: a block holds 64 bytes and is aligned to 64.
            *block = unsafe { _mm512_load_si512(panel[quad].0.as_ptr().cast()) };
        }
        for (row, totals) in totals.iter_mut().enumerate() {
            // SAFETY: the assertion above: R rows of `stride` bytes hold a quad for each block.
            let values = unsafe {
                let at = strip.rows.as_ptr().add(row * strip.stride + quad * QUAD);
                _mm512_set1_epi32(at.cast::<i32>().read_unaligned())
            };
            for (total, block) in totals.iter_mut().zip(blocks) {
                *total = _mm512_dpbusd_epi32(*total, values, block);
            }
        }
    }
    for (row, totals) in totals.into_iter().enumerate() {
        for (panel, total) in totals.into_iter().enumerate() {
            let channels = first + panel * CHANNELS..first + (panel + 1) * CHANNELS;
            let offsets = &offsets[channels.clone()];
            let target = &mut strip.sums[row * strip.width..][channels];
            // SAFETY: both slices hold sixteen integers.
            unsafe {
                let offset = _mm512_loadu_si512(offsets.as_ptr().cast());
                _mm512_storeu_si512(target.as_mut_ptr().cast(), _mm512_sub_epi32(total, offset));
            }
        }
    }
}

pub(super) fn avx512_vnni_int4(rows: &Rows, weights: &Int4Weights, sums: &mut [f32]) {
    let width = weights.padded_outputs();
    strips(rows, width, sums, at_once(rows), |count, strip| {
        // SAFETY: the tier is chosen only when the processor has AVX512F and AVX512-VNNI.
        unsafe {
            with_rows!(count, avx512_vnni_int4_strip(strip, weights), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11; 12);
        }
    });
}

/// R rows. Up to four of them share what is read of them between two panels; more share what is unpacked of one panel, since
/// two would leave no registers for what the groups before have summed up.
#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_vnni_int4_strip<const R: usize>(mut strip: Strip<f32>, weights: &Int4Weights) {
    let mut panels = weights.panels();
    let mut channel = 0;
    while let Some(first) = panels.next() {
        let second = if R > MOST_ROWS / 2 {
            None
        } else {
            panels.next()
        };
        if let Some(second) = second {
            avx512_vnni_int4_tile::<R, 2>(&mut strip, [first, second], channel);
            channel += 2 * CHANNELS;
        } else {
            avx512_vnni_int4_tile::<R, 1>(&mut strip, [first], channel);
            channel += CHANNELS;
        }
    }
}

/// Blocks and scales of a panel.
type Int4Panel<'a> = (&'a [Block], &'a [[f32; CHANNELS]]);

/// R rows and P panels, the first of which starts with channel `first`. Half bytes are the unsigned side; a group starts from
/// its corrections.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_vnni_int4_tile<const R: usize, const P: usize>(
    strip: &mut Strip<f32>,
    panels: [Int4Panel; P],
    first: usize,
) {
    let (stride, groups) = (strip.stride, panels[0].1.len());
    let panels =
        panels.map(|(blocks, scales)| (&blocks.as_chunks().0[..groups], &scales[..groups]));
    assert!(strip.rows.len() >= R * stride && stride >= groups * GROUP);
    let low = _mm512_set1_epi32(0x0f0f_0f0f);
    let mut scaled = [[_mm512_setzero_ps(); P]; R];
    for group in 0..groups {
        let corrections: &[i32; R] = strip.corrections(group);
        // Mapping the array instead leaves it in memory with six rows or seven: measured three times slower.
        let mut totals = [[_mm512_setzero_si512(); P]; R];
        for (totals, &correction) in totals.iter_mut().zip(corrections) {
            *totals = [_mm512_set1_epi32(correction); P];
        }
        for pair in 0..GROUP_BLOCKS {
            let mut quads = [[_mm512_setzero_si512(); P]; 2];
            for (panel, (blocks, _)) in panels.iter().enumerate() {
                let blocks: &[Block; GROUP_BLOCKS] = &blocks[group];
                // SAFETY: a block holds 64 bytes and is aligned to 64.
                let packed = unsafe { _mm512_load_si512(blocks[pair].0.as_ptr().cast()) };
                quads[0][panel] = _mm512_and_si512(packed, low);
                quads[1][panel] = _mm512_and_si512(_mm512_srli_epi32::<4>(packed), low);
            }
            for (which, panels) in quads.into_iter().enumerate() {
                let from = group * GROUP + (2 * pair + which) * QUAD;
                for (row, totals) in totals.iter_mut().enumerate() {
                    // SAFETY: the assertion above: R rows of `stride` bytes hold two quads for each block.
                    let values = unsafe {
                        let at = strip.rows.as_ptr().add(row * stride + from);
                        _mm512_set1_epi32(at.cast::<i32>().read_unaligned())
                    };
                    for (total, quad) in totals.iter_mut().zip(panels) {
                        *total = _mm512_dpbusd_epi32(*total, quad, values);
                    }
                }
            }
        }
        for (scaled, totals) in scaled.iter_mut().zip(totals) {
            for ((scaled, total), (_, scales)) in scaled.iter_mut().zip(totals).zip(panels) {
                // SAFETY: sixteen scales.
                let scales = unsafe { _mm512_loadu_ps(scales[group].as_ptr()) };
                let exact = _mm512_mul_ps(_mm512_cvtepi32_ps(total), scales);
                *scaled = _mm512_add_ps(*scaled, exact);
            }
        }
    }
    for (row, scaled) in scaled.into_iter().enumerate() {
        for (panel, scaled) in scaled.into_iter().enumerate() {
            let at = row * strip.width + first + panel * CHANNELS;
            let target = &mut strip.sums[at..at + CHANNELS];
            // SAFETY: the target holds sixteen floats.
            unsafe { _mm512_storeu_ps(target.as_mut_ptr(), scaled) };
        }
    }
}
