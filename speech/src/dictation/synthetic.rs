//! An n-gram that needs no text.

use super::NGram;

/// All words as likely as each other, whatever came before.
pub(crate) fn uniform(words: &[&str]) -> NGram {
    let text = ["<s>", "</s>"]
        .iter()
        .chain(words)
        .copied()
        .collect::<Vec<_>>()
        .join("\n");
    let count = words.len() + 2;
    let mut bytes = b"VOCARNG1".to_vec();
    for size in [count, 0, 0, text.len()] {
        bytes.extend((size as u32).to_le_bytes());
    }
    bytes.extend(text.as_bytes());
    // Level 0 of the words' table is their probability; those of back-off weights and of longer n-grams are 1.
    let log = -(words.len() as f32).ln();
    for level in [log, 0.0, 0.0, 0.0, 0.0] {
        (0..256).for_each(|_| bytes.extend(level.to_le_bytes()));
    }
    // Codes of probabilities and of back-off weights, and no pairs after any word.
    bytes.resize(bytes.len() + 2 * count + 2 * count, 0);
    NGram::parse("uniform.ngram", &bytes).unwrap()
}
