//! What `manifest.toml` of a bundle says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vocar_hw::Precision;

/// The bundle format this build reads.
pub const FORMAT: i64 = 1;

/// Everything in a bundle's `manifest.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format number; always [`FORMAT`] in a manifest that was accepted.
    pub format: i64,
    /// Name of the bundle, `speech-en`.
    pub name: String,
    /// Version of the bundle, `0.1.0`.
    pub version: String,
    /// Spoken language, an ISO 639-1 code.
    pub language: String,
    /// SPDX expression of the licence of the bundle.
    pub licence: String,
    /// How audio becomes features.
    pub features: Features,
    /// The acoustic network.
    pub acoustic: Acoustic,
    /// Phones and words.
    pub lexicon: Lexicon,
    /// What is heard when it is no command.
    pub background: Background,
    /// From decoder scores to a probability.
    pub confidence: Confidence,
    /// SHA-256 (64 hex digits) of every file of the bundle, by its name.
    pub files: BTreeMap<String, String>,
}

/// The log-mel filterbank the network was trained on. Frame `t` covers the samples
/// `hop * t .. hop * t + window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples in one (periodic Hann) window.
    pub window: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// Length of the Fourier transform; the window is zero-padded to it.
    pub fft: usize,
    /// Number of mel bands, the width of a feature frame.
    pub mels: usize,
    /// Lower edge of the lowest band, Hz.
    pub low_hz: f32,
    /// Upper edge of the highest band, Hz.
    pub high_hz: f32,
    /// A feature is `ln(energy + floor)`.
    pub floor: f32,
}

/// How the acoustic network is called and which variants of it there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acoustic {
    /// Feature frames per output frame.
    pub subsampling: usize,
    /// Output frames per step.
    pub chunk: usize,
    /// Output frames by which the scores come after their sound: row `i` speaks of sound frame `i - delay`.
    #[serde(default)]
    pub delay: usize,
    /// What an output column means.
    pub topology: Topology,
    /// Name of the feature input, `[1, chunk * subsampling, mels]`.
    pub input: String,
    /// Name of the output, `[1, chunk, columns]`.
    pub output: String,
    /// Inputs with this prefix carry state from step to step.
    pub state_prefix: String,
    /// The state input `state_prefix + X` takes what output `next_prefix + X` gave.
    pub next_prefix: String,
    /// ONNX file of a small network that is called in the same way: it listens for anything like a wake phrase before the
    /// large one does. Without one the large one hears everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scout: Option<String>,
    /// ONNX file of each precision the bundle has, at least one.
    pub models: BTreeMap<Precision, String>,
}

impl Acoustic {
    /// Feature frames that one step takes.
    pub fn frames_per_step(&self) -> usize {
        self.chunk * self.subsampling
    }
}

/// Meaning of the output columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// Column `2u` is the first frame of unit `u`, column `2u + 1` any further frame of it.
    BeginContinue,
}

/// Files that turn words into phone units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lexicon {
    /// One unit a line, line number = unit index, line 0 is silence.
    pub phones: String,
    /// `word<TAB>PH PH PH`, several lines for several pronunciations.
    pub words: String,
    /// Grapheme-to-phoneme model for words outside the lexicon.
    pub g2p: String,
}

/// Files of the background (everything that is no command).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Background {
    /// `from<TAB>to<TAB>natural-log probability`: a bigram over units.
    pub phone_lm: String,
    /// Word n-gram, the rivals of wake phrases; without one they are weighed against phones alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

/// `confidence = 1 / (1 + exp(-(slope * x + offset)))` with
/// `x = (1 - worst_word) * ratio + worst_word * worst word's ratio + margin * min(margin to the next, margin_limit)
/// + length * min(frames / length_limit, 1) + clarity * phone loop's score`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// Steepness of the curve.
    pub slope: f32,
    /// Shift of the curve.
    pub offset: f32,
    /// Weight of the worst word, 0 to 1; the whole sentence has the rest.
    #[serde(default)]
    pub worst_word: f32,
    /// Weight of the margin to the next different sentence.
    #[serde(default)]
    pub margin: f32,
    /// Margins beyond this say no more, nats a frame.
    #[serde(default = "one")]
    pub margin_limit: f32,
    /// Weight of the length: a long sentence does not fit by chance.
    #[serde(default)]
    pub length: f32,
    /// Frames of speech beyond which length says no more.
    #[serde(default = "one")]
    pub length_limit: f32,
    /// Weight of the phone loop's own score, nats a frame: what was heard dimly is doubtful.
    #[serde(default)]
    pub clarity: f32,
}

fn one() -> f32 {
    1.0
}

impl Manifest {
    /// Every file the manifest refers to outside `[files]`, with the field that does.
    pub fn referenced_files(&self) -> Vec<(String, &str)> {
        let mut files: Vec<(String, &str)> = self
            .acoustic
            .models
            .iter()
            .map(|(precision, file)| (format!("acoustic.models.{precision}"), file.as_str()))
            .collect();
        let scout = self.acoustic.scout.iter();
        files.extend(scout.map(|file| ("acoustic.scout".into(), file.as_str())));
        files.push(("lexicon.phones".into(), &self.lexicon.phones));
        files.push(("lexicon.words".into(), &self.lexicon.words));
        files.push(("lexicon.g2p".into(), &self.lexicon.g2p));
        files.push(("background.phone_lm".into(), &self.background.phone_lm));
        let words = self.background.words.iter();
        files.extend(words.map(|file| ("background.words".into(), file.as_str())));
        files
    }

    /// The first value that parses but makes no sense: the field and what is wrong with it.
    pub(crate) fn first_nonsense(&self) -> Option<(&'static str, String)> {
        let f = &self.features;
        let a = &self.acoustic;
        let nyquist = f.sample_rate as f32 / 2.0;
        let checks = [
            (
                "features.sample_rate",
                f.sample_rate >= 8000,
                format!("{} Hz is below 8000 Hz", f.sample_rate),
            ),
            ("features.window", f.window > 0, "must be at least 1".into()),
            (
                "features.hop",
                f.hop > 0 && f.hop <= f.window,
                format!("{} is not within 1..=window ({})", f.hop, f.window),
            ),
            (
                "features.fft",
                f.fft >= f.window,
                format!("{} is shorter than the window ({})", f.fft, f.window),
            ),
            (
                "features.mels",
                f.mels > 0 && f.mels <= 1024,
                format!("{} is not within 1..=1024", f.mels),
            ),
            (
                "features.low_hz",
                f.low_hz >= 0.0 && f.low_hz < f.high_hz,
                format!("{} is not within 0..high_hz ({})", f.low_hz, f.high_hz),
            ),
            (
                "features.high_hz",
                f.high_hz <= nyquist,
                format!("{} is above half the sample rate ({nyquist})", f.high_hz),
            ),
            (
                "features.floor",
                f.floor > 0.0 && f.floor.is_finite(),
                format!("{} is not a small positive number", f.floor),
            ),
            (
                "acoustic.subsampling",
                (1..=64).contains(&a.subsampling),
                format!("{} is not within 1..=64", a.subsampling),
            ),
            (
                "acoustic.chunk",
                (1..=256).contains(&a.chunk),
                format!("{} is not within 1..=256", a.chunk),
            ),
            (
                "acoustic.state_prefix",
                !a.state_prefix.is_empty(),
                "is empty".into(),
            ),
            (
                "acoustic.next_prefix",
                !a.next_prefix.is_empty(),
                "is empty".into(),
            ),
            (
                "acoustic.models",
                !a.models.is_empty(),
                "names no model".into(),
            ),
            (
                "confidence.slope",
                self.confidence.slope.is_finite(),
                "is not a finite number".into(),
            ),
            (
                "confidence.offset",
                self.confidence.offset.is_finite(),
                "is not a finite number".into(),
            ),
        ];
        checks
            .into_iter()
            .find(|(_, sound, _)| !sound)
            .map(|(field, _, problem)| (field, problem))
    }
}
