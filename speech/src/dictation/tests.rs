//! The search against an exhaustive one, and the file format against its writer.

use std::sync::Arc;

use proptest::prelude::*;

use super::tree::LexiconTree;
use super::{Context, Dictation, DictationConfig, NGram};
use crate::g2p::G2p;
use crate::lexicon::Lexicon;
use crate::phones::{PhoneTable, Unit};

const WORDS: [&str; 6] = ["<s>", "</s>", "a", "ab", "b", "ba"];
const PHONES: usize = 3;

/// An n-gram file of [`WORDS`]: probability levels are `-level / 8`, weights `-level / 16`.
fn file(pairs: &[(u16, u16)], triples: &[(u16, u16, u16)], seed: u8) -> Vec<u8> {
    let level = |at: usize| (at as u8).wrapping_mul(37).wrapping_add(seed) % 40;
    let text = WORDS.join("\n");
    let mut bytes = b"VOCARNG1".to_vec();
    for size in [WORDS.len(), pairs.len(), triples.len(), text.len()] {
        bytes.extend((size as u32).to_le_bytes());
    }
    bytes.extend(text.as_bytes());
    for divisor in [8.0, 16.0, 8.0, 16.0, 8.0] {
        (0..256).for_each(|at| bytes.extend((at as f32 / -divisor).to_le_bytes()));
    }
    let levels = |count: usize, shift: usize| (0..count).map(move |at| level(at + shift));
    bytes.extend(levels(WORDS.len(), 1));
    bytes.extend(levels(WORDS.len(), 2));
    let counts = |bytes: &mut Vec<u8>, counts: Vec<usize>| {
        counts
            .iter()
            .for_each(|&count| bytes.extend((count as u16).to_le_bytes()));
    };
    let begun =
        (0..WORDS.len() as u16).map(|word| pairs.iter().filter(|pair| pair.0 == word).count());
    counts(&mut bytes, begun.collect());
    pairs
        .iter()
        .for_each(|pair| bytes.extend(pair.1.to_le_bytes()));
    bytes.extend(levels(pairs.len(), 3));
    bytes.extend(levels(pairs.len(), 4));
    let begun = pairs
        .iter()
        .map(|pair| triples.iter().filter(|t| (t.0, t.1) == *pair).count());
    counts(&mut bytes, begun.collect());
    triples
        .iter()
        .for_each(|triple| bytes.extend(triple.2.to_le_bytes()));
    bytes.extend(levels(triples.len(), 5));
    bytes
}

fn some_pairs() -> Vec<(u16, u16)> {
    vec![(0, 2), (0, 3), (2, 1), (2, 4), (3, 2), (4, 2), (4, 4)]
}

fn some_triples() -> Vec<(u16, u16, u16)> {
    vec![(0, 2, 4), (0, 3, 5), (2, 4, 1), (4, 2, 2)]
}

fn ngram(seed: u8) -> NGram {
    NGram::parse("test.ngram", &file(&some_pairs(), &some_triples(), seed)).unwrap()
}

/// "b" has a second pronunciation, like that of "ba".
fn lexicon() -> Lexicon {
    let phones = PhoneTable::parse("phones.txt", "SIL\nA\nB\n").unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/speech-en");
    let g2p = std::fs::read(folder.join("g2p.bin")).unwrap();
    let units = std::fs::read_to_string(folder.join("phones.txt"))
        .unwrap()
        .lines()
        .count();
    let g2p = G2p::parse("g2p.bin", &g2p, units).unwrap();
    let text = "a\tA\nab\tA B\nb\tB\nb\tB A\nba\tB A\n";
    Lexicon::new(phones, "lexicon.txt", text.into(), g2p).unwrap()
}

fn search(ngram: NGram, config: DictationConfig) -> Dictation {
    let ngram = Arc::new(ngram);
    let tree = Arc::new(LexiconTree::new(&ngram, &lexicon()));
    Dictation::new(ngram, tree, 2 * PHONES, config)
}

fn wide() -> DictationConfig {
    DictationConfig {
        beam: 1e4,
        word_beam: 1e4,
        max_active: 100_000,
        lm_scale: 1.3,
        word_bonus: -0.4,
        silence_bonus: -0.7,
        rivals: 4,
    }
}

/// The best score of every sentence of up to `rows` words, one by one; word numbers and score of the best.
struct Exhaustive<'a> {
    ngram: &'a NGram,
    lexicon: Lexicon,
    rows: &'a [Vec<f32>],
    config: DictationConfig,
    best: (f32, Vec<u16>),
}

impl Exhaustive<'_> {
    fn run(&mut self) {
        self.extend(&mut Vec::new(), self.ngram.start(), 0.0, &[]);
    }

    fn extend(&mut self, words: &mut Vec<u16>, context: Context, score: f32, units: &[Unit]) {
        if units.iter().filter(|&&unit| unit != Unit::SIL).count() > self.rows.len() {
            return;
        }
        let silent = [units, &[Unit::SIL]].concat();
        for (units, bonus) in [(units, 0.0), (&silent, self.config.silence_bonus)] {
            let end = self.config.lm_scale * self.ngram.end(context);
            let total = score + bonus + end + align(self.rows, units);
            if total > self.best.0 {
                self.best = (total, words.clone());
            }
            let sayable: Vec<(u16, String)> = self
                .ngram
                .sayable()
                .map(|(word, text)| (word, text.to_owned()))
                .collect();
            for (word, text) in sayable {
                let (log, next) = self.ngram.next(context, word);
                let score = score + bonus + self.config.lm_scale * log + self.config.word_bonus;
                for said in self.lexicon.pronunciations(&text).unwrap() {
                    words.push(word);
                    self.extend(words, next, score, &[units, &said].concat());
                    words.pop();
                }
            }
        }
    }
}

/// The best way through all rows with these units in order.
fn align(rows: &[Vec<f32>], units: &[Unit]) -> f32 {
    let mut scores = vec![f32::NEG_INFINITY; units.len()];
    for (frame, row) in rows.iter().enumerate() {
        for at in (0..units.len()).rev() {
            let entering = match (at, frame) {
                (0, 0) => 0.0,
                (0, _) => f32::NEG_INFINITY,
                _ if frame == 0 => f32::NEG_INFINITY,
                _ => scores[at - 1],
            };
            let staying = scores[at] + row[units[at].continue_column()];
            scores[at] = staying.max(entering + row[units[at].begin_column()]);
        }
    }
    scores.last().copied().unwrap_or(f32::NEG_INFINITY)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn finds_what_trying_every_sentence_finds(
        rows in prop::collection::vec(prop::collection::vec(-6.0f32..0.0, 2 * PHONES), 1..5),
        seed in any::<u8>(),
    ) {
        let mut wanted = Exhaustive {
            ngram: &ngram(seed),
            lexicon: lexicon(),
            rows: &rows,
            config: wide(),
            best: (f32::NEG_INFINITY, Vec::new()),
        };
        wanted.run();
        let mut search = search(ngram(seed), wide());
        search.push(&rows.concat());
        let (score, found) = search.finish_scored();
        let names: Vec<&str> = wanted.best.1.iter().map(|&word| WORDS[usize::from(word)]).collect();
        let heard: Vec<&str> = found.iter().map(|word| word.word.as_str()).collect();
        prop_assert!((score - wanted.best.0).abs() < 1e-3, "{score} {heard:?}, not {} {names:?}", wanted.best.0);
    }

    #[test]
    fn back_off_follows_its_definition(context in 0u16..6, before in 0u16..6, word in 1u16..6, seed in any::<u8>()) {
        let ngram = ngram(seed);
        let (pairs, triples) = (some_pairs(), some_triples());
        let level = |at: usize, shift: usize| f32::from((at as u8 + shift as u8).wrapping_mul(37).wrapping_add(seed) % 40);
        let two = |a: u16, b: u16| match pairs.iter().position(|&pair| pair == (a, b)) {
            Some(at) => level(at, 3) / -8.0,
            None => level(a.into(), 2) / -16.0 + level(b.into(), 1) / -8.0,
        };
        prop_assert!((ngram.next(Context(context.into()), word).0 - two(context, word)).abs() < 1e-5);
        let (_, both) = ngram.next(Context(before.into()), context);
        let wanted = match triples.iter().position(|&triple| triple == (before, context, word)) {
            Some(at) => level(at, 5) / -8.0,
            None => {
                let listed = pairs.iter().position(|&pair| pair == (before, context));
                let goes_on = triples.iter().any(|triple| (triple.0, triple.1) == (before, context));
                let weight = listed.filter(|_| goes_on).map_or(0.0, |at| level(at, 4) / -16.0);
                weight + two(context, word)
            }
        };
        prop_assert!((ngram.next(both, word).0 - wanted).abs() < 1e-5);
    }
}

/// Every sentence of the best few with the best score of its words, by trying all ways to say them.
fn score_of(words: &[String], ngram: &NGram, rows: &[Vec<f32>], config: &DictationConfig) -> f32 {
    let mut ways = vec![(0.0, ngram.start(), Vec::new())];
    for word in words {
        let number = WORDS.iter().position(|known| known == word).unwrap() as u16;
        let said = lexicon().pronunciations(word).unwrap();
        ways = ways
            .iter()
            .flat_map(|(score, context, units)| {
                let (log, next) = ngram.next(*context, number);
                let score = score + config.lm_scale * log + config.word_bonus;
                let silent = [&units[..], &[Unit::SIL]].concat();
                let heads = [
                    (score, units.clone()),
                    (score + config.silence_bonus, silent),
                ];
                let said = &said;
                heads.into_iter().flat_map(move |(score, head)| {
                    said.iter()
                        .map(move |tail| (score, next, [&head[..], tail].concat()))
                })
            })
            .collect();
    }
    let whole = ways.into_iter().flat_map(|(score, context, units)| {
        let score = score + config.lm_scale * ngram.end(context);
        let silent = [&units[..], &[Unit::SIL]].concat();
        [
            score + align(rows, &units),
            score + config.silence_bonus + align(rows, &silent),
        ]
    });
    whole.fold(f32::NEG_INFINITY, f32::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_next_best_sentences_are_scored_as_they_would_be_alone(
        rows in prop::collection::vec(prop::collection::vec(-6.0f32..0.0, 2 * PHONES), 2..7),
        seed in any::<u8>(),
    ) {
        let mut search = search(ngram(seed), DictationConfig { rivals: 64, ..wide() });
        search.push(&rows.concat());
        let found = search.n_best(6);
        prop_assert!(found.len() > 1);
        let again = search.n_best(6);
        prop_assert_eq!(&found, &again, "asking changes nothing");
        for (rank, sentence) in found.iter().enumerate() {
            let words: Vec<String> = sentence.words.iter().map(|word| word.word.clone()).collect();
            let alone = score_of(&words, &ngram(seed), &rows, &wide());
            // A next best sentence may be found with other times than its best ones, the best one not.
            prop_assert!(sentence.score <= alone + 1e-3, "{words:?}: {} above {alone}", sentence.score);
            prop_assert!(rank > 0 || sentence.score >= alone - 1e-3, "{words:?}");
            prop_assert!(rank == 0 || found[rank - 1].score >= sentence.score);
        }
    }
}

#[test]
fn words_have_the_times_at_which_they_were_said() {
    let mut search = search(
        ngram(3),
        DictationConfig {
            lm_scale: 0.1,
            ..wide()
        },
    );
    let said = [
        (0, 0),
        (0, 1),
        (1, 0),
        (2, 0),
        (2, 1),
        (0, 0),
        (0, 1),
        (2, 0),
        (1, 0),
    ];
    for (unit, continued) in said {
        let mut row = vec![-20.0; 2 * PHONES];
        row[2 * unit + continued] = 0.0;
        search.push(&row);
    }
    let found = search.finish();
    assert_eq!(found[0].word, "ab");
    assert_eq!(found[0].frames, 2..5);
    assert_eq!(found.last().unwrap().frames, 7..9);
    search.reset();
    assert!(search.finish().is_empty());
}

#[test]
fn damaged_files_are_refused() {
    let good = file(&some_pairs(), &some_triples(), 1);
    for length in [0, 7, 20, 50, good.len() - 1] {
        assert!(NGram::parse("cut.ngram", &good[..length]).is_err());
    }
    let mut swapped = some_pairs();
    swapped.swap(0, 1);
    let unsorted = NGram::parse("x.ngram", &file(&swapped, &some_triples(), 1));
    for (outcome, part) in [
        (
            NGram::parse("x.ngram", &[&good[..], &[0]].concat()),
            "after its end",
        ),
        (
            NGram::parse("x.ngram", b"VOCARNG0 and more"),
            "training.ngram",
        ),
        (unsorted, "out of order"),
    ] {
        let message = outcome.unwrap_err().to_string();
        assert!(
            message.contains(part) && message.contains("x.ngram"),
            "{message}"
        );
    }
}
