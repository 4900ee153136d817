//! Plain Rust, the definition of what all kernels compute.

use super::{CHANNELS, Int8Weights, QUAD, Rows};

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
