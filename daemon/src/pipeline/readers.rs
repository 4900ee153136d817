//! Which adapters read what a speaker says: those that the session names, else those of the speaker's seat.

use super::Pipeline;
use crate::adapters::Seats;

/// Names of adapters by whom they are for.
#[derive(Debug, Default)]
pub(super) struct Readers {
    session: Vec<String>,
    seats: Seats,
}

impl Pipeline {
    /// Gives seats adapters of their own.
    pub fn set_seats(&mut self, seats: Seats) {
        self.readers.seats = seats;
    }

    /// Has these adapters read the next session, and all after it; none: those of the seats.
    pub fn name_adapters(&mut self, names: Vec<String>) {
        self.readers.session = names;
    }

    /// Has these adapters read the next text; none: those of the seat of the session.
    pub fn read_with(&mut self, names: &[String]) {
        let seat = self.readers.seats.get(&self.session.zone);
        let names = if names.is_empty() {
            seat.map_or(&[][..], Vec::as_slice)
        } else {
            names
        };
        self.mind.read_with(names);
    }

    /// Before what was heard is understood: has the right adapters read it.
    pub(super) fn choose_readers(&mut self) {
        let names = std::mem::take(&mut self.readers.session);
        self.read_with(&names);
        self.readers.session = names;
    }
}
