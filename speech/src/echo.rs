//! Takes what the car plays out of what the microphones hear.
//!
//! The filter is SpeexDSP's (a multidelay block frequency domain filter after J.-S. Soo and K. K. Pang, IEEE Trans.
//! ASSP 38(2), 1990, whose step size follows J.-M. Valin, IEEE Trans. ASLP 15(3), 2007, so that it holds still while
//! somebody speaks). It is purely linear: what is left of the music stays as it is, and the voice is not suppressed
//! with it, which recognition likes better than silence with holes. The library is loaded when a canceller is first
//! made; without one it is not needed.
//!
//! Played and heard sound must share a clock, or nearly (see [`crate::capture::Ensemble`]), and the reference must come
//! before its echo, by at most the configured tail.

mod library;

use std::collections::VecDeque;
use std::time::Duration;

use crate::resample::RATE;
use library::Filter;

/// Samples taken at a time, and the most by which the clean sound comes later: 10 ms at 16 kHz.
pub const FRAME: usize = 160;

/// How an echo reaches the microphones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoConfig {
    /// From the reference to the end of the reverberation, 20 ms to 500 ms: the way through amplifier and cabin and
    /// what the cabin adds. A longer tail learns more slowly.
    pub tail: Duration,
    /// How much the reference is held back, 0 to 500 ms: what is known of the way through a slow amplifier.
    pub delay: Duration,
}

impl Default for EchoConfig {
    fn default() -> Self {
        Self {
            tail: Duration::from_millis(130),
            delay: Duration::ZERO,
        }
    }
}

/// Why echoes cannot be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EchoError {
    /// SpeexDSP is not installed, or not as expected.
    #[error(
        "a reference is given, but {name} cannot be loaded ({reason}): install SpeexDSP (Debian: libspeexdsp1), or give no reference"
    )]
    Library {
        /// What was looked for.
        name: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The library made no filter.
    #[error("SpeexDSP made no echo canceller: there is too little memory")]
    Memory,
}

/// Echo canceller for some microphones that hear the same loudspeakers. All sound is 16 kHz.
pub struct EchoCanceller {
    filters: Vec<Filter>,
    /// What waits for a whole frame: of each microphone, and of the reference.
    heard: Vec<VecDeque<i16>>,
    played: VecDeque<i16>,
    delay: usize,
}

impl EchoCanceller {
    /// A canceller that has learned nothing yet. It needs about a second of sound to learn the paths.
    ///
    /// # Errors
    /// SpeexDSP is not installed or refuses.
    pub fn new(microphones: usize, config: &EchoConfig) -> Result<Self, EchoError> {
        let samples = |time: Duration| (time.as_secs_f64() * f64::from(RATE)) as usize;
        let tail = samples(config.tail).max(FRAME);
        let filters = (0..microphones)
            .map(|_| Filter::new(FRAME, tail, RATE))
            .collect::<Result<_, _>>()?;
        let mut canceller = Self {
            filters,
            heard: vec![VecDeque::new(); microphones],
            played: VecDeque::new(),
            delay: samples(config.delay),
        };
        canceller.hold_back();
        Ok(canceller)
    }

    /// Takes what each microphone heard and what was played meanwhile (one track or several, whose mean counts), all of
    /// one length and in [-1, 1], and appends what the microphones heard besides to `clean`: in whole frames of
    /// [`FRAME`], so up to a frame stays behind.
    pub fn push(&mut self, heard: &[Vec<f32>], played: &[Vec<f32>], clean: &mut [Vec<f32>]) {
        debug_assert_eq!(heard.len(), self.filters.len());
        for (waiting, track) in self.heard.iter_mut().zip(heard) {
            waiting.extend(track.iter().map(|&sample| integer(sample)));
        }
        let scale = 1.0 / played.len().max(1) as f32;
        let length = heard.first().map_or(0, Vec::len);
        self.played.extend((0..length).map(|at| {
            let sum: f32 = played.iter().filter_map(|track| track.get(at)).sum();
            integer(sum * scale)
        }));
        while self.heard.first().is_some_and(|first| first.len() >= FRAME) {
            self.frame(clean);
        }
    }

    fn frame(&mut self, clean: &mut [Vec<f32>]) {
        let mut played = [0; FRAME];
        fill(&mut played, &mut self.played);
        for ((filter, waiting), clean) in self.filters.iter_mut().zip(&mut self.heard).zip(clean) {
            let (mut heard, mut left) = ([0; FRAME], [0; FRAME]);
            fill(&mut heard, waiting);
            filter.cancel(&heard, &played, &mut left);
            clean.extend(left.map(|sample| f32::from(sample) / SCALE));
        }
    }

    /// Brings out what waits for a whole frame, as if silence followed: the sound has ended.
    pub fn flush(&mut self, clean: &mut [Vec<f32>]) {
        let waiting = self.heard.first().map_or(0, VecDeque::len);
        if waiting == 0 {
            return;
        }
        let silence = vec![vec![0.0; FRAME - waiting]; self.filters.len()];
        self.push(&silence, &[], clean);
        for track in clean {
            track.truncate(track.len() - (FRAME - waiting));
        }
        self.played.clear();
        self.hold_back();
    }

    fn hold_back(&mut self) {
        self.played.extend(std::iter::repeat_n(0, self.delay));
    }
}

const SCALE: f32 = 32_768.0;

/// The library takes 16-bit samples.
fn integer(sample: f32) -> i16 {
    (sample * SCALE).round() as i16
}

fn fill(frame: &mut [i16; FRAME], from: &mut VecDeque<i16>) {
    for (sample, taken) in frame.iter_mut().zip(from.drain(..FRAME)) {
        *sample = taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise from a small generator, so that runs are alike.
    fn noise(seed: u64, length: usize) -> Vec<f32> {
        let mut state = seed;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..length).map(|_| draw()).collect()
    }

    fn power(samples: &[f32]) -> f32 {
        samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
    }

    /// An echo after `delay` samples with a reflection behind it.
    fn echo(played: &[f32], delay: usize) -> Vec<f32> {
        (0..played.len())
            .map(|at| {
                let direct = at.checked_sub(delay).map_or(0.0, |at| played[at]);
                let late = at.checked_sub(delay + 400).map_or(0.0, |at| played[at]);
                0.5 * direct - 0.25 * late
            })
            .collect()
    }

    /// A canceller for one microphone; where SpeexDSP is not installed, says what is skipped.
    fn canceller(config: &EchoConfig) -> Option<EchoCanceller> {
        match EchoCanceller::new(1, config) {
            Err(EchoError::Library { name, reason }) => {
                eprintln!("SKIPPED: echo cancellation: {name} cannot be loaded ({reason})");
                None
            }
            made => Some(made.unwrap()),
        }
    }

    fn cancelled(canceller: &mut EchoCanceller, heard: &[f32], played: &[f32]) -> Vec<f32> {
        let mut clean = vec![Vec::new()];
        for (heard, played) in heard.chunks(333).zip(played.chunks(333)) {
            canceller.push(&[heard.to_vec()], &[played.to_vec()], &mut clean);
        }
        canceller.flush(&mut clean);
        clean.remove(0)
    }

    #[test]
    fn what_is_played_goes_and_what_is_said_stays() {
        let Some(mut canceller) = canceller(&EchoConfig::default()) else {
            return;
        };
        let played = noise(1, 64_000);
        let said: Vec<f32> = (0..64_000)
            .map(|at| 0.1 * (at as f32 * 0.1).sin() * if at < 48_000 { 0.0 } else { 1.0 })
            .collect();
        let echo = echo(&played, 500);
        let heard: Vec<f32> = echo.iter().zip(&said).map(|(a, b)| a + b).collect();
        let clean = cancelled(&mut canceller, &heard, &played);
        assert_eq!(clean.len(), heard.len());
        let gone = power(&echo[32_000..47_000]) / power(&clean[32_000..47_000]);
        assert!(gone > 100.0, "the echo is only {gone} times weaker");
        let left = power(&clean[52_000..]) / power(&said[52_000..]);
        assert!(
            (0.7..1.4).contains(&left),
            "the voice is {left} times as strong"
        );
    }

    #[test]
    fn without_sound_from_the_car_nothing_changes() {
        let Some(mut canceller) = canceller(&EchoConfig::default()) else {
            return;
        };
        let said: Vec<f32> = (0..16_000)
            .map(|at| 0.3 * (at as f32 * 0.2).sin())
            .collect();
        let clean = cancelled(&mut canceller, &said, &[0.0; 16_000]);
        let left = power(&clean[8000..]) / power(&said[8000..]);
        assert!(
            (0.95..1.05).contains(&left),
            "the voice is {left} times as strong"
        );
    }

    #[test]
    fn a_reference_that_comes_too_early_is_held_back() {
        let played = noise(2, 48_000);
        let heard = echo(&played, 4000);
        let gone = |delay| {
            let config = EchoConfig {
                delay,
                ..EchoConfig::default()
            };
            let clean = cancelled(&mut canceller(&config)?, &heard, &played);
            Some(power(&heard[32_000..]) / power(&clean[32_000..]))
        };
        let (Some(early), Some(late)) = (gone(Duration::ZERO), gone(Duration::from_millis(220)))
        else {
            return;
        };
        assert!(late > 100.0, "only {late} times weaker");
        assert!(early < 2.0, "beyond the tail nothing can go");
    }
}
