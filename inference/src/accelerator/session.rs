//! One stream of audio: on the accelerator as long as it works, then on the processor.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use crate::engine::{Engine, EngineError, Session, State, fits};

pub(super) struct AcceleratedSession {
    shared: Arc<Shared>,
    place: Place,
    scores: Vec<f32>,
    next: Vec<f32>,
    /// Steps until the next comparison.
    unchecked: u32,
    /// Whether the accelerator gave scores since the last reset.
    given: bool,
    unlooked: Unlooked,
}

/// Steps since the last comparison that an audit compares: the newest one, and the newest loud one. In silence many a broken
/// network would give the same as a sound one.
#[derive(Default)]
struct Unlooked {
    newest: Option<Made>,
    loud: Option<Made>,
    /// The lowest and the highest mean feature of a step since the last reset.
    range: Option<(f32, f32)>,
}

/// Who holds the memory of the stream.
enum Place {
    /// This process: the program remembers nothing, so nothing is lost with it.
    Accelerator(Vec<f32>),
    Processor(Box<dyn Session>),
}

/// A step that was made.
#[derive(Default)]
struct Made {
    features: Vec<f32>,
    states: Vec<f32>,
    scores: Vec<f32>,
}

impl AcceleratedSession {
    pub fn start(shared: Arc<Shared>) -> AcceleratedSession {
        let remembered = shared.processor.states().iter().map(State::len).sum();
        AcceleratedSession {
            place: Place::Accelerator(vec![0.0; remembered]),
            scores: Vec::new(),
            next: Vec::new(),
            unchecked: 0,
            given: false,
            unlooked: Unlooked::default(),
            shared,
        }
    }

    /// Whether the accelerator made the step; `scores` and states are its outcome then, and else as they were.
    fn accelerated(&mut self, features: &[f32]) -> bool {
        let Place::Accelerator(states) = &mut self.place else {
            return false;
        };
        let signature = self.shared.processor.signature();
        self.scores.resize(signature.chunk * signature.columns, 0.0);
        self.next.resize(states.len(), 0.0);
        let check = self.unchecked == 0;
        let (scores, next) = (&mut self.scores, &mut self.next);
        if !self.shared.step(features, states, scores, next, check) {
            return false;
        }
        self.given = true;
        let loud = self.unlooked.loud(features);
        self.unchecked = if check {
            self.unlooked.forget();
            self.shared.check_every - 1
        } else {
            self.unlooked.keep(loud, features, states, &self.scores);
            self.unchecked - 1
        };
        std::mem::swap(states, &mut self.next);
        true
    }

    /// The stream on the processor, moved there from where the last good step left it.
    fn on_the_processor(&mut self) -> Result<&mut dyn Session, EngineError> {
        if let Place::Accelerator(states) = &self.place {
            let mut session = self.shared.fork();
            session.import(states)?;
            self.place = Place::Processor(session);
        }
        match &mut self.place {
            Place::Processor(session) => Ok(&mut **session),
            Place::Accelerator(_) => unreachable!("it was moved above"),
        }
    }
}

impl Unlooked {
    /// Whether a step is louder than the middle of what was heard since the last reset.
    fn loud(&mut self, features: &[f32]) -> bool {
        let mean = features.iter().sum::<f32>() / features.len().max(1) as f32;
        let (low, high) = self.range.unwrap_or((mean, mean));
        let (low, high) = (low.min(mean), high.max(mean));
        self.range = Some((low, high));
        mean >= 0.5 * (low + high)
    }

    fn keep(&mut self, loud: bool, features: &[f32], states: &[f32], scores: &[f32]) {
        let place = if loud {
            &mut self.loud
        } else {
            &mut self.newest
        };
        let made = place.get_or_insert_default();
        features.clone_into(&mut made.features);
        states.clone_into(&mut made.states);
        scores.clone_into(&mut made.scores);
        if loud {
            self.newest = None;
        }
    }

    fn forget(&mut self) {
        self.newest = None;
        self.loud = None;
    }

    fn take(&mut self) -> impl Iterator<Item = Made> + use<> {
        [self.newest.take(), self.loud.take()].into_iter().flatten()
    }
}

impl Session for AcceleratedSession {
    fn step(&mut self, features: &[f32]) -> Result<&[f32], EngineError> {
        let signature = self.shared.processor.signature();
        fits(signature.frames * signature.mels, features.len())?;
        if self.accelerated(features) {
            return Ok(&self.scores);
        }
        self.on_the_processor()?.step(features)
    }

    fn reset(&mut self) {
        self.unchecked = 0;
        self.given = false;
        self.unlooked = Unlooked::default();
        match &mut self.place {
            Place::Accelerator(states) => states.fill(0.0),
            Place::Processor(session) => session.reset(),
        }
    }

    fn fork(&self) -> Box<dyn Session> {
        let place = match &self.place {
            Place::Accelerator(states) => Place::Accelerator(states.clone()),
            Place::Processor(session) => Place::Processor(session.fork()),
        };
        Box::new(AcceleratedSession {
            shared: Arc::clone(&self.shared),
            place,
            scores: Vec::new(),
            next: Vec::new(),
            unchecked: self.unchecked,
            given: self.given,
            unlooked: Unlooked::default(),
        })
    }

    fn suspect(&self) -> bool {
        self.given && self.shared.lied.load(Ordering::Acquire)
    }

    fn audit(&mut self) -> bool {
        for made in self.unlooked.take() {
            self.shared
                .audit(&made.features, &made.states, &made.scores);
        }
        !self.suspect()
    }

    fn export(&self, values: &mut [f32]) -> Result<(), EngineError> {
        match &self.place {
            Place::Accelerator(states) => {
                fits(states.len(), values.len())?;
                values.copy_from_slice(states);
                Ok(())
            }
            Place::Processor(session) => session.export(values),
        }
    }

    fn import(&mut self, values: &[f32]) -> Result<(), EngineError> {
        match &mut self.place {
            Place::Accelerator(states) => {
                fits(states.len(), values.len())?;
                states.copy_from_slice(values);
                Ok(())
            }
            Place::Processor(session) => session.import(values),
        }
    }
}
