//! How a word outside the lexicon is said: a joint-sequence n-gram over letter-phones tokens.
//!
//! The file format is described in `training/g2p.py`, which makes it. Costs are integers, so this reader
//! and that one give the same answer to every word.

use crate::phones::Unit;
use crate::resource::ResourceError;

const MAGIC: &[u8; 5] = b"VG2P\x01";
const BEAM: usize = 24;
const EDGE: u8 = 0;
/// Longer n-grams than the file format's writers make; bounds the history kept for a partial word.
const MAX_ORDER: usize = 8;

/// One letter with the phones it stands for.
#[derive(Debug, Clone, Copy)]
struct Token {
    letter: u8,
    count: u8,
    phones: [u8; 2],
}

/// A context of the n-gram: what follows it and the contexts one token longer.
#[derive(Debug, Clone, Copy)]
struct Context {
    token: u8,
    back_off: i16,
    predictions: u8,
    longer: u8,
    first_prediction: u32,
    first_longer: u32,
}

/// A grapheme-to-phoneme model.
#[derive(Debug, Clone)]
pub struct G2p {
    order: usize,
    tokens: Vec<Token>,
    contexts: Vec<Context>,
    predictions: Vec<[u8; 2]>,
    /// For each letter `a`-`z` and the apostrophe, its tokens: numbers from..to.
    letters: [(u8, u8); 128],
}

/// The newest tokens of a partial word, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct History {
    tokens: [u8; MAX_ORDER],
    length: u8,
}

#[derive(Debug, Clone)]
struct Partial {
    cost: i32,
    path: Vec<u8>,
    history: History,
}

impl G2p {
    /// Reads a model made for a phone table of `units` units; `file` is its name in messages.
    ///
    /// # Errors
    /// [`ResourceError::Content`] when the bytes are no such model.
    pub fn parse(file: &str, bytes: &[u8], units: usize) -> Result<G2p, ResourceError> {
        let bad = |problem: &str| ResourceError::content(file, problem);
        let mut reader = Reader { bytes };
        if reader.take(5) != Some(MAGIC.as_slice()) {
            return Err(bad("is not a grapheme-to-phoneme model of version 1"));
        }
        let short = || bad("ends too early");
        let [order, token_count, phones] = reader.array().ok_or_else(short)?;
        if !(2..=MAX_ORDER).contains(&usize::from(order)) {
            return Err(bad("has an n-gram order outside 2-8"));
        }
        if usize::from(phones) != units {
            return Err(bad("was made for another phone table"));
        }
        let mut tokens = vec![Token {
            letter: 0,
            count: 0,
            phones: [0; 2],
        }];
        for _ in 0..token_count {
            let [letter, count, first, second] = reader.array().ok_or_else(short)?;
            if count > 2 || first >= phones || second >= phones || letter >= 128 {
                return Err(bad("has a token with impossible letters or phones"));
            }
            tokens.push(Token {
                letter,
                count,
                phones: [first, second],
            });
        }
        let (context_count, prediction_count) = (
            reader.u32().ok_or_else(short)?,
            reader.u32().ok_or_else(short)?,
        );
        let contexts = read_contexts(&mut reader, context_count, prediction_count)
            .ok_or_else(|| bad("has contexts that do not add up"))?;
        let table = reader
            .take(prediction_count as usize * 2)
            .ok_or_else(short)?;
        if !reader.bytes.is_empty() {
            return Err(bad("goes on after its end"));
        }
        let predictions: Vec<[u8; 2]> = table
            .chunks_exact(2)
            .map(|pair| [pair[0], pair[1]])
            .collect();
        let letters = letter_ranges(&tokens)
            .ok_or_else(|| bad("has tokens that are not grouped by letter"))?;
        let complete = usize::from(contexts[0].predictions) == tokens.len()
            && predictions[..tokens.len()]
                .iter()
                .enumerate()
                .all(|(number, pair)| usize::from(pair[0]) == number);
        if !complete {
            return Err(bad(
                "has an empty context that does not predict every token",
            ));
        }
        Ok(G2p {
            order: usize::from(order),
            tokens,
            contexts,
            predictions,
            letters,
        })
    }

    /// A model that can say nothing, for tests that bring their own words.
    #[cfg(test)]
    pub(crate) fn mute(units: usize) -> G2p {
        let bytes = [
            MAGIC.as_slice(),
            &[2, 0, units as u8],
            &1u32.to_le_bytes(),
            &1u32.to_le_bytes(),
            &[0, 128, 1, 0],
            &[0, 0],
        ]
        .concat();
        G2p::parse("g2p.bin", &bytes, units).expect("the smallest model is a model")
    }

    /// The likeliest phones of a word. `None` when it holds anything but `a`-`z` and the apostrophe, or no sound at all.
    pub fn pronounce(&self, word: &str) -> Option<Vec<Unit>> {
        if word.bytes().any(|letter| self.choices(letter).is_none()) {
            return None;
        }
        let start = Partial {
            cost: 0,
            path: Vec::new(),
            history: History {
                tokens: [EDGE; MAX_ORDER],
                length: 1,
            },
        };
        let mut beam = vec![start];
        for letter in word.bytes() {
            let (from, to) = self.choices(letter)?;
            beam = self.extend(&beam, from..to);
        }
        let best = self.extend(&beam, EDGE..EDGE + 1).into_iter().next()?;
        let said: Vec<Unit> = best
            .path
            .iter()
            .flat_map(|&number| {
                let token = &self.tokens[usize::from(number)];
                token.phones[..usize::from(token.count)]
                    .iter()
                    .map(|&phone| Unit(phone))
            })
            .collect();
        (!said.is_empty()).then_some(said)
    }

    fn choices(&self, letter: u8) -> Option<(u8, u8)> {
        let range = *self.letters.get(usize::from(letter))?;
        (range.0 < range.1).then_some(range)
    }

    /// Every partial word with every token of the next letter; one survivor a history, the cheapest `BEAM` of them.
    fn extend(&self, beam: &[Partial], choices: std::ops::Range<u8>) -> Vec<Partial> {
        let mut grown: Vec<Partial> = Vec::with_capacity(beam.len() * choices.len());
        let mut chain = Vec::with_capacity(self.order);
        for partial in beam {
            self.chain(&partial.history, &mut chain);
            for token in choices.clone() {
                let mut path = Vec::with_capacity(partial.path.len() + 1);
                path.extend_from_slice(&partial.path);
                path.push(token);
                grown.push(Partial {
                    cost: partial.cost + self.cost(&chain, token),
                    path,
                    history: self.push(partial.history, token),
                });
            }
        }
        grown.sort_unstable_by(|a, b| {
            (a.history, a.cost, &a.path).cmp(&(b.history, b.cost, &b.path))
        });
        grown.dedup_by(|later, first| later.history == first.history);
        grown.sort_unstable_by(|a, b| (a.cost, &a.path).cmp(&(b.cost, &b.path)));
        grown.truncate(BEAM);
        grown
    }

    fn push(&self, mut history: History, token: u8) -> History {
        if usize::from(history.length) == self.order - 1 {
            history.tokens.copy_within(1.., 0);
            history.length -= 1;
        }
        history.tokens[usize::from(history.length)] = token;
        history.length += 1;
        history.tokens[usize::from(history.length)..].fill(EDGE);
        history
    }

    /// The stored contexts that end this history, shortest first.
    fn chain(&self, history: &History, chain: &mut Vec<u32>) {
        chain.clear();
        chain.push(0);
        for &token in history.tokens[..usize::from(history.length)].iter().rev() {
            let node = self.contexts[*chain.last().unwrap_or(&0) as usize];
            let longer = &self.contexts[node.first_longer as usize..][..usize::from(node.longer)];
            match longer.binary_search_by_key(&token, |context| context.token) {
                Ok(found) => chain.push(node.first_longer + found as u32),
                Err(_) => break,
            }
        }
    }

    fn cost(&self, chain: &[u32], token: u8) -> i32 {
        let mut total = 0;
        for &node in chain.iter().rev() {
            let context = &self.contexts[node as usize];
            let level = &self.predictions[context.first_prediction as usize..]
                [..usize::from(context.predictions)];
            if let Ok(found) = level.binary_search_by_key(&token, |pair| pair[0]) {
                return total + i32::from(level[found][1]);
            }
            total += i32::from(context.back_off);
        }
        total
    }
}

fn read_contexts(reader: &mut Reader, count: u32, predictions: u32) -> Option<Vec<Context>> {
    let rows = reader.take((count as usize).checked_mul(4)?)?;
    let (mut prediction, mut child) = (0u32, 1u32);
    let mut contexts = Vec::with_capacity(count as usize);
    for row in rows.chunks_exact(4) {
        contexts.push(Context {
            token: row[0],
            back_off: i16::from(row[1]) - 128,
            predictions: row[2],
            longer: row[3],
            first_prediction: prediction,
            first_longer: child,
        });
        prediction += u32::from(row[2]);
        child += u32::from(row[3]);
    }
    (count > 0 && prediction == predictions && child == count).then_some(contexts)
}

fn letter_ranges(tokens: &[Token]) -> Option<[(u8, u8); 128]> {
    let mut ranges = [(0u8, 0u8); 128];
    for (number, token) in tokens.iter().enumerate().skip(1) {
        let range = &mut ranges[usize::from(token.letter)];
        let number = u8::try_from(number).ok()?;
        match *range {
            (0, 0) => *range = (number, number + 1),
            (from, to) if to == number => *range = (from, number + 1),
            _ => return None,
        }
    }
    Some(ranges)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(count)?;
        self.bytes = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phones::PhoneTable;
    use std::path::Path;

    fn shipped() -> (PhoneTable, Vec<u8>) {
        let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/speech-en");
        let phones = std::fs::read_to_string(bundle.join("phones.txt")).unwrap();
        (
            PhoneTable::parse("phones.txt", &phones).unwrap(),
            std::fs::read(bundle.join("g2p.bin")).unwrap(),
        )
    }

    #[test]
    fn says_words_as_the_trainer_does() {
        let (phones, bytes) = shipped();
        let model = G2p::parse("g2p.bin", &bytes, phones.len()).unwrap();
        let expected = include_str!("../testdata/g2p-parity.tsv");
        assert!(expected.lines().count() >= 50);
        for line in expected.lines() {
            let (word, said) = line.split_once('\t').unwrap();
            let ours: Vec<&str> = model
                .pronounce(word)
                .unwrap_or_default()
                .iter()
                .map(|&unit| phones.name(unit))
                .collect::<Vec<_>>();
            assert_eq!(ours.join(" "), said, "{word}");
        }
    }

    #[test]
    fn only_letters_and_apostrophes_are_said() {
        let (phones, bytes) = shipped();
        let model = G2p::parse("g2p.bin", &bytes, phones.len()).unwrap();
        for word in ["r2d2", "naïve", "two words", ""] {
            assert_eq!(model.pronounce(word), None, "{word}");
        }
    }

    #[test]
    fn damaged_models_are_refused() {
        let (phones, bytes) = shipped();
        assert!(
            G2p::parse("g2p.bin", &bytes, phones.len() - 1)
                .unwrap_err()
                .to_string()
                .contains("phone table")
        );
        for end in [0, 4, 7, 20, 1000, bytes.len() - 1] {
            assert!(
                G2p::parse("g2p.bin", &bytes[..end], phones.len()).is_err(),
                "{end} bytes"
            );
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(G2p::parse("g2p.bin", &longer, phones.len()).is_err());
        for at in (8..bytes.len()).step_by(bytes.len() / 200) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if let Ok(model) = G2p::parse("g2p.bin", &damaged, phones.len()) {
                model.pronounce("robustness");
            }
        }
    }
}
