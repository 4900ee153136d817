//! The best ways through a history with its rivals.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use super::history::{History, Record};

/// Paths looked at for each sentence wanted: many paths hold the same words.
const PATHS_A_SENTENCE: usize = 40;

/// A path known from its end back to `at`, and best from there on.
struct Path {
    score: f32,
    tail: Vec<u32>,
    at: u32,
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Path {}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score)
    }
}

/// The best paths with different words, each as its score and records, last word first; `ending` holds the score of each
/// path that ends and its last record.
pub(crate) fn best_paths(
    history: &History,
    ending: &[(f32, u32)],
    wanted: usize,
) -> Vec<(f32, Vec<Record>)> {
    let mut open: BinaryHeap<Path> = ending
        .iter()
        .map(|&(score, at)| Path {
            score,
            tail: Vec::new(),
            at,
        })
        .collect();
    let mut seen: HashSet<Vec<u32>> = HashSet::new();
    let mut found = Vec::new();
    for _ in 0..wanted * PATHS_A_SENTENCE {
        let Some(path) = open.pop() else { break };
        let mut whole = path.tail.clone();
        for (index, record) in history.walk(path.at) {
            if let Some(rival) = history.get(record.rival) {
                open.push(Path {
                    score: path.score - record.score + rival.score,
                    tail: whole.clone(),
                    at: record.rival,
                });
            }
            whole.push(index);
        }
        let records: Vec<Record> = whole
            .iter()
            .filter_map(|&index| history.get(index))
            .copied()
            .collect();
        if seen.insert(records.iter().map(|record| record.word).collect()) {
            found.push((path.score, records));
            if found.len() == wanted {
                break;
            }
        }
    }
    found
}
