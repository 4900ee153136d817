//! The whole composition on real voice activity, with a network whose scores are written in advance.

mod freely;

use std::path::Path;
use std::sync::{Arc, Mutex};

use vocar_inference::{
    AcousticModel, Bundle, Engine, EngineError, Precision, Session, Signature, sha256_hex,
};

use super::*;
use crate::decoder::synthetic::{Noise, Utterance as Said, lexicon, say, scores};
use crate::event::Recognition;
use crate::grammar::WordGraph;
use crate::phones::Unit;

const UNITS: usize = 40;
const CHUNK: usize = 4;
const FRAME: usize = 480;

/// Scores for each stretch of speech in turn; silence after the last frame written.
type Script = Arc<Mutex<Vec<Vec<f32>>>>;

struct Scripted(Script);

#[derive(Clone)]
struct Reading {
    script: Script,
    /// Stretch being read and the next frame of it.
    stretch: Option<usize>,
    frame: usize,
    scores: Vec<f32>,
}

impl Engine for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn signature(&self) -> Signature {
        Signature {
            frames: 3 * CHUNK,
            mels: 80,
            chunk: CHUNK,
            columns: 2 * UNITS,
        }
    }

    fn start(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(Reading {
            script: Arc::clone(&self.0),
            stretch: None,
            frame: 0,
            scores: Vec::new(),
        }))
    }
}

impl Session for Reading {
    fn step(&mut self, features: &[f32]) -> Result<&[f32], EngineError> {
        assert_eq!(features.len(), 3 * CHUNK * 80);
        assert!(features.iter().all(|feature| feature.is_finite()));
        let script = self.script.lock().unwrap();
        let rows = script
            .get(self.stretch.unwrap_or(0))
            .map_or(&[][..], Vec::as_slice);
        let mut quiet = scores(&[(Unit::SIL, CHUNK + 1)], UNITS, 6.0, 0.0, &mut Noise(1));
        quiet.drain(..2 * UNITS);
        let from = (self.frame * 2 * UNITS).min(rows.len());
        let to = ((self.frame + CHUNK) * 2 * UNITS).min(rows.len());
        self.scores = [&rows[from..to], &quiet[to - from..]].concat();
        self.frame += CHUNK;
        Ok(&self.scores)
    }

    fn reset(&mut self) {
        self.stretch = Some(self.stretch.map_or(0, |stretch| stretch + 1));
        self.frame = 0;
    }

    fn fork(&self) -> Box<dyn Session> {
        Box::new(self.clone())
    }
}

/// A bundle with the shipped lexicon files and a network file that nobody opens.
fn bundle(folder: &Path) -> Bundle {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/speech-en");
    let mut files = String::new();
    let mut put = |name: &str, content: &[u8]| {
        std::fs::write(folder.join(name), content).unwrap();
        files += &format!("\"{name}\" = \"{}\"\n", sha256_hex(content));
    };
    for name in ["phones.txt", "lexicon.txt", "g2p.bin"] {
        put(name, &std::fs::read(shipped.join(name)).unwrap());
    }
    let phones = std::fs::read_to_string(shipped.join("phones.txt")).unwrap();
    let pairs = phones.lines().flat_map(|from| {
        phones
            .lines()
            .map(move |to| format!("{from}\t{to}\t-1.0\n"))
    });
    put("phone-lm.tsv", pairs.collect::<String>().as_bytes());
    put("am.onnx", b"never opened");
    let manifest = format!(
        r#"format = 1
name = "scripted"
version = "0.1.0"
language = "en"
licence = "Apache-2.0"
[features]
sample_rate = 16000
window = 400
hop = 160
fft = 512
mels = 80
low_hz = 20.0
high_hz = 7600.0
floor = 1e-7
[acoustic]
subsampling = 3
chunk = {CHUNK}
topology = "begin-continue"
input = "features"
output = "log_posteriors"
state_prefix = "state."
next_prefix = "next."
[acoustic.models]
f32 = "am.onnx"
[lexicon]
phones = "phones.txt"
words = "lexicon.txt"
g2p = "g2p.bin"
[background]
phone_lm = "phone-lm.tsv"
[confidence]
slope = 4.0
offset = 0.0
[files]
{files}"#
    );
    std::fs::write(folder.join("manifest.toml"), manifest).unwrap();
    Bundle::open(folder).unwrap()
}

/// A recogniser and the clock of what it is told.
struct Bench {
    recogniser: Recogniser,
    script: Script,
    noise: Noise,
    lexicon: Lexicon,
    events: Vec<SpeechEvent>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(sentences: &[&str]) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let bundle = bundle(folder.path());
        let script = Script::default();
        let model = AcousticModel::with_engine(
            Box::new(Scripted(Arc::clone(&script))),
            Precision::F32,
            bundle.manifest().acoustic.clone(),
        );
        let lexicon = lexicon();
        let graph = Arc::new(
            DecodingGraph::compile(&WordGraph::from_sentences(sentences), &lexicon).unwrap(),
        );
        let wake = WakeConfig {
            phrases: vec!["hey vocar".into()],
            ..WakeConfig::default()
        };
        let config = RecogniserConfig {
            wake,
            // The scripts begin so long before the voice.
            pre_roll_ms: 300,
            ..RecogniserConfig::default()
        };
        let recogniser = Recogniser::new(&bundle, model.unwrap(), graph, &lexicon, config).unwrap();
        Bench {
            recogniser,
            script,
            noise: Noise(3),
            lexicon,
            events: Vec::new(),
            _folder: folder,
        }
    }

    fn hear(&mut self, samples: &[f32]) {
        // A block size that fits neither the detector nor the features.
        for block in samples.chunks(333) {
            self.recogniser
                .push(block, &mut |event| self.events.push(event))
                .unwrap();
        }
    }

    fn silence(&mut self, ms: usize) {
        let noise = &mut self.noise;
        let samples: Vec<f32> = (0..ms * 16).map(|_| 1e-4 * noise.normal()).collect();
        self.hear(&samples);
    }

    /// Says a sentence: voice for as long as its words last, and the scores for it. The scores begin with the pre-roll.
    fn say(&mut self, sentence: &str) -> Said {
        let mut said = say(&self.lexicon, sentence, &mut self.noise);
        // The voice is noticed a little after it begins; the pre-roll comes before it.
        said.phones[0].1 = 10;
        said.words
            .iter_mut()
            .for_each(|word| *word = (word.0 + 4, word.1 + 4));
        let rows = scores(&said.phones, UNITS, 6.0, 1.0, &mut self.noise);
        self.script.lock().unwrap().push(rows);
        let frames = said.words.last().unwrap().1 - said.words[0].0;
        let voice = voice(frames as usize * FRAME, &mut self.noise);
        self.hear(&voice);
        said
    }

    fn take(&mut self) -> Vec<SpeechEvent> {
        std::mem::take(&mut self.events)
    }
}

/// A buzz through three moving resonances: enough of a vowel for the detector.
fn voice(length: usize, noise: &mut Noise) -> Vec<f32> {
    let mut states = [[0f32; 2]; 3];
    let mut phase = 0f32;
    (0..length)
        .map(|n| {
            let time = n as f32 / 16_000.0;
            phase += (125.0 + 15.0 * (6.0 * time).sin()) / 16_000.0;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= pulse;
            let wave = (std::f32::consts::TAU * 3.5 * time).sin();
            let centres = [
                550.0 + 150.0 * wave,
                1500.0 - 400.0 * wave,
                2500.0 + 100.0 * wave,
            ];
            let mut out = 0.01 * noise.normal();
            for (state, (centre, width)) in states
                .iter_mut()
                .zip(centres.into_iter().zip([80.0, 110.0, 160.0]))
            {
                let radius = (-std::f32::consts::PI * width / 16_000.0f32).exp();
                let turn = 2.0 * radius * (std::f32::consts::TAU * centre / 16_000.0).cos();
                let value = pulse + turn * state[0] - radius * radius * state[1];
                *state = [value, state[0]];
                out += 0.06 * value;
            }
            out.clamp(-0.9, 0.9)
        })
        .collect()
}

fn finals(events: &[SpeechEvent]) -> Vec<&Recognition> {
    events
        .iter()
        .filter_map(|event| {
            if let SpeechEvent::Final(recognition) = event {
                Some(recognition)
            } else {
                None
            }
        })
        .collect()
}

const COMMANDS: [&str; 4] = [
    "open the window",
    "close the window",
    "turn on the heating",
    "turn on the heating now",
];

/// Milliseconds from the last word to the decision.
fn waited(recognition: &Recognition) -> u64 {
    recognition.waited() / MS
}

#[test]
fn one_sentence_after_the_button_is_decided_within_a_fifth_of_a_second() {
    let mut bench = Bench::new(&COMMANDS);
    bench.recogniser.listen(Mode::PushToTalk);
    bench.silence(700);
    let begins = bench.recogniser.heard();
    let said = bench.say("open the window");
    let ends = bench.recogniser.heard();
    bench.silence(1000);
    let events = bench.take();
    let [recognition] = finals(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(recognition.best().text(), "open the window");
    assert!(waited(recognition) <= 200, "{} ms", waited(recognition));
    assert!(
        recognition.speech_start.abs_diff(begins) < 100 * MS
            && recognition.speech_end.abs_diff(ends) < 100 * MS
    );
    assert_eq!(recognition.best().words.len(), said.words.len());
    assert!(
        recognition
            .best()
            .words
            .windows(2)
            .all(|pair| pair[0].start < pair[0].end && pair[0].end <= pair[1].start)
    );
    let trace = &recognition.trace;
    assert!(trace.times.steps > trace.times.early_looks);
    let (voice, ending) = (trace.voice.unwrap(), trace.ending.unwrap());
    assert!(voice.start.abs_diff(begins) < 200 * MS && voice.end > voice.start);
    assert!(voice.level_db > voice.noise_db, "{voice:?}");
    assert!(
        ending.rule == EndReason::Complete
            && ending.patience_ms <= ending.decoder_silence_ms.max(ending.voice_silence_ms),
        "{ending:?}"
    );
    assert!(
        matches!(events[0], SpeechEvent::SpeechStarted { .. }),
        "{events:?}"
    );
    assert!(
        events.iter().any(
            |event| matches!(event, SpeechEvent::Partial(partial) if partial.text == "open the")
        )
    );
    assert!(!bench.recogniser.listening());
    bench.say("close the window");
    bench.silence(1000);
    assert!(bench.take().is_empty());
}

#[test]
fn the_decision_does_not_wait_for_a_full_chunk() {
    let mut bench = Bench::new(&COMMANDS);
    let mut longest = 0;
    let mut early_looks = 0;
    for round in 0..16 {
        bench.recogniser.listen(Mode::PushToTalk);
        bench.silence(600 + 17 * round);
        bench.say(["open the window", "close the window"][round % 2]);
        bench.silence(1000);
        let events = bench.take();
        let [recognition] = finals(&events)[..] else {
            panic!("{events:?}")
        };
        longest = longest.max(waited(recognition));
        early_looks += recognition.trace.times.early_looks;
    }
    assert!(
        longest <= 180 && early_looks > 0,
        "{longest} ms, {early_looks} early looks"
    );
}

#[test]
fn a_sentence_that_could_go_on_is_given_time() {
    let mut bench = Bench::new(&COMMANDS);
    bench.recogniser.listen(Mode::PushToTalk);
    bench.silence(500);
    bench.say("turn on the heating");
    bench.silence(1500);
    let events = bench.take();
    let [recognition] = finals(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(recognition.best().text(), "turn on the heating");
    assert!(
        (380..=600).contains(&waited(recognition)),
        "{} ms",
        waited(recognition)
    );
}

#[test]
fn a_button_without_speech_is_answered() {
    let mut bench = Bench::new(&COMMANDS);
    bench.recogniser.listen(Mode::PushToTalk);
    bench.silence(4900);
    assert!(bench.take().is_empty() && bench.recogniser.listening());
    bench.silence(200);
    let events = bench.take();
    assert!(
        matches!(
            events[..],
            [SpeechEvent::Rejected {
                reason: RejectReason::NoSpeech,
                best: None,
                ..
            }]
        ),
        "{events:?}"
    );
    assert!(!bench.recogniser.listening());
}

#[test]
fn an_open_microphone_takes_sentences_and_leaves_the_rest() {
    let mut bench = Bench::new(&COMMANDS);
    bench.recogniser.listen(Mode::OpenMic);
    for (sentence, right) in [
        ("close the window", true),
        ("my sister lives in a small town", false),
        ("open the window", true),
    ] {
        bench.silence(1800);
        bench.say(sentence);
        bench.silence(1800);
        let events = bench.take();
        let texts: Vec<String> = finals(&events)
            .iter()
            .map(|recognition| recognition.best().text())
            .collect();
        let expected: Vec<&str> = if right { vec![sentence] } else { vec![] };
        assert_eq!(texts, expected, "{events:?}");
        let rejected = events
            .iter()
            .filter(|event| matches!(event, SpeechEvent::Rejected { .. }))
            .count();
        assert_eq!(rejected, usize::from(!right), "{events:?}");
        assert!(
            events
                .iter()
                .any(|event| matches!(event, SpeechEvent::SpeechEnded { .. }))
        );
    }
    assert!(bench.recogniser.listening());
}

#[test]
fn a_wake_phrase_and_its_command_in_one_breath() {
    let mut bench = Bench::new(&COMMANDS);
    bench.recogniser.listen(Mode::Wake);
    bench.silence(600);
    bench.say("open the window");
    bench.silence(1800);
    let events = bench.take();
    assert!(
        events.iter().all(|event| matches!(
            event,
            SpeechEvent::SpeechStarted { .. } | SpeechEvent::SpeechEnded { .. }
        )),
        "{events:?}"
    );
    bench.say("hey vocar close the window");
    bench.silence(1800);
    let events = bench.take();
    let woken = events.iter().find_map(|event| {
        if let SpeechEvent::WakeDetected { at, phrase, .. } = event {
            Some((*at, phrase.as_str()))
        } else {
            None
        }
    });
    let [recognition] = finals(&events)[..] else {
        panic!("{events:?}")
    };
    let (at, phrase) = woken.unwrap();
    assert_eq!(
        (phrase, recognition.best().text().as_str()),
        ("hey vocar", "close the window")
    );
    assert!(recognition.speech_start.abs_diff(at) < 150 * MS && waited(recognition) <= 200);
    assert!(bench.recogniser.listening());
}

#[test]
fn after_a_wake_phrase_the_command_may_take_a_moment() {
    let mut bench = Bench::new(&COMMANDS);
    bench.recogniser.listen(Mode::Wake);
    bench.silence(600);
    bench.say("hey vocar");
    bench.silence(2000);
    let events = bench.take();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, SpeechEvent::WakeDetected { .. }))
            && finals(&events).is_empty(),
        "{events:?}"
    );
    bench.say("open the window");
    bench.silence(1800);
    let events = bench.take();
    assert_eq!(finals(&events).len(), 1, "{events:?}");
    bench.say("hey vocar");
    bench.silence(8000);
    let events = bench.take();
    assert!(
        matches!(
            events.last(),
            Some(SpeechEvent::Rejected {
                reason: RejectReason::NoSpeech,
                ..
            })
        ),
        "{events:?}"
    );
    assert!(bench.recogniser.listening());
}

#[test]
fn the_end_of_the_recording_ends_the_sentence() {
    let mut bench = Bench::new(&COMMANDS);
    bench.recogniser.listen(Mode::OpenMic);
    bench.silence(500);
    bench.say("turn on the heating");
    bench.silence(100);
    let events = &mut bench.events;
    bench
        .recogniser
        .finish(&mut |event| events.push(event))
        .unwrap();
    let events = bench.take();
    let [recognition] = finals(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(recognition.best().text(), "turn on the heating");
    assert!(!bench.recogniser.listening());
}

#[test]
fn a_cancelled_sentence_is_forgotten() {
    let mut bench = Bench::new(&COMMANDS);
    bench.recogniser.listen(Mode::PushToTalk);
    bench.silence(500);
    bench.say("open the window");
    bench.recogniser.cancel();
    bench.silence(2000);
    let events = bench.take();
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, SpeechEvent::Final(_) | SpeechEvent::Rejected { .. })),
        "{events:?}"
    );
}

#[test]
fn a_new_graph_counts_from_the_next_sentence() {
    let mut bench = Bench::new(&COMMANDS);
    let graph = WordGraph::from_sentences(["call zbigniew"]);
    let graph = Arc::new(DecodingGraph::compile(&graph, &bench.lexicon).unwrap());
    bench.recogniser.listen(Mode::OpenMic);
    bench.silence(500);
    bench.recogniser.set_graph(graph);
    bench.say("call zbigniew");
    bench.silence(1800);
    let events = bench.take();
    assert_eq!(finals(&events).len(), 1, "{events:?}");
}
