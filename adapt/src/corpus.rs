//! Sentences with what they mean, to learn from and to measure on.

use std::collections::BTreeSet;

use vocar_nlu::encoder::Head;

/// The intent of what is none of a domain's.
pub const NONE: &str = "none";
/// The tag of a word that is no slot's.
const OUTSIDE: &str = "O";

/// A sentence and its meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence {
    /// Its words as the encoder reads them.
    pub words: Vec<String>,
    /// The intent, or [`NONE`].
    pub intent: String,
    /// The slot and its words, counted from nought, ends exclusive; none of them overlap.
    pub spans: Vec<(String, usize, usize)>,
    /// How often it is drawn against others.
    pub weight: f32,
    /// Whether what the base makes of it is learnt, not what is written here: so that it forgets nothing.
    pub rehearsed: bool,
}

impl Sentence {
    /// A tag for each word in the scheme of B. Sang (2000).
    pub fn tags(&self) -> Vec<String> {
        let mut tags = vec![OUTSIDE.to_owned(); self.words.len()];
        for (slot, from, to) in &self.spans {
            for (at, tag) in tags.iter_mut().enumerate().take(*to).skip(*from) {
                *tag = format!("{}-{slot}", if at == *from { 'B' } else { 'I' });
            }
        }
        tags
    }

    /// Whether the sentence is one in `every` that is kept for measuring; decided by its words alone, so for good.
    pub fn held_out(&self, every: u64) -> bool {
        hash(&self.words.join(" ")).is_multiple_of(every)
    }
}

/// FNV-1a, 64 bits, its upper half folded into the lower one.
pub(crate) fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |value, byte| {
        (value ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^ hash >> 32
}

/// The names that heads give numbers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Intents, [`NONE`] first.
    pub intents: Vec<String>,
    /// Tags, that of no slot first.
    pub tags: Vec<String>,
}

impl Labels {
    /// The intents and slots of sentences, in alphabetical order.
    pub fn of<'a>(sentences: impl IntoIterator<Item = &'a Sentence>) -> Labels {
        let (mut intents, mut slots) = (BTreeSet::new(), BTreeSet::new());
        for sentence in sentences {
            intents.insert(sentence.intent.as_str());
            slots.extend(sentence.spans.iter().map(|(slot, _, _)| slot.as_str()));
        }
        intents.remove(NONE);
        let begin_and_go_on = |slot: &str| [format!("B-{slot}"), format!("I-{slot}")];
        Labels {
            intents: [NONE]
                .into_iter()
                .chain(intents)
                .map(String::from)
                .collect(),
            tags: [OUTSIDE.to_owned()]
                .into_iter()
                .chain(slots.into_iter().flat_map(begin_and_go_on))
                .collect(),
        }
    }

    /// The labels of `head` in its order, then those that it has not.
    pub(crate) fn after(&self, head: &Head) -> Labels {
        let joined = |known: Vec<String>, all: &[String]| {
            let new = all.iter().filter(|label| !known.contains(label));
            let new: Vec<String> = new.cloned().collect();
            [known, new].concat()
        };
        Labels {
            intents: joined(head.labels().to_vec(), &self.intents),
            tags: joined(head.tags(), &self.tags),
        }
    }

    /// The number of an intent.
    pub fn intent(&self, name: &str) -> Option<usize> {
        self.intents.iter().position(|intent| intent == name)
    }

    /// The number of a tag; that of no slot for one that nobody gave a number.
    pub fn tag(&self, name: &str) -> usize {
        self.tags.iter().position(|tag| tag == name).unwrap_or(0)
    }
}

/// What is learnt and what is measured on.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// The names of everything.
    pub labels: Labels,
    /// To learn from.
    pub train: Vec<Sentence>,
    /// To measure on and to find out how sure to be.
    pub held_out: Vec<Sentence>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(text: &str, intent: &str, spans: &[(&str, usize, usize)]) -> Sentence {
        Sentence {
            words: text.split(' ').map(String::from).collect(),
            intent: intent.into(),
            spans: spans
                .iter()
                .map(|(slot, from, to)| ((*slot).to_owned(), *from, *to))
                .collect(),
            weight: 1.0,
            rehearsed: false,
        }
    }

    #[test]
    fn labels_have_no_intent_and_no_slot_first() {
        let sentences = [
            sentence("set it to twenty one", "b", &[("n", 3, 5)]),
            sentence("hello there", NONE, &[]),
            sentence("stop", "a", &[]),
        ];
        let labels = Labels::of(&sentences);
        assert_eq!(labels.intents, ["none", "a", "b"]);
        assert_eq!(labels.tags, ["O", "B-n", "I-n"]);
        assert_eq!(sentences[0].tags(), ["O", "O", "O", "B-n", "I-n"]);
        assert_eq!(
            (labels.intent("b"), labels.intent("c"), labels.tag("I-n")),
            (Some(2), None, 2)
        );
    }

    #[test]
    fn about_one_sentence_in_eight_is_held_out_always_the_same() {
        let held = |n: usize| sentence(&format!("sentence number {n}"), "a", &[]).held_out(8);
        let count = (0..4000).filter(|n| held(*n)).count();
        assert!((400..600).contains(&count), "{count} of 4000");
        assert!((0..100).all(|n| held(n) == held(n)));
    }
}
