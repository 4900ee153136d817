//! Prints what the decoder knows about each recording of a manifest, accepted or not, for calibrating its confidence.
//!
//! `cargo run --release -p vocar-speech --example evidence -- BUNDLE SENTENCES MANIFEST [f32|int8]`
//!
//! SENTENCES: what may be said, one sentence a line. MANIFEST: a table with the columns `path` and `text`. Output: one
//! line an utterance, tab-separated: 1 or 0 (the best sentence is right), ratio, worst word, margin, frames, waited
//! (ms from the last word to the decision), path, best sentence.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use vocar_inference::{AcousticModel, Bundle, Precision};
use vocar_speech::decoder::DecodingGraph;
use vocar_speech::event::{Recognition, SpeechEvent};
use vocar_speech::grammar::WordGraph;
use vocar_speech::lexicon::Lexicon;
use vocar_speech::recogniser::{Mode, Recogniser, RecogniserConfig};
use vocar_speech::resample::Resampler;
use vocar_speech::source::AudioSource;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, sentences, manifest, rest @ ..] = arguments.as_slice() else {
        return Err("usage: evidence BUNDLE SENTENCES MANIFEST [f32|int8]".into());
    };
    let precision = match rest.first().map(String::as_str) {
        Some("int8") => Precision::Int8,
        _ => Precision::F32,
    };
    let bundle = Bundle::open(Path::new(folder))?;
    let model = AcousticModel::load(&bundle, precision)?;
    let text = std::fs::read_to_string(sentences)?;
    let words = WordGraph::from_sentences(text.lines());
    let graph = Arc::new(DecodingGraph::compile(&words, &Lexicon::load(&bundle)?)?);
    let mut recogniser = Recogniser::new(&bundle, model, graph, RecogniserConfig::default())?;
    for line in std::fs::read_to_string(manifest)?.lines().skip(1) {
        let (path, wanted) = line.split_once('\t').unwrap_or((line, ""));
        for best in recognise(&mut recogniser, Path::new(path))? {
            print(&best, wanted, path);
        }
    }
    Ok(())
}

fn recognise(recogniser: &mut Recogniser, path: &Path) -> Result<Vec<Recognition>, Box<dyn Error>> {
    let mut source = AudioSource::open(path)?;
    let mut resampler = Resampler::new(source.rate())?;
    let mut samples = Vec::new();
    while let Some(chunk) = source.next_chunk()? {
        resampler.push(chunk, &mut samples)?;
    }
    resampler.flush(&mut samples)?;
    samples.resize(samples.len() + 16_000, 0.0);
    let mut found = Vec::new();
    let mut sink = |event| match event {
        SpeechEvent::Final(best) => found.push(best),
        SpeechEvent::Rejected { best, .. } => found.extend(best),
        _ => {}
    };
    recogniser.listen(Mode::OpenMic);
    recogniser.push(&samples, &mut sink)?;
    recogniser.finish(&mut sink)?;
    Ok(found)
}

fn print(recognition: &Recognition, wanted: &str, path: &str) {
    let best = recognition.best();
    let evidence = best.evidence;
    println!(
        "{}\t{:.4}\t{:.4}\t{:.4}\t{}\t{}\t{path}\t{}",
        u8::from(best.text() == wanted),
        evidence.ratio,
        evidence.worst_word,
        evidence.margin.unwrap_or(f32::INFINITY),
        evidence.frames,
        recognition.waited() / 16,
        best.text()
    );
}
