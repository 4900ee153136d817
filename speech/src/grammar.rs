//! What may be said: a graph whose arcs carry words.

use std::collections::HashMap;

/// One step of a [`WordGraph`].
#[derive(Debug, Clone, PartialEq)]
pub struct WordArc {
    /// Node it leaves.
    pub from: u32,
    /// Node it enters.
    pub to: u32,
    /// The word said, in lower case; `None` goes on in silence.
    pub word: Option<String>,
    /// Penalty in nats, nought or more: the negated logarithm of a probability, for instance.
    pub cost: f32,
}

/// Every sentence along some path from `start` to a final node. Cycles are allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct WordGraph {
    /// Number of nodes; they are numbered from 0.
    pub nodes: u32,
    /// Where every sentence begins.
    pub start: u32,
    /// Where a sentence may end.
    pub finals: Vec<u32>,
    /// The steps, in any order.
    pub arcs: Vec<WordArc>,
}

/// Why a word graph was not accepted.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum GrammarError {
    /// A node number beyond the number of nodes.
    #[error("{place} names node {node}, the graph has {nodes}")]
    NoSuchNode {
        /// `start`, `finals` or an arc.
        place: String,
        /// The number.
        node: u32,
        /// Number of nodes.
        nodes: u32,
    },
    /// A cost that is negative or no number.
    #[error("arc {arc} costs {cost}; a cost is nought or a finite positive number")]
    BadCost {
        /// Index of the arc.
        arc: usize,
        /// Its cost.
        cost: f32,
    },
    /// No sentence at all.
    #[error("no final node can be reached from the start: the graph holds no sentence")]
    NoSentence,
    /// A word without a pronunciation.
    #[error(transparent)]
    Unpronounceable(#[from] crate::lexicon::Unpronounceable),
    /// More states than the decoder's numbers can hold.
    #[error("the graph is too large to be decoded; enable fewer domains or shorten the lists")]
    TooLarge,
}

impl WordGraph {
    /// The graph of exactly these sentences, words separated by white space. Common beginnings and common
    /// endings are shared; empty sentences are left out.
    pub fn from_sentences<S: AsRef<str>>(sentences: impl IntoIterator<Item = S>) -> WordGraph {
        let mut trie = Trie::default();
        for sentence in sentences {
            trie.insert(sentence.as_ref());
        }
        trie.share_endings()
    }

    /// Looks for node numbers and costs that cannot be.
    ///
    /// # Errors
    /// [`GrammarError::NoSuchNode`] or [`GrammarError::BadCost`], the first that is found.
    pub fn check(&self) -> Result<(), GrammarError> {
        let known = |place: &dyn Fn() -> String, node: u32| {
            if node < self.nodes {
                Ok(())
            } else {
                Err(GrammarError::NoSuchNode {
                    place: place(),
                    node,
                    nodes: self.nodes,
                })
            }
        };
        known(&|| "start".into(), self.start)?;
        for &node in &self.finals {
            known(&|| "finals".into(), node)?;
        }
        for (index, arc) in self.arcs.iter().enumerate() {
            known(&|| format!("arc {index}"), arc.from.max(arc.to))?;
            if !(arc.cost.is_finite() && arc.cost >= 0.0) {
                return Err(GrammarError::BadCost {
                    arc: index,
                    cost: arc.cost,
                });
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct TrieNode {
    /// Word number and child, in order of insertion.
    children: Vec<(u32, u32)>,
    ends: bool,
}

/// Sentences by their beginnings.
struct Trie {
    nodes: Vec<TrieNode>,
    words: Vec<String>,
    numbers: HashMap<String, u32>,
    steps: HashMap<(u32, u32), u32>,
}

impl Default for Trie {
    fn default() -> Self {
        Trie {
            nodes: vec![TrieNode::default()],
            words: Vec::new(),
            numbers: HashMap::new(),
            steps: HashMap::new(),
        }
    }
}

impl Trie {
    fn insert(&mut self, sentence: &str) {
        let mut node = 0;
        for word in sentence.split_whitespace() {
            let word = self.number(word);
            let fresh = self.nodes.len() as u32;
            let next = *self.steps.entry((node, word)).or_insert(fresh);
            if next == fresh {
                self.nodes.push(TrieNode::default());
                self.nodes[node as usize].children.push((word, next));
            }
            node = next;
        }
        self.nodes[node as usize].ends = node != 0;
    }

    fn number(&mut self, word: &str) -> u32 {
        let word = word.to_lowercase();
        if let Some(&number) = self.numbers.get(&word) {
            return number;
        }
        let number = self.words.len() as u32;
        self.words.push(word.clone());
        self.numbers.insert(word, number);
        number
    }

    /// Merges nodes from which the same may follow. Children have greater numbers than their parents.
    fn share_endings(self) -> WordGraph {
        let mut same: HashMap<(bool, Vec<(u32, u32)>), u32> = HashMap::new();
        let mut becomes = vec![0u32; self.nodes.len()];
        let mut graph = WordGraph {
            nodes: 0,
            start: 0,
            finals: Vec::new(),
            arcs: Vec::new(),
        };
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let mut children: Vec<(u32, u32)> = node
                .children
                .iter()
                .map(|&(word, child)| (word, becomes[child as usize]))
                .collect();
            children.sort_unstable();
            let fresh = graph.nodes;
            let merged = *same.entry((node.ends, children.clone())).or_insert(fresh);
            becomes[index] = merged;
            if merged != fresh {
                continue;
            }
            graph.nodes += 1;
            if node.ends {
                graph.finals.push(fresh);
            }
            graph
                .arcs
                .extend(children.into_iter().map(|(word, to)| WordArc {
                    from: fresh,
                    to,
                    word: Some(self.words[word as usize].clone()),
                    cost: 0.0,
                }));
        }
        graph.start = becomes[0];
        graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Every sentence of an acyclic graph.
    fn language(graph: &WordGraph) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![(graph.start, Vec::<&str>::new())];
        while let Some((node, said)) = open.pop() {
            if graph.finals.contains(&node) {
                found.insert(said.join(" "));
            }
            for arc in graph.arcs.iter().filter(|arc| arc.from == node) {
                open.push((
                    arc.to,
                    said.iter().copied().chain(arc.word.as_deref()).collect(),
                ));
            }
        }
        found
    }

    #[test]
    fn beginnings_and_endings_are_shared() {
        let graph = WordGraph::from_sentences([
            "open the window",
            "close the window",
            "open the door",
            "Open",
        ]);
        assert_eq!(graph.check(), Ok(()));
        assert_eq!(graph.nodes, 6);
        let expected = [
            "close the window",
            "open",
            "open the door",
            "open the window",
        ];
        assert_eq!(language(&graph).into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn wrong_graphs_are_refused() {
        let arc = |to, cost| WordArc {
            from: 0,
            to,
            word: Some("a".into()),
            cost,
        };
        let graph = |arc| WordGraph {
            nodes: 2,
            start: 0,
            finals: vec![1],
            arcs: vec![arc],
        };
        assert_eq!(graph(arc(1, 0.5)).check(), Ok(()));
        assert!(matches!(
            graph(arc(2, 0.5)).check(),
            Err(GrammarError::NoSuchNode { node: 2, .. })
        ));
        for cost in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(matches!(
                graph(arc(1, cost)).check(),
                Err(GrammarError::BadCost { arc: 0, .. })
            ));
        }
    }

    proptest! {
        #[test]
        fn the_graph_holds_exactly_the_sentences(sentences in prop::collection::vec("[ab]( [abc]){0,4}", 1..30)) {
            let graph = WordGraph::from_sentences(&sentences);
            prop_assert_eq!(graph.check(), Ok(()));
            prop_assert_eq!(language(&graph), sentences.into_iter().collect::<BTreeSet<_>>());
        }
    }
}
