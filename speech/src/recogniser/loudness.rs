//! How loud voice and everything else are.

use crate::event::Voice;

/// Share of a new frame in the running power of what is no voice: half a second of memory.
const SHARE: f64 = 0.03;
/// Powers below this, full scale 1, are digital silence.
const FLOOR: f64 = 1e-10;

/// Mean powers, full scale 1.
#[derive(Debug, Default)]
pub(super) struct Loudness {
    /// Running mean of the frames without voice; nought before the first.
    noise: f64,
    voiced: f64,
    voiced_frames: u32,
}

impl Loudness {
    /// Takes the samples of one frame of the voice activity detector, which found it voiced or not.
    pub fn hear(&mut self, samples: &[f32], voiced: bool) {
        if samples.is_empty() {
            return;
        }
        let energy: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let power = energy / samples.len() as f64;
        if voiced {
            self.voiced += power;
            self.voiced_frames += 1;
        } else if self.noise == 0.0 {
            self.noise = power;
        } else {
            self.noise += SHARE * (power - self.noise);
        }
    }

    /// Forgets the voice heard so far; what is no voice stays as it is.
    pub fn begin(&mut self) {
        self.voiced = 0.0;
        self.voiced_frames = 0;
    }

    /// What is known about a voice from one sample to another.
    pub fn voice(&self, start: u64, end: u64) -> Voice {
        let decibels = |power: f64| (10.0 * power.max(FLOOR).log10()) as f32;
        Voice {
            start,
            end: end.max(start),
            level_db: decibels(self.voiced / f64::from(self.voiced_frames.max(1))),
            noise_db: decibels(self.noise),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voice_and_noise_are_told_apart() {
        let mut loudness = Loudness::default();
        (0..100).for_each(|_| loudness.hear(&[0.01; 256], false));
        (0..10).for_each(|_| loudness.hear(&[0.1; 256], true));
        let voice = loudness.voice(100, 400);
        assert!((voice.level_db + 20.0).abs() < 0.01, "{voice:?}");
        assert!((voice.noise_db + 40.0).abs() < 0.01, "{voice:?}");
        loudness.begin();
        let silent = loudness.voice(7, 3);
        assert_eq!((silent.start, silent.end, silent.level_db), (7, 7, -100.0));
    }
}
