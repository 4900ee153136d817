//! What adapters cost: swapping them, and reading with none, one apart, one merged, and two that take turns.
//!
//!     cargo run --release -p vocar-nlu --example adapters -- models/nlu-en [TEXTS]
//!
//! Texts are read one a line (words before a tab); without a file, a few are made up. The adapters are random, of rank 8 over
//! all layers, with heads of 60 intents and 80 tags: what they say means nothing, what they cost is real. Each way reads every
//! text in turn with the others, and of all rounds the quickest counts for a text, so that a busy machine disturbs little. For
//! swaps all count.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vocar_nlu::adapter::{AdapterManifest, LoadOptions, Weights, write};
use vocar_nlu::{Adapter, AdapterStore, Encoder};

const RANK: usize = 8;
const ROUNDS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bundle = arguments.next().unwrap_or_else(|| "models/nlu-en".into());
    let texts = texts(arguments.next().map(PathBuf::from).as_deref())?;
    let encoder = Arc::new(Encoder::load(Path::new(&bundle))?);
    let folder = tempfile::tempdir()?;
    for (name, pace) in [("one", 0.3), ("two", 0.7)] {
        let manifest = AdapterManifest::new(name, "house", encoder.base(), RANK, 16.0);
        write(folder.path(), &manifest, &weights(&encoder, pace))?;
    }
    let store = AdapterStore::new(Arc::clone(&encoder), folder.path(), 1 << 26);
    swaps(&store)?;

    let load = |name: &str| Adapter::load(&folder.path().join(name), &encoder);
    let (one, two) = (load("one")?, load("two")?);
    let (one_merged, two_merged) = (
        load("one")?.merged(&encoder)?,
        load("two")?.merged(&encoder)?,
    );
    println!(
        "apart {} kB, merged {} kB",
        one.bytes() / 1000,
        one_merged.bytes() / 1000
    );
    let ways: [(&str, [Option<&Adapter>; 2]); 5] = [
        ("the base alone", [None; 2]),
        ("one, apart", [Some(&one); 2]),
        ("two in turn, apart", [Some(&one), Some(&two)]),
        ("one, merged", [Some(&one_merged); 2]),
        (
            "two in turn, merged",
            [Some(&one_merged), Some(&two_merged)],
        ),
    ];
    let mut times = vec![vec![Duration::MAX; texts.len()]; ways.len()];
    for _ in 0..ROUNDS {
        for ((_, adapters), times) in ways.iter().zip(&mut times) {
            for (number, words) in texts.iter().enumerate() {
                let begin = Instant::now();
                let guess = match adapters[number % 2] {
                    None => encoder.read("car", words, |_| true)?,
                    Some(adapter) => encoder.read_with(adapter, words, |_| true)?,
                };
                std::hint::black_box(&guess);
                times[number] = times[number].min(begin.elapsed());
            }
        }
    }
    for ((name, _), times) in ways.iter().zip(times) {
        println!("{name:20} {}", shares(times));
    }
    Ok(())
}

/// Loading anew an adapter that is in force, from the file to the first request that can use it.
fn swaps(store: &AdapterStore) -> Result<(), Box<dyn std::error::Error>> {
    for merge in [false, true] {
        let options = LoadOptions {
            merge,
            pin: false,
            activate: true,
        };
        let mut times = Vec::new();
        for number in 0..60 {
            let name = ["one", "two"][number % 2];
            let begin = Instant::now();
            store.load(name, options)?;
            times.push(begin.elapsed());
        }
        let form = if merge { "merged" } else { "apart" };
        println!("swap, {form:14} {}", shares(times));
    }
    Ok(())
}

fn shares(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| {
        let place = ((times.len() - 1) as f64 * share).round() as usize;
        times[place].as_secs_f64() * 1e3
    };
    format!(
        "p50 {:.3} ms, p95 {:.3} ms, most {:.3} ms",
        at(0.5),
        at(0.95),
        at(1.0)
    )
}

fn texts(file: Option<&Path>) -> std::io::Result<Vec<Vec<String>>> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file)?,
        None => "light the lamp\nit is rather dark in here could you do something about that\n\
                 close it\ni would like the blinds in the living room to be half down by seven\n"
            .into(),
    };
    let said = text.lines().filter_map(|line| line.split('\t').next());
    let words = said.map(Encoder::words);
    Ok(words.filter(|words| !words.is_empty()).collect())
}

fn weights(encoder: &Encoder, pace: f32) -> Weights {
    let wave =
        |count: usize| -> Vec<f32> { (0..count).map(|n| 0.05 * (n as f32 * pace).sin()).collect() };
    let mut weights = Weights::default();
    let mut put = |name: String, shape: [usize; 2]| {
        let values = wave(shape[0] * shape[1]);
        weights.tensors.insert(name, (shape.to_vec(), values));
    };
    for (layer, inputs, outputs) in encoder.layers().filter(|(name, ..)| *name != "project") {
        put(format!("lora.{layer}.a"), [RANK, inputs]);
        put(format!("lora.{layer}.b"), [outputs, RANK]);
    }
    put("intents.weight".into(), [60, encoder.dim()]);
    put("tags.weight".into(), [80, encoder.dim()]);
    for (name, count) in [("intents.bias", 60), ("tags.bias", 80)] {
        weights
            .tensors
            .insert(name.into(), (vec![count], wave(count)));
    }
    let numbered = |first: &str, of: &str, count: usize| -> String {
        let more = (1..count).map(|n| format!("\n{of}{n}"));
        std::iter::once(first.to_owned()).chain(more).collect()
    };
    let remarks = [
        ("intents", numbered("none", "intent", 60)),
        ("tags", numbered("O", "B-slot", 80)),
        ("slope", "1.0".into()),
        ("offset", "0.0".into()),
        ("threshold", "0.0".into()),
    ];
    weights.remarks = remarks.map(|(name, text)| (name.to_owned(), text)).into();
    weights
}
