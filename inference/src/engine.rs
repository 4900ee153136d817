//! The contract between the recogniser and whatever does the arithmetic.
//!
//! A streaming network takes features and its own state and gives scores and the next state. An engine
//! owns the weights once; each session owns one stream's state. The CPU engine is
//! [`CpuEngine`](crate::CpuEngine); an accelerator is another implementation of the same two traits.

use std::sync::Arc;

/// Shape of one step, the same for every step of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Feature frames in.
    pub frames: usize,
    /// Values in a feature frame.
    pub mels: usize,
    /// Output frames.
    pub chunk: usize,
    /// Values in an output frame.
    pub columns: usize,
}

/// A tensor that a step hands to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its name as an input.
    pub input: String,
    /// Its name as an output.
    pub output: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl State {
    /// Number of floats.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A network ready to run.
pub trait Engine: Send + Sync {
    /// Name for reports.
    fn name(&self) -> &str;

    /// Shape of one step.
    fn signature(&self) -> Signature;

    /// What a stream remembers; nothing where it is the engine's secret.
    fn states(&self) -> &[State] {
        &[]
    }

    /// Whether scores may turn out to be wrong after they were given: [`Session::audit`] then has something to find.
    fn fallible(&self) -> bool {
        false
    }

    /// Starts a stream, its state all zeros.
    ///
    /// # Errors
    /// [`EngineError`] when the library cannot make a session.
    fn start(&self) -> Result<Box<dyn Session>, EngineError>;
}

impl<E: Engine + ?Sized> Engine for Arc<E> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn signature(&self) -> Signature {
        (**self).signature()
    }

    fn states(&self) -> &[State] {
        (**self).states()
    }

    fn fallible(&self) -> bool {
        (**self).fallible()
    }

    fn start(&self) -> Result<Box<dyn Session>, EngineError> {
        (**self).start()
    }
}

/// One stream of audio through a network.
pub trait Session: Send {
    /// Runs one step: `features` is row-major `[frames][mels]`, the result `[chunk][columns]`.
    ///
    /// # Errors
    /// [`EngineError::Length`] leaves the state as it was; after any other error the stream starts afresh.
    fn step(&mut self, features: &[f32]) -> Result<&[f32], EngineError>;

    /// Back to the state of a new session.
    fn reset(&mut self);

    /// A second stream with the same past, and the same weights.
    fn fork(&self) -> Box<dyn Session>;

    /// Whether scores given since the last [`reset`](Session::reset) have turned out to be wrong. After a reset they are not.
    fn suspect(&self) -> bool {
        false
    }

    /// Looks at the scores given since the last reset before something is done because of them; whether they hold. Where they
    /// do not, they are [suspect](Session::suspect).
    fn audit(&mut self) -> bool {
        !self.suspect()
    }

    /// Writes what it remembers: the values of [`Engine::states`], one after the other.
    ///
    /// # Errors
    /// [`EngineError::Length`] when `values` is not as long as these.
    fn export(&self, values: &mut [f32]) -> Result<(), EngineError> {
        fits(0, values.len())
    }

    /// Goes on from what another stream remembered, of this or another engine with the same states.
    ///
    /// # Errors
    /// [`EngineError::Length`] as [`Session::export`].
    fn import(&mut self, values: &[f32]) -> Result<(), EngineError> {
        fits(0, values.len())
    }
}

/// Whether as many values came as were expected.
///
/// # Errors
/// [`EngineError::Length`].
pub(crate) fn fits(expected: usize, found: usize) -> Result<(), EngineError> {
    if found == expected {
        return Ok(());
    }
    Err(EngineError::Length { expected, found })
}

/// Why a network could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine's library refuses the file.
    #[error(
        "{file}: the {stage} of the network failed: {problem}; export the model again with the operators this build supports"
    )]
    Load {
        /// The ONNX file.
        file: String,
        /// What was being done.
        stage: &'static str,
        /// The library's words.
        problem: String,
    },
    /// Inputs and outputs are not as the manifest says.
    #[error(
        "{file}: {problem}; the network and its manifest do not belong together, reinstall the bundle"
    )]
    Contract {
        /// The ONNX file.
        file: String,
        /// Which tensor and what about it.
        problem: String,
    },
    /// A step, or a stream's memory, was given the wrong number of values.
    #[error("{expected} values are wanted, {found} were given")]
    Length {
        /// Frames times mels, or what the states hold.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// The library failed in the middle of a step; the stream was reset.
    #[error("the network failed during a step and the stream was reset: {0}")]
    Run(String),
}
