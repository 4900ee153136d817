//! Graphs that are compiled once.

use std::sync::Arc;
use vocar_speech::decoder::DecodingGraph;

/// Compiled graphs of the two contexts without an open question: addressed, and open microphone.
#[derive(Debug, Default)]
pub(super) struct Graphs {
    addressed: Option<Arc<DecodingGraph>>,
    open: Option<Arc<DecodingGraph>>,
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
