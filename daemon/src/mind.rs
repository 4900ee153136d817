//! Words to commands, with the conversation around them: missing slots are asked for, doubtful commands confirmed.

mod freely;

pub use freely::FreeReading;

use crate::event::Turn;
use std::sync::Arc;
use vocar_nlu::{
    Context, Domain, Encoder, EntityValue, Intent, SentenceGraph, Understander, UnknownName,
};

/// One reading of what was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The words.
    pub text: String,
    /// How sure the recogniser is, 0 to 1; 1 for typed text.
    pub confidence: f32,
    /// How far it fits worse than the best reading, nats a frame of speech, nought or more.
    pub behind: f32,
}

/// A reading that fits worse than the best by more than this is another sentence, not another hearing of the same one.
const CLOSE: f32 = 0.1;

/// What an utterance led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A command to carry out.
    Command(Intent),
    /// A question to the speaker.
    Question {
        /// What is asked for.
        turn: Turn,
        /// The question.
        prompt: String,
        /// The command that waits.
        intent: Intent,
    },
    /// The waiting command was refused by the speaker.
    Withdrawn,
    /// No reading is a command.
    Nothing,
}

/// Understanding and conversation.
#[derive(Debug)]
pub struct Mind {
    understander: Understander,
    context: Context,
    /// A doubtful command, until the speaker says yes or no.
    doubtful: Option<Intent>,
    /// Commands below this confidence are confirmed first; 0: never.
    confirm_below: f32,
}

impl Mind {
    /// A mind with these domains and no conversation going on.
    #[must_use]
    pub fn new(domains: Vec<Arc<Domain>>, confirm_below: f32) -> Self {
        Self {
            understander: Understander::new(domains),
            context: Context::addressed(),
            doubtful: None,
            confirm_below,
        }
    }

    /// Has an encoder read what no template says, or (`None`) nobody.
    pub fn set_encoder(&mut self, encoder: Option<Arc<Encoder>>) {
        self.understander.set_encoder(encoder);
    }

    /// Names of the enabled domains.
    #[must_use]
    pub fn enabled(&self) -> Vec<String> {
        self.understander
            .domains()
            .filter(|(_, on)| *on)
            .map(|(domain, _)| domain.name().to_owned())
            .collect()
    }

    /// Switches a domain.
    ///
    /// # Errors
    /// [`UnknownName`].
    pub fn switch(&mut self, domain: &str, on: bool) -> Result<(), UnknownName> {
        self.understander.set_enabled(domain, on)
    }

    /// Replaces the values of an entity list.
    ///
    /// # Errors
    /// [`UnknownName`].
    pub fn set_entities(&mut self, list: &str, values: &[EntityValue]) -> Result<(), UnknownName> {
        self.understander.set_entities(list, values)
    }

    /// Begins a new conversation; `addressed` when the speaker has pressed a button or said the wake phrase.
    pub fn begin(&mut self, addressed: bool) {
        self.context = if addressed {
            Context::addressed()
        } else {
            Context::open_microphone()
        };
        self.doubtful = None;
    }

    /// Whether the speaker has been asked something.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.doubtful.is_some() || self.context.pending.is_some()
    }

    /// Everything that may be said now.
    #[must_use]
    pub fn graph(&self) -> SentenceGraph {
        self.understander.graph(&self.context)
    }

    /// The names that can be said: name of their list, words.
    pub fn names(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.understander.names()
    }

    /// The readings of a text outside any conversation.
    #[must_use]
    pub fn interpret(&self, text: &str) -> Vec<Intent> {
        self.understander.understand(text, &Context::addressed())
    }

    /// Names of the intents that a text may mean at this point of the conversation, most likely first.
    #[must_use]
    pub fn meanings(&self, text: &str) -> Vec<String> {
        let intents = self.understander.understand(text, &self.context);
        intents.into_iter().map(|intent| intent.name).collect()
    }

    /// Whether a reading that fits worse than the best by so much, nats a frame, still is a hearing of the same sentence.
    #[must_use]
    pub const fn is_close(behind: f32) -> bool {
        behind <= CLOSE
    }

    /// What an utterance means, given as its readings, best first: the first that is a command counts, if it fits about as
    /// well as the best.
    #[must_use]
    pub fn meaning(&self, readings: &[Reading]) -> Option<Intent> {
        let close = readings
            .iter()
            .take_while(|reading| Self::is_close(reading.behind));
        close.into_iter().find_map(|reading| {
            let mut intent = self
                .understander
                .understand(&reading.text, &self.context)
                .into_iter()
                .next()?;
            intent.confidence *= reading.confidence;
            Some(intent)
        })
    }

    /// Takes what an utterance means.
    pub fn take(&mut self, meaning: Option<Intent>) -> Outcome {
        meaning.map_or(Outcome::Nothing, |intent| self.consider(intent))
    }

    /// Takes an utterance, given as its readings, best first.
    pub fn hear(&mut self, readings: &[Reading]) -> Outcome {
        let meaning = self.meaning(readings);
        self.take(meaning)
    }

    /// Answers a confirmation; `None` when nothing is doubtful.
    pub fn confirm(&mut self, yes: bool) -> Option<Outcome> {
        let intent = self.doubtful.take()?;
        self.context.asking = false;
        Some(if yes {
            self.carry_on(intent)
        } else {
            Outcome::Withdrawn
        })
    }

    fn consider(&mut self, intent: Intent) -> Outcome {
        if self.doubtful.is_some() {
            match act(&intent) {
                "yes" => return self.confirm(true).unwrap_or(Outcome::Nothing),
                "no" | "cancel" => return self.confirm(false).unwrap_or(Outcome::Nothing),
                _ => self.doubtful = None,
            }
        }
        if intent.confidence < self.confirm_below {
            return self.doubt(intent);
        }
        self.carry_on(intent)
    }

    fn doubt(&mut self, intent: Intent) -> Outcome {
        self.context.asking = true;
        self.doubtful = Some(intent.clone());
        Outcome::Question {
            turn: Turn::Confirm,
            prompt: format!("Did you say: {}?", intent.text),
            intent,
        }
    }

    fn carry_on(&mut self, intent: Intent) -> Outcome {
        self.context = self.context.after(&intent);
        match &intent.prompt {
            Some(prompt) if !intent.missing.is_empty() => Outcome::Question {
                turn: Turn::Slot,
                prompt: prompt.clone(),
                intent,
            },
            _ => Outcome::Command(intent),
        }
    }
}

/// What an intent does, without the part of the vehicle it belongs to.
fn act(intent: &Intent) -> &str {
    intent.name.rsplit('.').next().unwrap_or(&intent.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = r#"
        name = "test"
        [slots.level]
        type = "number"
        min = 1
        max = 7
        [[intents]]
        name = "fan.set"
        templates = ["set [the] fan [to {level}]"]
        required = ["level"]
        ask = { level = "Which level?" }
        [[intents]]
        name = "light.on"
        templates = ["light on"]
        [[intents]]
        name = "dialogue.yes"
        templates = ["yes"]
        context = "dialogue"
        [[intents]]
        name = "dialogue.no"
        templates = ["no"]
        context = "dialogue"
    "#;

    fn mind(confirm_below: f32) -> Mind {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("domain.toml"), DOMAIN).unwrap();
        Mind::new(
            vec![Arc::new(Domain::load(dir.path()).unwrap())],
            confirm_below,
        )
    }

    fn said(text: &str, confidence: f32) -> Vec<Reading> {
        vec![Reading {
            text: text.into(),
            confidence,
            behind: 0.0,
        }]
    }

    #[test]
    fn a_missing_slot_is_asked_for_and_filled() {
        let mut mind = mind(0.0);
        let Outcome::Question { turn, prompt, .. } = mind.hear(&said("set the fan", 0.9)) else {
            panic!()
        };
        assert_eq!((turn, prompt.as_str()), (Turn::Slot, "Which level?"));
        assert!(mind.is_asking());
        let Outcome::Command(intent) = mind.hear(&said("three", 0.9)) else {
            panic!()
        };
        assert_eq!(intent.name, "fan.set");
        assert!(intent.missing.is_empty() && !mind.is_asking());
    }

    #[test]
    fn doubtful_commands_wait_for_a_yes() {
        let mut mind = mind(0.8);
        for (answer, carried_out) in [("yes", true), ("no", false)] {
            let Outcome::Question { turn, .. } = mind.hear(&said("light on", 0.6)) else {
                panic!()
            };
            assert_eq!(turn, Turn::Confirm);
            match mind.hear(&said(answer, 0.9)) {
                Outcome::Command(intent) => assert!(carried_out && intent.name == "light.on"),
                Outcome::Withdrawn => assert!(!carried_out),
                other => panic!("{other:?}"),
            }
            assert!(!mind.is_asking());
        }
        assert!(matches!(
            mind.hear(&said("light on", 0.9)),
            Outcome::Command(_)
        ));
        assert_eq!(mind.confirm(true), None);
    }

    #[test]
    fn another_command_replaces_a_doubtful_one() {
        let mut mind = mind(0.8);
        assert!(matches!(
            mind.hear(&said("light on", 0.6)),
            Outcome::Question { .. }
        ));
        let Outcome::Command(intent) = mind.hear(&said("set the fan to three", 0.9)) else {
            panic!()
        };
        assert_eq!(intent.name, "fan.set");
    }

    #[test]
    fn a_reading_that_fits_much_worse_is_not_what_was_said() {
        let mut mind = mind(0.0);
        let mut readings = [said("right on", 0.9), said("light on", 0.8)].concat();
        readings[1].behind = 2.0 * CLOSE;
        assert_eq!(mind.hear(&readings), Outcome::Nothing);
    }

    #[test]
    fn the_first_close_reading_that_is_a_command_counts() {
        let mut mind = mind(0.0);
        let mut readings = [said("right on", 0.9), said("light on", 0.8)].concat();
        readings[1].behind = 0.5 * CLOSE;
        let Outcome::Command(intent) = mind.hear(&readings) else {
            panic!()
        };
        assert!((intent.confidence - 0.8).abs() < 1e-6);
        assert_eq!(
            mind.hear(&said("what a lovely day", 0.99)),
            Outcome::Nothing
        );
    }
}
