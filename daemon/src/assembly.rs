//! From settings to parts: domains, mind, ears.

use crate::config::{PrecisionChoice, Settings};
use crate::ears::{Ears, EarsError, find_bundle};
use crate::mind::Mind;
use crate::pipeline::Thresholds;
use std::sync::Arc;
use vocar_inference::Precision;
use vocar_nlu::{Domain, DomainError, Encoder, EncoderError, UnknownName};
use vocar_speech::decoder::DecodingGraph;
use vocar_speech::grammar::WordGraph;
use vocar_speech::recogniser::RecogniserConfig;

/// Folder of the bundle for understanding, beside that for speech.
const ENCODER: &str = "nlu-en";

/// Why there is nothing to understand.
#[derive(Debug, thiserror::Error)]
pub enum MindError {
    /// A domain is malformed.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// `domains.disabled` names a domain that is not loaded.
    #[error("domains.disabled: {0}")]
    Unknown(#[from] UnknownName),
}

/// The configured domains.
///
/// # Errors
/// [`DomainError`] names the file and the field.
pub fn domains(settings: &Settings) -> Result<Vec<Arc<Domain>>, DomainError> {
    let mut domains = Vec::new();
    if settings.domains.car {
        domains.push(Domain::car()?);
    }
    for dir in &settings.domains.dirs {
        domains.push(Arc::new(Domain::load(dir)?));
    }
    Ok(domains)
}

/// What reads what no template says: the configured bundle, else the one beside the speech bundle if there is one.
///
/// # Errors
/// [`EncoderError`] when the bundle is damaged.
pub fn encoder(settings: &Settings) -> Result<Option<Arc<Encoder>>, EncoderError> {
    let configured = &settings.model.understanding;
    let dir = if configured.as_os_str().is_empty() {
        let Ok(speech) = find_bundle(&settings.model.dir) else {
            return Ok(None);
        };
        let beside = speech.with_file_name(ENCODER);
        if !beside.join("manifest.toml").exists() {
            return Ok(None);
        }
        beside
    } else {
        configured.clone()
    };
    Ok(Some(Arc::new(Encoder::load(&dir)?)))
}

/// Understanding as configured, by templates alone.
///
/// # Errors
/// [`MindError`].
pub fn mind(settings: &Settings) -> Result<Mind, MindError> {
    let mut mind = Mind::new(domains(settings)?, single(settings.listen.confirm_below));
    for name in &settings.domains.disabled {
        mind.switch(name, false)?;
    }
    Ok(mind)
}

/// Hearing as configured, for these words.
///
/// # Errors
/// [`EarsError`].
pub fn ears(
    settings: &Settings,
    words: &WordGraph,
    advised: Precision,
) -> Result<(Ears, Arc<DecodingGraph>), EarsError> {
    let dir = find_bundle(&settings.model.dir)?;
    Ears::open(
        &dir,
        precision(settings.model.precision, advised),
        words,
        recogniser(settings),
        settings,
    )
}

/// How the recogniser shall decide.
#[must_use]
pub fn recogniser(settings: &Settings) -> RecogniserConfig {
    let mut config = RecogniserConfig::default();
    config.wake.phrases = settings.listen.wake_phrases.clone();
    config.decoder.rejection = thresholds(settings).least();
    config.no_speech_ms = milliseconds(settings.listen.timeout_s);
    config.endpoint.longest_ms = milliseconds(settings.listen.longest_s);
    config
}

/// How sure the recogniser must be.
#[must_use]
pub const fn thresholds(settings: &Settings) -> Thresholds {
    Thresholds {
        addressed: single(settings.listen.min_confidence),
        open_microphone: single(settings.listen.open_mic_confidence),
    }
}

const fn precision(choice: PrecisionChoice, advised: Precision) -> Precision {
    match choice {
        PrecisionChoice::Auto => advised,
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::Int8 => Precision::Int8,
        PrecisionChoice::Mixed => Precision::Mixed,
    }
}

const fn milliseconds(seconds: f64) -> u32 {
    (seconds * 1e3) as u32
}

const fn single(value: f64) -> f32 {
    value as f32
}
