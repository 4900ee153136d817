//! Open-vocabulary recognition: any words in any order, as likely as a word n-gram says.
//!
//! [`NGram`] knows which word follows which, [`LexiconTree`] how all words are said, and [`Dictation`] passes tokens over
//! one copy of the tree for each history of words that is alive, with the n-gram smeared over the tree so that the beam
//! can be narrow. Commands do not need this; it measures how well the acoustic model hears speech at large, short
//! searches weigh candidates of a wake phrase against other words, and what fits no template is heard once more this way.
//! [`Names`] stand in place of the classes of an n-gram.

mod lookahead;
mod names;
mod ngram;
mod scores;
mod search;
#[cfg(test)]
pub(crate) mod synthetic;
mod table;
#[cfg(test)]
mod tests;
mod tree;

pub use names::Names;
pub use ngram::{Context, NGram};
pub use scores::{ScoresError, acoustic_scores};
pub use search::{Dictation, DictationConfig, Sentence, SpokenWord};
pub use tree::LexiconTree;
