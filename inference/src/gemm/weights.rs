//! Weights of a layer, int8, one scale for each output channel.

use super::rows::rounded;
use super::{Block, CHANNELS, QUAD};

/// Int8 weights of a layer `[inputs, outputs]`, symmetric, one scale an output channel, packed for the kernels.
#[derive(Debug, Clone)]
pub struct Int8Weights {
    inputs: usize,
    outputs: usize,
    /// By panel, then by quad of inputs.
    blocks: Vec<Block>,
    /// Of each channel, filled up with zeros to whole panels.
    scales: Vec<f32>,
    /// Sum of each channel's weights times 128: what unsigned activations count too much.
    offsets: Vec<i32>,
}

impl Int8Weights {
    /// Packs integers that are quantised already, row-major `[inputs][outputs]`; a scale for each output.
    ///
    /// # Panics
    /// When `integers` does not hold `inputs * scales.len()` values.
    pub fn from_integers(integers: &[i8], inputs: usize, scales: Vec<f32>) -> Int8Weights {
        Int8Weights::packed(integers.iter().copied(), inputs, scales)
    }

    /// The same from bytes that hold the integers.
    ///
    /// # Panics
    /// As [`Int8Weights::from_integers`].
    pub fn from_bytes(bytes: &[u8], inputs: usize, scales: Vec<f32>) -> Int8Weights {
        Int8Weights::packed(bytes.iter().map(|&byte| byte as i8), inputs, scales)
    }

    fn packed(
        mut integers: impl ExactSizeIterator<Item = i8>,
        inputs: usize,
        mut scales: Vec<f32>,
    ) -> Int8Weights {
        let outputs = scales.len();
        assert_eq!(integers.len(), inputs * outputs, "values of the weight");
        let (panels, quads) = (outputs.div_ceil(CHANNELS), inputs.div_ceil(QUAD));
        let mut blocks = vec![Block([0; CHANNELS * QUAD]); panels * quads];
        let mut offsets = vec![0; panels * CHANNELS];
        for input in 0..inputs {
            let (quad, lane) = (input / QUAD, input % QUAD);
            for (output, value) in integers.by_ref().take(outputs).enumerate() {
                let block = &mut blocks[output / CHANNELS * quads + quad];
                block.0[output % CHANNELS * QUAD + lane] = value;
                offsets[output] += 128 * i32::from(value);
            }
        }
        scales.resize(panels * CHANNELS, 0.0);
        Int8Weights {
            inputs,
            outputs,
            blocks,
            scales,
            offsets,
        }
    }

    /// Rounds float weights, row-major `[inputs][outputs]`: the largest of each output channel becomes 127.
    ///
    /// # Panics
    /// When `weight` does not hold `inputs * outputs` values.
    pub fn quantise(weight: &[f32], inputs: usize, outputs: usize) -> Int8Weights {
        assert_eq!(weight.len(), inputs * outputs, "values of the weight");
        let mut highest = vec![0.0f32; outputs];
        for row in weight.chunks(outputs) {
            for (highest, value) in highest.iter_mut().zip(row) {
                *highest = highest.max(value.abs());
            }
        }
        let scales: Vec<f32> = highest.iter().map(|&highest| highest / 127.0).collect();
        // A channel of zeros stays one.
        let sound = |&scale: &f32| if scale > 0.0 { scale } else { 1.0 };
        let divisors: Vec<f32> = scales.iter().map(sound).collect();
        let mut integers = vec![0i8; weight.len()];
        for (row, integers) in weight.chunks(outputs).zip(integers.chunks_mut(outputs)) {
            let values = row.iter().zip(&divisors);
            for (integer, (value, divisor)) in integers.iter_mut().zip(values) {
                *integer = rounded(value / divisor).clamp(-127, 127) as i8;
            }
        }
        Int8Weights::from_integers(&integers, inputs, scales)
    }

    /// The weights in floats, row-major `[inputs][outputs]`.
    pub fn to_floats(&self) -> Vec<f32> {
        let mut floats = vec![0.0; self.inputs * self.outputs];
        for (number, panel) in self.panels().enumerate() {
            let first = number * CHANNELS;
            let channels = CHANNELS.min(self.outputs - first);
            for (quad, block) in panel.iter().enumerate() {
                for input in quad * QUAD..self.inputs.min((quad + 1) * QUAD) {
                    let row = &mut floats[input * self.outputs + first..][..channels];
                    for (channel, value) in row.iter_mut().enumerate() {
                        let integer = block.0[channel * QUAD + input % QUAD];
                        *value = f32::from(integer) * self.scales[first + channel];
                    }
                }
            }
        }
        floats
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
        self.scales.len()
    }

    /// For each channel, the sum of its weights times their scale: what one step too much in every input adds.
    pub fn scaled_sums(&self) -> impl Iterator<Item = f32> {
        let sums = self.offsets.iter().zip(&self.scales);
        let sums = sums.map(|(&offset, scale)| (offset / 128) as f32 * scale);
        sums.take(self.outputs)
    }

    /// Bytes that a product reads.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.blocks[..]) + size_of_val(&self.scales[..])
    }

    pub(super) fn quads(&self) -> usize {
        self.inputs.div_ceil(QUAD)
    }

    pub(super) fn panels(&self) -> impl Iterator<Item = &[Block]> {
        self.blocks.chunks_exact(self.quads().max(1))
    }

    /// The blocks of all panels, one panel behind the other.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Scale of each output channel, filled up to whole panels.
    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
    }

    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "for kernels of x86-64")
    )]
    pub(super) fn offsets(&self) -> &[i32] {
        &self.offsets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::FloatWeights;

    #[test]
    fn packed_weights_come_out_as_they_went_in() {
        for (inputs, outputs) in [(1, 1), (7, 5), (16, 16), (33, 35)] {
            let integers: Vec<i8> = (0..inputs * outputs)
                .map(|n| (n * 37 % 255) as u8 as i8)
                .collect();
            let scales: Vec<f32> = (0..outputs).map(|n| 0.1 + n as f32).collect();
            let weights = Int8Weights::from_integers(&integers, inputs, scales.clone());
            let floats = weights.to_floats();
            for (n, (float, integer)) in floats.iter().zip(&integers).enumerate() {
                assert_eq!(*float, f32::from(*integer) * scales[n % outputs]);
            }
            assert_eq!(
                FloatWeights::new(&floats, inputs, outputs).to_floats(),
                floats
            );
        }
    }
}
