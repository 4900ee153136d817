//! Rows of numbers for words: of the word itself when it is known, and of its n-grams.

use std::collections::HashMap;
use std::fs;

use vocar_inference::TextBundle;
use vocar_inference::text::Text;

use super::tensors::{BadFile, Tensors};
use super::text::grams;

/// int8 rows with a scale each.
#[derive(Debug)]
struct Table {
    values: Vec<i8>,
    scales: Vec<f32>,
    row: usize,
}

impl Table {
    fn read(tensors: &Tensors, name: &str, rows: usize, row: usize) -> Result<Table, BadFile> {
        Ok(Table {
            values: tensors.integers(name, &[rows, row])?,
            scales: tensors.floats(&format!("{name}.scale"), &[rows])?,
            row,
        })
    }

    /// Adds a row, times `weight`.
    fn add(&self, number: usize, weight: f32, out: &mut [f32]) {
        let scale = weight * self.scales[number];
        let values = &self.values[number * self.row..(number + 1) * self.row];
        for (sum, value) in out.iter_mut().zip(values) {
            *sum += scale * f32::from(*value);
        }
    }
}

/// What a sentence of words looks like to the network.
#[derive(Debug)]
pub(super) struct Rows {
    text: Text,
    known: HashMap<String, usize>,
    words: Table,
    grams: Table,
    /// A row for each place of a sentence, that of its beginning first.
    places: Vec<f32>,
    row: usize,
}

impl Rows {
    /// The tables of a bundle; rows are `row` wide.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn read(bundle: &TextBundle, row: usize) -> Result<Rows, BadFile> {
        let text = bundle.manifest().text.clone();
        let path = bundle.path(&text.words);
        let listed = fs::read_to_string(&path).map_err(|e| BadFile {
            path,
            problem: format!("cannot be read ({e})"),
        })?;
        // Row 0 is for no word at all; the one after the last word begins the sentence.
        let known: HashMap<String, usize> = (1..)
            .zip(listed.lines())
            .map(|(number, word)| (word.to_owned(), number))
            .collect();
        let tensors = Tensors::read(&bundle.path(&text.rows))?;
        let count = listed.lines().count() + 2;
        Ok(Rows {
            words: Table::read(&tensors, "words", count, row)?,
            grams: Table::read(&tensors, "grams", text.buckets, row)?,
            places: tensors.floats("places", &[text.most_words + 1, row])?,
            known,
            row,
            text,
        })
    }

    /// Rows `[1 + words][row]` of a sentence, its beginning first. What is more than the most words is left out.
    pub fn of(&self, words: &[String]) -> Vec<f32> {
        let words = &words[..words.len().min(self.text.most_words)];
        let mut out = self.places[..(words.len() + 1) * self.row].to_vec();
        let (beginning, rest) = out.split_at_mut(self.row);
        self.words.add(self.known.len() + 1, 1.0, beginning);
        for (word, row) in words.iter().zip(rest.chunks_exact_mut(self.row)) {
            if let Some(number) = self.known.get(word) {
                self.words.add(*number, 1.0, row);
            }
            let grams = grams(word, &self.text);
            for bucket in &grams {
                self.grams.add(*bucket, 1.0 / grams.len() as f32, row);
            }
        }
        out
    }
}
