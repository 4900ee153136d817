//! Several commands in one sentence: "open the window and turn up the radio".

use super::{Context, Intent, Understander};
use crate::words;

/// A sentence with more joints, or more words, is not taken apart.
const MOST_JOINTS: usize = 3;
const MOST_WORDS: usize = 40;
/// How sure the encoder must be of a part of a sentence, and how many words the part must have.
const SURE: f32 = 0.8;
const FEWEST_WORDS: usize = 3;

/// Words between two commands, longest first.
const JOINTS: [&[&str]; 5] = [
    &["and", "after", "that"],
    &["and", "then"],
    &["and", "also"],
    &["and"],
    &["then"],
];

impl Understander {
    /// The commands of a text in their order, each with its readings, most likely first; empty when it is no command. A
    /// text is taken for several commands where no template takes it for one, "and" or "then" stands between, and each
    /// part is a command, if need be with the beginning or the end of its neighbour: "open the driver window and the
    /// passenger window". A part may refer to the one before it. Only for whoever is known to speak to the assistant.
    pub fn commands(&self, text: &str, context: &Context) -> Vec<Vec<Intent>> {
        let ways = words::spoken(text);
        let whole = self.templates_say(&ways, context);
        if !whole.is_empty() {
            return vec![whole];
        }
        if context.addressed || context.is_open() {
            let mut split = ways.iter().filter_map(|words| self.split(words, context));
            if let Some(parts) = split.next() {
                return parts;
            }
        }
        let whole = ways
            .first()
            .map(|words| self.encoder_says(words, context))
            .unwrap_or_default();
        if whole.is_empty() {
            Vec::new()
        } else {
            vec![whole]
        }
    }

    fn split(&self, words: &[String], context: &Context) -> Option<Vec<Vec<Intent>>> {
        let joints = joints(words);
        if joints.len() > MOST_JOINTS || words.len() > MOST_WORDS {
            return None;
        }
        joints
            .into_iter()
            .find_map(|(at, behind)| self.split_at(&words[..at], &words[behind..], context))
    }

    fn split_at(
        &self,
        left: &[String],
        right: &[String],
        context: &Context,
    ) -> Option<Vec<Vec<Intent>>> {
        let alone = self.part(left, context).map(|read| (left.to_vec(), read));
        let (left, read) = alone.or_else(|| self.with_the_end(left, right, context))?;
        let context = context.after(read.first()?);
        let rest = match self.part(right, &context) {
            Some(read) => vec![read],
            None => match self.split(right, &context) {
                Some(parts) => parts,
                None => self.with_the_beginning(&left, right, &context)?,
            },
        };
        let meaning = |readings: &Vec<Intent>| {
            let best = readings.first();
            best.map(|intent| (intent.name.clone(), intent.slots.clone()))
        };
        let other = rest.first().is_some_and(|next| {
            let again = next.first().is_some_and(|intent| intent.follows.is_some());
            again || meaning(next) != meaning(&read)
        });
        other.then(|| [vec![read], rest].concat())
    }

    /// A part of a sentence that is a command by itself.
    fn part(&self, words: &[String], context: &Context) -> Option<Vec<Intent>> {
        if words.is_empty() {
            return None;
        }
        let mut read = self.templates_say(&[words.to_vec()], context);
        if read.is_empty() && words.len() >= FEWEST_WORDS {
            read = self.encoder_says(words, context);
            read.retain(|intent| intent.confidence >= SURE);
        }
        (!read.is_empty()).then_some(read)
    }

    /// "The driver (window) and the passenger window": the end of what follows belongs to what stands before, too.
    fn with_the_end(
        &self,
        left: &[String],
        right: &[String],
        context: &Context,
    ) -> Option<(Vec<String>, Vec<Intent>)> {
        (1..right.len()).find_map(|from| {
            let words = [left, &right[from..]].concat();
            let read = self.templates_say(std::slice::from_ref(&words), context);
            (!read.is_empty()).then_some((words, read))
        })
    }

    /// "Open the driver window and (open) the passenger window": the beginning of what stands before belongs to what
    /// follows, too; as much of it as makes a command.
    fn with_the_beginning(
        &self,
        left: &[String],
        right: &[String],
        context: &Context,
    ) -> Option<Vec<Vec<Intent>>> {
        let beside = Context {
            last: None,
            ..context.clone()
        };
        (1..left.len()).rev().find_map(|until| {
            let words = [&left[..until], right].concat();
            let read = self.templates_say(std::slice::from_ref(&words), &beside);
            if read.is_empty() {
                return self.split_last(&words, &beside);
            }
            Some(vec![read])
        })
    }

    /// "(Open) the passenger and the rear window", after the driver window.
    fn split_last(&self, words: &[String], context: &Context) -> Option<Vec<Vec<Intent>>> {
        (joints(words).len() == 1)
            .then(|| self.split(words, context))
            .flatten()
    }
}

/// Where a sentence may be parted: the end of the first part and the beginning of the second.
fn joints(words: &[String]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 1;
    while at + 1 < words.len() {
        let joint = JOINTS.iter().find(|joint| {
            let there = words[at..].iter().take(joint.len());
            there.eq(joint.iter()) && at + joint.len() < words.len()
        });
        match joint {
            Some(joint) => {
                found.push((at, at + joint.len()));
                at += joint.len();
            }
            None => at += 1,
        }
    }
    found
}
