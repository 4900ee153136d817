//! Weights of a layer, int4 in groups.

use super::{Block, CHANNELS, QUAD};

/// Inputs that share a scale.
pub const GROUP: usize = 32;
/// Blocks of a group: two quads of inputs in each, the first in the low halves of the bytes.
pub(super) const GROUP_BLOCKS: usize = GROUP / (2 * QUAD);
/// What a half byte says is this much more than the weight.
pub(super) const ZERO: i8 = 8;

/// Int4 weights of a layer `[inputs, outputs]`, symmetric, -8 to 7, a scale for each 32 inputs of an output channel, packed
/// for the kernels.
#[derive(Debug, Clone)]
pub struct Int4Weights {
    inputs: usize,
    outputs: usize,
    /// By panel, then by group of inputs.
    blocks: Vec<Block>,
    /// By panel, then by group, then by channel of the panel.
    scales: Vec<[f32; CHANNELS]>,
}

impl Int4Weights {
    /// Packs integers from -8 to 7, row-major `[inputs][outputs]`, with a scale for each output and group, row-major
    /// `[outputs][groups]`.
    ///
    /// # Panics
    /// When a length does not fit or an integer is out of range.
    pub fn from_integers(
        integers: &[i8],
        inputs: usize,
        outputs: usize,
        scales: &[f32],
    ) -> Int4Weights {
        let (panels, groups) = (outputs.div_ceil(CHANNELS), inputs.div_ceil(GROUP));
        assert!(
            integers.len() == inputs * outputs && scales.len() == outputs * groups,
            "values of the weight"
        );
        let nought = ZERO | (ZERO << 4);
        let mut blocks = vec![Block([nought; CHANNELS * QUAD]); panels * groups * GROUP_BLOCKS];
        let mut by_panel = vec![[0.0; CHANNELS]; panels * groups];
        for (input, row) in integers.chunks(outputs).enumerate() {
            for (output, &value) in row.iter().enumerate() {
                assert!((-8..8).contains(&value), "{value} is no int4");
                let (pair, place) = (input / (2 * QUAD), input % (2 * QUAD));
                let block = &mut blocks[output / CHANNELS * groups * GROUP_BLOCKS + pair];
                let byte = &mut block.0[output % CHANNELS * QUAD + place % QUAD];
                let half = ((value + ZERO) as u8) << (place / QUAD * 4);
                let kept = if place < QUAD { 0xf0 } else { 0x0f };
                *byte = ((*byte as u8 & kept) | half) as i8;
            }
        }
        for (output, scales) in scales.chunks(groups.max(1)).enumerate() {
            for (group, &scale) in scales.iter().enumerate() {
                by_panel[output / CHANNELS * groups + group][output % CHANNELS] = scale;
            }
        }
        Int4Weights {
            inputs,
            outputs,
            blocks,
            scales: by_panel,
        }
    }

    /// The same from bytes as a MatMulNBits holds them, `[outputs][inputs / 2]`: two integers in each, the first in its low half and
    /// all of them 8 too high.
    ///
    /// # Panics
    /// When a length does not fit.
    pub fn from_bytes(bytes: &[u8], inputs: usize, outputs: usize, scales: &[f32]) -> Int4Weights {
        assert_eq!(2 * bytes.len(), inputs * outputs, "values of the weight");
        let mut integers = vec![0; inputs * outputs];
        for (number, byte) in bytes.iter().enumerate() {
            let (output, input) = (2 * number / inputs, 2 * number % inputs);
            integers[input * outputs + output] = (byte & 15) as i8 - ZERO;
            integers[(input + 1) * outputs + output] = (byte >> 4) as i8 - ZERO;
        }
        Int4Weights::from_integers(&integers, inputs, outputs, scales)
    }

    /// The weights in floats, row-major `[inputs][outputs]`.
    pub fn to_floats(&self) -> Vec<f32> {
        let mut floats = vec![0.0; self.inputs * self.outputs];
        for (panel, (blocks, scales)) in self.panels().enumerate() {
            for (pair, quads) in blocks.iter().map(unpacked).enumerate() {
                for (quad, integers) in quads.iter().enumerate() {
                    for (place, &integer) in integers.iter().enumerate() {
                        let input = pair * 2 * QUAD + quad * QUAD + place % QUAD;
                        let (channel, output) = (place / QUAD, panel * CHANNELS + place / QUAD);
                        if input < self.inputs && output < self.outputs {
                            let scale = scales[input / GROUP][channel];
                            floats[input * self.outputs + output] = f32::from(integer) * scale;
                        }
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
        self.outputs.next_multiple_of(CHANNELS)
    }

    /// Bytes that a product reads.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.blocks[..]) + size_of_val(&self.scales[..])
    }

    pub(super) fn groups(&self) -> usize {
        self.inputs.div_ceil(GROUP)
    }

    /// Blocks and scales of each panel.
    pub(super) fn panels(&self) -> impl Iterator<Item = (&[Block], &[[f32; CHANNELS]])> {
        let groups = self.groups().max(1);
        self.blocks
            .chunks_exact(groups * GROUP_BLOCKS)
            .zip(self.scales.chunks_exact(groups))
    }
}

/// The two quads of each channel in a block.
pub(super) fn unpacked(block: &Block) -> [[i8; CHANNELS * QUAD]; 2] {
    [
        block.0.map(|byte| (byte & 15) - ZERO),
        block.0.map(|byte| ((byte as u8) >> 4) as i8 - ZERO),
    ]
}
