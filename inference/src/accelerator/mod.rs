//! A network on an accelerator, behind the same contract as on the processor.
//!
//! It is used only after a trial: the program starts and loads the network, its scores are those of the processor, and it
//! is faster. From then on every step has a deadline and its outcome is judged; what fails is run again by the processor from
//! the state before it, and so is everything after. Scores that can be no probabilities are found at once. Such as could be
//! some are found by comparisons with the processor: of a stream's first step, of every sixteenth or so, and before anything is
//! done because of them ([`Session::audit`]); whoever used wrong ones is told ([`Session::suspect`]) and hears again.

mod link;
mod session;
mod trial;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use vocar_accel::{Part, Patience, Placement, Provider};

use crate::engine::{Engine, EngineError, Session, Signature, State};
use link::Link;
use session::AcceleratedSession;
pub use trial::placement;

/// What there is to try.
#[derive(Debug, Clone)]
pub struct Offer {
    /// What it is called in reports, such as `qnn`.
    pub name: String,
    /// The program that runs it, `vocar-accel`.
    pub program: PathBuf,
    /// ONNX Runtime's library.
    pub runtime: PathBuf,
    /// Its execution provider.
    pub provider: Provider,
    /// Whether nodes may be left to the processor.
    pub placement: Placement,
    /// The ONNX file, with the features, scores and states of the processor's network.
    pub network: PathBuf,
    /// Names of features and scores in it.
    pub ports: (String, String),
    /// How long it may take.
    pub patience: Patience,
    /// Every so many steps of a stream, the first among them, the processor computes the scores as well, and they are compared.
    pub check_every: u32,
    /// Share of the probability that may lie elsewhere in a comparison (0 to 1).
    pub tolerance: f32,
    /// Whether it must be faster than the processor.
    pub require_win: bool,
}

/// Why an accelerator is not used, a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub(crate) String);

/// A network on an accelerator, and on the processor when that fails.
pub struct Accelerated {
    shared: Arc<Shared>,
}

/// How an accelerator fares, for those who have given its engine away.
#[derive(Clone)]
pub struct Standing(Arc<Shared>);

struct Shared {
    name: String,
    /// What the trial found, a sentence.
    found: String,
    processor: Arc<dyn Engine>,
    /// A stream on the processor that never runs; others fork from it, which cannot fail.
    pristine: Mutex<Box<dyn Session>>,
    /// The stream that compares.
    checker: Mutex<Box<dyn Session>>,
    /// The process, as long as it is used.
    link: Mutex<Option<Link>>,
    /// Why it is not used any more.
    failure: OnceLock<String>,
    /// Whether that was because of wrong scores.
    lied: AtomicBool,
    check_every: u32,
    tolerance: f32,
}

impl Accelerated {
    /// Tries what is offered. `processor` is what it is measured by, and what computes when it fails.
    ///
    /// # Errors
    /// [`Refusal`] with the reason; nothing is left running.
    pub fn activate(offer: &Offer, processor: Arc<dyn Engine>) -> Result<Accelerated, Refusal> {
        let (link, found) = trial::pass(offer, &*processor)?;
        let start = || processor.start().map_err(|e| Refusal(e.to_string()));
        let (pristine, checker) = (Mutex::new(start()?), Mutex::new(start()?));
        let shared = Shared {
            name: offer.name.clone(),
            found,
            pristine,
            checker,
            processor,
            link: Mutex::new(Some(link)),
            failure: OnceLock::new(),
            lied: AtomicBool::new(false),
            check_every: offer.check_every.max(1),
            tolerance: offer.tolerance,
        };
        Ok(Accelerated {
            shared: Arc::new(shared),
        })
    }

    /// A handle that tells how it fares.
    pub fn standing(&self) -> Standing {
        Standing(Arc::clone(&self.shared))
    }
}

impl Standing {
    /// What the trial found, a sentence.
    pub fn found(&self) -> &str {
        &self.0.found
    }

    /// Why it is not used any more, if so.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    /// The number of its process, as long as it is used.
    pub fn process(&self) -> Option<u32> {
        self.0.link().as_ref().map(Link::process)
    }
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Standing({}, {:?})", self.0.name, self.failure())
    }
}

impl Engine for Accelerated {
    fn name(&self) -> &str {
        match self.shared.failure.get() {
            None => &self.shared.name,
            Some(_) => self.shared.processor.name(),
        }
    }

    fn signature(&self) -> Signature {
        self.shared.processor.signature()
    }

    fn states(&self) -> &[State] {
        self.shared.processor.states()
    }

    fn fallible(&self) -> bool {
        true
    }

    fn start(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(AcceleratedSession::start(Arc::clone(
            &self.shared,
        ))))
    }
}

impl Shared {
    fn link(&self) -> MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new stream on the processor.
    fn fork(&self) -> Box<dyn Session> {
        let pristine = self.pristine.lock();
        pristine.unwrap_or_else(PoisonError::into_inner).fork()
    }

    /// One step on the accelerator, from `states` to `scores` and `next`, which are judged. False when it is not used, or from
    /// now on not any more.
    fn step(
        &self,
        features: &[f32],
        states: &[f32],
        scores: &mut [f32],
        next: &mut [f32],
        check: bool,
    ) -> bool {
        let mut link = self.link();
        let Some(used) = link.as_mut() else {
            return false;
        };
        if let Err(error) = used.step(features, states, scores, next) {
            self.give_up(&mut link, error.to_string(), false);
            return false;
        }
        let columns = self.processor.signature().columns;
        let judged = sound(scores, next, columns).and_then(|()| match check {
            true => self.compare(features, states, scores),
            false => Ok(()),
        });
        if let Err(reason) = judged {
            self.give_up(&mut link, reason, true);
            return false;
        }
        true
    }

    /// Compares a step made before with the processor; if it was wrong, the accelerator is not used any more.
    fn audit(&self, features: &[f32], states: &[f32], scores: &[f32]) {
        let mut link = self.link();
        if link.is_some()
            && let Err(reason) = self.compare(features, states, scores)
        {
            self.give_up(&mut link, reason, true);
        }
    }

    /// Kills the process, and keeps and logs the reason.
    fn give_up(&self, link: &mut Option<Link>, reason: String, lied: bool) {
        *link = None;
        tracing::error!(
            "accelerator {} is not used any more, the processor goes on in its place: {reason}",
            self.name
        );
        self.lied.store(lied, Ordering::Release);
        // It is set once: there is no link afterwards.
        let _ = self.failure.set(reason);
    }

    /// Whether this is what the processor makes of the step; else what is wrong.
    fn compare(&self, features: &[f32], states: &[f32], scores: &[f32]) -> Result<(), String> {
        let mut checker = self.checker.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |e: EngineError| e.to_string();
        checker.import(states).map_err(failed)?;
        let right = checker.step(features).map_err(failed)?;
        let distance = distance(right, scores, self.processor.signature().columns);
        agree(distance, self.tolerance)
    }
}

/// How far the sum of a row's probabilities may be from 1: more than half floats lose in eighty of them.
const SLACK: f32 = 0.1;

/// Whether values can be log posteriors, and the states numbers.
fn sound(scores: &[f32], next: &[f32], columns: usize) -> Result<(), String> {
    if !next.iter().all(|value| value.is_finite()) {
        return Err("a state it gave is no number".into());
    }
    for row in scores.chunks(columns) {
        let sum: f32 = row.iter().map(|score| score.exp()).sum();
        if !sum.is_finite() || (sum - 1.0).abs() > SLACK {
            return Err(format!(
                "its scores are no probabilities, they add up to {sum}"
            ));
        }
    }
    Ok(())
}

fn agree(distance: f32, tolerance: f32) -> Result<(), String> {
    // A distance that is no number is not within anything.
    if distance <= tolerance {
        return Ok(());
    }
    Err(format!(
        "it disagrees with the processor: {:.1} % of the probability is elsewhere, {:.1} % may be",
        100.0 * distance,
        100.0 * tolerance
    ))
}

/// How much of the probability lies elsewhere, on average over the rows (total variation, 0 to 1).
fn distance(a: &[f32], b: &[f32], columns: usize) -> f32 {
    let moved = a.iter().zip(b).map(|(a, b)| (a.exp() - b.exp()).abs());
    let rows = (a.len() / columns.max(1)).max(1);
    0.5 * moved.sum::<f32>() / rows as f32
}

/// What ran where, in words: one line for each place and operator, the dearest first.
fn placed(parts: &[Part]) -> Vec<String> {
    let total: f64 = parts.iter().map(|part| part.us).sum();
    let line = |part: &Part| {
        let named = match &part.nodes[..] {
            [] => String::new(),
            [only] => format!(": {only}"),
            [first, second] => format!(": {first}, {second}"),
            [first, .., last] => format!(": {first} to {last}"),
        };
        format!(
            "{}: {} × {}, {:.0} µs a step ({:.0} %){named}",
            part.provider,
            part.nodes.len(),
            part.operator,
            part.us,
            100.0 * part.us / total.max(f64::MIN_POSITIVE)
        )
    };
    parts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_probability_is_found() {
        let even = [0.25_f32.ln(); 4];
        assert!(sound(&even, &[0.0], 4).is_ok());
        assert!(sound(&even, &[f32::NAN], 4).is_err());
        for wrong in [f32::NAN, f32::INFINITY, 0.0, -20.0] {
            let row = [even[0], even[1], even[2], wrong];
            assert!(sound(&row, &[], 4).is_err(), "{wrong}");
        }
    }

    #[test]
    fn distance_is_the_share_that_lies_elsewhere() {
        let (yes, no) = (0.0_f32, f32::NEG_INFINITY);
        assert_eq!(distance(&[yes, no, no, yes], &[yes, no, yes, no], 2), 0.5);
        assert!(agree(0.1, 0.1).is_ok() && agree(f32::NAN, 0.1).is_err());
    }
}
