//! What the stages of the cascade have computed, and another network for the one that computes most.

use std::sync::Arc;

use vocar_inference::AcousticModel;

use super::ears::Ears;
use super::scout::Scout;
use super::{Recogniser, RecogniserError};

/// What was computed since the recogniser was made: each stage of the cascade by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Steps of the large acoustic network, on guesses too.
    pub steps: u64,
    /// Rows of the small network's scores in which anything like a wake phrase was looked for.
    pub scouted: u64,
    /// Rows of scores in which a wake phrase was looked for.
    pub spotted: u64,
    /// Rows of scores that the search for sentences took.
    pub searched: u64,
}

impl Recogniser {
    /// Another network of the same units from the next utterance on; one being said is heard out with the present one.
    ///
    /// # Errors
    /// [`RecogniserError`] when the network has other units or its features cannot be computed; the present one stays.
    pub fn set_model(&mut self, model: &Arc<AcousticModel>) -> Result<(), RecogniserError> {
        RecogniserError::unless_units(self.decoder.columns() / 2, model)?;
        self.next_ears = Some(Ears::new(&self.features, model)?);
        self.keep_for(model);
        Ok(())
    }

    /// What has been computed so far.
    pub fn work(&self) -> Work {
        Work {
            steps: self.work.steps + self.ears.stepped_in_all(),
            scouted: self.scout.as_ref().map_or(0, Scout::scouted),
            ..self.work
        }
    }
}
