//! What the recogniser reports, in the terms of the events: times since the session began, milliseconds, names.

use crate::event::{Candidate, EventKind, Heard, Latency, Reason, SAMPLE_RATE, Stages, WordTime};
use std::time::Duration;
use vocar_speech::event::{Hypothesis, Recognition, RejectReason, StageTimes};

/// A recognised sentence; the session began at sample `origin` of the recogniser.
pub fn transcript(recognition: &Recognition, origin: u64, latency: Latency) -> EventKind {
    let best = recognition.best();
    let Heard {
        words,
        candidates,
        stages,
    } = heard(recognition, origin);
    EventKind::FinalTranscript {
        text: best.text(),
        confidence: best.confidence,
        words,
        alternatives: candidates
            .iter()
            .skip(1)
            .map(|candidate| candidate.text.clone())
            .collect(),
        candidates,
        stages,
        latency,
    }
}

/// All that is known about one stretch of speech.
pub fn heard(recognition: &Recognition, origin: u64) -> Heard {
    Heard {
        words: words(recognition.best(), origin),
        candidates: candidates(recognition),
        stages: stages(&recognition.trace.times),
    }
}

/// The sentences that it may have been, best first.
pub fn candidates(recognition: &Recognition) -> Vec<Candidate> {
    recognition.hypotheses.iter().map(candidate).collect()
}

fn words(hypothesis: &Hypothesis, origin: u64) -> Vec<WordTime> {
    hypothesis
        .words
        .iter()
        .map(|word| WordTime {
            text: word.text.clone(),
            start: word.start.saturating_sub(origin),
            end: word.end.saturating_sub(origin),
            confidence: word.confidence,
        })
        .collect()
}

fn candidate(hypothesis: &Hypothesis) -> Candidate {
    Candidate {
        text: hypothesis.text(),
        confidence: hypothesis.confidence,
        score: hypothesis.score,
        evidence: hypothesis.evidence,
    }
}

/// The recogniser's reasons are reasons of the pipeline.
pub const fn reason(reason: RejectReason) -> Reason {
    match reason {
        RejectReason::NoSpeech => Reason::NoSpeech,
        RejectReason::NotASentence => Reason::NotASentence,
        RejectReason::LowConfidence => Reason::LowConfidence,
        RejectReason::TooLong => Reason::TooLong,
    }
}

/// Computing time of an utterance.
pub fn stages(trace: &StageTimes) -> Stages {
    Stages {
        voice_ms: milliseconds(trace.voice),
        features_ms: milliseconds(trace.features),
        acoustic_ms: milliseconds(trace.acoustic),
        decoding_ms: milliseconds(trace.decoding),
        free_ms: milliseconds(trace.free),
        steps: trace.steps,
    }
}

/// A time in milliseconds.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// So many samples (16 kHz) in milliseconds.
pub fn milliseconds_of(samples: u64) -> f64 {
    samples as f64 * 1e3 / SAMPLE_RATE as f64
}
