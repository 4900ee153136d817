//! What no template says, by the encoder.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Context, Intent, Understander};
use crate::adapter::AdapterStore;
use crate::domain::{Domain, IntentSpec};
use crate::encoder::{Encoder, Guess};
use crate::value::SlotValue;

/// A reading that is this much less probable than the best is left out.
const BEHIND: f32 = 0.2;
/// How many words before a span a value may begin.
const WIDER: usize = 2;

impl Understander {
    /// Has an encoder read what no template says, or (`None`) nobody. It counts only where the assistant knows that it is
    /// spoken to.
    pub fn set_encoder(&mut self, encoder: Option<Arc<Encoder>>) {
        self.encoder = encoder;
        self.adapters = None;
    }

    /// Has the encoder of a store read, for each domain with the adapter that the context names or that is active, if there is
    /// one. A domain that the encoder has no heads for is read by its adapter alone.
    pub fn set_adapters(&mut self, store: Arc<AdapterStore>) {
        self.encoder = Some(Arc::clone(store.encoder()));
        self.adapters = Some(store);
    }

    /// The intents that the encoder takes a text for, most likely first, each with the probability that it is right; empty
    /// when it is likelier to be no command of any active domain.
    pub(super) fn guess(&self, words: &[String], context: &Context) -> Vec<Intent> {
        let addressed = context.addressed || context.is_open();
        let Some(encoder) = self.encoder.as_ref().filter(|_| addressed) else {
            return Vec::new();
        };
        let mut found: Vec<Intent> = Vec::new();
        for domain in self.active() {
            let allowed = |name: &str| reached(domain, name, context);
            let store = self.adapters.as_ref();
            let adapter = store.and_then(|store| store.choose(domain.name(), &context.adapters));
            let read = match adapter {
                Some(adapter) => encoder.read_with(&adapter, words, allowed),
                None => encoder.read(domain.name(), words, allowed),
            };
            match read {
                Ok(Some(guess)) => found.extend(self.intents_of(domain, &guess, words)),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(domain = domain.name(), "the encoder failed: {error}")
                }
            }
        }
        found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let best = found.first().map_or(0.0, |intent| intent.confidence);
        found.retain(|intent| intent.confidence >= best - BEHIND);
        found
    }

    fn intents_of<'a>(
        &'a self,
        domain: &'a Domain,
        guess: &'a Guess,
        words: &'a [String],
    ) -> impl Iterator<Item = Intent> + 'a {
        guess.intents.iter().filter_map(|(name, chance)| {
            let spec = domain.intents().iter().find(|spec| spec.name == *name)?;
            let slots = self.slots_of(domain, spec, guess, words);
            let mut intent = self.intent(domain, spec, slots, words);
            intent.confidence = *chance;
            Some(intent)
        })
    }

    /// Values of the spans that are slots of this intent and can be read as such.
    fn slots_of(
        &self,
        domain: &Domain,
        spec: &IntentSpec,
        guess: &Guess,
        words: &[String],
    ) -> BTreeMap<String, SlotValue> {
        let read = |span: &crate::encoder::Span| {
            let kind = spec.slots.get(&span.slot)?;
            let value = self.value_near(domain, kind, words, &span.words)?;
            Some((span.slot.clone(), value))
        };
        guess.spans.iter().filter_map(read).collect()
    }

    /// The value whose words lie best on a span: as many of its words as possible, as few beside it.
    fn value_near(
        &self,
        domain: &Domain,
        kind: &str,
        words: &[String],
        span: &Range<usize>,
    ) -> Option<SlotValue> {
        let mut best: Option<(isize, SlotValue)> = None;
        for start in span.start.saturating_sub(WIDER)..span.end {
            for (end, value) in self.read_slot(domain, kind, words, start) {
                let inside = end.min(span.end) as isize - start.max(span.start) as isize;
                let beside = (end - start) as isize - inside;
                let merit = 2 * inside - beside;
                if inside > 0 && best.as_ref().is_none_or(|(most, _)| merit > *most) {
                    best = Some((merit, value));
                }
            }
        }
        best.map(|(_, value)| value)
    }
}

/// Whether an intent counts in a context: some template of it is listened for, or it is known by examples alone.
fn reached(domain: &Domain, name: &str, context: &Context) -> bool {
    let spec = domain.intents().iter().find(|spec| spec.name == name);
    spec.is_some_and(|spec| {
        spec.templates.is_empty()
            || spec
                .templates
                .iter()
                .any(|template| context.reaches(template.reach))
    })
}
