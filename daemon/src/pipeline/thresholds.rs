//! How sure the recogniser must be.

/// Least confidence of what is taken for said, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Of a speaker who has pressed a button, said the wake phrase or been asked.
    pub addressed: f32,
    /// At an open microphone.
    pub open_microphone: f32,
    /// Of a speaker who uses other words than any template.
    pub free: f32,
}

impl Thresholds {
    /// The lower one, below which the recogniser need not report anything.
    #[must_use]
    pub const fn least(&self) -> f32 {
        self.addressed.min(self.open_microphone)
    }
}
