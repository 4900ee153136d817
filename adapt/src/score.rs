//! How good it is on sentences that were held out, and how sure it may be.

use std::collections::BTreeMap;

use serde::Serialize;
use vocar_nlu::encoder::{Curve, Head};

use crate::corpus::{NONE, Sentence};

/// Of what means nothing to a domain so much is to be refused, where that costs little.
const REFUSED: f64 = 0.84;
/// No threshold is lower: what is likelier wrong than right is not acted on.
const LEAST: f32 = 0.5;
/// How much is believed, before anything was measured, in the odds as they are.
const PRIOR: f64 = 1.0;

/// Shares from 0 to 1; absent where there was nothing to measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Sentences that mean something to the domain.
    pub commands: usize,
    /// Others.
    pub others: usize,
    /// Of the commands: the likeliest intent is right.
    pub intent: Option<f64>,
    /// Of the commands: the likeliest intent is right and sure enough.
    pub accepted: Option<f64>,
    /// Harmonic mean of precision and recall of whole slots.
    pub slot_f1: Option<f64>,
    /// Of the commands: intent and all slots are right, sure or not.
    pub whole: Option<f64>,
    /// Of the others: refused.
    pub refused: Option<f64>,
}

/// What heads make of sentences.
#[derive(Debug, Default)]
pub struct Scores {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    command: bool,
    right: bool,
    /// Logarithmic odds of the likeliest intent.
    odds: f32,
    wanted: usize,
    found: usize,
    hits: usize,
    slots: bool,
}

impl Scores {
    /// Adds a sentence with its states: that of the sentence, then those of its words.
    pub fn add(&mut self, head: &Head, sentence: &Sentence, states: &[f32]) {
        let dim = head.layers()[0].dim;
        let (whole, words) = states.split_at(dim);
        let scores = head.scores(whole);
        let Some((likeliest, odds)) = likeliest(&scores) else {
            return;
        };
        let count = |spans: Vec<(String, usize, usize)>| {
            let mut counts: BTreeMap<(String, usize, usize), usize> = BTreeMap::new();
            for span in spans {
                *counts.entry(span).or_default() += 1;
            }
            counts
        };
        let found = head.spans(words).into_iter();
        let found = count(
            found
                .map(|span| (span.slot, span.words.start, span.words.end))
                .collect(),
        );
        let wanted = count(sentence.spans.clone());
        let hits = wanted
            .keys()
            .filter(|span| found.contains_key(span))
            .count();
        self.rows.push(Row {
            command: sentence.intent != NONE,
            right: head.labels()[likeliest] == sentence.intent,
            odds,
            wanted: wanted.len(),
            found: found.len(),
            hits,
            slots: wanted == found,
        });
    }

    /// How sure to be: a slope and an offset with which the odds are as often right as they say (J. Platt, 1999), drawn towards
    /// the odds as they are where there is little to measure; and the lowest threshold that refuses most of what means
    /// nothing to the domain.
    pub fn curve(&self) -> Curve {
        let (mut slope, mut offset) = (1.0f64, 0.0f64);
        for _ in 0..50 {
            let (mut towards, mut bend) = ([PRIOR * (1.0 - slope), -PRIOR * offset], [[0.0; 2]; 2]);
            bend[0][0] = PRIOR;
            bend[1][1] = PRIOR;
            for row in &self.rows {
                let x = f64::from(row.odds);
                let chance = 1.0 / (1.0 + (-(slope * x + offset)).exp());
                let missing = f64::from(u8::from(row.right)) - chance;
                let spread = chance * (1.0 - chance);
                towards[0] += missing * x;
                towards[1] += missing;
                bend[0][0] += spread * x * x;
                bend[0][1] += spread * x;
                bend[1][1] += spread;
            }
            let determinant = bend[0][0] * bend[1][1] - bend[0][1] * bend[0][1];
            let step = [
                (bend[1][1] * towards[0] - bend[0][1] * towards[1]) / determinant,
                (bend[0][0] * towards[1] - bend[0][1] * towards[0]) / determinant,
            ];
            slope = (slope + step[0].clamp(-0.5, 0.5)).clamp(0.2, 5.0);
            offset = (offset + step[1].clamp(-1.0, 1.0)).clamp(-5.0, 5.0);
        }
        let mut curve = Curve {
            slope: slope as f32,
            offset: offset as f32,
            threshold: LEAST,
        };
        let others = self.rows.iter().filter(|row| !row.command);
        let mut chances: Vec<f32> = others.map(|row| chance(curve, row.odds)).collect();
        chances.sort_by(f32::total_cmp);
        let needed = (REFUSED * chances.len() as f64).ceil() as usize;
        if let Some(last) = needed.checked_sub(1).and_then(|at| chances.get(at)) {
            curve.threshold = last.next_up().clamp(LEAST, 0.9);
        }
        curve
    }

    /// The figures when what is less sure than the curve's threshold is refused.
    pub fn figures(&self, curve: Curve) -> Figures {
        let sure = |row: &&Row| chance(curve, row.odds) >= curve.threshold;
        let (commands, others): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().partition(|row| row.command);
        let share = |count: usize, of: usize| (of > 0).then(|| count as f64 / of as f64);
        let count = |test: &dyn Fn(&&Row) -> bool| commands.iter().copied().filter(test).count();
        let spans: [usize; 3] = commands.iter().fold([0; 3], |sums, row| {
            [
                sums[0] + row.wanted,
                sums[1] + row.found,
                sums[2] + row.hits,
            ]
        });
        Figures {
            commands: commands.len(),
            others: others.len(),
            intent: share(count(&|row| row.right), commands.len()),
            accepted: share(count(&|row| row.right && sure(row)), commands.len()),
            slot_f1: (spans[0] > 0).then(|| 2.0 * spans[2] as f64 / (spans[0] + spans[1]) as f64),
            whole: share(count(&|row| row.right && row.slots), commands.len()),
            refused: share(
                others.iter().copied().filter(|row| !sure(row)).count(),
                others.len(),
            ),
        }
    }
}

/// The likeliest intent that is one, with its odds against all else.
fn likeliest(scores: &[f32]) -> Option<(usize, f32)> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all: f32 = scores.iter().map(|score| (score - most).exp()).sum();
    let named = scores.iter().enumerate().skip(1);
    let (number, score) = named.max_by(|a, b| a.1.total_cmp(b.1))?;
    let share = ((score - most).exp() / all).clamp(1e-7, 1.0 - 1e-7);
    Some((number, (share / (1.0 - share)).ln()))
}

fn chance(curve: Curve, odds: f32) -> f32 {
    1.0 / (1.0 + (-(curve.slope * odds + curve.offset)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(command: bool, right: bool, odds: f32) -> Row {
        Row {
            command,
            right,
            odds,
            wanted: 1,
            found: 1,
            hits: usize::from(right),
            slots: right,
        }
    }

    #[test]
    fn what_boasts_is_believed_less_and_the_threshold_refuses_what_means_nothing() {
        let mut rows: Vec<Row> = (0..300).map(|n| row(true, n % 3 > 0, 4.0)).collect();
        rows.extend((0..100).map(|n| row(false, false, -6.0 + n as f32 / 20.0)));
        let scores = Scores { rows };
        let curve = scores.curve();
        assert!((0.6..0.75).contains(&chance(curve, 4.0)), "{curve:?}");
        let figures = scores.figures(curve);
        assert!(figures.refused.unwrap() >= REFUSED);
        assert_eq!(figures.intent, figures.accepted);
        assert!((figures.intent.unwrap() - 2.0 / 3.0).abs() < 1e-9);
        assert!((figures.slot_f1.unwrap() - 2.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn without_a_sentence_the_odds_are_taken_as_they_are() {
        let scores = Scores::default();
        let curve = scores.curve();
        assert_eq!(
            (curve.slope, curve.offset, curve.threshold),
            (1.0, 0.0, LEAST)
        );
        assert_eq!(scores.figures(curve), Figures::default());
    }
}
