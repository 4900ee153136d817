//! Free speech against the grammar: what was said in any words counts where the grammar's sentence does not, or is less sure.

use super::Pipeline;
use crate::conversation::Said;
use crate::event::Latency;
use crate::mind::FreeReading;
use crate::witness;
use std::time::{Duration, Instant};
use vocar_speech::dictation::Names;
use vocar_speech::event::Recognition;

/// What came of free speech.
#[derive(Debug, Default)]
pub(super) struct Contest {
    /// What was said in any words; `None` where nobody listened for that.
    pub said: Option<Recognition>,
    /// What it means, and how sure that is.
    pub meaning: Option<Said>,
    /// It counts, not the grammar's sentence.
    pub won: bool,
    /// Audio heard (where free speech was) and computing time since the last word.
    pub latency: Latency,
}

impl Contest {
    /// What was said and what it means, if it counts.
    pub fn winner(&self) -> Option<(&Recognition, Said)> {
        let meaning = self.meaning.clone().filter(|_| self.won)?;
        Some((self.said.as_ref()?, meaning))
    }
}

impl Pipeline {
    /// Gives the ears the names that can be said, unless they have them.
    pub(super) fn name_names(&mut self) {
        let named = std::mem::replace(&mut self.named, true);
        let Some(ears) = self.ears.as_mut().filter(|ears| ears.hears_free_speech()) else {
            return;
        };
        if !named {
            let mut names = Names::default();
            for (list, words) in self.mind.names() {
                names.add(list, words.to_vec());
            }
            ears.set_names(&names);
        }
    }

    /// Weighs free speech, if it was heard, against the grammar's sentence, if that counts. `spent` is the computing time
    /// of the step that decided.
    pub(super) fn contest(&mut self, grammar: Option<&Recognition>, spent: Duration) -> Contest {
        let Some(said) = self.overheard.take() else {
            let latency = Latency {
                recognise_ms: witness::milliseconds(spent),
                ..Latency::default()
            };
            return Contest {
                latency,
                ..Contest::default()
            };
        };
        let begin = Instant::now();
        self.choose_readers();
        let meaning = self.mind.free_meaning(&free_readings(&said));
        let own = grammar.map(|grammar| self.mind.meaning(&self.readings(grammar)));
        let own = own.and_then(|commands| commands.into_iter().next());
        let won = meaning.as_ref().is_some_and(|Said { intent, .. }| {
            intent.confidence >= self.thresholds.free
                && own.is_none_or(|own| own.intent.confidence < intent.confidence)
        });
        let latency = Latency {
            endpoint_ms: witness::milliseconds_of(said.waited()),
            recognise_ms: witness::milliseconds(spent),
            understand_ms: witness::milliseconds(begin.elapsed()),
        };
        Contest {
            said: Some(said),
            meaning,
            won,
            latency,
        }
    }
}

fn free_readings(said: &Recognition) -> Vec<FreeReading> {
    let best = said.best().score;
    let reading = |hypothesis: &vocar_speech::event::Hypothesis| FreeReading {
        text: hypothesis.text(),
        confidence: hypothesis.confidence,
        behind: best - hypothesis.score,
    };
    said.hypotheses.iter().map(reading).collect()
}
