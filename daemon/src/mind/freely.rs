//! Free speech: many readings, each a little likely, vote for what was meant.

use super::Mind;
use crate::conversation::Said;
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
    /// readings' own chances and by what each can mean, times how well the best of them fits the sound; where the speaker
    /// has to choose between commands, the chance that one of them was.
    #[must_use]
    pub fn free_meaning(&self, readings: &[FreeReading]) -> Option<Said> {
        let context = self.context();
        let fit = readings.first()?.confidence;
        let chances: Vec<f32> = readings
            .iter()
            .map(|reading| (-reading.behind / NATS).exp())
            .collect();
        let sum: f32 = chances.iter().sum();
        let mut found: Vec<Intent> = Vec::new();
        for (reading, chance) in readings.iter().zip(chances) {
            for intent in self.understander.understand(&reading.text, &context) {
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
        found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let choice = self.understander.choice(&found);
        let mut best = found.into_iter().next()?;
        if let Some(choice) = &choice {
            best.confidence = choice.among.iter().map(|intent| intent.confidence).sum();
        }
        best.confidence = best.confidence.min(1.0) * fit;
        Some(self.weighed(best, choice))
    }
}

/// Whether two intents ask for the same.
fn same(one: &Intent, other: &Intent) -> bool {
    let command = |intent: &Intent| (intent.domain.clone(), intent.name.clone(), intent.follows);
    command(one) == command(other) && one.slots == other.slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Manners;
    use std::sync::Arc;
    use vocar_nlu::{Domain, EntityValue};

    const DOMAIN: &str = r#"
        name = "test"
        [[intents]]
        name = "light.on"
        templates = ["light on", "lights on"]
        [[intents]]
        name = "light.off"
        templates = ["light off"]
        [entities.person]
        about = "people"
        [[intents]]
        name = "phone.call"
        templates = ["call {person}"]
    "#;

    fn mind() -> Mind {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("domain.toml"), DOMAIN).unwrap();
        Mind::new(vec![Arc::new(Domain::load(dir.path()).unwrap())], 0.0)
    }

    fn readings(said: &[(&str, f32)]) -> Vec<FreeReading> {
        let reading = |&(text, behind): &(&str, f32)| FreeReading {
            text: text.into(),
            confidence: 0.8,
            behind,
        };
        said.iter().map(reading).collect()
    }

    #[test]
    fn readings_that_mean_the_same_vote_together() {
        let said = readings(&[("light off", 0.0), ("light on", 0.5), ("lights on", 0.5)]);
        let intent = mind().free_meaning(&said).unwrap().intent;
        assert_eq!(intent.name, "light.on");
        let on = 2.0 * (-0.5 / NATS).exp();
        assert!((intent.confidence - 0.8 * on / (1.0 + on)).abs() < 1e-5);
    }

    #[test]
    fn a_name_that_two_have_is_chosen_from_and_what_is_doubtful_described() {
        let mut mind = mind();
        let people = [
            EntityValue::new("1", ["Anna Miller", "Anna"]),
            EntityValue::new("2", ["Anna Smith", "Anna"]),
        ];
        mind.set_entities("person", &people).unwrap();
        mind.set_manners(Manners {
            confirm_below: 0.75,
            ..Manners::default()
        });
        let heard = readings(&[("call anna", 0.0), ("call hannah", 0.0)]);
        let said = mind.free_meaning(&heard).unwrap();
        assert_eq!(said.choice.map(|choice| choice.among.len()), Some(2));
        assert!((said.intent.confidence - 0.8 * 0.5).abs() < 1e-5);
        assert!(said.description.contains("call"), "{}", said.description);
        let sure = mind.free_meaning(&readings(&[("light on", 0.0)])).unwrap();
        assert_eq!((sure.choice, sure.description.as_str()), (None, ""));
    }

    #[test]
    fn readings_that_mean_nothing_take_from_the_confidence() {
        let alone = mind()
            .free_meaning(&readings(&[("light on", 0.0)]))
            .unwrap();
        assert!((alone.intent.confidence - 0.8).abs() < 1e-6);
        let said = readings(&[("right on", 0.0), ("light on", NATS)]);
        let doubted = mind().free_meaning(&said).unwrap();
        let share = (-1f32).exp() / (1.0 + (-1f32).exp());
        assert!((doubted.intent.confidence - 0.8 * share).abs() < 1e-5);
        assert_eq!(mind().free_meaning(&readings(&[("right on", 0.0)])), None);
        assert_eq!(mind().free_meaning(&[]), None);
    }
}
