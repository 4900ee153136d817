//! What a recogniser and a hasty speaker make of a sentence: words that sound alike in each other's place, words lost,
//! politeness around a command. Slots go with their words.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use vocar_nlu::random::Random;

use crate::corpus::{NONE, Sentence};

const BEFORE: [&str; 18] = [
    "please",
    "can you",
    "could you",
    "could you please",
    "would you",
    "will you",
    "hey",
    "okay",
    "so",
    "now",
    "well",
    "oh",
    "i want you to",
    "i'd like you to",
    "actually",
    "maybe",
    "alright",
    "listen",
];
const AFTER: [&str; 9] = [
    "please",
    "thanks",
    "thank you",
    "now",
    "right now",
    "for me",
    "would you",
    "if you can",
    "again",
];
/// No word has more neighbours than that.
const MOST: usize = 8;

/// How much is disturbed, as chances.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Noise {
    /// Words that sound like a word.
    alikes: BTreeMap<String, Vec<String>>,
    /// A sentence stays as it is.
    pub untouched: f32,
    /// A word is taken for one that sounds alike.
    pub confused: f32,
    /// A word is lost.
    pub lost: f32,
    /// A command is asked for politely.
    pub polite: f32,
    /// A known word is read by its letters alone.
    pub unknown: f32,
}

impl Noise {
    /// The usual amount, without words that sound alike.
    pub fn usual() -> Noise {
        Noise {
            alikes: BTreeMap::new(),
            untouched: 0.45,
            confused: 0.07,
            lost: 0.04,
            polite: 0.15,
            unknown: 0.1,
        }
    }

    /// Adds what sounds like one of `words`: words of a lexicon (lines of a word, a tab and its phones) that differ from it by
    /// at most one phone that is put in, left out or changed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn with_lexicon<'a>(
        mut self,
        lexicon: &Path,
        words: impl IntoIterator<Item = &'a String>,
    ) -> io::Result<Noise> {
        let text = fs::read_to_string(lexicon)?;
        let mut said: HashMap<&str, Vec<&str>> = HashMap::new();
        for (word, phones) in text.lines().filter_map(|line| line.split_once('\t')) {
            said.entry(word)
                .or_insert_with(|| phones.split(' ').collect());
        }
        let wanted: BTreeSet<&String> = words.into_iter().collect();
        let mut shelves: HashMap<Vec<&str>, Vec<&String>> = HashMap::new();
        for word in wanted {
            for key in said
                .get(word.as_str())
                .into_iter()
                .flat_map(|p| one_less(p))
            {
                shelves.entry(key).or_default().push(word);
            }
        }
        let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (other, phones) in &said {
            if phones.len() < 2 {
                continue;
            }
            for key in one_less(phones) {
                for word in shelves.get(&key).into_iter().flatten() {
                    let near = said[word.as_str()].len().abs_diff(phones.len()) <= 1;
                    if near && *other != word.as_str() {
                        found.entry((*word).clone()).or_default().insert(other);
                    }
                }
            }
        }
        for (word, near) in found {
            let mut near: Vec<String> = near.into_iter().map(String::from).collect();
            let mut random = Random::new(crate::corpus::hash(&word));
            while near.len() > MOST {
                near.swap_remove(random.below(near.len()));
            }
            self.alikes.insert(word, near);
        }
        Ok(self)
    }

    /// A sentence as it may arrive.
    pub fn disturb(&self, sentence: &Sentence, random: &mut Random) -> Sentence {
        let mut out = sentence.clone();
        if out.intent != NONE && random.unit() < self.polite {
            politely(&mut out, random);
        }
        if random.unit() >= self.untouched {
            self.mishear(&mut out, random);
        }
        out
    }

    fn mishear(&self, sentence: &mut Sentence, random: &mut Random) {
        for word in &mut sentence.words {
            let alike = self.alikes.get(word);
            if random.unit() < self.confused
                && let Some(other) = alike.and_then(|alike| random.pick(alike))
            {
                *word = other.clone();
            }
        }
        let mut at = 0;
        while at < sentence.words.len() {
            let alone = |(_, from, to): &(String, usize, usize)| (*from..*to) == (at..at + 1);
            let last_of_slot = sentence.spans.iter().any(alone);
            if sentence.words.len() > 2 && !last_of_slot && random.unit() < self.lost {
                sentence.words.remove(at);
                for (_, from, to) in &mut sentence.spans {
                    *from -= usize::from(*from > at);
                    *to -= usize::from(*to > at);
                }
            } else {
                at += 1;
            }
        }
    }
}

fn politely(sentence: &mut Sentence, random: &mut Random) {
    if random.unit() < 0.6
        && let Some(before) = random.pick(&BEFORE)
    {
        let before: Vec<String> = before.split(' ').map(String::from).collect();
        for (_, from, to) in &mut sentence.spans {
            *from += before.len();
            *to += before.len();
        }
        sentence.words.splice(0..0, before);
    }
    if random.unit() < 0.5
        && let Some(after) = random.pick(&AFTER)
    {
        sentence.words.extend(after.split(' ').map(String::from));
    }
}

/// Phones as they are, and without one of them.
fn one_less<'a>(phones: &[&'a str]) -> Vec<Vec<&'a str>> {
    let without = |at: usize| [&phones[..at], &phones[at + 1..]].concat();
    let shorter = (0..phones.len()).map(without);
    std::iter::once(phones.to_vec()).chain(shorter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence() -> Sentence {
        Sentence {
            words: "set the fan to twenty one"
                .split(' ')
                .map(String::from)
                .collect(),
            intent: "fan.set".into(),
            spans: vec![("level".into(), 4, 6)],
            weight: 1.0,
            rehearsed: false,
        }
    }

    #[test]
    fn slots_stay_on_their_words() {
        let noise = Noise {
            untouched: 0.0,
            lost: 0.3,
            polite: 0.5,
            ..Noise::usual()
        };
        let mut random = Random::new(1);
        let mut shorter = 0;
        for _ in 0..2000 {
            let heard = noise.disturb(&sentence(), &mut random);
            let (_, from, to) = heard.spans[0];
            let value = heard.words[from..to].join(" ");
            assert!(
                ["twenty one", "twenty", "one"].contains(&value.as_str()),
                "{heard:?}"
            );
            shorter += usize::from(heard.words.len() < 6);
        }
        assert!(shorter > 500, "{shorter}");
    }

    #[test]
    fn words_that_sound_alike_take_each_others_place() {
        let dir = tempfile::tempdir().unwrap();
        let lexicon = dir.path().join("lexicon.txt");
        fs::write(
            &lexicon,
            "fan\tF AE N\nvan\tV AE N\nfans\tF AE N Z\ntoast\tT OW S T\n",
        )
        .unwrap();
        let words = sentence().words;
        let noise = Noise {
            untouched: 0.0,
            confused: 1.0,
            lost: 0.0,
            polite: 0.0,
            ..Noise::usual().with_lexicon(&lexicon, &words).unwrap()
        };
        let mut random = Random::new(2);
        let heard: BTreeSet<String> = (0..100)
            .map(|_| noise.disturb(&sentence(), &mut random).words[2].clone())
            .collect();
        assert_eq!(heard, ["fans", "van"].map(String::from).into());
    }
}
