//! What becomes of the accelerators, for the log and for Health.

use super::Shift;
use crate::offload;

/// The component's name in Health.
const COMPONENT: &str = "accelerator";

impl Shift {
    /// Says which is used and why the others are not: once in the log for each load, and in Health.
    pub(super) fn show_accelerators(&self) {
        let verdicts = self.pipeline.ears().map_or(&[][..], |ears| ears.verdicts());
        for verdict in verdicts {
            let used = if verdict.usable { "used" } else { "not used" };
            tracing::info!("accelerator {}: {used}: {}", verdict.name, verdict.reason);
        }
        if let Some(text) = offload::health(verdicts) {
            self.outlet.board().health(COMPONENT, &text);
        }
    }

    /// Notices when it failed and the processor went on in its place.
    pub(super) fn mind_the_accelerator(&mut self) {
        let Some(reason) = self.pipeline.fallen_back() else {
            return;
        };
        let text = format!(
            "the processor goes on in its place until the configuration is read again: {reason}"
        );
        self.outlet.fault(COMPONENT, &text);
        self.publish();
    }
}
