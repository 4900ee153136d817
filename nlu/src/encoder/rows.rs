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

    fn rows(&self) -> usize {
        self.scales.len()
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
pub struct Rows {
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
        self.sum(&self.parts(words))
    }

    /// The rows that have these parts, as [`Rows::parts`] gives them; there are no more places than the most words and one.
    pub fn sum(&self, parts: &[Vec<(usize, f32)>]) -> Vec<f32> {
        let mut out = self.places[..parts.len() * self.row].to_vec();
        for (parts, row) in parts.iter().zip(out.chunks_exact_mut(self.row)) {
            for (number, weight) in parts {
                match number.checked_sub(self.words.rows()) {
                    None => self.words.add(*number, *weight, row),
                    Some(bucket) => self.grams.add(bucket, *weight, row),
                }
            }
        }
        out
    }

    /// What the row of each place of a sentence is the sum of, its beginning first: rows of the table of [`Rows::table`] with
    /// their weights. The row of the place itself comes in addition.
    pub fn parts(&self, words: &[String]) -> Vec<Vec<(usize, f32)>> {
        let words = &words[..words.len().min(self.text.most_words)];
        let beginning = vec![(self.known.len() + 1, 1.0)];
        let of_word = |word: &String| {
            let known = self.known.get(word).map(|number| (*number, 1.0));
            let grams = grams(word, &self.text);
            let weight = 1.0 / grams.len() as f32;
            let buckets = grams.into_iter();
            let buckets = buckets.map(|bucket| (self.words.rows() + bucket, weight));
            known.into_iter().chain(buckets).collect()
        };
        std::iter::once(beginning)
            .chain(words.iter().map(of_word))
            .collect()
    }

    /// The rows of words, then those of n-grams, as floats `[rows][row]`.
    pub fn table(&self) -> Vec<f32> {
        let mut out = vec![0.0; (self.words.rows() + self.grams.rows()) * self.row];
        for (number, row) in out.chunks_exact_mut(self.row).enumerate() {
            match number.checked_sub(self.words.rows()) {
                None => self.words.add(number, 1.0, row),
                Some(bucket) => self.grams.add(bucket, 1.0, row),
            }
        }
        out
    }

    /// Whether a row of the table is a word's, not an n-gram's.
    pub fn is_word(&self, number: usize) -> bool {
        number < self.words.rows()
    }

    /// The rows of places `[1 + most words][row]`.
    pub fn places(&self) -> &[f32] {
        &self.places
    }

    /// How many numbers it holds.
    pub fn parameters(&self) -> usize {
        (self.words.rows() + self.grams.rows()) * self.row + self.places.len()
    }
}
