//! Plain Rust, the definition of what all kernels compute.

use super::int4::{GROUP_BLOCKS, unpacked};
use super::{CHANNELS, Int4Weights, Int8Weights, QUAD, Rows};

pub(super) fn multiply(rows: &Rows, weights: &Int8Weights, sums: &mut [i32]) {
    let width = weights.padded_outputs();
    for (row, sums) in rows
        .bytes()
        .chunks_exact(rows.stride())
        .zip(sums.chunks_exact_mut(width))
    {
        let (quads, _) = row.as_chunks::<QUAD>();
        for (panel, sums) in weights.panels().zip(sums.chunks_exact_mut(CHANNELS)) {
            sums.fill(0);
            for (block, quad) in panel.iter().zip(quads) {
                let (channels, _) = block.0.as_chunks::<QUAD>();
                for (sum, channel) in sums.iter_mut().zip(channels) {
                    for (&weight, &value) in channel.iter().zip(quad) {
                        *sum += i32::from(weight) * i32::from(value as i8);
                    }
                }
            }
        }
    }
}

/// Sums of a group are exact; each is scaled and added to a float, group by group.
pub(super) fn multiply_int4(rows: &Rows, weights: &Int4Weights, sums: &mut [f32]) {
    let width = weights.padded_outputs();
    for (row, sums) in rows
        .bytes()
        .chunks_exact(rows.stride())
        .zip(sums.chunks_exact_mut(width))
    {
        for ((blocks, scales), sums) in weights.panels().zip(sums.chunks_exact_mut(CHANNELS)) {
            sums.fill(0.0);
            let groups = blocks.chunks_exact(GROUP_BLOCKS).zip(scales);
            for ((group, scales), values) in groups.zip(row.chunks(GROUP_BLOCKS * 2 * QUAD)) {
                let mut totals = [0i32; CHANNELS];
                let quads = group
                    .iter()
                    .flat_map(unpacked)
                    .zip(values.chunks_exact(QUAD));
                for (channels, quad) in quads {
                    for (total, channel) in totals.iter_mut().zip(channels.chunks_exact(QUAD)) {
                        for (&weight, &value) in channel.iter().zip(quad) {
                            *total += i32::from(weight) * i32::from(value as i8);
                        }
                    }
                }
                for ((sum, total), scale) in sums.iter_mut().zip(totals).zip(scales) {
                    *sum += total as f32 * scale;
                }
            }
        }
    }
}
