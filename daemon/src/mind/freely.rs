//! Free speech: many readings, each a little likely, vote for what was meant.

use super::Mind;
use vocar_nlu::Intent;

/// Nats by which a reading that is behind the best is e times less likely: neighbouring frames say much the same, so that
/// scores differ more than chances do.
const NATS: f32 = 4.0;

/// One reading of what was said in any words.
#[derive(Debug, Clone, PartialEq)]
pub struct FreeReading {
    /// The words.
    pub text: String,
    /// How well they fit the sound, 0 to 1.
    pub confidence: f32,
    /// By how much they fit worse than the best reading, nats, nought or more.
    pub behind: f32,
}

impl Mind {
    /// What was most likely meant by one of these readings, best first. Its confidence is the chance that it was, by the
    /// readings' own chances and by what each can mean, times how well the best of them fits the sound.
    #[must_use]
    pub fn free_meaning(&self, readings: &[FreeReading]) -> Option<Intent> {
        let fit = readings.first()?.confidence;
        let chances: Vec<f32> = readings
            .iter()
            .map(|reading| (-reading.behind / NATS).exp())
            .collect();
        let sum: f32 = chances.iter().sum();
        let mut found: Vec<Intent> = Vec::new();
        for (reading, chance) in readings.iter().zip(chances) {
            for intent in self.understander.understand(&reading.text, &self.context) {
                let vote = intent.confidence * chance / sum;
                match found.iter_mut().find(|other| same(other, &intent)) {
                    Some(other) => other.confidence += vote,
                    None => found.push(Intent {
                        confidence: vote,
                        ..intent
                    }),
                }
            }
        }
        let mut best = found
            .into_iter()
            .max_by(|a, b| a.confidence.total_cmp(&b.confidence))?;
        best.confidence = best.confidence.min(1.0) * fit;
        Some(best)
    }
}

/// Whether two intents ask for the same.
fn same(one: &Intent, other: &Intent) -> bool {
    (&one.domain, &one.name, &one.slots) == (&other.domain, &other.name, &other.slots)
}
