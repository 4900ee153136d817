//! From settings to parts: domains, mind, ears.

use crate::catalogue;
use crate::config::{PrecisionChoice, Settings};
use crate::conversation::{Manners, samples};
use crate::ears::{Ears, EarsError, find_bundle};
use crate::mind::Mind;
use crate::pipeline::Thresholds;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vocar_inference::{Precision, TextBundle};
use vocar_nlu::{Domain, DomainError, Encoder, EncoderError, UnknownName};
use vocar_speech::decoder::DecodingGraph;
use vocar_speech::dictation::NGram;
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
    catalogue::load(&settings.domains, &settings.trust.domains())
}

/// Folder of the bundle that reads what no template says: the configured one, else the one beside the speech bundle if there is
/// one.
pub fn understanding(settings: &Settings) -> Option<PathBuf> {
    let configured = &settings.model.understanding;
    if !configured.as_os_str().is_empty() {
        return Some(configured.clone());
    }
    let beside = find_bundle(&settings.model.dir)
        .ok()?
        .with_file_name(ENCODER);
    beside.join("manifest.toml").exists().then_some(beside)
}

/// The lexicon of the speech bundle, where there is one.
pub fn lexicon(settings: &Settings) -> Option<PathBuf> {
    let file = find_bundle(&settings.model.dir).ok()?.join("lexicon.txt");
    file.exists().then_some(file)
}

/// What reads what no template says, where there is a bundle for it.
///
/// # Errors
/// [`EncoderError`] when the bundle is damaged.
pub fn encoder(settings: &Settings) -> Result<Option<Arc<Encoder>>, EncoderError> {
    let dir = understanding(settings);
    let trust = settings.trust.bundles();
    dir.map(|dir| Encoder::load_trusted(&dir, &trust).map(Arc::new))
        .transpose()
}

/// The words of free speech, if it is wanted and the bundle for understanding has them.
fn free_words(settings: &Settings) -> Result<Option<NGram>, EarsError> {
    let Some(dir) = understanding(settings).filter(|_| settings.recognition.free_speech) else {
        return Ok(None);
    };
    let bundle = TextBundle::open_trusted(dir, &settings.trust.bundles())?;
    let free = bundle.manifest().free_speech.as_ref();
    let words = free.map(|free| NGram::load(&bundle.path(&free.words)));
    Ok(words.transpose()?)
}

/// Understanding as configured, by templates alone.
///
/// # Errors
/// [`MindError`].
pub fn mind(settings: &Settings) -> Result<Mind, MindError> {
    let mut mind = Mind::new(domains(settings)?, single(settings.listen.confirm_below));
    mind.set_manners(manners(settings));
    for name in &settings.domains.disabled {
        mind.switch(name, false)?;
    }
    Ok(mind)
}

/// How to converse, as configured.
#[must_use]
pub fn manners(settings: &Settings) -> Manners {
    let span = |seconds: f64| samples(Duration::from_secs_f64(seconds));
    let dialogue = &settings.dialogue;
    Manners {
        confirm_below: single(settings.listen.confirm_below),
        confirm_dear: dialogue.confirm,
        answer: span(dialogue.answer_s),
        follow: span(dialogue.follow_s),
        keep: span(dialogue.keep_minutes * 60.0),
    }
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
    let (mut ears, graph) = Ears::open(
        &dir,
        precision(settings.model.precision, advised),
        words,
        recogniser(settings),
        settings,
    )?;
    ears.set_free_words(free_words(settings).unwrap_or_else(|error| {
        // Whoever loads the encoder of the same bundle reports the fault; templates still count.
        tracing::warn!("no free speech: {error}");
        None
    }));
    Ok((ears, graph))
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
        free: single(settings.recognition.free_confidence),
    }
}

/// The configured variant of the acoustic model, else the advised one.
#[must_use]
pub const fn precision(choice: PrecisionChoice, advised: Precision) -> Precision {
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
