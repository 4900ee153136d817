//! How much one program on the bus may ask for.

use super::check::{Broken, within};
use serde::Deserialize;

/// Section `[bus.limits]`: what each program may ask for, by what it costs. A burst is for an application that starts and tells
/// everything at once; the rate bounds what it can cost the vehicle for good.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallLimits {
    /// What changes a word: ending a session, answering a question, telling of the vehicle.
    pub light: Rate,
    /// What hears or reads a sentence.
    pub ordinary: Rate,
    /// What reads files or compiles what can be said.
    pub heavy: Rate,
}

/// Calls at once, and after that.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls (1 to 100,000) that may come at once.
    pub burst: f64,
    /// Calls a second (0.01 to 100,000) that may come for good.
    pub per_second: f64,
}

impl Default for CallLimits {
    fn default() -> Self {
        let rate = |burst, per_second| Rate { burst, per_second };
        Self {
            light: rate(200.0, 50.0),
            ordinary: rate(100.0, 20.0),
            heavy: rate(40.0, 1.0),
        }
    }
}

impl CallLimits {
    /// The first number that is out of range.
    pub(super) fn check(&self) -> Result<(), Broken> {
        for (burst, per_second, rate) in [
            (
                "bus.limits.light.burst",
                "bus.limits.light.per_second",
                self.light,
            ),
            (
                "bus.limits.ordinary.burst",
                "bus.limits.ordinary.per_second",
                self.ordinary,
            ),
            (
                "bus.limits.heavy.burst",
                "bus.limits.heavy.per_second",
                self.heavy,
            ),
        ] {
            within(burst, rate.burst, 1.0, 1e5)?;
            within(per_second, rate.per_second, 0.01, 1e5)?;
        }
        Ok(())
    }
}
