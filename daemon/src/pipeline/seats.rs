//! The pipeline in a cabin with several microphones, loudspeakers that play, or both.

use super::{Pipeline, Sink};
use crate::ears::{Ears, EarsError};
use vocar_speech::cabin::Cabin;

impl Pipeline {
    /// Gives the pipeline several microphones, a reference, or both; takes them away with `None`.
    pub fn set_cabin(&mut self, cabin: Option<Cabin>) {
        self.cabin = cabin;
    }

    /// Takes the tracks of the cabin (16 kHz, -1 to 1, of one length): its microphones, then its reference. Without a
    /// cabin the first track is the microphone.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn hear(&mut self, tracks: &[Vec<f32>], sink: &mut Sink<'_>) -> Result<(), EarsError> {
        let awaiting = self.ears.as_ref().is_some_and(Ears::awaiting);
        let hearing = !awaiting || self.session.answering || self.session.woken;
        let first = tracks.first().map_or(&[][..], Vec::as_slice);
        match self.cabin.take() {
            None => self.push(first, sink),
            Some(mut cabin) => {
                cabin.attend(hearing);
                cabin.push(tracks);
                self.take_from(cabin, sink)
            }
        }
    }

    /// The sound has ended: takes what the cabin held back.
    pub(super) fn take_the_rest(&mut self, sink: &mut Sink<'_>) -> Result<(), EarsError> {
        self.cabin.take().map_or(Ok(()), |mut cabin| {
            cabin.flush();
            self.take_from(cabin, sink)
        })
    }

    /// Hears the cabin's newest piece, and puts the cabin back.
    fn take_from(&mut self, cabin: Cabin, sink: &mut Sink<'_>) -> Result<(), EarsError> {
        if let (Some(earlier), Some(ears)) = (cabin.earlier(), &mut self.ears) {
            ears.rehear(earlier);
        }
        if let Some(zone) = cabin.speaker() {
            self.mind.turn_to(zone);
            zone.clone_into(&mut self.session.zone);
        }
        let result = self.push(cabin.piece(), sink);
        self.cabin = Some(cabin);
        result
    }
}
