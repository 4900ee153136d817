//! Automatic gain: a microphone that is turned down is turned up again, as far as its own noise allows.
//!
//! Detector and network were trained on voices from about -50 to -10 dB of full scale. What is quieter sinks below the
//! floor of the features, weak consonants first. Two running levels decide, both of frames of 16 ms: the loudest heard,
//! which voices set, and the least, which is the microphone's noise. Louder sound lowers the gain at once; it rises by no
//! more than the levels' own drift. Voices of the usual loudness are left alone.

/// Peak level that quiet voices are raised to, power, full scale 1: -35 dB.
const WANTED: f32 = 3.2e-4;
/// Noise is not raised above this power: -70 dB.
const QUIET: f32 = 1e-7;
/// Greatest gain in power: 20 dB.
const MOST: f32 = 1e2;
/// Drift of the loudest level in a frame: 3 dB a second downwards.
const FALL: f32 = 0.989;
/// Drift of the least level in a frame: 3 dB a second upwards.
const RISE: f32 = 1.011;
/// Digital silence: -120 dB.
const NOTHING: f32 = 1e-12;

/// Gain of a stream, from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AutomaticGain {
    loudest: f32,
    least: f32,
}

impl AutomaticGain {
    /// The gain of a stream that has not begun.
    pub fn new() -> AutomaticGain {
        AutomaticGain {
            loudest: NOTHING,
            least: f32::INFINITY,
        }
    }

    /// Takes the next frame and returns the factor that it is to be multiplied by, 1 to 10.
    pub fn hear(&mut self, frame: &[f32]) -> f32 {
        let energy: f32 = frame.iter().map(|sample| sample * sample).sum();
        let power = (energy / frame.len().max(1) as f32).max(NOTHING);
        self.loudest = power.max(self.loudest * FALL);
        self.least = power.min(self.least * RISE);
        self.factor()
    }

    /// The factor as it is now.
    fn factor(&self) -> f32 {
        let allowed = (WANTED / self.loudest).min(QUIET / self.least);
        allowed.clamp(1.0, MOST).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of a level in decibels of full scale.
    fn frame(level: f32) -> Vec<f32> {
        let amplitude = 10f32.powf(level / 20.0);
        (0..256)
            .map(|n| if n % 2 == 0 { amplitude } else { -amplitude })
            .collect()
    }

    /// Decibels of gain after so many frames of each level.
    fn gain(levels: &[(f32, usize)]) -> f32 {
        let mut gain = AutomaticGain::new();
        let mut factor = 1.0;
        for &(level, frames) in levels {
            for _ in 0..frames {
                factor = gain.hear(&frame(level));
            }
        }
        20.0 * factor.log10()
    }

    #[test]
    fn usual_voices_are_left_alone() {
        for level in [-34.0, -20.0, -3.0] {
            assert_eq!(gain(&[(-80.0, 60), (level, 10)]), 0.0, "{level} dB");
        }
        assert_eq!(gain(&[(-20.0, 10), (-60.0, 100), (-20.0, 1)]), 0.0);
    }

    #[test]
    fn quiet_voices_are_raised_as_far_as_the_noise_allows() {
        assert!((gain(&[(-95.0, 60), (-50.0, 10)]) - 15.0).abs() < 0.5);
        assert!((gain(&[(-85.0, 60), (-60.0, 10)]) - 16.0).abs() < 1.5);
        assert_eq!(gain(&[(-65.0, 60), (-55.0, 1)]), 0.0);
        assert!((gain(&[(-110.0, 60), (-90.0, 10)]) - 20.0).abs() < 0.1);
    }

    #[test]
    fn digital_silence_is_no_number_of_its_own() {
        assert!((gain(&[(-300.0, 500)]) - 20.0).abs() < 0.1);
        assert!(AutomaticGain::new().hear(&[]).is_finite());
    }

    #[test]
    fn after_a_loud_voice_the_gain_comes_back_slowly() {
        let after = |frames| gain(&[(-95.0, 60), (-25.0, 10), (-95.0, frames)]);
        assert_eq!(after(60), 0.0);
        let later = after(560);
        assert!(
            (10.0..20.0).contains(&later),
            "{later} dB after nine seconds"
        );
    }
}
