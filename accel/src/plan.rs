//! What is said between the daemon and the program: one network, then its steps.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What to run, with what, and where its tensors lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// ONNX Runtime's library: a file, or a name that the loader looks for.
    pub runtime: PathBuf,
    /// The ONNX file. Shapes are fixed.
    pub network: PathBuf,
    /// What runs it.
    pub provider: Provider,
    /// Whether nodes that the provider refuses may run on the processor.
    pub placement: Placement,
    /// What goes in, in any order.
    pub inputs: Vec<Tensor>,
    /// What comes out.
    pub outputs: Vec<Tensor>,
    /// Where ONNX Runtime may write its profile of the run, which [`Request::Parts`] needs; no profile otherwise.
    pub profile: Option<PathBuf>,
}

/// An execution provider of ONNX Runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name: `CPUExecutionProvider` is ONNX Runtime's own; others are called as their library registers them, such as
    /// `QNNExecutionProvider`, or, without a library, as ONNX Runtime was built with them, such as `QNN`.
    pub name: String,
    /// The library that it is in; none: in ONNX Runtime itself.
    #[serde(default)]
    pub library: Option<PathBuf>,
    /// Its options, such as `backend_path`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Provider {
    /// ONNX Runtime's own on the processor.
    pub const PROCESSOR: &str = "CPUExecutionProvider";

    /// Whether it is ONNX Runtime's own on the processor.
    #[must_use]
    pub fn is_processor(&self) -> bool {
        self.name == Self::PROCESSOR
    }
}

/// Whether nodes may be left to the processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// All nodes on the provider, else the network is refused.
    #[default]
    Whole,
    /// What the provider refuses runs on the processor, within the program.
    Mixed,
}

/// A tensor of floats in shared memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// Its name in the network.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where it begins, in bytes.
    pub offset: usize,
}

impl Tensor {
    /// Bytes on which tensors begin: what any processor's vectors ask for.
    const ALIGNMENT: usize = 64;

    /// Number of floats.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names and shapes laid out one after the other from `start`; returns the end, in bytes.
    pub fn lay<'a>(
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
        start: usize,
    ) -> (Vec<Tensor>, usize) {
        let mut end = start;
        let mut place = |(name, shape): (&str, &[usize])| {
            let offset = end.next_multiple_of(Self::ALIGNMENT);
            end = offset + size_of::<f32>() * shape.iter().product::<usize>();
            Tensor {
                name: name.to_owned(),
                shape: shape.to_vec(),
                offset,
            }
        };
        let laid = tensors.into_iter().map(&mut place).collect();
        (laid, end)
    }
}

/// From the daemon to the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Load a network, once.
    Load(Box<Plan>),
    /// Run it on what lies in shared memory.
    Step,
    /// Say what ran where. The network cannot be run any more.
    Parts,
}

/// From the program to the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Still loading.
    Alive,
    /// The network is ready.
    Loaded(Loaded),
    /// The outputs lie in shared memory.
    Done,
    /// What ran where.
    Parts(Vec<Part>),
    /// It cannot be done; a sentence.
    Refused(String),
}

/// A network that is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// What runs it, for people: library and version.
    pub by: String,
}

/// Nodes of one kind that ran at one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The execution provider.
    pub provider: String,
    /// The operator.
    pub operator: String,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Microseconds that they took in a step, on average.
    pub us: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_lie_behind_one_another_and_aligned() {
        let shapes: [(&str, &[usize]); 3] = [("a", &[1, 3]), ("b", &[16]), ("c", &[2, 2])];
        let (laid, end) = Tensor::lay(shapes, 10);
        let offsets: Vec<usize> = laid.iter().map(|tensor| tensor.offset).collect();
        assert_eq!((offsets, end), (vec![64, 128, 192], 208));
        assert_eq!(laid[2].len(), 4);
    }
}
