//! Graphs that are compiled once.

use std::sync::Arc;
use vocar_speech::decoder::DecodingGraph;

/// Compiled graphs of the two contexts without an open question: addressed, and open microphone.
#[derive(Debug, Default)]
pub(super) struct Graphs {
    addressed: Option<Arc<DecodingGraph>>,
    open: Option<Arc<DecodingGraph>>,
    /// Made for a question or for the last command, used once: the command's number, none for a question.
    pub special: Option<Option<u64>>,
}

impl Graphs {
    pub const fn of(&mut self, addressed: bool) -> &mut Option<Arc<DecodingGraph>> {
        if addressed {
            &mut self.addressed
        } else {
            &mut self.open
        }
    }
}
