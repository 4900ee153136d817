//! How well a sentence fits the sound, and how far it is to be believed.

use serde::Serialize;
use vocar_inference::Confidence;

/// What is known about the fit of one sentence. Ratios are log-likelihoods against the phone loop, nats a frame
/// of speech: nought means as good as any sounds whatever, less means worse.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evidence {
    /// Of the whole stretch, pauses included, over its frames within words.
    pub ratio: f32,
    /// Of the worst word over its own frames.
    pub worst_word: f32,
    /// To the next different sentence, nats a frame of speech, nought or more; `None` when there is none.
    pub margin: Option<f32>,
    /// Frames within words.
    pub frames: u32,
    /// Log-likelihood of those frames as any sounds whatever, nats a frame, nought or less: how clearly the network
    /// heard anything at all. Noise lowers it.
    pub clarity: f32,
}

/// From [`Evidence`] to a probability of being right: a logistic function of a weighted sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceScale {
    /// Steepness over the weighted sum, per nat and frame.
    pub slope: f32,
    /// Shift of the whole.
    pub offset: f32,
    /// Weight of [`Evidence::worst_word`], 0 to 1; [`Evidence::ratio`] has the rest.
    pub worst_word: f32,
    /// Weight of [`Evidence::margin`], which counts up to `margin_limit`.
    pub margin: f32,
    /// Margins beyond this say no more, nats a frame.
    pub margin_limit: f32,
    /// Weight of [`Evidence::frames`] over `length_limit`, at most 1: a long sentence does not fit by chance.
    pub length: f32,
    /// Frames beyond this say no more.
    pub length_limit: f32,
    /// Weight of [`Evidence::clarity`]: what was heard dimly fits many sentences.
    pub clarity: f32,
}

impl ConfidenceScale {
    /// The curve that a speech bundle was calibrated to.
    pub fn from_manifest(confidence: &Confidence) -> ConfidenceScale {
        ConfidenceScale {
            slope: confidence.slope,
            offset: confidence.offset,
            worst_word: confidence.worst_word,
            margin: confidence.margin,
            margin_limit: confidence.margin_limit,
            length: confidence.length,
            length_limit: confidence.length_limit,
            clarity: confidence.clarity,
        }
    }

    /// Confidence in a sentence, 0 to 1.
    pub fn sentence(&self, evidence: &Evidence) -> f32 {
        let fit = self.worst_word * evidence.worst_word + (1.0 - self.worst_word) * evidence.ratio;
        let margin = evidence
            .margin
            .unwrap_or(self.margin_limit)
            .min(self.margin_limit);
        let length = (evidence.frames as f32 / self.length_limit).min(1.0);
        self.curve(
            fit + self.margin * margin + self.length * length + self.clarity * evidence.clarity,
        )
    }

    /// Confidence in one word by its own ratio, 0 to 1: as if the rest of the evidence could not be better.
    pub fn word(&self, ratio: f32) -> f32 {
        self.curve(ratio + self.margin * self.margin_limit + self.length)
    }

    fn curve(&self, x: f32) -> f32 {
        1.0 / (1.0 + (-(self.slope * x + self.offset)).exp())
    }
}

impl Default for ConfidenceScale {
    /// Uncalibrated: one half where sentence and phone loop fit alike.
    fn default() -> Self {
        ConfidenceScale {
            slope: 1.0,
            offset: 0.0,
            worst_word: 0.5,
            margin: 0.0,
            margin_limit: 1.0,
            length: 0.0,
            length_limit: 60.0,
            clarity: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_grows_with_every_part_of_the_evidence() {
        let scale = ConfidenceScale {
            margin: 0.5,
            length: 0.5,
            clarity: 0.5,
            ..ConfidenceScale::default()
        };
        let base = Evidence {
            ratio: -0.5,
            worst_word: -1.0,
            margin: Some(0.1),
            frames: 30,
            clarity: -1.0,
        };
        let confidence = scale.sentence(&base);
        assert!(confidence > 0.0 && confidence < 0.5);
        for better in [
            Evidence { ratio: 0.0, ..base },
            Evidence {
                worst_word: 0.0,
                ..base
            },
            Evidence {
                margin: Some(0.9),
                ..base
            },
            Evidence {
                margin: None,
                ..base
            },
            Evidence { frames: 50, ..base },
            Evidence {
                clarity: -0.5,
                ..base
            },
        ] {
            assert!(scale.sentence(&better) > confidence, "{better:?}");
        }
        assert_eq!(
            scale.sentence(&Evidence {
                margin: Some(7.0),
                ..base
            }),
            scale.sentence(&Evidence {
                margin: None,
                ..base
            })
        );
    }
}
