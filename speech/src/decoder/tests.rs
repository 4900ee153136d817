//! The decoder as a whole, on scores whose alignment is known.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use super::Continuation;
use super::synthetic::{Noise, lexicon, say, scores};
use super::*;
use crate::g2p::G2p;
use crate::grammar::{GrammarError, WordArc, WordGraph};
use crate::lexicon::Lexicon;
use crate::phones::{PhoneTable, Unit};

const COMMANDS: [&str; 9] = [
    "open the window",
    "open the rear window",
    "close the window",
    "open the windows",
    "turn on the heating",
    "turn off the heating",
    "turn on the seat heating",
    "call anna",
    "yes",
];

fn decoder(graph: &WordGraph, lexicon: &Lexicon, config: DecoderConfig) -> Decoder {
    let graph = Arc::new(DecodingGraph::compile(graph, lexicon).unwrap());
    Decoder::new(graph, &Background::uniform(lexicon.phones()), config)
}

fn texts(decoded: &Decoded) -> Vec<String> {
    decoded.n_best.iter().map(DecodedSentence::text).collect()
}

#[test]
fn commands_are_recognised_with_their_word_times() {
    let lexicon = lexicon();
    let mut decoder = decoder(
        &WordGraph::from_sentences(COMMANDS),
        &lexicon,
        DecoderConfig::default(),
    );
    let mut noise = Noise(7);
    for command in COMMANDS {
        let said = say(&lexicon, command, &mut noise);
        decoder.reset();
        for chunk in scores(&said.phones, lexicon.phones().len(), 6.0, 1.0, &mut noise)
            .chunks(4 * 2 * lexicon.phones().len())
        {
            decoder.push(chunk);
        }
        assert_eq!(decoder.partial().join(" "), command);
        let progress = decoder.progress();
        assert!(
            progress.complete && progress.lead > 0.0 && (7..=9).contains(&progress.silent_frames),
            "{progress:?}"
        );
        let decoded = decoder.finish();
        let best = decoded.best().unwrap();
        assert_eq!((best.text().as_str(), decoded.accepted), (command, true));
        for (word, &(begin, end)) in best.words.iter().zip(&said.words) {
            assert!(
                word.begin.abs_diff(begin) <= 1 && word.end.abs_diff(end) <= 1,
                "{command}: {word:?}, not {begin}..{end}"
            );
            assert!(word.confidence > 0.5);
        }
        assert!(
            decoded
                .n_best
                .windows(2)
                .all(|pair| pair[0].score >= pair[1].score)
        );
        let distinct: std::collections::BTreeSet<String> = texts(&decoded).into_iter().collect();
        assert_eq!(distinct.len(), decoded.n_best.len());
    }
}

#[test]
fn what_is_no_command_is_rejected() {
    let lexicon = lexicon();
    let mut decoder = decoder(
        &WordGraph::from_sentences(COMMANDS),
        &lexicon,
        DecoderConfig::default(),
    );
    let mut noise = Noise(11);
    for other in [
        "the quick brown fox",
        "window the open",
        "call the dog",
        "open the windmill museum",
        "guess",
    ] {
        let said = say(&lexicon, other, &mut noise);
        decoder.reset();
        decoder.push(&scores(
            &said.phones,
            lexicon.phones().len(),
            6.0,
            1.0,
            &mut noise,
        ));
        let decoded = decoder.finish();
        assert!(!decoded.accepted, "{other} became {:?}", decoded.best());
    }
}

#[test]
fn silence_holds_no_sentence() {
    let lexicon = lexicon();
    let mut decoder = decoder(
        &WordGraph::from_sentences(&COMMANDS[..7]),
        &lexicon,
        DecoderConfig {
            beam: 40.0,
            ..DecoderConfig::default()
        },
    );
    decoder.push(&scores(
        &[(Unit::SIL, 30)],
        lexicon.phones().len(),
        6.0,
        1.0,
        &mut Noise(3),
    ));
    assert!(decoder.partial().is_empty());
    assert_eq!(decoder.progress().silent_frames, 30);
    let decoded = decoder.finish();
    assert!(decoded.n_best.is_empty() && decoded.unfinished.is_none() && !decoded.accepted);
}

#[test]
fn an_unfinished_sentence_is_told_apart() {
    let lexicon = lexicon();
    let mut decoder = decoder(
        &WordGraph::from_sentences(["open the window"]),
        &lexicon,
        DecoderConfig {
            beam: 20.0,
            ..DecoderConfig::default()
        },
    );
    let mut noise = Noise(5);
    let said = say(&lexicon, "open the", &mut noise);
    decoder.push(&scores(
        &said.phones,
        lexicon.phones().len(),
        6.0,
        1.0,
        &mut noise,
    ));
    assert!(!decoder.progress().complete);
    let decoded = decoder.finish();
    assert!(decoded.n_best.is_empty());
    assert_eq!(decoded.unfinished.unwrap().text(), "open the");
}

#[test]
fn a_sentence_that_may_go_on_says_so() {
    let lexicon = lexicon();
    let mut decoder = decoder(
        &WordGraph::from_sentences(["open the window", "open the window now"]),
        &lexicon,
        DecoderConfig::default(),
    );
    for (sentence, continuation) in [
        ("open the window", Continuation::Likely),
        ("open the window now", Continuation::Unlikely),
    ] {
        let mut noise = Noise(9);
        let said = say(&lexicon, sentence, &mut noise);
        decoder.reset();
        decoder.push(&scores(
            &said.phones,
            lexicon.phones().len(),
            6.0,
            1.0,
            &mut noise,
        ));
        let progress = decoder.progress();
        assert_eq!(
            (progress.complete, progress.continuation),
            (true, continuation),
            "{sentence}"
        );
    }
}

/// Digits in a loop through silent arcs.
fn digit_loop() -> WordGraph {
    let mut arcs: Vec<WordArc> = "zero one two three four five six seven eight nine"
        .split(' ')
        .map(|word| WordArc {
            from: 1,
            to: 2,
            word: Some(word.into()),
            cost: 2.3,
        })
        .collect();
    arcs.push(WordArc {
        from: 0,
        to: 1,
        word: None,
        cost: 0.5,
    });
    arcs.push(WordArc {
        from: 2,
        to: 1,
        word: None,
        cost: 0.1,
    });
    arcs.push(WordArc {
        from: 1,
        to: 0,
        word: None,
        cost: 0.0,
    });
    arcs.push(WordArc {
        from: 2,
        to: 3,
        word: None,
        cost: 0.7,
    });
    WordGraph {
        nodes: 5,
        start: 0,
        finals: vec![3],
        arcs,
    }
}

#[test]
fn long_utterances_keep_their_words_through_clean_ups() {
    let lexicon = lexicon();
    let digits: Vec<&str> = "nine one one four zero five eight two seven three six"
        .split(' ')
        .collect();
    let sentence: Vec<&str> = (0..80)
        .map(|i| digits[(i * 7 + i / 5) % digits.len()])
        .collect();
    let mut noise = Noise(21);
    let said = say(&lexicon, &sentence.join(" "), &mut noise);
    let rows = scores(&said.phones, lexicon.phones().len(), 5.0, 1.0, &mut noise);
    let config = DecoderConfig {
        beam: 30.0,
        ..DecoderConfig::default()
    };
    let mut plain = decoder(&digit_loop(), &lexicon, config.clone());
    let mut tidy = decoder(&digit_loop(), &lexicon, config);
    tidy.sweep_floor = 64;
    tidy.reset();
    for chunk in rows.chunks(4 * 2 * lexicon.phones().len()) {
        plain.push(chunk);
        tidy.push(chunk);
    }
    assert!(
        tidy.history.len() < plain.history.len(),
        "{} of {}",
        tidy.history.len(),
        plain.history.len()
    );
    let expected = plain.finish();
    assert_eq!(expected.best().unwrap().text(), sentence.join(" "));
    assert_eq!(tidy.finish(), expected);
}

#[test]
fn too_many_tokens_are_held_down() {
    let lexicon = lexicon();
    let config = DecoderConfig {
        max_active: 40,
        beam: 1e4,
        ..DecoderConfig::default()
    };
    let mut decoder = decoder(&WordGraph::from_sentences(COMMANDS), &lexicon, config);
    let mut noise = Noise(2);
    let said = say(&lexicon, "turn on the seat heating", &mut noise);
    for row in scores(&said.phones, lexicon.phones().len(), 6.0, 1.0, &mut noise)
        .chunks(2 * lexicon.phones().len())
    {
        decoder.push(row);
        assert!(decoder.active() <= 40 + 100, "{}", decoder.active());
    }
}

#[test]
fn thousands_of_sentences_compile_fast_and_are_told_apart() {
    let lexicon = lexicon();
    let mut noise = Noise(1);
    let vocabulary: Vec<&str> = include_str!("../../../models/speech-en/lexicon.txt")
        .lines()
        .step_by(9)
        .filter_map(|line| line.split('\t').next())
        .collect();
    let mut sentences: Vec<String> = Vec::new();
    for _ in 0..6000 {
        let words = 2 + (noise.uniform() * 6.0) as usize;
        let pick = |noise: &mut Noise| {
            vocabulary[(noise.uniform().powi(2) * vocabulary.len() as f32) as usize]
        };
        sentences.push(
            (0..words)
                .map(|_| pick(&mut noise))
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    let started = Instant::now();
    let graph = WordGraph::from_sentences(&sentences);
    let mut decoder = decoder(&graph, &lexicon, DecoderConfig::default());
    let compiled = started.elapsed();
    let mut frames = 0;
    let started = Instant::now();
    for sentence in sentences.iter().step_by(300) {
        let said = say(&lexicon, sentence, &mut noise);
        decoder.reset();
        let rows = scores(&said.phones, lexicon.phones().len(), 5.0, 1.0, &mut noise);
        decoder.push(&rows);
        frames += decoder.frames();
        assert_eq!(&decoder.finish().best().unwrap().text(), sentence);
    }
    println!(
        "{} nodes compiled in {compiled:?}; {frames} frames in {:?}",
        decoder.graph().nodes(),
        started.elapsed()
    );
    assert!(
        cfg!(debug_assertions) || compiled.as_secs_f32() < 1.0,
        "{compiled:?}"
    );
}

#[test]
fn graphs_without_a_sentence_or_a_sayable_word_are_refused() {
    let lexicon = lexicon();
    let graph = |word: &str, finals| WordGraph {
        nodes: 2,
        start: 0,
        finals,
        arcs: vec![WordArc {
            from: 0,
            to: 1,
            word: Some(word.into()),
            cost: 0.0,
        }],
    };
    assert!(matches!(
        DecodingGraph::compile(&graph("yes", vec![]), &lexicon),
        Err(GrammarError::NoSentence)
    ));
    assert!(matches!(
        DecodingGraph::compile(&graph("mp3", vec![1]), &lexicon),
        Err(GrammarError::Unpronounceable(_))
    ));
}

/// Three phones, five words, some with two pronunciations; `e` says what `ab` says.
fn tiny_lexicon() -> Lexicon {
    let phones = PhoneTable::parse("phones.txt", "SIL\nA\nB\nC\n").unwrap();
    let text = "a\tA\nb\tB\nb\tB C\nc\tC A\nd\tA B C\ne\tA B\n".to_owned();
    Lexicon::new(phones, "lexicon.txt", text, G2p::mute(4)).unwrap()
}

/// The best score of a sentence by trying every pronunciation, every pause and every alignment.
fn exhaustive(lexicon: &Lexicon, sentence: &str, rows: &[Vec<f32>]) -> f32 {
    let mut spellings: Vec<Vec<Unit>> = vec![vec![], vec![Unit::SIL]];
    for word in sentence.split(' ') {
        let said = lexicon.pronunciations(word).unwrap();
        let extended = spellings.iter().flat_map(|head| {
            said.iter().flat_map(move |tail| {
                let plain = [head.as_slice(), tail].concat();
                let paused = [plain.as_slice(), &[Unit::SIL]].concat();
                [plain, paused]
            })
        });
        spellings = extended.collect();
    }
    spellings
        .iter()
        .map(|phones| aligned(phones, rows))
        .fold(f32::NEG_INFINITY, f32::max)
}

fn aligned(phones: &[Unit], rows: &[Vec<f32>]) -> f32 {
    let mut scores = vec![f32::NEG_INFINITY; phones.len()];
    for (time, row) in rows.iter().enumerate() {
        for index in (0..phones.len()).rev() {
            let before = match index {
                0 if time == 0 => 0.0,
                0 => f32::NEG_INFINITY,
                _ => scores[index - 1],
            };
            let unit = phones[index];
            scores[index] = (before + row[unit.begin_column()])
                .max(scores[index] + row[unit.continue_column()]);
        }
    }
    scores.last().copied().unwrap_or(f32::NEG_INFINITY)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the scores: the best sentence and its score are those of trying everything.
    #[test]
    fn agrees_with_trying_everything(
        sentences in prop::collection::btree_set("[abcde]( [abcde]){0,3}", 1..12),
        seed in any::<u64>(),
        frames in 1usize..14,
    ) {
        let lexicon = tiny_lexicon();
        let mut noise = Noise(seed);
        let rows: Vec<Vec<f32>> = (0..frames).map(|_| (0..8).map(|_| 3.0 * noise.normal()).collect()).collect();
        let config = DecoderConfig { beam: 1e6, n_best: 50, ..DecoderConfig::default() };
        let mut decoder = decoder(&WordGraph::from_sentences(&sentences), &lexicon, config);
        rows.iter().for_each(|row| decoder.push(row));
        let decoded = decoder.finish();
        let expected = sentences.iter().map(|sentence| exhaustive(&lexicon, sentence, &rows)).fold(f32::NEG_INFINITY, f32::max);
        match decoded.best() {
            None => prop_assert_eq!(expected, f32::NEG_INFINITY),
            Some(best) => prop_assert!((best.score - expected).abs() < 1e-3, "{} scores {}, not {expected}", best.text(), best.score),
        }
        for sentence in &decoded.n_best {
            prop_assert!(sentences.contains(&sentence.text()));
            let own = exhaustive(&lexicon, &sentence.text(), &rows);
            prop_assert!(sentence.score <= own + 1e-3, "{} scores {}, at most {own} is possible", sentence.text(), sentence.score);
        }
    }
}
