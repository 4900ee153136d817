//! Weights of a layer, int8, one scale for each output channel.

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
        integers: impl ExactSizeIterator<Item = i8>,
        inputs: usize,
        mut scales: Vec<f32>,
    ) -> Int8Weights {
        let outputs = scales.len();
        assert_eq!(integers.len(), inputs * outputs, "values of the weight");
        let (panels, quads) = (outputs.div_ceil(CHANNELS), inputs.div_ceil(QUAD));
        let mut blocks = vec![Block([0; CHANNELS * QUAD]); panels * quads];
        let mut offsets = vec![0; panels * CHANNELS];
        for (n, value) in integers.enumerate() {
            let (input, output) = (n / outputs, n % outputs);
            let block = &mut blocks[output / CHANNELS * quads + input / QUAD];
            block.0[output % CHANNELS * QUAD + input % QUAD] = value;
            offsets[output] += 128 * i32::from(value);
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

    pub(super) fn scales(&self) -> &[f32] {
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
