//! Prints every score of wake phrases over recordings, for drawing their DET curve.
//!
//! `cargo run --release -p vocar-speech --example wake -- BUNDLE PHRASES MANIFEST [FLOOR]`
//!
//! PHRASES: a text file, one phrase a line. MANIFEST: a table whose first column is `path`. Everything is as in the
//! vehicle: voice activity opens a stretch, the acoustic network begins anew with the second before it, the spotter
//! hears until voice ends; what the bundle's small network does not take for possible, the large one does not hear. Output,
//! tab-separated: path, phrase, end (seconds), score (nats): the best of each second, when it is at least FLOOR (default -40)
//! and every word reaches the word threshold.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use vocar_inference::{AcousticModel, AcousticSession, Bundle};
use vocar_speech::decoder::Background;
use vocar_speech::frontend::{FeatureSpec, LogMel};
use vocar_speech::lexicon::Lexicon;
use vocar_speech::recogniser::RecogniserConfig;
use vocar_speech::source::AudioSource;
use vocar_speech::vad::{FRAME, VadConfig, VadEvent, VoiceActivity};
use vocar_speech::wake::{PAUSE_AFTER, Spotted, WakeConfig, WakeSpotter, Words};

/// Scores of one phrase closer than this are one alarm, seconds.
const APART: f64 = 1.0;

struct Ear {
    front: LogMel,
    session: AcousticSession,
    spotter: WakeSpotter,
    columns: usize,
    step: usize,
    delay: usize,
    /// Seconds of an output frame.
    frame: f64,
}

/// The small network, and what it asks of each phrase.
struct Scout {
    ear: Ear,
    thresholds: Vec<f32>,
}

/// What is heard between the beginning and the end of voice.
struct Stretch {
    /// First sample in the recording.
    from: usize,
    /// Samples at the gain that the recogniser would give them.
    samples: Vec<f32>,
}

/// The best score of a phrase within a second.
#[derive(Clone, Copy)]
struct Peak {
    phrase: usize,
    end: f64,
    score: f32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, phrases, manifest, rest @ ..] = arguments.as_slice() else {
        return Err("usage: wake BUNDLE PHRASES MANIFEST [FLOOR]".into());
    };
    let floor: f32 = rest.first().map_or(Ok(-40.0), |floor| floor.parse())?;
    let bundle = Bundle::open(Path::new(folder))?;
    let phrases: Vec<String> = std::fs::read_to_string(phrases)?
        .lines()
        .map(str::to_owned)
        .collect();
    let mut ear = Ear::new(
        &bundle,
        AcousticModel::load(&bundle, bundle.lightest())?,
        &phrases,
    )?;
    let lexicon = Lexicon::load(&bundle)?;
    if let Some(words) = Words::load(&bundle, &lexicon)? {
        ear.spotter = ear.spotter.against(&words);
    }
    let mut scout = match AcousticModel::load_scout(&bundle)? {
        Some(model) => Some(Scout::new(&bundle, model, &lexicon, &phrases)?),
        None => None,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::fs::read_to_string(manifest)?.lines().skip(1) {
        let path = line.split('\t').next().unwrap_or(line);
        let samples = read(Path::new(path))?;
        let mut peaks = ear.peaks(&samples, floor)?;
        if let Some(scout) = &mut scout {
            scout.sift(&samples, &mut peaks)?;
        }
        for peak in peaks.iter().filter(|peak| peak.score >= floor) {
            let phrase = &ear.spotter.config().phrases[peak.phrase];
            writeln!(out, "{path}\t{phrase}\t{:.2}\t{:.3}", peak.end, peak.score)?;
        }
    }
    Ok(out.flush()?)
}

fn read(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut samples = AudioSource::open(path)?.whole()?;
    samples.resize(samples.len() + 16_000, 0.0);
    Ok(samples)
}

/// Where the spotter listens: from the pre-roll of each start of voice until its end was noticed.
fn stretches(samples: &[f32]) -> Result<Vec<Stretch>, Box<dyn Error>> {
    let mut voice = VoiceActivity::new(VadConfig::default())?;
    // Samples.
    let before = 16 * RecogniserConfig::default().pre_roll_ms as usize;
    let mut found: Vec<Stretch> = Vec::new();
    let mut gain = 1.0f32;
    let mut heard = 0;
    for block in samples.chunks(FRAME) {
        let speaking = voice.in_speech();
        let mut start = None;
        voice.push(block, &mut |event| {
            if let VadEvent::SpeechStart { at, .. } = event {
                start = Some((at as usize).saturating_sub(before));
            }
        });
        let before = heard;
        heard += block.len();
        if let Some(from) = start {
            gain = voice.gain();
            found.push(Stretch {
                from,
                samples: scaled(&samples[from..heard], gain).collect(),
            });
        } else if speaking && let Some(stretch) = found.last_mut() {
            gain = gain.min(voice.gain());
            stretch
                .samples
                .extend(scaled(&samples[before..heard], gain));
        }
    }
    Ok(found)
}

fn scaled(samples: &[f32], gain: f32) -> impl Iterator<Item = f32> {
    samples.iter().map(move |sample| sample * gain)
}

impl Ear {
    fn new(
        bundle: &Bundle,
        model: Arc<AcousticModel>,
        phrases: &[String],
    ) -> Result<Ear, Box<dyn Error>> {
        let lexicon = Lexicon::load(bundle)?;
        let background = Background::load(bundle, lexicon.phones())?;
        let config = WakeConfig {
            phrases: phrases.to_vec(),
            // Nothing is reported, so that everything can be measured.
            threshold: f32::INFINITY,
            ..WakeConfig::default()
        };
        let spec = FeatureSpec::from(&bundle.manifest().features);
        let signature = model.signature();
        Ok(Ear {
            columns: signature.columns,
            step: signature.frames * signature.mels,
            delay: model.acoustic().delay,
            frame: (spec.hop * model.acoustic().subsampling) as f64 / f64::from(spec.sample_rate),
            front: LogMel::new(&spec)?,
            session: model.session(),
            spotter: WakeSpotter::new(&lexicon, &background, config)?,
        })
    }

    fn peaks(&mut self, samples: &[f32], floor: f32) -> Result<Vec<Peak>, Box<dyn Error>> {
        let mut peaks = Vec::new();
        for stretch in stretches(samples)? {
            self.stretch(&stretch, floor, &mut peaks)?;
        }
        Ok(peaks)
    }

    fn stretch(
        &mut self,
        stretch: &Stretch,
        floor: f32,
        peaks: &mut Vec<Peak>,
    ) -> Result<(), Box<dyn Error>> {
        self.front.reset();
        self.session.reset();
        self.spotter.reset();
        let mut features = Vec::new();
        self.front.push(&stretch.samples, &mut features);
        let mut row_number = 0;
        let seconds = (stretch.from as f64 / 16_000.0, self.frame);
        for chunk in features.chunks_exact(self.step) {
            for row in self.session.step(chunk)?.chunks_exact(self.columns) {
                row_number += 1;
                if row_number <= self.delay {
                    continue;
                }
                self.spotter.step(row);
                judge(&mut self.spotter, seconds, floor, peaks);
            }
        }
        for _ in 0..PAUSE_AFTER {
            self.spotter.rest();
            judge(&mut self.spotter, seconds, floor, peaks);
        }
        Ok(())
    }
}

impl Scout {
    fn new(
        bundle: &Bundle,
        model: Arc<AcousticModel>,
        lexicon: &Lexicon,
        phrases: &[String],
    ) -> Result<Scout, Box<dyn Error>> {
        let background = Background::load(bundle, lexicon.phones())?;
        let config = WakeConfig {
            phrases: phrases.to_vec(),
            ..WakeConfig::default()
        };
        let spotter = WakeSpotter::new(lexicon, &background, config.of_scout())?;
        Ok(Scout {
            ear: Ear::new(bundle, model, phrases)?,
            thresholds: (0..phrases.len())
                .map(|phrase| spotter.threshold(phrase))
                .collect(),
        })
    }

    /// Leaves those peaks that it takes for possible itself.
    fn sift(&mut self, samples: &[f32], peaks: &mut Vec<Peak>) -> Result<(), Box<dyn Error>> {
        if peaks.is_empty() {
            return Ok(());
        }
        let least = self
            .thresholds
            .iter()
            .copied()
            .fold(f32::INFINITY, f32::min);
        let possible = self.ear.peaks(samples, least)?;
        peaks.retain(|peak| {
            possible.iter().any(|other| {
                other.phrase == peak.phrase
                    && other.score >= self.thresholds[peak.phrase]
                    && (other.end - peak.end).abs() < APART
            })
        });
        Ok(())
    }
}

/// Keeps what a spotter makes of the phrases that ended some frames ago. `seconds`: since when it listens, and how long a
/// frame is.
fn judge(spotter: &mut WakeSpotter, seconds: (f64, f64), floor: f32, peaks: &mut Vec<Peak>) {
    let config = spotter.config().clone();
    let most = spotter.most_from_words();
    let hopeful = |ended: &Spotted| {
        ended.score(&config) + most >= floor && ended.worst_word >= config.word_threshold
    };
    let endings: Vec<Spotted> = spotter.endings().copied().filter(hopeful).collect();
    for ended in endings {
        let end = seconds.0 + f64::from(ended.end) * seconds.1;
        let phrase = ended.phrase;
        let known = known(peaks, phrase, end).map_or(floor, |peak| peak.score);
        if ended.score(&config) + most > known {
            let score = spotter.weigh(ended).score(&config);
            keep(peaks, Peak { phrase, end, score });
        }
    }
}

/// The score of a phrase less than [`APART`] before.
fn known(peaks: &mut [Peak], phrase: usize, end: f64) -> Option<&mut Peak> {
    peaks
        .iter_mut()
        .rev()
        .take_while(|peak| end - peak.end < 2.0 * APART)
        .find(|peak| peak.phrase == phrase && end - peak.end < APART)
}

/// Adds a score, or replaces one of the same phrase less than [`APART`] before that is lower.
fn keep(peaks: &mut Vec<Peak>, new: Peak) {
    let known = known(peaks, new.phrase, new.end);
    match known {
        Some(known) if known.score >= new.score => {}
        Some(known) => *known = new,
        None => peaks.push(new),
    }
}
