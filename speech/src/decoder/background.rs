//! A loop over all phones: the best explanation of the sound by no sentence in particular.

use vocar_inference::Bundle;

use crate::phones::{PhoneTable, Unit};
use crate::resource::ResourceError;

/// Natural-log probability of a phone pair that the bigram does not list.
const UNSEEN: f32 = -12.0;

/// How likely each phone follows each other one.
#[derive(Debug, Clone)]
pub struct Background {
    units: usize,
    /// Natural-log probability of unit `to` after unit `from`, at `to * units + from`.
    bigram: Vec<f32>,
}

impl Background {
    /// Reads the phone bigram of a speech bundle.
    ///
    /// # Errors
    /// [`ResourceError`] naming the line that is wrong.
    pub fn load(bundle: &Bundle, phones: &PhoneTable) -> Result<Background, ResourceError> {
        let name = &bundle.manifest().background.phone_lm;
        Background::parse(
            &bundle.path(name).display().to_string(),
            &bundle.read_text(name)?,
            phones,
        )
    }

    /// Reads lines of `from<TAB>to<TAB>natural-log probability`; `file` is the name in messages.
    ///
    /// # Errors
    /// [`ResourceError`] naming the line with an unknown phone, a probability above one, or the wrong columns.
    pub fn parse(file: &str, text: &str, phones: &PhoneTable) -> Result<Background, ResourceError> {
        let units = phones.len();
        let mut bigram = vec![UNSEEN; units * units];
        for (index, line) in text.lines().enumerate() {
            let bad = |problem: String| ResourceError::line(file, index + 1, problem);
            let columns: Vec<&str> = line.split('\t').collect();
            let &[from, to, log] = columns.as_slice() else {
                return Err(bad(format!(
                    "has {} columns, not from, to and probability",
                    columns.len()
                )));
            };
            let unit = |name: &str| {
                phones
                    .unit(name)
                    .ok_or_else(|| bad(format!("\"{name}\" is not in the phone table")))
            };
            let log: f32 = log
                .parse()
                .ok()
                .filter(|log: &f32| *log <= 0.0)
                .ok_or_else(|| {
                    bad(format!(
                        "\"{log}\" is no natural logarithm of a probability"
                    ))
                })?;
            bigram[unit(to)?.index() * units + unit(from)?.index()] = log.max(UNSEEN);
        }
        Ok(Background { units, bigram })
    }

    /// A bigram in which every phone is as likely as any other.
    pub fn uniform(phones: &PhoneTable) -> Background {
        let units = phones.len();
        Background {
            units,
            bigram: vec![-(units as f32).ln(); units * units],
        }
    }

    /// Number of units, silence included.
    pub fn units(&self) -> usize {
        self.units
    }

    /// The same bigram with every logarithm multiplied by `scale` (0: all phones free, 1: as learnt).
    pub fn scaled(mut self, scale: f32) -> Background {
        self.bigram.iter_mut().for_each(|log| *log *= scale);
        self
    }
}

/// The phone loop over one stretch of frames.
#[derive(Debug, Clone)]
pub struct BackgroundSearch {
    background: Background,
    scores: Vec<f32>,
    next: Vec<f32>,
    best: f32,
}

impl BackgroundSearch {
    /// A search before its first frame, coming out of silence.
    pub fn new(background: Background) -> BackgroundSearch {
        let units = background.units;
        let mut search = BackgroundSearch {
            background,
            scores: vec![0.0; units],
            next: vec![0.0; units],
            best: 0.0,
        };
        search.reset();
        search
    }

    /// Number of units, silence included.
    pub fn units(&self) -> usize {
        self.background.units
    }

    /// Forgets every frame.
    pub fn reset(&mut self) {
        self.scores.fill(f32::NEG_INFINITY);
        self.scores[Unit::SIL.index()] = 0.0;
        self.best = 0.0;
    }

    /// Takes one frame of acoustic scores, `2 * units` columns, and gives the best score so far, nats.
    pub fn step(&mut self, row: &[f32]) -> f32 {
        let units = self.background.units;
        self.best = f32::NEG_INFINITY;
        for unit in 0..units {
            let bigram = &self.background.bigram[unit * units..][..units];
            let mut entering = f32::NEG_INFINITY;
            for (score, log) in self.scores.iter().zip(bigram) {
                entering = entering.max(score + log);
            }
            let unit = Unit(unit as u8);
            let score = (entering + row[unit.begin_column()])
                .max(self.scores[unit.index()] + row[unit.continue_column()]);
            self.next[unit.index()] = score;
            self.best = self.best.max(score);
        }
        std::mem::swap(&mut self.scores, &mut self.next);
        self.best
    }

    /// Best score of all frames so far, nats.
    pub fn best(&self) -> f32 {
        self.best
    }

    /// Subtracts from every score, so that an endless stream stays within the precision of its numbers.
    pub fn lower(&mut self, by: f32) {
        self.scores.iter_mut().for_each(|score| *score -= by);
        self.best -= by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phones() -> PhoneTable {
        PhoneTable::parse("phones.txt", "SIL\nA\nB\n").unwrap()
    }

    /// Every path of the loop, one by one.
    fn exhaustive(background: &Background, rows: &[Vec<f32>]) -> f32 {
        fn walk(b: &Background, rows: &[Vec<f32>], at: usize, from: usize) -> f32 {
            let Some(row) = rows.get(at) else { return 0.0 };
            let fresh = (0..b.units)
                .map(|to| b.bigram[to * b.units + from] + row[2 * to] + walk(b, rows, at + 1, to));
            fresh.fold(row[2 * from + 1] + walk(b, rows, at + 1, from), f32::max)
        }
        walk(background, rows, 0, 0)
    }

    #[test]
    fn finds_the_best_of_all_paths() {
        let text = "SIL\tA\t-0.5\nA\tB\t-0.7\nB\tA\t-1.5\nB\tSIL\t-0.1\nSIL\tSIL\t-2\nA\tA\t-3\n";
        let background = Background::parse("phone-lm.tsv", text, &phones()).unwrap();
        let rows: Vec<Vec<f32>> = (0..7)
            .map(|t| {
                (0..6)
                    .map(|c| (((t * 31 + c * 17) % 13) as f32) * -0.6)
                    .collect()
            })
            .collect();
        let mut search = BackgroundSearch::new(background.clone());
        let last = rows.iter().map(|row| search.step(row)).last().unwrap();
        assert!((last - exhaustive(&background, &rows)).abs() < 1e-4);
        search.lower(last);
        assert_eq!(search.best(), 0.0);
    }

    #[test]
    fn wrong_bigrams_are_refused_with_the_line() {
        for (text, part) in [
            ("A\tB\n", "line 1"),
            ("A\tB\t-1\nA\tX\t-1\n", "line 2"),
            ("A\tB\t0.5\n", "0.5"),
            ("A\tB\tNaN\n", "NaN"),
        ] {
            let message = Background::parse("phone-lm.tsv", text, &phones())
                .unwrap_err()
                .to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
