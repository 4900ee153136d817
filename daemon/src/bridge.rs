//! What understanding calls a sentence graph, hearing calls a word graph. Neither knows the other; this floor knows both.

use vocar_nlu::SentenceGraph;
use vocar_speech::grammar::{WordArc, WordGraph};

/// The same graph in the recogniser's terms.
#[must_use]
pub fn word_graph(graph: SentenceGraph) -> WordGraph {
    WordGraph {
        nodes: graph.nodes,
        start: graph.start,
        finals: graph.finals,
        arcs: graph
            .arcs
            .into_iter()
            .map(|arc| WordArc {
                from: arc.from,
                to: arc.to,
                word: arc.word,
                cost: arc.cost,
            })
            .collect(),
    }
}
