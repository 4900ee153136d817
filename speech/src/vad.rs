//! Voice activity: where in the stream somebody speaks.
//!
//! A small neural detector scores every 16 ms, after an automatic gain for quiet microphones; hysteresis on its scores
//! turns them into one start and one end per stretch of speech. Times are sample indices at 16 kHz since creation or [`VoiceActivity::reset`].

mod gain;
mod network;

use gain::AutomaticGain;
use network::Network;

/// Samples the detector looks at in one step: 16 ms at 16 kHz.
pub const FRAME: usize = 256;

/// When a stretch of speech begins and ends.
#[derive(Debug, Clone, PartialEq)]
pub struct VadConfig {
    /// A frame scoring at least this (0 to 1) may begin speech.
    pub start_score: f32,
    /// In speech, a frame scoring less than this (0 to 1) counts as silence; at most `start_score`.
    pub stop_score: f32,
    /// So many frames in a row must score `start_score` before speech has begun; at least 1.
    pub start_frames: usize,
    /// So many frames in a row must be silence before speech has ended; at least 1.
    pub stop_frames: usize,
}

impl Default for VadConfig {
    /// Begins after 48 ms of voice, ends after 480 ms without.
    fn default() -> Self {
        Self {
            start_score: 0.7,
            stop_score: 0.35,
            start_frames: 3,
            stop_frames: 30,
        }
    }
}

/// A voice activity setting out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("voice activity {field} = {value} is out of range: {mend}")]
pub struct VadConfigError {
    /// The offending field of [`VadConfig`].
    pub field: &'static str,
    /// The value found there.
    pub value: String,
    /// What would be accepted.
    pub mend: &'static str,
}

/// What the detector has found. All times are sample indices at 16 kHz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VadEvent {
    /// Speech began.
    SpeechStart {
        /// The first sample of the first voiced frame.
        at: u64,
        /// How far the stream had been heard when this was decided.
        decided_at: u64,
    },
    /// Speech ended.
    SpeechEnd {
        /// One past the last sample of the last voiced frame.
        at: u64,
        /// How far the stream had been heard when this was decided.
        decided_at: u64,
    },
}

/// Streaming voice activity detector with hysteresis.
pub struct VoiceActivity {
    detector: Box<Network>,
    automatic: AutomaticGain,
    gain: f32,
    gate: Gate,
    pending: Vec<f32>,
    heard: u64,
    score: f32,
}

impl VoiceActivity {
    /// A detector at sample 0, in silence.
    ///
    /// # Errors
    /// A field of `config` out of its range.
    pub fn new(config: VadConfig) -> Result<Self, VadConfigError> {
        Ok(Self {
            detector: Box::new(Network::new()),
            automatic: AutomaticGain::new(),
            gain: 1.0,
            gate: Gate::new(config)?,
            pending: Vec::with_capacity(FRAME),
            heard: 0,
            score: 0.0,
        })
    }

    /// Takes 16 kHz samples in [-1, 1] and reports every start and end they reveal.
    pub fn push(&mut self, mut samples: &[f32], sink: &mut dyn FnMut(VadEvent)) {
        loop {
            let (now, later) = samples.split_at(samples.len().min(FRAME - self.pending.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            if self.pending.len() < FRAME {
                return;
            }
            self.gain = self.automatic.hear(&self.pending);
            self.pending
                .iter_mut()
                .for_each(|sample| *sample *= self.gain);
            self.score = self.detector.step(&self.pending);
            self.pending.clear();
            self.heard += FRAME as u64;
            if let Some(event) = self.gate.step(self.score, self.heard) {
                sink(event);
            }
        }
    }

    /// Ends the stream: speech still going on ends at its last voiced frame.
    pub fn finish(&mut self, sink: &mut dyn FnMut(VadEvent)) {
        if let Some(event) = self.gate.close(self.heard) {
            sink(event);
        }
    }

    /// Whether a stretch of speech is open.
    pub fn in_speech(&self) -> bool {
        self.gate.in_speech
    }

    /// How long the silence at the end of an open stretch of speech has lasted, in samples; 0 outside speech.
    pub fn trailing_silence(&self) -> u64 {
        if self.gate.in_speech {
            self.heard - self.gate.voice_end
        } else {
            0
        }
    }

    /// The latest frame's score, 0 (no voice) to 1 (voice).
    pub fn score(&self) -> f32 {
        self.score
    }

    /// What the latest frame was multiplied by, 1 to 10: more than 1 where voices are quieter than any the networks
    /// have learnt from and the microphone's own noise is quieter still.
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// Starts a new stream at sample 0, in silence.
    pub fn reset(&mut self) {
        self.detector.reset();
        self.automatic = AutomaticGain::new();
        self.gain = 1.0;
        self.gate.forget();
        self.pending.clear();
        self.heard = 0;
        self.score = 0.0;
    }
}

/// Hysteresis: scores of consecutive frames in, starts and ends out.
struct Gate {
    config: VadConfig,
    in_speech: bool,
    /// Frames in a row that argue for leaving the present state.
    run: usize,
    /// One past the last sample of the last voiced frame of the open stretch.
    voice_end: u64,
}

impl Gate {
    fn new(config: VadConfig) -> Result<Self, VadConfigError> {
        let wrong = |field, value: &dyn ToString, mend| {
            Err(VadConfigError {
                field,
                value: value.to_string(),
                mend,
            })
        };
        if !(0.0..=1.0).contains(&config.start_score) {
            return wrong("start_score", &config.start_score, "give 0 to 1");
        }
        if !(0.0..=config.start_score).contains(&config.stop_score) {
            return wrong("stop_score", &config.stop_score, "give 0 to start_score");
        }
        if config.start_frames == 0 {
            return wrong("start_frames", &0, "give at least 1");
        }
        if config.stop_frames == 0 {
            return wrong("stop_frames", &0, "give at least 1");
        }
        Ok(Self {
            config,
            in_speech: false,
            run: 0,
            voice_end: 0,
        })
    }

    /// One frame that ends at sample `heard`.
    fn step(&mut self, score: f32, heard: u64) -> Option<VadEvent> {
        if self.in_speech {
            self.step_in_speech(score, heard)
        } else {
            self.step_in_silence(score, heard)
        }
    }

    fn step_in_silence(&mut self, score: f32, heard: u64) -> Option<VadEvent> {
        if score < self.config.start_score {
            self.run = 0;
            return None;
        }
        self.run += 1;
        if self.run < self.config.start_frames {
            return None;
        }
        let at = heard - (self.run * FRAME) as u64;
        self.in_speech = true;
        self.run = 0;
        self.voice_end = heard;
        Some(VadEvent::SpeechStart {
            at,
            decided_at: heard,
        })
    }

    fn step_in_speech(&mut self, score: f32, heard: u64) -> Option<VadEvent> {
        if score >= self.config.stop_score {
            self.run = 0;
            self.voice_end = heard;
            return None;
        }
        self.run += 1;
        if self.run < self.config.stop_frames {
            None
        } else {
            self.close(heard)
        }
    }

    fn close(&mut self, heard: u64) -> Option<VadEvent> {
        let event = self.in_speech.then_some(VadEvent::SpeechEnd {
            at: self.voice_end,
            decided_at: heard,
        });
        self.forget();
        event
    }

    fn forget(&mut self) {
        self.in_speech = false;
        self.run = 0;
        self.voice_end = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: u64 = FRAME as u64;

    fn events_of(scores: &[f32]) -> Vec<VadEvent> {
        let config = VadConfig {
            start_score: 0.6,
            stop_score: 0.3,
            start_frames: 2,
            stop_frames: 3,
        };
        let mut gate = Gate::new(config).unwrap();
        let ends = (1..).map(|n| n * F);
        scores
            .iter()
            .zip(ends)
            .filter_map(|(&score, heard)| gate.step(score, heard))
            .collect()
    }

    #[test]
    fn speech_starts_at_the_first_of_enough_voiced_frames_and_ends_after_the_last() {
        let events = events_of(&[
            0.0, 0.7, 0.1, 0.7, 0.9, 0.4, 0.2, 0.2, 0.4, 0.1, 0.1, 0.1, 0.0,
        ]);
        assert_eq!(
            events,
            [
                VadEvent::SpeechStart {
                    at: 3 * F,
                    decided_at: 5 * F
                },
                VadEvent::SpeechEnd {
                    at: 9 * F,
                    decided_at: 12 * F
                }
            ]
        );
    }

    #[test]
    fn a_score_between_the_thresholds_neither_starts_nor_ends_speech() {
        assert_eq!(events_of(&[0.5; 20]), []);
        let mut scores = vec![0.8, 0.8];
        scores.extend([0.5; 20]);
        assert_eq!(
            events_of(&scores),
            [VadEvent::SpeechStart {
                at: 0,
                decided_at: 2 * F
            }]
        );
    }

    #[test]
    fn the_end_of_the_stream_ends_open_speech() {
        let mut gate = Gate::new(VadConfig {
            start_frames: 1,
            ..VadConfig::default()
        })
        .unwrap();
        assert_eq!(gate.close(0), None);
        gate.step(0.9, F);
        gate.step(0.1, 2 * F);
        assert_eq!(
            gate.close(2 * F),
            Some(VadEvent::SpeechEnd {
                at: F,
                decided_at: 2 * F
            })
        );
        assert_eq!(gate.close(2 * F), None);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let field = |config| Gate::new(config).err().map(|error| error.field);
        let good = VadConfig::default();
        assert_eq!(
            field(VadConfig {
                start_score: 1.5,
                ..good.clone()
            }),
            Some("start_score")
        );
        assert_eq!(
            field(VadConfig {
                stop_score: 0.8,
                ..good.clone()
            }),
            Some("stop_score")
        );
        assert_eq!(
            field(VadConfig {
                stop_score: f32::NAN,
                ..good.clone()
            }),
            Some("stop_score")
        );
        assert_eq!(
            field(VadConfig {
                start_frames: 0,
                ..good.clone()
            }),
            Some("start_frames")
        );
        assert_eq!(
            field(VadConfig {
                stop_frames: 0,
                ..good.clone()
            }),
            Some("stop_frames")
        );
        assert_eq!(field(good), None);
    }

    #[test]
    fn silence_and_steady_hum_are_no_speech() {
        let mut vad = VoiceActivity::new(VadConfig::default()).unwrap();
        let mut events = Vec::new();
        vad.push(&[0.0; 16_000], &mut |event| events.push(event));
        let hum: Vec<f32> = (0..32_000)
            .map(|n| 0.05 * (n as f32 * 0.0236).sin())
            .collect();
        vad.push(&hum, &mut |event| events.push(event));
        assert_eq!(events, []);
        assert!(vad.score() < 0.5);
    }

    fn spoken() -> Vec<f32> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/spoken.opus");
        let mut source = crate::source::AudioSource::open(path.as_ref()).unwrap();
        let mut samples = Vec::new();
        while let Some(chunk) = source.next_chunk().unwrap() {
            samples.extend_from_slice(chunk);
        }
        samples
    }

    /// The recording is silent but for one sentence from 1.05 s to 2.41 s.
    #[test]
    fn a_spoken_sentence_is_found_where_it_is() {
        let mut vad = VoiceActivity::new(VadConfig::default()).unwrap();
        let mut events = Vec::new();
        for piece in spoken().chunks(777) {
            vad.push(piece, &mut |event| events.push(event));
        }
        vad.finish(&mut |event| events.push(event));
        let [
            VadEvent::SpeechStart { at: start, .. },
            VadEvent::SpeechEnd {
                at: end,
                decided_at,
            },
        ] = events[..]
        else {
            panic!("one sentence, but {events:?}");
        };
        assert!(start.abs_diff(16_754) < 1_600, "starts at {start}");
        assert!(end.abs_diff(38_510) < 3_200, "ends at {end}");
        assert_eq!(decided_at, end + 30 * FRAME as u64);
    }

    #[test]
    fn a_microphone_that_is_turned_down_hears_the_same() {
        let starts = |factor: f32| {
            let mut vad = VoiceActivity::new(VadConfig::default()).unwrap();
            let samples: Vec<f32> = spoken().iter().map(|sample| sample * factor).collect();
            let (mut starts, mut gain) = (Vec::new(), 1.0);
            for frame in samples.chunks(FRAME) {
                vad.push(frame, &mut |event| {
                    if let VadEvent::SpeechStart { at, .. } = event {
                        starts.push(at);
                    }
                });
                gain = if vad.in_speech() { vad.gain() } else { gain };
            }
            (starts, gain)
        };
        let ((usual, plain), (quiet, raised)) = (starts(1.0), starts(0.002));
        assert_eq!((usual.len(), quiet.len()), (1, 1));
        assert!(usual[0].abs_diff(quiet[0]) < 3_200, "{usual:?} {quiet:?}");
        assert!(plain == 1.0 && raised > 4.0, "{plain} {raised}");
    }

    #[test]
    fn a_reset_detector_hears_the_same_again() {
        let mut vad = VoiceActivity::new(VadConfig::default()).unwrap();
        let mut runs = [Vec::new(), Vec::new()];
        for run in &mut runs {
            vad.push(&spoken(), &mut |event| run.push(event));
            vad.reset();
            assert!(!vad.in_speech());
        }
        assert_eq!(runs[0], runs[1]);
        assert_eq!(runs[0].len(), 2);
    }
}
