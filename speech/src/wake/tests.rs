//! Phrases said and not said, made from known alignments.

use super::*;
use crate::decoder::synthetic::{Noise, lexicon, say, scores};
use crate::dictation::synthetic::uniform;

fn spotter(lexicon: &Lexicon, change: impl FnOnce(&mut WakeConfig)) -> WakeSpotter {
    // Among forty phones of equal probability one phone is a surprise of 3.7 nats; a learnt bigram asks for less.
    let mut config = WakeConfig {
        phrases: vec!["hey vocar".into(), "computer".into()],
        background_scale: 0.25,
        threshold: -15.0,
        threshold_per_phone: 0.0,
        ..WakeConfig::default()
    };
    change(&mut config);
    WakeSpotter::new(lexicon, &Background::uniform(lexicon.phones()), config).unwrap()
}

/// Scores of silence and then "computer", with silence or more speech after it.
fn computer(after: &str, noise: &mut Noise) -> Vec<f32> {
    let lexicon = lexicon();
    let mut said = |words: &str| {
        let mut phones = say(&lexicon, words, noise).phones;
        phones.retain(|&(unit, _)| unit != Unit::SIL);
        phones
    };
    let mut phones = vec![(Unit::SIL, 10)];
    phones.extend(said("computer"));
    match after {
        "" => {}
        "silence" => phones.push((Unit::SIL, 20)),
        words => phones.extend(said(words)),
    }
    scores(&phones, lexicon.phones().len(), 6.0, 1.0, noise)
}

/// The best score of "computer", when nothing is reported.
fn best_score(rows: &[f32]) -> f32 {
    let lexicon = lexicon();
    let mut spotter = spotter(&lexicon, |config| config.threshold = f32::INFINITY);
    let mut best = f32::NEG_INFINITY;
    let mut judge = |spotter: &WakeSpotter| {
        let ended = spotter.endings().filter(|ended| ended.phrase == 1);
        best = ended
            .map(|ended| ended.score(spotter.config()))
            .fold(best, f32::max);
    };
    for row in rows.chunks(2 * lexicon.phones().len()) {
        spotter.step(row);
        judge(&spotter);
    }
    for _ in 0..PAUSE_AFTER {
        spotter.rest();
        judge(&spotter);
    }
    best
}

fn heard(spotter: &mut WakeSpotter, rows: &[f32], units: usize) -> Vec<Spotted> {
    rows.chunks(2 * units)
        .filter_map(|row| spotter.step(row))
        .collect()
}

#[test]
fn the_phrase_is_found_inside_other_speech_at_its_time() {
    let lexicon = lexicon();
    let units = lexicon.phones().len();
    let mut spotter = spotter(&lexicon, |config| config.pause_weight = 1.0);
    let mut noise = Noise(17);
    for (sentence, phrase, first, last) in [
        ("hey vocar open the window", 0, 0, 1),
        ("well hey vocar", 0, 1, 2),
        ("computer what time is it", 1, 0, 0),
        ("my computer is slow", 1, 1, 1),
    ] {
        spotter.reset();
        let said = say(&lexicon, sentence, &mut noise);
        let found = heard(
            &mut spotter,
            &scores(&said.phones, units, 6.0, 1.0, &mut noise),
            units,
        );
        let [found] = found.as_slice() else {
            panic!("{sentence}: {found:?}")
        };
        assert_eq!(found.phrase, phrase, "{sentence}");
        assert!(
            found.begin.abs_diff(said.words[first].0) <= 2,
            "{sentence}: {found:?}"
        );
        assert!(
            found.end.abs_diff(said.words[last].1) <= 1,
            "{sentence}: {found:?}"
        );
    }
}

#[test]
fn other_speech_does_not_wake() {
    let lexicon = lexicon();
    let units = lexicon.phones().len();
    let mut spotter = spotter(&lexicon, |_| {});
    let mut noise = Noise(23);
    for _ in 0..40 {
        for sentence in [
            "they work hard",
            "hey you over there",
            "no car",
            "a comet over the train",
            "the quick brown fox jumps over the lazy dog",
        ] {
            let said = say(&lexicon, sentence, &mut noise);
            let found = heard(
                &mut spotter,
                &scores(&said.phones, units, 6.0, 1.0, &mut noise),
                units,
            );
            assert!(found.is_empty(), "{sentence}: {found:?}");
        }
    }
    assert!(spotter.finish().is_none());
}

#[test]
fn a_pause_between_the_words_does_not_matter() {
    let lexicon = lexicon();
    let units = lexicon.phones().len();
    let mut noise = Noise(29);
    let said = say(&lexicon, "hey vocar", &mut noise);
    let mut phones = said.phones.clone();
    let hey = lexicon.pronunciations("hey").unwrap()[0].len();
    phones.insert(1 + hey, (Unit::SIL, 5));
    let found = heard(
        &mut spotter(&lexicon, |_| {}),
        &scores(&phones, units, 6.0, 1.0, &mut noise),
        units,
    );
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].end - found[0].begin,
        said.words[1].1 - said.words[0].0 + 5
    );
}

#[test]
fn a_pause_after_the_phrase_makes_it_surer() {
    let alone = best_score(&computer("silence", &mut Noise(31)));
    let followed = best_score(&computer("what time is it", &mut Noise(31)));
    assert!(alone > followed + 5.0, "{alone} {followed}");
}

#[test]
fn a_sure_phrase_need_not_wait_for_the_pause_and_a_doubtful_one_needs_it() {
    let lexicon = lexicon();
    let best = best_score(&computer("silence", &mut Noise(37)));
    for (threshold, after, wanted) in [
        (best - 12.0, "what time is it", 1),
        (best - 12.0, "silence", 1),
        (best - 1.0, "what time is it", 0),
        (best - 1.0, "silence", 1),
    ] {
        let rows = computer(after, &mut Noise(37));
        let mut spotter = spotter(&lexicon, |config| config.threshold = threshold);
        let found = heard(&mut spotter, &rows, lexicon.phones().len());
        assert_eq!(found.len(), wanted, "{threshold} {after}: {found:?}");
    }
}

/// Words that sound a little like "computer", and some that do not.
const WORDS: [&str; 8] = [
    "commuter", "come", "pewter", "what", "time", "is", "it", "my",
];

#[test]
fn other_words_that_explain_the_sound_better_keep_a_phrase_from_waking() {
    let lexicon = lexicon();
    let units = lexicon.phones().len();
    let words = Words::new(uniform(&WORDS), &lexicon);
    let mut noise = Noise(43);
    for (sentence, alone, weighed) in [
        ("is my commuter it", 1, 0),
        ("is my computer it", 1, 1),
        ("what time is it", 0, 0),
    ] {
        let said = say(&lexicon, sentence, &mut noise);
        let rows = scores(&said.phones, units, 6.0, 1.0, &mut noise);
        let lax = |config: &mut WakeConfig| {
            config.phrases = vec!["computer".into()];
            config.threshold = -32.0;
            config.word_threshold = -5.0;
            config.word_weight = 4.0;
        };
        let found = heard(&mut spotter(&lexicon, lax), &rows, units);
        assert_eq!(found.len(), alone, "{sentence} without words: {found:?}");
        let found = heard(&mut spotter(&lexicon, lax).against(&words), &rows, units);
        assert_eq!(found.len(), weighed, "{sentence} against words: {found:?}");
    }
}

#[test]
fn the_advantage_over_words_is_what_the_phrase_saves_them() {
    let lexicon = lexicon();
    let units = lexicon.phones().len();
    let words = Words::new(uniform(&WORDS), &lexicon);
    let mut noise = Noise(47);
    let mut advantage = |sentence: &str, word: usize| {
        let said = say(&lexicon, sentence, &mut noise);
        let rows = scores(&said.phones, units, 6.0, 1.0, &mut noise);
        let mut rivals = Rivals::new(&words, 2 * units);
        rows.chunks(2 * units).for_each(|row| rivals.hear(row));
        let ways = Chain::spell(&lexicon, 0, "computer").unwrap();
        let (begin, end) = said.words[word];
        rivals.advantage(ways.iter(), begin, end)
    };
    let said = advantage("what time is computer it", 3);
    assert!(said > 10.0, "{said}");
    let other = advantage("what time is commuter it", 3);
    assert!(other < 0.0, "{other}");
}

#[test]
fn the_end_of_voice_counts_as_a_pause() {
    let lexicon = lexicon();
    let rows = computer("", &mut Noise(41));
    let threshold = best_score(&rows) - 1.0;
    let mut spotter = spotter(&lexicon, |config| config.threshold = threshold);
    assert!(heard(&mut spotter, &rows, lexicon.phones().len()).is_empty());
    assert_eq!(spotter.finish().map(|spotted| spotted.phrase), Some(1));
    assert!(spotter.finish().is_none());
}

#[test]
fn a_phrase_that_cannot_be_said_is_refused() {
    let lexicon = lexicon();
    for phrase in ["hey r2d2", " "] {
        let config = WakeConfig {
            phrases: vec![phrase.into()],
            ..WakeConfig::default()
        };
        assert!(
            WakeSpotter::new(&lexicon, &Background::uniform(lexicon.phones()), config).is_err()
        );
    }
}
