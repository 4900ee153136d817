//! Names in place of classes of the n-gram: the contacts, stations and places of one car.

use std::collections::BTreeMap;

/// Names by class, each as its words. A class is a word of the n-gram in braces, such as `{contact}`; names of a class
/// that the n-gram does not have cannot be said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    by_class: BTreeMap<String, Vec<Vec<String>>>,
}

impl Names {
    /// Adds a name, one or more words, to a class, given without braces.
    pub fn add(&mut self, class: &str, name: Vec<String>) {
        if !name.is_empty() {
            let names = self.by_class.entry(class.to_owned()).or_default();
            names.push(name);
        }
    }

    /// The names of the class that a word of the n-gram stands for; `None` for an ordinary word.
    pub(super) fn of(&self, word: &str) -> Option<&[Vec<String>]> {
        let class = word.strip_prefix('{')?.strip_suffix('}')?;
        Some(self.by_class.get(class).map_or(&[], Vec::as_slice))
    }
}
