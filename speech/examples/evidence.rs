//! Prints what the decoder knows about each recording of a manifest, accepted or not, for calibrating its confidence
//! and for trying its settings.
//!
//! `cargo run --release -p vocar-speech --example evidence -- BUNDLE SENTENCES MANIFEST [KEY=VALUE …]`
//!
//! SENTENCES: what may be said, one sentence a line. MANIFEST: a table with the columns `path` and `text`. Keys: `mode`
//! (push-to-talk: what is decided first counts, the default; open-mic: every stretch of speech), `precision` (f32,
//! int8 or mixed; the lightest there is, unless set), `beam`, `max_active`, `background_scale`, `complete_ms`, `may_go_on_ms`, `incomplete_ms`, `lead`,
//! `pre_roll_ms`.
//!
//! Output: a table with a header, one row a decision. `right`: 1 when the best sentence is what was said. `ratio` to
//! `clarity`: the evidence, as in `vocar_speech::decoder::Evidence`; `waited`: ms from the last word to the decision;
//! `rule`: what ended it; `level` and `noise`: decibels; `behind`: how far what was said is behind the best sentence,
//! nats a frame, `inf` when it is not among the best twenty.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use vocar_inference::{AcousticModel, Bundle, Precision};
use vocar_speech::decoder::DecodingGraph;
use vocar_speech::event::{Hypothesis, Recognition, SpeechEvent};
use vocar_speech::grammar::WordGraph;
use vocar_speech::lexicon::Lexicon;
use vocar_speech::recogniser::{Mode, Recogniser, RecogniserConfig};
use vocar_speech::source::AudioSource;

const USAGE: &str = "usage: evidence BUNDLE SENTENCES MANIFEST [KEY=VALUE …]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, sentences, manifest, settings @ ..] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let (config, mode, precision) = settled(settings)?;
    let bundle = Bundle::open(Path::new(folder))?;
    let model = AcousticModel::load(&bundle, precision.unwrap_or_else(|| bundle.lightest()))?;
    let text = std::fs::read_to_string(sentences)?;
    let words = WordGraph::from_sentences(text.lines());
    let lexicon = Lexicon::load(&bundle)?;
    let graph = Arc::new(DecodingGraph::compile(&words, &lexicon)?);
    let mut recogniser = Recogniser::new(&bundle, model, graph, &lexicon, config)?;
    println!(
        "right\tratio\tworst_word\tmargin\tframes\tclarity\tconfidence\twaited\trule\tlevel\tnoise\tbehind\tpath\twanted\tbest"
    );
    for line in std::fs::read_to_string(manifest)?.lines().skip(1) {
        let mut columns = line.split('\t');
        let (path, wanted) = (
            columns.next().unwrap_or_default(),
            columns.next().unwrap_or_default(),
        );
        let found = recognise(&mut recogniser, Path::new(path), mode)?;
        for recognition in &found {
            print(recognition, wanted, path);
        }
    }
    Ok(())
}

fn settled(
    settings: &[String],
) -> Result<(RecogniserConfig, Mode, Option<Precision>), Box<dyn Error>> {
    let mut config = RecogniserConfig::default();
    config.decoder.n_best = 20;
    let (mut mode, mut precision) = (Mode::PushToTalk, None);
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or(USAGE)?;
        match (key, value) {
            ("mode", "push-to-talk") => mode = Mode::PushToTalk,
            ("mode", "open-mic") => mode = Mode::OpenMic,
            ("precision", "f32") => precision = Some(Precision::F32),
            ("precision", "int8") => precision = Some(Precision::Int8),
            ("precision", "mixed") => precision = Some(Precision::Mixed),
            ("beam", _) => config.decoder.beam = value.parse()?,
            ("max_active", _) => config.decoder.max_active = value.parse()?,
            ("background_scale", _) => config.decoder.background_scale = value.parse()?,
            ("complete_ms", _) => config.endpoint.complete_ms = value.parse()?,
            ("may_go_on_ms", _) => config.endpoint.may_go_on_ms = value.parse()?,
            ("incomplete_ms", _) => config.endpoint.incomplete_ms = value.parse()?,
            ("pre_roll_ms", _) => config.pre_roll_ms = value.parse()?,
            ("lead", _) => config.endpoint.lead = value.parse()?,
            _ => return Err(format!("{setting}: no such setting; {USAGE}").into()),
        }
    }
    Ok((config, mode, precision))
}

fn recognise(
    recogniser: &mut Recogniser,
    path: &Path,
    mode: Mode,
) -> Result<Vec<Recognition>, Box<dyn Error>> {
    let mut samples = AudioSource::open(path)?.whole()?;
    samples.resize(samples.len() + 16_000, 0.0);
    let mut found = Vec::new();
    let mut sink = |event| match event {
        SpeechEvent::Final(best) => found.push(best),
        SpeechEvent::Rejected { best, .. } => found.extend(best),
        _ => {}
    };
    recogniser.listen(mode);
    recogniser.push(&samples, &mut sink)?;
    recogniser.finish(&mut sink)?;
    Ok(found)
}

fn print(recognition: &Recognition, wanted: &str, path: &str) {
    let best = recognition.best();
    let evidence = best.evidence;
    let (voice, ending) = (recognition.trace.voice, recognition.trace.ending);
    println!(
        "{}\t{:.4}\t{:.4}\t{:.4}\t{}\t{:.4}\t{:.4}\t{}\t{}\t{:.1}\t{:.1}\t{:.4}\t{path}\t{wanted}\t{}",
        u8::from(best.text() == wanted),
        evidence.ratio,
        evidence.worst_word,
        evidence.margin.unwrap_or(f32::INFINITY),
        evidence.frames,
        evidence.clarity,
        best.confidence,
        recognition.waited() / 16,
        ending.map_or_else(String::new, |ending| format!("{:?}", ending.rule)),
        voice.map_or(0.0, |voice| voice.level_db),
        voice.map_or(0.0, |voice| voice.noise_db),
        behind(recognition, wanted),
        best.text()
    );
}

/// How far a sentence is behind the best one, nats a frame of speech.
fn behind(recognition: &Recognition, wanted: &str) -> f32 {
    let best = recognition.best();
    let is_it = |hypothesis: &&Hypothesis| hypothesis.text() == wanted;
    recognition
        .hypotheses
        .iter()
        .find(is_it)
        .map_or(f32::INFINITY, |said| {
            (best.score - said.score) / best.evidence.frames.max(1) as f32
        })
}
