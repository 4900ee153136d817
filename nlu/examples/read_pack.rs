//! Reads sentences with a bundle's heads, for measuring: a sentence a line on standard input, its words between spaces; for
//! each the likeliest intent that the threshold lets through and the slots, as JSON.
//!
//! `target/release/examples/read_pack BUNDLE DOMAIN < sentences.txt`; `training.nlu.evaluate --bundle` calls it.

use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;

use serde_json::json;
use vocar_nlu::Encoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(bundle), Some(domain)) = (arguments.next(), arguments.next()) else {
        return Err("say which bundle and which domain".into());
    };
    let encoder = Encoder::load(Path::new(&bundle))?;
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let words: Vec<String> = line?.split_whitespace().map(String::from).collect();
        let guess = encoder
            .read(&domain, &words, |_| true)?
            .ok_or("a line without words, or a domain that the bundle does not know")?;
        let spans: Vec<_> = guess
            .spans
            .iter()
            .map(|span| (&span.slot, span.words.start, span.words.end))
            .collect();
        let intent = guess.intents.first().map(|(name, _)| name);
        writeln!(out, "{}", json!({"intent": intent, "spans": spans}))?;
    }
    Ok(())
}
