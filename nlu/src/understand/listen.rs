//! What may be said in a context, as one graph.

use super::{Context, Understander, pending_in};
use crate::automaton::Automaton;
use crate::builtin::Builtin;
use crate::dialogue;
use crate::domain::{Domain, Phrasebook, Reach, SlotKind};
use crate::graph::{FRAME_COST, Repeat, SentenceGraph, SlotWords};
use crate::value::SlotValue;

/// Cost (negative natural logarithm of a probability) of a second command in the same breath: few people do it, and
/// nobody shall be waited for.
const AND_COST: f32 = 3.0;

impl Understander {
    /// Everything that may be said in this context. Whoever is known to speak to the assistant may give several commands
    /// in one breath: the graph then leads back from "and" to its beginning.
    pub fn graph(&self, context: &Context) -> SentenceGraph {
        let mut graph = SentenceGraph::empty();
        let mut said_in = Vec::new();
        for domain in self.active() {
            let compiled = domain.compiled();
            let (core, command) = (graph.node(), graph.node());
            let (said, end) = (graph.node(), graph.node());
            graph.arc(core, command, None, 0.0);
            let mut repeats = Vec::new();
            graph.optional(&compiled.before, 0, core);
            let words = |kind: &str| self.slot_words(domain, kind, context.addressed);
            for reach in [Reach::Always, Reach::Addressed, Reach::Dialogue] {
                if let Some(layer) = compiled.layer(reach).filter(|_| context.reaches(reach)) {
                    repeats.extend(graph.expand(&layer.plain, words, command, said));
                }
            }
            if let Some((number, pending)) = pending_in(domain, context) {
                if let Some(layer) = compiled.answer(number, &pending.ask) {
                    graph.expand(&layer.plain, words, core, said);
                }
                if context.choices.is_empty() && self.shows(domain, number, &pending.ask) {
                    graph.expand(dialogue::which(), words, core, said);
                }
            }
            if !context.choices.is_empty() {
                graph.expand(dialogue::which(), words, core, said);
            }
            if let Some((number, _)) = self.last_in(domain, context) {
                graph.expand(&domain.follow_up(number).plain, words, core, said);
            }
            if context.last.is_some() {
                graph.inline(dialogue::lead_in(), 0, core, FRAME_COST, 0.0);
            }
            graph.optional(&compiled.after, said, end);
            graph.finals.push(end);
            said_in.push(Said {
                command,
                said,
                repeats,
            });
        }
        if context.addressed {
            go_on(&mut graph, &said_in);
        }
        graph.trimmed()
    }

    /// The words of a slot, if it can be filled; whether several values of it may be said when `several` commands may be.
    fn slot_words<'a>(
        &'a self,
        domain: &'a Domain,
        kind: &str,
        several: bool,
    ) -> Option<SlotWords<'a>> {
        let entities = || self.entities.get(kind).map(Phrasebook::words);
        let words: &Automaton<String> = domain.compiled().slot_words.get(kind).or_else(entities)?;
        let (mut paused, mut repeated) = (false, false);
        match domain.kind(kind) {
            Some(SlotKind::Builtin(Builtin::Digits { .. } | Builtin::Spelling { .. })) => {
                paused = true;
            }
            Some(SlotKind::List(book)) => repeated = several && is_of_places(book),
            _ => {}
        }
        Some(SlotWords {
            words,
            paused,
            repeated,
        })
    }
}

/// Whether a list is one of places in the cabin: "the driver and the passenger window".
fn is_of_places(book: &Phrasebook) -> bool {
    let mut values = book.values().iter().map(|value| &value.value);
    values.all(|value| matches!(value, SlotValue::Zone(_)))
}

/// Where the commands of a domain begin and end, and where they may go on with another place.
struct Said {
    command: u32,
    said: u32,
    repeats: Vec<Repeat>,
}

/// Leads from the ends of the sentences back to their beginnings, and of those that name a place back to it.
fn go_on(graph: &mut SentenceGraph, said_in: &[Said]) {
    let (and, again) = (graph.node(), graph.node());
    graph.arc(and, again, None, 0.0);
    graph.arc(and, again, Some("then"), 1.0);
    for Said {
        command,
        said,
        repeats,
    } in said_in
    {
        graph.arc(*said, and, Some("and"), AND_COST);
        graph.arc(*said, again, Some("then"), AND_COST + 1.0);
        graph.arc(again, *command, None, 0.0);
        for repeat in repeats.iter().filter(|repeat| repeat.from != *command) {
            let more = graph.node();
            graph.arc(repeat.end, more, Some("and"), AND_COST + 0.5);
            if repeat.to != repeat.end {
                graph.arc(repeat.to, more, Some("and"), AND_COST);
            }
            graph.arc(more, repeat.from, None, 0.0);
            graph.arc(more, repeat.from, Some("the"), 0.0);
        }
    }
}
