//! One stream of audio: on the accelerator as long as it works, then on the processor.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Shared, distance};
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
    /// Scores of the step that was compared last.
    compared: Vec<f32>,
    /// Of the steps since, the one least like it: what an audit compares.
    telling: Option<Telling>,
}

/// A step to be compared later: silence would be the same from many a broken network.
#[derive(Default)]
struct Telling {
    distance: f32,
    features: Vec<f32>,
    states: Vec<f32>,
    scores: Vec<f32>,
}

/// Who holds the memory of the stream.
enum Place {
    /// This process: the program remembers nothing, so nothing is lost with it.
    Accelerator(Vec<f32>),
    Processor(Box<dyn Session>),
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
            compared: Vec::new(),
            telling: None,
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
        if check {
            self.compared.clone_from(&self.scores);
            self.telling = None;
            self.unchecked = self.shared.check_every - 1;
        } else {
            let distance = distance(&self.compared, &self.scores, signature.columns);
            if self
                .telling
                .as_ref()
                .is_none_or(|so_far| so_far.distance < distance)
            {
                let telling = self.telling.get_or_insert_default();
                telling.keep(distance, features, states, &self.scores);
            }
            self.unchecked -= 1;
        }
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

impl Telling {
    fn keep(&mut self, distance: f32, features: &[f32], states: &[f32], scores: &[f32]) {
        self.distance = distance;
        for (kept, new) in [
            (&mut self.features, features),
            (&mut self.states, states),
            (&mut self.scores, scores),
        ] {
            kept.clear();
            kept.extend_from_slice(new);
        }
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
        self.telling = None;
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
            compared: self.compared.clone(),
            telling: None,
        })
    }

    fn suspect(&self) -> bool {
        self.given && self.shared.lied.load(Ordering::Acquire)
    }

    fn audit(&mut self) -> bool {
        if let Some(step) = self.telling.take() {
            self.shared
                .audit(&step.features, &step.states, &step.scores);
            self.compared = step.scores;
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
