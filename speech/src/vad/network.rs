//! The detector's network: log-mel bands, one rectified layer, one gated recurrent layer, one score.
//!
//! `training/vad.py` trains it and writes `weights.bin`, which is part of the program: magic, three sizes (u32: bands,
//! inner units, memory units), then little-endian f32: mean and scale of the bands; weights and biases of the inner layer;
//! input weights, input biases, recurrent weights and recurrent biases of the gates (reset, update, new; Cho et al.,
//! 2014, in PyTorch's form); weights and bias of the output. Matrices lie row by row, a row for each output.

use super::FRAME;
use crate::frontend::{FeatureSpec, LogMel};

const WEIGHTS: &[u8] = include_bytes!("weights.bin");
const MAGIC: &[u8] = b"VVAD\x01";

/// A matrix with a bias for each row.
struct Layer {
    inputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Layer {
    fn apply(&self, input: &[f32], output: &mut [f32]) {
        let rows = self.weights.chunks_exact(self.inputs);
        for ((out, row), bias) in output.iter_mut().zip(rows).zip(&self.bias) {
            *out = bias + dot(row, input);
        }
    }
}

/// Eight sums side by side, which the compiler turns into vector instructions.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    for (a, b) in left.iter().zip(right) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Reads the numbers of a weight file one after the other.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn size(&mut self) -> Option<usize> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*head) as usize)
    }

    fn numbers(&mut self, count: usize) -> Option<Vec<f32>> {
        let (head, rest) = self.0.split_at_checked(count * 4)?;
        self.0 = rest;
        let (words, _) = head.as_chunks::<4>();
        Some(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }

    fn layer(&mut self, outputs: usize, inputs: usize) -> Option<Layer> {
        Some(Layer {
            inputs,
            weights: self.numbers(outputs * inputs)?,
            bias: self.numbers(outputs)?,
        })
    }
}

/// Streaming detector: one score for each [`FRAME`] samples. Allocates nothing after its creation.
pub(super) struct Network {
    front: LogMel,
    mean: Vec<f32>,
    scale: Vec<f32>,
    inner: Layer,
    from_input: Layer,
    from_memory: Layer,
    out: Layer,
    bands: Vec<f32>,
    hidden: Vec<f32>,
    memory: Vec<f32>,
    input_gates: Vec<f32>,
    memory_gates: Vec<f32>,
}

impl Network {
    /// The shipped detector before its first frame.
    pub fn new() -> Network {
        Network::parse(WEIGHTS)
            .expect("the weights that the program holds are whole, as a test makes sure")
    }

    /// Reads a weight file; `None` when it is none, or its length does not fit its sizes.
    fn parse(bytes: &[u8]) -> Option<Network> {
        let mut reader = Reader(bytes.strip_prefix(MAGIC)?);
        let (bands, inner, memory) = (reader.size()?, reader.size()?, reader.size()?);
        let front = LogMel::new(&FeatureSpec {
            window: 2 * FRAME,
            hop: FRAME,
            fft: 2 * FRAME,
            mels: bands,
            ..FeatureSpec::default()
        });
        let mut network = Network {
            front: front.ok()?,
            mean: reader.numbers(bands)?,
            scale: reader.numbers(bands)?,
            inner: reader.layer(inner, bands)?,
            from_input: reader.layer(3 * memory, inner)?,
            from_memory: reader.layer(3 * memory, memory)?,
            out: reader.layer(1, memory)?,
            bands: Vec::with_capacity(bands),
            hidden: vec![0.0; inner],
            memory: vec![0.0; memory],
            input_gates: vec![0.0; 3 * memory],
            memory_gates: vec![0.0; 3 * memory],
        };
        network.reset();
        reader.0.is_empty().then_some(network)
    }

    /// Forgets what was heard; half a window of silence lies before the first sample.
    pub fn reset(&mut self) {
        self.memory.fill(0.0);
        self.bands.clear();
        self.front.reset();
        self.front.push(&[0.0; FRAME], &mut self.bands);
    }

    /// Probability that somebody speaks in these [`FRAME`] samples.
    pub fn step(&mut self, samples: &[f32]) -> f32 {
        self.bands.clear();
        self.front.push(samples, &mut self.bands);
        for ((band, mean), scale) in self.bands.iter_mut().zip(&self.mean).zip(&self.scale) {
            *band = (*band - mean) * scale;
        }
        self.inner.apply(&self.bands, &mut self.hidden);
        self.hidden
            .iter_mut()
            .for_each(|unit| *unit = unit.max(0.0));
        self.from_input.apply(&self.hidden, &mut self.input_gates);
        self.from_memory.apply(&self.memory, &mut self.memory_gates);
        let units = self.memory.len();
        for unit in 0..units {
            let both = |gate: usize| {
                self.input_gates[gate * units + unit] + self.memory_gates[gate * units + unit]
            };
            let (reset, update) = (sigmoid(both(0)), sigmoid(both(1)));
            let fresh =
                self.input_gates[2 * units + unit] + reset * self.memory_gates[2 * units + unit];
            self.memory[unit] = (1.0 - update) * fresh.tanh() + update * self.memory[unit];
        }
        let mut logit = [0.0];
        self.out.apply(&self.memory, &mut logit);
        sigmoid(logit[0])
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_weights_are_whole_and_small() {
        assert!(Network::parse(WEIGHTS).is_some());
        assert!(WEIGHTS.len() < 100_000, "{} bytes", WEIGHTS.len());
    }

    #[test]
    fn torn_and_foreign_files_are_refused() {
        let longer = [WEIGHTS, &[0; 4]].concat();
        for bytes in [
            &WEIGHTS[..WEIGHTS.len() - 1],
            &WEIGHTS[..9],
            &WEIGHTS[1..],
            &longer,
            b"",
        ] {
            assert!(Network::parse(bytes).is_none(), "{} bytes", bytes.len());
        }
    }

    /// A network with one band, inner unit and memory unit, worked out by hand.
    #[test]
    fn computes_what_the_equations_say() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1u32, 1, 1].iter().flat_map(|size| size.to_le_bytes()));
        let numbers = [
            -2.0f32, 0.5, // mean, scale
            -0.25, 0.1, // inner weight, bias
            0.3, -0.4, 0.9, 0.05, 0.1,
            -0.2, // from the input: weights and biases of reset, update, new
            0.7, 0.2, -0.6, 0.0, 0.3, 0.15, // from the memory
            1.5, -0.1, // output
        ];
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        let mut network = Network::parse(&bytes).unwrap();
        let silence = 1e-7f32.ln();
        let inner = (-0.25 * (silence + 2.0) * 0.5 + 0.1).max(0.0);
        let mut memory = 0.0;
        for _ in 0..3 {
            let reset = sigmoid(0.3 * inner + 0.05 + 0.7 * memory);
            let update = sigmoid(-0.4 * inner + 0.1 + 0.2 * memory + 0.3);
            let fresh = (0.9 * inner - 0.2 + reset * (-0.6 * memory + 0.15)).tanh();
            memory = (1.0 - update) * fresh + update * memory;
            let score = network.step(&[0.0; FRAME]);
            assert!((score - sigmoid(1.5 * memory - 0.1)).abs() < 1e-5);
        }
    }

    #[test]
    fn sums_of_any_length_are_right() {
        for length in [0, 1, 7, 8, 9, 30] {
            let numbers: Vec<f32> = (0..length).map(|n| n as f32).collect();
            let right: f32 = numbers.iter().map(|n| n * n).sum();
            assert_eq!(dot(&numbers, &numbers), right);
        }
    }
}
