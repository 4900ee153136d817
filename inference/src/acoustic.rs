//! The acoustic model of a bundle and its streams.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use vocar_hw::Precision;

use crate::bundle::Bundle;
use crate::cpu::CpuEngine;
use crate::engine::{Engine, EngineError, Session, Signature};
use crate::manifest::Acoustic;

/// Why an acoustic model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bundle has no model of this precision.
    #[error(
        "{bundle}: `acoustic.models` has no {wanted} model, only {there}; choose one of these or install a bundle that has it"
    )]
    NoSuchPrecision {
        /// Name of the bundle.
        bundle: String,
        /// What was asked for.
        wanted: Precision,
        /// What it has, separated by commas.
        there: String,
    },
    /// The network itself cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The file of the bundle's network of this precision.
///
/// # Errors
/// [`LoadError::NoSuchPrecision`].
pub fn file(bundle: &Bundle, precision: Precision) -> Result<PathBuf, LoadError> {
    let manifest = bundle.manifest();
    let named = manifest.acoustic.models.get(&precision);
    let absent = || LoadError::NoSuchPrecision {
        bundle: manifest.name.clone(),
        wanted: precision,
        there: bundle
            .precisions()
            .map(|p| p.to_string())
            .collect::<Vec<_>>()
            .join(", "),
    };
    Ok(bundle.path(named.ok_or_else(absent)?))
}

/// One network of a bundle, ready to run: features in, log posteriors out.
pub struct AcousticModel {
    engine: Box<dyn Engine>,
    precision: Precision,
    acoustic: Acoustic,
    /// A stream that never runs; new ones fork from it, which cannot fail. Engines need not be [`Sync`] in
    /// their sessions, hence the lock.
    pristine: Mutex<Box<dyn Session>>,
}

impl AcousticModel {
    /// Loads and optimises the network for the CPU. Do it once: sessions share the weights.
    ///
    /// # Errors
    /// [`LoadError`] when the bundle has no such variant or the network cannot be used.
    pub fn load(bundle: &Bundle, precision: Precision) -> Result<Arc<AcousticModel>, LoadError> {
        let manifest = bundle.manifest();
        let engine = CpuEngine::load(&file(bundle, precision)?, manifest)?;
        Ok(AcousticModel::with_engine(
            Box::new(engine),
            precision,
            manifest.acoustic.clone(),
        )?)
    }

    /// Loads the small network that listens for anything like a wake phrase, if the bundle has one.
    ///
    /// # Errors
    /// [`LoadError`] when it cannot be used.
    pub fn load_scout(bundle: &Bundle) -> Result<Option<Arc<AcousticModel>>, LoadError> {
        let manifest = bundle.manifest();
        let Some(file) = &manifest.acoustic.scout else {
            return Ok(None);
        };
        let engine = CpuEngine::load(&bundle.path(file), manifest)?;
        let acoustic = manifest.acoustic.clone();
        let model = AcousticModel::with_engine(Box::new(engine), Precision::Int8, acoustic)?;
        Ok(Some(model))
    }

    /// A model on an engine that is already loaded, an accelerator for instance.
    ///
    /// # Errors
    /// [`EngineError`] when the engine cannot make a session.
    pub fn with_engine(
        engine: Box<dyn Engine>,
        precision: Precision,
        acoustic: Acoustic,
    ) -> Result<Arc<AcousticModel>, EngineError> {
        let pristine = Mutex::new(engine.start()?);
        Ok(Arc::new(AcousticModel {
            engine,
            precision,
            acoustic,
            pristine,
        }))
    }

    /// Starts a stream, its state all zeros.
    pub fn session(self: &Arc<Self>) -> AcousticSession {
        let pristine = self.pristine.lock().unwrap_or_else(PoisonError::into_inner);
        AcousticSession {
            model: Arc::clone(self),
            session: pristine.fork(),
        }
    }

    /// Name of the engine: `fused` or `tract` on the CPU.
    pub fn engine(&self) -> &str {
        self.engine.name()
    }

    /// As [`Engine::fallible`].
    pub fn fallible(&self) -> bool {
        self.engine.fallible()
    }

    /// Number format of the weights.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Shape of one step.
    pub fn signature(&self) -> Signature {
        self.engine.signature()
    }

    /// What the manifest says of the network.
    pub fn acoustic(&self) -> &Acoustic {
        &self.acoustic
    }

    /// Number of phone units, silence included: half the output columns.
    pub fn units(&self) -> usize {
        self.signature().columns / 2
    }
}

impl fmt::Debug for AcousticModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "AcousticModel({} on {}, {:?})",
            self.precision,
            self.engine(),
            self.signature()
        )
    }
}

/// One stream of audio through an [`AcousticModel`]. A clone goes on from the same past on its own and
/// shares the weights and copies the state, a few hundred kilobytes, so that a guess ("suppose the speaker stops now")
/// costs little more than its steps.
pub struct AcousticSession {
    model: Arc<AcousticModel>,
    session: Box<dyn Session>,
}

impl AcousticSession {
    /// One step: `features` is row-major `[frames][mels]`, the result `[chunk][columns]`, natural logarithms.
    ///
    /// # Errors
    /// [`EngineError::Length`] leaves the state as it was; after any other error the stream starts afresh.
    pub fn step(&mut self, features: &[f32]) -> Result<&[f32], EngineError> {
        self.session.step(features)
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        self.session.reset();
    }

    /// As [`Session::suspect`].
    pub fn suspect(&self) -> bool {
        self.session.suspect()
    }

    /// As [`Session::audit`].
    pub fn audit(&mut self) -> bool {
        self.session.audit()
    }

    /// The model this is a stream of.
    pub fn model(&self) -> &Arc<AcousticModel> {
        &self.model
    }
}

impl Clone for AcousticSession {
    fn clone(&self) -> Self {
        AcousticSession {
            model: Arc::clone(&self.model),
            session: self.session.fork(),
        }
    }
}

impl fmt::Debug for AcousticSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AcousticSession({:?})", self.model)
    }
}
