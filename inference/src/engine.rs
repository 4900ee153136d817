//! The contract between the recogniser and whatever does the arithmetic.
//!
//! A streaming network takes features and its own state and gives scores and the next state. An engine
//! owns the weights once; each session owns one stream's state. The CPU engine is
//! [`CpuEngine`](crate::CpuEngine); an accelerator is another implementation of the same two traits.

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

/// A network ready to run.
pub trait Engine: Send + Sync {
    /// Name for reports.
    fn name(&self) -> &str;

    /// Shape of one step.
    fn signature(&self) -> Signature;

    /// Starts a stream, its state all zeros.
    ///
    /// # Errors
    /// [`EngineError`] when the library cannot make a session.
    fn start(&self) -> Result<Box<dyn Session>, EngineError>;
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
    /// A step was given the wrong number of values.
    #[error("a step takes {expected} feature values, {found} were given")]
    Length {
        /// Frames times mels.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// The library failed in the middle of a step; the stream was reset.
    #[error("the network failed during a step and the stream was reset: {0}")]
    Run(String),
}
