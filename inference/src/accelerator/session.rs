//! One stream of audio: on the accelerator as long as it works, then on the processor.

use std::sync::Arc;

use super::Shared;
use crate::engine::{Engine, EngineError, Session, State, fits};

pub(super) struct AcceleratedSession {
    shared: Arc<Shared>,
    place: Place,
    scores: Vec<f32>,
    next: Vec<f32>,
    /// Steps until the next comparison.
    unchecked: u32,
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
        std::mem::swap(states, next);
        self.unchecked = match check {
            true => self.shared.check_every - 1,
            false => self.unchecked - 1,
        };
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
        })
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
