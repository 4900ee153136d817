//! The trace of one turn: what each stage made of a stretch of speech, and why it was taken or refused.

use crate::event::{Candidate, Latency, Reason, Stages, seconds};
use serde::Serialize;
use vocar_nlu::Intent;
use vocar_speech::endpoint::Ending;

/// One turn, stage by stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TurnTrace {
    /// How was listened: `push-to-talk`, `wake`, `open-mic`, or `answer` to a question.
    pub listening: &'static str,
    /// Voice activity; `None` when nobody spoke.
    pub voice: Option<Voice>,
    /// The wake phrase that opened it.
    pub wake: Option<Wake>,
    /// Why the utterance was taken to be over; `None` when nobody spoke.
    pub ending: Option<Ending>,
    /// What it may have been, best first.
    pub candidates: Vec<Candidate>,
    /// Confidence asked for, 0 to 1.
    pub threshold: f32,
    /// Why the recogniser's sentence does not count; `None` when it does.
    pub refused: Option<Reason>,
    /// What the sentences mean, best first; empty when they do not count.
    pub understanding: Vec<Understood>,
    /// What was said in any words; `None` where nobody listened for that, or the grammar's sentence is sure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freely: Option<Freely>,
    /// Audio heard and computing time since the last word.
    pub latency: Latency,
    /// Computing time of the whole utterance.
    pub stages: Stages,
}

/// The voice of a turn. Samples (16 kHz) count from the beginning of the session.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Voice {
    /// First voiced sample.
    pub start: u64,
    /// One past the last voiced sample.
    pub end: u64,
    /// Mean power of the voice, decibels below full scale.
    pub level_db: f32,
    /// Mean power of what is no voice, decibels below full scale.
    pub noise_db: f32,
}

/// The wake phrase of a turn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wake {
    /// The phrase as configured.
    pub phrase: String,
    /// One past its last sample (16 kHz) since the beginning of the session.
    pub at: u64,
    /// Log-likelihood against any sounds whatever, nats a frame.
    pub ratio: f32,
    /// Confidence, 0 to 1.
    pub score: f32,
}

/// What one sentence means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Understood {
    /// The words.
    pub text: String,
    /// How far it fits worse than the best sentence, nats a frame.
    pub behind: f32,
    /// Whether it is certain enough, and close enough behind the best, to count.
    pub counts: bool,
    /// Names of the intents it can mean, most likely first; empty when it is no command now.
    pub intents: Vec<String>,
}

/// What was said in any words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Freely {
    /// What it may have been, best first.
    pub candidates: Vec<Candidate>,
    /// What all of them together mean.
    pub meaning: Option<Intent>,
    /// Confidence asked for, 0 to 1.
    pub threshold: f32,
    /// Whether that counts, and not the grammar's sentence.
    pub won: bool,
}

impl TurnTrace {
    /// For eyes: a line for each stage.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("listening  {}", self.listening)];
        lines.extend(self.voice.map(|voice| {
            format!(
                "voice      {:.2}-{:.2} s, {:.1} dB, noise {:.1} dB",
                seconds(voice.start),
                seconds(voice.end),
                voice.level_db,
                voice.noise_db
            )
        }));
        lines.extend(self.wake.as_ref().map(|wake| {
            format!(
                "wake       \"{}\" until {:.2} s ({:.2}), ratio {:.3}",
                wake.phrase,
                seconds(wake.at),
                wake.score,
                wake.ratio
            )
        }));
        lines.extend(self.ending.as_ref().map(ending));
        lines.extend((1..).zip(&self.candidates).map(candidate));
        lines.push(self.verdict());
        lines.extend(self.understanding.iter().map(understood));
        lines.extend(self.freely.iter().flat_map(freely));
        lines.push(format!(
            "latency    {:.0} ms of silence, {:.1} ms computing, {:.1} ms understanding",
            self.latency.endpoint_ms, self.latency.recognise_ms, self.latency.understand_ms
        ));
        let stages = &self.stages;
        lines.push(format!(
            "computing  voice {:.1} ms, features {:.1} ms, network {:.1} ms in {} steps, decoding {:.1} ms, free speech {:.1} ms",
            stages.voice_ms,
            stages.features_ms,
            stages.acoustic_ms,
            stages.steps,
            stages.decoding_ms,
            stages.free_ms
        ));
        lines
    }

    fn verdict(&self) -> String {
        let asked = format!("confidence {:.2} asked for", self.threshold);
        match (self.refused, self.candidates.first()) {
            (Some(reason), Some(best)) => {
                format!(
                    "verdict    refused: {reason} ({:.2}, {asked})",
                    best.confidence
                )
            }
            (Some(reason), None) => format!("verdict    refused: {reason}"),
            (None, Some(best)) => format!("verdict    taken ({:.2}, {asked})", best.confidence),
            (None, None) => format!("verdict    taken ({asked})"),
        }
    }
}

fn ending(ending: &Ending) -> String {
    let lead = ending
        .lead
        .map_or_else(|| "none".into(), |lead| format!("{lead:.1}"));
    format!(
        "ending     {} after {} ms of silence (decoder {} ms, voice {} ms) of {} ms asked for; sentence {}, going on {}, lead {lead}",
        name(&ending.rule),
        ending.decoder_silence_ms.max(ending.voice_silence_ms),
        ending.decoder_silence_ms,
        ending.voice_silence_ms,
        ending.patience_ms,
        if ending.complete {
            "complete"
        } else {
            "incomplete"
        },
        name(&ending.continuation),
    )
}

fn candidate((rank, candidate): (usize, &Candidate)) -> String {
    let evidence = &candidate.evidence;
    let margin = evidence
        .margin
        .map_or_else(|| "none".into(), |margin| format!("{margin:.3}"));
    format!(
        "heard {rank}    \"{}\" ({:.2}) score {:.1}, ratio {:.3}, worst word {:.3}, margin {margin}, {} frames, clarity {:.3}",
        candidate.text,
        candidate.confidence,
        candidate.score,
        evidence.ratio,
        evidence.worst_word,
        evidence.frames,
        evidence.clarity
    )
}

fn freely(freely: &Freely) -> Vec<String> {
    let mut lines: Vec<String> = (1..)
        .zip(&freely.candidates)
        .map(|(rank, said)| {
            format!(
                "freely {rank}   \"{}\" ({:.2}) score {:.1}, ratio {:.3}",
                said.text, said.confidence, said.score, said.evidence.ratio
            )
        })
        .collect();
    let verdict = if freely.won {
        "counts"
    } else {
        "does not count"
    };
    lines.push(match &freely.meaning {
        Some(intent) => format!(
            "freely     {verdict}: {} by {} ({:.2}, confidence {:.2} asked for)",
            intent.name,
            name(&intent.reader),
            intent.confidence,
            freely.threshold
        ),
        None => format!("freely     {verdict}: no command that may be said now"),
    });
    lines
}

fn understood(understood: &Understood) -> String {
    let meaning = match (understood.counts, understood.intents.as_slice()) {
        (false, _) => "too uncertain or too far behind to count".into(),
        (true, []) => "no command that may be said now".into(),
        (true, intents) => intents.join(", "),
    };
    format!(
        "meaning    \"{}\" ({:.3} behind): {meaning}",
        understood.text, understood.behind
    )
}

/// The name that JSON has for it.
fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name.replace('_', " "),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocar_speech::decoder::{Continuation, Evidence};
    use vocar_speech::endpoint::EndReason;

    #[test]
    fn every_stage_has_its_line() {
        let turn = TurnTrace {
            listening: "wake",
            voice: Some(Voice {
                start: 8000,
                end: 24_000,
                level_db: -20.0,
                noise_db: -50.5,
            }),
            wake: Some(Wake {
                phrase: "hey vocar".into(),
                at: 12_000,
                ratio: 0.25,
                score: 0.9,
            }),
            ending: Some(Ending {
                rule: EndReason::Stopped,
                patience_ms: 1200,
                decoder_silence_ms: 90,
                voice_silence_ms: 1210,
                length_ms: 3000,
                words: 1,
                complete: false,
                continuation: Continuation::Likely,
                lead: Some(-2.5),
            }),
            candidates: vec![Candidate {
                text: "radio on".into(),
                confidence: 0.25,
                score: -12.5,
                evidence: Evidence {
                    ratio: -0.5,
                    worst_word: -0.75,
                    margin: Some(0.125),
                    frames: 16,
                    clarity: -1.5,
                },
            }],
            threshold: 0.2,
            refused: None,
            understanding: vec![Understood {
                text: "radio on".into(),
                behind: 0.0,
                counts: true,
                intents: vec!["media.radio_on".into()],
            }],
            freely: Some(Freely {
                candidates: Vec::new(),
                meaning: None,
                threshold: 0.5,
                won: false,
            }),
            latency: Latency::default(),
            stages: Stages::default(),
        };
        let text = turn.lines().join("\n");
        for part in [
            "freely     does not count: no command",
            "0.50-1.50 s, -20.0 dB, noise -50.5 dB",
            "\"hey vocar\" until 0.75 s (0.90), ratio 0.250",
            "stopped after 1210 ms of silence (decoder 90 ms, voice 1210 ms) of 1200 ms asked for",
            "incomplete, going on likely, lead -2.5",
            "ratio -0.500, worst word -0.750, margin 0.125, 16 frames, clarity -1.500",
            "taken (0.25, confidence 0.20 asked for)",
            "(0.000 behind): media.radio_on",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_refused_turn_says_why() {
        let turn = TurnTrace {
            listening: "push-to-talk",
            voice: None,
            wake: None,
            ending: None,
            candidates: Vec::new(),
            threshold: 0.2,
            refused: Some(Reason::NoSpeech),
            understanding: Vec::new(),
            freely: None,
            latency: Latency::default(),
            stages: Stages::default(),
        };
        let text = turn.lines().join("\n");
        for part in [
            "push-to-talk",
            "refused: nobody spoke in time",
            "0 ms of silence",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let json = serde_json::to_value(&turn).unwrap();
        assert_eq!(json["refused"], "no_speech");
    }
}
