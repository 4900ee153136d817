//! Processor time of a drive: most of it without speech.
//!
//! The cascade, in which voice activity gates everything behind it, against a recogniser that is always on: front end, float
//! network and search over all of the same sound. The latter's network is timed with our operators and with tract's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use vocar_inference::{AcousticModel, Bundle, Network, Operators, Precision};
use vocar_speech::decoder::{Background, Decoder, DecoderConfig, DecodingGraph};
use vocar_speech::frontend::{FeatureSpec, LogMel};
use vocar_speech::grammar::WordGraph;
use vocar_speech::lexicon::Lexicon;
use vocar_speech::recogniser::Mode;
use vocar_speech::resample::RATE;

use super::ReportError;
use super::recognition::{RecognitionError, recogniser};
use crate::bench::{BenchError, made_inputs};

/// Samples that are given at a time.
const PIECE: usize = 320;
/// Seconds after which a search that is always on begins anew, as no sentence is longer.
const LONGEST: usize = 10;
/// Steps that are timed with tract's own operators; the others would take as long.
const STOCK_STEPS: usize = 300;
/// Root mean square of the noise between the recordings: a quiet room through a good microphone.
const QUIET: f32 = 1e-3;

/// Processor time of both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Energy {
    /// Seconds of sound.
    pub seconds: f64,
    /// Share of it that is recordings of speech, 0 to 1.
    pub speech: f64,
    /// Processor seconds of the cascade.
    pub cascade_s: f64,
    /// Processor seconds of the recogniser that is always on in floats, with our operators.
    pub always_on_s: f64,
    /// The same with tract's own operators.
    pub always_on_stock_s: f64,
}

impl Energy {
    /// How much less the cascade takes than something else, 0 to 1.
    pub fn saved(&self, instead_of: f64) -> f64 {
        1.0 - self.cascade_s / instead_of.max(f64::MIN_POSITIVE)
    }
}

/// Measures both on recordings (16 kHz mono) with as much quiet between them that this share is speech, again and again until
/// there are so many seconds. The cascade listens at an open microphone for `sentences` with the bundle's network of
/// `precision`.
///
/// # Errors
/// [`ReportError`] when the bundle cannot be loaded or a network fails.
pub fn measure(
    bundle: &Bundle,
    precision: Precision,
    sentences: &[String],
    recordings: &[Vec<f32>],
    share: f64,
    seconds: f64,
) -> Result<Energy, ReportError> {
    let drive = Drive::new(recordings, share, (seconds * f64::from(RATE)) as usize);
    let always = AlwaysOn::measure(bundle, sentences, &drive.samples)?;
    Ok(Energy {
        seconds: drive.samples.len() as f64 / f64::from(RATE),
        speech: drive.speech as f64 / drive.samples.len().max(1) as f64,
        cascade_s: cascade(bundle, precision, sentences, &drive.samples)?,
        always_on_s: always.front_s + always.network_s + always.search_s,
        always_on_stock_s: always.front_s + always.stock_s + always.search_s,
    })
}

/// The sound, and how many of its samples are recordings.
struct Drive {
    samples: Vec<f32>,
    speech: usize,
}

impl Drive {
    fn new(recordings: &[Vec<f32>], share: f64, length: usize) -> Drive {
        let mut drive = Drive {
            samples: Vec::with_capacity(length),
            speech: 0,
        };
        let mut noise = Noise(1);
        let spoken = recordings.iter().filter(|recording| !recording.is_empty());
        for recording in spoken.cycle() {
            let quiet = recording.len() as f64 * (1.0 / share - 1.0);
            drive.samples.extend(recording);
            drive.speech += recording.len();
            drive
                .samples
                .extend((0..quiet as usize).map(|_| noise.next()));
            if drive.samples.len() >= length {
                break;
            }
        }
        drive
    }
}

/// Uniform noise: a linear congruence (D. Knuth's constants for 64 bits).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let unit = (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0;
        unit * 3f32.sqrt() * QUIET
    }
}

fn cascade(
    bundle: &Bundle,
    precision: Precision,
    sentences: &[String],
    samples: &[f32],
) -> Result<f64, ReportError> {
    let mut recogniser = recogniser(bundle, precision, sentences)?;
    recogniser.listen(Mode::OpenMic);
    let clock = Clock::start();
    for piece in samples.chunks(PIECE) {
        let heard = recogniser.push(piece, &mut |_| {});
        heard.map_err(RecognitionError::from)?;
    }
    Ok(clock.seconds())
}

/// Processor seconds of what is always on.
struct AlwaysOn {
    front_s: f64,
    network_s: f64,
    search_s: f64,
    /// Of the network with tract's own operators.
    stock_s: f64,
}

impl AlwaysOn {
    /// Ten seconds of sound at a time, so that each part is timed by itself.
    fn measure(
        bundle: &Bundle,
        sentences: &[String],
        samples: &[f32],
    ) -> Result<AlwaysOn, ReportError> {
        let model = AcousticModel::load(bundle, Precision::F32).map_err(RecognitionError::from)?;
        let mut session = model.session();
        let step = model.signature().frames * model.signature().mels;
        let spec = FeatureSpec::from(&bundle.manifest().features);
        let mut front = LogMel::new(&spec).map_err(|e| RecognitionError::Recogniser(e.into()))?;
        let mut search = decoder(bundle, sentences)?;
        let (mut features, mut rows) = (Vec::new(), Vec::new());
        let mut sums = AlwaysOn {
            front_s: 0.0,
            network_s: 0.0,
            search_s: 0.0,
            stock_s: 0.0,
        };
        let mut steps = 0;
        for piece in samples.chunks(LONGEST * RATE as usize) {
            let clock = Clock::start();
            for piece in piece.chunks(PIECE) {
                front.push(piece, &mut features);
            }
            sums.front_s += clock.seconds();
            let clock = Clock::start();
            let whole = features.len() / step * step;
            for chunk in features[..whole].chunks(step) {
                let stepped = session.step(chunk);
                rows.extend_from_slice(
                    stepped.map_err(|e| RecognitionError::Recogniser(e.into()))?,
                );
                steps += 1;
            }
            sums.network_s += clock.seconds();
            features.drain(..whole);
            let clock = Clock::start();
            search.push(&rows);
            search.reset();
            sums.search_s += clock.seconds();
            rows.clear();
        }
        if let Some(name) = bundle.manifest().acoustic.models.get(&Precision::F32) {
            sums.stock_s = steps as f64 * stock_step(&bundle.path(name))?;
        }
        Ok(sums)
    }
}

fn decoder(bundle: &Bundle, sentences: &[String]) -> Result<Decoder, RecognitionError> {
    let lexicon = Lexicon::load(bundle)?;
    let words = WordGraph::from_sentences(sentences);
    let graph = Arc::new(DecodingGraph::compile(&words, &lexicon)?);
    let background = Background::load(bundle, lexicon.phones())?;
    Ok(Decoder::new(graph, &background, DecoderConfig::default()))
}

/// Processor seconds of one step with tract's own operators.
fn stock_step(path: &Path) -> Result<f64, ReportError> {
    let mut network = Network::load(path, Operators::Stock).map_err(BenchError::from)?;
    let inputs = made_inputs(network.inputs());
    network.run(&inputs).map_err(BenchError::from)?;
    let clock = Clock::start();
    for _ in 0..STOCK_STEPS {
        network.run(&inputs).map_err(BenchError::from)?;
    }
    Ok(clock.seconds() / STOCK_STEPS as f64)
}

/// Processor time of this thread, by the wall's clock where the system does not tell.
struct Clock {
    begun: Option<f64>,
    wall: Instant,
}

impl Clock {
    fn start() -> Clock {
        Clock {
            begun: thread_seconds(),
            wall: Instant::now(),
        }
    }

    fn seconds(&self) -> f64 {
        match (self.begun, thread_seconds()) {
            (Some(begun), Some(now)) => now - begun,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

/// Seconds that this thread has run on a processor: the first figure of Linux's `schedstat`, in nanoseconds.
fn thread_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_has_the_share_of_speech_that_was_asked_for() {
        let drive = Drive::new(&[vec![0.5; 1000], vec![0.5; 3000]], 0.05, 200_000);
        let share = drive.speech as f64 / drive.samples.len() as f64;
        assert!(
            (share - 0.05).abs() < 1e-3 && drive.samples.len() >= 200_000,
            "{share}"
        );
        let quiet: Vec<f32> = drive
            .samples
            .iter()
            .copied()
            .filter(|s| *s != 0.5)
            .collect();
        let power = quiet.iter().map(|s| s * s).sum::<f32>() / quiet.len() as f32;
        assert!(
            (power.sqrt() / QUIET - 1.0).abs() < 0.05,
            "{}",
            power.sqrt()
        );
    }

    #[test]
    fn without_recordings_there_is_no_drive() {
        assert!(Drive::new(&[], 0.05, 1000).samples.is_empty());
    }

    #[test]
    fn what_is_saved_is_a_share() {
        let energy = Energy {
            seconds: 3600.0,
            speech: 0.05,
            cascade_s: 15.0,
            always_on_s: 60.0,
            always_on_stock_s: 100.0,
        };
        assert!((energy.saved(energy.always_on_s) - 0.75).abs() < 1e-9);
        assert!((energy.saved(energy.always_on_stock_s) - 0.85).abs() < 1e-9);
    }
}
