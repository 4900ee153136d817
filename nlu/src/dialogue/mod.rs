//! What carries a conversation on: corrections ("no, the rear one"), references to the last command ("a bit more", "the
//! same for the passenger", "turn it off again"), and choices among several ("the second one").
//!
//! None of it is written in a domain: after a command there is a small automaton of what may follow *it*, made of the
//! phrases of this folder and the command's own slots. A domain adds what belongs together as `[[devices]]`, so that "it"
//! means something:
//!
//! ```toml
//! [[devices]]
//! on = "climate.ac_on"
//! off = "climate.ac_off"
//! ```

mod device;
mod follow;
mod phrases;

use crate::automaton::Automaton;
use crate::domain::Symbol;

pub(crate) use device::RawDevice;
pub use device::{Device, Relation};
pub(crate) use follow::{OLD, Step, WHICH, WHICH_KIND, layer};

/// "No", "I meant": what may stand before a whole command that corrects the last one.
pub(crate) fn lead_in() -> &'static Automaton<String> {
    &phrases::phrases().lead_in
}

/// "The second one".
pub(crate) fn which() -> &'static Automaton<Symbol> {
    &phrases::phrases().which
}
