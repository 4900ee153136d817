//! What a domain amounts to, and where it contradicts itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::domain::{Domain, Reach};
use crate::sample::{Sample, Spans, sample_within};
use crate::understand::{Context, Understander};
use crate::value::Entities;

/// Figures and findings about a domain.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Name of the domain.
    pub domain: String,
    /// Number of intents.
    pub intents: usize,
    /// Number of templates.
    pub templates: usize,
    /// Intents with a VSS path.
    pub with_vss: usize,
    /// Nodes of the sentence graph at an open microphone.
    pub nodes: u32,
    /// Arcs of the sentence graph at an open microphone.
    pub arcs: usize,
    /// Every word the recogniser must know how to pronounce, in any context.
    pub words: BTreeSet<String>,
    /// Templates per intent.
    pub templates_by_intent: BTreeMap<String, usize>,
    /// Sampled sentences that were understood as something else.
    pub conflicts: Vec<Conflict>,
}

/// A sentence of one intent that is understood as another, or with other slots.
#[derive(Debug, Clone, Serialize)]
pub struct Conflict {
    /// The sentence with what it was meant to be.
    pub meant: Sample,
    /// What it was understood as; nothing when it was refused.
    pub understood: Option<Sample>,
}

/// Looks a domain over: figures, vocabulary, and `samples` random sentences understood and compared.
pub fn check(domain: &Arc<Domain>, entities: &Entities, seed: u64, samples: usize) -> Report {
    let mut understander = Understander::new(vec![domain.clone()]);
    for list in domain.entity_lists() {
        if let Some(values) = entities.get(list)
            && let Err(error) = understander.set_entities(list, values)
        {
            tracing::warn!(%error, "entity list left empty");
        }
    }
    let open = understander.graph(&Context::open_microphone());
    let asking = Context {
        asking: true,
        ..Context::addressed()
    };
    let widest = understander.graph(&asking);
    let conflicts = sample_within(domain, entities, Reach::Dialogue, seed, samples)
        .into_iter()
        .filter_map(|meant| conflict(&understander, &asking, meant))
        .collect();
    Report {
        domain: domain.name().to_string(),
        intents: domain.intents().len(),
        templates: domain
            .intents()
            .iter()
            .map(|intent| intent.templates.len())
            .sum(),
        with_vss: domain
            .intents()
            .iter()
            .filter(|intent| intent.vss.is_some())
            .count(),
        nodes: open.nodes,
        arcs: open.arcs.len(),
        words: widest
            .arcs
            .iter()
            .filter_map(|arc| arc.word.clone())
            .collect(),
        templates_by_intent: domain
            .intents()
            .iter()
            .map(|i| (i.name.clone(), i.templates.len()))
            .collect(),
        conflicts,
    }
}

/// A sentence must be understood before a question or while one is open: "stop" means another thing then.
fn conflict(understander: &Understander, asking: &Context, meant: Sample) -> Option<Conflict> {
    let best = |context: &Context| {
        let readings = understander.understand(&meant.text, context);
        readings.into_iter().next()
    };
    let said = best(&Context::addressed()).filter(|got| got.name == meant.intent);
    let best = said.or_else(|| best(asking));
    let understood = best.map(|intent| Sample {
        text: intent.text,
        intent: intent.name,
        slots: intent.slots,
        spans: Spans::new(),
    });
    let right = understood
        .as_ref()
        .is_some_and(|got| got.intent == meant.intent && got.slots == meant.slots);
    (!right).then_some(Conflict { meant, understood })
}
