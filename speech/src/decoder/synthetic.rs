//! Acoustic scores as a network would give them, made from a known alignment.

use crate::lexicon::Lexicon;
use crate::phones::{PhoneTable, Unit};

/// A small generator of reproducible noise.
pub(crate) struct Noise(pub u64);

impl Noise {
    /// Evenly spread in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Roughly normal, mean 0, deviation 1.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

/// The lexicon that ships.
pub(crate) fn lexicon() -> Lexicon {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/speech-en");
    let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
    let phones = PhoneTable::parse("phones.txt", &read("phones.txt")).unwrap();
    let g2p = crate::g2p::G2p::parse(
        "g2p.bin",
        &std::fs::read(folder.join("g2p.bin")).unwrap(),
        phones.len(),
    )
    .unwrap();
    Lexicon::new(phones, "lexicon.txt", read("lexicon.txt"), g2p).unwrap()
}

/// Phones with their lengths in frames.
pub(crate) struct Utterance {
    pub phones: Vec<(Unit, usize)>,
    /// First frame of each word and the first after it.
    pub words: Vec<(u32, u32)>,
}

/// A sentence said with a silence before and after, every word in its first pronunciation.
pub(crate) fn say(lexicon: &Lexicon, sentence: &str, noise: &mut Noise) -> Utterance {
    let mut said = Utterance {
        phones: vec![(Unit::SIL, 6)],
        words: Vec::new(),
    };
    let mut at = 6;
    for word in sentence.split(' ') {
        let begin = at;
        for &unit in &lexicon.pronunciations(word).unwrap()[0] {
            let length = 1 + (noise.uniform() * 4.0) as usize;
            said.phones.push((unit, length));
            at += length as u32;
        }
        said.words.push((begin, at));
    }
    said.phones.push((Unit::SIL, 8));
    said
}

/// Scores of an alignment: the right column stands out by `contrast` nats, all have noise of this deviation.
pub(crate) fn scores(
    phones: &[(Unit, usize)],
    units: usize,
    contrast: f32,
    deviation: f32,
    noise: &mut Noise,
) -> Vec<f32> {
    let mut rows = Vec::new();
    for &(unit, length) in phones {
        for frame in 0..length {
            let right = if frame == 0 {
                unit.begin_column()
            } else {
                unit.continue_column()
            };
            rows.extend((0..2 * units).map(|column| {
                let sibling = column / 2 == unit.index();
                let level = if column == right {
                    0.0
                } else if sibling {
                    -0.5 * contrast
                } else {
                    -contrast
                };
                level + deviation * noise.normal()
            }));
        }
    }
    rows
}
