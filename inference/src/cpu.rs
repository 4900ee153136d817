//! The CPU engine: our operators, and tract for what they do not cover.

use std::path::Path;

use tract_onnx::pb::ModelProto;

use crate::engine::{Engine, EngineError, Session, Signature, State};
use crate::fused_engine::FusedEngine;
use crate::manifest::Manifest;
use crate::network::{Loaded, Operators, load, parse};
use crate::tract::TractEngine;

/// A streaming ONNX network on this CPU: as a program of our operators where they cover it all, else with tract. Sessions
/// share one copy of the weights.
pub struct CpuEngine(Box<dyn Engine>);

impl CpuEngine {
    /// Loads, checks and optimises `path`, whose tensors are named as `manifest` says.
    ///
    /// # Errors
    /// [`EngineError::Load`] when the network cannot be run, [`EngineError::Contract`] when its inputs and outputs are not
    /// those of the manifest.
    pub fn load(path: &Path, manifest: &Manifest) -> Result<CpuEngine, EngineError> {
        CpuEngine::new(parse(path)?, &path.display().to_string(), manifest)
    }

    /// The same for a network that was parsed; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`CpuEngine::load`].
    pub fn new(
        proto: ModelProto,
        file: &str,
        manifest: &Manifest,
    ) -> Result<CpuEngine, EngineError> {
        let outputs = proto.graph.iter().flat_map(|graph| &graph.output);
        let outputs = outputs.map(|output| output.name.clone()).collect();
        Ok(CpuEngine(match load(proto, file, Operators::Fused)? {
            Loaded::Program(program) => Box::new(FusedEngine::new(program, file, manifest)?),
            Loaded::Typed(typed) => Box::new(TractEngine::new(typed, outputs, file, manifest)?),
        }))
    }
}

impl Engine for CpuEngine {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> Signature {
        self.0.signature()
    }

    fn states(&self) -> &[State] {
        self.0.states()
    }

    fn start(&self) -> Result<Box<dyn Session>, EngineError> {
        self.0.start()
    }
}
