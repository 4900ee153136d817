//! Tracing turns: what each stage made of an utterance. Done only when asked for; the answers do not depend on it.

use super::freely::Contest;
use super::{Pipeline, Sink};
use crate::event::{EventKind, Latency, Reason};
use crate::mind::Mind;
use crate::turn::{Freely, TurnTrace, Understood, Voice, Wake};
use crate::witness;
use std::time::Instant;
use vocar_speech::event::{Hypothesis, Recognition, Trace};

impl Pipeline {
    /// Emits a [`TurnTrace`] before the outcome of each utterance from now on, or no more.
    pub const fn trace_turns(&mut self, on: bool) {
        self.tracing = on;
    }

    /// Emits what is known of an utterance that ended at `at`.
    pub(super) fn trace(
        &self,
        at: u64,
        trace: &Trace,
        best: Option<&Recognition>,
        refused: Option<Reason>,
        free: &Contest,
        sink: &mut Sink<'_>,
    ) {
        if !self.tracing {
            return;
        }
        let begin = Instant::now();
        let understanding = match (best, refused) {
            (Some(recognition), None) => self.meanings(recognition),
            _ => Vec::new(),
        };
        let latency = Latency {
            endpoint_ms: best.map_or(0.0, |best| witness::milliseconds_of(best.waited())),
            recognise_ms: free.latency.recognise_ms,
            understand_ms: witness::milliseconds(begin.elapsed()),
        };
        let turn = TurnTrace {
            listening: self.listening(),
            voice: trace.voice.map(|voice| Voice {
                start: self.time(voice.start),
                end: self.time(voice.end),
                level_db: voice.level_db,
                noise_db: voice.noise_db,
            }),
            wake: trace.wake.as_ref().map(|woken| Wake {
                phrase: woken.phrase.clone(),
                at: self.time(woken.at),
                ratio: woken.ratio,
                score: woken.score,
            }),
            ending: trace.ending,
            candidates: best.map_or_else(Vec::new, witness::candidates),
            threshold: self.threshold(),
            refused,
            understanding,
            freely: free.said.as_ref().map(|said| Freely {
                candidates: witness::candidates(said),
                meaning: free.meaning.as_ref().map(|said| said.intent.clone()),
                threshold: self.thresholds.free,
                won: free.won,
            }),
            latency,
            stages: witness::stages(&trace.times),
        };
        self.emit(self.time(at), EventKind::Turn(Box::new(turn)), sink);
    }

    fn listening(&self) -> &'static str {
        if self.session.answering {
            "answer"
        } else {
            self.session.mode.name()
        }
    }

    /// What each sentence means here and now.
    fn meanings(&self, recognition: &Recognition) -> Vec<Understood> {
        let threshold = self.threshold();
        let best = recognition.best();
        let frames = best.evidence.frames.max(1) as f32;
        let meaning = |hypothesis: &Hypothesis| {
            let text = hypothesis.text();
            let behind = (best.score - hypothesis.score) / frames;
            Understood {
                intents: self.mind.meanings(&text),
                counts: hypothesis.confidence >= threshold && Mind::is_close(behind),
                text,
                behind,
            }
        };
        recognition.hypotheses.iter().map(meaning).collect()
    }
}
